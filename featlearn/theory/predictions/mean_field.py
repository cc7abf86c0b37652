"""Stage II as a coupled system: all neurons and features under mean drift and bias schedule.

Integrates the drift of `drift.MeanFieldLaw` from a state of a run, at no cost in d1. What it leaves
out: the softmax beyond its leading order, so it holds while E⟨f(x⁺), f(x⁺⁺)⟩ is below about τ/10,
and ends there (`MeanField.valid` says which rows lie before); and sampling noise on single
alignments, whose size `MeanField.lead_noise` gives. Sampling noise is there where its mean effect is
not 0: it feeds ‖β_i‖, and it drives the biases up, as they follow a norm's rise and not its fall.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from ...errors import InvalidInput
from ...experiment import Experiment
from ...state import make_schedule
from .drift import MeanFieldLaw
from .starting_point import starting_point

VALID_SIMILARITY = 0.1
_LARGEST_CHANGE = 0.1
# Activities halve within tens of steps while biases rise.
_LONGEST_LEAP = 7
# Neurons of a run that are followed by default; the cost is in proportion.
_MOST_NEURONS = 192


@dataclass(frozen=True)
class MeanField:
    """A predicted trajectory, in the layout of a recorded one.

    Attributes
    ----------
    experiment : Experiment
    steps : ndarray of int, shape (T,)
    alignment : ndarray of shape (T, m, d)
    dense_norm, bias : ndarray of shape (T, m)
    similarity : ndarray of shape (T,)
        E⟨f(x⁺), f(x⁺⁺)⟩ as predicted.
    lead : ndarray of shape (T, m)
        Predicted |α_i1| - |α_i2| of the two features that lead at the start.
    lead_noise : ndarray of shape (m,)
        Standard deviation that sampling noise gives the lead, carried back to the start; see
        `accumulated_noise`.
    neurons : ndarray of int, shape (m,)
        Which neurons of a run these are.
    """

    experiment: Experiment
    steps: np.ndarray
    alignment: np.ndarray
    dense_norm: np.ndarray
    bias: np.ndarray
    similarity: np.ndarray
    lead: np.ndarray
    lead_noise: np.ndarray
    neurons: np.ndarray

    @property
    def valid(self):
        """Whether each step lies before the similarity first reaches τ/10, ndarray of bool (T,)."""
        reached = self.similarity >= VALID_SIMILARITY * self.experiment.temperature
        return ~np.logical_or.accumulate(reached)

    @property
    def winner(self):
        """The feature each neuron leads with where the prediction ends, ndarray of int (m,)."""
        return np.abs(self.alignment[-1]).argmax(axis=1)


def predict(run, row=None, n_rows=200, include=None):
    """Integrate from a recorded row for as long as the mean field holds.

    Parameters
    ----------
    run : Run
    row : int, optional
        Where to start; by default where stage II does.
    n_rows : int
        How many of the recorded rows from there to the run's end to consider, evenly spread.
    include : int, optional
        A neuron to follow in any case.

    Returns
    -------
    rows : ndarray of int, shape (T,)
        Of the run, to be compared with the prediction's.
    MeanField
        Of all neurons of a run with up to 192. Of a larger one, of as many that stand for the others,
        too: similarities and repulsion, sums over all neurons, are then in proportion larger.
    """
    start, exp = starting_point(run, row), run.experiment
    first = int(np.searchsorted(run.steps, start.step))
    rows = np.unique(np.linspace(first, len(run.steps) - 1, n_rows).round().astype(int))
    m = exp.n_neurons
    neurons = np.arange(0, m, -(-m // _MOST_NEURONS))
    if include is not None:
        neurons = np.union1d(neurons, [include])
    part = len(neurons) / m
    if part < 1:
        # Of n neurons at temperature τ n/m each has the share of the repulsion that it has of m at τ.
        exp = exp.replace(n_neurons=len(neurons), temperature=part * exp.temperature)
        start = start._replace(
            alignments=start.alignments[neurons],
            dense_gram=start.dense_gram[np.ix_(neurons, neurons)],
            biases=start.biases[neurons],
        )
    found = integrate(exp, start, run.steps[rows])
    found = dataclasses.replace(
        found, experiment=run.experiment, similarity=found.similarity / part, neurons=neurons
    )
    return rows[: len(found.steps)], found


def integrate(experiment, start, steps, repulsion=True):
    """Predict alignments, dense norms and biases at later steps.

    Parameters
    ----------
    experiment : Experiment
        Any augmentation; with the stop-gradient.
    start : StartingPoint
    steps : sequence of int
        Ascending, the first not before ``start.step``.
    repulsion : bool
        Whether the negatives count.

    Returns
    -------
    MeanField
        Of the steps up to the one where the similarity reaches τ/10, the start at least.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage II mean field". K updates are made in one leap,
    w + K η D(w + (K-1)/2 η D(w)), which agrees with K single ones up to (K η)³, while the biases
    follow their schedule step by step. K keeps a neuron's change below 10 %. Dense norms grow in
    addition by the variance of their sampling noise, and of that along features that do not lead.
    """
    steps = np.asarray(steps, dtype=np.int64)
    if len(steps) == 0 or steps[0] < start.step or (np.diff(steps) <= 0).any():
        raise InvalidInput("steps", steps.tolist(), f"ascending numbers ≥ {start.step}")
    if not experiment.stop_gradient:
        raise InvalidInput("stop_gradient", False, "true for the mean field")
    # It may diverge, and ends there.
    with np.errstate(over="ignore", invalid="ignore"):
        leaps = list(_leaps(experiment, start, int(steps[-1]), repulsion))
    times = np.array([leap.step for leap in leaps])
    steps = steps[steps <= max(times[-1], steps[0])]
    after = np.clip(np.searchsorted(times, steps), 1, max(1, len(times) - 1))
    if len(times) == 1:
        after, share = np.zeros(len(steps), dtype=int), np.zeros(len(steps))
    else:
        share = (steps - times[after - 1]) / (times[after] - times[after - 1])

    def at_steps(name):
        rows = [
            (1 - x) * getattr(leaps[k - 1], name) + x * getattr(leaps[k], name)
            for k, x in zip(after, share)
        ]
        return np.array(rows)

    lead = np.array([leap.lead for leap in leaps])
    variance = np.array([leap.noise for leap in leaps])
    return MeanField(
        experiment,
        steps,
        at_steps("alignments"),
        at_steps("dense_norms"),
        at_steps("biases"),
        at_steps("similarity"),
        at_steps("lead"),
        accumulated_noise(lead, variance),
        np.arange(experiment.n_neurons),
    )


def accumulated_noise(lead, variance):
    """Return the standard deviation of the sampling noise in a lead, carried back to its start.

    A stretch t moves the lead L = |α_1| - |α_2| by noise of variance v_t, and whatever lead there
    was before grows in proportion to L. Carried back to the start the variances add up to
    Σ_t v_t (L_0/L_t)²; a start with a smaller lead is a toss-up. The race goes on where the
    prediction ends: from there the sum is that of a geometric series, with the last stretch's growth.

    Parameters
    ----------
    lead, variance : ndarray of shape (T, m)

    Returns
    -------
    ndarray of shape (m,)
        Infinite where the lead does not grow in the end.
    """
    floor = np.finfo(np.float64).tiny
    lead = np.maximum(lead, floor)
    carried = np.square(np.minimum(lead[0] / lead, 1.0))
    if len(lead) == 1:
        return np.sqrt(variance[0])
    ratio = np.square(np.minimum(lead[-2] / lead[-1], 1.0))
    series = np.divide(1.0, 1 - ratio, out=np.full_like(ratio, np.inf), where=ratio < 1)
    moved = variance[-2] * carried[-1] * series
    return np.sqrt(np.sum(variance[:-1] * carried[:-1], axis=0) + moved)


class _Leap(NamedTuple):
    """The system at one step, and the noise in its leads until the next."""

    step: int
    alignments: np.ndarray
    dense_norms: np.ndarray
    biases: np.ndarray
    similarity: float
    lead: np.ndarray
    noise: np.ndarray


def _leaps(experiment, start, last, repulsion):
    """Yield a `_Leap` for every leap of the integration, from the start to the step `last`."""
    law, schedule = MeanFieldLaw.of(experiment, repulsion), make_schedule(experiment)
    eta = experiment.learning_rate
    sampling = eta**2 / experiment.batch_size * law.factor**2
    # E‖x⁺‖²: along features that do not lead, noise has no more direction than beside them.
    energy = (
        law.views.anchor * experiment.resolved_noise_inputs
        + law.views.density * experiment.n_features
    )
    step, stage, alpha, gram, biases, initial_norm = start
    leaders = np.argsort(-np.abs(alpha), axis=1)[:, :2]

    def moved(drift, n):
        """The weights after n updates by one drift."""
        left = np.eye(len(gram)) + n * eta * drift.mixing
        new_gram = left @ gram @ left.T + n * sampling * energy * drift.dense_noise
        return alpha + n * eta * drift.alignments, new_gram

    def follow(drift, new_norms, n):
        """Stage and biases after n steps in which the norms change evenly."""
        norms, result = _norms(alpha, gram), (stage, biases)
        path = norms + (new_norms - norms) * np.arange(n + 1)[:, None] / max(n, 1)
        noise = np.sqrt(sampling * drift.norm_noise) / np.where(norms > 0, norms, 1.0)
        for before, after in zip(path[:-1], path[1:]):
            growth = _mean_growth(schedule.growth, after / before, noise)
            ratcheted = dataclasses.replace(schedule, growth=growth)
            result = ratcheted.advance(*result, before, after, initial_norm)
        return result

    while True:
        drift = law.drift(alpha, gram, biases)
        half = _half_leap(eta * drift.alignments, _norms(alpha, gram), last - step)
        n = min(2 * half + 1, last - step)
        ordered = np.take_along_axis(np.abs(alpha), leaders, axis=1)
        dense_norms = np.sqrt(np.maximum(np.diag(gram), 0))
        lead, noise = ordered[:, 0] - ordered[:, -1], n * sampling * drift.lead_noise
        yield _Leap(step, alpha, dense_norms, biases, drift.similarity, lead, noise)
        # Where η is too large for it, the mean field diverges, and similarities need not say so.
        valid = drift.similarity < VALID_SIMILARITY * experiment.temperature
        if step == last or not valid or not np.isfinite(drift.alignments).all():
            return
        if half:
            middle = moved(drift, half)
            middle_biases = follow(drift, _norms(*middle), half)[1]
            drift = law.drift(*middle, middle_biases)
        new = moved(drift, n)
        stage, biases = follow(drift, _norms(*new), n)
        (alpha, gram), step = new, step + n


def _mean_growth(growth, ratio, noise):
    """E max(growth, ratio + noise g), g ~ N(0, 1): a bias follows its norm's noise upwards only."""
    excess = (ratio - growth) / np.where(noise > 0, noise, 1.0)
    rise = noise * (excess * ndtr(excess) + np.exp(-0.5 * excess**2) / math.sqrt(2 * math.pi))
    return growth + np.where(noise > 0, rise, np.maximum(ratio - growth, 0))


def _half_leap(change, norms, remaining):
    """(K-1)/2 for the longest leap of K = 1, 3, 5, … steps that changes no neuron too much."""
    relative = np.linalg.norm(change, axis=1) / np.where(norms > 0, norms, 1.0)
    longest = _LARGEST_CHANGE / max(float(relative.max()), _LARGEST_CHANGE / _LONGEST_LEAP)
    return max(0, (min(int(longest), remaining) - 1) // 2)


def _norms(alignments, dense_gram):
    squares = np.einsum("ij,ij->i", alignments, alignments) + np.diag(dense_gram)
    return np.sqrt(np.maximum(squares, 0))
