"""The page to look around in: its numbers are the run's, and it moves by keys and mouse."""

import base64
import json
import re

import browser
import numpy as np
import pytest

import featlearn
from featlearn.alignment import cosines
from featlearn.commands import main
from featlearn.reports.explorer import frames_of_run, frames_of_steps, make_explorer


def data_of(page):
    return json.loads(re.search(r"const run = (.*);\n", page)[1])


def unpacked(text, shape):
    return np.frombuffer(base64.b64decode(text), np.int8).reshape(shape) / 127


def test_the_page_of_a_run_holds_its_numbers(twins):
    run = featlearn.load_run(twins[0])
    page = make_explorer(frames_of_run(run))
    assert page == make_explorer(frames_of_run(run))
    data = data_of(page)
    rows = np.searchsorted(run.steps, data["steps"])
    assert data["steps"][0] == 0 and data["steps"][-1] == run.steps[-1]
    m, d = run["alignment"].shape[1:]
    found = unpacked(data["cosines"], (len(rows), m, d + 1))
    expected = cosines(run["alignment"][rows], run["weight_norm"][rows])
    np.testing.assert_allclose(np.abs(found[..., :d]), expected, atol=0.6 / 127)
    np.testing.assert_allclose((found**2).sum(axis=2), 1, atol=0.1)
    (force,) = data["forces"].values()
    change = unpacked(force["values"], found.shape) * np.array(force["largest"])[..., None]
    wanted = run["alignment"][1] - run["alignment"][0]
    np.testing.assert_allclose(change[0, :, :d], wanted, atol=0.01 * np.abs(wanted).max())
    assert set(re.findall(r"https?://[^\"]*", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link|<img|src=|@import|url\(", page)


def test_forces_of_steps_add_up_to_what_happens():
    state = featlearn.init(featlearn.SMALL_WORLD)
    exp = state.experiment
    frames = frames_of_steps(state, 30)
    assert frames.steps.tolist() == list(range(31))
    total = sum(force[..., :-1] for force in frames.forces.values())
    alignment = frames.cosines[..., :-1] * frames.norms[..., None]
    np.testing.assert_allclose(
        exp.learning_rate * total[:-1], np.diff(alignment, axis=0), atol=1e-12
    )
    data = data_of(make_explorer(frames))
    assert list(data["forces"]) == ["attraction", "repulsion", "decay"]


def test_the_commands_write_it(twins, tmp_path, capsys):
    assert main(["explore", str(twins[1]), "-o", str(tmp_path / "a.html")]) == 0
    assert main(["step", "--html", str(tmp_path / "b.html"), "--steps", "20"]) == 0
    assert len(data_of((tmp_path / "b.html").read_text("utf-8"))["steps"]) == 21
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.html"), str(tmp_path / "b.html")]
    for words in (["explore", str(twins[1]), "-o", "a.pdf"], ["step", "--html", "b.png"]):
        assert main(words) == 2
        assert "a name ending in .html" in capsys.readouterr().err


@pytest.mark.skipif(browser.find() is None, reason="no Chromium here: the page was not moved")
def test_the_page_moves_by_keys_and_mouse(tmp_path):
    path = tmp_path / "step.html"
    path.write_text(
        make_explorer(frames_of_steps(featlearn.init(featlearn.SMALL_WORLD), 60)), "utf-8"
    )
    with browser.Browser(tmp_path / "profile", (390, 900)) as page:
        page.open(path)

        def status():
            return page.run("document.getElementById('status').textContent")

        assert status().startswith("Step 0 of 60, stage I,") and "Neuron 0" in status()
        page.press("ArrowRight")
        page.press("ArrowDown")
        assert status().startswith("Step 1 of 60") and "Neuron 1" in status()
        page.press("End")
        assert status().startswith("Step 60 of 60")
        page.press("Home")
        page.press(" ")
        assert page.run("document.getElementById('play').textContent") == "pause"
        while status().startswith("Step 0 "):
            pass
        page.press(" ")
        assert page.run("document.getElementById('play').textContent") == "play"
        box = page.run("(b => [b.left, b.top, b.width, b.height])"
                       "(document.getElementById('neurons').getBoundingClientRect())")  # fmt: skip
        page.click(box[0] + box[2] / 2, box[1] + box[3] * 5 / 6)
        assert "Neuron 2" in status()
        for name, key in (("next", 1), ("back", -1)):
            before = int(status().split()[1])
            spot = page.run(f"(b => [b.left + 5, b.top + 5])"
                            f"(document.getElementById('{name}').getBoundingClientRect())")  # fmt: skip
            page.click(*spot)
            assert int(status().split()[1]) == before + key
        assert page.run("document.documentElement.scrollWidth") <= 390
