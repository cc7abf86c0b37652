"""Subjects side by side: a process each, and bursts of steps in turn.

Idle threads, those of BLAS above all, spin for a while on the cores that the next subject needs,
and a process keeps the number of threads it started with. So every subject has a process of its
own, sleeps while the others work, pauses before its own turn, and follows on another one every
second round. Processes that do the same differ by a few per cent throughout, by where their memory
happens to lie; so after every two rounds all are replaced.
"""

import contextlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from ..compute.workers import BLAS_THREADS
from . import parts, subjects
from .peers import PEERS, JaxTogether

PAUSE = 0.1

MAKERS = {
    "reference": subjects.Reference,
    "featlearn": subjects.Featlearn,
    "featlearn, not recording": subjects.unrecorded,
    "together": subjects.Together,
    "jax, vmap": JaxTogether,
    **PEERS,
}


class Statistic(NamedTuple):
    """Median and quartiles over rounds."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers):
        """Return that of some numbers."""
        low, middle, high = np.percentile(numbers, [25, 50, 75])
        return cls(float(middle), float(low), float(high))


class PinnedProcess:
    """A process with a given number of threads, that holds at most one subject.

    Parameters
    ----------
    threads : int
        Also the number of processors that the process may run on, where the system allows to say.
    """

    def __init__(self, threads):
        before = {name: os.environ.get(name) for name in BLAS_THREADS}
        os.environ.update(dict.fromkeys(BLAS_THREADS, str(threads)))
        try:
            # A spawned process reads these before it imports numpy, and never later.
            self._pool = ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), _pin, (threads,)
            )
            self._pool.submit(os.getpid).result()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def __call__(self, function, *arguments):
        """Return function(*arguments), computed in the process."""
        return self._pool.submit(function, *arguments).result()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(cancel_futures=True)


def _pin(threads):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


_held = {}


def _enter(name, experiment, place):
    _held["subject"] = MAKERS[name](experiment, place)
    _held["subject"]()


def _burst(seconds):
    return subjects.burst(_held["subject"], seconds)[1]


def _parts(seconds):
    return parts.of(_held["subject"], seconds)


def time_in_turn(entries, place, threads, seconds, rounds):
    """Time subjects in turn, there and back, A B C C B A, and again with new processes.

    Parameters
    ----------
    entries : dict of str to (str, Experiment)
        By label: a name among `MAKERS`, and what it trains.
    place : Path
        An empty directory.
    threads : int
    seconds : float
        Length of a burst; at least 3 steps long.
    rounds : int

    Returns
    -------
    times : dict of str to ndarray of shape (rounds,)
        Seconds a step, one number a burst.
    shares : dict of str to dict of str to Statistic
        Seconds a step of every part, for those subjects that can be taken apart.
    """
    times = {label: [] for label in entries}
    shares = {label: [] for label, (name, _) in entries.items() if name in parts.DIVISIBLE}
    for first in range(0, rounds, 2):
        with contextlib.ExitStack() as stack:
            processes = {label: stack.enter_context(PinnedProcess(threads)) for label in entries}
            for index, (label, (name, experiment)) in enumerate(entries.items()):
                processes[label](_enter, name, experiment, place / f"{first}-{index}")
            there = list(processes.items())
            for turns in (there, there[::-1])[: rounds - first]:
                for label, process in turns:
                    time.sleep(PAUSE)
                    times[label].append(process(_burst, seconds))
            for label in shares:
                time.sleep(PAUSE)
                shares[label].append(processes[label](_parts, seconds))
    return (
        {label: np.array(numbers) for label, numbers in times.items()},
        {
            label: {part: Statistic.of([row[part] for row in rows]) for part in rows[0]}
            for label, rows in shares.items()
        },
    )


def alone(function, *arguments, threads):
    """Return function(*arguments), computed in a fresh process with that many threads."""
    with PinnedProcess(threads) as process:
        return process(function, *arguments)
