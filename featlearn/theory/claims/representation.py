"""T1, T2 and T3: what the neurons and the representation are at the end of training.

The theorems speak of d → ∞. At one d a statement o(1) becomes "well below what a network that has
learned nothing has", with the number and its reason in each verdict; whether it falls with d is a
matter of several sizes.
"""

import numpy as np
from scipy import special

from ...latents import law_of
from ...objectives import OBJECTIVES
from ..predictions.end_state import LEAST_SELECTION
from ..predictions.floors import bayes_floor, linear_floor, pure_error
from ..predictions.limits import selection_growth
from ..predictions.lottery import BEYOND_ALLOWED, leading_chances, left_out
from .applicability import contrastive, features_not_promised, noise_not_promised
from .claim import claim
from .criterion import Criterion, judged
from .verdict import at_least, at_most

# The first criteria of T1 ask for atoms and the N_i, whatever a run began with.
FROM_ANY_START = 4


@claim("T1", contrastive)
def claim_t1(observed):
    """T1: with the augmentation, neurons become single features and cover all of them."""
    criteria = t1_criteria(observed[0].experiment)
    if observed[0].run.start:
        reason = f"the run began at step {observed[0].run.start['step']}, with a dense part and winners of its own"
        later = [c._replace(unmet=reason) for c in criteria[FROM_ANY_START:]]
        criteria = criteria[:FROM_ANY_START] + later
    return judged("T1", observed, features_not_promised(observed), criteria)


def t1_criteria(experiment):
    """Return what T1 is judged by, a list of `Criterion`."""
    d, m = experiment.n_features, experiment.n_neurons
    learned, remark = atoms_to_learn(experiment)
    few = few_neurons(experiment)
    return [
        Criterion(
            "atoms j in some N_i",
            "all",
            at_least,
            learned,
            lambda o: o.atoms_in_some_support,
            "every atom is learned; j is in N_i from |α_ij| = ‖w_i‖/√d on" + remark,
            few,
        ),
        Criterion(
            "atoms with a pure neuron",
            "all",
            at_least,
            learned,
            lambda o: o.summary.atoms_learned,
            "pure: cosine ≥ 0.9, so that one atom holds over 4/5 of ‖w_i‖²" + remark,
            few,
        ),
        Criterion(
            "mean |N_i|",
            "O(1)",
            at_most,
            3.0,
            lambda o: o.support_size,
            "a neuron spread evenly over span(M) has a third of all d; one to three are few",
        ),
        Criterion(
            "neurons with an N_i that is not empty",
            "1 - o(1)",
            at_least,
            0.9,
            lambda o: float(o.support.any(axis=1).mean()),
            "a random neuron has none, its cosines being of order 1/√d1; at one d nine of ten have",
        ),
        Criterion(
            "off-support alignment √d/‖w‖, rms",
            "o(1)",
            at_most,
            0.5,
            lambda o: o.off_support,
            "vanishes as d grows; a neuron spread evenly over span(M) has 1: at one d half of it",
        ),
        Criterion(
            "dense coordinate √d1/‖w‖, rms",
            "o(1)",
            at_most,
            0.5,
            lambda o: o.dense_coordinate,
            "vanishes as d grows; a random neuron has 1: at one d half of it",
        ),
        Criterion(
            "most pure neurons of one atom",
            f"about {m / d:.3g}",
            at_most,
            largest_count_bound(m, d, leading_chances(experiment)),
            lambda o: o.largest_count,
            "that few neurons share an atom, o(m/d), cannot hold at the mean m/d of a network of"
            " pure neurons; that none has many more can: 99.9 % point of the largest of d counts when each"
            " neuron picks its atom at random, with the unequal chances that batches' noise leaves",
        ),
    ]


def few_neurons(experiment):
    """Return why atoms need not all be learned, more than one being expected to lead none, or nothing."""
    lost = left_out(experiment).expected
    if lost <= 1:
        return ""
    return (
        f"{lost:.2g} atoms are expected to lead no neuron after stage I, n_neurons ="
        f" {experiment.n_neurons} being few for n_features = {experiment.n_features}"
    )


def atoms_to_learn(experiment):
    """Return how many atoms are learned but for a chance of 2 %, and a remark on those that none may be.

    All d where norms saturate while neurons still select: an atom without a neuron is then pulled harder than the
    others. Where selection is over by then, all but the 98 % point of those that lead no neuron after stage I (derived:
    featlearn/theory/derivation.md, "Lottery sets").
    """
    exp = experiment
    pairwise = OBJECTIVES[exp.objective].is_pairwise
    if not pairwise or selection_growth(exp) < LEAST_SELECTION:
        return exp.n_features, ""
    lost = left_out(exp)
    n = min(lost.at_most(BEYOND_ALLOWED), exp.n_features)
    if n == 0:
        return exp.n_features, ""
    remark = (
        f"; {lost.expected:.2g} atoms are expected to lead no neuron after stage I, and more than"
        f" {n} with probability {lost.more_than(n):.2g}"
    )
    return exp.n_features - n, remark


