"""Stage boundaries found in the trajectory, without being told the schedule.

The fraction of neurons that an input activates shows the stages: it is 1 while b = 0, jumps when
the biases are raised, falls while they grow faster than the norms, and levels off once they follow
the norms. So it is cut where straight pieces fit it best.
"""

import numpy as np

from .applicability import contrastive
from .claim import claim
from .verdict import does_not_apply, within

CLAIM = "boundaries"

# A further piece must leave at most this part of the squared residuals, and residuals whose root
# mean square is below this part of the series' range are not worth one.
_GAIN, _FINE = 0.25, 0.015
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
    for stage, name in ((2, "start of stage II"), (3, "start of stage III")):
        rows = [o.first_row_of(stage) for o in observed]
        if None in rows:
            verdicts.append(does_not_apply(CLAIM, name, "the run ended before it"))
            continue
        recorded = [int(o.run.steps[row]) for o, row in zip(observed, rows)]
        steps = [f[stage - 2] if len(f) > stage - 2 else np.nan for f in found]
        length = float(np.mean([o.run.steps[-1] for o in observed]))
        if stage == 2:
            allowed, why = 2.0 * every, "a jump of the active fraction: two recorded rows"
        else:
            allowed = max(0.05 * length, 2.0 * every)
            why = "a kink of the active fraction, half of the neurons early: 5 % of the run"
        apart = [step - truth for step, truth in zip(steps, recorded)]
        mean = float(np.mean(recorded))
        verdicts.append(within(CLAIM, name, mean, mean + np.array(apart), 0.0, why, allowed))
    return verdicts


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
