"""No negatives: what keeps neurons apart when nothing pushes them.

Every normalised neuron ascends a ratio of its own, largest along the most frequent feature (derived:
featlearn/theory/derivation.md, "Other objectives"). So where densities differ all neurons end on that
one atom, unless a prediction head couples them; equal densities leave each neuron where it began.
"""

import math

import numpy as np
from scipy.special import ndtr

from ...latents import law_of, unusual_data
from ..predictions.feature_drift import feature_moments
from ..predictions.lottery import BEYOND_ALLOWED, common_scatter, left_out
from ..predictions.moments import view_moments
from ..predictions.on_sphere import as_pairs
from .applicability import few_to_pick, not_finished
from .claim import claim
from .criterion import Criterion, judged
from .normalised import MOST_DENSE, own_rates, own_time, sustained
from .supervised import effective_rank
from .verdict import at_least, at_most

CLAIM = "no negatives"
# s_1/s_2 from which the most frequent atom wins before the others have grown.
DISTINCT = 1.2
# Share of the neurons that the most frequent atom is expected to lead by the end of stage I, from which on it ends
# with 0.95 of them: stage II goes on where stage I ends.
LEADS = 0.97
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
    unmet = _unmet(observed)
    return judged(CLAIM, observed, unmet, [] if unmet else _criteria(observed))


def _two_most_frequent(experiment):
    """The densities s₁ ≥ s₂ of the two most frequent atoms."""
    return np.sort(law_of(experiment).densities)[:-3:-1].tolist()


def _criteria(observed):
    experiment = observed[0].experiment
    if experiment.density_power == 0:
        return _equal(observed)
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
    two = observed.first_row_of(2)
    if observed.run.start or not two:
        return "the run has no stage I"
    ratio = sustained(observed)
    if ratio > MOST_DENSE:
        return (
            f"with the outputs at the end sampling noise sustains {ratio:.2g} of a neuron's square beside its atom,"
            f" more than {MOST_DENSE}: raise B or lower η"
        )
    if exp.density_power > 0:
        led = led_by_most_frequent(observed, two)
        if led < LEADS:
            return (
                f"the most frequent atom is expected to lead {led:.2g} of the neurons at the end of stage I; needs"
                f" {LEADS}"
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


def led_by_most_frequent(observed, row):
    """Return the share of neurons that the most frequent atom is expected to lead at a row of stage I.

    α_j is multiplied by 1 + r (c_j - q c¹_j) in a step, r being the neuron's own rate and q its ratio, and begins as a
    Gaussian.
    """
    rate, ratio = (values[:row, None] for values in own_rates(observed))
    cross, anchor, _ = feature_moments(observed.experiment)
    grown = np.log(np.maximum(1 + rate * (cross - ratio * anchor), 1e-300))
    grown = np.diff(observed.run.steps[: row + 1]) @ grown
    leads = np.delete(grown.max() - grown, grown.argmax())
    x = np.linspace(0, 8, 4001)[1:]
    weights = np.exp(-(x**2) / 2) * math.sqrt(2 / math.pi) * (x[1] - x[0])
    below = 2 * ndtr(x[:, None] * np.exp(np.minimum(leads, 50))) - 1
    return float(weights @ below.prod(axis=1))


def left_without(observed):
    """Return the `LeftOut` of the atoms that lead no neuron after stage I, by the rates that a run had."""
    exp, two = observed.experiment, observed.first_row_of(2)
    steps = np.diff(observed.run.steps[: two + 1])
    # The scatter that batches leave adds up in squares of the rate.
    square = float(steps @ own_rates(observed)[0][:two] ** 2) / steps.sum()
    rated = as_pairs(exp, exp.learning_rate / math.sqrt(square))
    return left_out(rated, common_scatter(rated, float(steps.sum())))


def _equal(observed):
    lost = [left_without(o) for o in observed]
    expected = max(one.expected for one in lost)
    allowed = max(one.at_most(BEYOND_ALLOWED) for one in lost)
    few = few_to_pick(observed[0].experiment)
    if expected > 1 and not few:
        few = f"{expected:.2g} atoms are expected to lead no neuron after stage I: raise n_neurons or batch_size"
    return [
        Criterion(
            "atoms with a pure neuron, equal densities",
            "all",
            at_least,
            observed[0].experiment.n_features - allowed,
            lambda o: o.summary.atoms_learned,
            "no atom pulls harder than another: every neuron stays with its own, and batches leave more than"
            f" {allowed} without one with a probability below {BEYOND_ALLOWED}",
            few,
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
