"""Threads for what BLAS does not do: drawing data, and element-wise work on rows.

NumPy releases the interpreter lock in both. What a piece of rows contains never depends on the
number of threads, so neither do the bits.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

# Below this many numbers, handing the work to another thread costs more than it saves.
WORTHWHILE = 1 << 15


def thread_count():
    """Number of threads for BLAS and for everything here.

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


@lru_cache(maxsize=1)
def _pool(threads, process):
    # Keyed on the process: threads do not survive a fork.
    return ThreadPoolExecutor(threads - 1, "featlearn")


def for_each(function, pieces):
    """Return [function(piece) for piece in pieces], computed on all threads."""
    pieces, threads = list(pieces), thread_count()
    if threads == 1 or len(pieces) < 2:
        return [function(piece) for piece in pieces]
    results, queue = [None] * len(pieces), iter(range(len(pieces)))

    def work():
        # Taking the next index is atomic under the interpreter lock.
        for index in queue:
            results[index] = function(pieces[index])

    helpers = [_pool(threads, os.getpid()).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()
    return results


def over_rows(function, *arrays):
    """Call function(*rows) on matching pieces of the rows of some arrays, on all threads.

    The function works in place and row by row, so that the result does not depend on the pieces.
    """
    n, threads = len(arrays[0]), thread_count()
    if threads == 1 or arrays[0].size < WORTHWHILE:
        function(*arrays)
        return
    bounds = [n * k // threads for k in range(threads + 1)]
    pieces = [slice(a, b) for a, b in zip(bounds, bounds[1:])]
    for_each(lambda rows: function(*(array[rows] for array in arrays)), pieces)
