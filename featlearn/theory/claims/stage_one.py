"""Stage I predictions against a run: the two parts of the neurons, their crossing, and the plateau.

From the first row of a run the `linear_phase` follows both parts, with the softmax's back-reaction.
The run is compared with it until similarities have halved the growth of the sparse part, or that of
the two views is 2τ.
"""

import math
from typing import NamedTuple

import numpy as np

from ...views import augmentation_of
from ..predictions.linear_phase import linear_phase, measured_weights
from ..predictions.moments import Split, uniform_attraction, view_moments
from ..predictions.plateau import rate_outside, spread_of_mean
from ..predictions.softmax_plateau import softmax_plateau
from ..predictions.stage_one import sampling_noise
from .applicability import contrastive, few_anchors
from .claim import claim
from .verdict import does_not_apply, within

CLAIM = "stage I"
CROSSING = "g*, ln of the growth of ‖W‖ at ‖α‖ = ‖β‖"
NAMES = ("‖α‖², measured over predicted", "‖β‖², measured over predicted")
_LEAST_RATIO = 16
# Part of the sparse growth that similarities may leave at the last row compared.
_LEAST_DRIFT = 0.5
# Mean similarity of the two views over τ up to which all anchors are nearly as sure of their keys.
_LARGEST_SIMILARITY = 2.0
# Relative standard deviation of a seed's squared norms up to which their mean tells them. Beyond it they are lognormal,
# and most seeds are below their mean.
_MOST_SCATTER = 0.15
_FEWEST_ROWS = 3
# Part of the plateau's dense part that other left directions may hold.
_MOST_OUTSIDE = 0.05
# How far g* may be off, relative to it and at least.
_OF_GROWTH, _OF_SMALL_GROWTH = 0.1, 0.05
# What the recursion neglects.
_CLOSE = 0.02


@claim(CLAIM, needs=(contrastive, few_anchors))
def claim_stage_one(observed):
    """Compare ‖α‖² and ‖β‖², summed over the neurons, with the recursion, and their crossing."""
    exp = observed[0].experiment
    paths = [linear_rows(o) for o in observed]
    n = min(_told(path) for path in paths)
    unmet = ""
    if n < _FEWEST_ROWS:
        unmet = (
            f"stage I has {n} recorded rows before similarities halve the growth or reach"
            f" {_LARGEST_SIMILARITY:g} τ, or seeds scatter by {_MOST_SCATTER:.0%}, fewer than {_FEWEST_ROWS}"
        )
    elif not is_even(exp):
        unmet = (
            f"a mask on a Haar-random dictionary at d1/d = {exp.n_inputs / exp.n_features:.3g}"
            f" mixes the two parts: take d1/d ≥ {_LEAST_RATIO}, or a flat one"
        )
    elif min(path.sparse[0] for path in paths) == 0 or view_moments(exp).cross.sparse <= 0:
        unmet = "the views share no signal that could grow"
    if unmet:
        return [does_not_apply(CLAIM, name, unmet) for name in (*NAMES, CROSSING)]
    verdicts = []
    for name, part in zip(NAMES, ("sparse", "dense")):
        if not all(getattr(p, f"predicted_{part}")[:n].all() for p in paths):
            verdicts.append(does_not_apply(CLAIM, name, f"neurons have no {part} part"))
            continue
        ratios = np.array(
            [getattr(p, part)[:n] / getattr(p, f"predicted_{part}")[:n] for p in paths]
        )
        worst = int(np.abs(ratios.mean(axis=0) - 1).argmax())
        sd = float(max(getattr(p, f"scatter_{part}")[worst] for p in paths))
        sd /= math.sqrt(len(observed))
        verdicts.append(
            within(
                CLAIM,
                name,
                1.0,
                ratios[:, worst],
                _CLOSE + 4 * sd,
                f"worst row, step {paths[0].steps[worst]}, of all up to step {paths[0].steps[n - 1]};"
                f" {100 * _CLOSE:.2g} % for taking directions alike, and four standard deviations,"
                f" {100 * sd:.2g} % each, by the batches' noise that all neurons share",
            )
        )
    return [*verdicts, _crossing(paths)]


