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
from .moments import scatter_of_negatives, uniform_attraction
from .residual import negative_mass_of
from .view_noise import view_noise

# The fixed point is reached to 1e-6 after twenty halvings.
_ROUNDS = 20


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

    With c₁ = s + n₁ and c₂ = s + n₂ (equal at keep probability 1/2), x the covariance of the views'
    noise, -s f under RandomMask, D the mean of 1 - P_p0 there, N negatives, and g = 1, or 2 without stop-gradient,

        k = (s + x - λ/(g D))/c₁,
        e = (η/2B) g D² (1 + 1/N) k n₁ (d1-d)/(λ + g D (k n₁ - x)),
        a = (k - n₂ e)/c₂.

    Parameters
    ----------
    experiment : Experiment
        Any keep probability, dictionary and kind of negatives.

    Returns
    -------
    Plateau
        All zero where decay beats the signal, g q (s + x) ≤ λ; a = 0 where sampling noise alone fills
        the plateau, n₂ e ≥ k.

    Raises
    ------
    InvalidInput
        Where g q x > λ. The dense features then grow by themselves, in all left directions and not
        only in those of W M, until similarities are far from small: there is no such plateau.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase" and "The positive's own
    similarity". The true softmax repels more than its leading order: the mean is high by 1-5 % where
    a < 1, and by more above, or with fewer than a hundred negatives (see `softmax_plateau`).
    """
    views, decay = view_noise(experiment), experiment.weight_decay
    arguments = 1 if experiment.stop_gradient else 2
    extra, q = experiment.noise_directions, uniform_attraction(experiment)
    if arguments * q * views.shared > decay:
        raise InvalidInput(
            "augmentation",
            experiment.augmentation,
            f"views that share dense noise of variance ≤ weight_decay = {decay:.4g} for a plateau"
            f" of the linear phase, not {arguments * views.shared:.4g}",
        )
    anchor, key = views.density + views.anchor, views.density + views.key
    signal = views.density + views.shared
    mass_of, few = negative_mass_of(experiment), scatter_of_negatives(experiment)
    mass, sparse, dense = q, 0.0, 0.0
    for _ in range(_ROUNDS):
        if arguments * mass * signal <= decay:
            return plateau_at(experiment, 0.0, 0.0)
        repulsion = (signal - decay / (arguments * mass)) / anchor
        noise = experiment.learning_rate / (2 * experiment.batch_size) * arguments * mass**2 * few
        restoring = decay + arguments * mass * (repulsion * views.anchor - views.shared)
        dense = noise * repulsion * views.anchor * extra / restoring if views.anchor > 0 else 0.0
        sparse = max(0.0, repulsion - views.key * dense) / key
        # Half of the way: a smaller mass makes a smaller network, whose mass is larger.
        mass = (mass + mass_of(sparse, dense).mean) / 2
    return plateau_at(experiment, sparse, dense)


def rate_outside(experiment, found):
    """Return the rate of ln ‖β‖ in left directions without a signal, on the plateau.

    A network of m > d neurons has m - d of them. Their keys repel nothing while they are small, but
    each batch adds noise to them in proportion to what they hold: in the symbols of `plateau`,

        (η/2B) g D² (1 + 1/N) n₁ n₂ (d1-d) + g D x - λ.

    Parameters
    ----------
    experiment : Experiment
    found : Plateau

    Returns
    -------
    float
        Per unit of η t. Where it is positive they fill with noise that no plateau counts.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    views, arguments = view_noise(experiment), 1 if experiment.stop_gradient else 2
    mass = negative_mass_of(experiment)(found.sparse, found.dense).mean
    noise = experiment.learning_rate / (2 * experiment.batch_size) * arguments * mass**2
    noise *= (
        views.anchor * views.key * experiment.noise_directions * scatter_of_negatives(experiment)
    )
    return noise + arguments * mass * views.shared - experiment.weight_decay


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
    Without stop-gradient the noise has four times the variance and the pull twice the rate. The decoupled loss
    with N negatives has 1 + 1/N times the noise.

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
    noise *= scatter_of_negatives(experiment) * uniform_attraction(experiment)
    if not experiment.stop_gradient:
        noise *= 2
    return 2 * math.sqrt(
        noise / (2 * experiment.batch_size * (views.density + views.key) * sparse**2)
    )


def spread_of_mean(experiment, found, steps):
    """Return the relative standard deviation of a mean squared singular value over some steps.

    With the semicircle's half-width R, the mean of d values has the variance R²/(2 d²) at one time, and
    is forgotten at the rate ρ = 2 η g c₁ c₂ a: over T steps, with x = ρ T, the variance of its mean is
    2 (x - 1 + e^-x)/x² of that.

    Parameters
    ----------
    experiment : Experiment
    found : Plateau
    steps : float
        T.

    Returns
    -------
    float

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    views, arguments = view_noise(experiment), 1 if experiment.stop_gradient else 2
    anchor, key = views.density + views.anchor, views.density + views.key
    x = 2 * experiment.learning_rate * arguments * anchor * key * found.sparse * steps
    averaged = 2 * (x - 1 + math.exp(-x)) / x**2 if x > 1e-3 else 1.0
    return found.half_width * math.sqrt(averaged / 2) / experiment.n_features
