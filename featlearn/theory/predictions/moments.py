"""Short-hands of the theory for one experiment: what a view looks like along one unit direction.

The second moments that the views know (`featlearn.views`) are combinations of M Mᵀ, diag(M Mᵀ) and
I. Stage I only asks what they are along a direction of span(M), where the sparse features are, and
along one of its complement, where only dense noise is.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from ...objectives import OBJECTIVES
from ...views import augmentation_of


class Split(NamedTuple):
    """A number for span(M) and one for its complement: along a sparse and a dense direction."""

    sparse: float
    dense: float


@dataclass(frozen=True)
class ViewMoments:
    """Second moments of an experiment's views along one unit direction.

    Attributes
    ----------
    density : float
        s = E[z_j²].
    noise_variance : float
        σ².
    diagonal : Split
        Mean of diag(M Mᵀ) along a direction: f on either side for a flat M; see `mean_diagonal`.
    anchor, key : Split
        E⟨v, x⁺⟩² and E⟨v, x⁺⁺⟩²; for `RandomMask` with k = 1/2 that is c = s + n and n.
    cross : Split
        E[⟨v, x⁺⁺⟩⟨v, x⁺⟩], the drift: s(1-f) and -s f for `RandomMask`.
    noise : tuple of float
        Variance of the dense noise in anchor and in key, and its covariance, in any direction.
    scale_excess : float
        E c⁴ - 1 of the scale c of a sample's noise, E c² = 1.
    anchor_excess, key_excess, cross_excess : float
        E[μ²] - 1, E[ν²] - 1 and E[μν] - 1 of the factors μ, ν by which masks multiply an input in
        the two views; 0 without masks.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Second moments of views".
    """

    density: float
    noise_variance: float
    diagonal: Split
    anchor: Split
    key: Split
    cross: Split
    noise: tuple
    scale_excess: float
    anchor_excess: float
    key_excess: float
    cross_excess: float

    @property
    def dense_correlation(self):
        """Correlation of the two views along a dense direction; 0 if a view has nothing there.

        Independent masks with k = 1/2 leave ½, no augmentation 1, and `RandomMask` the -s f/n of
        the signal that leaks out of span(M), which vanishes as d1 grows.
        """
        scale = (self.anchor.dense * self.key.dense) ** 0.5
        return self.cross.dense / scale if scale > 0 else 0.0

    @property
    def sparse_correlation(self):
        """Correlation of the two views along a sparse direction; 0 if a view has nothing there."""
        scale = (self.anchor.sparse * self.key.sparse) ** 0.5
        return self.cross.sparse / scale if scale > 0 else 0.0


def mean_diagonal(kind, n_inputs, n_features):
    """Return the mean of diag(M Mᵀ) along a sparse and along a dense direction.

    With p_r = (M Mᵀ)_rr these are Σ p_r²/d and (d - Σ p_r²)/(d1 - d). A flat M has p_r = d/d1
    everywhere. A Haar-random one has (d+2)/(d1+2) along a sparse and d/(d1+2) along a dense
    direction in the mean; p_r itself scatters by a factor 1 ± √(2/d). The identity has 1 and 0: a
    mask then keeps or drops whole features, and complementary views share none.

    Parameters
    ----------
    kind : {"orthonormal", "flat", "identity"}
    n_inputs, n_features : int

    Returns
    -------
    Split
    """
    d, d1 = n_features, n_inputs
    sparse = {"orthonormal": (d + 2) / (d1 + 2), "flat": d / d1, "identity": 1.0}[kind]
    return Split(sparse, d * (1 - sparse) / (d1 - d) if d1 > d else 0.0)


def own_part(kind, n_inputs):
    """Return how much more of M_jᵀ diag(M S Mᵀ) M_j comes from feature j than from another, S diagonal.

    That is Σ_r M_rj⁴ - Σ_r M_rj² M_rk²: a mask scatters the signal of all features alike where M is flat, and
    each into itself where every feature is one input.

    Parameters
    ----------
    kind : {"orthonormal", "flat", "identity"}
    n_inputs : int

    Returns
    -------
    float
    """
    return {"orthonormal": 2 / (n_inputs + 2), "flat": 0.0, "identity": 1.0}[kind]


def noise_along(moment, diagonal):
    """Return the variance of what is not signal in a `Moment` of views, along a direction.

    Parameters
    ----------
    moment : featlearn.views.Moment
    diagonal : Split
        See `mean_diagonal`.

    Returns
    -------
    Split
        Dense noise, and the part of the signal that a mask scatters.
    """
    sparse, dense = (moment.diagonal * along + moment.isotropic for along in diagonal)
    return Split(sparse, dense)


def view_moments(experiment):
    """Return the `ViewMoments` of an experiment."""
    s, variance = experiment.resolved_density, experiment.resolved_noise_variance
    augmentation = augmentation_of(experiment)
    moments = augmentation.moments(s, variance)
    diagonal = mean_diagonal(experiment.dictionary, experiment.n_inputs, experiment.n_features)

    def split(moment):
        noise = noise_along(moment, diagonal)
        return Split(moment.shared + noise.sparse, noise.dense)

    def excess(moment):
        return moment.diagonal / s if s > 0 else 0.0

    return ViewMoments(
        density=s,
        noise_variance=variance,
        diagonal=diagonal,
        anchor=split(moments.anchor),
        key=split(moments.key),
        cross=split(moments.cross),
        noise=tuple(m.isotropic for m in (moments.anchor, moments.key, moments.cross)),
        # c is log-normal.
        scale_excess=math.expm1(4 * experiment.noise_spread**2),
        anchor_excess=excess(moments.anchor),
        key_excess=excess(moments.key),
        cross_excess=excess(moments.cross),
    )


def negative_count(experiment):
    """Return N, the number of negatives of an anchor: B/n - 1 in n groups, or K separate ones."""
    if experiment.negatives != "in_batch":
        return experiment.negatives
    return experiment.batch_size // experiment.negative_groups - 1


def uniform_attraction(experiment):
    """Return q = 1 - P_p0 = 1 - 1/(N+1) at initialisation, where the softmax is uniform.

    For an objective whose attraction does not fade it is 1, then and later.
    """
    if not OBJECTIVES[experiment.objective].fades:
        return 1.0
    return 1 - 1 / (negative_count(experiment) + 1)


class NoiseWeights(NamedTuple):
    """What the three parts of a batch's noise count at a uniform softmax.

    Attributes
    ----------
    pairs, own, fourth : float
        Of E[y²] E[x⁺x⁺ᵀ], of E[x⁺y] E[x⁺y]ᵀ and of the fourth cumulant.
    """

    pairs: float
    own: float
    fourth: float


def noise_weights(experiment):
    """Return the `NoiseWeights` of an experiment.

    With q = 1 - 1/(N+1) InfoNCE has q, q or q² with negatives of their own, and q². The decoupled loss takes
    the mean of the N negatives off where InfoNCE takes that of all N + 1 keys: its step is 1/q of it, and the noise
    1/q². For small similarities the spectral loss takes nothing off.
    """
    if not OBJECTIVES[experiment.objective].has_softmax:
        return NoiseWeights(1.0, 1.0, 1.0)
    q = 1 - 1 / (negative_count(experiment) + 1)
    own = q if experiment.negatives == "in_batch" else q * q
    scale = (uniform_attraction(experiment) / q) ** 2
    return NoiseWeights(scale * q, scale * own, scale * q * q)


def scatter_of_negatives(experiment):
    """Return 1 + 1/N: what the mean of N negatives adds to the variance of a key, of which it is taken off.

    1 for the spectral loss, which takes nothing off while similarities are small.
    """
    return noise_weights(experiment).pairs / uniform_attraction(experiment) ** 2
