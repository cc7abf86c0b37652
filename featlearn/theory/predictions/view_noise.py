"""The noise of the views along a feature: their second moments without the signal."""

import math
from dataclasses import dataclass

from ...views import augmentation_of
from .moments import mean_diagonal, noise_along


@dataclass(frozen=True)
class ViewNoise:
    """Variances of the noise of the views along a unit direction, and its covariance across them.

    Attributes
    ----------
    density : float
        s, variance of the signal along an M_j.
    anchor, key : float
        n₁ and n₂: dense noise, and under a mask the part of the signal that the mask scatters.
    shared : float
        Covariance of the two: -s f under `RandomMask`, whose views scatter the signal in opposite
        directions, and positive where the views share dense noise.
    scattered : tuple of float
        What scattered signal contributes to anchor, key and shared on average; with z known it is
        in proportion to ‖z‖²/(s d).
    uneven : tuple of float
        Standard deviations, relative to 1 and with opposite signs, of the share of ‖w‖² that a mask
        leaves to the anchor and to the key.
    """

    density: float
    anchor: float
    key: float
    shared: float
    scattered: tuple = (0.0, 0.0, 0.0)
    uneven: tuple = (0.0, 0.0)


def view_noise(experiment):
    """Return the `ViewNoise` of an experiment, from its augmentation's second moments.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Second moments of views".
    """
    s, augmentation = experiment.resolved_density, augmentation_of(experiment)
    moments = augmentation.moments(s, experiment.resolved_noise_variance)
    diagonal = mean_diagonal(experiment.dictionary, experiment.n_inputs, experiment.n_features)
    anchor, key, shared = (
        noise_along(moment, diagonal).sparse
        for moment in (moments.anchor, moments.key, moments.cross)
    )
    scattered = tuple(
        moment.diagonal * diagonal.sparse for moment in (moments.anchor, moments.key, moments.cross)
    )
    uneven = (0.0, 0.0)
    if augmentation.complementary_masks and experiment.dictionary != "identity":
        # Σ_k w_k⁴ = 3 ‖w‖⁴/d1 for Gaussian entries.
        odds = experiment.keep_probability / (1 - experiment.keep_probability)
        size = math.sqrt(3 / experiment.n_inputs)
        uneven = (size / math.sqrt(odds), -size * math.sqrt(odds))
    return ViewNoise(s, anchor, key, shared, scattered, uneven)
