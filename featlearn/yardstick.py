"""Sparse coding as a yardstick: the atoms of x = M z + ξ that other learners recover from as many samples.

A plain dictionary learner alternates between sparse codes and least squares (the method of optimal
directions, Engan et al. 1999): with a dictionary D of unit columns

    Z = hard-threshold(X D, t),      D ← X ᵀ Z (Zᵀ Z + ε I)⁻¹, columns scaled to length 1.

Recovery is counted one to one: an atom and a learned direction are matched greedily by |cosine|, and
belong to nothing else then.
"""

import numpy as np
from numpy.typing import ArrayLike

from .errors import InvalidInput
from .rules import as_numbers, integer, number, require, require_generator

# Where a recovery curve is tabled, and its columns: the fraction of atoms matched from a cosine on.
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98)
RECOVERY = tuple(f"recovered at {t}" for t in THRESHOLDS)


def match_one_to_one(cosine: ArrayLike) -> np.ndarray:
    """Match rows and columns greedily, the largest value first.

    Parameters
    ----------
    cosine : ndarray of shape (m, d), ≥ 0
        |cosine| of every learned direction with every atom.

    Returns
    -------
    ndarray of shape (min(m, d),)
        The matched values in descending order.

    Examples
    --------
    >>> featlearn.match_one_to_one([[0.9, 0.8], [0.7, 0.1]])
    array([0.9, 0.1])
    """
    left = as_numbers("cosine", cosine).astype(float)
    if left.ndim != 2 or 0 in left.shape:
        raise InvalidInput("cosine", f"shape {left.shape}", "a non-empty matrix")
    if not (left >= 0).all():
        raise InvalidInput("cosine", float(left[~(left >= 0)][0]), "|cosines|, numbers ≥ 0")
    matched = np.empty(min(left.shape))
    for k in range(len(matched)):
        i, j = np.unravel_index(np.argmax(left), left.shape)
        matched[k] = left[i, j]
        left[i, :] = left[:, j] = -np.inf
    return matched


def recovery_curve(cosine: ArrayLike, thresholds: ArrayLike = THRESHOLDS) -> np.ndarray:
    """Return the fraction of the d atoms that are matched one to one at each threshold.

    Parameters
    ----------
    cosine : ndarray of shape (m, d), ≥ 0
    thresholds : float or ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> featlearn.recovery_curve([[0.9, 0.8], [0.7, 0.1]], thresholds=[0.5, 0.95])
    array([0.5, 0. ])
    """
    matched = match_one_to_one(cosine)
    atoms = np.shape(cosine)[1]
    thresholds = np.atleast_1d(as_numbers("thresholds", thresholds))
    if thresholds.ndim > 1:
        raise InvalidInput("thresholds", f"shape {thresholds.shape}", "shape (n,)")
    return (matched[:, None] >= thresholds).sum(axis=0) / atoms


def learn_dictionary(
    inputs: ArrayLike,
    n_atoms: int,
    rng: np.random.Generator,
    n_steps: int = 50,
    threshold: float = 2.0,
) -> np.ndarray:
    """Learn a dictionary by alternating thresholded codes and least squares.

    It works on the leading principal components of the samples, as many as there are atoms: beside them
    is nothing but noise.

    Parameters
    ----------
    inputs : ndarray of shape (n, d1)
    n_atoms : int
        At most n and d1.
    rng : numpy.random.Generator
        Draws the samples that the columns start from.
    n_steps : int ≥ 0
    threshold : float > 0
        t, in standard deviations of the codes of an atom.

    Returns
    -------
    ndarray of shape (d1, n_atoms)
        Columns of length 1.

    Raises
    ------
    InvalidInput
        For more atoms than samples or inputs, or inputs that are not finite or all 0.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> M = featlearn.make_dictionary("orthonormal", 32, 4, rng)
    >>> x = featlearn.SparseCodingModel(M, density=0.1, noise_variance=0.001).sample(rng, 2000).inputs
    >>> cosine = np.abs(featlearn.learn_dictionary(x, 4, rng).T @ M)
    >>> bool(featlearn.match_one_to_one(cosine).min() > 0.99)
    True
    """
    require_generator(rng)
    n_steps = require("n_steps", n_steps, integer(0))
    threshold = require("threshold", threshold, number(0, open_low=True))
    x, basis = principal_components(inputs, n_atoms)
    dictionary = _unit(x[rng.choice(len(x), n_atoms, replace=False)].T)
    for _ in range(n_steps):
        codes = x @ dictionary
        codes *= np.abs(codes) >= threshold * codes.std(axis=0)
        gram = codes.T @ codes
        gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / n_atoms + 1e-300
        dictionary = _unit(np.linalg.solve(gram, codes.T @ x).T)
    return _unit(basis @ dictionary)


def learn_components(inputs, n_atoms, rng):
    """Return the directions of independent component analysis; takes what `learn_dictionary` does."""
    require_generator(rng)
    # Images take a while to import.
    from .images import fast_ica

    x, basis = principal_components(inputs, n_atoms)
    scale = x.std(axis=0)
    if not scale.all():
        raise InvalidInput("inputs", "a direction without variance", "rows that differ")
    rotation, _ = fast_ica(x / scale, rng)
    return _unit((basis * scale) @ rotation.T)


def principal_components(inputs, k):
    """Return the coordinates on the k leading principal components, (n, k), and those, (d1, k)."""
    x, k = as_numbers("inputs", inputs).astype(np.float64), require("n_atoms", k, integer(1))
    if x.ndim != 2 or not np.isfinite(x).all() or not x.any():
        found = f"shape {x.shape}" if x.ndim != 2 else "nan, infinite numbers or nothing but 0"
        raise InvalidInput("inputs", found, "finite numbers of shape (n, d1), not all 0")
    if not 1 <= k <= min(x.shape):
        raise InvalidInput("n_atoms", k, f"1 to {min(x.shape)}, samples and inputs")
    basis = np.linalg.eigh(x.T @ x / len(x))[1][:, -k:]
    return x @ basis, basis


def _unit(columns):
    return columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
