"""Runs that advance together get the bits that each gets alone, whatever becomes of the others."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import featlearn
from featlearn import InvalidInput, contrastive_gradient, load_run, steps, train, train_together
from featlearn.compute import processes, threads
from featlearn.errors import TrainingDiverged
from featlearn.recording import trajectory
from featlearn.recording.quantities import QUANTITIES, Quantity, RowsOfSeveral, measure
from featlearn.recording.trajectory import DirectoryRecorder
from featlearn.schedule import BiasSchedule
from featlearn.together import runs_at_once

BASE = featlearn.Experiment(
    n_features=6, n_inputs=48, n_neurons=12, batch_size=32, n_steps=30, density_factor=1.0,
    stage_one_growth=1.2, learning_rate=0.5, temperature=1.0, initial_norm=0.3,
)  # fmt: skip
VARIANTS = {
    "RandomMask": {},
    "none": {"augmentation": "none"},
    "independent masks": {"augmentation": "independent_masks"},
    "correlated noise": {"augmentation": "correlated_noise", "noise_correlation": 0.3},
    "K negatives": {"negatives": 7},
    "both arguments": {"stop_gradient": False},
    "K negatives, both arguments": {"negatives": 7, "stop_gradient": False},
    "spectral": {"objective": "spectral"},
    "decoupled": {"objective": "decoupled"},
    "decoupled, K negatives": {"objective": "decoupled", "negatives": 7},
    "float64": {"dtype": "float64"},
    "Gram": {"dense": "gram", "n_inputs": 4096, "learning_rate": 0.05},
    "data set": {"n_samples": 100},
    "identity": {"dictionary": "identity"},
    "odd sizes": {"n_inputs": 101, "n_neurons": 17, "batch_size": 70},
    "supervised": {"objective": "supervised"},
    "groups": {"negative_groups": 4},
}


# Those whose gradients are computed run by run.
ALONE = ("supervised", "groups")


def seeds(base, n=3):
    return [base.replace(seed=k) for k in range(n)]


def assert_same(one, other):
    assert set(one.arrays) == set(other.arrays)
    for name in one.arrays:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.biases, other.biases)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_bits_as_one_by_one(name, monkeypatch):
    experiments = seeds(BASE.replace(**VARIANTS[name]))
    alone = [train(exp) for exp in experiments]
    if name not in ALONE:
        monkeypatch.setattr("featlearn.steps.evaluate", None)
    for run, other in zip(train_together(experiments), alone):
        assert_same(run, other)
    assert alone[0]["stage"].max() > 1


def test_several_are_trained_at_once_where_steps_are_small():
    assert runs_at_once(BASE) >= 3
    assert runs_at_once(featlearn.preset("default")) == 1
    assert runs_at_once(BASE.replace(objective="supervised")) == 1
    assert runs_at_once(BASE.replace(negative_groups=4)) == 1


def files(place):
    return {p.name: p.read_bytes() for p in sorted((place / "trajectory").iterdir())}


@pytest.mark.parametrize("large", [1 << 14, 200, 0])
@pytest.mark.parametrize("record", [None, {"own": lambda state, batch, gradient: gradient.loss}])
def test_files_are_those_of_a_run_alone(tmp_path, monkeypatch, large, record):
    # Rows of alignments, or of all quantities, are written at once.
    monkeypatch.setattr("featlearn.recording.trajectory.LARGE_BYTES", large)
    experiments, places = seeds(BASE), [tmp_path / f"{k}" for k in range(3)]
    runs = train_together(experiments, places, record=record)
    for k, run in enumerate(runs):
        assert run.directory == places[k]
        train(experiments[k], tmp_path / f"alone-{k}", record=record)
        assert files(places[k]) == files(tmp_path / f"alone-{k}")
        load_run(places[k], verify=True)
        assert_same(run, train(experiments[k], record=record))


def test_a_row_that_a_watcher_keeps_stays_as_it_is():
    kept = []
    train_together(seeds(BASE), progress=lambda k, row: kept.append((k, row)))
    alone = [train(exp) for exp in seeds(BASE)]
    for k, row in kept:
        for name, value in row.items():
            np.testing.assert_array_equal(alone[k][name][row["step"]], value)
    assert all(type(row["step"]) is type(row["stage"]) is int for k, row in kept)


@pytest.mark.parametrize("large_bytes", [1, 1 << 14])
def test_runs_of_an_earlier_version_go_on_with_what_they_recorded(
    large_bytes, tmp_path, monkeypatch
):
    monkeypatch.setattr(trajectory, "LARGE_BYTES", large_bytes)
    places = [tmp_path / str(k) for k in range(3)]
    for exp, place in zip(seeds(BASE), places):
        train(exp, place, until=lambda state: state.step == 7)
    whole = [train(exp) for exp in seeds(BASE)]
    new = Quantity("bias_sum", "of a later version", lambda state, *_: state.biases.sum(axis=-1))
    monkeypatch.setitem(QUANTITIES, new.name, new)
    for run, expected in zip(train_together(seeds(BASE), places), whole):
        assert "bias_sum" not in run.arrays
        assert_same(run, expected)


def test_rows_measured_together_and_alone_keep_their_order(tmp_path):
    state = featlearn.init(BASE)
    batch = featlearn.draw_batch(state)
    row = measure(state, batch, featlearn.evaluate(state, batch))
    recorder = DirectoryRecorder(tmp_path, BASE)
    two = {name: [value] * 2 for name, value in row.items()}
    by_itself = {name: value for name, value in two.items() if not QUANTITIES[name].of_rows}
    several = RowsOfSeveral(BASE, by_itself, 2)
    for step in range(6):
        if step in (0, 3):
            recorder.append({**row, "step": step})
            continue
        if not several.takes(2):
            several = RowsOfSeveral(BASE, by_itself, 2)
        recorder.append(several.add({**by_itself, "step": [-1, step]})[1])
    recorder.sync()
    recorder.close()
    for name, value in row.items():
        found = np.load(tmp_path / "trajectory" / f"{name}.npy")
        np.testing.assert_array_equal(found, range(6) if name == "step" else [value] * 6)


def test_a_run_goes_on_beside_one_that_begins(tmp_path):
    experiments, places = seeds(BASE), [tmp_path / f"{k}" for k in range(3)]
    train(experiments[1], places[1], until=lambda state: state.step == 11)
    train(experiments[2], places[2])
    for run, exp in zip(train_together(experiments, places), experiments):
        assert_same(run, train(exp))


def test_one_that_diverges_leaves_the_others_alone():
    def explodes(state):
        if state.experiment.seed == 1 and state.step == 9:
            state.weights.flags.writeable = True  # as no function of a user's should
            state.weights[0, 0] = np.inf
        return False

    experiments = seeds(BASE)
    first, broken, last = train_together(experiments, until=explodes)
    assert isinstance(broken, TrainingDiverged) and broken.step == 9
    assert_same(first, train(experiments[0]))
    assert_same(last, train(experiments[2]))


class Negative(BiasSchedule):
    """Gives one run a bias that no gradient takes."""

    seed = None

    def advance(self, stage, biases, norms, new_norms, initial_norm):
        if initial_norm == self.seed:
            biases = biases - 1
        return stage, biases


def test_one_whose_norms_need_float64_leaves_the_others_alone():
    def shrinks(state):
        if state.experiment.seed == 1 and state.step == 9:
            state.weights.flags.writeable = True
            state.weights[...] *= 1e-20
        return False

    experiments = seeds(BASE)
    runs = train_together(experiments, until=shrinks)
    for run, exp in zip(runs, experiments):
        assert_same(run, train(exp, until=shrinks))
    assert [run["weight_norm"][-1].max() < 1e-18 for run in runs] == [False, True, False]


def test_one_whose_batch_fails_leaves_the_others_alone():
    class Fails(featlearn.RandomMask):
        drawn = 0

        def pair(self, rng, sample, model, out=None):
            type(self).drawn += 1
            if type(self).drawn == 20:
                raise ZeroDivisionError
            return super().pair(rng, sample, model, out)

    experiments = seeds(BASE)
    found = train_together(experiments, augmentation=Fails(0.5))
    assert [isinstance(run, ZeroDivisionError) for run in found] == [False, True, False]
    for k in (0, 2):
        assert_same(found[k], train(experiments[k]))


def test_what_one_gradient_refuses_leaves_the_others_alone():
    experiments = seeds(BASE)
    schedule = Negative(None, 0.1, 1.0, 0.5)
    object.__setattr__(schedule, "seed", featlearn.init(experiments[1]).initial_norm)
    first, broken, last = train_together(experiments, schedule=schedule)
    assert isinstance(broken, InvalidInput) and "biases" in str(broken)
    assert_same(first, train(experiments[0], schedule=schedule))
    assert_same(last, train(experiments[2], schedule=schedule))


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_leaves_a_checkpoint_of_each(tmp_path):
    experiments, places = seeds(BASE), [tmp_path / f"{k}" for k in range(3)]

    def progress(k, row):
        if k == 1 and row["step"] == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train_together(experiments, places, progress=progress)
    reached = [len(load_run(place)) for place in places]
    assert min(reached) > 10 and max(reached) < 20
    for run, exp in zip(train_together(experiments, places), experiments):
        assert_same(run, train(exp))


def test_a_warning_is_passed_on_to_all(tmp_path):
    experiments, places, seen = seeds(BASE), [tmp_path / f"{k}" for k in range(3)], {}

    def progress(k, row):
        if k == 0 and row["step"] == 13:
            os.kill(os.getpid(), signal.SIGUSR1)
        if row["step"] == 20:
            seen[k] = np.load(places[k] / "checkpoint.npz")["step"].item()

    train_together(experiments, places, progress=progress)
    assert all(13 <= seen[k] <= 15 for k in range(3))


def test_experiments_of_several_kinds_are_refused():
    with pytest.raises(InvalidInput, match="experiments.*seed only"):
        train_together([BASE, BASE.replace(temperature=2.0)])


def test_directories_of_another_number_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="directories.*2, one for each"):
        train_together(seeds(BASE, 2), [tmp_path])
    assert train_together([]) == []


def test_each_run_of_a_gradient_has_the_bits_it_gets_alone():
    rng = np.random.default_rng(0)
    W, X, Y = (rng.standard_normal((3, n, 11)).astype(np.float32) for n in (5, 8, 8))
    biases = np.full((3, 5), 0.5, np.float32)
    for stop_gradient in (True, False):
        together = contrastive_gradient(W, biases, X, Y, 2.0, stop_gradient=stop_gradient)
        for k in range(3):
            alone = contrastive_gradient(
                W[k], biases[k], X[k], Y[k], 2.0, stop_gradient=stop_gradient
            )
            one = together.of_run(k)
            assert one.loss == alone.loss
            for name in ("weights", "positive", "negative", "biases", "positive_probability"):
                np.testing.assert_array_equal(getattr(one, name), getattr(alone, name))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"anchors": np.ones((2, 8, 11))}, "anchors"),
        ({"keys": np.ones((8, 11))}, "keys"),
        ({"biases": np.ones(5)}, "biases"),
        ({"negative_groups": 2}, "negative_groups"),
    ],
)
def test_arrays_of_other_runs_are_refused(changed, field):
    arrays = {
        "weights": np.ones((3, 5, 11)),
        "biases": np.ones((3, 5)),
        "anchors": np.ones((3, 8, 11)),
        "keys": np.ones((3, 8, 11)),
        "temperature": 1.0,
    }
    with pytest.raises(InvalidInput, match=field):
        contrastive_gradient(**(arrays | changed))


def test_a_sweep_trains_seeds_together(tmp_path):
    submitted = []

    class Inline:
        def submit(self, function, points, *more):
            submitted.append(len(points))
            value = function(points, *more)
            return type("Answer", (), {"result": lambda self: value})()

    from featlearn.sweep import sweep

    experiments = [e for t in (1.0, 2.0) for e in seeds(BASE.replace(temperature=t), 2)]
    rows = sweep(experiments, tmp_path, Inline(), workers=2, check=False)
    assert submitted == [2, 2] and {row["status"] for row in rows} == {"complete"}
    for row, exp in zip(rows, experiments):
        assert_same(load_run(Path(tmp_path) / "runs" / row["run"]), train(exp))


def test_large_seeds_advance_together_on_several_threads(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    # No run's arrays are worth sharing out, those of all runs are.
    monkeypatch.setattr(threads, "WORTHWHILE", 2 * BASE.batch_size * BASE.n_inputs)
    monkeypatch.setattr(processes, "LARGEST", 1)
    alone = [train(exp) for exp in seeds(BASE)]

    def one_by_one(*_):
        raise AssertionError("the runs were asked one by one")

    monkeypatch.setattr(steps.Turn, "find", one_by_one)
    for run, expected in zip(train_together(seeds(BASE)), alone):
        assert_same(run, expected)


def test_places_and_options_may_be_iterators_and_one_path_is_no_sequence(tmp_path):
    tiny = featlearn.preset("tiny").replace(n_steps=100)
    several = [tiny.replace(seed=k) for k in range(2)]
    for one in ("ab", tmp_path, 3):
        with pytest.raises(
            featlearn.InvalidInput, match="directories: .*wants a sequence of paths"
        ):
            featlearn.train_together(several, one)
    places = [tmp_path / str(k) for k in range(2)]
    featlearn.train_together(several, iter(places), checkpoint_at=iter([7, 33]))
    for place in places:
        assert {7, 33} <= {int(path.stem) for path in (place / "checkpoints").iterdir()}
