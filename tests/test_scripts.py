"""The scripts that are run by hand, each once at its smallest."""

import ast
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from featlearn import preset
from featlearn.objectives import OBJECTIVES
from featlearn.theory.claims import replay

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mutations_change_one_place_each_and_compile():
    mutation = script("mutation")
    found = {file: mutation.mutations(file) for file in mutation.FILES}
    assert all(len(changes) >= 10 for changes in found.values())
    assert sum(map(len, found.values())) >= 400
    for file, changes in found.items():
        intact = ast.unparse(
            ast.parse((SCRIPTS.parent / f"featlearn/{file}.py").read_text("utf-8"))
        )
        assert len({m.source for m in changes} | {intact}) >= len(changes)
        for m in changes[::5]:
            assert m.before != m.after and m.source != intact
            compile(m.source, file, "exec")
    everything = {m[:4] for changes in found.values() for m in changes}
    assert set(mutation.KNOWN) <= everything, "known of what is no mutation any more"


def test_a_mutation_is_caught_and_none_is_not(tmp_path, monkeypatch):
    mutation = script("mutation")
    monkeypatch.setattr(mutation, "TESTS", ("schedule",))
    assert mutation.caught(None, tmp_path) is None
    changes = (m for m in mutation.mutations("schedule") if "np.maximum(biases" in m.after)
    assert "test_schedule.py" in mutation.caught(next(changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_precision_reports_where_two_precisions_part(capsys):
    precision = script("precision")
    settings = ["n_steps=60", "n_inputs=64", "n_features=8", "n_neurons=16", "batch_size=64"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert precision.main(arguments) == 0
    said = capsys.readouterr().out
    assert "first at step" in said and "float64" in said
    difference = np.array([0.0, 1e-7, 2e-3, 1e-4, 0.5])
    found = precision.partings(np.array([0, 10, 20, 30, 40]), difference, (1e-3, 1e-2, 0.9))
    assert found == {1e-3: 20, 1e-2: 40, 0.9: None}
    assert precision.main(["--set", "n_steps=-1"]) == 2
    assert capsys.readouterr().err.startswith("precision: n_steps: got -1")


@pytest.mark.parametrize("name", ("mutation", "precision"))
def test_scripts_say_what_they_do(name, capsys):
    with pytest.raises(SystemExit) as stop:
        script(name).main(["--help"])
    assert stop.value.code == 0 and "usage" in capsys.readouterr().out


def test_agreement_prints_both_sets_of_runs(capsys, monkeypatch):
    agreement = script("agreement")
    tiny = agreement.preset("tiny").replace(n_steps=3, batch_size=64)
    monkeypatch.setattr(agreement, "preset", lambda name: tiny)
    agreement.print_comparison(
        "a case", ("explicit", "Gram matrix"), agreement.seeds_of(tiny, 2),
        agreement.seeds_of(tiny.replace(dense="gram"), 2, first=9),
    )  # fmt: skip
    said = capsys.readouterr().out
    assert all(name in said for name in agreement.MEASURES) and "s.e." in said
    means, errors, z = agreement.compare(np.array([[1.0], [3.0]]), np.array([[4.0], [6.0]]))
    assert (means[1] - means[0])[0] == 3 and z[0] == pytest.approx(3 / np.sqrt(2))


def test_false_alarms_are_counted_and_a_call_goes_on_after_the_runs_it_finds(tmp_path, capsys):
    alarms, out = script("false_alarms"), tmp_path / "found.jsonl"
    asked = ["tiny", "--scale", "0.005", "--out", str(out)]
    assert alarms.main([*asked, "--runs", "1"]) == 0
    first = out.read_text()
    assert alarms.main([*asked, "--runs", "2"]) == 0
    assert out.read_text().startswith(first) and out.read_text().count("\n") == 2
    assert "0 of 2 runs have a verdict that fails" in capsys.readouterr().out
    assert alarms.main(["tiny", "--runs", "1", "--out", str(out)]) == 2
    assert "same experiments" in capsys.readouterr().err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    rows[1]["fails"] = [
        {"claim": "T1", "quantity": "x", "predicted": 1, "measured": 2, "tolerance": ""}
    ]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert alarms.main([*asked, "--runs", "2"]) == 1
    assert "1 of 2 runs" in capsys.readouterr().out


def test_random_experiments_vary_in_all_that_they_may():
    alarms = script("false_alarms")
    drawn = [alarms.random_experiment(k) for k in range(40)]
    assert drawn[7] == alarms.random_experiment(7)
    for name in ("augmentation", "dictionary", "negatives", "stop_gradient", "stage_one_growth"):
        assert len({getattr(e, name) for e in drawn}) > 1
    assert all(8 <= e.n_features <= 60 and 8 <= e.n_inputs / e.n_features <= 40 for e in drawn)
    assert any(e.stays_linear for e in drawn)


def test_experiments_of_every_objective_are_drawn_and_checked(tmp_path):
    alarms = script("false_alarms")
    drawn = [alarms.objective_experiment(k) for k in range(60)]
    assert {e.objective for e in drawn} == set(OBJECTIVES)
    assert alarms.main(["objectives", "--runs", "3", "--scale", "0.005"]) == 0


def test_a_few_updates_part_by_rounding_only():
    precision = script("precision")
    lines = precision.update_lines(preset("tiny").replace(n_steps=20, batch_size=64), 3)
    assert [line for line in lines if "threads" in line] and "against float64" in "".join(lines)
    after = [float(line.split()[-1]) for line in lines if line.startswith("  ")]
    assert 0 < max(after) < replay.drift(preset("tiny"))
