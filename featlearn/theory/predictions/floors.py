"""What no head can beat: the errors that the noise leaves to linear and to all estimators of z.

Along an atom, u_j = ⟨M_j, x⟩ = z_j + ξ_j with ξ_j ~ N(0, σ²), and since M is orthonormal and the
noise isotropic, u_j holds all that x says about an independent z_j. Errors are those of y = ⟨w*, z⟩
relative to its variance, so that 1 is what a constant achieves. They are the same for every w* where
all z_j have one law; otherwise squared errors and variances are means over w* of random signs and sizes.
"""

import math

import numpy as np
from scipy.special import ndtr

from ...latents import Bernoulli


def linear_floor(variances, noise_variance):
    """Return Σ_j v_j σ²/(v_j + σ²) / Σ_j v_j, the smallest regression error of any linear head on x.

    It is reached by ŷ = ⟨w*, E z⟩ + Σ_j w*_j v_j/(v_j + σ²) (u_j - E z_j), and so bounds every linear head on
    every linear representation from below (derived in featlearn/theory/derivation.md, "Probe floor").

    Parameters
    ----------
    variances : float ≥ 0 or ndarray of shape (d,)
        v_j = Var z_j, or the one of all; s of the paper's law.
    noise_variance : float ≥ 0
        σ².

    Returns
    -------
    float in [0, 1]
    """
    v = np.atleast_1d(np.asarray(variances, np.float64))
    if not v.any():
        return 1.0
    # Each error relative to 1 first, so that equal variances give σ²/(v + σ²) to the last bit.
    errors = noise_variance / np.where(v > 0, v + noise_variance, 1)
    return float(np.average(errors, weights=v))


def bayes_floor(densities, noise_variance, law=Bernoulli, n_nodes=400):
    """Return 1 - Var E[z|u]/Var z, the smallest regression error of any estimator of ⟨w*, z⟩ from x.

    Parameters
    ----------
    densities : float in [0, 1] or ndarray of shape (d,)
        s_j, or the one of all.
    noise_variance : float ≥ 0
        σ².
    law : type
        The `featlearn.latents.Law` of independent z_j.
    n_nodes : int
        Points of the trapezoidal rule, over ten standard deviations to either side.

    Returns
    -------
    float in [0, 1]

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Probe floor".
    """
    # Equal features are computed once.
    s, count = np.unique(np.asarray(densities, np.float64), return_counts=True)
    law = law(s)
    total = count @ law.variances
    if total == 0:
        return 1.0
    if noise_variance == 0:
        return 0.0
    g, step = np.linspace(-10, 10, n_nodes, retstep=True)
    weights = np.exp(-(g**2) / 2) * step / math.sqrt(2 * math.pi)
    sizes, chances = law.sizes
    squares = 0.0
    # A negative z_j, where the law has any, adds what the positive one does.
    for z, probability in zip((0.0, *sizes), (1 - s, *np.outer(chances, s))):
        u = z + math.sqrt(noise_variance) * g
        squares += probability * (weights @ law.posterior_mean(u[:, None], noise_variance) ** 2)
    return float(1 - count @ (squares - law.means**2) / total)


def pure_error(density, noise_variance, threshold):
    """Return what a network of pure neurons leaves of ⟨w*, z⟩ on clean inputs, 1 - s E[h|1]²/E h².

    With h = h(z_j + ξ_j) of a neuron of unit norm on each atom. The signs of different z_j are independent, so that
    their h are uncorrelated, whether one or many are in a sample.

    Parameters
    ----------
    density : float in [0, 1]
        s; z_j is in {-1, 0, 1}.
    noise_variance, threshold : float ≥ 0
        σ² and ϱ = b/‖w‖.

    Returns
    -------
    float in [0, 1]

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Probe floor".
    """
    sigma = math.sqrt(noise_variance)
    above, below, silent = (beyond(z - threshold, sigma) for z in (1.0, -1.0, 0.0))
    square = density * (above[2] + below[2]) + (1 - density) * 2 * silent[2]
    if square <= 0:
        return 1.0
    return 1 - density * (above[1] - below[1]) ** 2 / square


def beyond(mean, sigma):
    """Return Pr(x > 0), E x 1{x > 0} and E x² 1{x > 0} of x ~ N(mean, σ²), floats."""
    if sigma == 0:
        return float(mean > 0), max(mean, 0.0), max(mean, 0.0) ** 2
    t = mean / sigma
    chance = float(ndtr(t))
    first = mean * chance + sigma * math.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    return chance, first, mean * first + sigma**2 * chance
