"""T5: the augmentation decouples the dense features of the two views, and not the sparse ones.

For a linear measurement v the correlation of ⟨v, x⁺⟩ with ⟨v, x⁺⁺⟩ follows from the views' second
moments, vᵀCv/√(vᵀC₁v vᵀC₂v). Summed over the neurons' dense parts β_i, and over their sparse parts
M α_i, it is the number that the two terms of T5 are about; and the network's own outputs on inputs
of pure noise, and of pure signal, show what the representation keeps of it.
"""

from typing import NamedTuple

import numpy as np

from ...compute.streams import generator
from ...data import SparseCodingModel
from ...network import features
from .applicability import features_not_promised
from .claim import claim
from .verdict import at_least, does_not_apply, within

SAMPLES = 2048
# Position of this module's draws in the "theory" stream of a seed.
_STREAM, _PURE_STREAM = 5, 15


class Correlation(NamedTuple):
    """A correlation across the two views, summed over measurements, and its standard error."""

    value: float
    error: float


def correlation(anchor, key):
    """Return Σ E[u⁺u⁺⁺]/√(Σ E[u⁺²] Σ E[u⁺⁺²]), sums over the columns.

    Parameters
    ----------
    anchor, key : ndarray of shape (n, k)
        k measurements of both views of n samples.

    Returns
    -------
    Correlation
    """
    inner, first, second = (
        np.einsum("pi,pi->p", u, v, dtype=np.float64)
        for u, v in ((anchor, key), (anchor, anchor), (key, key))
    )
    scale = np.sqrt(first.mean() * second.mean())
    if scale == 0:
        return Correlation(np.nan, np.nan)
    value = inner.mean() / scale
    # To first order the quotient errs by the mean of this, which is 0 where both views are one.
    residual = inner / scale - value * (first / first.mean() + second / second.mean()) / 2
    return Correlation(float(value), float(residual.std() / np.sqrt(len(inner))))


def expected_correlation(vectors, moments, dictionary):
    """Return what `correlation` tends to for u = X vᵀ, from the second moments of the views.

    Parameters
    ----------
    vectors : ndarray of shape (k, d1)
    moments : Moments
    dictionary : ndarray of shape (d1, d)

    Returns
    -------
    float
    """
    squares = np.square(vectors, dtype=np.float64).sum(axis=0)
    inside = np.square(vectors @ dictionary, dtype=np.float64).sum()
    masked = np.square(dictionary, dtype=np.float64).sum(axis=1) @ squares

    def quadratic(moment):
        return moment.shared * inside + moment.diagonal * masked + moment.isotropic * squares.sum()

    scale = np.sqrt(quadratic(moments.anchor) * quadratic(moments.key))
    return float(quadratic(moments.cross) / scale) if scale else np.nan


class CrossView(NamedTuple):
    """Correlations across the views of one run, measured and expected.

    Attributes
    ----------
    dense, sparse : Correlation
        Of ⟨β_i, x⟩ and of ⟨M α_i, x⟩.
    noise, signal : Correlation
        Of h_i on inputs x = ξ, and on inputs x = M z.
    expected_dense, expected_sparse : float
    expected_signal : float
        Of ⟨M α_i, x⟩ on inputs x = M z: what linear neurons keep.
    """

    dense: Correlation
    sparse: Correlation
    noise: Correlation
    signal: Correlation
    expected_dense: float
    expected_sparse: float
    expected_signal: float


def cross_view(observed, n=SAMPLES):
    """Measure the `CrossView` of a run's last weights on n fresh samples."""
    run, model = observed.run, observed.model
    rng = generator(observed.experiment.seed, "theory", _STREAM)
    matrix = model.dictionary

    def views(model):
        return observed.augmentation.pair(rng, model.sample(rng, n), model)[:2]

    sparse = (run.weights @ matrix) @ matrix.T
    dense = run.weights - sparse
    anchors, keys = views(model)
    linear = [correlation(anchors @ v.T, keys @ v.T) for v in (dense, sparse)]
    outputs = []
    for density, variance in ((0.0, model.noise_variance), (model.density, 0.0)):
        part = views(SparseCodingModel(matrix, density, variance))
        outputs.append(correlation(*(features(run.weights, run.biases, x) for x in part)))
    moments = observed.augmentation.moments(model.density, model.noise_variance)
    expected = [expected_correlation(v, moments, matrix) for v in (dense, sparse)]
    of_signal = observed.augmentation.moments(model.density, 0.0)
    expected.append(expected_correlation(sparse, of_signal, matrix))
    return CrossView(*linear, *outputs, *expected)


