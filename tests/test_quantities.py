"""Recorded quantities: one's own beside the built-in ones, and what an older run did not record."""

import json

import numpy as np
import pytest

import featlearn
from featlearn.recording import quantities
from featlearn.recording.quantities import QUANTITIES, Quantity, built_in, measure
from featlearn.recording.rundir import RunDirectory
from featlearn.recording.trajectory import MemoryRecorder

SMALL = featlearn.Experiment(
    n_features=4,
    n_inputs=16,
    n_neurons=6,
    batch_size=20,
    n_steps=11,
    record_every=2,
    bias_cap=0.6,
)


def largest_norm(state, batch, gradient):
    return np.linalg.norm(batch.views.anchors, axis=1).max()


def gram(state, batch, gradient):
    return gradient.weights @ gradient.weights.T


OWN = (
    Quantity("largest_norm", "largest norm of an anchor", largest_norm),
    Quantity("gram", "of the gradient", gram, ("n_neurons", 6), "dtype", every=3),
)
DUE = [0, 6, 11]


def train(directory, own=OWN, stop=None, resume=False):
    """A training loop of one's own, which may stop before a step."""
    with RunDirectory(directory, None if resume else SMALL, resume, own) as place:
        state = place.start()
        while state.step != stop:
            batch = featlearn.draw_batch(state)
            gradient = featlearn.evaluate(state, batch)
            last = state.step == SMALL.n_steps
            if last or state.step % SMALL.record_every == 0:
                place.append(measure(state, batch, gradient, place.quantities))
            if last:
                place.checkpoint(state)
                place.status("complete", state)
                break
            state = featlearn.step(state, gradient)
        else:
            place.checkpoint(state)
            place.status("interrupted", state)
    return featlearn.load_run(directory)


def files(directory):
    return {p.name: p.read_bytes() for p in (directory / "trajectory").iterdir()}


def test_one_is_known_by_one_function():
    for name, quantity in QUANTITIES.items():
        assert quantity.name == name == quantity.function.__name__
        assert 3 <= len(quantity.doc) <= 100
        assert "\n" not in quantity.doc


def test_own_ones_are_recorded_beside_the_built_in_ones(tmp_path):
    run = train(tmp_path / "run")
    plain = featlearn.train(SMALL)
    assert list(run.arrays) == [*plain.arrays, "largest_norm", "gram"]
    for name, array in plain.arrays.items():
        np.testing.assert_array_equal(run[name], array)
    assert run["largest_norm"].shape == (7,) and (run["largest_norm"] > 0).all()
    assert run["gram"].shape == (3, 6, 6) and run["gram"].dtype == np.float32
    listed = json.loads((tmp_path / "run/config.json").read_text())["recorded"]
    assert list(listed) == list(run.arrays)
    assert listed["gram"] == {
        "shape": [6, 6],
        "dtype": "float32",
        "every": 3,
        "doc": "of the gradient",
    }


@pytest.mark.parametrize("stop", (0, 1, 6, 7, 10, 11))
def test_they_go_on_bit_for_bit(tmp_path, stop):
    train(tmp_path / "whole")
    begun = train(tmp_path / "run", stop=stop)
    assert len(begun["gram"]) == sum(t < stop for t in DUE)
    train(tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_memory_holds_the_same_rows(tmp_path):
    run = train(tmp_path / "run")
    recorder = MemoryRecorder(SMALL, (*built_in(SMALL), *OWN))
    for step in run.steps.tolist():
        row = {name: 0 for name in run.arrays if name != "gram"}
        recorder.append({**row, "gram": 1} if step in DUE else row)
    shapes = {name: array.shape for name, array in recorder.arrays().items()}
    assert shapes == {name: array.shape for name, array in run.arrays.items()}


def test_a_run_goes_on_with_the_functions_it_began_with_or_not_at_all(tmp_path):
    train(tmp_path / "run", stop=5)
    with pytest.raises(featlearn.RunDirectoryError, match="'largest_norm': resume it with"):
        train(tmp_path / "run", own=(), resume=True)
    train(tmp_path / "plain", own=(), stop=5)
    with pytest.raises(featlearn.RunDirectoryError, match="does not record 'largest_norm'"):
        train(tmp_path / "plain", resume=True)


def test_a_new_quantity_leaves_older_runs_readable(tmp_path, monkeypatch):
    """Those that list what they recorded, and those before there were lists."""
    train(tmp_path / "listed", own=(), stop=5)
    train(tmp_path / "unlisted", own=(), stop=5)
    path = tmp_path / "unlisted/config.json"
    config = json.loads(path.read_text())
    del config["recorded"]
    path.write_text(json.dumps(config))
    new = Quantity("bias_sum", "sum of the biases", lambda state, *_: state.biases.sum())
    monkeypatch.setitem(quantities.QUANTITIES, new.name, new)
    expected = train(tmp_path / "new", own=())
    assert "bias_sum" in expected.arrays
    for name in ("listed", "unlisted"):
        assert len(featlearn.load_run(tmp_path / name)) == 3
        run = featlearn.train(None, tmp_path / name, resume=True)
        assert "bias_sum" not in run.arrays and len(run) == 7
        np.testing.assert_array_equal(run["alignment"], expected["alignment"])


@pytest.mark.parametrize(
    "table",
    (
        [],
        {"step": {}},
        {"../loss": {"shape": [], "dtype": "float64", "every": 1}},
        {"a\nb": {"shape": [], "dtype": "float64", "every": 1}},
        {"x": {"shape": [-1], "dtype": "float64", "every": 1}},
        {"x": {"shape": [], "dtype": "O", "every": 1}},
        {"x": {"shape": [], "dtype": "float64", "every": 0}},
        {"x": {"shape": 3, "dtype": "float64", "every": 1}},
        {"x": None},
    ),
)
def test_a_damaged_table_is_refused(tmp_path, table):
    train(tmp_path / "run", own=())
    path = tmp_path / "run/config.json"
    config = json.loads(path.read_text())
    whole = config["recorded"] if isinstance(table, dict) and "step" not in table else {}
    config["recorded"] = {**whole, **table} if isinstance(table, dict) else table
    path.write_text(json.dumps(config))
    with pytest.raises(featlearn.RunDirectoryError, match="config.json: its .*recorded"):
        featlearn.load_run(tmp_path / "run")


@pytest.mark.parametrize("batch_size", [255, 256, 600])
def test_all_anchors_of_a_large_batch_are_counted(batch_size):
    # Without a threshold every neuron is active on every anchor.
    run = featlearn.train(featlearn.preset("tiny").replace(batch_size=batch_size, n_steps=1))
    assert (run["active_fraction"] == 1).all()
