"""When T1 and T3 are promised: an experiment's numbers, known before it runs."""

from typing import NamedTuple

from ...objectives import OBJECTIVES
from ...views import augmentation_of
from .crossing import crossing, noise_margin
from .moments import view_moments
from .on_sphere import growth_on_sphere, rated
from .saturation import saturation_growth
from .sparsity import MOST_COMPANY, company, too_dense


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
    """Return each `Precondition`: of T1 the noise margin, of T3 the growth to the crossing, of T1 the sparsity.

    T1 is about augmented and T3 about un-augmented networks: where the experiment is the other kind,
    its twin is meant, with `RandomMask` or with no augmentation and all else equal.

    Returns
    -------
    tuple of Precondition
        All three; see `unmet` for what matters to the experiment itself. None for an objective that is no loss of
        pairs, on the unit sphere or not: its stage I is another.
    """
    kind = OBJECTIVES[experiment.objective]
    on_sphere = experiment.objective == "nt_xent"
    if not (kind.is_pairwise or on_sphere):
        return ()
    plain = experiment.replace(augmentation="none")
    masked = experiment
    if augmentation_of(experiment).identical_views:
        masked = experiment.replace(augmentation="random_mask")
    margin, part = noise_margin(rated(masked)), company(masked)
    growth = growth_on_sphere(plain) if on_sphere else saturation_growth(plain)
    needed = crossing(rated(plain)).growth
    drowned = "sampling noise outgrows the signal and no sparse feature is learned"
    overtakes = "the sparse part overtakes the dense one"
    remedy = "for T3 raise n_inputs or noise_factor, or lower temperature"
    if kind.is_pairwise and not kind.fades and kind.has_softmax:
        remedy = f"the attraction of the {kind.label} loss does not fade, and nothing makes them"
    elif on_sphere:
        remedy = "for T3 raise n_inputs or noise_factor"
    return (
        Precondition(
            "T1",
            "noise margin κn²/s",
            margin,
            1.0,
            f"the signal outgrows sampling noise (κn²/s = {margin:.3g} < 1)"
            if margin < 1
            else f"{drowned} (κn²/s = {margin:.3g} ≥ 1): raise batch_size or lower learning_rate",
        ),
        Precondition(
            "T3",
            "growth g before saturation",
            growth,
            needed,
            f"without augmentation norms saturate (g = {growth:.3g}) before {overtakes}"
            f" (g* = {needed:.3g})"
            if growth < needed
            else f"without augmentation {overtakes} (g* = {needed:.3g}) before norms saturate"
            f" (g = {growth:.3g}): {remedy}",
        ),
        Precondition(
            "T1",
            "part s/s* of the largest density",
            part,
            MOST_COMPANY,
            too_dense(masked) or f"features are sparse (s/s* = {part:.2g} < {MOST_COMPANY})",
        ),
    )


def unmet(experiment):
    """Return the sentences that warn of an experiment outside what its augmentation promises.

    T1 is promised to views that share no dense noise, T3 without augmentation.
    """
    numbers = preconditions(experiment)
    if not numbers:
        return []
    claim = "T3" if augmentation_of(experiment).identical_views else "T1"
    warnings = [
        f"{claim} is not promised: {one.text}"
        for one in numbers
        if one.claim == claim and not one.met
    ]
    if claim == "T3":
        return warnings
    shared = view_moments(experiment).dense_correlation
    if shared > 0:
        warnings.append(f"T1 is not promised: the views' dense parts are correlated ({shared:.2g})")
    return warnings