def largest_count_bound(n_neurons, n_features, chances=None):
    """Return the 99.9 % point of the largest of d counts, of m neurons that pick atoms at random.

    A union bound over the d counts, each Binomial(m, p).

    Parameters
    ----------
    n_neurons, n_features : int
    chances : Chances, optional
        The law of p; by default it is 1/d for every atom.
    """
    counts = np.arange(n_neurons + 1)
    beyond = special.bdtrc(counts, n_neurons, 1 / n_features)
    if chances is not None:
        beyond = chances.weights @ special.bdtrc(counts, n_neurons, chances.leads[:, None])
    return float(counts[np.argmax(beyond <= 1e-3 / n_features)])


@claim("T2", contrastive)
def claim_t2(observed):
    """T2: with the augmentation, linear heads on f solve downstream tasks."""
    exp = observed[0].experiment
    unmet = features_not_promised(observed) or few_neurons(exp)
    return judged("T2", observed, unmet, t2_criteria(exp))


def t2_criteria(experiment):
    """Return what T2 is judged by, a list of `Criterion`."""
    linear, bayes = floors(experiment)
    pure = pure_error(
        experiment.resolved_density, experiment.resolved_noise_variance, experiment.bias_cap
    )
    cut = f"at b/‖w‖ = {experiment.bias_cap:.3g} pure neurons themselves leave {pure:.3g}"
    worse = f"{cut}, no less than the best linear head on x" if pure >= linear else ""
    little = f"{cut}, and explain less than half" if 1 - pure < (1 - bayes) / 2 else ""
    return [
        Criterion(
            "regression error on f",
            "o(1)",
            at_most,
            linear,
            lambda o: o.summary.regression("features"),
            f"below what the best linear head on x leaves, {linear:.3g}; no estimator"
            f" at all gets below {bayes:.3g}",
            worse,
        ),
        Criterion(
            "explained, of what can be explained",
            "1 - o(1)",
            at_least,
            0.5,
            lambda o: (1 - o.summary.regression("features")) / (1 - bayes),
            "at one d more than half of what the posterior mean of z explains",
            little,
        ),
        Criterion(
            "classification error on f",
            "o(1)",
            at_most,
            0.25,
            lambda o: o.summary.classification("features"),
            "at one d less than half of chance, which is 1/2",
            worse or little,
        ),
        Criterion(
            "classification error, f over x",
            "o(1)",
            at_most,
            1.0,
            lambda o: (
                o.summary.classification("features")
                / o.summary.classification(o.summary.input_head)
            ),
            "the head on f beats the same head, from as many labels, on x itself",
            worse,
        ),
    ]


@claim("T3", contrastive)
def claim_t3(observed):
    """T3: without augmentation the representation is a function of the noise."""
    criteria = t3_criteria(observed[0].experiment)
    return judged("T3", observed, noise_not_promised(observed), criteria)


def t3_criteria(experiment):
    """Return what T3 is judged by, a list of `Criterion`."""
    linear, _ = floors(experiment)
    return [
        Criterion(
            "cosine of f at the same ξ",
            "1 - o(1)",
            at_least,
            0.5,
            lambda o: o.summary.same_noise,
            "at one d the noise decides more than half of f",
        ),
        Criterion(
            "cosine of f at the same z",
            "o(1)",
            at_most,
            0.5,
            lambda o: o.summary.same_latents,
            "at one d the latents decide less than half of f",
        ),
        Criterion(
            "regression error on f",
            "Ω(1)",
            at_least,
            0.5,
            lambda o: o.summary.regression("features"),
            "away from 0: at one d more than half of the variance is left (the best linear head on"
            f" x leaves {linear:.3g})",
        ),
        Criterion(
            "atoms with a pure neuron",
            "none",
            at_most,
            0,
            lambda o: o.summary.atoms_learned,
            "a function of the noise has no neuron of cosine ≥ 0.9 with an atom",
        ),
    ]


def floors(experiment):
    """Return `linear_floor` and `bayes_floor` of an experiment."""
    law, variance = law_of(experiment), experiment.resolved_noise_variance
    return linear_floor(law.variances, variance), bayes_floor(law.densities, variance, type(law))


# A claim and what it is judged by.
CRITERIA = {
    "T1": (claim_t1, t1_criteria),
    "T2": (claim_t2, t2_criteria),
    "T3": (claim_t3, t3_criteria),
}