def _told(path):
    """Number of rows before the first at which a seed scatters too much to be told by its mean."""
    scatter = np.maximum(path.scatter_sparse, path.scatter_dense)
    return int(np.logical_and.accumulate(scatter <= _MOST_SCATTER).sum())


class LinearRows(NamedTuple):
    """The rows of a run's stage I up to where similarities have halved the growth.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
    sparse, dense : ndarray of shape (T,)
        ‖α‖² and ‖β‖², summed over the neurons.
    predicted_sparse, predicted_dense : ndarray of shape (T,)
        The two as the `linear_phase` has them from the first row.
    scatter_sparse, scatter_dense : ndarray of shape (T,)
        Standard deviations of a seed's ‖α‖² and ‖β‖², relative to their means.
    """

    steps: np.ndarray
    sparse: np.ndarray
    dense: np.ndarray
    predicted_sparse: np.ndarray
    predicted_dense: np.ndarray
    scatter_sparse: np.ndarray
    scatter_dense: np.ndarray


def linear_rows(observed, least_drift=_LEAST_DRIFT):
    """Return the `LinearRows` of a run.

    Parameters
    ----------
    observed : Observed
    least_drift : float
        Part of the growth rate of α that similarities must leave.

    Returns
    -------
    LinearRows

    Notes
    -----
    The scatter: all neurons move by one and the same Ĉ, the batch's cross-covariance. In one step
    the relative changes of a = Σ‖α_i‖² and of b = Σ‖β_i‖² have the variances

        4η²q²/(B a²) [ v tr G² + (s + n₁) n₂ Σ‖α_i‖²‖β_i‖² ],   G = Σ α_i α_iᵀ,
        4η²q²/(B b²) [ (n₁n₂ + x²) b² (1/m + 1/D) + n₁ (s + n₂) Σ‖α_i‖²‖β_i‖² ],
        v = Var(u⁺u⁺⁺) = s + s(n₁ + n₂ + 4x) + n₁n₂ + 2x² - (s + x)²

    for u^± = ⟨M_j, x^±⟩ with E u⁺² = s + n₁, E u⁺⁺² = s + n₂, E u⁺u⁺⁺ = s + x, and the steps add up;
    what sampling noise makes of α in b scatters as a does (derived in
    featlearn/theory/derivation.md, "Scatter of a seed"). The keys' part of a gradient without
    stop-gradient repeats the change by G and by the β among themselves, which doubles; where α meets β it
    is another one, with the views exchanged.
    """
    run, exp, views = observed.run, observed.experiment, view_moments(observed.experiment)
    first = observed.first_row_of(2)
    rows = observed.rows_before(len(run) if first is None else first)
    steps = np.asarray(run.steps[rows])
    alignments = np.asarray(run["alignment"][rows], np.float64)
    sparse = np.square(alignments).sum(axis=2)
    dense = np.square(run["dense_norm"][rows], dtype=np.float64)
    a, b = sparse.sum(axis=1), dense.sum(axis=1)
    path = [measured_weights(alignments[0], run["dense_norm"][0])]
    for weights, _ in zip(linear_phase(exp, path[0]), range(int(steps[-1] - steps[0]))):
        path.append(weights)
        shared = views.cross.sparse * weights.sparse + views.cross.dense * weights.dense
        if weights.drift < least_drift or shared > _LARGEST_SIMILARITY * exp.temperature:
            break
    reached = steps - steps[0] < len(path)
    path = [path[step - steps[0]] for step in steps[reached]]
    gram = np.square(np.matmul(alignments.transpose(0, 2, 1), alignments)).sum(axis=(1, 2))
    both = (sparse * dense).sum(axis=1)
    extra = max(exp.n_inputs - exp.n_features, 1)
    alone = views.anchor.dense * views.key.dense + views.cross.dense**2
    in_alpha, in_beta = (
        views.anchor.sparse * views.key.dense,
        views.anchor.dense * views.key.sparse,
    )
    arguments = 1 if exp.stop_gradient else 2
    if arguments == 2:
        in_alpha = in_beta = (in_alpha + in_beta + 2 * views.cross.sparse * views.cross.dense) / 4
    inside = product_variance(views) * gram + in_alpha * both
    beside = alone * b**2 * (1 / exp.n_neurons + 1 / extra) + in_beta * both
    drift = 1 + exp.learning_rate * (arguments * views.cross.sparse - exp.weight_decay)
    pull = arguments * exp.learning_rate * uniform_attraction(exp)

    def added_up(rate, growth):
        rate = 4 * (pull / growth) ** 2 / exp.batch_size * rate
        return np.concatenate([[0.0], np.cumsum(np.diff(steps) * (rate[1:] + rate[:-1]) / 2)])

    of_sparse = added_up(_quotient(inside, a**2), drift)
    of_dense = added_up(_quotient(beside, b**2), 1.0)
    of_dense += _fed(exp, steps, a, b) ** 2 * of_sparse
    return LinearRows(
        steps[reached],
        a[reached],
        b[reached],
        np.array([weights.sparse for weights in path]),
        np.array([weights.dense for weights in path]),
        np.sqrt(of_sparse[reached]),
        np.sqrt(of_dense[reached]),
    )


