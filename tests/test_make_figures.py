"""The script that regenerates figures/, on tiny runs."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_figures", ROOT / "scripts/make_figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_second_call_draws_the_same_bytes(script, tmp_path, monkeypatch, capsys):
    sizes = script.SMALL | dict(n_steps=40, n_inputs=32, n_neurons=12)
    monkeypatch.setattr(script, "SMALL", sizes)
    written = []
    for out in ("a", "b"):
        words = ["--quick", "--quiet", "--only", "neuron-map", "--only", "decoupling", "--only",
                 "spectrum-and-plateau", "--runs", str(tmp_path / "runs"), "--out"]  # fmt: skip
        assert script.main([*words, str(tmp_path / out)]) == 0
        files = [Path(line) for line in capsys.readouterr().out.splitlines()]
        assert len(files) == 6
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert script.main(["--only", "portrait"]) == 2


def test_the_list_of_figures_is_complete(script):
    text = (ROOT / "figures/README.md").read_text(encoding="utf-8")
    for name in (*script.FIGURES, *script.TABLES, script.FILM):
        assert f"`{name}`" in text or f"`{name}.gif`" in text


def test_a_table_that_is_there_is_drawn_and_a_missing_one_is_made(script, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setitem(
        script.TABLES, "speed", ("speed.py", "speed.csv", lambda path: drawn.append(path))
    )
    monkeypatch.setattr(
        script.subprocess, "run", lambda words, **_: Path(words[3], "speed.csv").touch()
    )
    for _ in range(2):
        script.from_table("speed", tmp_path, quick=True)
        monkeypatch.setattr(script.subprocess, "run", None)
    assert drawn == [tmp_path / "speed.csv"] * 2
