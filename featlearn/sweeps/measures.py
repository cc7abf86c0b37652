"""The measures of a finished run that go into its row of a sweep, and its verdicts."""

import math

import numpy as np

from ..alignment import sparse_share
from ..errors import InvalidInput
from ..experiment import Experiment
from ..theory.claims.checking import check
from ..theory.claims.claim import judge
from ..theory.claims.verdict import FAILS, HOLDS
from ..theory.predictions.crossing import crossing, noise_margin
from ..theory.predictions.saturation import saturation_growth

CLAIMS = ("T1", "T2", "T3", "T4", "T5")


def measures(observed):
    """Return the measures of a run: those of its `Summary`, and what these words name.

    ``stage_one_share``     the median sparse share at the last recorded row of stage I
    ``sparse_share_drift``  change of that median over the last fifth of the steps, near 0 in a run
                            that has saturated
    ``noise_margin``        predicted: sampling noise against signal, features are learned below 1
    ``crossing_growth``     predicted g*: ln of the growth at which the sparse part takes the lead
    ``available_growth``    predicted g: ln of the growth until saturation; `growth` is the measured
                            one

    and the last value of every number of a user's own. What is predicted from the experiment is nan
    where a part of the user's own takes the place of one of its own.

    Parameters
    ----------
    observed : Observed

    Returns
    -------
    dict of str to float
    """
    run = observed.run
    one = np.flatnonzero(run["stage"] == 1)[-1]
    late = int(np.searchsorted(run.steps, 0.8 * run.steps[-1]))
    share = {
        row: np.median(sparse_share(run["alignment"][row], run["weight_norm"][row]))
        for row in (one, late, -1)
    }
    return joined(
        observed.summary.to_dict(),
        {"stage_one_share": float(share[one])},
        {"sparse_share_drift": float(share[-1] - share[late])},
        _predicted(run),
        {q.name: float(run[q.name][-1]) for q in run.asked if q.shape == ()},
    )


def joined(*parts):
    """Return the parts of a row as one; what a user's own is called may be no other column's name."""
    row = {}
    for part in parts:
        for name in part:
            if name in row or name in ("run", "status", "error", *Experiment.__dataclass_fields__):
                wanted = "another name for what is your own: the table has a column of this one"
                raise InvalidInput("sweep", name, wanted)
        row |= part
    return row


def _predicted(run):
    names = ("noise_margin", "crossing_growth", "available_growth")
    if run.own:
        return dict.fromkeys(names, math.nan)
    exp = run.experiment
    return dict(zip(names, (noise_margin(exp), crossing(exp).growth, saturation_growth(exp))))


def verdicts(observed):
    """Return how the theory's claims fare on a run.

    ``T1`` to ``T5``    fraction of the verdicts on that claim that hold; nan where none applies
    ``verdicts_hold``, ``verdicts_fail``    how many do, of all claims and predictions

    Parameters
    ----------
    observed : Observed

    Returns
    -------
    dict of str to float
    """
    found = [v for v in check(observed) if v.outcome in (HOLDS, FAILS)]
    values = {}
    for claim in CLAIMS:
        holds = [v.outcome == HOLDS for v in found if v.claim == claim]
        values[claim] = float(np.mean(holds)) if holds else float("nan")
    values["verdicts_hold"] = sum(v.outcome == HOLDS for v in found)
    values["verdicts_fail"] = sum(v.outcome == FAILS for v in found)
    return values


def own_verdicts(observed, claims):
    """Return how claims of a user's own fare on a run: by name, the fraction of verdicts that hold.

    Parameters
    ----------
    observed : Observed
    claims : sequence of functions
        Marked by `featlearn.claim`.
    """
    holds = {}
    for function in claims:
        # Several may have one name, as a lemma of several functions.
        of_name = holds.setdefault("_".join(function.claim.name.split()), [])
        judged = [v for v in judge(function, [observed]) if v.outcome in (HOLDS, FAILS)]
        of_name += [v.outcome == HOLDS for v in judged]
    return {name: float(np.mean(each)) if each else math.nan for name, each in holds.items()}
