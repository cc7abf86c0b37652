"""The noise margin and the crossing: two numbers that say whether sparse or dense features win.

The noise margin compares the sampling noise of a finite batch with the signal: above 1 the noise that
a batch puts into the d1 - d dense directions grows faster than the sparse features do, whatever the
views share (T1). The crossing is the growth of the norms at which the sparse part overtakes the dense
one; if the network saturates before, the representation stays dense (T3).
"""

import math
from typing import NamedTuple

import numpy as np

from .moments import noise_weights, uniform_attraction, view_moments
from .stage_one import initial_split, stage_one_matrix


class Crossing(NamedTuple):
    """When ‖α‖² overtakes ‖β‖² in stage I; both are infinite where it never does.

    Attributes
    ----------
    step : float
        Number of steps until then.
    growth : float
        g*, natural logarithm of the growth of ‖w‖ until then.
    """

    step: float
    growth: float


def noise_margin(experiment):
    """Return κ n₁n₂/(c_S - c_D) with κ = η d1/(2B): sampling noise against signal.

    n₁ and n₂ are the variances of anchor and key along a dense direction, c_S and c_D the views'
    cross-moments along a sparse and a dense one. The noise of a batch makes the dense part grow by
    2κ n₁n₂ more than its drift does, the sparse part leads by 2(c_S - c_D), and the margin is the
    ratio of the two. Without stop-gradient n₁n₂ is n₁n₂ + c_D². For `RandomMask` with k = 1/2 it is κ n²/s with n = 2σ² + s f, and without
    augmentation κ σ⁴/s. The decoupled loss with N negatives has 1 + 1/N of it. Where samples differ in the scale c of their noise σ⁴ becomes σ⁴ E c⁴.

    Returns
    -------
    float
        Infinite where the views share no more along a sparse direction than along a dense one.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Noise margin".
    """
    views = view_moments(experiment)
    lead = views.cross.sparse - views.cross.dense
    if lead <= 0:
        return math.inf
    kappa = (
        experiment.learning_rate * experiment.resolved_noise_inputs / (2 * experiment.batch_size)
    )
    return kappa * noise_power(experiment) / lead


def noise_power(experiment):
    """Return the n₁n₂ of `noise_margin`, with what uneven scales and the keys' part of a step make of it."""
    views = view_moments(experiment)
    anchor, key, shared = views.noise
    power = views.anchor.dense * views.key.dense + views.scale_excess * anchor * key
    if not experiment.stop_gradient:
        # Both parts double, the noise and the lead; the covariance of the two parts comes on top.
        power += views.cross.dense**2 + views.scale_excess * shared**2
    # The scatter of the mean of few negatives, which the decoupled loss does not weigh down.
    return power * noise_weights(experiment).pairs / uniform_attraction(experiment)


def limiting_ratio(experiment):
    """Return the ‖β‖²/‖α‖² that stage I tends to, the fixed point of its recursion.

    Where the noise margin is small it is about κ c n/(s - κ n²) for `RandomMask`.
    """
    values, vectors = np.linalg.eig(stage_one_matrix(experiment))
    sparse, dense = vectors[:, np.argmax(values)]
    return float(dense / sparse) if sparse != 0 else math.inf


def crossing(experiment, sparse=None, dense=None):
    """Return the `Crossing` that the stage I recursion predicts, with sampling noise.

    (a, β²) is a sum of two exponentials in the number of steps, so that a = β² has a closed solution.
    Without sampling noise it is at t η = ln(β²/a at the start)/(2 (c_S - c_D) q), where

        g* = ½ ln(2 (1 - d/d1)) + (q c_D - λ) t η,

    with c_S - c_D = s and c_D = 2ρσ² for correlated noise.

    Parameters
    ----------
    experiment : Experiment
    sparse, dense : float, optional
        ‖α‖² and ‖β‖² at the start; expected values at initialisation without them.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Crossing: when the sparse part
    overtakes".
    """
    start = initial_split(experiment) if sparse is None else (sparse, dense)
    if start[0] >= start[1]:
        return Crossing(0.0, 0.0)
    rates, modes = _modes(experiment, start)
    lead, other = modes[0] - modes[1]
    if lead <= 0:
        return Crossing(math.inf, math.inf)
    step = math.log(-other / lead) / math.log(rates[0] / max(rates[1], 1e-300))
    return Crossing(step, _log_growth(rates, modes, step))


def stage_one_growth(experiment, step):
    """Return ln of the growth of ‖w‖ after a number of steps of stage I, similarities ≪ τ."""
    rates, modes = _modes(experiment, initial_split(experiment))
    return _log_growth(rates, modes, step)


def stage_one_steps(experiment, growth):
    """Return the step at which ‖w‖ has grown by a factor, similarities ≪ τ; infinite if never.

    Bisection on the closed form; the norm may shrink before it grows.
    """
    rates, modes = _modes(experiment, initial_split(experiment))
    target = math.log(growth)
    if target <= 0:
        return 0.0
    if rates[0] <= 1:
        return math.inf
    high = 1.0
    while _log_growth(rates, modes, high) < target:
        high *= 2
        if high > 1e15:
            return math.inf
    low = high / 2
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _log_growth(rates, modes, middle) < target else (low, middle)
    return high


def _modes(experiment, start):
    """Return the eigenvalues of the recursion, the largest first, and the start split over them.

    Returns
    -------
    rates : ndarray of shape (2,)
    modes : ndarray of shape (2, 2)
        Columns; (a, β²) at step t is modes @ rates**t.
    """
    rates, vectors = np.linalg.eig(stage_one_matrix(experiment))
    order = np.argsort(rates)[::-1]
    rates, vectors = rates[order], vectors[:, order]
    return rates, vectors * np.linalg.solve(vectors, np.array(start, dtype=np.float64))


def _log_growth(rates, modes, step):
    """½ ln of the growth of a + β², with the leading exponential taken out against overflow."""
    weights = modes.sum(axis=0)
    relative = weights[0] + weights[1] * (max(rates[1], 0.0) / rates[0]) ** step
    return 0.5 * (step * math.log(rates[0]) + math.log(relative / weights.sum()))
