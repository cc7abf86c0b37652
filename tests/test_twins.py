"""The script of the twins, on networks of a few steps."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featlearn import InvalidInput, preset
from featlearn.plotting.dial import dial
from featlearn.plotting.twins import FIGURES
from featlearn.reports.measured import MEASURES, coherent, read_rows, trained, write_rows
from featlearn.theory.predictions.crossing import crossing

PATH = Path(__file__).parent.parent / "scripts" / "twins.py"
SCRIPT = runpy.run_path(PATH)


def test_every_section_is_of_experiments_that_differ():
    for make in SCRIPT["SECTIONS"].values():
        for quick in (True, False):
            experiments = make(quick)
            assert len(set(experiments.values())) == len(experiments) >= 2


def test_sections_are_trained_tabled_and_drawn(tmp_path):
    arguments = ["--quick", "--steps", "0.01", "--out", str(tmp_path)]
    sections = "dial", "yardstick"
    command = [sys.executable, str(PATH), *arguments, "--only", *sections]
    place = {**os.environ, "PYTHONPATH": str(PATH.parent.parent)}
    done = subprocess.run(command, env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert "supervised, no augmentation" in printed and "dictionary learner" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"dial.png", "dial.pdf", "twins.csv"}
    rows = read_rows(tmp_path / "twins.csv")
    assert {row["section"] for row in rows} == set(sections)
    assert all(0 <= row["share"] <= 1 for row in rows if row["section"] != "yardstick")
    learned = [row for row in rows if row["run"].startswith("dictionary learner")]
    assert learned[-1]["matched"] == 8 and learned[-1]["recovered at 0.3"] == 1


def test_figures_are_drawn_from_the_table(tmp_path):
    rows = read_rows(PATH.parent.parent / "figures" / "twins.csv")
    assert {row["section"] for row in rows} == {*SCRIPT["SECTIONS"], "warm start", "yardstick"}
    write_rows(rows, tmp_path / "again.csv")
    assert read_rows(tmp_path / "again.csv") == rows
    for needed, draw in FIGURES.values():
        draw([row for row in rows if row["section"] in needed]).draw_without_rendering()


def test_labels_need_fewer_samples_than_a_mask_and_more_are_better_for_both():
    rows = read_rows(PATH.parent.parent / "figures" / "twins.csv")
    share = {
        (row["objective"], row["n_samples"]): row["share"]
        for row in rows
        if row["section"] == "finite data"
    }
    sizes = (4096, 8192, 32768)
    for objective in ("infonce", "supervised"):
        assert np.all(np.diff([share[objective, n] for n in sizes]) > 0.05)
    assert all(share["supervised", n] > share["infonce", n] + 0.1 for n in sizes)


def test_figures_need_their_sections(tmp_path):
    for name in ("breaks", "recovery"):
        with pytest.raises(InvalidInput, match="section"):
            FIGURES[name][1]([{"section": "dial"}])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="twins.py"):
        read_rows(tmp_path / "other.csv")


def test_measures_of_a_data_set_and_of_a_network_that_diverged():
    exp = preset("tiny").replace(n_samples=300, n_steps=3)
    found = trained(exp)
    assert set(MEASURES) - set(found) == {"g/g*", "matched", "weakest match"}
    assert found["n_samples"] == 300 and found["recovered at 0.98"] == 0
    plain = trained(exp.replace(augmentation="none"))
    assert plain["g/g*"] == pytest.approx(
        plain["growth"] / crossing(preset("tiny").replace(augmentation="none")).growth
    )
    oblique = coherent(exp.replace(n_samples=None), 0.3)
    assert 0 < oblique["weakest"] < 1 and oblique["share"] > 0
    lost = trained(exp.replace(learning_rate=1e30))
    assert lost["share"] != lost["share"] and lost["objective"] == "infonce"


def test_a_dial_needs_both_kinds_of_runs():
    with pytest.raises(InvalidInput, match="contrastive and supervised"):
        dial([], [])
