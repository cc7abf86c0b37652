"""A fixed data set used again and again: what its noise does to stage I, and how many samples it takes.

With N samples and fresh masks the two views share the noise of the sample, whatever the mask: off its
diagonal, E[x⁺⁺x⁺ᵀ] is the sample covariance of the data (derived: featlearn/theory/derivation.md, "A
fixed data set").
"""

import math
from typing import NamedTuple

from ...errors import InvalidInput


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


def fixed_data(experiment):
    """Return the `FixedData` of an experiment with n_samples.

    Raises
    ------
    InvalidInput
        If its samples are fresh, or s = 0.
    """
    if experiment.n_samples is None:
        raise InvalidInput("n_samples", None, "a number of samples: fresh ones share no noise")
    s, variance = experiment.resolved_density, experiment.resolved_noise_variance
    if s == 0:
        raise InvalidInput("density", s, "a number > 0")
    gamma, ratio = experiment.n_inputs / experiment.n_samples, variance / s
    root = math.sqrt(gamma)
    edge = variance * (2 * root + gamma)
    needed = experiment.n_inputs * ratio**2
    signal = (s + variance) * (1 + gamma * ratio) - variance
    share = (1 - gamma * ratio**2) / (1 + gamma * ratio)
    if experiment.n_samples <= needed:
        signal, share = edge, 0.0
    return FixedData(edge, signal, share, needed)
