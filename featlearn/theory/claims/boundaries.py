"""Stage boundaries found in the trajectory, without being told the schedule, and planned before it.

The fraction of neurons that an input activates shows the stages: it is 1 while b = 0, jumps when
the biases are raised, falls while they grow faster than the norms, and levels off once they follow
the norms. So it is cut where straight pieces fit it best.
"""

import math

import numpy as np

from ..predictions.linear_phase import linear_phase
from ..predictions.moments import view_moments
from ..predictions.stages import NORMS_DECIDE, predict_stages, unknown_steps
from .applicability import contrastive, dying, few_anchors
from .claim import claim
from .stage_one import linear_rows
from .verdict import does_not_apply, within

CLAIM = "boundaries"
SEEN = ("start of stage II, seen in the activity", "start of stage III, seen in the activity")
PLANNED = (
    "start of stage II, planned before the run",
    "start of stage III, planned before the run",
)

# A further piece must leave at most this part of the squared residuals, and residuals whose root
# mean square is below this part of the series' range are not worth one.
_GAIN, _FINE = 0.25, 0.015
# How far off the length of stage II was where single features stood out of a neuron's sum early.
_ONE_FOR_ALL = 0.36
# Fewer rows than this do not show a straight piece.
_LEAST_ROWS = 20


def find_boundaries(activity, most=2):
    """Cut a series where straight pieces fit it best.

    Parameters
    ----------
    activity : ndarray of shape (T,)
    most : int
        Largest number of cuts.

    Returns
    -------
    list of int
        First index of every piece but the first. As few as the data ask for: a further cut must
        leave at most a quarter of the squared residuals, and residuals of 1.5 % of the range of
        the series are left alone.
    """
    y = np.asarray(activity, np.float64)
    cost = _costs(y)
    fits = [(cost[0, -1], [])]
    for cuts in range(1, most + 1):
        fits.append(_best(cost, cuts))
    fine = len(y) * (_FINE * np.ptp(y)) ** 2
    chosen = 0
    for cuts in range(1, most + 1):
        if fits[chosen][0] > fine and fits[cuts][0] <= _GAIN * fits[chosen][0]:
            chosen = cuts
    return fits[chosen][1]


def boundaries_of(observed):
    """Return the steps at which stages II and III seem to start, as many as were found.

    The trajectory is read at evenly spread rows, and once more, row by row, around each cut for the
    steepest fall.
    """
    activity, rows = observed.run["active_fraction"], observed.rows
    found = []
    for cut in find_boundaries(activity[rows].mean(axis=1)):
        near = np.arange(rows[cut - 1], rows[cut] + 1)
        fall = np.diff(activity[near].mean(axis=1, dtype=np.float64))
        found.append(int(observed.run.steps[near[1 + fall.argmin()]]))
    return found


@claim(CLAIM, contrastive)
def claim_boundaries(observed):
    """Compare the boundaries found in the trajectory with those of the schedule."""
    if min(len(o.run) for o in observed) < _LEAST_ROWS:
        reason = f"fewer than {_LEAST_ROWS} recorded rows"
        return [does_not_apply(CLAIM, "start of stages II and III", reason)]
    every = observed[0].experiment.record_every
    found = [boundaries_of(o) for o in observed]
    verdicts = []
    starts = {stage: [o.first_row_of(stage) for o in observed] for stage in (2, 3)}
    for stage, name in ((2, SEEN[0]), (3, SEEN[1])):
        rows = starts[stage]
        if None in rows:
            verdicts.append(does_not_apply(CLAIM, name, "the run ended before it"))
            continue
        both = [(o, row) for s in range(2, stage + 1) for o, row in zip(observed, starts[s])]
        if not all(_shows(o, row) for o, row in both):
            reason = "the active fraction has no kink there that straight pieces show"
            verdicts.append(does_not_apply(CLAIM, name, reason))
            continue
        recorded = [int(o.run.steps[row]) for o, row in zip(observed, rows)]
        steps = [f[stage - 2] if len(f) > stage - 2 else np.nan for f in found]
        length = float(np.mean([o.run.steps[-1] for o in observed]))
        if stage == 2:
            allowed, why = 2.0 * every, "a jump of the active fraction: two recorded rows"
        else:
            capping = max(_capping_steps(o) for o in observed)
            allowed = max(0.05 * length, 2.0 * every, capping)
            why = (
                "a kink of the active fraction, half of the neurons early: 5 % of the run, or the"
                f" {capping:.0f} steps in which all but the first and the last tenth reach the cap"
            )
        apart = [step - truth for step, truth in zip(steps, recorded)]
        mean = float(np.mean(recorded))
        verdicts.append(within(CLAIM, name, mean, mean + np.array(apart), 0.0, why, allowed))
    return [*verdicts, *planned(observed)]


