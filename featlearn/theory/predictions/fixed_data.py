"""A fixed data set used again and again: what its noise does to stage I, and how many samples it takes.

With N samples and fresh masks the two views share the noise of the sample, whatever the mask: off its
diagonal, E[x⁺⁺x⁺ᵀ] is the sample covariance of the data. Labels meet the noise of a sample only where it
happens to agree with them (derived: featlearn/theory/derivation.md, "A fixed data set").
"""

import math
from typing import NamedTuple

import numpy as np

from ...errors import InvalidInput
from ...latents import unusual_data
from ...objectives import OBJECTIVES, make_objective
from .moments import view_moments
from .supervised import sign_signal

# Points of the spectrum: over all of it, and again about the signal.
_POINTS = 1500


class FixedData(NamedTuple):
    """What RandomMask sees of N fixed samples.

    Attributes
    ----------
    noise_edge : float
        σ²(2t + t²), t = √(d1/N): the largest eigenvalue of what the noise leaves off the diagonal.
    signal : float
        (s + σ²)(1 + γσ²/s) - σ², γ = d1/N: the eigenvalue that the signal rides on; below the edge
        it drowns.
    sparse_share : float
        Share of the top d eigenvectors within span(M), see `share_of_leading`; for d ≪ d1 it is
        (1 - γσ⁴/s²)/(1 + γσ²/s), and 0 below the edge.
    samples_needed : float
        d1 (σ²/s)²: the N from which the signal stands out, for d ≪ d1.
    """

    noise_edge: float
    signal: float
    sparse_share: float
    samples_needed: float


def not_masked(experiment):
    """Return why `fixed_data` says nothing of an experiment with n_samples, or None."""
    exp = experiment
    if not OBJECTIVES[exp.objective].is_pairwise or exp.augmentation != "random_mask":
        return "it is derived for losses of pairs with RandomMask"
    if exp.resolved_density == 0:
        return "there is no signal"
    if view_moments(exp).cross.sparse <= 0:
        return "an atom that is one input is in one view only: the mask takes the signal with the noise"
    others = [word for word in unusual_data(exp) if not word.startswith("n_samples")]
    return f"it is derived for the paper's data, not for {others[0]}" if others else None


def fixed_data(experiment):
    """Return the `FixedData` of an experiment with n_samples to which `not_masked` has no objection.

    Raises
    ------
    InvalidInput
        If its samples are fresh, or s = 0.
    """
    s, variance = _density_and_noise(experiment)
    gamma, ratio = experiment.n_inputs / experiment.n_samples, variance / s
    root = math.sqrt(gamma)
    edge = variance * (2 * root + gamma)
    needed = experiment.n_inputs * ratio**2
    signal = (s + variance) * (1 + gamma * ratio) - variance
    if experiment.n_samples <= needed:
        signal = edge
    share = share_of_leading(
        experiment.n_features, experiment.n_inputs, experiment.n_samples, ratio
    )
    return FixedData(edge, signal, share, needed)


def share_of_leading(n_features, n_inputs, n_samples, ratio):
    """Return the share within span(M) of the top d eigenvectors of a sample covariance.

    The population has the eigenvalues ℓ = 1 + s/σ² on span(M) and 1 beside it, over σ². With c = d/d1, γ =
    d1/N and v the root with Im v > 0 of

        λ = -1/v + γ [ (1-c)/(1+v) + c ℓ/(1+ℓv) ],

    the sample's spectrum has the density -Im[(1-c)/(1+v) + c/(1+ℓv)]/(πλ), of which the second term is what lies in
    span(M). The share is that term's part of the top c of it.

    Parameters
    ----------
    n_features, n_inputs, n_samples : int
        d, d1 and N.
    ratio : float ≥ 0
        σ²/s.

    Returns
    -------
    float

    Notes
    -----
    For d, d1, N → ∞ in proportion. Derived in featlearn/theory/derivation.md, "A fixed data set".
    """
    c, gamma = n_features / n_inputs, n_inputs / n_samples
    if ratio == 0 or c == 1:
        return 1.0
    large = 1 + 1 / ratio
    low, high = 0.9 * (1 - min(math.sqrt(gamma), 1)) ** 2, large * (1 + math.sqrt(gamma)) ** 2
    low = max(low, 1e-9 * high)
    # Without noise beside it the signal's part would be as wide as d/N makes it.
    centre, width = large * (1 + gamma * ratio), 4 * large * math.sqrt(n_features / n_samples)
    about = np.clip([centre - width, centre + width], low, high)
    points = np.unique([np.linspace(low, high, _POINTS), np.linspace(*about, _POINTS)])
    v = _upper_roots(points, c, gamma, large)
    inside = np.maximum(-(c / (1 + large * v)).imag, 0) / (math.pi * points)
    total = inside + np.maximum(-((1 - c) / (1 + v)).imag, 0) / (math.pi * points)
    from_top = [np.cumsum(((y[1:] + y[:-1]) / 2 * np.diff(points))[::-1]) for y in (total, inside)]
    held = np.interp(c, *from_top)
    if c > 1 / gamma:
        # N < d samples leave directions of none, and some of these are among the top d.
        held += (c - 1 / gamma) * (c - held) / (1 - 1 / gamma)
    return float(min(held / c, 1.0))


