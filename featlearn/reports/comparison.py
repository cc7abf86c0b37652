"""Runs beside each other: what the claims measure on each, and the verdicts."""

import itertools
import textwrap

import numpy as np

from ..summary import MEASURES
from ..theory.claims.groups import twins
from ..theory.claims.limit import claim_limit, limit_criteria
from ..theory.claims.representation import CRITERIA
from ..theory.claims.twins import CLAIM as TWINS
from ..theory.claims.twins import twin_criteria
from ..theory.claims.verdict import DOES_NOT_APPLY, FAILS, HOLDS, WIDTH, number


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
        At most 100 columns wide for two runs.
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
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    titles = list(dict.fromkeys(title for title, _ in summaries))
    lines = ["  ".join(f"{cell:{w}}" for cell, w in zip(row, widths)) for row in [head, *rows]]
    counted = ", then ".join(titles)
    return "\n".join([f"All beside each other: {counted}.", "", *(x.rstrip() for x in lines)])


def _row(claim, criterion, values, verdicts):
    bound = criterion.judge(claim, criterion.name, criterion.bound, np.nan, "").tolerance
    outcomes = {v.outcome for v in verdicts.get((claim, criterion.name), ())}
    outcome = next((o for o in (FAILS, HOLDS) if o in outcomes), DOES_NOT_APPLY)
    return [criterion.name, *map(number, values), bound, outcome]


def _text(labels, sections):
    head = ["", *labels, "bound", "verdict"]
    table = [head, *(row for _, rows in sections for row in rows)]
    widths = [max(len(row[k]) for row in table) for k in range(1, len(head))]
    widths = [max(WIDTH - sum(widths) - 2 * len(widths), 24), *widths]

    def line(row):
        *above, last = textwrap.wrap(row[0], widths[0] - 2) or [""]
        cells = [f"  {last}", *row[1:]]
        return [*(f"  {part}" for part in above),
                "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths)).rstrip()]  # fmt: skip

    lines = line(head)
    for title, rows in sections:
        lines += ["", title, *(part for row in rows for part in line(row))]
    return "\n".join(lines)
