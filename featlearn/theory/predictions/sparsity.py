"""How sparse features must be for neurons to select one: below a density a pure neuron sheds the others.

Of u = z_j + (noise of variance n) a pure neuron of unit norm gains F(z_j) = h̄₂(z_j) p̄₁(z_j) per unit of a
feature in it: along its own atom s F(1), along one of which it has little s E[F'(z_j)]. The own one stays ahead where

    s < s* = (F(1) - F'(0))/(F'(1) - F'(0)),

and the other falls behind 1 - s/s* times as fast as if features were never together.
"""

import numpy as np

from ...experiment import EXACTLY
from .neuron_moments import response
from .view_noise import view_noise

# Part of s* up to which neurons select before the norms rest: measured, T1 and T2 failed on runs from .24 on.
MOST_TOGETHER = 0.2


def largest_density(experiment):
    """Return s*, from which on a pure neuron at the cap of b/‖w‖ takes up other features, too.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "How sparse features must be".
    """
    views, given = view_noise(experiment), np.array([0.0, 1.0])
    tiny = np.finfo(np.float64).tiny
    anchor, key = (
        response(given, max(noise, 1e-12), experiment.bias_cap)
        for noise in (views.anchor, views.key)
    )
    force = key.output * anchor.activity
    slope = key.activity * anchor.activity + key.output * anchor.slope
    return float((force[1] - slope[0]) / max(slope[1] - slope[0], tiny))


def together(experiment):
    """Return Pr(z_k ≠ 0 | z_j ≠ 0)/s*, how often another feature is there with one, relative to s*.

    Of laws that draw a number of features that is given, that probability is not s.
    """
    probability = experiment.resolved_density
    if experiment.latents in EXACTLY:
        present = probability * experiment.n_features
        probability = (present - 1) / max(experiment.n_features - 1, 1)
    return probability / max(largest_density(experiment), np.finfo(np.float64).tiny)


def too_dense(experiment):
    """Return why neurons may not select single features, which are there too often together, or nothing."""
    part = together(experiment)
    if part < MOST_TOGETHER:
        return ""
    if largest_density(experiment) <= 0:
        return (
            f"at a cap of b/‖w‖ = {experiment.bias_cap:.3g} pure neurons hardly respond to their own feature: lower"
            " bias_cap"
        )
    rest = "falls behind too slowly" if part < 1 else "does not fall behind"
    return (
        f"features are not sparse: s = {experiment.resolved_density:.3g} is {part:.2g} of s* ="
        f" {largest_density(experiment):.2g}, more than {MOST_TOGETHER}, and a feature that lost a neuron {rest} in"
        " it: lower the density"
    )
