"""The hand-derived gradient of the contrastive loss and its split into attraction and repulsion.

For a neuron i and an anchor p with negatives n (derived: featlearn/theory/derivation.md, "The
gradient by hand"),

    A_pi = [ (1 - P_p0) h_i(x_p⁺⁺) - Σ_n P_pn h_i(x_n) ] · 1{|⟨w_i, x_p⁺⟩| ≥ b_i},
    ∂L/∂W = -Aᵀ X⁺ / B,      ∂L/∂b_i = (1/B) Σ_p A_pi sign⟨w_i, x_p⁺⟩.

The first part of the bracket is the positive (attraction) term, the second the negative (repulsion)
one. Without the stop-gradient the keys, and separate negatives, contribute in the same form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .compute.workspace import Workspace, few_rows
from .display import one_line
from .errors import InvalidInput
from .loss import Contrast, split_rows
from .loss import contrast as infonce
from .network import Activations, forward, require_thresholds
from .rules import as_numbers, integer, number, require

_GROUPS, _TEMPERATURE = integer(1), number(0, open_low=True)


def contrastive_gradient(
    weights: np.ndarray,
    biases: np.ndarray,
    anchors: np.ndarray,
    keys: np.ndarray,
    temperature: float,
    negatives: np.ndarray | None = None,
    stop_gradient: bool = True,
    work: Workspace | None = None,
    negative_groups: int = 1,
    contrast: Callable = infonce,
) -> "ContrastiveGradient":
    """Evaluate the contrastive loss and its gradient on one batch.

    Several runs can be given at once, each array with one axis more, the first, along which the runs
    are; each of them gets the bits that it gets alone.

    Parameters
    ----------
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,), ≥ 0
    anchors, keys : ndarray of shape (B, d1)
        The views x_p⁺ and x_p⁺⁺.
    temperature : float > 0
        τ.
    negatives : ndarray of shape (K, d1), optional
        Shared by all anchors; each anchor's denominator then holds its own key and these K. Without
        it the negatives of an anchor are the other anchors' keys.
    stop_gradient : bool
        Whether the gradient passes through the first argument of the similarity only, as in the
        paper.
    work : Workspace, optional
        Kept by a training loop so that no large array is allocated at later steps; the result is
        then valid until the workspace's next use.
    negative_groups : int
        With in-batch negatives, the number of equal groups of the batch, one after the other, within
        which anchors are repelled.
    contrast : callable
        The loss of pairs, as `featlearn.loss.contrast` gives it.

    Returns
    -------
    ContrastiveGradient

    Raises
    ------
    InvalidInput
        If shapes do not fit, groups are not equal or of one anchor, a bias is negative or not a number, or the temperature is not positive.

    Notes
    -----
    Wen & Li 2021, setting; derived in featlearn/theory/derivation.md, "The gradient by hand".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> weights, biases = rng.normal(size=(3, 5)), np.full(3, 0.1)
    >>> anchors, keys = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    >>> g = featlearn.contrastive_gradient(weights, biases, anchors, keys, temperature=2.0)
    >>> g.weights.shape, bool(np.allclose(g.positive + g.negative, g.weights))
    ((3, 5), True)
    """
    weights, biases, anchors, keys, negatives = _checked(
        weights, biases, anchors, keys, temperature, negatives
    )
    _check_groups(negative_groups, anchors, negatives)
    work = work or Workspace()
    if weights.ndim > 2:
        work = work.by_itself()
    # A is written last: until then its memory holds what is needed in between.
    A = work("coefficients", (*anchors.shape[:-1], weights.shape[-2]), weights.dtype)
    h_anchor = h_key = forward(weights, biases, anchors, work, "anchor ")
    if keys is not anchors:
        spare = A if stop_gradient else None
        h_key = forward(weights, biases, keys, work, "key ", stop_gradient, spare)
    h_negative = h_key
    if negatives is not None:
        h_negative = forward(weights, biases, negatives, work, "negative ")
    separate = None if negatives is None else h_negative.features
    result = contrast(
        h_anchor.features, h_key.features, temperature, separate, work, A, negative_groups
    )
    strength, P = result.attraction, result.repulsion

    terms = [Term(anchors, h_anchor, h_key.features, strength, A)]
    groups = split_rows(len(A), negative_groups)
    for rows in groups:
        others = h_negative.features[rows] if negatives is None else separate
        _fill(work, terms[0], P[rows], others, rows)
    if not stop_gradient:
        h = h_anchor.features
        A = work("key coefficients", h.shape, h.dtype)
        terms.append(Term(keys, h_key, h, strength, A))
        for rows in groups:
            from_keys = P[rows].swapaxes(-2, -1) if negatives is None else None
            _fill(work, terms[1], from_keys, h[rows], rows)
        if negatives is not None:
            A = work("negative coefficients", separate.shape, h.dtype)
            terms.append(Term(negatives, h_negative, None, None, A))
            _fill(work, terms[2], P.swapaxes(-2, -1), h, slice(None))

    gradient = work("gradient", weights.shape, weights.dtype)
    more = None if stop_gradient else work("more gradient", weights.shape, weights.dtype)
    transposed = [term.coefficients.swapaxes(-2, -1) for term in terms]
    inputs = [term.inputs for term in terms]
    work.over_rows(weight_product, gradient, more, *transposed, inputs=inputs)
    return ContrastiveGradient(result.loss, gradient, result, tuple(terms))


def coefficients(A, active, partners, strength, probabilities, others):
    """A = (strength · partners - probabilities @ others) · active of some samples, in `A`.

    Where there are no partners, or no probabilities, that part is 0.
    """
    if probabilities is None:
        A.fill(0)
    else:
        np.matmul(probabilities, others, out=A)
    if partners is None:
        np.negative(A, out=A)
    else:
        # The product needs memory of its own.
        for some in few_rows(A):
            np.subtract(strength[some][..., None] * partners[some], A[some], out=A[some])
    A *= active


def weight_product(gradient, more, *A, inputs):
    """∂L/∂W = -Σ Aᵀ X / B of some neurons, in `gradient`; the A are given transposed."""
    np.matmul(A[0], inputs[0], out=gradient)
    for a, X in zip(A[1:], inputs[1:]):
        np.matmul(a, X, out=more)
        gradient += more
    gradient /= -inputs[0].shape[-2]


def _fill(work, term, probabilities, others, rows):
    """Compute the coefficients of some rows of a term."""
    partners, strength = (None if x is None else x[rows] for x in (term.partners, term.strength))
    active, A = term.activations.active[rows], term.coefficients[rows]
    work.over_rows(coefficients, A, active, partners, strength, probabilities, others=others)


def _check_groups(groups, anchors, negatives):
    batch = len(anchors)
    require("negative_groups", groups, _GROUPS)
    if groups > 1 and anchors.ndim > 2:
        raise InvalidInput("negative_groups", groups, "1 for several runs at once")
    if groups > 1 and (negatives is not None or batch % groups or batch < 2 * groups):
        wanted = (
            f"1, or with in-batch negatives a divisor of {batch} that leaves groups of at least 2"
        )
        raise InvalidInput("negative_groups", groups, wanted)


@dataclass(frozen=True, eq=False)
class Term:
    """The gradient through one argument of the similarity.

    Attributes
    ----------
    inputs : ndarray of shape (n, d1)
        X, what that argument saw.
    activations : Activations
        The network on X.
    partners : ndarray of shape (n, m) or None
        Features of each sample's positive partner; None for separate negatives, which have none.
    strength : ndarray of shape (n,) or None
        1 - P_p0, how strongly each sample is attracted to its partner.
    coefficients : ndarray of shape (n, m)
        A: how much of each sample is added to each weight by gradient descent, times B.
    """

    __repr__ = one_line

    inputs: np.ndarray
    activations: Activations
    partners: np.ndarray | None
    strength: np.ndarray | None
    coefficients: np.ndarray

    @property
    def attraction(self):
        """The positive part of `coefficients`, shape (n, m)."""
        if self.partners is None:
            return np.zeros_like(self.coefficients)
        return self.strength[:, None] * self.partners * self.activations.active


class Gradient:
    """What every objective's gradient on a batch has: `loss`, `weights`, `terms`, and these."""

    @cached_property
    def biases(self) -> np.ndarray:
        """Exactly ∂L/∂b, ndarray of shape (m,)."""
        total = sum(
            np.einsum("pi,pi->i", t.coefficients, np.sign(t.activations.preactivations))
            for t in self.terms
        )
        return total / len(self.terms[0].inputs)


