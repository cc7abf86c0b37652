"""Alignment of neurons with features: what the theorems speak about.

α_ij = ⟨w_i, M_j⟩, and w_i = Σ_j α_ij M_j + β_i splits a neuron into its sparse and its dense part.
Features are symmetric, z_j and -z_j being equally likely, so every measure here ignores the sign of
α_ij.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np

from .compute.workspace import Workspace
from .errors import InvalidInput
from .rules import as_numbers, number, repeats, require


def alignment(weights, dictionary, work=None):
    """Return α = W M, ndarray of shape (m, d), for weights (m, d1) and a dictionary (d1, d).

    With a `Workspace` it lives there, until its next use.
    """
    work = work or Workspace()
    shape = (len(weights), dictionary.shape[1])
    alignments = work("alignment", shape, np.result_type(weights, dictionary))
    # BLAS's own threads, once woken, would spin on the cores that make the next step.
    work.over_rows(project, weights, alignments, dictionary=dictionary)
    return alignments


def project(weights, alignments, dictionary):
    """α = W M of some neurons, in `alignments`."""
    np.matmul(weights, dictionary, out=alignments)


def dense_norm(alignments, weight_norms):
    """Return ‖β_i‖ = √(‖w_i‖² - ‖α_i‖²), ndarray of shape (..., m).

    Parameters
    ----------
    alignments : ndarray of shape (..., m, d)
    weight_norms : ndarray of shape (..., m)

    Notes
    -----
    Derived from the orthonormality of M. The difference is taken in float64; in float32 weights it
    resolves ‖β_i‖ down to about 3e-4 ‖w_i‖.
    """
    sparse = np.einsum("...j,...j->...", alignments, alignments, dtype=np.float64)
    squared = np.square(weight_norms, dtype=np.float64) - sparse
    return np.sqrt(np.maximum(squared, 0)).astype(alignments.dtype)


def sparse_share(alignments: np.ndarray, weight_norms: np.ndarray) -> np.ndarray:
    """Return ‖α_i‖²/‖w_i‖², ndarray of shape (..., m), between 0 and 1; 0 for a vanished neuron.

    Examples
    --------
    >>> import numpy as np
    >>> featlearn.sparse_share(np.array([[3.0, 0.0]]), np.array([5.0]))
    array([0.36])
    """
    alignments, norms = _neurons(alignments, weight_norms)
    sparse = np.einsum("...j,...j->...", alignments, alignments, dtype=np.float64)
    total = np.square(norms, dtype=np.float64)
    return np.divide(sparse, total, out=np.zeros_like(sparse), where=total > 0)


def cosines(alignments: np.ndarray, weight_norms: np.ndarray) -> np.ndarray:
    """Return |α_ij|/‖w_i‖, ndarray of shape (..., m, d), between 0 and 1; 0 for a vanished neuron.

    Examples
    --------
    >>> import numpy as np
    >>> featlearn.cosines(np.array([[3.0, -4.0]]), np.array([5.0]))
    array([[0.6, 0.8]])
    """
    alignments, norms = _neurons(alignments, weight_norms)
    absolute, norms = np.abs(alignments), norms[..., None]
    out = np.zeros(absolute.shape, np.result_type(absolute, np.float32))
    return np.divide(absolute, norms, out=out, where=norms > 0)


def _neurons(alignments, weight_norms):
    """Return alignments, and the norms of the same neurons, as arrays that fit each other."""
    alignments = _over_features("alignments", alignments)
    norms = as_numbers("weight_norms", weight_norms)
    if not repeats(norms.shape, alignments.shape[:-1]):
        wanted = f"shape {alignments.shape[:-1]}, one for each neuron of the alignments"
        raise InvalidInput("weight_norms", f"shape {norms.shape}", wanted)
    return alignments, norms


def _over_features(name, values, least=1):
    """Return values (..., m, d), or (..., d) of one neuron, as an array."""
    values = as_numbers(name, values)
    if values.ndim < least or 0 in values.shape[-least:]:
        wanted = "shape (..., d)" if least == 1 else "shape (..., m, d)"
        raise InvalidInput(name, f"shape {values.shape}", f"{wanted}, not empty")
    return values


def best_cosine_of_neurons(cosine):
    """Return max_j of the cosines (..., m, d), ndarray of shape (..., m)."""
    return cosine.max(axis=-1)


def best_cosine_of_atoms(cosine):
    """Return max_i of the cosines (..., m, d), ndarray of shape (..., d)."""
    return cosine.max(axis=-2)


def neurons_per_atom(cosine: np.ndarray, threshold: float = 0.9) -> np.ndarray:
    """Count, for each atom, the neurons whose best cosine is with it and at least the threshold.

    Parameters
    ----------
    cosine : ndarray of shape (..., m, d)
    threshold : float

    Returns
    -------
    ndarray of int, shape (..., d)

    Examples
    --------
    >>> import numpy as np
    >>> featlearn.neurons_per_atom(np.array([[0.95, 0.1], [0.2, 0.97], [0.93, 0.3]]))
    array([2, 1])
    """
    cosine = _over_features("cosine", cosine, least=2)
    threshold = require("threshold", threshold, number(0))
    best, counted = cosine.argmax(axis=-1), cosine.max(axis=-1) >= threshold
    return np.sum((best[..., None] == np.arange(cosine.shape[-1])) & counted[..., None], axis=-2)


def support(cosine: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Return the sets N_i as a boolean ndarray of shape (..., m, d).

    Parameters
    ----------
    cosine : ndarray of shape (..., m, d)
    threshold : float, optional
        j ∈ N_i where |α_ij| ≥ threshold · ‖w_i‖. The paper's off-support alignments are
        o(1/√d) ‖w_i‖ and its own ones are not, so the default is 1/√d.

    Examples
    --------
    >>> import numpy as np
    >>> featlearn.support(np.array([[0.9, 0.1, 0.2, 0.1]]))
    array([[ True, False, False, False]])
    """
    cosine = _over_features("cosine", cosine)
    if threshold is None:
        threshold = 1 / math.sqrt(cosine.shape[-1])
    return cosine >= require("threshold", threshold, number(0))


