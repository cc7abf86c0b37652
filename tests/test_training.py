"""The training loop, in memory and in a run directory."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn import batches
from featlearn import state as states
from featlearn.compute import workspace
from featlearn.compute.workspace import Workspace
from featlearn.recording import trajectory
from featlearn.recording.rows import HEADER_BYTES
from featlearn.step_arrays import arrays_of_a_step, shape_of
from featlearn.views import AUGMENTATIONS


def test_a_workspace_changes_no_bit(small, seed):
    pure = kept = featlearn.init(small.replace(seed=seed))
    work = Workspace()
    for _ in range(5):
        pure, kept = featlearn.step(pure), featlearn.step(kept, work=work)
        np.testing.assert_array_equal(pure.weights, kept.weights)


def test_a_few_rows_at_a_time_change_no_bit(small, monkeypatch):
    for changes in ({}, {"negatives": 30, "stop_gradient": False}):
        state = featlearn.init(small.replace(**changes))
        whole = featlearn.step(state).weights
        with monkeypatch.context() as patch:
            patch.setattr(workspace, "CACHED", 100)
            np.testing.assert_array_equal(featlearn.step(state).weights, whole)


def test_with_a_workspace_weights_and_gradient_take_turns_in_two_arrays(small):
    work, state = Workspace(), featlearn.init(small)
    places = []
    for _ in range(5):
        before = state.weights.copy()
        gradient = featlearn.evaluate(state, work=work)
        np.testing.assert_array_equal(state.weights, before)
        state = featlearn.step(state, gradient, work)
        assert state.weights is gradient.weights
        places.append(state.weights)
    assert places[0] is places[2] is places[4] and places[1] is places[3]
    assert not np.shares_memory(places[0], places[1])


def test_a_step_leaves_a_gradient_alone_that_is_not_of_its_workspace(small):
    work, state = Workspace(), featlearn.init(small)
    for _ in range(3):
        gradient = featlearn.evaluate(state)
        before = gradient.weights.copy()
        expected = featlearn.step(state, gradient)
        state = featlearn.step(state, gradient, work)
        np.testing.assert_array_equal(gradient.weights, before)
        np.testing.assert_array_equal(state.weights, expected.weights)


def written_so_far(directory, name):
    return np.load(directory / f"trajectory/{name}.npy", mmap_mode="r")


@pytest.mark.parametrize("large", (64, 1 << 14))
def test_no_more_rows_are_gathered_than_a_hundred_kilobytes(small, tmp_path, monkeypatch, large):
    monkeypatch.setattr(trajectory, "FLUSH_SECONDS", 1e9)
    monkeypatch.setattr(trajectory, "LARGE_BYTES", large)
    arrays = featlearn.train(small).arrays.values()
    row = sum(array[0].nbytes for array in arrays if array[0].nbytes < large)
    monkeypatch.setattr(trajectory, "FLUSH_BYTES", 4 * row - 1)
    waiting = {name: [] for name in ("loss", "alignment")}

    def progress(row):
        for name, counts in waiting.items():
            counts.append(row["step"] + 1 - len(written_so_far(tmp_path / "run", name)))

    featlearn.train(small.replace(n_steps=20), tmp_path / "run", progress=progress)
    for counts in waiting.values():
        assert max(counts) == 2 and min(counts) == 0


def test_large_rows_wait_in_their_file(small, tmp_path, monkeypatch):
    monkeypatch.setattr(trajectory, "FLUSH_SECONDS", 1e9)
    monkeypatch.setattr(trajectory, "LARGE_BYTES", 64)
    found = []

    def progress(row):
        file = tmp_path / "run/trajectory/alignment.npy"
        rows = np.frombuffer(file.read_bytes()[HEADER_BYTES:], row["alignment"].dtype)
        found.append(np.array_equal(rows[-row["alignment"].size :], row["alignment"].ravel()))

    featlearn.train(small.replace(n_steps=5), tmp_path / "run", progress=progress)
    assert found == [True] * 6


def test_rows_shown_while_a_run_goes_on_can_be_kept(small, tmp_path):
    for changes in ({}, {"dictionary": "identity"}):
        exp, rows = small.replace(n_steps=5, **changes), []
        run = featlearn.train(exp, progress=rows.append)
        assert set(rows[0]) == set(run.arrays)
        for name, array in run.arrays.items():
            shown = np.array([row[name] for row in rows], array.dtype)
            np.testing.assert_array_equal(shown, array)


def test_recording_changes_no_bit_and_reloads_as_it_was(small, seed, tmp_path):
    experiment = small.replace(seed=seed)
    in_memory = featlearn.train(experiment)
    on_disk = featlearn.train(experiment, tmp_path / "run")
    assert on_disk.experiment == experiment
    np.testing.assert_array_equal(in_memory.weights, on_disk.weights)
    for name in in_memory.arrays:
        np.testing.assert_array_equal(in_memory[name], on_disk[name])
    assert list(np.unique(in_memory["stage"])) == [1, 2, 3]


def test_a_step_is_gradient_descent_with_decay(small, seed):
    """w ← (1 - ηλ) w - η ∂L/∂w on the batch of the step, written out."""
    for changes in ({}, {"negatives": 30, "stop_gradient": False}, {"augmentation": "none"}):
        exp = small.replace(seed=seed, dtype="float64", weight_decay=0.3, **changes)
        state = featlearn.init(exp)
        for t in range(3):
            assert state.step == t
            batch = featlearn.draw_batch(state)
            g = featlearn.contrastive_gradient(
                state.weights,
                state.biases,
                batch.views.anchors,
                batch.views.keys,
                exp.temperature,
                batch.negatives,
                exp.stop_gradient,
            )
            rate, decay = exp.learning_rate, exp.weight_decay
            wanted = (1 - rate * decay) * state.weights - rate * g.weights
            state = featlearn.step(state)
            np.testing.assert_allclose(state.weights, wanted, rtol=1e-12, atol=1e-15)
            norms = np.sqrt((state.weights**2).sum(axis=1))
            np.testing.assert_allclose(state.weight_norms, norms, rtol=1e-14)


def test_a_batch_is_a_function_of_seed_and_step(small):
    state = featlearn.init(small)
    later = featlearn.step(state)
    once, again = featlearn.draw_batch(later), featlearn.draw_batch(later)
    np.testing.assert_array_equal(once.views.anchors, again.views.anchors)
    other = featlearn.draw_batch(featlearn.init(small.replace(seed=1)))
    first = featlearn.draw_batch(state)
    for one, two in ((first, once), (first, other)):
        for part in ("latents", "noise"):
            assert (getattr(one.sample, part) != getattr(two.sample, part)).mean() > 0.1


def test_initial_weights(small, seed):
    """N(0, initial_norm²/d1), the same for twins, in both precisions."""
    exp = small.replace(seed=seed, n_neurons=200, n_inputs=100, initial_norm=0.3)
    state = featlearn.init(exp)
    w = state.weights.astype(float)
    assert abs(w.mean()) < 5 * 0.03 / np.sqrt(w.size)
    assert abs(np.mean(w**2) / 0.03**2 - 1) < 5 * np.sqrt(2 / w.size)
    assert abs(np.mean(w**4) / 0.03**4 - 3) < 5 * np.sqrt(96 / w.size)
    np.testing.assert_allclose(state.initial_norm, np.sqrt(np.mean(w**2) * 100), rtol=1e-6)
    assert not state.biases.any() and state.stage == 1 and state.step == 0
    for changes in ({"augmentation": "none"}, {"temperature": 9.0}, {"dictionary": "flat"}):
        np.testing.assert_array_equal(featlearn.init(exp.replace(**changes)).weights, state.weights)
    double = featlearn.init(exp.replace(dtype="float64"))
    np.testing.assert_allclose(double.weights, state.weights, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    ({}, {"dictionary": "identity"}, {"dictionary": "identity", "n_inputs": 6, "n_features": 6}),
)
def test_recorded_rows_describe_the_state_and_its_batch(changes, small, seed):
    exp = small.replace(seed=seed, n_steps=12, stage_one_growth=1.0, dtype="float64", **changes)
    run, state = featlearn.train(exp), featlearn.init(exp)
    for row in range(13):
        g = featlearn.evaluate(state)
        alpha = state.weights @ state.model.dictionary
        active = np.abs(featlearn.draw_batch(state).views.anchors @ state.weights.T) >= state.biases
        dense = state.weights - alpha @ state.model.dictionary.T
        wanted = {
            "step": row,
            "stage": state.stage,
            "loss": g.loss,
            "positive_probability": g.contrast.positive_probability.mean(),
            "alignment": alpha,
            "weight_norm": np.linalg.norm(state.weights, axis=1),
            "dense_norm": np.linalg.norm(dense, axis=1),
            "bias": state.biases,
            "active_fraction": active.mean(axis=0),
        }
        assert set(wanted) == set(run.arrays)
        for name, value in wanted.items():
            np.testing.assert_allclose(run[name][row], value, rtol=1e-9, atol=1e-12, err_msg=name)
        state = featlearn.step(state)
    np.testing.assert_array_equal(run.dictionary, state.model.dictionary)


def test_separate_negatives_are_keys_of_fresh_samples(small):
    """Under a mask that keeps a fifth for the anchor, a key has four fifths of the coordinates."""
    batch = featlearn.draw_batch(featlearn.init(small.replace(negatives=200, keep_probability=0.2)))
    assert batch.negatives.shape == (200, small.n_inputs)
    assert abs(np.mean(batch.negatives != 0) - 0.8) < 0.02
    assert abs(np.mean(batch.views.anchors != 0) - 0.2) < 0.02
    overlap = batch.views.keys[:100] * batch.negatives[:100]
    spread = overlap.std() / np.sqrt(overlap.size)
    assert abs(overlap.mean()) < 6 * spread, "neither latents nor noise are shared"


def test_weights_without_gradient_decay_by_rate_times_decay(small):
    experiment = small.replace(learning_rate=0.3, weight_decay=0.2)
    state = featlearn.init(experiment)
    silent = dataclasses.replace(state, biases=np.full_like(state.biases, 1e3))
    after = featlearn.step(silent)
    np.testing.assert_allclose(after.weights, (1 - 0.3 * 0.2) * state.weights, rtol=1e-6)


def test_every_block_of_rows_has_noise_of_its_own(small):
    state = featlearn.init(small.replace(batch_size=2 * batches.BLOCK_ROWS))
    noise = featlearn.draw_batch(state).sample.noise
    first, second = noise[: batches.BLOCK_ROWS], noise[batches.BLOCK_ROWS :]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_norms_of_float32_weights_neither_vanish_nor_overflow(size):
    norms = states.neuron_norms(np.full((2, 4), size, np.float32))
    np.testing.assert_allclose(norms, 2 * size, rtol=1e-6)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("changes", [{}, {"stop_gradient": False}])
@pytest.mark.parametrize("more", [{}, {"negatives": 7}, {"dictionary": "identity"}])
def test_a_step_keeps_the_arrays_it_is_said_to(small, augmentation, changes, more):
    exp = small.replace(augmentation=augmentation, **changes, **more)
    work, state = Workspace(), featlearn.init(exp)
    for _ in range(2):
        gradient = featlearn.evaluate(state, work=work)
        state.align(work)
        state = featlearn.step(state, gradient, work)
    said = {
        name: (shape_of(exp, axes), dtype) for name, (axes, dtype) in arrays_of_a_step(exp).items()
    }
    assert {name: (a.shape, a.dtype) for name, a in work.arrays.items()} == said
