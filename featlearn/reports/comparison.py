"""Runs beside each other: what the claims measure on each, and the verdicts."""

import itertools

import numpy as np

from ..display import text_table
from ..summary import MEASURES
from ..theory.claims.groups import twins
from ..theory.claims.limit import claim_limit, limit_criteria
from ..theory.claims.representation import CRITERIA
from ..theory.claims.twins import CLAIM as TWINS
from ..theory.claims.twins import twin_criteria
from ..theory.claims.verdict import DOES_NOT_APPLY, FAILS, HOLDS, number


def comparison(observed, checked):
    """Return what the claims measure, as lines of text: every run a column, verdicts beside them.

    A criterion is measured on all runs, also on those that the theory promises nothing of: that is
    the comparison. The verdict is that of the runs that it speaks of.

    Parameters
    ----------
    observed : dict of str to Observed
        By label.
    checked : list of Checked
        `check_all` of them.

    Returns
    -------
    str
        It fits the terminal.
    """
    verdicts = {}
    for v in itertools.chain.from_iterable(one.verdicts for one in checked):
        verdicts.setdefault((v.claim, v.quantity), []).append(v)
    runs = list(observed.values())
    pairs = {id(plain): (augmented, plain) for [augmented], [plain] in twins([[o] for o in runs])}
    experiment = runs[0].experiment
    sections = []
    for name, (claim, criteria) in {**CRITERIA, "limit": (claim_limit, limit_criteria)}.items():
        rows = [_row(name, c, [c.value(o) for o in runs], verdicts) for c in criteria(experiment)]
        if rows:
            sections.append((claim.__doc__.partition("\n")[0], rows))
    rows = [
        _row(TWINS, c, [c.value(pairs[id(o)]) if id(o) in pairs else None for o in runs], verdicts)
        for c in twin_criteria(experiment)
    ]
    sections.append(("Twins: what the augmentation changes.", rows))
    return _text(list(observed), sections)


def measures(summaries):
    """Return measures of several runs beside each other, as lines of text.

    Parameters
    ----------
    summaries : dict of (str, str) to Summary
        By title of a part and label of a run.
    """
    values = [summary.to_dict() for summary in summaries.values()]
    rows = [
        [said, *(f"{v[name]:.3g}" if name in v else "-" for v in values)]
        for name, said in MEASURES
        if any(name in v for v in values)
    ]
    head = ["", *(label for _, label in summaries)]
    counted = ", then ".join(dict.fromkeys(title for title, _ in summaries))
    return f"All beside each other: {counted}.\n\n{text_table([head, *rows])}"


def _row(claim, criterion, values, verdicts):
    bound = criterion.judge(claim, criterion.name, criterion.bound, np.nan, "").tolerance
    outcomes = {v.outcome for v in verdicts.get((claim, criterion.name), ())}
    outcome = next((o for o in (FAILS, HOLDS) if o in outcomes), DOES_NOT_APPLY)
    return [criterion.name, *map(number, values), bound, outcome]


def _text(labels, sections):
    rows = [["", *labels, "bound", "verdict"]]
    for title, criteria in sections:
        rows += ["", title, *([f"  {row[0]}", *row[1:]] for row in criteria)]
    return text_table(rows)
