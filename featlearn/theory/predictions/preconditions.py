"""When T1 and T3 are promised: an experiment's numbers, known before it runs."""

import math
from typing import NamedTuple

from ...errors import InvalidInput
from ...objectives import OBJECTIVES
from ...views import augmentation_of
from .crossing import crossing, limiting_ratio, noise_margin
from .moments import view_moments
from .on_sphere import growth_on_sphere, rated
from .saturation import saturation_growth
from .sparsity import MOST_TOGETHER, together, too_dense

NOISE_MARGIN = "noise margin κn²/s"
SHARED = "correlation of the views' dense parts"
# Dense over sparse part of ‖w‖², of a network whose dense coordinates are half of a random one's.
MOST_DENSE = 1 / 3
# What is below is rounding.
LEAST_SHARED = 1e-9


class Precondition(NamedTuple):
    """One number that must stay below another.

    Attributes
    ----------
    claim : str
        "T1" or "T3".
    name : str
    value, bound : float
        The claim needs value < bound.
    text : str
        What follows, in a sentence.
    """

    claim: str
    name: str
    value: float
    bound: float
    text: str

    @property
    def met(self):
        """Whether value < bound."""
        return self.value < self.bound


def preconditions(experiment):
    """Return each `Precondition` of T1 and T3: first the noise margin of T1 and the growth g of T3.

    T1 is about augmented and T3 about un-augmented networks: where the experiment is the other kind,
    its twin is meant, with `RandomMask` or with no augmentation and all else equal.

    Returns
    -------
    tuple of Precondition
        See `unmet` for what matters to the experiment itself. None of T1 where the experiment has no
        such twin, and none at all for an objective that is no loss of pairs, on the unit sphere or not: its
        stage I is another.
    """
    kind = OBJECTIVES[experiment.objective]
    if not (kind.is_pairwise or experiment.objective == "nt_xent"):
        return ()
    noise, masked = _noise(experiment), masked_twin(experiment)
    if masked is None:
        return (noise,)
    margin, *others = _features(masked)
    return (margin, noise, *others)


def masked_twin(experiment):
    """Return the experiment, with `RandomMask` where its views are one array; None where there is no such twin."""
    if not augmentation_of(experiment).identical_views:
        return experiment
    try:
        return experiment.replace(augmentation="random_mask")
    except InvalidInput:
        return None


def _noise(experiment):
    """The precondition of T3."""
    kind, plain = OBJECTIVES[experiment.objective], experiment.replace(augmentation="none")
    on_sphere = experiment.objective == "nt_xent"
    # Norms begin with a growth of 0, even where decay beats the signal.
    growth = max(growth_on_sphere(plain) if on_sphere else saturation_growth(plain), 0.0)
    needed = crossing(rated(plain)).growth
    overtakes = "the sparse part overtakes the dense one"
    remedy = "for T3 raise n_inputs or noise_factor, or lower temperature"
    rests = f"norms saturate (g = {growth:.3g}) before"
    if kind.is_pairwise and not kind.fades and kind.has_softmax:
        remedy = f"the attraction of the {kind.label} loss does not fade, and nothing makes them"
        if math.isinf(needed):
            rests = "at no growth of the norms"
    elif on_sphere:
        remedy = "for T3 raise n_inputs or noise_factor"
    return Precondition(
        "T3",
        "growth g before saturation",
        growth,
        needed,
        f"without augmentation {rests} {overtakes} (g* = {needed:.3g})"
        if growth < needed
        else f"without augmentation {overtakes} (g* = {needed:.3g}) before norms saturate"
        f" (g = {growth:.3g}): {remedy}",
    )


def _features(masked):
    """The preconditions of T1, the noise margin first."""
    margin, ratio = noise_margin(rated(masked)), limiting_ratio(rated(masked))
    part, shared = together(masked), view_moments(masked).dense_correlation
    drowned = "sampling noise outgrows the signal and no sparse feature is learned"
    sustained = f"sampling noise sustains ‖β‖² = {ratio:.2g} ‖α‖² in stage I"
    return (
        Precondition(
            "T1",
            NOISE_MARGIN,
            margin,
            1.0,
            f"the signal outgrows sampling noise (κn²/s = {margin:.3g} < 1)"
            if margin < 1
            else f"{drowned} (noise margin κn²/s = {margin:.3g} ≥ 1): raise batch_size or lower"
            " learning_rate",
        ),
        Precondition(
            "T1",
            "‖β‖²/‖α‖² that noise sustains",
            # Beyond a margin of 1 the noise is what outgrows.
            ratio if margin < 1 else 0.0,
            MOST_DENSE,
            sustained
            if ratio <= MOST_DENSE
            else f"{sustained}, more than the {MOST_DENSE:.2g} of neurons that are learned: raise"
            " batch_size or lower learning_rate",
        ),
        Precondition(
            "T1",
            "part s/s* of the largest density",
            part,
            MOST_TOGETHER,
            too_dense(masked) or f"features are sparse (s/s* = {part:.2g} < {MOST_TOGETHER})",
        ),
        Precondition(
            "T1",
            SHARED,
            shared,
            LEAST_SHARED,
            f"the views share dense noise, of correlation {shared:.2g}"
            if shared >= LEAST_SHARED
            else "the views share no dense noise",
        ),
    )


def features_unmet(experiment):
    """Return what keeps an experiment's own views from T1 and T2, in a sentence, or nothing."""
    *others, shared = _features(experiment)
    return next((one.text for one in (shared, *others) if not one.met), "")


def unmet(experiment):
    """Return the sentences that warn of an experiment outside what its augmentation promises.

    T1 is promised to views that share no dense noise, T3 without augmentation.
    """
    claim = "T3" if augmentation_of(experiment).identical_views else "T1"
    return [
        f"{claim} is not promised: {one.text}"
        for one in preconditions(experiment)
        if one.claim == claim and not one.met
    ]
