"""What breaks the theorem: noise that a mask cannot remove, rare features, and another augmentation later.

RandomMask takes the diagonal of the noise's covariance out of E[x⁺⁺x⁺ᵀ] and nothing else: directions of
extra variance stay in both views. A feature's pull is in proportion to its density. And what a network has
learned holds as long as its augmentation does (derived: featlearn/theory/derivation.md, "Other laws of the
latents").
"""

import numpy as np

from ...latents import law_of, unusual_data
from ..predictions.crossing import noise_margin
from .applicability import contrastive, no_competition, not_finished
from .claim import claim
from .criterion import Criterion, judged
from .representation import t3_criteria
from .verdict import at_least, at_most

# Spikes within this factor of the signal win or lose by chance.
CLEAR = 1.5


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
    """Directions of extra variance in the noise survive a mask, and win where they exceed the signal.

    Along a spike E[x⁺⁺x⁺ᵀ] has its variance v, along an atom s: v > s decides stage I.
    """
    exp = observed[0].experiment
    density = exp.resolved_density
    unmet = not_finished(observed)
    if density == 0:
        unmet = "the samples hold no features that spikes could outweigh"
    elif exp.spike_variance < CLEAR * density:
        unmet = f"spikes of {exp.spike_variance / density:.2g} s do not outweigh the features"
    return judged(
        "spikes",
        observed,
        unmet,
        [
            Criterion(
                "median sparse share",
                "small",
                at_most,
                0.5,
                lambda o: o.summary.sparse_share,
                "a mask removes the diagonal of the noise's covariance only",
            ),
            Criterion(
                "share of ‖β‖² in the spikes",
                "→ 1",
                at_least,
                0.5,
                spike_share,
                "stage I grows them at the rate v, and the rest of the noise not at all",
            ),
        ],
    )


def spike_share(observed):
    """Return which share of the dense part of all neurons lies in the spikes."""
    W, spikes = observed.run.weights.astype(np.float64), observed.model.spikes
    along = np.square(W @ (spikes / np.linalg.norm(spikes, axis=0))).sum()
    dense = np.square(W).sum() - np.square(observed.alignments, dtype=np.float64).sum()
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
    return judged(
        "rare atoms",
        observed,
        unmet,
        [
            Criterion(
                "rank correlation of density and best cosine, over atoms",
                "1",
                at_least,
                0.7,
                lambda o: rank_correlation(o.model.law.densities, o.cosine.max(axis=0)),
                "what pulls harder is learned by more neurons, and purer",
            )
        ],
    )


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


def rank_correlation(a, b):
    """Return the correlation of the ranks of a and b, of values that differ."""
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])
