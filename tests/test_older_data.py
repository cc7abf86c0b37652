"""Runs and a sweep recorded by an earlier version: loaded, judged, and gone on with.

`recorded_before/` was written at commit c2eab5b, before config.json listed what a run records and before
trajectories had checksums.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import featlearn
from featlearn.recording.rundir import load_state, verify
from featlearn.sweeps.sweep import grid, sweep

OLD = Path(__file__).with_name("recorded_before")
# What is amplified from the last digits, where another numpy or processor made the old rows.
CLOSE = dict(rtol=1e-3, atol=1e-4)


@pytest.fixture
def old(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture(scope="module")
def fresh():
    return featlearn.train(experiment())


def experiment():
    return featlearn.Experiment(
        n_features=4,
        n_inputs=16,
        n_neurons=6,
        batch_size=40,
        n_steps=60,
        learning_rate=1.0,
        stage_one_growth=1.2,
        bias_growth=1.05,
        bias_cap=0.6,
        record_every=4,
    )


def close(found, wanted):
    assert set(found.arrays) == set(wanted.arrays)
    for name, array in wanted.arrays.items():
        np.testing.assert_allclose(found[name], array, **CLOSE)


def test_a_run_is_loaded_with_all_it_recorded(old, fresh):
    run = featlearn.load_run(old / "complete", verify=True)
    assert run.experiment == experiment() and len(run) == 16
    close(run, fresh)
    np.testing.assert_allclose(run.weights, fresh.weights, **CLOSE)
    assert load_state(old / "complete").step == 60
    # Its trajectory has no checksums; it kept no states.
    assert verify(old / "complete") == {}
    assert featlearn.check(run)
    assert featlearn.train(None, old / "complete", resume=True).steps[-1] == 60


@pytest.mark.filterwarnings("ignore:.*was started with")
def test_a_run_goes_on_and_gets_checksums_and_states(old, fresh):
    before = featlearn.load_run(old / "interrupted", verify=True)
    assert len(before) == 9 and before.steps[-1] == 32
    kept = {name: np.array(array) for name, array in before.arrays.items()}
    run = featlearn.train(experiment(), old / "interrupted", resume=True)
    assert len(run) == 16
    for name, array in kept.items():
        np.testing.assert_array_equal(run[name][:9], array)
    close(run, fresh)
    found = verify(old / "interrupted")
    assert set(found.values()) == {None} and "checkpoints/48.npz" in found
    path = old / "interrupted/trajectory/loss.npy"
    data = bytearray(path.read_bytes())
    data[200] ^= 1  # of a row that the earlier version wrote
    path.write_bytes(bytes(data))
    assert verify(old / "interrupted")["trajectory/loss.npy"] is not None


@pytest.mark.filterwarnings("ignore:.*was started with")
def test_a_run_is_made_longer(old):
    run = featlearn.train(None, old / "complete", resume=True, extend=72)
    assert run.steps[-1] == 72 and len(run) == 19
    assert set(verify(old / "complete").values()) == {None}


class Inline:
    """An executor that runs what it is given at once, and counts."""

    def __init__(self):
        self.submitted = 0

    def submit(self, function, *arguments):
        self.submitted += 1
        self.value = function(*arguments)
        return self

    def result(self):
        return self.value


def test_a_sweep_goes_on_with_the_runs_it_has(old):
    base = experiment().replace(n_steps=20)
    names = {path.stem for path in (old / "sweep/rows").iterdir()}
    executor, axes = Inline(), {"temperature": [1.0, 2.0], "seed": [0, 1]}
    rows = sweep(grid(base, axes), old / "sweep", executor, check=False)
    assert executor.submitted == 0
    assert {row["run"] for row in rows} == names and len(rows) == 4
    axes["seed"] = [0, 1, 2]
    rows = sweep(grid(base, axes), old / "sweep", executor, check=False)
    assert executor.submitted == 2
    assert names < {row["run"] for row in rows} and len(rows) == 6
    assert {row["status"] for row in rows} == {"complete"}
    # A row that is lost is made again from its run directory, under its old name.
    lost = sorted(names)[0]
    (old / "sweep/rows" / f"{lost}.json").unlink()
    rows = sweep(grid(base, axes), old / "sweep", executor, check=False)
    assert executor.submitted == 3 and lost in {row["run"] for row in rows}


def test_a_field_that_is_added_later_says_so():
    """So that names and configs from before it stay what they are."""
    fields = json.loads((OLD / "complete/config.json").read_text())["experiment"]
    assert experiment().identity() == fields
