"""Augmentations: how a sample becomes two views, the anchor x⁺ and the key x⁺⁺.

Each augmentation knows its own second moments in closed form, in the basis they share:

    E[x⁺⁺ x⁺ᵀ] = shared · M Mᵀ + diagonal · diag(M Mᵀ) + isotropic · I,

and likewise for E[x⁺x⁺ᵀ] and E[x⁺⁺x⁺⁺ᵀ] (derived: featlearn/theory/derivation.md, "Second moments of
views").
"""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from .data import Sample, SparseCodingModel
from .display import one_line
from .errors import InvalidInput
from .rules import checked, number, require_fields


class Views(NamedTuple):
    """Two views of n samples.

    Attributes
    ----------
    anchors, keys : ndarray of shape (n, d1)
        x⁺ and x⁺⁺.
    masks : tuple of ndarray of bool, shape (n, d1)
        The random masks D that made them: none, one, or two.
    """

    anchors: np.ndarray
    keys: np.ndarray
    masks: tuple = ()

    __repr__ = one_line


class Moment(NamedTuple):
    """The matrix shared · M Mᵀ + diagonal · diag(M Mᵀ) + isotropic · I."""

    shared: float
    diagonal: float
    isotropic: float

    def matrix(self, dictionary):
        """Return it for a dictionary of shape (d1, d), as an ndarray of shape (d1, d1)."""
        projector = dictionary @ dictionary.T
        return (
            self.shared * projector
            + np.diag(self.diagonal * np.diag(projector))
            + self.isotropic * np.eye(len(projector))
        )


class Moments(NamedTuple):
    """Second moments of views: E[x⁺⁺ x⁺ᵀ], E[x⁺x⁺ᵀ] and E[x⁺⁺x⁺⁺ᵀ]."""

    cross: Moment
    anchor: Moment
    key: Moment


