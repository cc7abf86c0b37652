"""Stage III against a run: similarities of the order of τ, and forces in balance on each atom."""

import numpy as np

from ...summary import PURE
from ..predictions.balance import measured_balance, pure_balance
from .applicability import AT_REST, contrastive, features_not_promised, few_inputs
from .claim import claim
from .representation import few_neurons
from .verdict import does_not_apply, within

CLAIM = "stage III"
NAMES = (
    "repulsion and decay over attraction, learned atoms",
    "Σ_i α_ij²/τ an atom, over its own neurons",
    "similarity of the two views over τ",
    "P_pp",
)


@claim(CLAIM, needs=contrastive)
def claim_stage_three(observed):
    """Compare the end of a run with the balance of a network of pure neurons.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage III balance". The prediction takes two numbers
    from the run: the ratio of bias to norm, which is that of the schedule's cap, and how pure the
    pure neurons are.
    """
    unmet = features_not_promised(observed) or few_neurons(observed[0].experiment)
    unmet = unmet or _restless(observed)
    if unmet:
        return [does_not_apply(CLAIM, name, unmet) for name in NAMES]
    measured = [measured_balance(o, PURE) for o in observed]
    threshold = float(np.mean([np.median(o.run.biases / o.norms) for o in observed]))
    cosine = float(np.mean([m.cosine for m in measured]))
    expected = pure_balance(observed[0].experiment, threshold, cosine)
    low, high = np.quantile(np.concatenate([m.ratio for m in measured]), [0.05, 0.95])
    pure = np.mean([np.mean(o.cosine.max(axis=1) >= PURE) for o in observed])
    impure = f"{100 * (1 - pure):.0f} % of the neurons are not pure"

    def values(name):
        return [getattr(m.balance, name) for m in measured]

    at_rest = within(
        CLAIM,
        NAMES[0],
        1.0,
        [m.total for m in measured],
        0.1 + 4 * max(m.error for m in measured),
        "they cancel where norms rest; 10 % for slow drift, and four standard errors of eight batches",
        reason=f"nine of ten atoms lie between {low:.3g} and {high:.3g}",
    )
    # The rows of a flat M are alike, and neurons do not lean to some of them.
    flat = observed[0].experiment.dictionary == "flat"
    few = "" if flat else few_inputs(observed[0].experiment)
    if few:
        return [at_rest, *(does_not_apply(CLAIM, name, few) for name in NAMES[1:])]
    return [
        at_rest,
        within(
            CLAIM,
            NAMES[1],
            expected.strength,
            values("strength"),
            0.12,
            f"where attraction equals repulsion and decay in a network of neurons of cosine"
            f" {cosine:.3g}; 12 % as {impure}",
        ),
        within(
            CLAIM,
            NAMES[2],
            expected.similarity,
            values("similarity"),
            0.2 + 4 * max(m.similarity_error for m in measured),
            "of order 1, as that balance has it; further than Σα², whose spread over atoms acts"
            " through products of two outputs; and four standard errors of eight batches",
        ),
        within(
            CLAIM,
            NAMES[3],
            expected.positive_probability,
            values("positive_probability"),
            0.3 + 4 * max(m.probability_error for m in measured),
            "exponential in the similarity; and four standard errors of eight batches",
        ),
    ]


def _restless(observed):
    """Why no balance is to be expected of these runs, or nothing."""
    exp = observed[0].experiment
    if not exp.stop_gradient:
        return "the loss has no stop-gradient, which the balance assumes"
    if exp.weight_decay == 0:
        return "without weight decay norms do not come to rest"
    for o in observed:
        if not (o.cosine.max(axis=1) >= PURE).mean() >= 0.5:
            return "fewer than half of the neurons are pure"
        if abs(o.late_growth) > AT_REST:
            return (
                f"norms still move, by {100 * o.late_growth:.2g} % over the last tenth of the run"
            )
    return ""
