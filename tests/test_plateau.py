"""The plateau of the linear phase against simulations started near it."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn import Experiment
from featlearn.theory.plateau import plateau
from featlearn.workspace import Workspace

SMALL = Experiment(
    n_features=16,
    n_inputs=256,
    n_neurons=16,
    batch_size=256,
    learning_rate=0.5,
    weight_decay=0.01,
    temperature=1.0,
    stage_one_growth=None,
)


def start_at(experiment, expected):
    """A state whose weights have the spectrum of a plateau, rotated at random."""
    state = featlearn.init(experiment)
    rng = np.random.default_rng(experiment.seed)
    dictionary = state.model.dictionary
    d1, d = dictionary.shape
    left = np.linalg.qr(rng.standard_normal((experiment.n_neurons, d)))[0]
    dense = rng.standard_normal((d, d1))
    dense -= dense @ dictionary @ dictionary.T
    dense *= np.sqrt(expected.dense_squared) / np.linalg.norm(dense, axis=1, keepdims=True)
    weights = left @ (np.sqrt(expected.singular_value_squared) * dictionary.T + dense)
    weights = weights.astype(experiment.dtype)
    norms = np.linalg.norm(weights, axis=1)
    return dataclasses.replace(state, weights=weights, weight_norms=norms)


def simulate(experiment, expected, relax, n_steps):
    """Mean a, mean e and the relative standard deviation of the spectrum, over n_steps."""
    state, work = start_at(experiment, expected), Workspace()
    rows, spectra = [], []
    for t in range(relax + n_steps):
        state = featlearn.step(state, work=work)
        if t >= relax:
            alignment = state.weights @ state.model.dictionary
            rows.append(((alignment**2).sum(), (state.weights**2).sum()))
        if t >= relax and t % 20 == 0:
            spectra.append(np.linalg.svd(alignment, compute_uv=False) ** 2)
    scale = experiment.n_features * experiment.temperature
    sparse, total = np.mean(rows, axis=0) / scale
    spectra = np.array(spectra)
    spread = (spectra / spectra.mean(axis=1, keepdims=True)).std()
    return sparse, total - sparse, spread


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 3.0, "n_neurons": 20, "batch_size": 512, "n_inputs": 512},
        {"keep_probability": 0.35, "weight_decay": 0.02, "negatives": 200},
        {"augmentation": "correlated_noise"},
    ],
)
def test_leading_order_is_within_five_per_cent(changes):
    experiment = SMALL.replace(**changes)
    expected = plateau(experiment)
    sparse, dense, spread = simulate(experiment, expected, 100, 300)
    assert expected.sparse == pytest.approx(sparse, rel=0.05)
    assert expected.dense == pytest.approx(dense, rel=0.1)
    # A semicircle's standard deviation is half its half-width.
    assert expected.half_width / 2 == pytest.approx(spread, rel=0.15)


def test_decay_above_the_signal_leaves_nothing():
    expected = plateau(SMALL.replace(weight_decay=0.5))
    assert (expected.repulsion, expected.dense, expected.sparse) == (0, 0, 0)
    assert expected.half_width == 0


def test_views_that_share_dense_noise_are_refused():
    with pytest.raises(featlearn.InvalidInput, match="augmentation"):
        plateau(SMALL.replace(augmentation="none"))
