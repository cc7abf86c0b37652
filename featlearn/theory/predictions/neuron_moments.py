"""Averages over the views that decide how a thresholded neuron moves, in closed form but for sums.

For a neuron of unit norm with alignments α, threshold b and the views' noise n₁, n₂ (covariance x),
let a = Σ_k α_k z_k, and h̄(a), p̄(a) the mean output and the activity given a. Attraction moves it by

    dα_j/dt = q ( E[z_j h̄₂(a) p̄₁(a)] + α_j N ),    dβ/dt = q N β,    N = n₁ E[h̄₂ p̄₁'] + x E[p̄₂ p̄₁].

The law of a given z_j is a sum over the z_k of the two largest |α_k|, k ≠ j, and for the rest an
equal mixture of two Gaussians: one large α_k makes a three-point law of it, that no Gaussian stands
for, and many small ones the tails of sparse latents, which two variances can have. Noise that the views
share, x, adds to that Gaussian, and leaves n - x to each view; so the two views are independent
given a. Where they are the same view altogether, h p collapses to h, and N = n E[p̄]. The signal a
mask scatters is in proportion to ‖z‖², so n and x depend on what is known of z; the views carry it
with opposite signs, x < 0, which counts to first order. A mask also leaves uneven shares 1 ± δ of
the neuron to the views, δ² = 3/d1: they scale what a view has of a and of the noise.
"""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from .view_noise import ViewNoise

_OTHER_NODES = 3


class Response(NamedTuple):
    """Mean response of a thresholded unit to u ~ N(a, v), threshold b.

    Attributes
    ----------
    activity : ndarray
        p̄ = Pr(|u| ≥ b).
    slope : ndarray
        p̄' = dp̄/da.
    curvature : ndarray
        p̄''.
    output : ndarray
        h̄ = E h(u), whose derivative is p̄.
    power : ndarray
        E h(u)².
    energy : ndarray
        E u² 1{|u| ≥ b}.
    """

    activity: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    output: np.ndarray
    power: np.ndarray
    energy: np.ndarray


def response(mean, variance, threshold):
    """Return the `Response` for u ~ N(mean, variance > 0) and h(u) = sign(u) max(|u| - b, 0).

    The arguments broadcast against each other.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage II mean field".
    """
    sd = np.sqrt(variance)
    above, below = (mean - threshold) / sd, (-mean - threshold) / sd
    cdf, other_cdf = ndtr(above), ndtr(below)
    pdf, other_pdf = _normal_density(above), _normal_density(below)
    return Response(
        cdf + other_cdf,
        (pdf - other_pdf) / sd,
        -(above * pdf + below * other_pdf) / variance,
        sd * (above * cdf + pdf - below * other_cdf - other_pdf),
        variance
        * ((above**2 + 1) * cdf + above * pdf + (below**2 + 1) * other_cdf + below * other_pdf),
        (mean**2 + variance) * (cdf + other_cdf)
        + sd * ((mean + threshold) * pdf - (mean - threshold) * other_pdf),
    )


def _normal_density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


class NeuronMoments(NamedTuple):
    """Averages over the views that the drift of m neurons is made of, in the neurons' own units.

    The first group is given z_j = 1, and odd in α_ij but for the last; the second is over all z.

    Attributes
    ----------
    pull, key_output, anchor_output, activity_given : ndarray of shape (m, d)
        E[h₂ 1₁ | z_j = 1], E[h₂ | z_j = 1], E[h₁ | z_j = 1] and Pr(active on x⁺ | z_j = 1).
    noise_gain : ndarray of shape (m,)
        N.
    similarity, activity, key_power, power, norm_power : ndarray of shape (m,)
        E[h₁ h₂], Pr(active on x⁺), E[h₂²], E[h₂² 1₁] and E[h₂² u₁² 1₁]/‖w_i‖², 1₁ being 1 where
        the anchor activates.
    lead_power : ndarray of shape (m, 2)
        E[h₂² 1₁ | z_j = 1] for the two largest |α_ij|.
    """

    pull: np.ndarray
    key_output: np.ndarray
    anchor_output: np.ndarray
    activity_given: np.ndarray
    noise_gain: np.ndarray
    similarity: np.ndarray
    activity: np.ndarray
    key_power: np.ndarray
    power: np.ndarray
    norm_power: np.ndarray
    lead_power: np.ndarray


