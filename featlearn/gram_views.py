"""Samples and views in the d + r coordinates of a network [α | L]; see `featlearn.dense`.

Without augmentation and for correlated noise the ordinary augmentations apply as they are. RandomMask
acts on the d1 coordinates of x, of which there are none here; `GaussianMask` has its law.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .compute.gaussian import fill_normal
from .data import SparseCodingModel
from .errors import InvalidInput
from .latents import law_of
from .objectives import OBJECTIVES
from .views import Augmentation, Moment, Moments, Views, augmentation_of

# Least d1/d at which the mask noise of a Gram matrix's views, an expansion in 1/d1, is accepted.
MASK_RATIO = 16
# d1 Σ_r M_rj⁴ - 1: how much of the mask noise of a feature lies along the feature itself.
EXCESS = {"orthonormal": 2.0, "flat": 0.5}


def check_dense(experiment):
    """Refuse an experiment that the law of a Gram matrix is not derived for, with the reason."""
    e, d, d1 = experiment, experiment.n_features, experiment.n_inputs
    if e.dense == "explicit":
        if d1 > 2**31 - 1:
            raise InvalidInput("n_inputs", d1, 'at most 2³¹ - 1, or dense = "gram"')
        if e.noise_inputs not in (None, d1):
            raise InvalidInput("noise_inputs", e.noise_inputs, 'none, or dense = "gram"')
        return
    inside = e.n_columns
    if e.noise_inputs is not None and not inside <= e.noise_inputs <= d1:
        raise InvalidInput(
            "noise_inputs",
            e.noise_inputs,
            f"n_features + min(n_neurons, n_inputs - n_features) = {inside} to n_inputs = {d1}",
        )
    if not OBJECTIVES[e.objective].is_pairwise:
        derived = [name for name, objective in OBJECTIVES.items() if objective.is_pairwise]
        wanted = 'with dense = "gram" one of ' + ", ".join(derived)
        wanted += ": what the noise outside the row space adds is derived for losses of pairs"
        raise InvalidInput("objective", e.objective, wanted)
    if e.augmentation == "independent_masks":
        raise InvalidInput(
            "augmentation",
            e.augmentation,
            'with dense = "gram" random_mask, none or correlated_noise: the law of two'
            " overlapping masks is not derived",
        )
    if e.augmentation != "random_mask":
        return
    with_mask = 'with dense = "gram" and random_mask '
    if e.dictionary == "identity":
        wanted = "orthonormal or flat: a mask erases whole features of an identity"
        raise InvalidInput("dictionary", e.dictionary, with_mask + wanted)
    if e.keep_probability != 0.5:
        wanted = "0.5: the law of other masks is not derived"
        raise InvalidInput("keep_probability", e.keep_probability, with_mask + wanted)
    if d1 < MASK_RATIO * d:
        wanted = f"at least {MASK_RATIO} n_features = {MASK_RATIO * d}: its error is O(1/d1)"
        raise InvalidInput("n_inputs", d1, with_mask + wanted)


def outer_dimensions(experiment):
    """Return the number of dimensions of the noise outside span(M) and the row space: d1 - d - r.

    Where the experiment names `noise_inputs`, that takes the place of d1.
    """
    return experiment.resolved_noise_inputs - experiment.n_columns


class GramModel(SparseCodingModel):
    """x = M z + ξ in the d + r coordinates that the network sees; M is the first d columns of I."""

    # Not in the d1 coordinates of x.
    has_inputs = False

    def signal(self, latents, out=None):
        """Return M z of shape (n, d + r) for latents of shape (n, d), in `out` where given."""
        if out is None:
            out = np.empty((len(latents), self.n_inputs), latents.dtype)
        out[:, : self.n_features] = latents
        out[:, self.n_features :] = 0
        return out


def gram_model(experiment):
    """Return the `GramModel` of an experiment."""
    matrix = np.eye(experiment.n_columns, experiment.n_features, dtype=experiment.dtype)
    density, variance = experiment.resolved_density, experiment.resolved_noise_variance
    return GramModel(matrix, density, variance, law_of(experiment))


@dataclass(frozen=True)
class GaussianMask(Augmentation):
    """RandomMask with k = 1/2 in d + r coordinates, its mask noise Gaussian given z.

    A mask D = (I + S)/2 of random signs S turns x = Mz + ξ into x^± = (I ± S) x. Given z, with
    g₀, g, g' standard normal and γ² = ‖z‖²/d1,

        x^± = z (1 ± √(k/d1) g₀) + σ g ± √(σ² + γ²) g',

    so that a view's noise has the variance 2σ² + γ² and a covariance -γ² with the other view's.
    k = d1 Σ_r M_rj⁴ - 1 is 2 for a Haar-random M and 1/2 for a flat one (derived:
    featlearn/theory/derivation.md, "The dense part by its Gram matrix").

    Attributes
    ----------
    n_inputs, n_features : int
        d1 and d.
    excess : float
        k.
    """

    name, label = "random_mask", "RandomMask"
    formula = "x± = z (1 ± √(k/d1) g₀) + σ g ± √(σ² + ‖z‖²/d1) g'"
    remark = "the law of a mask on d1 inputs, in the coordinates that the network sees."
    n_normals = 2
    n_inputs: int
    n_features: int
    excess: float

    @classmethod
    def of(cls, experiment):
        """Return the one that stands for an experiment's `RandomMask`."""
        excess = EXCESS[experiment.dictionary]
        return cls(experiment.n_inputs, experiment.n_features, excess)

    def leak(self, latents):
        """Return γ² = ‖z‖²/d1 of every sample, ndarray of shape (n,)."""
        return np.einsum("pj,pj->p", latents, latents) / self.n_inputs

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; see `RandomMask.pair`. g is the sample's own noise."""
        anchors, keys = out or (np.empty_like(sample.signal), np.empty_like(sample.signal))
        z, dtype = sample.latents, sample.signal.dtype
        odd = np.empty(sample.signal.shape, np.float32)
        fill_normal(rng, odd)
        odd = odd.astype(dtype, copy=False)
        odd *= np.sqrt(model.noise_variance + self.leak(z)).astype(dtype)[:, None]
        tilt = math.sqrt(self.excess / self.n_inputs) * rng.standard_normal((len(z), 1))
        odd[:, : z.shape[1]] += tilt.astype(dtype) * z
        even = np.add(sample.signal, sample.noise, out=keys)
        np.add(even, odd, out=anchors)
        np.subtract(even, odd, out=keys)
        return Views(anchors, keys)

    def moments(self, density, noise_variance):
        """Return the `Moments` of the two views, M being the first d columns of the identity."""
        own = density * self.excess / self.n_inputs
        leak = density * self.n_features / self.n_inputs
        view = Moment(density + own, 0.0, 2 * noise_variance + leak)
        return Moments(Moment(density - own, 0.0, -leak), view, view)


class NoiseCovariance(NamedTuple):
    """Of the two views' noise along a direction beside span(M), given the latents.

    Attributes
    ----------
    own, cross : ndarray of shape (n,)
        Variance in one view, and covariance with the other view.
    """

    own: np.ndarray
    cross: np.ndarray


def noise_covariance(augmentation, model, latents):
    """Return the `NoiseCovariance` of n samples with these latents."""
    moments = augmentation.moments(0.0, model.noise_variance)
    leak = np.zeros(len(latents))
    if isinstance(augmentation, GaussianMask):
        leak = augmentation.leak(latents).astype(float)
    return NoiseCovariance(moments.anchor.isotropic + leak, moments.cross.isotropic - leak)


@lru_cache(maxsize=8)
def view_law(experiment):
    """Return the augmentation of an experiment, or what stands for it in d + r coordinates."""
    if experiment.dense == "gram" and experiment.augmentation == "random_mask":
        return GaussianMask.of(experiment)
    return augmentation_of(experiment)
