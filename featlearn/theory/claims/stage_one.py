"""Stage I predictions against a run: the two parts of the neurons, their crossing, and the plateau.

The recursion holds while similarities are small. To leading order the softmax pulls a left singular
direction of W back at the rate E[u²] c₁/τ along an atom and E[u²] n₁/τ along a dense direction, E[u²]
being the second moment of a key's feature along it and c₁, n₁ the anchor's along the two. With

    E[u²] = c₂ ‖α‖²/d + n₂ ‖β‖²/m  where α lives,   (c₂ ‖α‖² + n₂ ‖β‖²)/m  where β lives,

this is added up over the rows of a run, and the run is compared as long as the pull is below a small
part of the sparse drift.
"""

import math
from typing import NamedTuple

import numpy as np

from ...views import augmentation_of
from ..predictions.crossing import crossing
from ..predictions.moments import uniform_attraction, view_moments
from ..predictions.softmax_plateau import softmax_plateau
from ..predictions.stage_one import predict_stage_one
from .claim import claim
from .verdict import does_not_apply, within

CLAIM = "stage I"
_LEAST_RATIO = 16


@claim(CLAIM)
def claim_stage_one(observed):
    """Compare ‖α‖² and ‖β‖², summed over the neurons, with the recursion, and their crossing.

    Parameters
    ----------
    observed : list of Observed
        Runs of one experiment, of different seeds.

    Returns
    -------
    list of Verdict
    """
    exp = observed[0].experiment
    paths = [linear_rows(o, 0.05) for o in observed]
    n = min(len(path.steps) for path in paths)
    names = ("‖α‖², measured over predicted", "‖β‖², measured over predicted")
    if n < 3:
        reason = "similarities reach the order of τ, or stage I ends, within three recorded rows"
        return [does_not_apply(CLAIM, name, reason) for name in names]
    if not _is_even(exp):
        reason = (
            f"a mask on a Haar-random dictionary at d1/d = {exp.n_inputs / exp.n_features:.3g}"
            f" mixes the two parts: take d1/d ≥ {_LEAST_RATIO}, or a flat one"
        )
        return [does_not_apply(CLAIM, name, reason) for name in names]
    verdicts = []
    for part, name in enumerate(names):
        ratios = []
        for path in paths:
            last = int(path.steps[n - 1])
            predicted = predict_stage_one(exp, path.sparse[0], path.dense[0], last)
            expected = (predicted.sparse, predicted.dense)[part][path.steps[:n]]
            expected = expected * (path.slowed_sparse, path.slowed_dense)[part][:n]
            measured = (path.sparse, path.dense)[part][:n]
            ratios.append(np.divide(measured, expected, out=np.ones(n), where=expected > 0))
        ratios = np.array(ratios)
        worst = int(np.abs(ratios.mean(axis=0) - 1).argmax())
        sd = float(max(path.scatter[worst] for path in paths)) / math.sqrt(len(observed))
        verdicts.append(
            within(
                CLAIM,
                name,
                1.0,
                ratios[:, worst],
                max(0.02, 4 * sd),
                f"worst row, step {paths[0].steps[worst]}, of all up to step {last}, where similarities"
                f" slow the growth by 5 %; the larger of 2 % and four standard deviations,"
                f" {100 * sd:.2g} % each, by the batches' noise that all neurons share",
            )
        )
    return [*verdicts, _crossing(observed)]


class LinearRows(NamedTuple):
    """The rows of a run's stage I in which similarities slow the growth by a small fraction at most.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
    sparse, dense : ndarray of shape (T,)
        ‖α‖² and ‖β‖², summed over the neurons.
    slowed_sparse, slowed_dense : ndarray of shape (T,)
        Factors by which the softmax lowers the two.
    scatter : ndarray of shape (T,)
        Standard deviation of a seed's ‖α‖², relative to its mean.
    """

    steps: np.ndarray
    sparse: np.ndarray
    dense: np.ndarray
    slowed_sparse: np.ndarray
    slowed_dense: np.ndarray
    scatter: np.ndarray


