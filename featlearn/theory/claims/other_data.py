"""What breaks the theorem: noise that a mask cannot remove, rare features, and another augmentation later.

RandomMask takes the diagonal of the noise's covariance out of E[x⁺⁺x⁺ᵀ] and nothing else: directions of
extra variance stay in both views. A feature's pull is in proportion to its density. And what a network has
learned holds as long as its augmentation does (derived: featlearn/theory/derivation.md, "Other laws of the
latents").
"""

import math

import numpy as np

from ...latents import law_of, unusual_data
from ..predictions.crossing import noise_margin
from ..predictions.spikes import spiked_plateau, spikes_grow
from .applicability import contrastive, no_competition, not_finished
from .claim import claim
from .criterion import Criterion, judged
from .representation import t3_criteria
from .verdict import at_least, at_most

# Within this factor of each other spikes and signal, or two atoms, win or lose by chance.
CLEAR = 1.5
# Share of the features on the plateau up to which spikes outweigh them, how much more they may hold behind thresholds,
# and the spikes' own share of ‖β‖² from which on half of it is asked for: trained runs had at least .59 with .6.
MOSTLY_FEATURES, MORE_FEATURES, SPIKED = 0.7, 0.1, 0.6
# Of ‖β‖² on the plateau, what decay leaves of the start up to which spikes still have half: with .4 they had .59 of
# .60, with 1 .45.
OLD = 0.5
# Best cosine of a neuron with an atom from which on the atom is kept: half-way from what is lost to a pure neuron.
KEPT = 0.5


def spiked(experiment):
    """Return why the claim about spikes does not apply to an experiment, or None."""
    return _unless_masked_and(experiment, "noise_spikes", "noise with spikes")


def unequal(experiment):
    """Return why the claim about unequal densities does not apply to an experiment, or None."""
    return _unless_masked_and(experiment, "density_power", "unequal densities")


def _unless_masked_and(experiment, field, words):
    """Why a claim about RandomMask and data with one field unlike the paper's does not apply, or None."""
    reason = contrastive(experiment)
    if reason or unusual_data(experiment) != [f"{field} = {getattr(experiment, field)}"]:
        return reason or f"it speaks of {words}, and of nothing else unusual"
    if experiment.augmentation != "random_mask":
        return f"it speaks of RandomMask, not of {experiment.augmentation}"
    return None


@claim("spikes", spiked)
def claim_spikes(observed):
    """Directions of extra variance in the noise survive a mask, and win where they hold more than the features.

    Along a spike E[x⁺⁺x⁺ᵀ] has its variance v, along an atom s: v > s decides stage I. What the weights come to hold is
    a matter of the plateau, where every direction has its own.
    """
    exp = observed[0].experiment
    density = exp.resolved_density
    unmet, share = not_finished(observed), spiked_plateau(exp) if density else None
    if density == 0:
        unmet = "the samples hold no features that spikes could outweigh"
    elif exp.spike_variance < CLEAR * density:
        unmet = f"spikes of {exp.spike_variance / density:.2g} s do not outweigh the features"
    elif share.features > MOSTLY_FEATURES:
        unmet = (
            f"{exp.noise_spikes} spikes beside {exp.n_features} features: on the plateau of the linear phase features"
            f" hold {share.features:.2g} of the two, more than {MOSTLY_FEATURES}"
        )
    if unmet:
        return judged("spikes", observed, unmet, [])
    bound = share.features + MORE_FEATURES
    return judged(
        "spikes",
        observed,
        unmet,
        [
            Criterion(
                "sparse share of ‖W‖²",
                f"at most {share.features:.3g}",
                at_most,
                bound,
                lambda o: sparse_part(o) / np.square(o.run.weights, dtype=np.float64).sum(),
                "a mask removes the diagonal of the noise's covariance only: on the plateau features hold so much, and"
                f" come to it from below; {MORE_FEATURES} for thresholds",
                _start_seen(observed, "alignment", bound * (share.sparse + share.dense)),
            ),
            Criterion(
                "share of ‖β‖² in the spikes",
                f"{share.spikes:.3g}",
                at_least,
                0.5,
                spike_share,
                "stage I grows them at the rate v, and the rest of the noise not at all; half, as a linear network at"
                " rest has more",
                _spikes_unseen(observed, share),
            ),
        ],
    )


