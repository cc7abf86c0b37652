"""Downstream tasks on frozen features, and what the representation is a function of.

Regression of y = ⟨w*, z⟩ and classification of sign⟨w*, z⟩ by ridge heads (Wen & Li 2021, downstream
tasks), each next to the same head on the raw inputs and on oracle features, the sign-thresholded
⟨M_j, x⟩; and cosines of f between inputs that share their noise, or share their latents.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .data import Sample, SparseCodingModel
from .network import features
from .rules import choice, integer, require, require_generator

RIDGES = tuple(10.0**k for k in range(-4, 4))


# Features of a run that diverged may overflow: what is made of them is then undefined.
_of_any_size = np.errstate(over="ignore", invalid="ignore")


@dataclass(frozen=True)
class ProbeResult:
    """Errors of linear heads, mean over the draws of w*.

    Attributes
    ----------
    regression : dict of str to ndarray of shape (n_draws,)
        Mean squared error relative to the variance of y, per draw, for "features" (f), "inputs" (x)
        and "oracle"; 1 is what the best constant achieves. Where the samples are not known in the d1
        coordinates of x, "best_on_inputs" in the place of "inputs": the linear head on x that
        infinitely many labels lead to.
    classification : dict of str to ndarray of shape (n_draws,)
        Error rate of sign⟨w*, z⟩ where ⟨w*, z⟩ ≠ 0; 1/2 is chance.
    """

    regression: dict
    classification: dict


def oracle_features(model, inputs, threshold=0.5):
    """Return sign(u) 1{|u| ≥ threshold} of u = Mᵀ x, ndarray of shape (n, d).

    What a network would compute that knew M: the noise along each M_j is all that is left.
    """
    u = inputs @ model.dictionary
    return np.sign(u) * (np.abs(u) >= threshold)


def best_on_inputs(model, inputs, w_star):
    """Return the best linear predictions of ⟨w*, z⟩ from x, ndarray of shape (n, draws).

    Of u = Mᵀx they are ⟨w*, E z + C (C + σ² I)⁻¹ (u - E z)⟩, C = Cov z. For the paper's law the relative
    error is σ²/(s+σ²), whatever d1 (derived: featlearn/theory/derivation.md, "Probe floor").
    """
    mean = model.law.means
    covariance = model.law.second_moment - np.outer(mean, mean)
    total = covariance + model.noise_variance * np.eye(len(mean))
    # Singular where a latent is constant and there is no noise.
    heads = np.linalg.pinv(total, hermitian=True) @ (covariance @ w_star)
    return (inputs @ model.dictionary - mean) @ heads + mean @ w_star


@_of_any_size
def probe(weights, biases, model, rng, n_train=4096, n_test=4096, n_draws=5, only=None):
    """Fit ridge heads on f(x), on x and on oracle features, and return their test errors.

    Parameters
    ----------
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,)
    model : SparseCodingModel
    rng : numpy.random.Generator
    n_train, n_test : int
        Labelled samples to fit and to test on.
    n_draws : int
        Draws of w*, entries uniform in ±[1/2, 3/2] (|w*_j| = Θ(1)).
    only : str, optional
        The one head to fit, such as "features"; by default all.

    Returns
    -------
    ProbeResult

    Notes
    -----
    The ridge is chosen for each head and each draw on a fifth of the training samples that the
    first fit does not see, and the head is then fitted again on all of them. Heads have an intercept
    unless all means are known to be 0.
    """
    n_train, n_test = (require("n_train, n_test", n, integer(10)) for n in (n_train, n_test))
    n_draws = require("n_draws", n_draws, integer(1))
    require_generator(rng)
    train, test = model.sample(rng, n_train), model.sample(rng, n_test)
    magnitude = rng.uniform(0.5, 1.5, (model.n_features, n_draws))
    w_star = magnitude * rng.choice([-1.0, 1.0], magnitude.shape)
    y_train, y_test = train.latents @ w_star, test.latents @ w_star
    centred = _is_centred(model)
    predicted = {}
    heads = {
        "features": lambda x: features(weights, biases, x),
        "inputs": lambda x: x,
        "oracle": lambda x: oracle_features(model, x),
    }
    if not getattr(model, "has_inputs", True):
        del heads["inputs"]
        best = best_on_inputs(model, test.inputs, w_star)
        predicted["best_on_inputs"] = best, best
    if only is not None:
        require("only", only, choice(heads))
        heads, predicted = {only: heads[only]}, {}
    for name, of in heads.items():
        x_train, x_test = (np.asarray(of(s.inputs), np.float64) for s in (train, test))
        scale = np.sqrt(np.mean(x_train**2)) or 1.0
        x_train, x_test = x_train / scale, x_test / scale
        # Both kinds of labels share the decomposition of x.
        labels = np.hstack([y_train, np.sign(y_train)])
        predicted[name] = np.hsplit(_ridge(x_train, labels, x_test, not centred), 2)
    regression, classification = {}, {}
    y_mean = 0.0 if centred else y_test.mean(axis=0)
    variance = np.maximum(np.mean((y_test - y_mean) ** 2, axis=0), np.finfo(float).tiny)
    for name, (values, signs) in predicted.items():
        regression[name] = np.mean((values - y_test) ** 2, axis=0) / variance
        wrong = (np.sign(signs) != np.sign(y_test)) & (y_test != 0)
        classification[name] = wrong.sum(axis=0) / np.maximum((y_test != 0).sum(axis=0), 1)
    return ProbeResult(regression, classification)


def _is_centred(model):
    """Whether all E z_j are known to be 0: what another `draw_latents` draws is not."""
    by_law = type(model).draw_latents is SparseCodingModel.draw_latents
    return by_law and not model.law.means.any()


def _ridge(x, y, x_test, intercept):
    """Predictions of ridge regression for every column of y."""
    n = len(x)
    cut = n - n // 5
    tried = _each_ridge(x[:cut], y[:cut], x[cut:], intercept)
    best = np.argmin([np.mean((values - y[cut:]) ** 2, axis=0) for values in tried], axis=0)
    path = _each_ridge(x, y, x_test, intercept)
    return np.stack([path[k][:, column] for column, k in enumerate(best)], axis=1)


def _each_ridge(x, y, x_test, intercept):
    """Predictions of ridge regression with every r in RIDGES, an intercept without penalty."""
    x_mean, y_mean = (x.mean(axis=0), y.mean(axis=0)) if intercept else (0.0, 0.0)
    return [(x_test - x_mean) @ w + y_mean for w in ridge_path(x - x_mean, y - y_mean)]


def ridge_path(x, y):
    """Ridge solutions (xᵀx/n + r I)⁻¹ xᵀy/n for every r in RIDGES, from one eigendecomposition."""
    n = len(x)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    rotated = vectors.T @ (x.T @ y / n)
    return [vectors @ (rotated / (np.maximum(values, 0) + r)[:, None]) for r in RIDGES]


class Cosines(NamedTuple):
    """Cosines of f over pairs of inputs that share one of their parts.

    Attributes
    ----------
    mean : float
        Over the pairs whose representations are both non-zero.
    active : float
        Over those among them whose samples hold a feature, z ≠ 0: where z = 0, which is so with
        probability (1-s)^d, there is nothing for f to represent.
    weighted : float
        Σ⟨f, f'⟩/√(Σ‖f‖² Σ‖f'‖²), each pair weighted by its energy.
    """

    mean: float
    active: float
    weighted: float


@dataclass(frozen=True)
class SharedCosines:
    """Cosines of f between inputs that share one of their parts; NaN where there are no pairs.

    Attributes
    ----------
    noise : Cosines
        Of f(Mz + ξ) and f(Mz' + ξ), z and z' independent.
    latents : Cosines
        Of f(Mz + ξ) and f(Mz + ξ'), ξ and ξ' independent.
    defined : float
        Fraction of pairs with both representations non-zero.
    """

    noise: Cosines
    latents: Cosines
    defined: float

    @property
    def same_noise(self):
        """The plain mean at the same noise."""
        return self.noise.mean

    @property
    def same_latents(self):
        """The plain mean at the same latents."""
        return self.latents.mean


@_of_any_size
def shared_cosines(
    weights: np.ndarray,
    biases: np.ndarray,
    model: SparseCodingModel,
    rng: np.random.Generator,
    n: int = 2048,
    samples: Sample | None = None,
) -> SharedCosines:
    """Measure what f depends on: the noise or the latents (Wen & Li 2021, no augmentation).

    Parameters
    ----------
    weights, biases : ndarray of shape (m, d1) and (m,)
    model : SparseCodingModel
    rng : numpy.random.Generator
    n : int
        Number of pairs.
    samples : Sample, optional
        The first inputs of the pairs, in the place of n fresh ones.

    Returns
    -------
    SharedCosines

    Examples
    --------
    >>> import numpy as np
    >>> state = featlearn.init(featlearn.preset("tiny"))
    >>> found = featlearn.shared_cosines(
    ...     state.weights, state.biases, state.model, np.random.default_rng(0)
    ... )
    >>> 0 < found.same_latents < found.same_noise < 1
    True
    """
    require_generator(rng)
    first = model.sample(rng, require("n", n, integer(1))) if samples is None else samples
    second = model.sample(rng, len(first.latents))
    f = features(weights, biases, first.inputs)
    holds, other_holds = (np.any(sample.latents != 0, axis=1) for sample in (first, second))
    g = features(weights, biases, second.signal + first.noise)
    noise, defined_noise = _cosines(f, g, holds & other_holds)
    g = features(weights, biases, first.signal + second.noise)
    latents, defined_latents = _cosines(f, g, holds)
    return SharedCosines(noise, latents, float(np.mean([defined_noise, defined_latents])))


def _cosines(f, g, holds):
    """Return the `Cosines` of rows of f and g, and the fraction of rows where both are non-zero."""
    norms = np.linalg.norm(f, axis=1) * np.linalg.norm(g, axis=1)
    both = norms > 0
    inner = np.einsum("pi,pi->p", f, g)

    def mean(rows):
        return float(np.mean(inner[rows] / norms[rows])) if rows.any() else float("nan")

    energy = np.sqrt(np.sum(np.square(f, dtype=float)) * np.sum(np.square(g, dtype=float)))
    weighted = float(np.sum(inner, dtype=float) / energy) if energy > 0 else float("nan")
    return Cosines(mean(both), mean(both & holds), weighted), np.mean(both)
