"""The script of the twins, on networks of a few steps."""

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from featlearn import InvalidInput
from featlearn.plotting.dial import dial

PATH = Path(__file__).parent.parent / "scripts" / "twins.py"
SCRIPT = runpy.run_path(PATH)


def test_every_section_is_of_experiments_that_differ():
    for make in SCRIPT["SECTIONS"].values():
        for quick in (True, False):
            experiments = make(quick)
            assert len(set(experiments.values())) == len(experiments) >= 3


def test_sections_are_trained_tabled_and_drawn(tmp_path):
    arguments = ["--quick", "--steps", "0.01", "--out", str(tmp_path)]
    command = [sys.executable, str(PATH), *arguments, "--only", "dial", "warm start"]
    place = {**os.environ, "PYTHONPATH": str(PATH.parent.parent)}
    done = subprocess.run(command, env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert "supervised, no augmentation" in printed and "none → random_mask" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"dial.png", "dial.pdf", "twins.csv"}
    with open(tmp_path / "twins.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and all(0 <= float(row["share"]) <= 1 for row in rows)


def test_a_dial_needs_both_kinds_of_runs():
    with pytest.raises(InvalidInput, match="contrastive and supervised"):
        dial([], [])
