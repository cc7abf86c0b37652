"""A reduced form of scripts/robustness.py, and that it notices what goes wrong."""

import random
import sys
import warnings
from pathlib import Path

import pytest

import featlearn


@pytest.fixture(scope="module")
def robustness():
    # Importable by name, for the processes that it starts.
    sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import robustness

        yield robustness


def test_random_experiments_are_trained_or_refused(robustness, seed):
    findings = robustness.Findings()
    robustness.fuzz_experiments(250, random.Random(seed), findings)
    assert not findings.faults
    assert findings.counts["experiments: trained"] and findings.counts["experiments: refused"]


def test_random_command_lines_are_done_or_refused_in_one_line(robustness, seed, tmp_path):
    findings = robustness.Findings()
    robustness.fuzz_command_lines(60, random.Random(seed), findings, tmp_path)
    assert not findings.faults
    assert findings.counts["command lines: exit 0"] and findings.counts["command lines: exit 2"]
    assert set(featlearn.PRESETS) and featlearn.preset("tiny").n_steps > 100


@pytest.mark.skipif(
    not hasattr(robustness_os := __import__("os"), "fork"), reason="kills processes"
)
def test_killed_processes_go_on_to_the_same_bytes(robustness, seed, tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "LIVING", robustness.LIVING.replace(n_steps=400))
    findings = robustness.Findings()
    robustness.kill_lives(4, random.Random(seed), findings, tmp_path, names=("run",))
    assert not findings.faults
    assert findings.counts["kills"] >= 4


def test_what_goes_wrong_is_found(robustness, monkeypatch, tmp_path):
    findings = robustness.Findings()

    def fails(argv):
        raise KeyError(argv[0])

    monkeypatch.setattr(robustness, "command", fails)
    robustness.run_line(["run"], findings)
    monkeypatch.setattr(
        robustness, "command", lambda argv: print("two\nlines", file=sys.stderr) or 2
    )
    robustness.run_line(["run"], findings)
    monkeypatch.setattr(featlearn, "train", lambda experiment: 1 / 0)
    robustness.fuzz_experiments(20, random.Random(0), findings)
    kinds = {fault.partition(":")[0] for fault in findings.faults}
    assert {
        "exit KeyError ('run')",
        "refused in 2 lines",
        "ZeroDivisionError (division by zero)",
    } <= kinds
    assert f"{len(findings.faults):7} faults" in str(findings)
