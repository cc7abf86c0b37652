"""The trajectory of a run: what is recorded, and where the rows go, to memory or to files."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from ..errors import InvalidInput, RunDirectoryError
from ..experiment import Experiment

FLUSH_SECONDS = 0.25
FLUSH_BYTES = 1 << 17
# Rows of so many bytes are not worth gathering.
LARGE_BYTES = 1 << 14

# Of every trajectory file, however many rows it has: a multiple of 64, as the format wants.
HEADER_BYTES = 192


def quantities(experiment):
    """Return what is recorded at every recorded step: name -> (shape, dtype) of one row.

    ``step``                  number of updates made before the row
    ``stage``                 stage of the bias schedule
    ``loss``                  mean loss on the step's batch, before its update
    ``positive_probability``  mean P_p0 on that batch
    ``alignment``             α_ij = ⟨w_i, M_j⟩
    ``weight_norm``           ‖w_i‖
    ``dense_norm``            ‖β_i‖
    ``bias``                  b_i
    ``active_fraction``       fraction of the anchors with |⟨w_i, x⁺⟩| ≥ b_i
    """
    m, d, dtype = experiment.n_neurons, experiment.n_features, np.dtype(experiment.dtype)
    return {
        "step": ((), np.dtype(np.int64)),
        "stage": ((), np.dtype(np.int8)),
        "loss": ((), np.dtype(np.float64)),
        "positive_probability": ((), np.dtype(np.float64)),
        "alignment": ((m, d), dtype),
        "weight_norm": ((m,), dtype),
        "dense_norm": ((m,), dtype),
        "bias": ((m,), dtype),
        "active_fraction": ((m,), dtype),
    }


def _bytes(shape, dtype):
    return math.prod(shape) * dtype.itemsize


def row_bytes(quantities):
    """Return the bytes of one row of some quantities."""
    return sum(_bytes(*each) for each in quantities.values())


def rows_before(experiment, step):
    """Return how many rows are recorded before a step: every k-th step is, and always the last."""
    last = experiment.n_steps
    return -(-min(step, last) // experiment.record_every) + (step > last)


@dataclass(frozen=True)
class Run:
    """A recorded run.

    ``run["alignment"]`` and so on are the recorded quantities, time axis first; see `quantities`.

    Attributes
    ----------
    experiment : Experiment
    steps : ndarray of int, shape (T,)
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,)
        At the last checkpoint; for a complete run, the last recorded step.
    dictionary : ndarray of shape (d1, d)
    directory : Path or None
    """

    experiment: Experiment
    arrays: dict
    weights: np.ndarray
    biases: np.ndarray
    dictionary: np.ndarray
    directory: Path | None = None

    @property
    def steps(self):
        return self.arrays["step"]

    def __getitem__(self, name):
        if name not in self.arrays:
            raise InvalidInput("run quantity", name, "one of " + ", ".join(self.arrays))
        return self.arrays[name]

    def __len__(self):
        return len(self.steps)


def _empty(quantities, n):
    """Arrays for n rows of some quantities."""
    return {name: np.empty((n, *shape), dtype) for name, (shape, dtype) in quantities.items()}


class MemoryRecorder:
    """Keeps a trajectory in memory."""

    def __init__(self, experiment):
        n = rows_before(experiment, experiment.n_steps + 1)
        self._arrays = _empty(quantities(experiment), n)
        self._rows = 0

    def append(self, row):
        """Record one row, a dictionary with an entry for every quantity."""
        for name, array in self._arrays.items():
            array[self._rows] = row[name]
        self._rows += 1

    def arrays(self):
        """Return what was recorded so far."""
        return {name: array[: self._rows] for name, array in self._arrays.items()}


def open_rows(path, shape, dtype):
    """Map the rows of a trajectory file, which another process may be writing.

    Returns
    -------
    ndarray of shape (T, *shape), read-only

    Raises
    ------
    RunDirectoryError
        If the file is missing, damaged, or holds rows of another shape or type.
    """
    try:
        array = npy_format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise RunDirectoryError(f"{path}: is missing") from None
    except Exception as error:  # numpy's parser meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({_one_line(error)})") from None
    if array.ndim == 0 or array.shape[1:] != shape or array.dtype != dtype:
        raise RunDirectoryError(
            f"{path}: holds an array of shape {array.shape} and type {array.dtype}, "
            f"the experiment in config.json has rows of shape {shape} and type {dtype}"
        )
    return array


def _one_line(error):
    return " ".join(str(error).split())[:120]


class _GrowingArray:
    """An .npy file whose first axis grows.

    The header counts rows after they are in place, so that another process can open the file with
    ``np.load(..., mmap_mode="r")`` at any time and sees whole rows only. What lies behind the
    rows that it counts, a torn row or rows to be made again, is overwritten in time; the file is
    never made shorter, for a reader may have it mapped.
    """

    def __init__(self, path, shape, dtype, rows=0):
        self._shape, self._dtype, self.rows = shape, dtype, rows
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)
        self.count()

    def _header(self, rows):
        # The version 1.0 header, padded so that its length does not depend on the number of rows.
        entries = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False}
        text = repr({**entries, "shape": (rows, *self._shape)}).ljust(HEADER_BYTES - 11) + "\n"
        return npy_format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode("latin1")

    def extend(self, block):
        """Append rows, a contiguous array of the file's type."""
        self._file.seek(HEADER_BYTES + self.rows * _bytes(self._shape, self._dtype))
        _write_all(self._file, memoryview(block).cast("B"))
        self.rows += len(block)

    def count(self):
        """Let readers see the rows appended so far."""
        self._file.seek(0)
        _write_all(self._file, self._header(self.rows))

    def sync(self):
        os.fsync(self._file.fileno())

    def close(self):
        self._file.close()


