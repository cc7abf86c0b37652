"""Forked processes that make one run together, each doing its own rows of every array.

Threads share one interpreter lock. A step calls NumPy a few hundred times, and whenever two calls end
together one thread sleeps until the other lets it go on; with processes a step on two cores takes a
quarter less. All processes of a group, a leader and its helpers, run the same program on the
same numbers. What a kernel computes row by row is shared out among them and lands in memory that they
share; then they wait for each other. What is small each computes for itself.
"""

import contextlib
import math
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import warnings

import numpy as np

from ..errors import ProcessLost
from . import interrupts, threads

# At a barrier every process signals every other: more of them are left to threads.
LARGEST = 16
# Tries of a semaphore before a process sleeps on it, and for how long at most at a time.
TRIES, SECONDS = 3000, 0.05
_PAGE = mmap.PAGESIZE


class ProcessGroup:
    """The processes of a run, and the memory they share.

    Parameters
    ----------
    size : int
        Number of processes, this one among them.
    n_bytes : int
        Bytes to set aside for shared arrays; those never used cost nothing.
    """

    def __init__(self, size, n_bytes):
        context = multiprocessing.get_context("fork")
        # _semaphores[a][b] lets process a know that b has arrived.
        self._semaphores = [[context.Semaphore(0) for _ in range(size)] for _ in range(size)]
        self._memory, self._used = mmap.mmap(-1, n_bytes), 0
        self._rank, self._helpers, self._leader = 0, {}, os.getpid()

    def array(self, shape, dtype):
        """Return a new shared array; every process asks for the same ones in the same order."""
        n = math.prod(shape)
        array = np.frombuffer(self._memory, dtype, n, self._used).reshape(shape)
        self._used += -(-array.nbytes // _PAGE) * _PAGE
        return array

    @property
    def shared_bytes(self):
        """Bytes of the shared arrays handed out so far."""
        return self._used

    @property
    def processes(self):
        """Process numbers of the helpers."""
        return list(self._helpers.values())

    def start(self, work):
        """Fork the helpers, each of which calls work() and ends."""
        for rank in range(1, len(self._semaphores)):
            with warnings.catch_warnings():
                # NumPy's own threads are idle, and no other thread is alive.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if process == 0:
                self._help(rank, work)
            self._helpers[rank] = process

    def _help(self, rank, work):
        """Call work() in a helper process, and end it."""
        try:
            # The leader decides what a signal to the group means, and ends its helpers.
            interrupts.ignore()
            # What it holds open, the lock of the run directory above all, is not a helper's.
            os.closerange(0, os.sysconf("SC_OPEN_MAX"))
            self._rank, self._helpers = rank, {}
            work()
        finally:
            os._exit(0)

    def for_each(self, function, pieces):
        """Call function on the pieces that are this process's; return when all are done."""
        pieces, size = list(pieces), len(self._semaphores)
        mine = slice(len(pieces) * self._rank // size, len(pieces) * (self._rank + 1) // size)
        if len(pieces) < size:
            mine = slice(self._rank, self._rank + 1)
        for piece in pieces[mine]:
            function(piece)
        self.wait()

    @property
    def leads(self):
        """Whether this process is the leader."""
        return self._rank == 0

    def wait(self):
        """Wait until all have arrived.

        Raises
        ------
        ProcessLost
            If a helper has ended.
        """
        others = [rank for rank in range(len(self._semaphores)) if rank != self._rank]
        for other in others:
            self._semaphores[other][self._rank].release()
        for other in others:
            self._wait(self._semaphores[self._rank][other])

    def _wait(self, semaphore):
        for _ in range(TRIES):
            if semaphore.acquire(False):
                return
            os.sched_yield()
        while not semaphore.acquire(timeout=SECONDS):
            self._require_all_alive()

    def _require_all_alive(self):
        if self._rank:
            if os.getppid() != self._leader:
                os._exit(1)
            return
        for rank, process in list(self._helpers.items()):
            try:
                ended = os.waitpid(process, os.WNOHANG)[0]
                # One that was stopped alone would keep all others waiting.
                os.kill(process, signal.SIGCONT)
            except (ProcessLookupError, ChildProcessError):
                ended = True
            if ended:
                del self._helpers[rank]
                raise ProcessLost(f"process {process}, which did part of every step, has ended")

    def end(self):
        """End the helpers."""
        for process in self._helpers.values():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        self._helpers = {}


def other_threads():
    """Return the threads alive beside the main one and featlearn's own idle ones."""
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith("featlearn")
    ]


@contextlib.contextmanager
def process_group(largest, n_bytes):
    """Provide the `ProcessGroup` of a run, or None where it is made by this process alone.

    There is a group on Linux, where more than one thread is asked for and as many processors are to
    be had, if the arrays are worth sharing out and no thread of the caller's is alive: a fork would
    leave behind what that thread was about to do.

    Parameters
    ----------
    largest : int
        Elements of the run's largest array.
    n_bytes : int
        Bytes of its arrays.
    """
    size = threads.thread_count()
    if (
        sys.platform != "linux"
        or not 2 <= size <= LARGEST
        or len(os.sched_getaffinity(0)) < size
        or not threads.can_share_out(largest)
        or other_threads()
    ):
        yield None
        return
    try:
        group = ProcessGroup(size, n_bytes)
    except (OSError, ImportError):
        # No semaphores here, or not that much memory to share.
        yield None
        return
    try:
        with threads.single_threaded_blas():
            yield group
    finally:
        group.end()
