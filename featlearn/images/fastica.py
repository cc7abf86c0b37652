"""Independent component analysis: what a natural image's sparse features are, found without a network."""

import numpy as np

from ..compute.threads import single_threaded_blas
from ..errors import InvalidInput


def fast_ica(white, rng, n_iterations=1000, tolerance=1e-6):
    """Rotate white rows into components that are as independent as a rotation can make them.

    The rows of A, orthonormal, are a fixed point of

        a_i ← mean of x tanh⟨a_i, x⟩ - mean of (1 - tanh²⟨a_i, x⟩) · a_i,    A ← (A Aᵀ)^(-1/2) A,

    a Newton step for a stationary E log cosh⟨a_i, x⟩ on the sphere.

    Parameters
    ----------
    white : ndarray of shape (n, k)
        Rows of mean 0 and covariance I.
    rng : numpy.random.Generator
        Draws the rotation to start from.
    n_iterations : int
    tolerance : float
        Largest 1 - |cosine| between a row before and after an iteration that counts as a fixed point.
        On photographs rows turn slowly for long: at 1e-4 they are not yet the atoms that they become,
        and the atoms of two starts differ.

    Returns
    -------
    ndarray of shape (k, k)
        A; the components are white @ A.T, in no particular order and with no particular sign.
    converged : bool

    Notes
    -----
    Hyvärinen 1999, fast fixed-point algorithm, symmetric form.
    """
    white = np.asarray(white)
    if white.ndim != 2 or 0 in white.shape or not np.isfinite(white).all():
        raise InvalidInput("white", f"an array of shape {white.shape}", "finite numbers (n, k)")
    # Hundreds of short products: threads would wait for each other, and change the last digits.
    with single_threaded_blas():
        return _iterate(white, rng, n_iterations, tolerance)


def _iterate(white, rng, n_iterations, tolerance):
    n, k = white.shape
    rotation = _nearest_rotation(rng.standard_normal((k, k)))
    for _ in range(n_iterations):
        bounded = np.tanh(white @ rotation.T.astype(white.dtype))
        slope = 1 - np.einsum("ni,ni->i", bounded, bounded, dtype=np.float64) / n
        new = _nearest_rotation(bounded.T @ white / n - slope[:, None] * rotation)
        change = np.max(1 - np.abs(np.einsum("ij,ij->i", new, rotation)))
        rotation = new
        if change < tolerance:
            return rotation, True
    return rotation, False


def _nearest_rotation(matrix):
    """(A Aᵀ)^(-1/2) A: the orthogonal matrix closest to A."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    return left @ right
