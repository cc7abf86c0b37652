"""Sparse and dense part of a network without augmentation, from its start through saturation.

Over many neurons in random directions the preactivations of one input are Gaussian, of variance

    ‖w‖² v,      v = (1 - f) σ² + f y,      y = ‖z + ξ_M‖²/d,

f the sparse share, ξ_M the noise along M. The similarity S of the input with itself grows with v, so an
input with more features is told from the negatives earlier, and its attraction q = N/(N + e^S) fades earlier:

    rate of ln ‖α‖ = E[y 2Q(t) q] - λ,      of ln ‖β‖ = σ² E[2Q(t) q] - λ,      t = b/‖w‖√v.

Derived in featlearn/theory/derivation.md, "A dense run through saturation".
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, ndtr

from .moments import Split, negative_count, uniform_attraction
from .saturation import SQRT_2_PI
from .stage_one import initial_split, sampling_noise

# How far ln of the norms and of b/‖w‖ may go in one leap, and which part of the way to rest.
_LEAP, _REST = 0.02, 0.2
# Norms that fall for ever are followed over 100 e-foldings.
_MOST_LEAPS = 5000
# Of an integral over a normal number.
_NODES = 7
# Similarities, and thresholds in standard deviations, beyond which e^S and E h⁴ are no numbers.
_LARGEST, _LARGEST_THRESHOLD = 500.0, 25.0
_SMALLEST = 1e-300
# Sparse share from which neurons select features, and are not random any more.
MOST_SPARSE = 0.5
# Growth of the dense part in a step, ησ²: larger ones set its directions apart, and the largest fade first.
MOST_GROWTH = 0.18
# How far ln(‖α‖²/‖β‖²) was off in runs that end with a larger dense part.
ERROR = 0.3


class Parts(NamedTuple):
    """A network on its way.

    Attributes
    ----------
    step : int
    sparse, dense : float
        Means of ‖α_i‖² and ‖β_i‖².
    ratio : float
        b/‖w‖.
    """

    step: int
    sparse: float
    dense: float
    ratio: float

    @property
    def share(self):
        """Σ‖α_i‖²/Σ‖w_i‖², 0 where there is nothing."""
        total = self.sparse + self.dense
        return self.sparse / total if total > 0 else 0.0


class DenseRun(NamedTuple):
    """Sparse share ‖α‖²/‖w‖² of a network without augmentation at the end of its run.

    Attributes
    ----------
    share : float
        As predicted.
    error : float
        How far ± 0.3 in ln(‖α‖²/‖β‖²) moves it, the most by which runs with stop-gradient were off that
        end with a larger dense part.
    floor : float
        ‖α‖²/‖β‖² that the sampling noise of independent batches leaves at any d1, before it grows.
    stage_three : float
        Step at which biases come to their cap; infinite if they do not.
    """

    share: float
    error: float
    floor: float
    stage_three: float


def not_followed(experiment):
    """Return why the prediction does not apply to an experiment without augmentation, or nothing."""
    exp = experiment
    growth = exp.learning_rate * exp.resolved_noise_variance
    if not exp.stop_gradient:
        return "it is derived with stop-gradient: without, keys are repelled whatever attraction is left"
    if exp.bias_jump == 0:
        return "the biases stay at 0: it follows thresholds, from the start of stage II"
    if exp.n_inputs == exp.n_features or growth == 0:
        return "there is no dense part that attraction could sustain"
    if growth > MOST_GROWTH:
        return (
            f"the dense part grows by {growth:.2g} in a step: such steps set its directions apart,"
            f" the claim is for up to {MOST_GROWTH:g}"
        )
    return ""


@lru_cache(maxsize=8)
def dense_run(experiment):
    """Return the `DenseRun` of an experiment's twin without augmentation."""
    plain = experiment.replace(augmentation="none")
    s, variance = plain.resolved_density, plain.resolved_noise_variance
    floor = 0.0
    if plain.batches == "iid" and s > 0:
        arguments = 1 if plain.stop_gradient else 2
        floor = arguments * plain.learning_rate / plain.batch_size * plain.n_features
        floor *= (s + variance) * variance / (2 * s)
    if variance == 0 or initial_split(plain).dense == 0:
        return DenseRun(1.0, 0.0, floor, math.inf)
    three, cap = math.inf, plain.bias_cap * (1 - 1e-6)
    for parts in dense_path(plain):
        if parts.ratio >= cap:
            three = min(three, parts.step)
    return DenseRun(parts.share, ERROR * parts.share * (1 - parts.share), floor, three)


