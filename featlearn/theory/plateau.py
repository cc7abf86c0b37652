"""The plateau of the linear phase: where attraction, repulsion and decay balance while b = 0.

At small similarities the softmax adds to the drift a repulsion -(1/τ) W C₂ WᵀW C₁, with C₁ and C₂ the
second moments of anchors and keys. On span(M) all of these are multiples of the identity, so the
flow makes the singular values of W M equal and singles out no M_j. Sampling noise keeps a dense part
alive in the same left singular space: W = U(√(τa) Mᵀ + E), U of shape (m, d) with orthonormal
columns, the rows of E orthogonal to M and of squared norm τe.
"""

import math
from dataclasses import dataclass

from ..errors import InvalidInput


@dataclass(frozen=True)
class Plateau:
    """Stationary values of the linear phase.

    Attributes
    ----------
    repulsion : float
        k = c₂ a + n₂ e, the variance of a key's feature along a left singular direction, over τ.
    dense : float
        e, squared norm of the dense part of a left singular direction, over τ.
    sparse : float
        a, squared singular value of W M, over τ.
    n_features, n_neurons : int
        d and m.
    temperature : float
        τ.
    half_width : float
        Half-width of the semicircle of the squared singular values, relative to their mean.
    """

    repulsion: float
    dense: float
    sparse: float
    n_features: int
    n_neurons: int
    temperature: float
    half_width: float

    @property
    def singular_value_squared(self):
        """Mean squared singular value of W M: τ a."""
        return self.temperature * self.sparse

    @property
    def dense_squared(self):
        """‖β‖² of a left singular direction: τ e."""
        return self.temperature * self.dense

    @property
    def sparse_share(self):
        """‖α‖²/‖w‖²: a/(a + e)."""
        return self.sparse / (self.sparse + self.dense)

    @property
    def weight_norm(self):
        """Root mean square of the ‖w_i‖: √(τ d (a + e)/m)."""
        total = self.temperature * self.n_features * (self.sparse + self.dense)
        return math.sqrt(total / self.n_neurons)


@dataclass(frozen=True)
class ViewNoise:
    """Variances of the views along a unit direction, and their covariance across the views.

    Attributes
    ----------
    density : float
        s, variance of the signal along an M_j.
    anchor, key : float
        n₁ and n₂: dense noise, and under a mask the part of the signal that the mask scatters.
    mask_share : float
        f = d/d1, or (d+2)/(d1+2) for a Haar-random dictionary; the views' covariance is s(1-f)
        along an M_j and -s f along a dense direction. 0 where no mask scatters the signal.
    """

    density: float
    anchor: float
    key: float
    mask_share: float


def mask_share(experiment):
    """Return f, the mean of a column's squared entries weighted by diag(M Mᵀ).

    d/d1 where diag(M Mᵀ) is flat, (d+2)/(d1+2) in the mean over Haar-random dictionaries, and 1 for
    the identity, whose atoms a mask removes whole.
    """
    d, d1 = experiment.n_features, experiment.n_inputs
    if experiment.dictionary == "identity":
        return 1.0
    return d / d1 if experiment.dictionary == "flat" else (d + 2) / (d1 + 2)


def negatives_factor(experiment):
    """Return q = 1 - 1/N, N being the number of keys in a denominator."""
    in_batch = experiment.negatives == "in_batch"
    return 1 - 1 / (experiment.batch_size if in_batch else experiment.negatives + 1)


def view_noise(experiment):
    """Return the `ViewNoise` of an experiment whose views share the signal only.

    RandomMask with keep probability k: n₁ = σ²/k + (1/k - 1) s f and n₂ = σ²/(1-k) + k/(1-k) s f;
    correlated noise at ρ = 0: n₁ = n₂ = 2σ² and f = 0.

    Raises
    ------
    InvalidInput
        For an augmentation that leaves the dense features correlated across the views.
    """
    s, variance = experiment.resolved_density, experiment.resolved_noise_variance
    if experiment.augmentation == "random_mask":
        k, f = experiment.keep_probability, mask_share(experiment)
        anchor = variance / k + (1 / k - 1) * s * f
        key = variance / (1 - k) + k / (1 - k) * s * f
        return ViewNoise(s, anchor, key, f)
    if experiment.augmentation == "correlated_noise" and experiment.noise_correlation == 0:
        return ViewNoise(s, 2 * variance, 2 * variance, 0.0)
    raise InvalidInput(
        "augmentation",
        experiment.augmentation,
        "random_mask, or correlated_noise at noise_correlation 0: views that share no dense noise",
    )


def plateau(experiment):
    """Return the plateau of the linear phase, to leading order in the similarities.

    With c₁ = s + n₁ and c₂ = s + n₂ (at keep probability 1/2 all indices can be dropped),

        k = (s q (1-f) - λ)/c₁,
        e = (η/2B) k n₁ (d1-d)/(λ + s f + k n₁),
        a = (k - n₂ e)/c₂.

    Parameters
    ----------
    experiment : Experiment
        Its views must share the sparse features only; see `view_noise`.

    Returns
    -------
    Plateau
        All zero where decay beats the signal, s q (1-f) ≤ λ; a = 0 where sampling noise alone fills
        the room, n₂ e ≥ k.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase". The mean is a few per
    cent high, as the true softmax repels more than its leading order.
    """
    views = view_noise(experiment)
    s, f, decay = views.density, views.mask_share, experiment.weight_decay
    anchor, key = s + views.anchor, s + views.key
    gain = s * negatives_factor(experiment) * (1 - f)
    repulsion = max(0.0, gain - decay) / anchor
    drowned = experiment.learning_rate / (2 * experiment.batch_size) * repulsion * views.anchor
    drowned *= experiment.n_inputs - experiment.n_features
    restoring = decay + s * f + repulsion * views.anchor
    dense = drowned / restoring if drowned > 0 else 0.0
    sparse = max(0.0, repulsion - views.key * dense) / key
    return _plateau(experiment, repulsion, dense, sparse)


def _plateau(experiment, repulsion, dense, sparse):
    return Plateau(
        repulsion,
        dense,
        sparse,
        experiment.n_features,
        experiment.n_neurons,
        experiment.temperature,
        spectrum_half_width(experiment, repulsion, sparse),
    )


def spectrum_half_width(experiment, repulsion, sparse):
    """Return the relative half-width of the spectrum of WᵀW on span(M).

    A step adds sampling noise of variance 2 a η² k c₁/B to the entries of MᵀWᵀWM/τ, and the
    repulsion pulls them back at the rate 2 η c₁ c₂ a: a stationary Gaussian symmetric matrix, whose
    eigenvalues fill a semicircle of half-width 2√(η d k/(2 B c₂ a²)), relative to their mean a.

    Parameters
    ----------
    experiment : Experiment
    repulsion, sparse : float
        k and a.

    Returns
    -------
    float
        0 where a is 0.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    if sparse == 0:
        return 0.0
    views = view_noise(experiment)
    noise = experiment.learning_rate * experiment.n_features * repulsion
    return 2 * math.sqrt(
        noise / (2 * experiment.batch_size * (views.density + views.key) * sparse**2)
    )
