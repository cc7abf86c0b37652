"""Why a linear network learns no feature: it cannot tell one rotation of its neurons from another.

At b = 0 the network is linear, f(x) = W x, so every similarity is a function of WᵀW alone, and
W → O W for an orthogonal O of shape (m, m) changes neither the loss nor the dynamics but for the
rotation itself. Gaussian weights have a law that is invariant under O, and so W keeps one at every
step: its neurons point along the M_j no more than those of O W do.
"""

from typing import NamedTuple

import numpy as np

from ...alignment import best_cosine_of_neurons, cosines


class RotationTest(NamedTuple):
    """Best cosines of neurons against those of the same neurons rotated at random.

    Attributes
    ----------
    measured : float
        Mean over the neurons of max_j |α_ij|/‖α_i‖.
    expected, spread : float
        Its mean and standard deviation over random rotations of the neurons.
    p_value : float
        Share of the rotations, the identity among them, that give at least the measured value. In a
        linear network it is uniform; near 0 the neurons have singled out features.
    """

    measured: float
    expected: float
    spread: float
    p_value: float


def rotation_test(alignments, rng, n_rotations=199):
    """Test whether neurons point along the features more than a random rotation of them would.

    Parameters
    ----------
    alignments : ndarray of shape (m, d)
        α, of any state of a network.
    rng : numpy.random.Generator
    n_rotations : int

    Returns
    -------
    RotationTest

    Notes
    -----
    Exact, not asymptotic, for a linear network with Gaussian initialisation: derived in
    featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    alignments = np.asarray(alignments, dtype=np.float64)
    m, d = alignments.shape
    measured = _mean_best_cosine(alignments)
    # O α depends on O through the image of α's left singular space only, at most d orthonormal
    # vectors in R^m.
    _, values, right = np.linalg.svd(alignments, full_matrices=False)
    weighted = values[:, None] * right
    rotated = np.array(
        [
            _mean_best_cosine(_orthonormal(rng, m, len(values)) @ weighted)
            for _ in range(n_rotations)
        ]
    )
    reached = 1 + np.count_nonzero(rotated >= measured)
    return RotationTest(
        measured, float(rotated.mean()), float(rotated.std()), float(reached / (1 + n_rotations))
    )


def spectrum_spread(alignments):
    """Return the relative standard deviation of the squared singular values of α, shape (m, d).

    Near 1 for a Gaussian α with m = d; on the plateau of the linear phase half of
    `Plateau.half_width`.
    """
    squares = np.linalg.svd(np.asarray(alignments, dtype=np.float64), compute_uv=False) ** 2
    return float(squares.std() / squares.mean())


def _mean_best_cosine(alignments):
    norms = np.linalg.norm(alignments, axis=1)
    return float(best_cosine_of_neurons(cosines(alignments, norms)).mean())


def _orthonormal(rng, m, k):
    q, r = np.linalg.qr(rng.standard_normal((m, k)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)
