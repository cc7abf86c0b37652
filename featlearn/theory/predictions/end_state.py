"""What a run ends with, from its settings alone, before anything runs.

With features to be learned: the Gaussian law of the weights at the end of stage I; the mean field, in
which every neuron of a drawn sample selects its feature, until the norms are those that attraction and
repulsion balance at; then a network of pure neurons at that balance, whose dense parts are what the
batches' noise sustains, as long as such a network lasts. Without augmentation, where norms saturate
before the crossing: dense neurons at the largest bias. Both are networks, and are measured as a
trained one is.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from ...compute.streams import generator
from ...gram_views import GramModel
from ...latents import law_of, unusual_data
from ...probing import probe, shared_cosines
from ...summary import PURE
from ...views import augmentation_of
from .balance import growth_apart, pure_balance, sustained_noise
from .crossing import noise_margin
from .dense_path import dense_run
from .drift import MeanFieldLaw
from .limits import selection_growth
from .linear_phase import linear_phase
from .lottery import left_out
from .moments import view_moments
from .stages import predict_stages

# Sizes from which on the end is within 0.1 of the prediction; at d = 12 it is off by up to 0.15.
LEAST_FEATURES = 32
# ln of the growth of a second feature's energy up to which a run ends with a network of pure neurons.
MOST_GROWTH = 1.0
# Neurons that are drawn; a fraction of pure ones of 0.95 is then known to 0.02.
_NEURONS = 128
# Length of a leap in units of 1/(ηs), in which rates of growth change by little, and the most of them.
_LEAP, _MOST_LEAPS = 0.35, 2000
# The largest networks and groups of negatives that are drawn.
_LARGEST = 1024
# ln of the growth in stage II from which on selection is over before the norms saturate.
LEAST_SELECTION = 4.0
# Sparse share at the end without augmentation from which neurons begin to select features.
MOST_SPARSE = 0.4
# Position of this module's draws in the "theory" stream of a seed.
_STREAM = 8


class EndState(NamedTuple):
    """The predicted end of a run.

    Attributes
    ----------
    pure_fraction : float
        Fraction of the neurons with a cosine of at least 0.9 with an atom.
    atoms_left_out : float
        Expected number of atoms without a neuron.
    dense_share : float
        ‖β_i‖²/‖w_i‖², median.
    same_latents, same_noise : float
        Cosines of f at the same latents and at the same noise, given z ≠ 0.
    regression : float
        Regression error on f, relative.
    saturated, stage_three : float
        Steps at which the norms saturate, nan without augmentation, and at which biases are at their cap.
    until : float
        Step up to which a longer run would end like this; infinite where pure neurons stay pure.
    """

    pure_fraction: float
    atoms_left_out: float
    dense_share: float
    same_latents: float
    same_noise: float
    regression: float
    saturated: float = math.nan
    stage_three: float = math.nan
    until: float = math.inf


def not_predicted(experiment):
    """Return why the end of an experiment is not predicted, or None.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    str or None
    """
    exp = experiment
    if reason := _outside(exp):
        return reason
    if exp.n_features < LEAST_FEATURES:
        return f"d = {exp.n_features}: stated from d = {LEAST_FEATURES} on"
    if augmentation_of(exp).identical_views or exp.n_steps <= (until := _lasts_until(exp)):
        return None
    return (
        "pure neurons take up second features once norms have saturated, whose energy has grown"
        f" e-fold by step {until:.0f}; the run has {exp.n_steps}"
    )


def _outside(experiment):
    """Return which of its conditions an experiment does not meet, whatever its size, or None."""
    exp = experiment
    if exp.objective != "infonce" or not exp.stop_gradient:
        return "it is derived for InfoNCE with stop-gradient"
    if unusual_data(exp):
        return "it is derived for the paper's data"
    if exp.stays_linear or exp.stage_one_steps is not None:
        return "it is derived for a stage I that ends by growth"
    if exp.weight_decay == 0 or exp.resolved_noise_variance == 0 or exp.resolved_density == 0:
        return "it asks for weight decay, signal and noise"
    if max(exp.n_features, exp.group_size) > _LARGEST or exp.negatives != "in_batch":
        return f"it is drawn for up to {_LARGEST} features and in-batch negatives"
    if augmentation_of(exp).identical_views:
        dense = dense_run(exp)
        if dense.share > MOST_SPARSE:
            return f"the sparse part ends with a share of {dense.share:.2g}: neither is then alone"
        if dense.stage_three > exp.n_steps:
            return "stage III starts beyond the last step"
        return None
    if view_moments(exp).cross.dense > 0:
        return "the views share dense noise"
    if noise_margin(exp) >= 1:
        return "sampling noise outgrows the signal"
    growth = selection_growth(exp)
    if growth < LEAST_SELECTION:
        return (
            f"norms grow by e^{growth:.2g} in stage II, and features are still being selected when"
            f" they saturate; from e^{LEAST_SELECTION:.2g} on it is over by then"
        )
    return None


def end_state(experiment, anyway=False):
    """Return the `EndState` of an experiment.

    None where `not_predicted` has a reason, or norms do not saturate by the last step.

    Parameters
    ----------
    experiment : Experiment
    anyway : bool
        Also for fewer features and longer runs than it is stated for.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The end of a run".
    """
    if _outside(experiment) if anyway else not_predicted(experiment):
        return None
    if augmentation_of(experiment).identical_views:
        return _dense_end(experiment)
    return _sparse_end(experiment)


def _sparse_end(experiment):
    exp, d = experiment, experiment.n_features
    cosine, saturated, ratio = _selected(exp)
    if math.isinf(saturated):
        return None
    three = _at_the_cap(exp, saturated, ratio)
    part = min(1.0, (exp.n_steps - saturated) / max(three - saturated, 1e-9))
    threshold = ratio * (exp.bias_cap / ratio) ** part
    noise = sustained_noise(exp, threshold)
    lost = left_out(exp).expected
    kept = max(1, d - round(lost))
    rng = generator(exp.seed, "theory", _STREAM, 1)
    # One neuron for each atom: the others on it are its copies.
    atoms = math.sqrt(noise.off_support) * rng.standard_normal((kept, d))
    atoms[np.arange(kept), np.arange(kept)] = 1.0
    # Atoms have one strength, whatever the number of their neurons.
    same_latents, same_noise, regression = _measured(exp, atoms, noise.dense, threshold, rng)
    return EndState(
        float(np.mean(cosine >= PURE)),
        lost,
        noise.dense / (1 + noise.dense + (d - 1) * noise.off_support),
        same_latents,
        same_noise,
        regression,
        saturated,
        three,
        _lasts_until(exp),
    )


def _dense_end(experiment):
    exp, d = experiment, experiment.n_features
    share, _, _, three = dense_run(exp)
    rng = generator(exp.seed, "theory", _STREAM, 1)
    shape = min(exp.n_neurons, _LARGEST), d
    alignments = math.sqrt(share / d) * rng.standard_normal(shape)
    measured = _measured(exp, alignments, 1 - share, exp.bias_cap, rng)
    return EndState(0.0, float(d), 1 - share, *measured, stage_three=three)


def _measured(experiment, alignments, dense, ratio, rng):
    """Return same z, same ξ and regression error of neurons with independent dense parts.

    Parameters
    ----------
    experiment : Experiment
    alignments : ndarray of shape (k, d)
    dense : float
        ‖β_i‖² of each.
    ratio : float
        b_i/‖w_i‖.
    rng : numpy.random.Generator
    """
    k, d = alignments.shape
    weights = np.hstack([alignments, math.sqrt(dense) * np.eye(k)])
    biases = ratio * np.linalg.norm(weights, axis=1)
    s, variance = experiment.resolved_density, experiment.resolved_noise_variance
    model = GramModel(np.eye(d + k, d), s, variance, law_of(experiment))
    cosines = shared_cosines(weights, biases, model, rng)
    regression = probe(weights, biases, model, rng, only="features").regression["features"].mean()
    return cosines.latents.active, cosines.noise.active, float(regression)


def _at_the_cap(experiment, saturated, ratio):
    """Return the step at which b/‖w‖ is at its cap, having been `ratio` when norms saturated.

    A bias grows by its factor a step, and the norm by √A with the balance's A, which rises with the
    threshold.
    """
    cap = experiment.bias_cap
    if experiment.resolved_bias_growth == 1 or ratio >= cap:
        return saturated if ratio >= cap else math.inf
    first, last = (pure_balance(experiment, at).strength for at in (ratio, cap))
    slower = math.log(last / first) / 2 if first > 0 and last > 0 else 0.0
    rise = math.log(cap / ratio) + max(slower, 0.0)
    return saturated + rise / math.log(experiment.resolved_bias_growth)


@functools.lru_cache(maxsize=4)
def _lasts_until(experiment):
    """Return the step by which a second feature's energy has grown by `MOST_GROWTH` since norms saturated.

    Its rate is that of `growth_apart`, even in time until biases are at their cap.
    """
    exp, (_, saturated, ratio) = experiment, _selected(experiment)
    if math.isinf(saturated):
        return math.inf
    three, cap = _at_the_cap(exp, saturated, ratio), exp.bias_cap
    if math.isinf(three):
        three, cap = saturated, ratio
    first, last = (2 * exp.learning_rate * growth_apart(exp, at) for at in (ratio, cap))
    grown = max((first + last) / 2, 0.0) * (three - saturated)
    if grown >= MOST_GROWTH:
        return saturated + (three - saturated) * MOST_GROWTH / grown
    return three + (MOST_GROWTH - grown) / last if last > 0 else math.inf


@functools.lru_cache(maxsize=4)
def _selected(experiment):
    return selected_neurons(experiment)


def selected_neurons(experiment, n_neurons=_NEURONS):
    """Draw neurons as stage I leaves them, and let each select its feature by the mean field.

    Parameters
    ----------
    experiment : Experiment
    n_neurons : int
        How many to draw.

    Returns
    -------
    cosine : ndarray of shape (n_neurons,)
        With the leading atom, when the norms saturate.
    saturated : float
        That step; infinite if it lies beyond the last.
    ratio : float
        Median of b/‖w‖ there.

    Notes
    -----
    Attraction and decay only: neurons do not know of each other before the norms saturate, where an
    atom's Σ_i α_ij²/τ is that of `pure_balance`, in the mean over atoms. Growth over a leap is
    exponential at the rates at its start.
    """
    exp, d, m = experiment, experiment.n_features, experiment.n_neurons
    law, eta = MeanFieldLaw.of(exp, repulsion=False), exp.learning_rate
    step = predict_stages(exp).two
    if step >= exp.n_steps:
        return np.zeros(n_neurons), math.inf, exp.bias_jump
    start = next(itertools.islice(linear_phase(exp), int(step) - 1, None))
    rng = generator(exp.seed, "theory", _STREAM, 0)
    uneven = np.exp(math.sqrt(max(start.uneven, 0.0)) * rng.standard_normal(d))
    alpha = math.sqrt(start.sparse / (m * d)) * uneven * rng.standard_normal((n_neurons, d))
    square = np.full(n_neurons, start.dense / m)
    ratio = np.full(n_neurons, exp.bias_jump)
    energy = law.views.anchor * exp.noise_directions
    sampling = eta**2 / exp.batch_size * law.factor**2 * energy
    enough = pure_balance(exp, exp.bias_jump).strength * exp.temperature * d * n_neurons / m
    leap = max(1, int(_LEAP / (eta * exp.resolved_density)))
    last = min(exp.n_steps, step + _MOST_LEAPS * leap)
    while True:
        norms = np.sqrt(np.square(alpha).sum(axis=1) + square)
        largest = np.abs(alpha).max(axis=1)
        if np.square(largest).sum() >= enough:
            return largest / norms, float(step), float(np.median(ratio))
        if step >= last:
            return largest / norms, math.inf, float(np.median(ratio))
        n = int(min(leap, last - step))
        drift = law.drift(alpha, np.diag(square), ratio * norms)
        rate = np.divide(drift.alignments, alpha, out=np.zeros_like(alpha), where=alpha != 0)
        alpha = alpha * np.exp(n * eta * rate)
        square = square * np.exp(2 * n * eta * np.diag(drift.mixing))
        square += n * sampling * np.diag(drift.dense_noise)
        growth = np.sqrt(np.square(alpha).sum(axis=1) + square) / norms
        ratio = np.minimum(
            ratio * np.maximum(1, exp.resolved_bias_growth**n / growth), exp.bias_cap
        )
        step += n
