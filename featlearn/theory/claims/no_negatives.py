"""No negatives: what keeps neurons apart when nothing pushes them.

Every normalised neuron ascends a ratio of its own, largest along the most frequent feature (derived:
featlearn/theory/derivation.md, "Other objectives"). So where densities differ all neurons end on that
one atom, unless a prediction head couples them; equal densities leave each neuron where it began.
"""

import numpy as np

from ...latents import law_of, unusual_data
from ..predictions.moments import view_moments
from .applicability import not_finished
from .claim import claim
from .criterion import Criterion, judged
from .supervised import effective_rank
from .verdict import at_least, at_most

CLAIM = "no negatives"
# s_1/s_2 from which the most frequent atom wins before the others have grown.
DISTINCT = 1.2


def without_negatives(experiment):
    """Return why the claim does not apply to an experiment, or None."""
    if experiment.objective != "no_negatives":
        return f"the objective is {experiment.objective}"
    others = [word for word in unusual_data(experiment) if "density_power" not in word]
    if others:
        return "it is derived for the paper's data and unequal densities, not for " + others[0]
    return None


@claim(CLAIM, without_negatives)
def claim_no_negatives(observed):
    """Hold a run of positives alone to collapse, or to what keeps it from that."""
    exp = observed[0].experiment
    unmet = not_finished(observed)
    if not unmet and view_moments(exp).cross.dense > 0:
        unmet = f"the views share dense noise ({exp.augmentation})"
    densities = np.sort(law_of(exp).densities)[::-1]
    distinct = densities[0] >= DISTINCT * densities[1]
    if not unmet and not distinct and exp.density_power > 0:
        unmet = f"the most frequent atom is less than {DISTINCT} times as frequent as the next"
    if not distinct:
        criteria = _equal(exp)
    else:
        criteria = _with_head(exp) if exp.prediction_head else _alone(exp)
    return judged(CLAIM, observed, unmet, criteria)


def _equal(experiment):
    return [
        Criterion(
            "atoms with a pure neuron, equal densities",
            "all",
            at_least,
            experiment.n_features,
            lambda o: o.summary.atoms_learned,
            "no atom pulls harder than another: every neuron stays with its own",
        )
    ]


def _alone(experiment):
    return [
        Criterion(
            "effective rank of f, no head",
            "1",
            at_most,
            1.2,
            effective_rank,
            "every neuron ascends wᵀCw/wᵀC₁w on its own, and all end on one atom",
        ),
        Criterion(
            "neurons on the most frequent atom",
            "all",
            at_least,
            0.95,
            on_most_frequent,
            "s_j/(s_j + n) is largest there",
        ),
    ]


def _with_head(experiment):
    return [
        Criterion(
            "effective rank of f, prediction head",
            "above 1",
            at_least,
            2.0,
            effective_rank,
            "a head trained off its diagonal lets neurons predict each other",
        ),
        Criterion(
            "atoms with a pure neuron, prediction head",
            "above 1",
            at_least,
            2,
            lambda o: o.summary.atoms_learned,
            "more than the one atom that is left without a head",
        ),
        Criterion(
            "atoms with a pure neuron, prediction head, at most",
            "below d",
            at_most,
            experiment.n_features - 1,
            lambda o: o.summary.atoms_learned,
            "but never the rarest",
        ),
    ]


def on_most_frequent(observed):
    """Return the fraction of the neurons whose best atom is the most frequent one."""
    most = int(np.argmax(observed.model.law.densities))
    return float(np.mean(observed.cosine.argmax(axis=1) == most))
