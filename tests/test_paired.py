"""Paired batches: unbiased, of the right law a sample, and refused where they would be biased."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn import paired, training
from featlearn.compute import workspace
from featlearn.state import make_model
from featlearn.theory.predictions.stage_one import predict_stage_one

SMALL = featlearn.Experiment(
    n_features=4, n_inputs=100, n_neurons=6, batch_size=160, learning_rate=0.7, weight_decay=0.01,
    density=0.25, noise_variance=0.2, temperature=0.7, initial_norm=0.9, stage_one_growth=None,
    dense="gram", dtype="float64", negative_groups=10,
)  # fmt: skip


def test_strata_have_the_law_of_one_sample():
    """Presence s with equal signs, no scatter in the number of samples that hold a feature."""
    model = make_model(SMALL.replace(density=0.13))
    rng, n = np.random.default_rng(0), 150
    latents = np.array([paired.stratified_latents(model, rng, n) for _ in range(400)])
    present = (latents != 0).sum(axis=1)
    assert set(np.unique(present)) == {19, 20}
    assert present.mean() / n == pytest.approx(0.13, abs=0.0005)
    assert abs(latents.mean()) < 5 * np.sqrt(0.13 / latents.size)
    together = np.einsum("bpj,bpk->jk", np.abs(latents), np.abs(latents)) / (400 * n)
    off = together[~np.eye(4, dtype=bool)]
    np.testing.assert_allclose(off, 0.13**2, atol=5 * 0.13 / np.sqrt(400 * n))


def means(experiment, n_batches):
    """Mean of α', Gram(β') and the loss after one step, with the error of the mean."""
    state = featlearn.init(experiment)
    state = dataclasses.replace(state, biases=np.full(experiment.n_neurons, 0.15))
    rows = []
    for k in range(n_batches):
        here = dataclasses.replace(state, step=k)
        gradient = featlearn.evaluate(here)
        weights = training.step(here, gradient).weights
        dense = weights[:, 4:] @ weights[:, 4:].T
        rows.append(np.concatenate([weights[:, :4].ravel(), np.diag(dense), [gradient.loss]]))
    return np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(n_batches)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": "random_mask"},
        {"augmentation": "none"},
        {"augmentation": "correlated_noise", "noise_correlation": 0.4},
    ],
    ids=lambda changes: changes["augmentation"],
)
def test_pairs_are_unbiased(changes):
    """In every mean of one step, and with far less scatter of α for a dense neuron.

    Gram(β') grows by the batch's noise, which is the same but for the part that the pairs share; it
    is compared where the update is small.
    """
    experiment = SMALL.replace(learning_rate=0.05, **changes)
    iid, error = means(experiment, 200)
    pairs, less = means(experiment.replace(batches="paired"), 200)
    z = (pairs - iid) / np.hypot(error, less)
    assert np.sqrt(np.mean(z**2)) < 1.6 and np.abs(z).max() < 4.5, z
    assert np.mean(less[:24] ** 2) < 0.8 * np.mean(error[:24] ** 2)


def test_a_dense_neuron_moves_no_alignment_to_first_order():
    """At b = 0 and a uniform softmax the sum over both halves vanishes."""
    experiment = SMALL.replace(batches="paired", temperature=1e9, augmentation="random_mask")
    state = featlearn.init(experiment)
    weights = state.weights.copy()
    weights[:, :4] = 0
    state = dataclasses.replace(state, weights=weights)
    paired_step = featlearn.evaluate(state).weights[:, :4]
    iid = dataclasses.replace(state, experiment=experiment.replace(batches="iid"))
    ordinary = featlearn.evaluate(iid).weights[:, :4]
    assert np.abs(paired_step).max() < 1e-7 * np.abs(ordinary).max()


@pytest.mark.statistical
@pytest.mark.parametrize(
    "augmentation, rate, correlation",
    [("random_mask", 0.3, 0.0), ("none", 0.2, 0.0), ("correlated_noise", 0.2, 0.3)],
)
def test_stage_one_is_that_of_the_recursion(augmentation, rate, correlation):
    """Mean of 6 seeds within 3.5 standard errors, or 1 %; fewer noise inputs than d1."""
    experiment = featlearn.Experiment(
        n_features=8, n_inputs=4096, n_neurons=16, batch_size=1024, density=0.06,
        noise_variance=0.13, weight_decay=0.0055, initial_norm=1e-3, temperature=1e9,
        stage_one_growth=None, n_steps=40, record_every=40, dense="gram", noise_inputs=1000,
        batches="paired", negative_groups=4, learning_rate=rate, augmentation=augmentation,
        noise_correlation=correlation,
    )  # fmt: skip
    ratios = []
    for seed in range(6):
        run = featlearn.train(experiment.replace(seed=seed))
        sparse = np.square(run["alignment"], dtype=float).sum(axis=(1, 2))
        dense = np.square(run["dense_norm"], dtype=float).sum(axis=1)
        predicted = predict_stage_one(experiment, sparse[0], dense[0], 40)
        ratios.append([sparse[-1] / predicted.sparse[-1], dense[-1] / predicted.dense[-1]])
    error = np.std(ratios, axis=0, ddof=1) / np.sqrt(6)
    gap = np.abs(np.mean(ratios, axis=0) - 1)
    assert np.all(gap < np.maximum(0.01, 3.5 * error)), (gap, error)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"negative_groups": 1}, "negative_groups"),
        ({"negative_groups": 5}, "negative_groups"),
        ({"negative_groups": 3}, "negative_groups"),
        ({"dense": "explicit"}, "batches"),
        ({"stop_gradient": False}, "batches"),
        ({"density": 0.1}, "batch_size"),
        ({"negatives": 20, "negative_groups": 1}, "batches"),
        ({"batches": "iid", "negatives": 20}, "negative_groups"),
        ({"batches": "iid", "negative_groups": 160}, "negative_groups"),
    ],
)
def test_what_would_be_biased_is_refused_by_name(changes, field):
    with pytest.raises(featlearn.InvalidInput, match=field):
        SMALL.replace(**{"batches": "paired", **changes})


def test_groups_of_negatives_are_batches_of_their_own():
    """One group after the other, each by its own gradient."""
    for stop_gradient in (True, False):
        state = featlearn.init(
            SMALL.replace(negative_groups=4, batch_size=20, stop_gradient=stop_gradient)
        )
        views = featlearn.draw_batch(state).views
        arguments = state.weights, state.biases + 0.1
        whole = featlearn.contrastive_gradient(
            *arguments, *views[:2], 0.7, stop_gradient=stop_gradient, negative_groups=4
        )
        parts = [
            featlearn.contrastive_gradient(
                *arguments, views.anchors[k : k + 5], views.keys[k : k + 5], 0.7,
                stop_gradient=stop_gradient,
            )
            for k in range(0, 20, 5)
        ]  # fmt: skip
        assert whole.loss == pytest.approx(np.mean([part.loss for part in parts]))
        for name in ("weights", "biases", "positive", "negative"):
            wanted = np.mean([getattr(part, name) for part in parts], axis=0)
            np.testing.assert_allclose(getattr(whole, name), wanted, atol=1e-12)


def test_a_paired_run_is_the_same_with_any_workspace(seed):
    experiment = SMALL.replace(batches="paired", seed=seed, dtype="float32")
    pure = kept = featlearn.init(experiment)
    work = workspace.Workspace()
    for _ in range(3):
        pure, kept = featlearn.step(pure), featlearn.step(kept, work=work)
        np.testing.assert_array_equal(pure.weights, kept.weights)


def test_the_large_batch_limit_is_called_so():
    assert SMALL.replace(batches="paired").is_large_batch_limit
    assert SMALL.replace(noise_inputs=20).is_large_batch_limit
    assert not SMALL.replace(noise_inputs=100).is_large_batch_limit
