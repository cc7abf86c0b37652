"""What a run needs in memory and on the disk, known before anything is allocated or written."""

import os
import shutil
from pathlib import Path

import numpy as np

from ..errors import InvalidInput
from ..step_arrays import bytes_by_fields, fields_of
from . import checkpoint
from .quantities import built_in

# Bytes beside the numbers, most of what a small run takes: what an archive says of each of its arrays;
# config.json, status.json and the headers of the trajectory.
ARCHIVE, SMALL_FILES = 3 << 10, 8 << 10


def memory_needed(experiment, in_memory=False, own=()):
    """Estimate the bytes of memory that a run holds at its peak.

    Parameters
    ----------
    experiment : Experiment
    in_memory : bool
        Whether the trajectory is kept in memory too, not written to a directory.
    own : sequence of Quantity
        What is recorded beside the built-in quantities.

    Returns
    -------
    int
        The arrays of featlearn; the interpreter and its libraries, about 100 MB, come on top.
    """
    return sum(_memory(experiment, in_memory, own).values())


def largest_array(experiment):
    """Return the number of elements of the largest array of a step."""
    e = experiment
    negatives = 0 if e.negatives == "in_batch" else e.negatives
    rows, columns = max(e.batch_size, negatives), max(e.n_columns, e.n_neurons)
    others = negatives or e.group_size
    return max(rows * columns, e.n_neurons * e.n_columns, e.batch_size * others)


def disk_needed(experiment, own=(), kept=0):
    """Return the bytes that a run directory takes at most: its trajectory and its checkpoints.

    Parameters
    ----------
    experiment : Experiment
    own : sequence of Quantity
        What is recorded beside the built-in quantities.
    kept : int
        How many states are kept beside those that every run keeps.
    """
    return sum(_disk(experiment, own, kept).values())


def check_memory(experiment, in_memory=False, own=()):
    """Refuse a run that does not fit in memory.

    Raises
    ------
    InvalidInput
        Naming the fields that need the most, the bytes needed and the bytes available.
    """
    parts = _memory(experiment, in_memory, own)
    _check(experiment, parts, available_memory(), "of memory")


def check_disk(experiment, directory, own=(), kept=0):
    """Refuse a run that does not fit on the disk of its directory, which need not exist yet.

    What an earlier part of the run has written there counts as free.

    Raises
    ------
    InvalidInput
        Naming the fields that need the most, the bytes needed and the bytes available.
    """
    place = Path(directory).absolute()
    found = [
        *place.glob("trajectory/*.npy"),
        *place.glob("checkpoint.npz"),
        *place.glob("checkpoints/*"),
    ]
    written = sum(path.stat().st_size for path in found)
    while not place.exists():
        place = place.parent
    disk = shutil.disk_usage(place)
    if disk.total:  # a file system that is no disk has no free space to speak of
        _check(experiment, _disk(experiment, own, kept), disk.free + written, "on the disk")


def available_memory():
    """Bytes of memory that this process may still take, as far as the system tells."""
    found = [1 << 62]
    if hasattr(os, "sysconf"):  # not on Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable")]
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        pass
    return min(found)


def _check(experiment, parts, available, where):
    needed = sum(parts.values())
    if needed <= available:
        return
    fields = max(parts, key=parts.get)
    raise InvalidInput(
        ", ".join(fields),
        tuple(getattr(experiment, name) for name in fields),
        f"sizes that fit: the run needs {needed} bytes {where}, {available} are available",
    )


def _memory(experiment, in_memory, own):
    """Bytes by the fields that they are the product of."""
    e, item = experiment, np.dtype(experiment.dtype).itemsize
    parts = bytes_by_fields(e)
    more = {
        # The weights it starts from.
        _weights(e): e.n_neurons * e.n_columns * item,
        ("batch_size", "n_features"): e.batch_size * e.n_features * (12 + item),
    }
    if e.dense == "gram":
        # Coefficients of the outer noise, and factors of (m, m), in float64 where float32 fails.
        more["n_neurons",] = e.n_neurons**2 * (4 * item + 24)
        more["batch_size", "n_neurons"] = 2 * e.batch_size * e.n_neurons * item
    else:
        # Drawn, and the dictionary factorised, in float64.
        more["n_inputs", "n_features"] = e.n_inputs * e.n_features * (16 + item)
    if e.n_samples is not None:
        # Signal and noise, and half as many numbers in float32 that the noise is drawn with.
        numbers = 2 * item + 2 + (4 if item > 4 or e.noise_spikes else 0)
        more["n_samples", "n_inputs"] = e.n_samples * e.n_inputs * numbers
        more["n_samples", "n_features"] = e.n_samples * e.n_features * item
    if in_memory:
        more |= _trajectory(e, own)
    for fields, size in more.items():
        parts[fields] = parts.get(fields, 0) + size
    return parts


def _disk(experiment, own, kept):
    # The last one is there twice: the previous one stays until it is whole.
    states = min(checkpoint.MOST_KEPT, experiment.n_steps) + kept + 2
    return _trajectory(experiment, own) | {
        _weights(experiment): states * (checkpoint.state_bytes(experiment) + ARCHIVE) + SMALL_FILES
    }


def _weights(experiment):
    """The fields that the size of the weights is the product of."""
    return "n_neurons", "n_inputs" if experiment.dense == "explicit" else "n_columns"


def _trajectory(experiment, own):
    end, parts = experiment.n_steps + 1, {}
    for q in (*built_in(experiment), *own):
        fields = ("n_steps", "record_every", *fields_of(experiment, q.shape))
        size = q.rows_before(experiment, end) * q.row_bytes(experiment)
        parts[fields] = parts.get(fields, 0) + size
    return parts