def _write_all(file, data):
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def _require_rows(folder, experiment, rows):
    """Check, before any file is touched, that each holds the rows that a checkpoint counts on."""
    for name, (shape, dtype) in quantities(experiment).items():
        path = folder / f"{name}.npy"
        found = open_rows(path, shape, dtype)
        if len(found) < rows:
            raise RunDirectoryError(f"{path}: has {len(found)} rows, its checkpoint {rows}")
        if found.offset != HEADER_BYTES:
            raise RunDirectoryError(f"{path}: was not written by featlearn")


class DirectoryRecorder:
    """Writes a trajectory to a run directory as it comes.

    Large rows, those of the alignments as a rule, are written at once. The others are gathered for a
    quarter of a second at most, and no more of them than a hundred kilobytes, or one; when they are
    written, readers get to see all.

    Parameters
    ----------
    directory : path
    experiment : Experiment
    rows : int
        Rows of an earlier part of the run to keep; whatever follows them is dropped.
    """

    def __init__(self, directory, experiment, rows=0):
        self._directory = Path(directory)
        folder = self._directory / "trajectory"
        folder.mkdir(exist_ok=True)
        if rows:
            _require_rows(folder, experiment, rows)
        self._files = {
            name: _GrowingArray(folder / f"{name}.npy", shape, dtype, rows)
            for name, (shape, dtype) in quantities(experiment).items()
        }
        small = {
            name: each
            for name, each in quantities(experiment).items()
            if _bytes(*each) < LARGE_BYTES
        }
        self._room = max(FLUSH_BYTES // row_bytes(small), 1)
        self._gathered, self._rows = _empty(small, self._room), 0
        self._flushed = time.monotonic()

    def append(self, row):
        """Record one row, a dictionary with an entry for every quantity."""
        for name, file in self._files.items():
            if name in self._gathered:
                self._gathered[name][self._rows] = row[name]
            else:
                file.extend(np.ascontiguousarray(row[name])[None])
        self._rows += 1
        if self._rows == self._room or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self):
        """Write what was gathered."""
        if self._rows:
            for name, gathered in self._gathered.items():
                self._files[name].extend(gathered[: self._rows])
            for file in self._files.values():
                file.count()
        self._rows, self._flushed = 0, time.monotonic()

    def sync(self):
        """Write what was gathered, and return only when it is on the disk."""
        self.flush()
        for file in self._files.values():
            file.sync()

    def close(self):
        """Close the files; what was not flushed is lost."""
        for file in self._files.values():
            file.close()
