"""The plateau of the linear phase: where attraction, repulsion and decay balance while b = 0.

At small similarities the softmax adds to the drift a repulsion -(1/τ) W C₂ WᵀW C₁, with C₁ and C₂ the
second moments of anchors and keys. On span(M) all of these are multiples of the identity, so the
flow makes the singular values of W M equal and singles out no M_j. Sampling noise keeps a dense part
alive in the same left singular space: W = U(√(τa) Mᵀ + E), U of shape (m, d) with orthonormal
columns, the rows of E orthogonal to M and of squared norm τe.
"""

import math
from dataclasses import dataclass

from ...errors import InvalidInput
from .moments import uniform_attraction
from .view_noise import view_noise


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


def plateau(experiment):
    """Return the plateau of the linear phase, to leading order in the similarities.

    With c₁ = s + n₁ and c₂ = s + n₂ (equal at keep probability 1/2) and x the covariance of the
    views' noise, -s f under RandomMask,

        k = (q (s + x) - λ)/c₁,
        e = (η/2B) k n₁ (d1-d)/(λ - q x + k n₁),
        a = (k - n₂ e)/c₂.

    Parameters
    ----------
    experiment : Experiment
        Any keep probability, dictionary and kind of negatives.

    Returns
    -------
    Plateau
        All zero where decay beats the signal, q (s + x) ≤ λ; a = 0 where sampling noise alone fills
        the plateau, n₂ e ≥ k.

    Raises
    ------
    InvalidInput
        Where q x > λ. The dense features then grow by themselves, in all left directions and not
        only in those of W M, until similarities are far from small: there is no such plateau.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase". The true softmax repels
    more than its leading order: the mean is high by 1-5 % where a < 1, and by more above (see
    `softmax_plateau`).
    """
    views, factor = view_noise(experiment), uniform_attraction(experiment)
    decay, extra = experiment.weight_decay, experiment.n_inputs - experiment.n_features
    if factor * views.shared > decay:
        raise InvalidInput(
            "augmentation",
            experiment.augmentation,
            f"views that share dense noise of variance ≤ weight_decay = {decay:.4g} for a plateau"
            f" of the linear phase, not {views.shared:.4g}",
        )
    anchor, key = views.density + views.anchor, views.density + views.key
    gain = factor * (views.density + views.shared)
    if gain <= decay:
        return plateau_at(experiment, 0.0, 0.0)
    repulsion = (gain - decay) / anchor
    noise = experiment.learning_rate / (2 * experiment.batch_size) * repulsion
    restoring = decay - factor * views.shared + repulsion * views.anchor
    dense = noise * views.anchor * extra / restoring if views.anchor > 0 else 0.0
    sparse = max(0.0, repulsion - views.key * dense) / key
    return plateau_at(experiment, sparse, dense)


def plateau_at(experiment, sparse, dense):
    """Return the `Plateau` of an experiment with the stationary values a and e."""
    views = view_noise(experiment)
    repulsion = (views.density + views.key) * sparse + views.key * dense
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
