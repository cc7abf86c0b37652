"""Stage I from the second moment that two views share, and from nothing else.

Whatever the data, with b = 0 and a uniform softmax the mean update is w ← w + η (q C - λ) w with
C = E[x⁺⁺x⁺ᵀ] (derived: featlearn/theory/derivation.md, "Stage I from the shared moment"). So C says
before training when the norms have grown, and on which directions.
"""

import math
from typing import NamedTuple

import numpy as np

from .moments import uniform_attraction


class GrowthPrediction(NamedTuple):
    """Where stage I ends.

    Attributes
    ----------
    step : float
        Number of updates after which the norms have grown as far as the experiment asks; infinite
        where they never do.
    sparse_share : float
        ‖W M‖²/‖W‖² then, over all neurons; nan where they never do.
    """

    step: float
    sparse_share: float


def predict_growth(cross_moment, dictionary, weights, experiment):
    """Iterate W ← W (I + η(q C - λ)) to the end of stage I.

    Parameters
    ----------
    cross_moment : ndarray of shape (d1, d1), symmetric
        C.
    dictionary : ndarray of shape (d1, d)
        M.
    weights : ndarray of shape (m, d1)
        At step 0.
    experiment : Experiment
        Its learning rate, weight decay, batch size, and growth at the end of stage I.

    Returns
    -------
    GrowthPrediction

    Notes
    -----
    Exact for an infinite batch, as long as similarities are small against τ. A batch of B adds noise in
    all directions, η/(2B) as strong as what `noise_margin` takes for isotropic noise.
    """
    values, vectors = np.linalg.eigh(np.asarray(cross_moment, np.float64))
    factors = growth_factors(values, experiment)
    start = np.asarray(weights, np.float64) @ vectors
    squares = np.einsum("ik,ik->k", start, start)
    squares /= squares.sum()
    wanted = experiment.stage_one_growth
    if wanted is None or factors.max() <= 1:
        return GrowthPrediction(math.inf, math.nan)

    def grown(step):
        # In logarithms, so that no power overflows.
        return np.log(squares @ np.exp(2 * step * np.log(factors / factors.max())))

    def total(step):
        return grown(step) + 2 * step * math.log(factors.max())

    high = 1
    while total(high) < 2 * math.log(wanted):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) < 2 * math.log(wanted) else (low, middle)
    final = (start * (factors / factors.max()) ** high) @ vectors.T
    sparse = final @ np.asarray(dictionary, np.float64)
    return GrowthPrediction(float(high), float(np.sum(sparse**2) / np.sum(final**2)))


def growth_factors(values, experiment):
    """Return 1 + η(q c - λ) of eigenvalues c of C, floored above 0."""
    pull = uniform_attraction(experiment) * (1 if experiment.stop_gradient else 2)
    factors = 1 + experiment.learning_rate * (pull * values - experiment.weight_decay)
    return np.maximum(factors, 1e-12)


def crossover(sparse_covariance, dense_covariance):
    """Return the correlation of the dense parts at which the strongest dense direction keeps up.

    C = Σ_s + ρ Σ_d: below ρ* = λ_max(Σ_s)/λ_max(Σ_d) sparse directions grow fastest, above it the
    leading dense one does. For whitened sparse directions that is 1/λ_1.

    Parameters
    ----------
    sparse_covariance, dense_covariance : ndarray, square
    """
    top = [float(np.linalg.eigvalsh(c)[-1]) for c in (sparse_covariance, dense_covariance)]
    return top[0] / top[1]
