"""The run directory: what another process, another day or another person finds of a run.

    config.json              the experiment, with versions and thread count
    trajectory/<name>.npy    one array a quantity, time axis first
    checkpoint.npz           weights and biases, from which the run can go on
    status.json              how far the run is, and whether it runs, is complete, or broke
    lock                     held, by the operating system, while a process writes here

Small files are written aside and renamed into place, so that a reader or a crash never meets half
of one. Nothing in it is ever executed when it is read: JSON and plain arrays only.
"""

import contextlib
import dataclasses
import fcntl
import os
from pathlib import Path

from ..errors import RunDirectoryError, WriteFailed
from ..training import init
from .checkpoint import read_checkpoint, write_checkpoint
from .config import read_config, recorded_quantities, warn_of_other_bits, write_config
from .files import read_json, write_json
from .quantities import BUILT_IN
from .resources import check_disk, check_memory
from .rows import open_rows
from .trajectory import DirectoryRecorder, Run


class RunDirectory:
    """A run directory open for writing; a context manager that holds its lock.

    Parameters
    ----------
    path : path
        A new or empty directory, or with `resume` one that holds an unfinished run.
    experiment : Experiment or None
        None takes the experiment of the run that is resumed.
    resume : bool
    own : sequence of Quantity
        What to record beside the built-in quantities.

    Attributes
    ----------
    quantities : tuple of Quantity
        What is recorded; that of the run that is resumed.

    Raises
    ------
    RunDirectoryError
        If the directory cannot be written, holds another run, or another process writes to it.
    """

    def __init__(self, path, experiment=None, resume=False, own=()):
        self.path = Path(path)
        self.resume = resume
        self.experiment = experiment
        self.quantities = (*BUILT_IN, *own)
        self.recorder = self._lock = None

    def __enter__(self):
        try:
            self._admit()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / "lock", "a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have come and gone between the first look and the lock.
            self._admit()
        except BlockingIOError:
            self._lock.close()
            raise RunDirectoryError(f"{self.path}: another process is writing this run") from None
        except OSError as error:
            raise RunDirectoryError(f"{self.path}: cannot be written ({error.strerror})") from None
        return self

    def _admit(self):
        """Check, without touching anything, that this run may be written here."""
        if self.resume:
            found = read_config(self.path)
            if self.experiment not in (None, found):
                raise RunDirectoryError(f"{self.path}: holds a run of another experiment")
            self.experiment = found
            self.quantities = _with_functions(recorded_quantities(self.path), self.quantities)
        elif self.path.exists() and not _is_free(self.path):
            raise RunDirectoryError(
                f"{self.path}: exists and is not an empty directory; name a new one, or resume"
            )
        check_memory(self.experiment)
        check_disk(self.experiment, self.path)

    def __exit__(self, *exception):
        if self.recorder is not None:
            self.recorder.close()
        self._lock.close()

    def start(self):
        """Write what a new run starts with, or read where the old one stood; return the state."""
        resumable = self.resume and (self.path / "checkpoint.npz").exists()
        if resumable:
            state = read_checkpoint(self.path, self.experiment)
            warn_of_other_bits(self.path)
        else:
            state = init(self.experiment)
        with self._writing(RunDirectoryError):
            if not self.resume:
                write_config(self.path, self.experiment, self.quantities)
            self.recorder = DirectoryRecorder(
                self.path, self.experiment, state.step, self.quantities
            )
            if not resumable:
                self.checkpoint(state)
            self.status("running", state)
        return state

    def append(self, row):
        """Record one row of the trajectory."""
        with self._writing():
            self.recorder.append(row)

    def checkpoint(self, state):
        """Put rows and state on the disk, in this order: a checkpoint never counts missing rows."""
        with self._writing():
            self.recorder.sync()
            write_checkpoint(self.path, state)

    def status(self, word, state, **more):
        """Write status.json: "running", "complete", "interrupted" or "failed"."""
        value = {
            "status": word,
            "step": state.step,
            "n_steps": self.experiment.n_steps,
            "stage": state.stage,
            "process": os.getpid(),
            **more,
        }
        with self._writing():
            write_json(self.path / "status.json", value)

    @contextlib.contextmanager
    def _writing(self, kind=WriteFailed):
        try:
            yield
        except OSError as error:
            raise kind(f"{self.path}: cannot be written ({error.strerror})") from None


def _is_free(path):
    """Whether a new run may start here: a process killed at once leaves a lock file at most."""
    left_over = {"lock", "config.json.new"}
    return path.is_dir() and all(entry.name in left_over for entry in path.iterdir())


def _with_functions(recorded, given):
    """The recorded quantities of a run to be resumed, each with the function that is given for it."""
    functions = {q.name: q for q in given}
    for q in recorded:
        if q.name not in functions:
            raise RunDirectoryError(f"the run records {q.name!r}: resume it with its function")
    for q in given:
        if q not in BUILT_IN and q.name not in {r.name for r in recorded}:
            raise RunDirectoryError(f"the run does not record {q.name!r}: it cannot begin midway")
    return tuple(
        dataclasses.replace(functions[q.name], shape=q.shape, dtype=q.dtype, every=q.every)
        for q in recorded
    )


def read_status(directory):
    """Return the content of status.json, or an empty dictionary before it is written."""
    path = Path(directory) / "status.json"
    return read_json(path) if os.path.exists(path) else {}


def load_run(directory):
    """Load a run directory, of a run that is complete, was stopped, or is still going.

    Parameters
    ----------
    directory : path

    Returns
    -------
    Run
        Its trajectory is mapped from the files, not read into memory.

    Raises
    ------
    RunDirectoryError
        Naming the file that is missing, damaged, or does not fit the experiment.
    """
    directory = Path(directory)
    experiment = read_config(directory)
    arrays = _open_trajectory(directory, experiment)
    state = read_checkpoint(directory, experiment)
    return Run(
        experiment,
        arrays,
        state.weights,
        state.biases,
        state.model.dictionary,
        directory,
    )


def last_row(directory):
    """Return the last recorded row of a run, a dictionary, or None before there is one."""
    if not (Path(directory) / "status.json").exists():
        return None
    arrays = _open_trajectory(Path(directory), read_config(directory))
    return {name: array[-1] for name, array in arrays.items()} if len(arrays["step"]) else None


def _open_trajectory(directory, experiment):
    recorded = recorded_quantities(directory)
    arrays = {
        q.name: open_rows(directory / "trajectory" / f"{q.name}.npy", *q.layout(experiment))
        for q in recorded
    }
    # While a run is going, a file may be a few rows ahead of another.
    rows = min(len(arrays[q.name]) for q in recorded if q.every == 1)
    steps = arrays["step"][:rows]
    due = {
        q.name: sum(q.is_due(experiment, t) for t in steps.tolist())
        for q in recorded
        if q.every > 1
    }
    return {name: array[: due.get(name, rows)] for name, array in arrays.items()}