class LotterySets(NamedTuple):
    """The winners of every feature at one step.

    Attributes
    ----------
    potential, sure : ndarray of bool, shape (..., m, d)
        Whether i ∈ 𝓜_j, and whether i ∈ 𝓜*_j.
    """

    potential: np.ndarray
    sure: np.ndarray


def lottery_sets(alignments: np.ndarray, sure: float = 1.5, potential: float = 1.5) -> LotterySets:
    """Return the `LotterySets`, the potential and the sure winners of every feature.

    With q_ij = α_ij²/Σ_k α_ik² (at initialisation, or at the end of stage I),

        potential  𝓜_j  = { i : q_ij ≥ c2 log d/d },
        sure       𝓜*_j = { i : q_ij ≥ c1 log d/d and q_ik < c2 log d/d for all k ≠ j }.

    Parameters
    ----------
    alignments : ndarray of shape (..., m, d)
    sure, potential : float
        c1 and c2. With both at 1.5 nearly every sure set is non-empty at m = 8 d, d = 32-128; the
        constants usual in this line of work are in `lottery_constants`.

    Returns
    -------
    LotterySets

    Notes
    -----
    Wen & Li 2021, lottery sets; their constants are parameters here.

    Examples
    --------
    >>> state = featlearn.init(featlearn.preset("tiny"))
    >>> alignments = state.weights @ state.model.dictionary
    >>> sets = featlearn.lottery_sets(alignments)
    >>> sets[0].shape
    (32, 8)
    """
    sure, potential = require("sure", sure, number(0)), require("potential", potential, number(0))
    squares = np.square(_over_features("alignments", alignments, least=2), dtype=np.float64)
    d = squares.shape[-1]
    total = squares.sum(axis=-1, keepdims=True)
    q = np.divide(squares, total, out=np.zeros_like(squares), where=total > 0)
    unit = math.log(d) / d
    candidates = q >= potential * unit
    others = candidates.sum(axis=-1, keepdims=True) - candidates
    return LotterySets(candidates, (q >= sure * unit) & (others == 0))


def lottery_constants(excess, gamma):
    """Return c1 = 2 + 2(1-γ)c0 and c2 = γ(2 + 2c0) for m = d^(1+c0).

    Parameters
    ----------
    excess : float ≥ 0
        c0.
    gamma : float in (0, 1)
        γ.

    Warns
    -----
    UserWarning
        Where c1 < c2: a sure winner need then not be a potential one.
    """
    if not 0 < gamma < 1:
        raise InvalidInput("gamma", gamma, "a number > 0 and < 1")
    if not excess >= 0:
        raise InvalidInput("excess", excess, "a number ≥ 0")
    sure, potential = 2 + 2 * (1 - gamma) * excess, gamma * (2 + 2 * excess)
    if sure < potential:
        warnings.warn(
            f"c1 = {sure:.3g} is below c2 = {potential:.3g} at c0 = {excess}, γ = {gamma}",
            stacklevel=2,
        )
    return sure, potential
