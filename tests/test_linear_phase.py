"""The linear phase, with the positive's own similarity, against gradients and runs."""

import dataclasses

import numpy as np
import pytest

from featlearn import Experiment, draw_batch, evaluate, init, train
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.stage_one import claim_stage_one
from featlearn.theory.predictions.linear_phase import (
    initial_weights,
    linear_phase,
    measured_weights,
)
from featlearn.theory.predictions.moments import uniform_attraction, view_moments

BASE = Experiment(
    n_features=24,
    n_inputs=480,
    n_neurons=96,
    batch_size=256,
    n_steps=100,
    learning_rate=0.1,
    weight_decay=0.005,
    temperature=1.0,
    density=0.07,
    noise_variance=0.054,
    augmentation="none",
    initial_norm=0.3,
    stage_one_growth=None,
    dictionary="flat",
    dtype="float64",
)
FEW = BASE.replace(n_inputs=96, n_features=12, n_neurons=24, negatives=12)


def mean_softmax(state, batches):
    """Mean over batches of what similarities change in -∂L/∂W, along W M and beside it, and errors.

    The gradient of the same batch without similarities is taken off, and with it most of the noise.
    """
    matrix, weights = state.model.dictionary, state.weights
    inside = weights @ matrix @ matrix.T
    parts, found = (inside, weights - inside), []
    blank = dataclasses.replace(state, experiment=state.experiment.replace(temperature=1e9))
    for step in range(batches):
        now, then = (dataclasses.replace(one, step=step) for one in (state, blank))
        batch = draw_batch(now)
        change = evaluate(then, batch).weights - evaluate(now, batch).weights
        found.append([np.sum(change * part) / np.sum(part * part) for part in parts])
    return np.array([np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(batches)])


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_mean_gradient_to_first_order_in_the_similarities(stop_gradient):
    exp = FEW.replace(initial_norm=0.3, stop_gradient=stop_gradient)
    state = init(exp)
    s, variance, w = exp.density, exp.noise_variance, state.weights
    matrix = state.model.dictionary
    c = s * matrix @ matrix.T + variance * np.eye(exp.n_inputs)
    gamma, count = w.T @ w, exp.negatives + 1
    q, kappa = 1 - 1 / count, s * (1 - 3 * s)
    own = w @ (np.trace(gamma @ c) * c + 2 * c @ gamma @ c)
    own += kappa * (w @ matrix * np.sum((w @ matrix) ** 2, axis=0)) @ matrix.T
    inside = w @ matrix @ matrix.T
    parts = inside, w - inside
    others, own = (
        [-factor * np.sum(g * part) / np.sum(part * part) for part in parts]
        for factor, g in ((q * q, w @ c @ gamma @ c), (q / count, own))
    )
    arguments = 1 if stop_gradient else 2
    found, error = mean_softmax(state, 120)
    # What is left out is of second order: here S is about 0.15.
    expected = arguments * np.add(others, own)
    assert np.all(np.abs(found - expected) < 4 * error + 0.1 * np.abs(expected))
    assert np.all(np.abs(found - arguments * np.array(others)) > 8 * error)


@pytest.mark.parametrize(
    "changes",
    [
        {"negatives": 20, "initial_norm": 0.5},
        {"stop_gradient": False, "initial_norm": 0.5},
        {"augmentation": "random_mask", "initial_norm": 0.6},
    ],
)
def test_the_drift_is_the_mean_gradient(changes):
    exp = BASE.replace(**changes)
    state = init(exp)
    matrix = state.model.dictionary
    alignments = state.weights @ matrix
    dense = np.linalg.norm(state.weights - alignments @ matrix.T, axis=1)
    weights = next(linear_phase(exp, measured_weights(alignments, dense)))
    arguments = 1 if exp.stop_gradient else 2
    free = arguments * uniform_attraction(exp) * view_moments(exp).cross.sparse
    found, error = mean_softmax(state, 30) / free
    assert weights.drift < 0.97
    assert 1 + found[0] == pytest.approx(weights.drift, abs=4 * error[0] + 0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"negatives": 20},
        {"stop_gradient": False, "batch_size": 64, "learning_rate": 0.05},
        {"augmentation": "random_mask", "stop_gradient": False, "negatives": 40},
        {"augmentation": "correlated_noise", "noise_correlation": 0.2, "negatives": 15},
    ],
)
def test_stage_one_in_every_mode(changes):
    exp = BASE.replace(
        n_inputs=256,
        n_features=16,
        n_neurons=32,
        batch_size=128,
        initial_norm=0.35,
        dtype="float32",
    )
    exp = exp.replace(**changes)
    observed = [Observed(train(exp.replace(seed=seed))) for seed in range(2)]
    verdicts = claim_stage_one(observed)[:2]
    assert [v.outcome for v in verdicts] == ["holds", "holds"]
    assert all(abs(v.measured - 1) < 0.06 for v in verdicts)


def test_the_spread_of_the_spectrum():
    """It stays at d/m while noise feeds α, and falls where the larger values lag behind."""
    exp = BASE.replace(n_features=16, n_inputs=256, n_neurons=64, batch_size=128, initial_norm=0.1)
    exp = exp.replace(
        augmentation="random_mask",
        noise_variance=0.12,
        learning_rate=0.3,
        n_steps=300,
        dtype="float32",
    )
    run, rows = train(exp), (60, 120, 300)
    first, *rest = (measured_weights(run["alignment"][k], run["dense_norm"][k]) for k in (0, *rows))
    path = [weights for weights, _ in zip(linear_phase(exp, first), range(300))]
    assert initial_weights(exp).spread == pytest.approx(16 / 64, rel=0.1)
    for k, measured in zip(rows, rest):
        assert path[k - 1].spread == pytest.approx(measured.spread, rel=0.25)
    assert rest[0].spread > 0.2 > 2 * rest[2].spread


TURNED = Experiment(
    n_features=8, n_inputs=128, n_neurons=64, batch_size=128, n_steps=60, learning_rate=0.1,
    weight_decay=0.005, density=0.15, noise_variance=0.05, initial_norm=0.01,
    stage_one_growth=None, dictionary="flat", record_every=60,
)  # fmt: skip
LIMIT = dict(
    dense="gram", n_inputs=10**6, noise_inputs=128, batches="paired", negative_groups=2,
    batch_size=512, learning_rate=0.3, dictionary="orthonormal",
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_gradient": False},
        {"augmentation": "none", "stop_gradient": False},
        {"augmentation": "none", "stop_gradient": False, "negatives": 4},
        {"augmentation": "none", "stop_gradient": False, "initial_norm": 0.3},
        LIMIT,
    ],
)
def test_what_batches_add_to_the_spread(changes):
    """Over 16 seeds, each from its own start: the change of ω within three standard errors."""
    exp, gaps = TURNED.replace(**changes), []
    for seed in range(16):
        run = train(exp.replace(seed=seed))
        first, last = (measured_weights(run["alignment"][k], run["dense_norm"][k]) for k in (0, -1))
        *_, predicted = (w for w, _ in zip(linear_phase(exp, first), range(60)))
        gaps.append(predicted.spread - last.spread)
    assert abs(np.mean(gaps)) < 3 * np.std(gaps, ddof=1) / np.sqrt(16)


def test_nothing_grows_out_of_nothing():
    still = next(linear_phase(BASE.replace(density=0.0, noise_variance=0.0)))
    assert still.sparse <= initial_weights(BASE).sparse and np.isfinite(still.spread)
    one = initial_weights(BASE.replace(n_features=1))
    assert one.spread == pytest.approx(0, abs=1e-12)
