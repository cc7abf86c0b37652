"""The verdict on one quantity: predicted, measured, how far apart they may be, and what follows.

A prediction is compared with one value for every seed. The mean over the seeds decides; the 95 %
confidence interval of that mean is reported beside it, and where the bound lies inside the interval
the verdict says so.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from ...display import escape, html_table, text_table
from ...errors import InvalidInput
from ...rules import as_number, as_numbers

HOLDS, FAILS, DOES_NOT_APPLY = "holds", "fails", "does not apply"


@dataclass(frozen=True)
class Verdict:
    """What became of one quantity of one claim.

    Attributes
    ----------
    claim : str
        "T1" to "T5", or the name of a prediction, such as "stage I".
    quantity : str
        What was measured, in a few words.
    predicted : float or str
        What the theory says.
    measured : float, str or None
        Mean over the seeds; None where the claim does not apply, "undefined" where it is not a
        finite number.
    spread : float or None
        Half width of the 95 % confidence interval of the mean; None for fewer than two seeds.
    tolerance : str
        How far apart the two may be.
    why : str
        Why that far.
    outcome : {"holds", "fails", "does not apply"}
    reason : str
        The unmet precondition of a claim that does not apply; otherwise a remark or nothing.
    low, high : float or None
        The bounds that `measured` was held against; None for no bound on that side.
    """

    claim: str
    quantity: str
    predicted: float | str
    measured: float | str | None
    spread: float | None
    tolerance: str
    why: str
    outcome: str
    reason: str = ""
    low: float | None = None
    high: float | None = None

    def to_dict(self):
        """Return the fields as plain values that JSON can hold."""
        values = dataclasses.asdict(self)
        bad = [k for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)]
        return {**values, **dict.fromkeys(bad)}


def at_most(claim, quantity, bound, values, why, predicted=None, reason=""):
    """Judge a prediction "at most `bound`".

    Parameters
    ----------
    claim, quantity, why, reason : str
        See `Verdict`.
    bound : float
    values : float or sequence of float
        One measured value for every seed.
    predicted : float or str, optional
        What the theory says where that is not the bound itself.

    Returns
    -------
    Verdict
    """
    bound = as_number("bound", bound)
    wanted = f"≤ {number(bound)}"
    return _judge(claim, quantity, predicted, values, (-math.inf, bound), wanted, why, reason)


def at_least(claim, quantity, bound, values, why, predicted=None, reason=""):
    """Judge a prediction "at least `bound`"; the parameters are those of `at_most`."""
    bound = as_number("bound", bound)
    wanted = f"≥ {number(bound)}"
    return _judge(claim, quantity, predicted, values, (bound, math.inf), wanted, why, reason)


def within(claim, quantity, predicted, values, relative, why, absolute=0.0, reason=""):
    """Judge a predicted number, within the larger of a relative and an absolute tolerance.

    Parameters
    ----------
    claim, quantity, why, reason : str
        See `Verdict`.
    predicted : float
    values : float or sequence of float
        One measured value for every seed.
    relative, absolute : float ≥ 0

    Returns
    -------
    Verdict
    """
    predicted = as_number("predicted", predicted)
    relative, absolute = _tolerance("relative", relative), _tolerance("absolute", absolute)
    allowed = max(relative * abs(predicted), absolute)
    by_ratio = allowed == relative * abs(predicted)
    wanted = f"± {100 * relative:.3g} %" if by_ratio else f"± {number(absolute)}"
    interval = (predicted - allowed, predicted + allowed)
    return _judge(claim, quantity, predicted, values, interval, wanted, why, reason)


def does_not_apply(claim, quantity, reason, predicted="", why=""):
    """Return the verdict on a claim whose precondition, named in `reason`, is not met."""
    return Verdict(claim, quantity, predicted, None, None, "", why, DOES_NOT_APPLY, reason)


def _tolerance(name, value):
    found = as_number(name, value)
    if not found >= 0:
        raise InvalidInput(name, value, "a number ≥ 0")
    return found


def _judge(claim, quantity, predicted, values, interval, wanted, why, reason):
    values = np.atleast_1d(as_numbers("values", values)).astype(np.float64)
    if values.ndim > 1:
        # Their mean would be one, and their confidence that of so many seeds.
        raise InvalidInput("values", f"shape {values.shape}", "one number for every seed")
    if predicted is None:
        predicted = wanted
    elif not isinstance(predicted, str):
        predicted = as_number("predicted", predicted)
    low, high = interval
    bounds = [float(bound) if math.isfinite(bound) else None for bound in interval]
    if not np.isfinite(values).all() or len(values) == 0:
        return Verdict(
            claim, quantity, predicted, "undefined", None, wanted, why, FAILS, reason, *bounds
        )
    mean, spread = float(values.mean()), confidence(values)
    outcome = HOLDS if low <= mean <= high else FAILS
    if spread is not None and any(abs(mean - bound) < spread for bound in interval):
        remark = "the bound lies inside the confidence interval: more seeds would decide"
        reason = f"{reason}; {remark}" if reason else remark
    return Verdict(claim, quantity, predicted, mean, spread, wanted, why, outcome, reason, *bounds)


def confidence(values):
    """Return the half width of the 95 % confidence interval of the mean, None for one value.

    Student's t on the values of independent seeds, t_{0.975, n-1} · sd/√n.
    """
    n = len(values)
    if n < 2:
        return None
    return float(special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(n))


def number(value):
    """Return a number, text or None as a table shows it."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4g}"


def verdict_html(verdicts):
    """Return verdicts as a table of HTML."""
    rows = []
    for v in verdicts:
        spread = "" if v.spread is None else f" ± {v.spread:.2g}"
        why = "; ".join(part for part in (v.why, v.reason) if part)
        style = {"holds": "holds", "fails": "fails"}.get(v.outcome, "none")
        shown = (v.claim, v.quantity, number(v.predicted), number(v.measured) + spread, v.tolerance)
        outcome = f'<span class="{style}">{escape(v.outcome)}</span>'
        rows.append([*map(escape, shown), outcome, f'<span class="why">{escape(why)}</span>'])
    head = ["claim", "quantity", "predicted", "measured", "tolerance", "verdict", "why this far"]
    return html_table(head, rows)


def table(verdicts, why=True):
    """Return verdicts as a plain table that fits the terminal.

    Parameters
    ----------
    verdicts : sequence of Verdict
    why : bool
        Follow each row by why its tolerance is what it is.

    Returns
    -------
    str
    """
    rows = [("claim", "quantity", "predicted", "measured", "tolerance", "verdict")]
    indent = " " * (max((len(v.claim) for v in verdicts), default=0) + 4)
    for v in verdicts:
        spread = "" if v.spread is None else f" ± {v.spread:.2g}"
        measured = number(v.measured) + spread
        rows.append((v.claim, v.quantity, number(v.predicted), measured, v.tolerance, v.outcome))
        rows += [indent + note for note in (why and v.why, v.reason) if note]
    return text_table(rows, rule=True)


def count_outcomes(verdicts):
    """Return one line that counts the outcomes."""
    counts = [(sum(v.outcome == o for v in verdicts), o) for o in (HOLDS, FAILS, DOES_NOT_APPLY)]
    held, failed, skipped = (count for count, _ in counts)
    return f"{held} hold, {failed} fail, {skipped} do not apply"
