"""No negatives: what keeps neurons apart when nothing pushes them.

Every normalised neuron ascends a ratio of its own, largest along the most frequent feature (derived:
featlearn/theory/derivation.md, "Other objectives"). So where densities differ all neurons end on that
one atom, unless a prediction head couples them; equal densities leave each neuron where it began.
"""

import numpy as np

from ...latents import law_of, unusual_data
from ..predictions.crossing import limiting_ratio
from ..predictions.moments import view_moments
from .applicability import few_to_pick, not_finished
from .claim import claim
from .criterion import Criterion, judged
from .normalised import MOST_DENSE, own_time, rated_neurons
from .supervised import effective_rank
from .verdict import at_least, at_most

CLAIM = "no negatives"
# s_1/s_2 from which the most frequent atom wins before the others have grown.
DISTINCT = 1.2
# In units of 1/(s₁ - s₂), time of stage I after which the most frequent atom leads in 19 of 20 neurons: α₁/α₂ grows as
# e^((s₁ - s₂)(1 - q)t), begins below 1/13 in one of 20, and has seven competitors; 1 - q is some 0.7.
LEADS = 4
# In units of 1/s, time after stage I in which neurons select single atoms: all of "tiny" had one after 4.8.
SELECTS = 4.5
# Squares of a head's row beside its diagonal, from which on neurons predict each other.
COUPLED = 0.2


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
    return judged(CLAIM, observed, _unmet(observed), _criteria(exp))


def _two_most_frequent(experiment):
    """The densities s₁ ≥ s₂ of the two most frequent atoms."""
    return np.sort(law_of(experiment).densities)[:-3:-1].tolist()


def _criteria(experiment):
    if experiment.density_power == 0:
        return _equal(experiment)
    return _with_head(experiment) if experiment.prediction_head else _alone(experiment)


def _unmet(observed):
    """Return why nothing is promised of runs without negatives, or nothing."""
    exp = observed[0].experiment
    unmet = not_finished(observed)
    if exp.n_features < 2 or exp.resolved_density == 0:
        return "no two features compete"
    if view_moments(exp).cross.dense > 0:
        return f"the views share dense noise ({exp.augmentation})"
    first, second = _two_most_frequent(exp)
    if exp.density_power > 0 and first < DISTINCT * second:
        return f"the most frequent atom is less than {DISTINCT} times as frequent as the next"
    if exp.density_power == 0 and exp.prediction_head:
        return "what a prediction head does where densities are equal is not derived"
    return unmet or next(filter(None, map(_unmet_of, observed)), "")


def _unmet_of(observed):
    """`_unmet`, of what one run was like."""
    exp, time = observed.experiment, own_time(observed)
    two, three = (observed.first_row_of(stage) for stage in (2, 3))
    if observed.run.start or not two:
        return "the run has no stage I"
    ratio = limiting_ratio(rated_neurons(observed, three))
    if ratio > MOST_DENSE:
        return (
            f"with the norms of stage III sampling noise makes ‖β‖² {ratio:.2g} of ‖α‖², more than"
            f" {MOST_DENSE}: raise B or lower η"
        )
    if exp.density_power > 0:
        first, second = _two_most_frequent(exp)
        lead = float((first - second) * time[two])
        if lead < LEADS:
            return (
                f"stage I lasted {lead:.2g}/(s₁ - s₂); the most frequent atom leads after {LEADS}"
            )
    selected = float(exp.resolved_density * (time[-1] - time[two]))
    if exp.density_power == 0 and selected < SELECTS:
        return f"stages II and III lasted {selected:.2g}/s; neurons select within {SELECTS}"
    if exp.prediction_head:
        head = np.asarray(observed.run.parameters["prediction_head"], np.float64)
        beside = float(np.median(np.sum(head**2, axis=1) - np.diag(head) ** 2))
        if beside < COUPLED:
            return (
                f"beside the 1 of its diagonal the head has {beside:.2g} in squares, less than {COUPLED}:"
                " raise head_rate"
            )
    return ""


def _equal(experiment):
    return [
        Criterion(
            "atoms with a pure neuron, equal densities",
            "all",
            at_least,
            experiment.n_features,
            lambda o: o.summary.atoms_learned,
            "no atom pulls harder than another: every neuron stays with its own",
            few_to_pick(experiment),
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
            few_to_pick(experiment),
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


def claim_head(alone, coupled):
    """Relate runs with a prediction head to those without, all else equal.

    Parameters
    ----------
    alone, coupled : list of Observed
        The k-th of each of one seed.

    Returns
    -------
    list of Verdict
    """
    return judged(
        CLAIM,
        list(zip(alone, coupled)),
        "densities are equal"
        if alone[0].experiment.density_power == 0
        else _unmet(alone) or _unmet(coupled),
        [
            Criterion(
                "atoms with a pure neuron, prediction head - none",
                "above 0",
                at_least,
                1,
                lambda pair: pair[1].summary.atoms_learned - pair[0].summary.atoms_learned,
                "without a head all neurons end on one atom; a head lets some keep another",
            ),
            Criterion(
                "effective rank of f, prediction head - none",
                "above 0",
                at_least,
                0.5,
                lambda pair: effective_rank(pair[1]) - effective_rank(pair[0]),
                "likewise; half of a further neuron at least",
            ),
        ],
    )