def _upper_roots(points, c, gamma, large):
    """The v with the largest imaginary part at each λ, of the cubic equation in `share_of_leading`."""
    mean = 1 - c + c * large
    coefficients = [
        points * large,
        points * (1 + large) + large * (1 - gamma),
        points + 1 + large - gamma * mean,
        np.ones_like(points),
    ]
    companion = np.zeros((len(points), 3, 3))
    companion[:, 1, 0] = companion[:, 2, 1] = 1
    for row, coefficient in enumerate(coefficients[:0:-1]):
        companion[:, row, 2] = -coefficient / coefficients[0]
    roots = np.linalg.eigvals(companion)
    return roots[np.arange(len(points)), roots.imag.argmax(axis=1)]


class LabelledData(NamedTuple):
    """What labels see of N fixed samples while outputs are small.

    Attributes
    ----------
    samples_needed : float
        N_sup, the N from which the labels' pull is more along M than beside it.
    sparse_share : float
        Of that pull within span(M).
    """

    samples_needed: float
    sparse_share: float


def labelled_data(experiment):
    """Return the `LabelledData` of a supervised experiment with n_samples.

    E[y xᵀ] over the samples is G Mᵀ, G_kj = E[y_k z_j], plus the mean of y ξᵀ, whose K × (d1 - d) entries beside span(M)
    have the variance σ² E y_k²/N:

        N_sup = σ² (d1 - d) Σ_k E y_k² / ‖G‖²,

    which is σ² (d1 - d)/s for values. Along M chance adds (s + σ²) E y_k²/N to each of its d directions, so that with
    r = N_sup/N the share is (1 + e r)/(1 + e r + r), e = d (s + σ²)/((d1 - d) σ²).

    Raises
    ------
    InvalidInput
        For another objective, labels that leak noise, fresh samples, or s = 0.
    """
    exp = experiment
    if exp.objective != "supervised" or exp.label_leak:
        raise InvalidInput("objective", exp.objective, "supervised, with labels without noise")
    s, variance = _density_and_noise(exp)
    tasks = make_objective(exp).tasks.astype(float)
    if exp.task == "regression":
        signal, power = s * tasks.T, s * float((tasks**2).sum())
    else:
        signal = sign_signal(tasks, s)
        power = tasks.shape[1] * (1 - (1 - s) ** exp.n_features)
    needed = variance * (exp.n_inputs - exp.n_features) * power / float((signal**2).sum())
    chance = needed / exp.n_samples
    within = 1 + power * exp.n_features * (s + variance) / exp.n_samples / float((signal**2).sum())
    return LabelledData(needed, within / (within + chance))


def _density_and_noise(experiment):
    """s and σ² of an experiment with a data set."""
    if experiment.n_samples is None:
        raise InvalidInput("n_samples", None, "a number of samples: fresh ones share no noise")
    s = experiment.resolved_density
    if s == 0:
        raise InvalidInput("density", s, "a number > 0")
    return s, experiment.resolved_noise_variance