def linear_rows(observed, slowed):
    """Return the `LinearRows` of a run, up to a pull of `slowed` times the sparse drift.

    Parameters
    ----------
    observed : Observed
    slowed : float

    Returns
    -------
    LinearRows

    Notes
    -----
    The scatter: all neurons move by one and the same Ĉ, the batch's cross-covariance. In one step
    the relative change of a = Σ‖α_i‖² has the variance

        4η²q²/(B a²) [ v tr G² + (s + n₁) n₂ Σ‖α_i‖²‖β_i‖² ],   G = Σ α_i α_iᵀ,
        v = Var(u⁺u⁺⁺) = s + s(n₁ + n₂ + 4x) + n₁n₂ + 2x² - (s + x)²

    for u^± = ⟨M_j, x^±⟩ with E u⁺² = s + n₁, E u⁺⁺² = s + n₂, E u⁺u⁺⁺ = s + x, and the steps add up
    (derived in featlearn/theory/derivation.md, "Scatter of a seed").
    """
    run, exp, views = observed.run, observed.experiment, view_moments(observed.experiment)
    rows = observed.rows_before(observed.first_row_of(2) or len(run))
    steps = np.asarray(run.steps[rows])
    alignments = np.asarray(run["alignment"][rows], np.float64)
    sparse = np.square(alignments).sum(axis=2)
    dense = np.square(run["dense_norm"][rows], dtype=np.float64)
    a, b = sparse.sum(axis=1), dense.sum(axis=1)
    d, m = exp.n_features, exp.n_neurons
    pull_sparse = views.key.sparse * a / d + views.key.dense * b / m
    pull_dense = (views.key.sparse * a + views.key.dense * b) / m
    pull_sparse *= views.anchor.sparse / exp.temperature
    pull_dense *= views.anchor.dense / exp.temperature

    def added_up(rate):
        return np.concatenate([[0.0], np.cumsum(np.diff(steps) * (rate[1:] + rate[:-1]) / 2)])

    with np.errstate(divide="ignore", invalid="ignore"):
        gram = np.matmul(alignments.transpose(0, 2, 1), alignments)
        inside = _product_variance(views) * np.square(gram).sum(axis=(1, 2))
        across = views.anchor.sparse * views.key.dense * (sparse * dense).sum(axis=1)
        rate = (inside + across) / a**2
    drift = 1 + exp.learning_rate * (views.cross.sparse - exp.weight_decay)
    scale = 4 * (exp.learning_rate * uniform_attraction(exp) / drift) ** 2 / exp.batch_size
    columns = (
        steps,
        a,
        b,
        np.exp(-2 * exp.learning_rate * added_up(pull_sparse)),
        np.exp(-2 * exp.learning_rate * added_up(pull_dense)),
        np.sqrt(scale * added_up(rate)),
    )
    small = np.logical_and.accumulate(pull_sparse <= slowed * views.cross.sparse)
    return LinearRows(*(column[small] for column in columns))


def _product_variance(views):
    """Var(u⁺u⁺⁺) along an atom; see `linear_rows`."""
    s = views.density
    n1, n2, x = views.anchor.sparse - s, views.key.sparse - s, views.cross.sparse - s
    return s + s * (n1 + n2 + 4 * x) + n1 * n2 + 2 * x**2 - (s + x) ** 2


def _is_even(experiment):
    """Whether masks treat all directions of span(M) and of its complement nearly alike."""
    masked = augmentation_of(experiment).n_masks > 0
    wide = experiment.n_inputs >= _LEAST_RATIO * experiment.n_features
    return not masked or experiment.dictionary == "flat" or wide


def _crossing(observed):
    """Compare ln of the growth of ‖W‖ at ‖α‖ = ‖β‖ with g*."""
    name, exp = "g*, ln of the growth of ‖W‖ at ‖α‖ = ‖β‖", observed[0].experiment
    found, expected = [], []
    for o in observed:
        rows = linear_rows(o, 0.1)
        sparse, dense = rows.sparse, rows.dense
        leads = np.flatnonzero(sparse >= dense)
        if len(leads) == 0 or leads[0] == 0:
            return does_not_apply(CLAIM, name, "the two do not cross while similarities are small")
        # ln(a/β²) is smooth, and 0 at the crossing.
        before, after = leads[0] - 1, leads[0]
        gap = np.log(sparse[[before, after]] / dense[[before, after]])
        share = -gap[0] / (gap[1] - gap[0])
        total = np.log(sparse + dense)
        at = (1 - share) * total[before] + share * total[after]
        found.append(0.5 * (at - total[0]))
        expected.append(crossing(exp, sparse[0], dense[0]).growth)
    mean = float(np.mean(expected))
    shifted = mean + np.array(found) - np.array(expected)
    why = "10 %, or 0.05 for a small g*: what 10 % less growth and the scatter of a seed make of it"
    return within(CLAIM, name, mean, shifted, 0.1, why, absolute=0.05)


@claim("plateau")
def claim_plateau(observed):
    """Compare the end of a long linear run with the plateau of the linear phase.

    Parameters
    ----------
    observed : list of Observed
        Runs of one experiment, of different seeds.

    Returns
    -------
    list of Verdict
    """
    claim, name, exp = "plateau", "squared singular values of WM, mean", observed[0].experiment
    if exp.stage_one_growth is not None:
        return [does_not_apply(claim, name, "the biases are raised before it: no linear run")]
    if view_moments(exp).dense_correlation > 0.01:
        return [does_not_apply(claim, name, "the views share dense noise")]
    values, dense = [], []
    for o in observed:
        rows = o.rows[2 * len(o.rows) // 3 :]
        alignments = np.asarray(o.run["alignment"][rows], np.float64)
        per_row = np.square(np.linalg.svd(alignments, compute_uv=False)).mean(axis=1)
        half = len(per_row) // 2
        if half < 5 or abs(per_row[:half].mean() / per_row[half:].mean() - 1) > 0.02:
            return [does_not_apply(claim, name, "the run is not stationary over its last third")]
        values.append(per_row.mean())
        squares = np.square(o.run["dense_norm"][rows], dtype=np.float64).sum(axis=1)
        dense.append(squares.mean() / exp.n_features)
    expected = softmax_plateau(exp)
    why = "with the true softmax and a finite batch; all directions taken alike"
    return [
        within(claim, name, expected.singular_value_squared, values, 0.05, why),
        within(claim, "‖β‖² a left singular direction", expected.dense_squared, dense, 0.15, why),
    ]
