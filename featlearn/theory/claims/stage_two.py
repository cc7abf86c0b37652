"""The stage II mean field against a run: which feature wins a neuron, and how large it grows.

The prediction starts from the recorded state at the end of stage I and ends where the similarity of
the two views reaches τ/10, or the run does.
"""

import numpy as np

from ...summary import PURE
from ..predictions.mean_field import VALID_SIMILARITY, predict
from ..predictions.winners import compare_winners
from .applicability import contrastive, few_inputs
from .claim import claim
from .verdict import at_least, does_not_apply, within

CLAIM = "stage II"
NAMES = ("winning feature as predicted, share of neurons", "winner's |α|, predicted over simulated")
_FEWEST_NEURONS = 10


@claim(CLAIM, needs=contrastive)
def claim_stage_two(observed):
    """Compare the winners of stage II, and their alignments, with the mean field.

    Of the neurons that end pure and whose lead at the end of stage I exceeds its sampling noise; the
    remarks tell of the others.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage II mean field".
    """
    if not observed[0].experiment.stop_gradient:
        return _inapplicable("the loss has no stop-gradient, which the mean field assumes")
    if any(o.first_row_of(2) is None for o in observed):
        return _inapplicable("the run has not left stage I")
    agreement, ratios, remarks = [], [], []
    for o in observed:
        rows, prediction = predict(o.run)
        if not prediction.valid[0]:
            share = prediction.similarity[0] / o.experiment.temperature
            return _inapplicable(
                f"similarities are {share:.2g} τ at the end of stage I, beyond the"
                f" {VALID_SIMILARITY:g} τ up to which the softmax's leading order stands for all of it"
            )
        winners = compare_winners(o.run, rows, prediction, PURE)
        judged, rest = winners.pure & winners.certain, winners.pure & ~winners.certain
        if judged.sum() < _FEWEST_NEURONS:
            return _inapplicable(
                f"{judged.sum()} neurons end pure with a lead beyond the sampling noise:"
                f" take a run with {_FEWEST_NEURONS} at least"
            )
        agreement.append(winners.agreement)
        ratios.append(winners.worst_ratio)
        others = f", where {100 * winners.agreement_uncertain:.0f} % agree" if rest.any() else ""
        last = prediction.steps[np.flatnonzero(prediction.valid)[-1]]
        remarks.append(
            f"seed {o.experiment.seed}: steps {prediction.steps[0]} to {last};"
            f" {judged.sum()} pure neurons judged, {rest.sum()} with a lead within the noise{others}"
        )
    remark = "; ".join(remarks)
    share_why = (
        "noise of one standard deviation still overturns a lead that equals it in 16 of 100 neurons,"
        " fewer the larger the lead"
    )
    ratio_why = (
        "median over these neurons, at the row where it is furthest from 1; 10 % for the softmax"
        " beyond its leading order, and for leaps of up to 10 %"
    )
    few = few_inputs(observed[0].experiment)
    return [
        at_least(CLAIM, NAMES[0], 0.9, agreement, share_why, reason=remark),
        does_not_apply(CLAIM, NAMES[1], few)
        if few
        else within(CLAIM, NAMES[1], 1.0, ratios, 0.1, ratio_why),
    ]


def _inapplicable(reason):
    return [does_not_apply(CLAIM, name, reason) for name in NAMES]