def dense_path(experiment, start=None):
    """Yield `Parts` in leaps, from the start of a run or from a given one, to the last step.

    Parameters
    ----------
    experiment : Experiment
        InfoNCE without augmentation.
    start : Parts, optional
        In stage II or III.

    Yields
    ------
    Parts

    Notes
    -----
    Repulsion is left out: it takes about S/m of the attraction, of both parts alike.
    Derived in featlearn/theory/derivation.md, "A dense run through saturation".
    """
    exp = experiment
    parts = start or Parts(0, *initial_split(exp), 0.0)
    yield parts
    rates, eta, growth = rates_of_parts(exp), exp.learning_rate, exp.resolved_bias_growth
    noise = sampling_noise(exp, Split(exp.n_features, exp.noise_directions))
    noise *= eta**2 / exp.batch_size
    for _ in range(_MOST_LEAPS):
        linear, last = parts.ratio == 0, exp.n_steps
        if parts.step >= last:
            return
        if parts.step < (exp.stage_one_steps or 0):
            last = min(exp.stage_one_steps, last)
        found = rates(parts)
        squares = np.maximum([parts.sparse, parts.dense], _SMALLEST)
        pull = eta * (np.array([found.sparse, found.dense]) - exp.weight_decay)
        added = found.noise * (noise @ squares) / squares
        fastest = max(*abs(pull), *added, 0 if linear else math.log(growth), _SMALLEST)
        # Norms that saturate come to rest at the rate 2 η λ S.
        rest = max(2 * eta * exp.weight_decay * found.similarity, _SMALLEST)
        leap = int(min(max(_LEAP / fastest, 1), max(_REST / rest, 1), last - parts.step))
        sparse, dense = squares * (np.maximum(1 + pull, 0) ** 2 + added) ** leap
        step, norm = parts.step + leap, math.sqrt(sparse + dense)
        if linear:
            ratio = exp.bias_jump if _ends_stage_one(exp, step, norm) else 0.0
        else:
            # b grows by its factor or with the norm, whichever is more.
            grown = max(norm / math.sqrt(squares.sum()), _SMALLEST)
            ratio = min(parts.ratio * max(growth**leap / grown, 1.0), exp.bias_cap)
        parts = Parts(step, float(sparse), float(dense), ratio)
        yield parts


def _ends_stage_one(experiment, step, norm):
    if experiment.stage_one_steps is not None:
        return step >= experiment.stage_one_steps
    growth = experiment.stage_one_growth
    return growth is not None and norm >= growth * experiment.initial_norm


class Rates(NamedTuple):
    """What moves the parts of a network.

    Attributes
    ----------
    sparse, dense : float
        Rates of ln ‖α‖ and ln ‖β‖ by attraction, decay aside.
    similarity : float
        Mean of S.
    noise : float
        Sampling noise of a batch, relative to that of a linear network of this norm at its start.
    """

    sparse: float
    dense: float
    similarity: float
    noise: float


def rates_of_parts(experiment):
    """Return a function of `Parts` that gives their `Rates`."""
    exp, d, m = experiment, experiment.n_features, experiment.n_neurons
    s, variance = exp.resolved_density, exp.resolved_noise_variance
    arguments = 1 if exp.stop_gradient else 2
    negatives, still = math.log(negative_count(exp)), uniform_attraction(exp)
    # Axes: how many features an input holds, its noise along M, which of the neurons respond.
    held = np.arange(min(d, math.ceil(s * d + 10 * math.sqrt(s * d) + 10)) + 1)
    normal, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    weight = weight / weight.sum()
    chance = np.diff(bdtr(held, d, s), prepend=0.0)[:, None, None] * weight[:, None] * weight
    held = held[:, None, None]
    y = _cubed(held + d * variance, 4 * held * variance + 2 * d * variance**2, normal[:, None]) / d

    def rates(parts):
        square = parts.sparse + parts.dense
        v = (1 - parts.share) * variance + parts.share * y
        t = np.minimum(parts.ratio / np.sqrt(v), _LARGEST_THRESHOLD)
        beyond, density = ndtr(-t), np.exp(-(t**2) / 2) / SQRT_2_PI
        # E h² and E h⁴ at ‖w‖ = 1.
        power = 2 * v * ((1 + t**2) * beyond - t * density)
        fourth = 2 * v**2 * ((t**4 + 6 * t**2 + 3) * beyond - (t**3 + 5 * t) * density)
        uneven = _cubed(1.0, np.maximum(fourth / power**2 - 1, 0) / m, normal)
        similarity = m * square * power / exp.temperature
        q = 1 / (1 + np.exp(np.minimum(similarity * uneven - negatives, _LARGEST)))
        # Inputs attract in proportion to the neurons that respond to them.
        pull = arguments * chance * uneven * q * 2 * beyond
        return Rates(
            float(np.sum(pull * y)),
            float(np.sum(pull) * variance),
            float(np.sum(chance * similarity)),
            float(np.sum(chance * uneven * q**2 * power) / np.sum(chance * v) / still**2),
        )

    return rates


def _cubed(mean, variance, normal):
    """Return what a sum of squares with a mean and variance is at normal numbers.

    Its cube root is nearly normal, as Wilson and Hilferty found for χ².
    """
    relative = variance / (9 * mean**2)
    return mean * np.maximum(1 - relative + np.sqrt(relative) * normal, 0) ** 3
