"""A data set of N samples, used again and again: what its noise does to either kind of learning.

RandomMask cannot decouple the noise that two views of one sample share; labels only meet it by chance.
So a share of what pulls on the weights is dense, predicted from N alone, and labels do with fewer samples
(derived: featlearn/theory/derivation.md, "A fixed data set").
"""

import itertools
import math

import numpy as np

from ...compute.streams import generator
from ...data import Sample
from ...latents import unusual_data
from ...objectives import make_objective
from ...probing import shared_cosines
from ..predictions.fixed_data import fixed_data, labelled_data, not_masked
from ..predictions.supervised import not_told
from .applicability import not_finished
from .claim import claim
from .criterion import Criterion, judged
from .verdict import at_least, at_most, does_not_apply, within

CLAIM = "finite data"
# Pairs that cosines on seen and on fresh noise are means of.
PAIRS = 2048
# Ratio of two numbers of samples from which on the larger one shows.
CLEARLY = 1.5
# The predicted share from which the noise of samples is too weak to be remembered visibly.
REMEMBERED = 0.85
# Samples for each feature, and with each feature, from which on z is as good as Gaussian and not square.
SAMPLES, HOLDING = 2, 5
# Largest standard deviation of a share, times √d: of all, and of what is left to 1.
_SCATTER = 0.16, 1.5
# Position of this module's draws in the "theory" stream of a seed.
_STREAM = 11


def fixed_samples(experiment):
    """Return why the claim does not apply to an experiment, or None."""
    exp = experiment
    if exp.n_samples is None:
        return "samples are fresh"
    if exp.objective == "infonce":
        return not_masked(exp)
    others = [word for word in unusual_data(exp) if "n_samples" not in word]
    if others:
        return "it is derived for the paper's data, not for " + others[0]
    if exp.objective == "supervised" and exp.augmentation == "none" and not exp.label_leak:
        return None
    return "it speaks of InfoNCE with RandomMask, and of labels without an augmentation"


@claim(CLAIM, fixed_samples)
def claim_finite_data(observed):
    """Hold what a data set's noise does to the pull on the weights, and what a network remembers."""
    if observed[0].experiment.objective == "supervised":
        return _told(observed)
    return [*_masked(observed), *_remembered(observed)]


def _masked(observed):
    """The eigenvectors of what RandomMask leaves, and a data set that is too small."""
    exp = observed[0].experiment
    expected = fixed_data(exp)
    if exp.n_samples <= expected.samples_needed:
        criterion = Criterion(
            "atoms with a pure neuron, N below d1(σ²/s)²",
            "none",
            at_most,
            0,
            lambda o: o.summary.atoms_learned,
            "no direction of stage I's growth stands out of the noise",
        )
        return judged(CLAIM, observed, not_finished(observed), [criterion])
    name = "sparse share of the top d directions of stage I"
    holding = exp.n_samples * exp.resolved_density
    if exp.n_samples < SAMPLES * exp.n_features or holding < HOLDING:
        unmet = (
            f"{exp.n_samples} samples for {exp.n_features} features, each in {holding:.2g} of them: needs"
            f" {SAMPLES} for each, and {HOLDING} with it"
        )
        return [does_not_apply(CLAIM, name, unmet)]
    shares, share = [masked_share(o) for o in observed], expected.sparse_share
    spread = min(_SCATTER[0], _SCATTER[1] * (1 - share)) / math.sqrt(exp.n_features)
    allowed = max(0.08, 4 * spread / math.sqrt(len(observed)))
    why = f"± 0.08 of 1, as it is for d, d1 and N → ∞, or four standard deviations of up to {spread:.2g}"
    return [within(CLAIM, name, share, shares, 0.0, why, absolute=allowed)]


def masked_share(observed):
    """Return the share within span(M) of the top d eigenvectors of X̂ - diag X̂."""
    model = observed.model
    x = model.data.inputs.astype(np.float64)
    shared = x.T @ x / len(x)
    np.fill_diagonal(shared, 0)
    top = np.linalg.eigh(shared)[1][:, -model.n_features :]
    return float(np.square(model.dictionary.T @ top).sum() / model.n_features)


def _told(observed):
    """The pull of the labels while outputs are small."""
    exp = observed[0].experiment
    name = "sparse share of the labels' pull on the samples"
    unmet = not_told(exp)
    if unmet:
        return [does_not_apply(CLAIM, name, unmet)]
    share = labelled_data(exp).sparse_share
    shares = [labelled_share(o) for o in observed]
    features = exp.n_samples * exp.resolved_density * exp.n_features * len(observed)
    scatter = 4 * (1 - share) / math.sqrt(features)
    why = f"2 % for correlated labels, and twice the scatter of {features:.0f} ones in z"
    return [within(CLAIM, name, share, shares, 0.02 + scatter, why)]


