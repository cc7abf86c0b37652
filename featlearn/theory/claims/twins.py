"""What two runs that differ in nothing but the augmentation say about each other."""

from .applicability import features_not_promised, noise_not_promised, other_moments
from .criterion import Criterion, judged
from .representation import few_neurons
from .supervised import claim_masked_labels
from .verdict import at_least, at_most

CLAIM = "twins"


def claim_pair(augmented, plain):
    """Relate the runs with the augmentation to their twins without.

    Parameters
    ----------
    augmented, plain : list of Observed
        Twins: the k-th of each share a seed and everything else but the augmentation.

    Returns
    -------
    list of Verdict
    """
    exp = plain[0].experiment
    if exp.objective == "supervised":
        return claim_masked_labels(augmented, plain)
    unmet = _no_dichotomy(exp) or other_moments(exp)
    unmet = (
        unmet or few_neurons(exp) or features_not_promised(augmented) or noise_not_promised(plain)
    )
    return judged(CLAIM, list(zip(augmented, plain)), unmet, twin_criteria(exp))


def _no_dichotomy(experiment):
    """Return why twins of an objective need not differ as those of InfoNCE do, or nothing."""
    if experiment.objective in ("infonce", "spectral", "nt_xent"):
        return ""
    if experiment.objective == "decoupled":
        return (
            "without augmentation the decoupled loss does not keep to the noise: its norms diverge"
        )
    return f"nothing is derived of twins whose objective is {experiment.objective}"


def twin_criteria(experiment):
    """Return what twins are judged by, a list of `Criterion` whose values are of pairs."""
    no_ratio = ""
    if experiment.objective != "infonce":
        no_ratio = f"the loss of {experiment.objective} has no lower bound of 0: no ratio tells"
    return [
        Criterion(
            "regression error, none over augmented",
            "→ ∞",
            at_least,
            1.25,
            lambda pair: _regression(pair[1]) / _regression(pair[0]),
            "Ω(1)/o(1); at one d the head on f misses a quarter more without the augmentation",
        ),
        Criterion(
            "final loss, none over augmented",
            "below 1",
            at_most,
            1.0,
            lambda pair: pair[1].summary.loss / pair[0].summary.loss,
            "the noise that both views share makes positives easy to tell: the worse features have"
            " the lower loss",
            no_ratio,
        ),
        Criterion(
            "cosine at the same ξ, none - augmented",
            "above 0",
            at_least,
            0.1,
            lambda pair: pair[1].summary.same_noise - pair[0].summary.same_noise,
            "f of the un-augmented twin is a function of the noise; 0.1 is far above what 2048"
            " pairs leave uncertain",
        ),
        Criterion(
            "cosine at the same z, augmented - none",
            "above 0",
            at_least,
            0.1,
            lambda pair: pair[0].summary.same_latents - pair[1].summary.same_latents,
            "and that of the augmented one of the latents; likewise",
        ),
        Criterion(
            "atoms with a pure neuron, augmented - none",
            "d",
            at_least,
            0.9 * experiment.n_features,
            lambda pair: pair[0].summary.atoms_learned - pair[1].summary.atoms_learned,
            "all against none; at one d nine of ten",
        ),
    ]


def _regression(observed):
    return observed.summary.regression("features")
