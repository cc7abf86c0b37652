"""The dense part by its Gram matrix: a step whose cost does not depend on the input dimension d1.

Isotropic noise meets the dense parts β_i through G = β βᵀ only. With any factor L Lᵀ = G, L of shape
(m, r), r = min(m, d1-d), the network

    W = [α | L]  of shape (m, d + r)      on inputs  [z + noise | noise]  of d + r numbers

has the same law of preactivations, and W ← (1-ηλ) W + (η/B) AᵀX is the part of the full update that
lies in span(M) and in the row space of β. The views' noise R in the other d1-d-r dimensions is
independent of all that the loss sees. It adds to G what equals in law

    (η/B)² Aᵀ R Rᵀ A  =  Ãᵀ Ω Ã,    Ã_pi = (η/B) √v_p A_pi,    Ω ~ Wishart_B(d1-d-r, I),

v_p the noise variance of anchor p, after which L is factorised anew. Exact in law without augmentation
and for correlated noise; up to O(1/d1) for RandomMask (derived: featlearn/theory/derivation.md, "The
dense part by its Gram matrix").
"""

import math

import numpy as np

from .compute.gaussian import fill_normal
from .compute.workspace import Workspace


def gram_weights(experiment, rng):
    """Draw [α | L] of shape (m, d + r) at the start: α_ij and β_ij independent N(0, σ_0²).

    L is then σ_0 times the Bartlett factor of a Wishart matrix with d1 - d degrees of freedom, where
    σ_0 = initial_norm/√d1.
    """
    m, d = experiment.n_neurons, experiment.n_features
    alpha = np.empty((m, d), np.float32)
    fill_normal(rng, alpha)
    dense = bartlett(rng, m, experiment.n_inputs - d)
    weights = np.hstack([alpha, dense]).astype(experiment.dtype)
    weights *= experiment.initial_norm / math.sqrt(experiment.n_inputs)
    return weights


def correlated_rows(first, second, own, cross):
    """Return coefficients of independent noise that stand for two of correlated noise.

    With R, R' of variance `own` per entry and covariance `cross`, firstᵀR + secondᵀR' has the law of
    Ãᵀ times unit normals for Ã the rows (first ± second) √((own ± cross)/2).

    Parameters
    ----------
    first, second : ndarray of shape (n, m)
    own, cross : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (2n, m)
    """
    dtype = first.dtype
    plus, minus = (
        np.sqrt(np.maximum(own + sign * cross, 0) / 2).astype(dtype)[:, None] for sign in (1, -1)
    )
    return np.concatenate([plus * (first + second), minus * (first - second)])


def bartlett(rng, n, dof):
    """Draw T of shape (n, min(n, dof)) with T Tᵀ ~ Wishart_n(dof, I), float32.

    T_ii = √χ²(dof - i) and T_ij ~ N(0, 1) below (i, j from 0), Bartlett's decomposition; for dof < n,
    where the matrix is singular, T is a matrix of normals.
    """
    t = np.empty((n, min(n, dof)), np.float32)
    fill_normal(rng, t)
    if dof >= n:
        t = np.tril(t, -1)
        np.fill_diagonal(t, np.sqrt(rng.chisquare(float(dof) - np.arange(n))))
    return t


def cholesky(gram):
    """Return a factor F with F Fᵀ = gram, and whether it had to be found in float64.

    Rows and columns are scaled to a unit diagonal, to which a few rounding errors are added: the
    matrix has lost rank where neurons are off or move alike. Where even that is not positive
    definite in its own precision, an eigendecomposition in float64 factorises what is.
    """
    scale = np.sqrt(np.diag(gram))
    divisor = np.where(scale > 0, scale, 1)
    unit = gram / divisor[:, None]
    unit /= divisor
    unit.flat[:: len(unit) + 1] += 8 * np.finfo(gram.dtype).eps
    try:
        return scale[:, None] * np.linalg.cholesky(unit), False
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(unit.astype(np.float64))
        root = vectors * np.sqrt(np.maximum(values, 0))
        return scale[:, None] * root.astype(gram.dtype), True


def outer_root(rows, dof, rng):
    """Draw H with H Hᵀ = Ãᵀ Ω Ã in law, Ω ~ Wishart(dof, I).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        Ã. For n > m the law needs only ÃᵀÃ = C Cᵀ, and H = C T with the m × m Bartlett factor.
    dof : int ≥ 1
    rng : numpy.random.Generator

    Returns
    -------
    root : ndarray of shape (m, k)
    float64 : bool
        Whether a factorisation needed it.
    """
    n, m = rows.shape
    if n <= m:
        return rows.T @ bartlett(rng, n, dof).astype(rows.dtype), False
    gram = rows.T @ rows
    if not np.isfinite(gram).all():
        return np.full_like(gram, np.nan), False
    factor, float64 = cholesky(gram)
    return factor @ bartlett(rng, m, dof).astype(rows.dtype), float64


def noise_rows(gradient, covariances, paired=False):
    """Return Ã/(η/B): the gradient's coefficients as those of independent unit noise.

    Parameters
    ----------
    gradient : ContrastiveGradient
    covariances : list of NoiseCovariance
        Of the batch's noise, and of the separate negatives'.
    paired : bool
        Whether the second half of the batch repeats the first one's key noise beside span(M).

    Returns
    -------
    ndarray of shape (k, m)
    """
    first, *others = [term.coefficients for term in gradient.terms]
    own, cross = covariances[0]
    if paired:
        half = len(first) // 2
        own, cross = own[:half], cross[:half]
        shared = np.divide(cross**2, own, out=np.zeros_like(own), where=own > 0)
        return correlated_rows(first[:half], first[half:], own, shared)
    if not others:
        return np.sqrt(own).astype(first.dtype)[:, None] * first
    blocks = [correlated_rows(first, others[0], own, cross)]
    for negative, covariance in zip(others[1:], covariances[1:]):
        blocks.append(np.sqrt(covariance.own).astype(first.dtype)[:, None] * negative)
    return np.concatenate(blocks)


def advance(weights, rows, rate, norms, n_features, dof, rng, work=None):
    """Put the outer noise of one update into L, in place: the last part of a step.

    Parameters
    ----------
    weights : ndarray of shape (m, d + r)
        [α | L₁], after the ordinary step.
    rows : ndarray of shape (k, m)
        What `noise_rows` returns.
    rate : float
        η/B.
    norms : ndarray of shape (m,)
        ‖w_i‖ before the step: the unit that keeps squares of tiny weights from vanishing.
    n_features, dof : int
        d and the number of outer dimensions; without any, L₁ stays what it is.
    rng : numpy.random.Generator
    work : Workspace, optional

    Returns
    -------
    int
        Number of factorisations that needed float64.
    """
    if dof == 0:
        return 0
    work = work or Workspace()
    dense = weights[:, n_features:]
    # Other processes of a run read it until all have a copy.
    inner = work("dense part", dense.shape, dense.dtype)
    work.over_rows(np.copyto, inner, dense)
    unit = np.where(norms > 0, norms, 1).astype(dense.dtype)
    root, first = outer_root(rows * (rate / unit).astype(rows.dtype), dof, rng)
    both = np.hstack([inner / unit[:, None], root])
    gram = both @ both.T
    factor, second = cholesky(gram) if np.isfinite(gram).all() else (gram * np.nan, False)
    work.over_rows(np.copyto, dense, factor * unit[:, None])
    return int(first) + int(second)
