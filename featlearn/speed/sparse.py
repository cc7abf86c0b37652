"""Whether a step could be cheaper when few units are active.

The coefficients A and features H of shape (B, m) then hold mostly zeros, and two products have one
of them as a factor: the weight product AᵀX and the repulsion P H. Each is timed dense, through a
sparse matrix, and, for the weight product, neuron by neuron on the samples it is active for.
"""

import time

import numpy as np
from scipy.sparse import csr_array

from ..compute.streams import generator


def ways(experiment, density):
    """Return both products by every way, as functions without arguments.

    Parameters
    ----------
    experiment : Experiment
        Of the sizes and the dtype.
    density : float in [0, 1]
        Fraction of the entries of A and H that are not zero, at random places.

    Returns
    -------
    dict of str to callable
        Making a sparse matrix from a dense one is part of the way.
    """
    B, m, d1 = experiment.batch_size, experiment.n_neurons, experiment.n_inputs
    dtype = np.dtype(experiment.dtype)
    rng = generator(experiment.seed, "theory")
    X = rng.standard_normal((B, d1)).astype(dtype)
    P = rng.random((B, B)).astype(dtype)
    A = (rng.standard_normal((B, m)) * (rng.random((B, m)) < density)).astype(dtype)
    G, R, gathered = np.empty((m, d1), dtype), np.empty((B, m), dtype), np.empty((m, d1), dtype)

    def gather():
        for i in range(m):
            [rows] = np.nonzero(A[:, i])
            np.matmul(A[rows, i], X[rows], out=gathered[i])
        return gathered

    return {
        "weight product, dense": lambda: np.matmul(A.T, X, out=G),
        "weight product, sparse": lambda: csr_array(A.T) @ X,
        "weight product, gathered": gather,
        "repulsion, dense": lambda: np.matmul(P, A, out=R),
        "repulsion, sparse": lambda: (csr_array(A.T) @ P.T).T,
    }


def products(experiment, density, repeats):
    """Return the seconds of each of the `ways`, ndarrays of shape (repeats,), taken in turn."""
    compared = ways(experiment, density)
    times = {name: [] for name in compared}
    for _ in range(repeats + 1):
        for name, way in compared.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    return {name: np.array(numbers[1:]) for name, numbers in times.items()}
