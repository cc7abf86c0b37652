"""Randomness: one seed, named child streams, a generator for every block of every batch.

The stream that fills a block of rows is a function of (seed, name, indices) alone. So a batch can
be drawn by any number of threads, at any moment, or again after a restart, with the same bits.
"""

import os

import numpy as np

# The position in this list is part of every stream's identity: append, never reorder.
STREAMS = ("dictionary", "weights", "latents", "batch", "negatives", "probe", "theory")


def generator(seed, name, *index):
    """Return the random generator of one named child stream.

    Parameters
    ----------
    seed : int
        The experiment's seed, the entropy of its `numpy.random.SeedSequence`.
    name : str
        One of `STREAMS`.
    *index : int
        Position within the stream: for batches the step and the block of rows.

    Returns
    -------
    numpy.random.Generator
        An SFC64 generator, independent of that of any other (name, index).
    """
    key = (STREAMS.index(name), *index)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


def thread_count():
    """Number of threads for BLAS and for drawing data.

    The first of ``OPENBLAS_NUM_THREADS``, ``MKL_NUM_THREADS`` and ``OMP_NUM_THREADS`` that is set,
    otherwise the number of processors this process may run on.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