def _quotient(a, b):
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)


def _fed(experiment, steps, sparse, dense):
    """Part of ‖β‖² at each row that the sampling noise of α put there since the first."""
    extra = experiment.n_inputs - experiment.n_features
    noise = sampling_noise(experiment, Split(experiment.n_features, extra))[1, 0]
    noise *= experiment.learning_rate**2 / experiment.batch_size
    fed = np.zeros(len(steps))
    for k in range(len(steps) - 1):
        added = noise * (steps[k + 1] - steps[k]) * (sparse[k] + sparse[k + 1]) / 2
        if dense[k + 1] > 0:
            kept = max(dense[k + 1] - added, 0.0) / dense[k + 1]
            fed[k + 1] = min(fed[k] * kept + added / dense[k + 1], 1.0)
    return fed


def product_variance(views):
    """Var(u⁺u⁺⁺) along an atom; see `linear_rows`."""
    s = views.density
    n1, n2, x = views.anchor.sparse - s, views.key.sparse - s, views.cross.sparse - s
    return s + s * (n1 + n2 + 4 * x) + n1 * n2 + 2 * x**2 - (s + x) ** 2


def is_even(experiment):
    """Whether masks treat all directions of span(M) and of its complement nearly alike."""
    masked = augmentation_of(experiment).n_masks > 0
    wide = experiment.n_inputs >= _LEAST_RATIO * experiment.n_features
    return not masked or experiment.dictionary == "flat" or wide


def _crossing(paths):
    """Compare ln of the growth of ‖W‖ at ‖α‖ = ‖β‖ with g*."""
    found, expected = [], []
    for p in paths:
        growths = (_growth_at_crossing(p.sparse, p.dense),)
        growths += (_growth_at_crossing(p.predicted_sparse, p.predicted_dense),)
        if None in growths:
            reason = "the two do not cross before similarities count"
            return does_not_apply(CLAIM, CROSSING, reason)
        found.append(growths[0])
        expected.append(growths[1])
    mean = float(np.mean(expected))
    # The growth until then is ½ ln 2β²/‖W‖² of the start: it scatters half as much as β² does.
    scatter = max(_scatter_at_crossing(p) for p in paths) / 2 / math.sqrt(len(paths))
    allowed = max(_OF_GROWTH * mean, _OF_SMALL_GROWTH)
    if 2 * scatter > allowed:
        reason = (
            f"g* = {mean:.3g} of so few neurons or features scatters by {scatter:.2g}, more than half of"
            f" the {allowed:.2g} that it is compared to"
        )
        return does_not_apply(CLAIM, CROSSING, reason)
    shifted = mean + np.array(found) - np.array(expected)
    why = "10 %, or 0.05 for a small g*: what 10 % less growth and the scatter of a seed make of it"
    return within(CLAIM, CROSSING, mean, shifted, _OF_GROWTH, why, absolute=_OF_SMALL_GROWTH)