def neuron_moments(alignments, dense_norms, biases, views, quadrature=None):
    """Return the `NeuronMoments` of neurons.

    Parameters
    ----------
    alignments : ndarray of shape (m, d)
    dense_norms, biases : ndarray of shape (m,)
        ‖β_i‖ and b_i.
    views : ViewNoise
        The law of the views.
    quadrature : int, optional
        Nodes of the Gaussian sums; by default enough for 0.1 %.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage II mean field". Computed for neurons of unit
    norm, as outputs scale with ‖w_i‖.
    """
    alignments = np.asarray(alignments, dtype=np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", alignments, alignments) + np.square(dense_norms))
    safe = np.where(norms > 0, norms, 1.0)
    d = alignments.shape[1]
    cosine = np.pad(np.abs(alignments) / safe[:, None], ((0, 0), (0, max(0, 3 - d))))
    order = np.argsort(-cosine, axis=1)[:, :3]
    top = np.take_along_axis(cosine, order, axis=1)
    total = _power_sums(cosine)
    threshold = np.asarray(biases, dtype=np.float64) / safe
    # Noise that the views share widens the outer Gaussian and sharpens the inner one.
    kernel = _Kernel(views, d, quadrature or (5 if views.shared <= 0 else 25))

    combinations, probabilities = _latents(3, views.density, mirrored=True)
    mean = top @ combinations.T
    rest = (total - _power_sums(top))[..., None]
    averages = kernel(mean, rest, threshold[:, None], np.abs(combinations).sum(axis=1))
    everywhere = {name: value @ probabilities for name, value in averages.items()}
    given, lead_power = _given_one(kernel, cosine, order, top, total, threshold)

    sign, scale = np.sign(alignments), norms[:, None]
    square = norms**2
    return NeuronMoments(
        sign * scale * given["pull"][:, :d],
        sign * scale * given["key_output"][:, :d],
        sign * scale * given["anchor_output"][:, :d],
        given["activity"][:, :d],
        everywhere["noise_gain"],
        everywhere["similarity"] * square,
        everywhere["activity"],
        everywhere["key_power"] * square,
        everywhere["power"] * square,
        everywhere["norm_power"] * square,
        lead_power * square[:, None],
    )


@dataclass(frozen=True)
class _Kernel:
    """Averages of a unit neuron's responses over the Gaussian part of a."""

    views: ViewNoise
    n_features: int
    quadrature: int

    @property
    def scattered(self):
        """What the mask scatters, into n₁, n₂ and x, per unit of ‖z‖²."""
        # Along themselves features scatter as if there were two more.
        extra = 2 if any(self.views.uneven) else 0
        mean = self.views.density * (self.n_features + extra)
        return tuple(share / mean if share else 0.0 for share in self.views.scattered)

    def noise(self, active):
        """n₁, n₂ and x given how many of three known latents are active."""
        views = self.views
        squares = active + views.density * max(self.n_features - 3, 0)
        values, means = (views.anchor, views.key, views.shared), views.scattered
        parts = zip(values, means, self.scattered)
        return tuple(value - mean + unit * squares for value, mean, unit in parts)

    def __call__(self, mean, rest, threshold, active):
        """Averages, by name, of the shape of `mean`; the others broadcast to it.

        `rest` holds Σ α_k² and Σ α_k⁴ of the features that are not known. Their share of a has the
        excess kurtosis (1/s - 3) Σ α_k⁴/(Σ α_k²)², and two variances v (1 ± ε) have 3 ε².
        """
        square, fourth = np.maximum(rest, 0)
        s, tiny = self.views.density, np.finfo(np.float64).tiny
        excess = max(1 / max(s, tiny) - 3, 0) * fourth / np.maximum(square**2, tiny)
        spread = np.sqrt(np.minimum(excess / 3, 0.9))
        return _halfway(
            *(
                self._averages(mean, s * square * (1 + sign * spread), threshold, active)
                for sign in (-1, 1)
            )
        )

    def _averages(self, mean, rest, threshold, active):
        """The same where the rest is a Gaussian of variance `rest`."""
        views = self.views
        n_anchor, n_key, n_shared = self.noise(active)
        # A negative covariance is small, and taken to first order: d E[g₁ g₂]/dx = E[g₁' g₂'].
        shared, opposed = np.maximum(n_shared, 0), np.expand_dims(np.minimum(n_shared, 0), -1)
        outer = rest + shared
        if views.shared > 0.999 * max(views.anchor, views.key):
            r = response(mean, np.maximum(outer, 1e-12), threshold)
            return {
                "pull": r.output,
                "key_output": r.output,
                "anchor_output": r.output,
                "activity": r.activity,
                "noise_gain": views.anchor * r.activity,
                "similarity": r.power,
                "key_power": r.power,
                "power": r.power,
                # Of one Gaussian variable, a product of its parts' means: an underestimate.
                "norm_power": r.power * r.energy / np.maximum(r.activity, 1e-300),
            }
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.quadrature)
        weights = weights / weights.sum()
        a = mean[..., None] + np.sqrt(outer)[..., None] * nodes

        def seen(noise, part):
            """Response to a view that sees 1 + `part` times its share of the neuron."""
            variance = np.maximum(noise * (1 + part) - shared, 1e-12)
            return response(a * (1 + part), variance[..., None], threshold[..., None])

        def averages(anchor, key, part):
            """The averages where the anchor sees 1 + `part` times its share."""
            noise = np.expand_dims(n_anchor * (1 + part), -1)
            both, pair = key.output * anchor.activity, key.activity * anchor.activity
            pull = (1 + part / 3) * both + opposed * key.activity * anchor.slope
            gain = noise * (key.output * anchor.slope + opposed * key.activity * anchor.curvature)
            gain += np.expand_dims(n_shared, -1) * pair
            if part:
                # What of the scattered signal is along M_j goes with a z_j and with the noise.
                own, _, across = self.scattered
                pull += own * key.output * (a * anchor.slope + noise * anchor.curvature)
                pull += across * key.activity * (a * anchor.activity + noise * anchor.slope)
            power = key.power * anchor.activity + 2 * opposed * key.output * anchor.slope
            return {
                "pull": pull @ weights,
                "key_output": key.output @ weights,
                "anchor_output": anchor.output @ weights,
                "activity": anchor.activity @ weights,
                "noise_gain": gain @ weights,
                "similarity": (key.output * anchor.output + opposed * pair) @ weights,
                "key_power": key.power @ weights,
                "power": power @ weights,
                "norm_power": (key.power * anchor.energy) @ weights,
            }

        more, less = views.uneven
        signs = (1, -1) if more else (1,)
        anchors = [seen(n_anchor, sign * more) for sign in signs]
        mirrored = views.key == views.anchor
        keys = anchors[::-1] if mirrored else [seen(n_key, sign * less) for sign in signs]
        found = [averages(*pair, sign * more) for *pair, sign in zip(anchors, keys, signs)]
        return _halfway(*found) if more else found[0]


