"""Memory of a training run: resident, in arrays, and what a single step allocates."""

import gc
import mmap
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..compute.threads import for_each, thread_count
from ..errors import InvalidInput
from ..experiment import Experiment
from .subjects import Featlearn, unrecorded


class Footprint(NamedTuple):
    """Bytes of a run.

    Attributes
    ----------
    resident : int
        Resident memory of a recorded run from its initialisation on, above what the process held
        before: interpreter, modules, thread pools, and the buffers that BLAS keeps. The peak of this
        process, and what its helpers hold beyond that: about 5 MB each for an interpreter and BLAS.
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
    try:
        import resource
    except ImportError:
        raise InvalidInput("resident memory", sys.platform, "Linux or macOS") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def helpers_bytes(group):
    """Resident bytes that the processes of a group, on Linux, hold beyond what this one does.

    Of memory only, as all of them have the program's own files mapped.
    """

    def sizes(path, names):
        lines = Path(path).read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(names))

    # A page that several processes hold counts in each one's Pss with its share.
    processes = ["self", *group.processes]
    names = ("Pss_Anon:", "Pss_Shmem:")
    held = sum(sizes(f"/proc/{process}/smaps_rollup", names) for process in processes)
    return held - sizes("/proc/self/status", ("RssAnon:", "RssShmem:"))


def footprint(experiment, place, steps=25):
    """Measure the `Footprint` of a run in this process, which should be a fresh one."""
    _settle(experiment, place / "settle")
    before = resident_peak(reset=True)
    subject = Featlearn(experiment, place / "resident")
    for _ in range(steps):
        subject()
    resident = resident_peak() - before
    if subject.work.group is not None:
        resident += helpers_bytes(subject.work.group)
    subject.close()
    del subject
    tracemalloc.start()
    subject = Featlearn(experiment, place / "arrays")
    opening = _allocated(subject)
    tracemalloc.reset_peak()
    for _ in range(steps):
        subject()
    arrays = max(opening, _allocated(subject))
    recording = _of_one_step(subject, steps)
    subject.close()
    subject = unrecorded(experiment, place / "unrecorded")
    for _ in range(steps):
        subject()
    transient = _of_one_step(subject, steps)
    subject.close()
    tracemalloc.stop()
    B, m, d1 = experiment.batch_size, experiment.n_neurons, experiment.n_inputs
    smallest = min(B * m, B * B, m * d1) * np.dtype(experiment.dtype).itemsize
    return Footprint(resident, arrays, transient, recording, needed_bytes(experiment), smallest)


def _allocated(subject):
    """The most that was allocated since the last reset, and the shared arrays there are by now."""
    group = subject.work.group
    return tracemalloc.get_traced_memory()[1] + (0 if group is None else group.shared_bytes)


def _of_one_step(subject, steps):
    most = 0
    for _ in range(steps):
        subject.finish()
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        subject()
        most = max(most, tracemalloc.get_traced_memory()[1] - before)
    return most


def _settle(experiment, place):
    """Let BLAS, the thread pool, the allocator and the code itself take what they keep for good."""
    # In memory of its own, or the allocator would keep more from here on than it does in a run.
    bytes_each = 1024**2 * np.dtype(experiment.dtype).itemsize
    squares = np.frombuffer(mmap.mmap(-1, 2 * bytes_each), experiment.dtype).reshape(2, 1024, 1024)
    np.matmul(squares[0], squares[0], out=squares[1])
    for_each(lambda _: np.ones(1 << 16).sum(), range(2 * thread_count()))
    sizes = dict(n_features=16, n_inputs=16, n_neurons=2, batch_size=2)
    subject = Featlearn(Experiment(**sizes, dtype=experiment.dtype), place)
    subject()
    subject.close()
    gc.collect()