def planned(observed):
    """Compare the starts of stages II and III with what the plan says before anything runs.

    A norm that is known to 2 % and a seed's scatter gives the step at which it passes a bound to so
    many steps as it takes to grow by that. In stage II the ratio b/‖w‖ grows by the factor γ over the
    norm's: what the norm does meanwhile is estimated for all neurons as one, and counts as unknown.
    """
    exp = observed[0].experiment
    rows = [[o.first_row_of(stage) for o in observed] for stage in (2, 3)]
    if exp.stage_one_growth is None or None in rows[0] or exp.objective != "infonce":
        reason = "the run has no stage II, or another loss, which is not planned"
        return [does_not_apply(CLAIM, name, reason) for name in PLANNED]
    reason = few_anchors(exp)
    if exp.resolved_density > 0.5:
        reason = "more than half of the latents are present: the plan is for sparse ones"
    if reason:
        return [does_not_apply(CLAIM, name, reason) for name in PLANNED]
    stages = predict_stages(exp)
    steps = [[int(o.run.steps[k]) for o, k in zip(observed, each) if k] for each in rows]
    lines = [linear_rows(o, least_drift=0.0) for o in observed]
    slope, share = _growth_at(exp, stages.two)
    spread = max(line.scatter_sparse[-1] for line in lines) / math.sqrt(len(observed))
    allowed = (0.02 + 2 * share * spread) / slope + exp.record_every if slope > 0 else math.inf
    if not math.isfinite(stages.two) or allowed > 0.5 * stages.two:
        reason = "the norm passes that bound where it hardly grows any more, or is not predicted to"
        return [does_not_apply(CLAIM, name, reason) for name in PLANNED]
    why = (
        f"growth of ‖w‖ by {100 * slope:.2g} % a step there: 2 %, and four standard deviations of a"
        " seed's norms"
    )
    verdicts = [within(CLAIM, PLANNED[0], stages.two, steps[0], 0.0, why, allowed)]
    gain = math.log(exp.resolved_bias_growth)
    if math.isnan(stages.three):
        reason = "the views share noise and the sparse part leads: there is no estimate for that"
        return [*verdicts, does_not_apply(CLAIM, PLANNED[1], reason)]
    if len(steps[1]) < len(observed) or not math.isfinite(stages.three) or gain == 0:
        return [*verdicts, does_not_apply(CLAIM, PLANNED[1], "the run has no stage III")]
    # Where attraction cannot hold them up, norms fall as fast as decay lets them.
    dies = dying(exp) if view_moments(exp).cross.dense > 0 else ""
    if dies:
        return [*verdicts, does_not_apply(CLAIM, PLANNED[1], dies)]
    unknown, length = unknown_steps(exp, stages), stages.three - stages.two
    if unknown > 0.5 * length:
        return [*verdicts, does_not_apply(CLAIM, PLANNED[1], NORMS_DECIDE)]
    allowed += unknown + _ONE_FOR_ALL * length
    why = (
        f"{unknown:.0f} steps for the change of ‖w‖ in stage II, {100 * _ONE_FOR_ALL:.0f} % of it as"
        " the estimate takes all neurons for one, and what stage II's start is known to"
    )
    return [*verdicts, within(CLAIM, PLANNED[1], stages.three, steps[1], 0.0, why, allowed)]


def _growth_at(experiment, step):
    """ln of the growth of ‖w‖ in a step of stage I, and the sparse share, as predicted there."""
    if not math.isfinite(step):
        return 0.0, 1.0
    before = after = None
    for weights, _ in zip(linear_phase(experiment), range(max(int(step), 2))):
        before, after = after, weights
    total = [w.sparse + w.dense for w in (before, after)]
    return 0.5 * math.log(total[1] / total[0]), after.sparse_share


def _capping_steps(observed):
    """Number of steps in which all but the first and the last tenth of the neurons reach the cap."""
    run, rows = observed.run, observed.rows
    cap = observed.experiment.bias_cap * run["weight_norm"][rows] * (1 - 1e-6)
    share = (run["bias"][rows] >= cap).mean(axis=1)
    steps = np.asarray(run.steps[rows])
    after = [steps[np.argmax(share >= part)] for part in (0.1, 0.9) if share.max() >= part]
    return float(after[1] - after[0]) if len(after) == 2 else 0.0


def _shows(observed, row):
    """Whether straight pieces cut at that row fit the active fraction better than one does."""
    rows = observed.rows
    cut = int(np.searchsorted(rows, row))
    if cut < _LEAST_ROWS or len(rows) - cut < _LEAST_ROWS:
        return False
    y = observed.run["active_fraction"][rows].mean(axis=1, dtype=np.float64)
    start = observed.first_row_of(2)
    first = int(np.searchsorted(rows, start)) if start < row else 0
    if cut - first < _LEAST_ROWS:
        return False
    cost = _costs(y[first:])
    n = len(cost)
    # A constant, the activity of biases that stay at 0, is no better with a cut.
    return cost[0, cut - first - 1] + cost[cut - first, n - 1] < _GAIN * cost[0, n - 1]


def _costs(y):
    """Squared residuals of the least-squares line through y[i:j+1], for all i ≤ j."""
    n = len(y)
    t = np.arange(n, dtype=np.float64)

    def sums(values):
        total = np.concatenate([[0.0], np.cumsum(values)])
        return total[None, 1:] - total[:-1, None]

    count = np.maximum(t[None, :] - t[:, None] + 1, 1)
    st, sy = sums(t), sums(y)
    tt = sums(t * t) - st**2 / count
    ty = sums(t * y) - st * sy / count
    yy = sums(y * y) - sy**2 / count
    slope_gain = np.divide(ty**2, tt, out=np.zeros_like(tt), where=tt > 1e-9)
    cost = np.maximum(yy - slope_gain, 0.0)
    cost[np.tril_indices(n, -1)] = np.inf
    return cost


def _best(cost, cuts):
    """The least cost of `cuts` cuts, and where they are."""
    n = len(cost)
    best, back = cost[0].copy(), []
    for _ in range(cuts):
        # total[k, j]: the pieces before k, and one more from k to j.
        total = np.full((n, n), np.inf)
        total[1:] = best[:-1, None] + cost[1:]
        back.append(total.argmin(axis=0))
        best = total.min(axis=0)
    place, end = [], n - 1
    for pointers in reversed(back):
        start = int(pointers[end])
        place.append(start)
        end = start - 1
    return float(best[-1]), place[::-1]
