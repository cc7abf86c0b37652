"""Attraction minus repulsion along one left singular direction of W, with the softmax as it is.

An anchor's feature along the direction, over √τ, is u = √a y + √e ζ: y = z + noise along an M_j, a
latent z among it, and ζ along a dense direction. A key's, h, is made alike. Weighting keys by
exp(u h) moves their mean from 0 to

    G(u) = v₂ u + √a T(√a u),      T(θ) = s sinh θ/(1 - s + s cosh θ),

with v₂ the variance of a key's noise; to first order in u that is the repulsion k₂ u of small
similarities. With P the probability of the positive, the residual is

    r = (1 - P)(h - G(u)).

1 - P depends on how many latents an anchor has: their signals add up to its similarity with its key.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from ...objectives import OBJECTIVES
from .moments import negative_count, view_moments

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
# exp, sinh and cosh overflow beyond 700.
_LARGEST = 500.0


class NegativeMass(NamedTuple):
    """Averages of 1 - P over anchors.

    Attributes
    ----------
    mean, mean_square : float
        Of 1 - P and of its square over all anchors.
    matched, matched_square : float
        Over those whose latent along the direction is not 0.
    """

    mean: float
    mean_square: float
    matched: float
    matched_square: float

    @classmethod
    def constant(cls, value):
        """Return that of a P which all anchors share."""
        return cls(value, value**2, value, value**2)


class Residual(NamedTuple):
    """Moments of the residual r.

    Attributes
    ----------
    sparse, dense : float
        E[r y]/√a and E[r ζ]/√e: what ln √a and ln √e grow by per unit of η t, before decay.
    power : float
        E[r²].
    """

    sparse: float
    dense: float
    power: float


def tilted_key(u, sparse, noise, density):
    """Return G(u), the mean feature of the keys under the weight exp(u h).

    Parameters
    ----------
    u : ndarray
        Anchors' features along a left singular direction, over √τ.
    sparse, noise : float ≥ 0
        a and v₂.
    density : float
        s.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    return noise * u + math.sqrt(sparse) * _tilted_latent(math.sqrt(sparse) * u, density)


def _tilted_latent(theta, density):
    """Return T(θ), the mean of z under the weight exp(θ z)."""
    theta = np.clip(theta, -_LARGEST, _LARGEST)
    return density * np.sinh(theta) / (1 - density + density * np.cosh(theta))


def residual_moments(sparse, dense, views, negative_mass):
    """Return the `Residual` along a direction, for keys as many as their law has.

    Parameters
    ----------
    sparse, dense : float
        a and e.
    views : ViewMoments
    negative_mass : NegativeMass

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    s, root_a = views.density, math.sqrt(sparse)
    anchor_noise, key_noise = (
        noise_variance(moment, s, sparse, dense) for moment in (views.anchor, views.key)
    )
    spread = math.sqrt(anchor_noise)
    # For z = 0 and z = 1; -1 mirrors 1.
    law = np.array([1 - s, s])
    u = root_a * np.array([[0.0], [1.0]]) + spread * _NODES
    g = tilted_key(u, sparse, key_noise, s)
    # E[G'] = E[g G(… + g)]/Var(g) for the Gaussian part g of u.
    slope = law @ g @ (_WEIGHTS * _NODES) / spread if spread > 0 else 0.0
    # E[G | z = 1]/√a.
    taken = key_noise + _tilted_latent(root_a * u[1], s) @ _WEIGHTS
    shared = np.subtract(views.cross, (s, 0.0))
    along_noise = negative_mass.mean * (shared - np.subtract(views.anchor, (s, 0.0)) * slope)
    signal = negative_mass.matched * s * (1 - taken)
    with_key = sparse * taken * np.array([0.0, 1.0]) + (shared @ (sparse, dense)) * slope
    power = key_noise + sparse * np.array([0.0, 1.0]) - 2 * with_key + np.square(g) @ _WEIGHTS
    return Residual(
        float(signal + along_noise[0]),
        float(along_noise[1]),
        float(law * power @ (negative_mass.mean_square, negative_mass.matched_square)),
    )


def negative_mass_of(experiment):
    """Return a function of (a, e): the `NegativeMass` that a network's anchors have of their keys.

    With n latents, S the similarity with the own key and N Z the sum of exp over the negatives,

        1 - P = 1/(1 + e^S/(N Z)),      S = n a + (what the views share of noise),
        ln Z = n ln(1 - s + s cosh a) + (what noise adds).

    A third argument is the dense part of the m - d directions without a signal. An attraction that does not
    fade is 1 whatever they are.

    Parameters
    ----------
    experiment : Experiment

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage boundaries".
    """
    if not OBJECTIVES[experiment.objective].fades:
        return lambda sparse, dense, unfilled=0.0: NegativeMass.constant(1.0)
    views = view_moments(experiment)
    s, n_neurons = views.density, experiment.n_neurons
    filled = min(experiment.n_features, n_neurons)
    empty = n_neurons - filled
    log_negatives = math.log(negative_count(experiment))
    n = np.arange(filled + 1)
    chance = _binomial(n, filled, s)
    # P(n | z_j ≠ 0) is proportional to n P(n).
    matched = n * chance / max(filled * s, 1e-300)

    def negative_mass(sparse, dense, unfilled=0.0):
        anchor, key, shared = (
            noise_variance(moment, s, sparse, dense)
            for moment in (views.anchor, views.key, views.cross)
        )
        similarity = sparse * n + filled * shared + empty * views.cross.dense * unfilled
        log_z = key * (sparse * n + filled * anchor)
        log_z += empty * views.anchor.dense * views.key.dense * unfilled**2
        log_z = (log_z + (filled - n) * s * sparse * anchor) / 2
        log_z += n * math.log1p(s * (math.cosh(min(sparse, _LARGEST)) - 1))
        surplus = np.clip(similarity - log_z - log_negatives, -_LARGEST, _LARGEST)
        value = 1 / (1 + np.exp(surplus))
        averages = (law @ power for law in (chance, matched) for power in (value, value**2))
        return NegativeMass(*map(float, averages))

    return negative_mass


def _binomial(k, n, p):
    """Probability of k successes in n trials."""
    log_choices = -math.log(n + 1) - betaln(n - k + 1, k + 1)
    return np.exp(log_choices + xlogy(k, p) + xlog1py(n - k, -p))


def noise_variance(moment, density, sparse, dense):
    """Return the variance, or covariance, of the Gaussian part of features along a direction."""
    return (moment.sparse - density) * sparse + moment.dense * dense
