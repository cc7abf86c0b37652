"""The lottery before the draw: sizes of the sets, what stage I forgets, and who then leads.

A neuron's features compete from their initial shares on. The sizes of the lottery sets follow from
the Gaussian initialisation. Stage I multiplies every α_ij by the same factor, so that the order
would stay; but each step adds sampling noise, and of the initial direction α_i(0)/‖α_i(0)‖ only a
part, the memory, is left at its end. From the memory follows how often a pair that was sure at the
start still leads. A part of that noise is common to all neurons: it lets some atoms grow more slowly
than others in every neuron, and an atom that falls far enough behind leads none.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.special import betainc, betaln, gammainc, ndtr

from ...errors import InvalidInput
from ...objectives import OBJECTIVES
from .linear_phase import linear_phase
from .moments import Split, noise_weights, view_moments
from .on_sphere import rated
from .stage_one import sampling_noise
from .stages import predict_stages

_CELLS = 200
# Chance that more atoms lead no neuron than a claim allows for.
BEYOND_ALLOWED = 0.02
# Of the quadrature over an atom's common factor, and over ln |α_ij|.
_NODES, _SIZES, _SMALLEST, _LARGEST, _WIDEST = 61, 3000, -12.0, 2.2, 20.0


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


def memory(experiment, steps, sparse, dense, mass=None, start=None):
    """Return the expected cosine of α_i at the last step with α_i at the first, in stage I.

    Parameters
    ----------
    experiment : Experiment
    steps : ndarray of int, shape (T,)
    sparse, dense : ndarray of shape (T, m)
        ‖α_i‖² > 0 and ‖β_i‖² at these steps, predicted or measured.
    mass : ndarray of shape (T,), optional
        Mean of 1 - P_pp at these steps, relative to that of a network without similarities; 1 unless
        given.
    start : ndarray of shape (m, d), optional
        The alignments at the first step, whose singular values repulsion then makes equal.

    Returns
    -------
    ndarray of shape (m,)
        ϱ_i = F Π_t [1 - ν_i(t) (1 + e^{-4 K(t)})/2]^½, ν = (η²/B) (sampling noise of α)/‖α_i‖² of the
        α_i after the step, K(t) the repulsion from there on, and F = 1 without `start`.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Lottery sets".
    """
    directions = Split(experiment.n_features, experiment.noise_directions)
    noise = sampling_noise(experiment, directions)[0]
    rate = noise[0] + noise[1] * np.divide(dense, sparse)
    rate *= experiment.learning_rate**2 / experiment.batch_size
    if mass is not None:
        rate *= np.square(mass)[:, None]
    kept = np.exp(-2 * _repulsion_after(experiment, steps, sparse))
    rate *= (1 + np.square(kept)[:, None]) / 2
    # Between two rows the rate is taken as linear, and the growth as that of every step.
    gaps = np.diff(steps)[:, None]
    each = rate[:-1] + (rate[1:] - rate[:-1]) * (gaps - 1) / (2 * gaps)
    each /= (sparse[1:] / sparse[:-1]) ** (1 / gaps)
    left = gaps * np.log1p(-np.minimum(each, 1 - 1e-9))
    evened = 1.0 if start is None else evened_out(start, kept[0])
    return evened * np.exp(0.5 * left.sum(axis=0))


def _repulsion_after(experiment, steps, sparse):
    """Σ η g c₁ c₂ a from each step to the last, a = ‖α‖²/(τ d) of a left singular direction."""
    views = view_moments(experiment)
    strength = experiment.learning_rate * views.anchor.sparse * views.key.sparse
    strength *= 1 if experiment.stop_gradient else 2
    a = sparse.sum(axis=1) / (experiment.temperature * experiment.n_features)
    each = strength * np.diff(steps) * (a[1:] + a[:-1]) / 2
    return np.append(np.cumsum(each[::-1])[::-1], 0.0)


def evened_out(alignments, kept):
    """Return the cosine of α with what repulsion makes of it, all else left out.

    A singular value σ becomes σ/√(1 + κσ²), κ the same for all, which multiplies differences of ln σ
    from the root mean square of them by 1/(1 + κσ²).

    Parameters
    ----------
    alignments : ndarray of shape (m, d)
    kept : float in (0, 1]
        That factor.

    Returns
    -------
    float
    """
    values = np.linalg.svd(np.asarray(alignments, np.float64), compute_uv=False)
    square = np.square(values)
    mean = square.mean()
    after = values / np.sqrt(1 + (1 / max(kept, 1e-12) - 1) * square / mean)
    return float(values @ after / math.sqrt(square.sum() * (after @ after)))


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


class LeftOut(NamedTuple):
    """Atoms that lead no neuron at the end of stage I.

    Attributes
    ----------
    scatter : float
        Standard deviation over the atoms of δ_j, where e^δ_j multiplies all α_ij of atom j.
    expected : float
        Expected number of atoms without a neuron.
    """

    scatter: float
    expected: float

    def more_than(self, n):
        """Return the probability that more than n atoms are left out, their number being Poisson."""
        return float(gammainc(n + 1, self.expected)) if self.expected > 0 else 0.0

    def at_most(self, chance):
        """Return how many atoms are left out at most, but for a chance."""
        return next(n for n in itertools.count() if self.more_than(n) <= chance)


def common_scatter(experiment, steps):
    """Return the variance of the δ_j after so many steps of stage I, in small steps and without similarities.

    Notes
    -----
    Σ_t η² Var(Ĉ_jj): of a batch's cross-covariance along one atom. Without stop-gradient the keys' part of
    a step repeats that of the anchors, Ĉ_jj being the same with the views exchanged: four times as much.
    Derived in featlearn/theory/derivation.md, "Lottery sets".
    """
    v, weights = view_moments(experiment), noise_weights(experiment)
    s, arguments = v.density, 1 if experiment.stop_gradient else 2
    power = weights.pairs * v.anchor.sparse * v.key.sparse + weights.own * v.cross.sparse**2
    power += weights.fourth * s * (1 - 3 * s)
    if experiment.batches == "paired":
        # Half as many independent samples, without the scatter of z_j².
        power = 2 * (power - weights.fourth * s * (1 - s))
    return steps * (arguments * experiment.learning_rate) ** 2 / experiment.batch_size * power


def scatter_after(experiment, steps=None):
    """Return the variance of the δ_j at the end of stage I.

    Parameters
    ----------
    experiment : Experiment
    steps : float, optional
        Length of stage I; by default as predicted. One without end leaves 0.

    Notes
    -----
    As the `linear_phase` follows it. Below 0 the strengths of the atoms, (Σ_i α_ij²)^½, are more alike than those of
    m draws are: repulsion has evened them out. Embeddings on the unit sphere move at the rate of the start.
    """
    if steps is None:
        steps = predict_stages(rated(experiment)).two
    if not 1 <= steps < math.inf:
        return 0.0
    if not OBJECTIVES[experiment.objective].is_pairwise:
        return common_scatter(rated(experiment), steps)
    return next(itertools.islice(linear_phase(experiment), int(steps) - 1, None)).uneven


class Chances(NamedTuple):
    """How likely an atom is to lead a neuron after stage I, over the law of its common factor.

    Attributes
    ----------
    scatter : float
        Standard deviation of the δ_j.
    leads, weights : ndarray of shape (n,)
        Probabilities p(δ) at the nodes of a quadrature over δ, and its weights, which add up to 1.
    """

    scatter: float
    leads: np.ndarray
    weights: np.ndarray


def leading_chances(experiment, variance=None):
    """Return the `Chances` of an experiment's atoms.

    Parameters
    ----------
    experiment : Experiment
    variance : float, optional
        Of the δ_j; by default that of `scatter_after`.

    Notes
    -----
    With the variance v, α_ij ∝ e^δ_j g_ij with δ_j ~ N(0, v), all independent, and
    atom j leads a neuron with probability p(δ_j) = ∫ f(r) H(r)^(d-1) dr: f the density of e^δ_j |g|
    and H the law of e^δ |g|. A variance below 0 counts as 0.
    """
    if variance is None:
        variance = scatter_after(experiment)
    d, variance = experiment.n_features, max(variance, 0.0)
    # A factor beyond e^±60 has decided who leads.
    scatter = min(math.sqrt(variance), _WIDEST)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    logarithms = scatter * nodes[:, None]
    edges = np.linspace(_SMALLEST - 3 * scatter, _LARGEST + 3 * scatter, _SIZES + 1)
    middle = (edges[1:] + edges[:-1]) / 2

    def below(r):
        return 2 * ndtr(np.exp(r - logarithms)) - 1

    leads = np.diff(below(edges), axis=1) @ (weights @ below(middle)) ** (d - 1)
    # The atoms' probabilities add up to 1; cells of finite width miss a little.
    leads /= d * (weights @ leads)
    return Chances(math.sqrt(variance), np.minimum(leads, 1), weights)


def left_out(experiment, variance=None):
    """Return the `LeftOut` of an experiment whose stage I ends; of one that stays linear, its start's.

    Parameters
    ----------
    experiment, variance
        As for `leading_chances`.

    Notes
    -----
    An atom leads none of m neurons with probability E (1 - p(δ))^m. That averages over the other atoms' δ
    for each neuron, though all share them, which gives 3 to 8 % too few.
    """
    chances = leading_chances(experiment, variance)
    none = chances.weights @ (1 - chances.leads) ** experiment.n_neurons
    return LeftOut(chances.scatter, float(experiment.n_features * none))
