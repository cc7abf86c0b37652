"""A team: forked processes that make one run together, each doing its own rows of every array.

Threads share one interpreter lock. A step calls NumPy a few hundred times, and whenever two calls end
together one thread sleeps until the other lets it go on; with processes a step on two cores takes a
quarter less. All processes of a team run the same program on the same numbers. What a kernel computes
row by row is shared out among them and lands in memory that they share; then they meet. What is small
each computes for itself.
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
from . import threads

# Every process greets every other: more of them are left to threads.
LARGEST = 16
# Looks at the door before a process lies down to wait, and how long it then sleeps at most.
LOOKS, SECONDS = 3000, 0.05
_PAGE = mmap.PAGESIZE


class Team:
    """The processes of a run, and the memory they share.

    Parameters
    ----------
    size : int
        Number of processes, this one among them.
    room : int
        Bytes to set aside for shared arrays; those never used cost nothing.
    """

    def __init__(self, size, room):
        context = multiprocessing.get_context("fork")
        # _doors[a][b] lets process a know that b has arrived.
        self._doors = [[context.Semaphore(0) for _ in range(size)] for _ in range(size)]
        self._memory, self._used = mmap.mmap(-1, room), 0
        self._rank, self._helpers, self._founder = 0, {}, os.getpid()

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
        for rank in range(1, len(self._doors)):
            with warnings.catch_warnings():
                # NumPy's own threads are idle, and no other thread is alive.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if process == 0:
                self._help(rank, work)
            self._helpers[rank] = process

    def _help(self, rank, work):
        """Live and die as a helper."""
        try:
            # The founder decides what a signal to the group means, and ends its helpers.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # What it holds open, the lock of the run directory above all, is not a helper's.
            os.closerange(0, os.sysconf("SC_OPEN_MAX"))
            self._rank, self._helpers = rank, {}
            work()
        finally:
            os._exit(0)

    def for_each(self, function, pieces):
        """Call function on the pieces that are this process's, and meet."""
        pieces, size = list(pieces), len(self._doors)
        mine = slice(len(pieces) * self._rank // size, len(pieces) * (self._rank + 1) // size)
        if len(pieces) < size:
            mine = slice(self._rank, self._rank + 1)
        for piece in pieces[mine]:
            function(piece)
        self._meet()

    def _meet(self):
        """Wait until all have arrived.

        Raises
        ------
        ProcessLost
            If a helper has ended.
        """
        others = [rank for rank in range(len(self._doors)) if rank != self._rank]
        for other in others:
            self._doors[other][self._rank].release()
        for other in others:
            self._wait(self._doors[self._rank][other])

    def _wait(self, door):
        for _ in range(LOOKS):
            if door.acquire(False):
                return
            os.sched_yield()
        while not door.acquire(timeout=SECONDS):
            self._roll_call()

    def _roll_call(self):
        if self._rank:
            if os.getppid() != self._founder:
                os._exit(1)
            return
        for rank, process in list(self._helpers.items()):
            if os.waitpid(process, os.WNOHANG)[0]:
                del self._helpers[rank]
                raise ProcessLost(f"process {process}, which did part of every step, has ended")

    def end(self):
        """End the helpers."""
        for process in self._helpers.values():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        self._helpers = {}


def strangers():
    """Return the threads alive beside the main one and featlearn's own idle ones."""
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith("featlearn")
    ]


@contextlib.contextmanager
def team_for(largest, room):
    """Provide the `Team` of a run, or None where it is made by this process alone.

    There is a team on Linux, where more than one thread is asked for and as many processors are to
    be had, if the arrays are worth sharing out and no thread of the caller's is alive: a fork would
    leave behind what that thread was about to do.

    Parameters
    ----------
    largest : int
        Elements of the run's largest array.
    room : int
        Bytes of its arrays.
    """
    size = threads.thread_count()
    if (
        sys.platform != "linux"
        or not 2 <= size <= LARGEST
        or len(os.sched_getaffinity(0)) < size
        or not threads.can_share_out(largest)
        or strangers()
    ):
        yield None
        return
    try:
        team = Team(size, room)
    except (OSError, ImportError):
        # No semaphores here, or not that much memory to share.
        yield None
        return
    try:
        with threads.single_threaded_blas():
            yield team
    finally:
        team.end()