@dataclass(frozen=True, eq=False)
class ContrastiveGradient(Gradient):
    """Loss, gradient and everything in between, for one batch.

    Attributes
    ----------
    loss : float
        Mean over anchors.
    weights : ndarray of shape (m, d1)
        Exactly ∂L/∂W.
    contrast : Contrast
        Softmax probabilities behind the loss.
    terms : tuple of Term
        The arguments of the similarity that the gradient passes through, the anchors first.
    """

    __repr__ = one_line

    loss: float
    weights: np.ndarray
    contrast: Contrast
    terms: tuple

    def of_run(self, k: int) -> "ContrastiveGradient":
        """Return that of one run of several at once, the k-th along the first axis."""

        def of(array):
            return None if array is None else array[k]

        c = self.contrast
        contrast = Contrast(c.loss[k], c.attraction[k], c.repulsion[k], of(c.positive_probability))
        terms = tuple(
            Term(
                t.inputs[k],
                Activations(*map(of, t.activations)),
                of(t.partners),
                of(t.strength),
                t.coefficients[k],
            )
            for t in self.terms
        )
        return ContrastiveGradient(contrast.loss, self.weights[k], contrast, terms)

    @property
    def parameters(self) -> dict:
        """Gradients of the objective's own arrays: a loss of pairs has none."""
        return {}

    @property
    def positive_probability(self) -> np.ndarray | None:
        """P_p0, ndarray of shape (B,), or None for a loss without."""
        return self.contrast.positive_probability

    @cached_property
    def positive(self) -> np.ndarray:
        """The attraction part of `weights`, ndarray of shape (m, d1)."""
        total = sum(t.attraction.T @ t.inputs for t in self.terms)
        return total / -len(self.terms[0].inputs)

    @cached_property
    def negative(self) -> np.ndarray:
        """The repulsion part of `weights`, ndarray of shape (m, d1): weights - positive."""
        return self.weights - self.positive


