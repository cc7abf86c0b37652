"""A fixed data set used again and again: what its noise does to stage I, and how many samples it takes.

With N samples and fresh masks the two views share the noise of the sample, whatever the mask: off its
diagonal, E[x⁺⁺x⁺ᵀ] is the sample covariance of the data. Labels meet the noise of a sample only where it
happens to agree with them (derived: featlearn/theory/derivation.md, "A fixed data set").
"""

import math
from typing import NamedTuple

from ...errors import InvalidInput
from ...latents import unusual_data
from ...objectives import OBJECTIVES, make_objective
from .supervised import sign_signal


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
        (1 - γσ⁴/s²)/(1 + γσ²/s): share of the top d eigenvectors within span(M); 0 below the edge.
    samples_needed : float
        d1 (σ²/s)²: the N from which the signal stands out.
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
    share = (1 - gamma * ratio**2) / (1 + gamma * ratio)
    if experiment.n_samples <= needed:
        signal, share = edge, 0.0
    return FixedData(edge, signal, share, needed)


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
