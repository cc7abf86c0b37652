"""The run directory: what another process, another day or another person finds of a run.

    config.json              the experiment, with versions and thread count
    trajectory/<name>.npy    one array a quantity, time axis first
    checkpoint.npz           weights and biases, from which the run can go on
    parts.npz                arrays of the model or another part of the user's own, where there is one
    status.json              how far the run is, and whether it runs, is complete, or broke
    lock                     held, by the operating system, while a process writes here

Small files are written aside and renamed into place, so that a reader or a crash never meets half
of one. Nothing in it is ever executed when it is read: JSON and plain arrays only.
"""

import contextlib
import fcntl
import io
import os
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import InvalidInput, RunDirectoryError, WriteFailed
from ..parts import given_parts, held_arrays, require_same
from ..training import init, make_model
from .checkpoint import read_arrays, read_checkpoint, write_checkpoint
from .config import (
    change_experiment,
    read_config,
    read_own,
    read_start,
    recorded_quantities,
    warn_of_other_bits,
    write_config,
)
from .files import read_json, write_aside, write_json
from .quantities import QUANTITIES, built_in
from .record import with_functions
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
    record : sequence of Quantity
        What to record beside the built-in quantities.
    own : dict of str to object, optional
        The parts of the user's own, by role.
    begin : TrainingState, optional
        Where a new run begins; at step 0 without.
    extend : int, optional
        The total number of steps that a resumed run is to have.

    Attributes
    ----------
    quantities : tuple of Quantity
        What is recorded; that of the run that is resumed.
    own : dict of str to object
    first : int
        The step at which the run began.

    Raises
    ------
    RunDirectoryError
        If the directory cannot be written, holds another run, or another process writes to it.
    """

    def __init__(
        self, path, experiment=None, resume=False, record=(), own=None, begin=None, extend=None
    ):
        self.path = Path(path)
        self.resume, self.extend = resume, extend
        self.experiment = self._asked = experiment
        self.quantities = (*built_in(experiment), *record)
        self._record = record
        self.own, self._given = {}, own or {}
        self._begin = begin
        self.first = 0 if begin is None else begin.step
        self.recorder = self._lock = None

    def __enter__(self):
        try:
            self.admit()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / "lock", "a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have come and gone between the first look and the lock.
            self.admit()
        except BlockingIOError:
            self._lock.close()
            raise RunDirectoryError(f"{self.path}: another process is writing this run") from None
        except OSError as error:
            raise RunDirectoryError(f"{self.path}: cannot be written ({error.strerror})") from None
        return self

    def admit(self):
        """Check, without touching anything, that this run may be written here."""
        if self.resume:
            found = self.experiment = read_config(self.path)
            if self.extend is not None:
                self.experiment = found.replace(n_steps=self.extend)
            if self._asked not in (None, found, self.experiment):
                raise RunDirectoryError(f"{self.path}: holds a run of another experiment")
            reached = read_status(self.path).get("step", 0)
            if self.experiment.n_steps < reached:
                wanted = f"at least {reached}, the run's last step"
                raise InvalidInput("extend", self.extend, wanted)
            self.own = given_parts(found, **self._given)
            self.first = (read_start(self.path) or {"step": 0})["step"]
            require_same(self.path, read_own(self.path), self.own, RunDirectoryError)
            recorded = recorded_quantities(self.path)
            self.quantities = with_functions(recorded, self._record, self.path)
        elif self.path.exists() and not _is_free(self.path):
            raise RunDirectoryError(
                f"{self.path}: exists and is not an empty directory; name a new one, or resume"
            )
        else:
            self.own = given_parts(self.experiment, **self._given)
        check_memory(self.experiment)
        own = [q for q in self.quantities if q.name not in QUANTITIES]
        check_disk(self.experiment, self.path, own)

    def __exit__(self, *exception):
        if self.recorder is not None:
            self.recorder.close()
        self._lock.close()

    def start(self):
        """Write what a new run starts with, or read where the old one stood; return the state."""
        resumable = self.resume and (self.path / "checkpoint.npz").exists()
        if resumable:
            state = read_checkpoint(self.path, self.experiment, self.own)
            warn_of_other_bits(self.path)
        elif self.resume and read_start(self.path):
            raise RunDirectoryError(
                f"{self.path}: was ended before the state it began from was written; begin it again"
            )
        else:
            state = self._begin or init(self.experiment, **self.own)
        with self._writing(RunDirectoryError):
            if not self.resume:
                self._describe()
            elif self.extend is not None:
                change_experiment(self.path, self.experiment)
            self.recorder = DirectoryRecorder(
                self.path, self.experiment, state.step, self.quantities, first=self.first
            )
            if not resumable:
                self.checkpoint(state)
            self.status("running", state)
        return state

    def _describe(self):
        """Write what stays as it is: the arrays of the user's own parts, and config.json last."""
        if self.own:
            arrays = {
                f"{role}.{name}": array
                for role, part in self.own.items()
                for name, array in held_arrays(part).items()
            }
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            write_aside(self.path / "parts.npz", buffer.getvalue())
        write_config(self.path, self.experiment, self.quantities, self.own, self._begin)

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
    left_over = {"lock", "config.json.new", "parts.npz", "parts.npz.new"}
    return path.is_dir() and all(entry.name in left_over for entry in path.iterdir())