@claim("T5")
def claim_t5(observed):
    """T5: what the views share of the dense and of the sparse features, at any step of training."""
    exp, measured = observed[0].experiment, [cross_view(o) for o in observed]
    shared = observed[0].augmentation.moments(0.0, 1.0).cross.isotropic
    parts = {"⟨M α_i, x⟩ across views": ("sparse", "expected_sparse")}
    if exp.n_inputs > exp.n_features:
        parts = {"⟨β_i, x⟩ across views": ("dense", "expected_dense"), **parts}
    closed = "correlation from the second moments of the views; four standard errors of the sample"
    verdicts = [
        _compare(name, *([getattr(c, field) for c in measured] for field in fields), closed)
        for name, fields in parts.items()
    ]
    noise, signal = [c.noise for c in measured], [c.signal for c in measured]
    if shared == 0:
        why = (
            "views of noise alone are independent given the mask, and f is odd: exactly 0, within"
            " four standard errors of the sample"
        )
        verdicts.append(_compare("f across views, x = ξ", noise, [0.0], why))
        kept = float(np.mean([c.expected_signal for c in measured]))
        why = (
            "what the views share is the signal, less what the mask scatters and the threshold cuts:"
            f" more than half of the {kept:.3g} that linear neurons keep"
        )
        values, unmet = [c.value for c in signal], features_not_promised(observed)
        unmet = f"of learned features only: {unmet}" if unmet else _little_kept(observed, kept / 2)
        name = "f across views, x = M z"
        verdicts.append(
            does_not_apply("T5", name, unmet)
            if unmet
            else at_least("T5", name, kept / 2, values, why)
        )
    elif observed[0].augmentation.identical_views:
        why = "both views are the sample itself"
        verdicts.append(_compare("f across views, x = ξ", noise, [1.0], why))
        verdicts.append(_compare("f across views, x = M z", signal, [1.0], why))
    return verdicts


def pure_signal(observed, n=SAMPLES):
    """Return the `Correlation` across views of h_j on inputs x = M z, of a pure neuron at the cap for each atom.

    The views of a complementary mask have z_j + ε_j and z_j - ε_j along M_j, so that few samples pass a high threshold in
    both (derived: featlearn/theory/derivation.md, "The decoupling dial").
    """
    model, exp = observed.model, observed.experiment
    rng = generator(exp.seed, "theory", _PURE_STREAM)
    clean = SparseCodingModel(model.dictionary, model.density, 0.0)
    views = observed.augmentation.pair(rng, clean.sample(rng, n), clean)[:2]
    biases = np.full(exp.n_features, exp.bias_cap)
    return correlation(*(features(model.dictionary.T, biases, x) for x in views))


def _little_kept(observed, least):
    """Return why pure neurons at the cap may not keep that correlation, or nothing."""
    pure = min(pure_signal(o).value for o in observed)
    if pure >= least:
        return ""
    return (
        f"at b/‖w‖ = {observed[0].experiment.bias_cap:.3g} pure neurons themselves have {pure:.3g} across views, less"
        f" than {least:.3g}, half of what linear ones keep"
    )


def _compare(name, found, expected, why):
    if not np.isfinite([*expected, *(c.value for c in found)]).all():
        return does_not_apply("T5", name, "one of the two is 0 on all samples")
    error = 4 * max(c.error for c in found) + 1e-6
    predicted = float(np.mean(expected))
    values = [c.value for c in found]
    return within("T5", name, predicted, values, relative=0.0, absolute=error, why=why)
