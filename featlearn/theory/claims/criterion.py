"""A criterion of a claim: what is measured on a run and the bound it is held against."""

from collections.abc import Callable
from typing import NamedTuple

from .verdict import does_not_apply


class Criterion(NamedTuple):
    """A number that a claim is judged by, one for each run, its bound, and its own unmet precondition."""

    name: str
    predicted: str
    judge: Callable
    bound: float
    value: Callable
    why: str
    unmet: str = ""


def judged(claim, observed, unmet, criteria):
    """Return the verdicts on the criteria of a claim.

    Parameters
    ----------
    claim : str
    observed : list of Observed
        Runs of one experiment, of different seeds.
    unmet : str
        The precondition that is not met, if any; the claim then does not apply.
    criteria : list of Criterion

    Returns
    -------
    list of Verdict
    """
    if unmet:
        return [does_not_apply(claim, "all of its criteria", unmet)]
    return [
        does_not_apply(claim, c.name, c.unmet, c.predicted)
        if c.unmet
        else c.judge(claim, c.name, c.bound, [c.value(o) for o in observed], c.why, c.predicted)
        for c in criteria
    ]