def _bernoulli(rng, shape, probability):
    """Independent booleans; a fair coin costs one random bit."""
    if probability == 0.5:
        size = shape[0] * shape[1]
        words = rng.bit_generator.random_raw(-(-size // 64))
        bits = np.unpackbits(words.view(np.uint8), count=size)
        return bits.reshape(shape).view(np.bool_)
    return rng.random(shape, dtype=np.float32) < np.float32(probability)


def _output(out, sample):
    """The arrays the views are written to; fresh ones unless given."""
    return out or (np.empty_like(sample.signal), np.empty_like(sample.signal))


class Augmentation:
    """What an augmentation tells of itself; one of your own inherits this and adds `pair`.

    Attributes
    ----------
    name : str
        In an experiment, in files, and on the command line.
    label : str
        In figures and tables.
    formula : str
        How the views are made, in one line.
    remark : str
        What the views share, in one sentence.
    color, line_style : str
        In figures that compare augmentations, as matplotlib takes them.
    n_masks : int
        Random masks a sample.
    n_normals : int
        Normals drawn for every number of a sample: its noise, and what the views add.
    identical_views : bool
        Whether anchors and keys are one array.
    complementary_masks : bool
        Whether one view keeps just what the other one loses.
    """

    name = label = formula = remark = ""
    color, line_style = "#0072B2", "-"
    n_masks, n_normals = 0, 1
    identical_views = complementary_masks = False

    @classmethod
    def of(cls, experiment: object) -> Self:
        """Return the one of this class that has an experiment's values."""
        return cls(**{f.name: getattr(experiment, f.name) for f in fields(cls)})

    def __post_init__(self):
        require_fields(self)

    def pair(
        self,
        rng: np.random.Generator,
        sample: Sample,
        model: SparseCodingModel,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Views:
        """Return the `Views` of a `Sample`.

        `out` may hold two arrays for anchors and keys; the first may be the sample's own noise, and
        the second, if it is another, its signal. With `identical_views` both are the first.
        """
        raise NotImplementedError

    def moments(self, density: float, noise_variance: float) -> Moments:
        """Return the `Moments` of the two views."""
        raise NotImplementedError


@dataclass(frozen=True)
class RandomMask(Augmentation):
    """Complementary masks: x⁺ = D x / k and x⁺⁺ = (I - D) x / (1 - k).

    D is diagonal with independent Bernoulli(k) entries, fresh for every sample (Wen & Li 2021,
    setting, where k = 1/2 and so x⁺ = 2 D x, x⁺⁺ = 2 (I - D) x).

    Attributes
    ----------
    keep_probability : float in (0, 1)
        k.
    """

    name, label = "random_mask", "RandomMask"
    formula = "x⁺ = D x / k,  x⁺⁺ = (I-D) x / (1-k)"
    remark = "no input is in both views: they share no noise, but every atom."
    n_masks, complementary_masks = 1, True
    keep_probability: float = checked(0.5, number(0, 1, open_low=True, open_high=True), "k")

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; see `Augmentation.pair`."""
        anchors, keys = _output(out, sample)
        keep = self.keep_probability
        mask = _bernoulli(rng, sample.signal.shape, keep)
        x = np.add(sample.signal, sample.noise, out=keys)
        x *= 1 / keep
        np.multiply(x, mask, out=anchors)
        np.subtract(x, anchors, out=keys)
        if keep != 0.5:
            keys *= keep / (1 - keep)
        return Views(anchors, keys, (mask,))

    def moments(self, density, noise_variance):
        """Return the `Moments` of the two views."""
        keep = self.keep_probability
        odds = keep / (1 - keep)
        return Moments(
            cross=Moment(density, -density, 0.0),
            anchor=Moment(density, density / odds, noise_variance / keep),
            key=Moment(density, density * odds, noise_variance / (1 - keep)),
        )


@dataclass(frozen=True)
class IndependentMasks(Augmentation):
    """Two masks drawn independently: x⁺ = D x / k and x⁺⁺ = D' x / k.

    They overlap, so the dense features stay correlated across the views: the negative control of
    `RandomMask`.

    Attributes
    ----------
    keep_probability : float in (0, 1]
        k.
    """

    name, label = "independent_masks", "independent masks"
    formula = "x⁺ = D x / k,  x⁺⁺ = D' x / k"
    remark = "where both masks keep an input, both views carry its noise."
    color, line_style = "#CC79A7", ":"
    n_masks = 2
    keep_probability: float = checked(0.5, number(0, 1, open_low=True), "k")

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; see `Augmentation.pair`."""
        anchors, keys = _output(out, sample)
        keep = self.keep_probability
        masks = tuple(_bernoulli(rng, sample.signal.shape, keep) for _ in range(2))
        x = sample.inputs
        for view, mask in zip((anchors, keys), masks):
            np.multiply(x, mask, out=view)
            view *= 1 / keep
        return Views(anchors, keys, masks)

    def moments(self, density, noise_variance):
        """Return the `Moments` of the two views."""
        keep = self.keep_probability
        same = Moment(density, (1 / keep - 1) * density, noise_variance / keep)
        return Moments(Moment(density, 0.0, noise_variance), same, same)


@dataclass(frozen=True)
class CorrelatedNoise(Augmentation):
    """Views that keep the signal whole and carry noise of correlation ρ.

    x^± = M z + √2 (√ρ ξ + √(1-ρ) ξ^±) with ξ^± fresh. The noise variance of a view is 2σ², as under
    `RandomMask` with k = 1/2, whose d1 → ∞ limit this is at ρ = 0 (derived:
    featlearn/theory/derivation.md, "The decoupling dial").

    Attributes
    ----------
    noise_correlation : float in [0, 1]
        ρ.
    """

    name, label = "correlated_noise", "correlated noise"
    formula = "x± = M z + √2 (√ρ ξ + √(1-ρ) ξ±)"
    remark = "both views hold the whole signal, and share a part ρ of the noise."
    color, line_style = "#009E73", "--"
    n_normals = 3
    noise_correlation: float = checked(0.0, number(0, 1), "ρ")

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; see `Augmentation.pair`."""
        views = _output(out, sample)
        rho = self.noise_correlation
        common = sample.signal + math.sqrt(2 * rho) * sample.noise
        for view in views:
            model.draw_noise(rng, len(view), out=view)
            view *= math.sqrt(2 * (1 - rho))
            view += common
        return Views(*views)

    def moments(self, density, noise_variance):
        """Return the `Moments` of the two views."""
        same = Moment(density, 0.0, 2 * noise_variance)
        cross = Moment(density, 0.0, 2 * self.noise_correlation * noise_variance)
        return Moments(cross, same, same)


@dataclass(frozen=True)
class NoAugmentation(Augmentation):
    """Both views are the sample itself: x⁺ = x⁺⁺ = x."""

    name, label = "none", "no augmentation"
    formula = "x⁺ = x⁺⁺ = x"
    remark = "both views are the sample itself: they share all of their noise."
    color, line_style = "#D55E00", "-."
    identical_views = True

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; anchors and keys are one array."""
        anchors, _ = _output(out, sample)
        np.add(sample.signal, sample.noise, out=anchors)
        return Views(anchors, anchors)

    def moments(self, density, noise_variance):
        """Return the `Moments` of the two views."""
        same = Moment(density, 0.0, noise_variance)
        return Moments(same, same, same)


AUGMENTATIONS = {
    cls.name: cls for cls in (RandomMask, NoAugmentation, IndependentMasks, CorrelatedNoise)
}


def augmentation_of(experiment):
    """Return the augmentation that makes the views of an experiment."""
    return AUGMENTATIONS[experiment.augmentation].of(experiment)


def make_augmentation(
    name: str, keep_probability: float = 0.5, noise_correlation: float = 0.0
) -> Augmentation:
    """Return the augmentation of that name.

    Parameters
    ----------
    name : str
        A key of `AUGMENTATIONS`.
    keep_probability : float
        Of the two masking augmentations.
    noise_correlation : float
        Of correlated noise.

    Raises
    ------
    InvalidInput
        If there is none of that name.

    Examples
    --------
    >>> featlearn.make_augmentation("random_mask")
    RandomMask(keep_probability=0.5)
    """
    if name not in AUGMENTATIONS:
        raise InvalidInput("augmentation", name, "one of " + ", ".join(AUGMENTATIONS))
    given = {"keep_probability": keep_probability, "noise_correlation": noise_correlation}
    cls = AUGMENTATIONS[name]
    return cls(**{f.name: given[f.name] for f in fields(cls)})
