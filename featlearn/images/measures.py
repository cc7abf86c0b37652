"""What two views have in common before training, and what a network learned of images."""

from typing import NamedTuple

import numpy as np

from ..compute.streams import generator
from ..data import Sample
from ..errors import InvalidInput
from ..rules import integer, require
from .model import SEED, require_images

# Images that correlations, and moments without a closed form, are measured on.
N_IMAGES = 8000


class Decoupling(NamedTuple):
    """Correlation of the two views before training, pooled over directions.

    Attributes
    ----------
    dense, sparse : float in [-1, 1]
        Of the principal components that hold the dense part, and of the atoms: Σ over both images and
        directions of ab, over √(Σ a² Σ b²).
    """

    dense: float
    sparse: float


def views_of(model, augmentation, n, seed=0):
    """Return the `Views` of n images that training could have drawn.

    Parameters
    ----------
    model : ImageModel
    augmentation : object with the method ``pair``
    n, seed : int

    Returns
    -------
    Views
    """
    n, seed = require("n", n, integer(2)), require("seed", seed, SEED)
    require_images(model)
    if isinstance(augmentation, type) or not hasattr(augmentation, "pair"):
        raise InvalidInput("augmentation", augmentation, "an object with pair, such as Hybrid()")
    if hasattr(augmentation, "check_model"):
        augmentation.check_model(model)
    rng = generator(seed, "images", 1)
    numbers = model.draw_latents(rng, n)
    noise = model.draw_noise(rng, n, None, numbers)
    return augmentation.pair(rng, Sample(numbers, model.signal(numbers), noise), model)


def decoupling(model, augmentation, n=N_IMAGES, seed=0):
    """Measure which of an image's parts the two views share, before any training.

    An augmentation decouples the dense part where `dense` is near 0, and teaches the sparse one where
    `sparse` is near 1.

    Parameters
    ----------
    model : ImageModel
    augmentation : object with the method ``pair``
    n, seed : int
        Images to draw.

    Returns
    -------
    Decoupling
    """
    views = views_of(model, augmentation, n, seed)

    def correlation(directions):
        a, b = ((v - v.mean(axis=0)) @ directions for v in (views.anchors, views.keys))
        scale = np.sqrt(np.sum(a * a, dtype=np.float64) * np.sum(b * b, dtype=np.float64))
        return float(np.sum(a * b, dtype=np.float64) / scale) if scale > 0 else 0.0

    return Decoupling(correlation(model.components), correlation(model.dictionary))


def cross_moment(model, augmentation, n=N_IMAGES, seed=0):
    """Return C = E[x⁺⁺x⁺ᵀ], symmetrised, ndarray of shape (d1, d1).

    Σ_s + c Σ_d where the augmentation knows its c (derived: featlearn/theory/derivation.md, "Moments
    of anisotropic noise"), otherwise the mean over n images.
    """
    require_images(model)
    identical = getattr(augmentation, "identical_views", False)
    coupling = 1.0 if identical else getattr(augmentation, "dense_coupling", None)
    if coupling is None:
        views = views_of(model, augmentation, n, seed)
        product = np.asarray(views.keys.T @ views.anchors, np.float64) / n
        return (product + product.T) / 2
    M, D = model.dictionary.astype(np.float64), model.components.astype(np.float64)
    return M @ model.sparse_covariance @ M.T + coupling * D @ model.dense_covariance @ D.T


def dense_share(weights, model):
    """Return ‖Dᵀw_i‖²/‖w_i‖², ndarray of shape (m,): how much of a neuron looks at the dense part."""
    require_images(model)
    if np.ndim(weights) != 2 or np.shape(weights)[1] != model.n_inputs:
        raise InvalidInput("weights", f"shape {np.shape(weights)}", f"shape (m, {model.n_inputs})")
    total = np.einsum("ij,ij->i", weights, weights, dtype=np.float64)
    dense = weights @ model.components
    dense = np.einsum("ij,ij->i", dense, dense, dtype=np.float64)
    return np.divide(dense, total, out=np.zeros_like(total), where=total > 0)