def read_status(directory):
    """Return the content of status.json, or an empty dictionary before it is written."""
    path = Path(directory) / "status.json"
    return read_json(path) if os.path.exists(path) else {}


def load_run(directory: str | PathLike, model: object = None) -> Run:
    """Load a run directory, of a run that is complete, was stopped, or is still going.

    Nothing that it names is imported or executed.

    Parameters
    ----------
    directory : path
    model : object, optional
        The model of the user's own that the run was trained on, which is held against the digest
        that it recorded. Without it the `model` of such a run is None.

    Returns
    -------
    Run
        Its trajectory is mapped from the files, not read into memory.

    Raises
    ------
    RunDirectoryError
        Naming the file that is missing, damaged, or does not fit the experiment; or if the model
        is not the one that the run was trained on.

    Examples
    --------
    >>> import tempfile
    >>> exp = featlearn.preset("tiny").replace(n_steps=5)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = featlearn.train(exp, place)
    ...     run = featlearn.load_run(place)
    ...     print(len(run), run["loss"].shape)
    6 (6,)
    """
    directory = Path(directory)
    experiment = read_config(directory)
    own = read_own(directory)
    given = given_parts(experiment, model=model)
    if given:
        recorded = {role: value for role, value in own.items() if role == "model"}
        require_same(directory, recorded, given, RunDirectoryError)
    arrays = _open_trajectory(directory, experiment)
    checkpoint = read_arrays(directory, experiment)
    model = given.get("model")
    if "model" not in own:
        model = make_model(experiment)
    return Run(
        experiment,
        arrays,
        checkpoint["weights"],
        checkpoint["biases"],
        model.dictionary if model is not None else _own_dictionary(directory, experiment),
        directory,
        model,
        own,
        read_start(directory),
        recorded_quantities(directory),
    )


def _own_dictionary(directory, experiment):
    path = directory / "parts.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            dictionary = file["model.dictionary"]
    except Exception as error:  # zipfile meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({type(error).__name__})") from None
    if dictionary.shape != (experiment.n_inputs, experiment.n_features):
        raise RunDirectoryError(f"{path}: holds a dictionary of shape {dictionary.shape}")
    return dictionary


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
    first = (read_start(directory) or {"step": 0})["step"]
    due = {
        q.name: sum(q.is_due(experiment, t, first) for t in steps.tolist())
        for q in recorded
        if q.every > 1
    }
    return {name: array[: due.get(name, rows)] for name, array in arrays.items()}
