"""Threads: the rows of a batch are shared out, and BLAS works with one thread in each.

This is how single steps are computed, and whole runs where there is no `ProcessGroup`.
NumPy releases the interpreter lock in all that is done to rows. Sharing out a whole stretch of work,
products and element-wise functions together, wakes the threads a few times a step; letting BLAS
share out every product, and nobody the rest, takes a third longer.
"""

import contextlib
import ctypes
import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

import numpy as np

# Below this many numbers, handing the work to another thread costs more than it saves.
WORTHWHILE = 1 << 17
# Where a process is told how many threads BLAS may use, the first that is set counts.
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def thread_count():
    """Number of threads of a training run.

    The first of ``OPENBLAS_NUM_THREADS``, ``MKL_NUM_THREADS`` and ``OMP_NUM_THREADS`` that is set,
    otherwise the number of processors this process may run on.
    """
    for name in BLAS_THREADS:
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache
def _blas():
    """The functions (get, set) of NumPy's OpenBLAS for its number of threads, None if not found."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
        for name in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):
            if hasattr(library, name.format("set_num_threads")):
                return [getattr(library, name.format(f"{x}_num_threads")) for x in ("get", "set")]
    return None


@contextlib.contextmanager
def single_threaded_blas():
    """Let NumPy's OpenBLAS work with one thread; another library's threads are left alone.

    What is shared out over threads or processes is then the same, to the last bit, as what is not.
    """
    get, set = _blas() or (lambda: 1, None)
    before = get()
    if before == 1:
        yield
        return
    set(1)
    try:
        yield
    finally:
        set(before)


@lru_cache(maxsize=1)
def _pool(threads, process):
    # Keyed on the process: threads do not survive a fork.
    return ThreadPoolExecutor(threads - 1, "featlearn")


def for_each(function, pieces):
    """Return [function(piece) for piece in pieces], computed on all threads."""
    pieces = list(pieces)
    if len(pieces) < 2 or (threads := thread_count()) == 1 or _blas() is None:
        return [function(piece) for piece in pieces]
    results, queue = [None] * len(pieces), iter(range(len(pieces)))
    # Other threads would warn of what the caller expects.
    expected = np.geterr()

    def work():
        with np.errstate(**expected):
            # Taking the next index is atomic under the interpreter lock.
            for index in queue:
                results[index] = function(pieces[index])

    with single_threaded_blas():
        helpers = [_pool(threads, os.getpid()).submit(work) for _ in range(threads - 1)]
        try:
            work()
        finally:
            # What they write belongs to this call.
            wait(helpers)
        for helper in helpers:
            helper.result()
    return results


def can_share_out(size):
    """Return whether sharing out an array of so many elements is possible and worthwhile."""
    return size >= WORTHWHILE and _blas() is not None
