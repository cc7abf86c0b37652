"""Worker processes of a sweep on this machine: one BLAS thread each, and each replaced if it dies."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class OwnWorkers:
    """A context of n worker processes, each behind an executor of its own.

    A pool of many processes breaks as a whole when one of them dies. With a pool a process, a
    worker that dies takes only its own run with it. Left by an exception, the context asks the
    workers to end, upon which a recorded run writes a checkpoint.

    Parameters
    ----------
    n : int ≥ 0
    """

    def __init__(self, n):
        self._n = n

    @staticmethod
    def default():
        """Number of processors this process may run on."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def __enter__(self):
        # A spawned process reads these before it imports numpy, and never later.
        self._environment = {name: os.environ.get(name) for name in BLAS_THREADS}
        os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
        self.executors = [_OneProcess() for _ in range(self._n)]
        return self

    def __exit__(self, kind, *exception):
        for executor in self.executors:
            if kind is not None:
                executor.terminate()
        for executor in self.executors:
            executor.shutdown()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _OneProcess:
    """An executor of one spawned process, a new one in place of one that died."""

    def __init__(self):
        self._pool = self._process = None
        self._ended = False
        self._lock = threading.Lock()

    def submit(self, function, *arguments):
        with self._lock:
            if self._ended:
                raise RuntimeError("the workers were told to end")
            if self._pool is not None:
                with contextlib.suppress(BrokenExecutor):
                    return self._pool.submit(function, *arguments)
                self._pool.shutdown()
            self._pool = ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), initializer=_start_worker
            )
            self._process = self._pool.submit(os.getpid)
            return self._pool.submit(function, *arguments)

    def terminate(self):
        """Ask the process to end."""
        with self._lock:
            self._ended = True
        if self._process is not None:
            with contextlib.suppress(BrokenExecutor, ProcessLookupError):
                os.kill(self._process.result(), signal.SIGTERM)

    def shutdown(self):
        """Wait until the process has ended."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _start_worker():
    """Leave an interrupt from the terminal to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