def _spikes_unseen(observed, share):
    """Return why the dense part may not be mostly spikes, or nothing."""
    exp = observed[0].experiment
    if share.spikes < SPIKED:
        return f"sampling noise leaves spikes {share.spikes:.2g} of ‖β‖² on the plateau: needs {SPIKED}"
    grown = spikes_grow(exp, min(float(o.run.steps[-1]) for o in observed))
    needed = math.log((exp.n_inputs - exp.n_features) / exp.noise_spikes)
    if grown < needed:
        return (
            f"weights along spikes could grow by e^{grown:.2g}: to lead the {exp.n_inputs - exp.n_features} dense"
            f" directions they take up to e^{needed:.2g}"
        )
    return _start_seen(observed, "dense_norm", OLD * share.dense)


def _start_seen(observed, part, most):
    """Return why a part of the first weights may outweigh what the plateau has in its place, or nothing."""
    exp, left = observed[0].experiment, []
    for o in observed:
        kept = (1 - exp.learning_rate * exp.weight_decay) ** float(o.run.steps[-1] - o.run.steps[0])
        left.append(float(np.square(kept * o.run[part][0], dtype=np.float64).sum()))
    if max(left) <= most:
        return ""
    return (
        f"squares of the {part.replace('_', ' ')} of the start, once decayed, may add up to {max(left):.2g}, more than"
        f" the {most:.2g} that the plateau allows: lower initial_norm"
    )


def sparse_part(observed):
    """Return Σ‖α_i‖² of the last weights."""
    return float(np.square(observed.alignments, dtype=np.float64).sum())


def spike_share(observed):
    """Return which share of the dense part of all neurons lies in the spikes."""
    W, spikes = observed.run.weights.astype(np.float64), observed.model.spikes
    along = np.square(W @ (spikes / np.linalg.norm(spikes, axis=0))).sum()
    dense = np.square(W).sum() - sparse_part(observed)
    return float(along / dense)


@claim("rare atoms", unequal)
def claim_rare_atoms(observed):
    """Where densities differ, the rare atoms are the ones that are lost.

    The pull along an atom and its margin over sampling noise are both in proportion to s_j.
    """
    exp = observed[0].experiment
    densities = law_of(exp).densities
    unmet = not_finished(observed)
    rarest = exp.replace(density=float(densities.min()), density_power=0.0)
    # Without any features all densities are alike.
    if not unmet and (densities.max() == 0 or densities.max() < 4 * densities.min()):
        unmet = "no atom is four times as frequent as another"
    if not unmet and noise_margin(rarest) < noise_margin(exp.replace(density_power=0.0)):
        unmet = "the rarest atom has no larger noise margin"
    shares = [] if unmet else [frequent_kept(o) for o in observed]
    if None in shares:
        unmet = "no atom is lost that is clearly rarer or more frequent than one that is kept: neurons learn all alike"
    return judged(
        "rare atoms",
        observed,
        unmet,
        [
            Criterion(
                "pairs of an atom kept and a lost one, of which the frequent is kept",
                "1",
                at_least,
                0.9,
                frequent_kept,
                f"what pulls harder is learned first; chance leaves half. Kept from a cosine of {KEPT} on, and in a"
                f" pair one is {CLEAR} times as frequent",
            )
        ],
    )


def frequent_kept(observed):
    """Return the share of pairs (kept, lost) of atoms of clearly different density in which the frequent is kept.

    Among the atoms that are learned, and among those that are not, densities say nothing of the cosines.

    Parameters
    ----------
    observed : Observed

    Returns
    -------
    float or None
        None where there is no such pair.
    """
    densities = np.asarray(observed.model.law.densities)
    kept = observed.cosine.max(axis=0) >= KEPT
    first, second = densities[kept][:, None], densities[~kept]
    right, wrong = (first >= CLEAR * second).sum(), (second >= CLEAR * first).sum()
    return float(right / (right + wrong)) if right + wrong else None


@claim("warm start", contrastive)
def claim_forgets(observed):
    """A network that had learned features loses them once its views are no longer augmented."""
    exp = observed[0].experiment
    unmet = not_finished(observed)
    if not observed[0].augmentation.identical_views:
        unmet = f"the views are augmented ({exp.augmentation}): T1 speaks of what they teach"
    else:
        unmet = unmet or no_competition(exp)
        steps = min(float(o.run.steps[-1] - o.run.steps[0]) for o in observed)
        lasted = exp.learning_rate * exp.weight_decay * steps
        if lasted < 1:
            unmet = unmet or f"{lasted:.2g}/λ since the start: weights forget within 1/λ"
    return judged("warm start", observed, unmet, t3_criteria(exp))
