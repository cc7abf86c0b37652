"""The sparse share of a run without augmentation, followed through saturation from the start of stage II."""

import math

import numpy as np

from ...gram_views import view_law
from ..predictions.dense_path import MOST_SPARSE, Parts, dense_path, not_followed
from .applicability import contrastive
from .claim import claim
from .verdict import does_not_apply, within

CLAIM = "dense run"
NAME = "ln(Σ‖α_i‖²/Σ‖β_i‖²) at the end"
TOLERANCE = 0.4
_SMALLEST = 1e-300


def _augmented(experiment):
    """Return why the claim does not speak of an experiment with other views, or None."""
    if view_law(experiment).identical_views:
        return None
    return f"it speaks of runs without augmentation, not of {experiment.augmentation}"


@claim(CLAIM, (contrastive, _augmented))
def claim_dense_run(observed):
    """Compare the shares that a dense network ends with, and those that its stage II led to expect.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "A dense run through saturation".
    """
    unmet = not_followed(observed[0].experiment)
    if unmet:
        return [does_not_apply(CLAIM, NAME, unmet)]
    if any(o.first_row_of(2) is None for o in observed):
        return [does_not_apply(CLAIM, NAME, "the run has not left stage I")]
    predicted, found = zip(*(_shares(o) for o in observed))
    share = 1 / (1 + math.exp(-np.mean(predicted)))
    if share > MOST_SPARSE:
        reason = f"a sparse share of {share:.2g} is predicted: neurons select features"
        return [does_not_apply(CLAIM, NAME, reason)]
    # Each seed has a start of its own.
    values = np.mean(predicted) + np.subtract(found, predicted)
    why = (
        "from the state at the start of stage II, by many neurons in random directions; the fewer"
        " neurons, the more each is told from the others"
    )
    return [within(CLAIM, NAME, float(np.mean(predicted)), values, 0.0, why, absolute=TOLERANCE)]


def _shares(observed):
    """Return ln(Σ‖α_i‖²/Σ‖β_i‖²) at the last row, as predicted and as recorded."""
    run, row = observed.run, observed.first_row_of(2)
    ratio = float(run["bias"][row].sum() / max(run["weight_norm"][row].sum(), _SMALLEST))
    last = run.experiment.replace(n_steps=int(run.steps[-1]))
    *_, end = dense_path(last, Parts(int(run.steps[row]), *_squares(run, row), ratio))
    predicted = max(end.sparse, _SMALLEST) / max(end.dense, _SMALLEST)
    return math.log(predicted), math.log(np.divide(*_squares(run, -1)))


def _squares(run, row):
    """Return the means of ‖α_i‖² and ‖β_i‖² in a row; of what vanished, a number still."""
    sparse = np.square(run["alignment"][row], dtype=np.float64).sum(axis=1).mean()
    dense = np.square(run["dense_norm"][row], dtype=np.float64).mean()
    return max(float(sparse), _SMALLEST), max(float(dense), _SMALLEST)