def labelled_share(observed):
    """Return the share within span(M) of the mean of y xᵀ over the data set."""
    model = observed.model
    labels = make_objective(observed.experiment).labels(model.data).astype(np.float64)
    pull = labels.T @ model.data.inputs / len(labels)
    return float(np.square(pull @ model.dictionary).sum() / np.square(pull).sum())


def _remembered(observed):
    """Whether f knows the noise it was trained on. Of labels theory gives no sign: both occur."""
    exp = observed[0].experiment
    share = fixed_data(exp).sparse_share
    unmet = not_finished(observed)
    if share >= REMEMBERED:
        unmet = f"N = {exp.n_samples} is so large that {share:.2g} of the pull is sparse"
    criterion = Criterion(
        "cosine at the same ξ, seen - fresh noise",
        "above 0",
        at_least,
        0.0,
        seen_minus_fresh,
        "views share the noise of a seen sample, and f becomes a function of it",
    )
    return judged(CLAIM, observed, unmet, [criterion])


def seen_minus_fresh(observed):
    """Return how much more f depends on noise that it was trained on, in cosine at the same ξ."""
    run, data = observed.run, observed.model.data
    seed, n = observed.experiment.seed, min(PAIRS, len(data.latents))
    rows = generator(seed, "theory", _STREAM).choice(len(data.latents), n, replace=False)
    seen = Sample(data.latents[rows], data.signal[rows], data.noise[rows])
    cosines = (
        shared_cosines(
            run.weights, run.biases, observed.model, generator(seed, "theory", _STREAM, 1), n, first
        ).same_noise
        for first in (seen, None)
    )
    return float(np.subtract(*cosines))


def claim_more_samples(groups):
    """Relate runs that differ in the size of their data set only.

    Parameters
    ----------
    groups : list of list of Observed
        In ascending order of n_samples, the k-th of each of one seed.

    Returns
    -------
    list of Verdict
    """
    found = []
    for fewer, more in itertools.pairwise(groups):
        a, b = (group[0].experiment.n_samples for group in (fewer, more))
        criterion = Criterion(
            f"sparse share, {b} - {a} samples", "above 0", at_least, 0.0,
            share_gained,
            "the noise that views share, or that labels meet by chance, falls as 1/N",
        )  # fmt: skip
        unmet = not_finished(fewer) or _not_told_of_features(more)
        if b < CLEARLY * a:
            unmet = f"{b} samples are less than {CLEARLY} times {a}: chance may outdo them"
        found += judged(CLAIM, list(zip(fewer, more)), unmet, [criterion])
    return found


def claim_fewer_with_labels(contrastive, told):
    """Relate a supervised run to a contrastive one with RandomMask on the same data set.

    Parameters
    ----------
    contrastive, told : list of Observed
        The k-th of each of one seed.

    Returns
    -------
    list of Verdict
    """
    exp = contrastive[0].experiment
    name = "sparse share, supervised - contrastive, on the same samples"
    if exp.n_samples <= fixed_data(exp).samples_needed:
        return [does_not_apply(CLAIM, name, "N below d1(σ²/s)²: either may learn nothing")]
    criterion = Criterion(
        name,
        "above 0",
        at_least,
        0.0,
        share_gained,
        "a mask leaves the noise of the sample in both views; a label meets it by chance only",
    )
    unmet = not_finished(contrastive) or _not_told_of_features(told)
    return judged(CLAIM, list(zip(contrastive, told)), unmet, [criterion])


def _not_told_of_features(observed):
    """Return why more samples, or labels, need not help, or nothing; see `not_finished`."""
    exp = observed[0].experiment
    if exp.objective == "supervised":
        if exp.label_leak:
            return f"labels leak noise, {exp.label_leak:.3g} of their signal"
        if not exp.train_head or exp.resolved_n_tasks < exp.n_features / 2:
            return "a fixed head, or fewer than half as many tasks as features, do not teach atoms"
    return (exp.objective == "supervised" and not_told(exp)) or not_finished(observed)


def share_gained(pair):
    """Return how much larger the sparse share of the second of two runs is than that of the first."""
    return pair[1].summary.sparse_share - pair[0].summary.sparse_share
