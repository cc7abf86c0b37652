"""The measures of a finished run that go into its row of a sweep."""

import numpy as np

from .alignment import sparse_share
from .summary import summarize


def measures(run):
    """Return the measures of a run: those of its `Summary`, and what only its trajectory tells.

    ``stage_one_share``     the median sparse share at the last recorded row of stage I
    ``sparse_share_drift``  change of that median over the last fifth of the steps, near 0 in a run
                            that has saturated

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict of str to float
    """
    one = np.flatnonzero(run["stage"] == 1)[-1]
    late = int(np.searchsorted(run.steps, 0.8 * run.steps[-1]))
    share = {
        row: np.median(sparse_share(run["alignment"][row], run["weight_norm"][row]))
        for row in (one, late, -1)
    }
    return {
        **summarize(run).to_dict(),
        "stage_one_share": float(share[one]),
        "sparse_share_drift": float(share[-1] - share[late]),
    }
