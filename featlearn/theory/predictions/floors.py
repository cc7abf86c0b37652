"""What no head can beat: the errors that the noise leaves to linear and to all estimators of z.

Along an atom, u_j = ⟨M_j, x⟩ = z_j + ξ_j with ξ_j ~ N(0, σ²), and since M is orthonormal and the
noise isotropic, u_j holds all that x says about z_j. Errors are relative to the variance s of z_j,
so that 1 is what a constant achieves; they are the same for every y = ⟨w*, z⟩, as the z_j are
independent.
"""

import math

import numpy as np


def linear_floor(density, noise_variance):
    """Return σ²/(s + σ²), the smallest regression error of any linear head on x.

    It is reached by ŷ = s/(s + σ²) ⟨w*, Mᵀx⟩, and so bounds every linear head on every linear
    representation from below (derived in featlearn/theory/derivation.md, "Probe floor").

    Parameters
    ----------
    density : float in [0, 1]
        s.
    noise_variance : float ≥ 0
        σ².

    Returns
    -------
    float in [0, 1]
    """
    total = density + noise_variance
    return noise_variance / total if total else 1.0


def bayes_floor(density, noise_variance, n_nodes=400):
    """Return 1 - E[E[z|u]²]/s, the smallest regression error of any estimator of ⟨w*, z⟩ from x.

        E[z|u] = t sinh(u/σ²)/(1 - s + t cosh(u/σ²)),   t = s exp(-1/(2σ²)).

    Parameters
    ----------
    density : float in [0, 1]
        s.
    noise_variance : float ≥ 0
        σ².
    n_nodes : int
        Points of the trapezoidal rule, over ten standard deviations to either side.

    Returns
    -------
    float in [0, 1]

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Probe floor".
    """
    if density == 0:
        return 1.0
    if noise_variance == 0:
        return 0.0
    g, step = np.linspace(-10, 10, n_nodes, retstep=True)
    weight = np.exp(-(g**2) / 2) * step / math.sqrt(2 * math.pi)
    explained = 0.0
    for latent, probability in ((0, 1 - density), (1, density)):
        u = np.abs(latent + math.sqrt(noise_variance) * g)
        # log of t e^{u/σ²}, t e^{-u/σ²} and 1 - s; only their differences matter.
        up = math.log(density / 2) - 0.5 / noise_variance + u / noise_variance
        down = up - 2 * u / noise_variance
        none = math.log(1 - density) if density < 1 else -math.inf
        largest = np.maximum(up, none)
        up, down = np.exp(up - largest), np.exp(down - largest)
        mean = (up - down) / (up + down + np.exp(none - largest))
        explained += probability * np.sum(weight * mean**2)
    return float(1 - explained / density)
