"""Memory of a training run: resident, in arrays, and what a single step allocates."""

import gc
import resource
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..threads import for_each, thread_count
from .contestants import Featlearn, unrecorded


class Footprint(NamedTuple):
    """Bytes of a run.

    Attributes
    ----------
    resident : int
        Resident memory of a recorded run from its initialisation on, above what the process held
        before: interpreter, modules, thread pools, and the buffers that BLAS keeps. The peak of this
        process, and what its helpers hold beyond that.
    arrays : int
        Peak of what Python and NumPy had allocated in the same span, and the shared arrays.
    transient : int
        The most that one step, after the first ones, allocates beyond what it finds, not recording.
    recording : int
        The same for a step that is recorded.
    needed : int
        `needed_bytes`.
    smallest : int
        Of the large arrays of the step.
    """

    resident: int
    arrays: int
    transient: int
    recording: int
    needed: int
    smallest: int


def needed_bytes(experiment):
    """Bytes of a sample and its two views, weights, and one B × B matrix: 3 B d1 + m d1 + B²."""
    B, m, d1 = experiment.batch_size, experiment.n_neurons, experiment.n_inputs
    return (3 * B * d1 + m * d1 + B * B) * np.dtype(experiment.dtype).itemsize


def resident_peak(reset=False):
    """Peak resident bytes of this process; on Linux `reset` starts anew from the present."""
    status = Path("/proc/self/status")
    if status.exists():
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def helpers_bytes(team):
    """Resident bytes that the processes of a team, on Linux, hold beyond what this one does."""

    def rollup(process):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
        return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}

    # A page that several processes hold counts in each one's Pss with its share.
    mine = rollup("self")
    return mine["Pss"] - mine["Rss"] + sum(rollup(process)["Pss"] for process in team.processes)


def footprint(experiment, place, steps=5):
    """Measure the `Footprint` of a run in this process, which should be a fresh one."""
    _settle(experiment.dtype)
    before = resident_peak(reset=True)
    contestant = Featlearn(experiment, place / "resident")
    for _ in range(steps):
        contestant()
    resident = resident_peak() - before
    if contestant.team is not None:
        resident += helpers_bytes(contestant.team)
    contestant.close()
    del contestant
    tracemalloc.start()
    contestant = Featlearn(experiment, place / "arrays")
    for _ in range(steps):
        contestant()
    arrays = tracemalloc.get_traced_memory()[1]
    if contestant.team is not None:
        arrays += contestant.team.shared_bytes
    recording = _of_one_step(contestant, steps)
    contestant.close()
    contestant = unrecorded(experiment, place / "unrecorded")
    for _ in range(steps):
        contestant()
    transient = _of_one_step(contestant, steps)
    contestant.close()
    tracemalloc.stop()
    B, m, d1 = experiment.batch_size, experiment.n_neurons, experiment.n_inputs
    smallest = min(B * m, B * B, m * d1) * np.dtype(experiment.dtype).itemsize
    return Footprint(resident, arrays, transient, recording, needed_bytes(experiment), smallest)


def _of_one_step(contestant, steps):
    most = 0
    for _ in range(steps):
        contestant.finish()
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        contestant()
        most = max(most, tracemalloc.get_traced_memory()[1] - before)
    return most


def _settle(dtype):
    """Let BLAS, the thread pool and the allocator take what they keep for good."""
    square = np.ones((1024, 1024), dtype)
    square @ square
    for_each(lambda _: np.ones(1 << 16).sum(), range(2 * thread_count()))
    gc.collect()
