"""A quantity of a claim: how it is measured on a run and what it is held against."""

from collections.abc import Callable
from typing import NamedTuple

from .verdict import does_not_apply


class Quantity(NamedTuple):
    """One quantity of a claim, to be measured on each run and compared with a bound."""

    name: str
    predicted: str
    judge: Callable
    bound: float
    measure: Callable
    why: str


def judged(claim, observed, unmet, quantities):
    """Return the verdicts on the quantities of a claim.

    Parameters
    ----------
    claim : str
    observed : list of Observed
        Runs of one experiment, of different seeds.
    unmet : str
        The precondition that is not met, if any; the claim then does not apply.
    quantities : list of Quantity

    Returns
    -------
    list of Verdict
    """
    if unmet:
        return [does_not_apply(claim, "all of its quantities", unmet)]
    return [
        q.judge(claim, q.name, q.bound, [q.measure(o) for o in observed], q.why, q.predicted)
        for q in quantities
    ]