def _scatter_at_crossing(path):
    """Standard deviation of a seed's ‖β‖² at the predicted crossing, relative to its mean."""
    return float(path.scatter_dense[np.argmax(path.predicted_sparse >= path.predicted_dense)])


def _growth_at_crossing(sparse, dense):
    """ln of the growth of ‖W‖ where a first reaches β², None where it does not."""
    leads = np.flatnonzero((sparse >= dense) & (sparse > 0))
    if len(leads) == 0 or leads[0] == 0:
        return None
    # ln(a/β²) is smooth, and 0 at the crossing.
    before, after = leads[0] - 1, leads[0]
    gap = np.log(sparse[[before, after]] / dense[[before, after]])
    share = -gap[0] / (gap[1] - gap[0])
    total = np.log(sparse + dense)
    return 0.5 * ((1 - share) * total[before] + share * total[after] - total[0])


@claim("plateau", needs=(contrastive, few_anchors))
def claim_plateau(observed):
    """Compare the end of a long linear run with the plateau of the linear phase."""
    claim, name, exp = "plateau", "squared singular values of WM, mean", observed[0].experiment
    if not exp.stays_linear:
        return [does_not_apply(claim, name, "the biases are raised before it: no linear run")]
    if view_moments(exp).dense_correlation > 0.01:
        return [does_not_apply(claim, name, "the views share dense noise")]
    expected, names = softmax_plateau(exp), (name, "‖β‖² a left singular direction")
    start = np.mean([np.square(o.run["dense_norm"][0], dtype=np.float64).sum() for o in observed])
    time = exp.learning_rate * float(min(o.run.steps[-1] for o in observed))
    rate = rate_outside(exp, expected)
    outside = (
        start * max(1 - exp.n_features / exp.n_neurons, 0) * math.exp(min(2 * rate * time, 50))
    )
    if outside > _MOST_OUTSIDE * exp.n_features * expected.dense_squared:
        reason = (
            f"left directions without a signal, which the plateau leaves out, hold ‖β‖² ="
            f" {outside:.2g} from the start on, growing at the rate {rate:.2g}"
        )
        return [does_not_apply(claim, one, reason) for one in names]
    values, dense = [], []
    for o in observed:
        rows = o.rows[2 * len(o.rows) // 3 :]
        alignments = np.asarray(o.run["alignment"][rows], np.float64)
        per_row = np.square(np.linalg.svd(alignments, compute_uv=False)).mean(axis=1)
        half = len(per_row) // 2
        if half < 5 or abs(per_row[:half].mean() / per_row[half:].mean() - 1) > 0.02:
            reason = "the run is not stationary over its last third"
            return [does_not_apply(claim, one, reason) for one in names]
        values.append(per_row.mean())
        squares = np.square(o.run["dense_norm"][rows], dtype=np.float64).sum(axis=1)
        dense.append(squares.mean() / exp.n_features)
    length = float(np.ptp(observed[0].run.steps[rows]))
    scatter = 3 * spread_of_mean(exp, expected, length) / math.sqrt(len(observed))
    why = "with the true softmax and a finite batch, all directions taken alike: 5 %"
    of_mean = f"; and {100 * scatter:.2g} %, three standard deviations of a mean over that third"
    verdicts = [
        within(claim, name, expected.singular_value_squared, values, 0.05 + scatter, why + of_mean)
    ]
    why = "with the true softmax and a finite batch, all directions taken alike"
    return [*verdicts, within(claim, names[1], expected.dense_squared, dense, 0.15, why)]