def _halfway(one, other):
    """Means of two dicts' values."""
    return {name: (one[name] + other[name]) / 2 for name in one}


def _given_one(kernel, cosine, order, top, total, threshold):
    """Averages given z_j = 1 for every j, and the power for the two largest.

    The two largest are computed each for itself. All others are values of one function of |α_j|,
    odd or even, that is interpolated up to the third largest.
    """
    third = np.maximum(top[:, 2], 1e-6)
    fractions = np.sin(np.pi / 4 * (1 - np.polynomial.chebyshev.chebpts1(_OTHER_NODES)))
    probes = np.concatenate([top[:, :2], third[:, None] * fractions], axis=1)
    competitors = np.empty((*probes.shape, 2))
    competitors[:, 0] = top[:, [1, 2]]
    competitors[:, 1] = top[:, [0, 2]]
    competitors[:, 2:] = top[:, None, [0, 1]]
    combinations, probabilities = _latents(2, kernel.views.density)
    mean = probes[..., None] + competitors @ combinations.T
    known = _power_sums(np.concatenate([probes[..., None], competitors], axis=-1))
    rest = (total[..., None] - known)[..., None]
    active = 1 + np.abs(combinations).sum(axis=1)
    averages = kernel(mean, rest, threshold[:, None, None], active)
    # In the squares of the nodes the even functions are polynomials, and so are odd ones over |α|.
    inverse = np.linalg.inv(np.vander(fractions**2, increasing=True))
    ratio = cosine / third[:, None]
    given = {}
    for name in ("pull", "key_output", "anchor_output", "activity"):
        values = averages[name] @ probabilities
        odd = name != "activity"
        coefficients = (values[:, 2:] / (fractions if odd else 1.0)) @ inverse.T
        table = np.zeros_like(cosine)
        for k in reversed(range(_OTHER_NODES)):
            table = table * ratio**2 + coefficients[:, k, None]
        table *= ratio if odd else 1.0
        np.put_along_axis(table, order[:, :2], values[:, :2], axis=1)
        given[name] = table
    return given, (averages["power"] @ probabilities)[:, :2]


def _power_sums(cosine):
    """Σ α² and Σ α⁴ over the last axis, stacked along a new first one."""
    square = cosine**2
    return np.stack([square.sum(axis=-1), (square**2).sum(axis=-1)])


def _latents(n, density, mirrored=False):
    """All values of n latents and their probabilities; `mirrored` keeps one of z and -z."""
    states = np.array(list(itertools.product((0.0, 1.0, -1.0), repeat=n)))
    active = np.count_nonzero(states, axis=1)
    probabilities = (1 - density) ** (n - active) * (density / 2) ** active
    if not mirrored:
        return states, probabilities
    # The first entry that is not 0 decides which of the two comes first in the product's order.
    leading = states[np.arange(len(states)), (states != 0).argmax(axis=1)]
    probabilities = np.where(active > 0, 2 * probabilities, probabilities)
    return states[leading >= 0], probabilities[leading >= 0]
