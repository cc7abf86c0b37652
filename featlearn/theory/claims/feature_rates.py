"""The drift of every feature in stage I, step after step, for any law of the latents.

Each update is compared with its mean from the row before it, so that no noise of the past is in the
comparison, and how a run began does not matter.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from ..predictions.feature_drift import feature_drift
from ..predictions.moments import uniform_attraction, view_moments
from ..predictions.spikes import spikes_grow
from .applicability import contrastive, few_anchors
from .claim import claim
from .stage_one import is_even
from .verdict import does_not_apply, within

CLAIM = "feature rates"
NAMES = ("updates of α over their mean", "the same, the feature farthest off")
# Part of the drift that similarities may take at the last row compared.
_MOST_TAKEN = 0.1
# What is neglected: similarities to second order, their correlation with a sample's scale, and masks to higher order
# than d/d1.
_CLOSE = 0.03
# Chance that a correct run's farthest feature is farther.
_CHANCE = 1e-4
# Part of the drift that similarities by spikes may take on average over directions.
_OF_SPIKES = _CLOSE / 3
_FEWEST_ROWS = 3
_LARGEST_ERROR = 0.25


@claim(CLAIM, needs=(contrastive, few_anchors))
def claim_feature_rates(observed):
    """Compare the updates of α in stage I with their means, all together and feature by feature."""
    exp = observed[0].experiment
    unmet = ""
    if exp.n_samples is not None:
        unmet = "a fixed data set has second moments of its own"
    elif exp.record_every != 1:
        unmet = f"record_every = {exp.record_every}: it speaks of single updates"
    elif not is_even(exp):
        unmet = "a mask on a Haar-random dictionary mixes features where d1/d is small"
    else:
        found = [_slopes(o) for o in observed]
        fewest = min(slopes.rows for slopes in found)
        if fewest < _FEWEST_ROWS:
            unmet = f"{fewest} rows before similarities take {_MOST_TAKEN:.0%} of the drift"
            if exp.noise_spread:
                unmet += ", or set samples of other scales apart"
            if exp.noise_spikes:
                unmet += ", or those of spikes may count"
    if unmet:
        return [does_not_apply(CLAIM, name, unmet) for name in NAMES]
    error = math.sqrt(sum(np.square(s.noise).sum() for s in found))
    error /= sum(s.squares.sum() for s in found)
    if error > _LARGEST_ERROR:
        reason = f"the batches' noise leaves {error:.2g} of standard error"
        return [does_not_apply(CLAIM, name, reason) for name in NAMES]
    rows = f"{fewest} updates of stage I"
    verdicts = [
        within(
            CLAIM, NAMES[0], 1.0, [s.products.sum() / s.squares.sum() for s in found],
            _CLOSE + 4 * error,
            f"{rows}; {_CLOSE:.0%} for what is neglected, and four standard errors of {error:.2g}",
        )
    ]  # fmt: skip
    slopes = np.array([s.products / s.squares for s in found])
    errors = np.sqrt(sum(np.square(s.noise / s.squares) for s in found)) / len(found)
    worst = int(np.argmax(np.abs(slopes.mean(axis=0) - 1) / (_CLOSE + errors)))
    times = float(-ndtri(_CHANCE / (2 * len(errors))))
    verdicts.append(
        within(
            CLAIM, NAMES[1], 1.0, slopes[:, worst], _CLOSE + times * errors[worst],
            f"feature {worst} of {len(errors)}; {_CLOSE:.0%}, and {times:.2g} standard errors of"
            f" {errors[worst]:.2g}, which one of so many exceeds once in {1 / _CHANCE:.0f} runs",
        )
    )  # fmt: skip
    return verdicts


class Slopes(NamedTuple):
    """Updates of α, without their decay, on their means δ, feature by feature.

    Attributes
    ----------
    products, squares : ndarray of shape (d,)
        Σ_t ⟨Δα_·j, δ_·j⟩ and Σ_t ‖δ_·j‖²; their quotient is the slope.
    noise : ndarray of shape (d,)
        Standard deviation of the first, from the scatter of its terms, which are independent given
        the past.
    rows : int
    """

    products: np.ndarray
    squares: np.ndarray
    noise: np.ndarray
    rows: int


def _slopes(observed):
    run, exp = observed.run, observed.experiment
    second = observed.first_row_of(2)
    end = len(run) - 1 if second is None else second
    products = squares = variance = np.zeros(exp.n_features)
    kept, uniform = 1 - exp.learning_rate * exp.weight_decay, uniform_attraction(exp)
    views, rows = view_moments(exp), 0
    # Louder samples know their keys better, so that 1 - P and the noise that views share are correlated.
    uneven = views.scale_excess if views.noise[2] > 0 else 0.0
    for row in range(end):
        now, later = (np.asarray(run["alignment"][k], np.float64) for k in (row, row + 1))
        attraction = 1 - float(np.mean(run["positive_probability"][row]))
        dense = np.asarray(run["dense_norm"][row], np.float64)
        mean, taken = feature_drift(exp, now, dense, attraction)
        weak = np.linalg.norm(taken) <= _MOST_TAKEN * np.linalg.norm(mean + taken)
        lost = 1 - attraction / uniform
        repelled = _repelled_by_spikes(observed, row)
        if not weak or lost > _MOST_TAKEN or uneven * lost > _CLOSE or repelled > _OF_SPIKES:
            break
        product, square = ((later - kept * now) * mean).sum(axis=0), np.square(mean).sum(axis=0)
        products, squares = products + product, squares + square
        variance = variance + np.square(product - square)
        rows += 1
    # A feature without a drift has no slope.
    return Slopes(products, squares, np.sqrt(variance), rows if squares.all() else 0)


def _repelled_by_spikes(observed, row):
    """Part of a feature's drift that the similarities made by spikes take on average at a row.

    They repel what it has along their left directions, 1/m of its square each. What spikes hold has grown from their
    part of the start.
    """
    exp, run, views = observed.experiment, observed.run, view_moments(observed.experiment)
    if not exp.noise_spikes or views.cross.sparse <= 0:
        return 0.0
    dense = np.square(run["dense_norm"][[0, row]], dtype=np.float64).sum(axis=1)
    part = exp.noise_spikes / (exp.n_inputs - exp.n_features)
    grown = spikes_grow(exp, float(run.steps[row] - run.steps[0]))
    held = min(dense[1], dense[0] * part * math.exp(min(2 * grown, 100)))
    pushed = exp.spike_variance * held * views.anchor.sparse / (exp.n_neurons * exp.temperature)
    return pushed / views.cross.sparse