def _checked(weights, biases, anchors, keys, temperature, negatives):
    weights = as_numbers("weights", weights)
    runs = weights.shape[:-2]

    def matrix(name, value):
        value = as_numbers(name, value)
        if value.dtype not in (np.float32, np.float64):
            value = value.astype(np.float64)
        if value.ndim < 2 or 0 in value.shape or value.shape[:-2] != runs:
            wanted = f"a non-empty matrix for each of {runs} runs" if runs else "a non-empty matrix"
            raise InvalidInput(name, f"an array of shape {value.shape}", wanted)
        return value

    weights = matrix("weights", weights)
    m, d1 = weights.shape[-2:]
    same = keys is anchors
    anchors = matrix("anchors", anchors)
    keys = anchors if same else matrix("keys", keys)
    negatives = None if negatives is None else matrix("negatives", negatives)
    for name, value in (("anchors", anchors), ("keys", keys), ("negatives", negatives)):
        if value is not None and value.shape[-1] != d1:
            raise InvalidInput(name, f"rows of length {value.shape[-1]}", f"{d1}, as in weights")
    B = anchors.shape[-2]
    if keys.shape[-2] != B:
        raise InvalidInput("keys", f"{keys.shape[-2]} rows", f"{B}, one for each anchor")
    biases = as_numbers("biases", biases).astype(weights.dtype, copy=False)
    if biases.shape != (*runs, m):
        wanted = f"shape {(*runs, m)}, one for each neuron"
        raise InvalidInput("biases", f"shape {biases.shape}", wanted)
    require_thresholds(biases)
    require("temperature", temperature, _TEMPERATURE)
    dtype = weights.dtype
    anchors = anchors.astype(dtype, copy=False)
    keys = anchors if same else keys.astype(dtype, copy=False)
    if negatives is not None:
        negatives = negatives.astype(dtype, copy=False)
    return weights, biases, anchors, keys, negatives
