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
import fcntl
import os
import platform
import warnings
from pathlib import Path

import numpy as np

from ..compute.threads import thread_count
from ..errors import InvalidInput, RunDirectoryError, WriteFailed
from ..experiment import Experiment
from ..training import init
from .checkpoint import read_checkpoint, write_checkpoint
from .files import read_json, write_json
from .resources import check_disk, check_memory
from .trajectory import DirectoryRecorder, Run, open_rows, quantities, rows_before

FORMAT_VERSION = 1


class RunDirectory:
    """A run directory open for writing; a context manager that holds its lock.

    Parameters
    ----------
    path : path
        A new or empty directory, or with `resume` one that holds an unfinished run.
    experiment : Experiment or None
        None takes the experiment of the run that is resumed.
    resume : bool

    Raises
    ------
    RunDirectoryError
        If the directory cannot be written, holds another run, or another process writes to it.
    """

    def __init__(self, path, experiment=None, resume=False):
        self.path = Path(path)
        self.resume = resume
        self.experiment = experiment
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
            _warn_of_other_bits(self.path)
        else:
            state = init(self.experiment)
        with self._writing(RunDirectoryError):
            if not self.resume:
                write_json(self.path / "config.json", _config(self.experiment))
            rows = rows_before(self.experiment, state.step)
            self.recorder = DirectoryRecorder(self.path, self.experiment, rows)
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


def versions():
    """Return the versions that the bits of a run may depend on."""
    import scipy

    from .. import __version__

    return {
        "featlearn": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _config(experiment):
    return {
        "format": FORMAT_VERSION,
        "experiment": experiment.to_dict(),
        "versions": versions(),
        "blas_threads": thread_count(),
    }


def _warn_of_other_bits(directory):
    """Say so where the rest of a run may differ from the same run without a stop."""
    config = read_json(directory / "config.json")
    now = {**versions(), "BLAS threads": thread_count()}
    then = {**(config.get("versions") or {}), "BLAS threads": config.get("blas_threads")}
    changed = [
        f"{name} {then.get(name)}, now {now[name]}" for name in now if now[name] != then.get(name)
    ]
    if changed:
        warnings.warn(
            f"{directory}: was started with {'; '.join(changed)}: the resumed run may differ in"
            " its last digits from one without a stop",
            stacklevel=2,
        )


def read_config(directory):
    """Return the `Experiment` of a run directory."""
    path = Path(directory) / "config.json"
    if not os.path.exists(path):
        raise RunDirectoryError(f"{directory}: is not a run directory, config.json is missing")
    config = read_json(path)
    if config.get("format") != FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path}: format {config.get('format')!r}, this version reads {FORMAT_VERSION}"
        )
    try:
        return Experiment.from_dict(config.get("experiment"))
    except InvalidInput as error:
        raise RunDirectoryError(f"{path}: {error}") from None


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
    arrays = {
        name: open_rows(directory / "trajectory" / f"{name}.npy", shape, dtype)
        for name, (shape, dtype) in quantities(experiment).items()
    }
    # While a run is going, a file may be a few rows ahead of another.
    rows = min(map(len, arrays.values()))
    return {name: array[:rows] for name, array in arrays.items()}
