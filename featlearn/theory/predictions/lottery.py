"""The lottery before the draw: sizes of the sets, what stage I forgets, and who then leads.

A neuron's features compete from their initial shares on. The sizes of the lottery sets follow from
the Gaussian initialisation. Stage I multiplies every α_ij by the same factor, so that the order
would stay; but each step adds sampling noise, and of the initial direction α_i(0)/‖α_i(0)‖ only a
part, the memory, is left at its end. From the memory follows how often a pair that was sure at the
start still leads.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.special import betainc, betaln, ndtr

from ...errors import InvalidInput
from .moments import Split
from .stage_one import sampling_noise

_CELLS = 200


class ExpectedSets(NamedTuple):
    """Expected sizes of the lottery sets of one feature at initialisation.

    Attributes
    ----------
    potential, sure : float
        E|𝓜_j| and E|𝓜*_j|.
    empty : float
        Pr(𝓜*_j is empty).
    """

    potential: float
    sure: float
    empty: float


def expected_sets(n_neurons, n_features, sure=1.5, potential=1.5):
    """Return the `ExpectedSets` of m neurons with Gaussian weights.

    Parameters
    ----------
    n_neurons : int
    n_features : int ≥ 3
    sure, potential : float
        c1 and c2, as for `alignment.lottery_sets`.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Lottery sets". The d-1 other shares of a sure neuron
    are treated as independent, which gives a few per cent too many sure ones, 8 % at d = 64.
    """
    d = n_features
    if d < 3:
        raise InvalidInput("n_features", d, "at least 3 for the law of the shares")
    least_sure, least_potential = (min(c * math.log(d) / d, 1.0) for c in (sure, potential))
    # A share is Beta(1/2, (d-1)/2) distributed, and one of what it leaves Beta(1/2, (d-2)/2).
    a, b = 0.5, (d - 1) / 2

    def density(share):
        others = betainc(a, b - 0.5, min(least_potential / (1 - share), 1.0))
        log_density = (a - 1) * math.log(share) + (b - 1) * math.log1p(-share) - betaln(a, b)
        return math.exp(log_density) * others ** (d - 1)

    certain = n_neurons * max(quad(density, least_sure, 1 - 1e-9, limit=200)[0], 0.0)
    candidates = n_neurons * betainc(b, a, 1 - least_potential)
    return ExpectedSets(float(candidates), certain, math.exp(-certain))


def memory(experiment, steps, sparse, dense):
    """Return the expected cosine of α_i at the last step with α_i at the first, in stage I.

    Parameters
    ----------
    experiment : Experiment
    steps : ndarray of int, shape (T,)
    sparse, dense : ndarray of shape (T, m)
        ‖α_i‖² > 0 and ‖β_i‖² at these steps, predicted or measured.

    Returns
    -------
    ndarray of shape (m,)
        ϱ_i = exp(-½ Σ_t ν_i(t)), ν = (η²/B) (sampling noise of α)/‖α‖² for a step.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Lottery sets".
    """
    directions = Split(experiment.n_features, experiment.noise_directions)
    noise = sampling_noise(experiment, directions)[0]
    rate = noise[0] + noise[1] * np.divide(dense, sparse)
    rate *= experiment.learning_rate**2 / experiment.batch_size
    lost = np.diff(steps)[:, None] * (rate[1:] + rate[:-1]) / 2
    return np.exp(-0.5 * lost.sum(axis=0))


def leading_probability(alignments, memories):
    """Return the probability that each feature leads its neuron once noise has been added.

    Parameters
    ----------
    alignments : ndarray of shape (m, d)
        At the start.
    memories : ndarray of shape (m,)
        ϱ_i, of which `memory` says how large they are.

    Returns
    -------
    ndarray of shape (m, d)
        Pr(|x_ij| ≥ |x_ik| for all k) for x_i = ϱ_i α_i/‖α_i‖ + √((1-ϱ_i²)/d) g, g ~ N(0, I). Rows
        add up to 1.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Lottery sets": ∫ dF_j Π_{k≠j} F_k, F_k the law of
    |x_ik|, summed over cells of its range.
    """
    size, d = np.abs(alignments), alignments.shape[1]
    norms = np.linalg.norm(size, axis=1, keepdims=True)
    mean = (memories[:, None] * size / np.where(norms > 0, norms, 1.0))[..., None]
    sd = np.maximum(np.sqrt((1 - memories**2) / d), 1e-9)[:, None, None]
    edges = np.linspace(0, float((mean + 6 * sd).max()), _CELLS + 1)

    def below(r):
        return ndtr((r - mean) / sd) - ndtr((-r - mean) / sd)

    inside = np.diff(below(edges), axis=2)
    logarithm = np.log(np.maximum(below((edges[1:] + edges[:-1]) / 2), 1e-300))
    others = np.exp(logarithm.sum(axis=1, keepdims=True) - logarithm)
    probability = (inside * others).sum(axis=2)
    return probability / np.maximum(probability.sum(axis=1, keepdims=True), 1e-300)
