"""The run directory: what another process, another day or another person finds of a run.

    config.json              the experiment, what is recorded, versions and thread count
    trajectory/<name>.npy    one array a quantity, time axis first
    parts.npz                arrays of the model or another part of the user's own, if there is one
    checkpoint.npz           the state from which the run can go on, and checksums of the rows before it
    checkpoints/<step>.npz   states that it passed through
    status.json              how far the run is, and whether it runs, is complete, stopped, or broke
    lock                     held, by the operating system, while a process writes here

Small files are written aside and renamed into place, so that a reader or a crash never meets half
of one. Nothing in it is ever executed when it is read: JSON and plain arrays only.
"""

import contextlib
import os

from ..errors import InvalidInput, RunDirectoryError, WriteFailed
from ..parts import given_parts, held_arrays, require_same
from ..rules import as_path
from ..training import init
from . import checkpoint, lock
from .config import (
    change_experiment,
    earlier_lengths,
    first_step,
    read_config,
    read_own,
    read_start,
    recorded_quantities,
    steps_to_keep,
    warn_of_other_bits,
    write_config,
)
from .files import make_directory, reason, remove_unfinished, write_archive, write_json
from .load import PARTS_FILE, last_row, load_run, load_state, read_status, verify
from .quantities import QUANTITIES, built_in
from .record import with_functions
from .resources import check_disk, check_memory
from .trajectory import DirectoryRecorder

__all__ = ["RunDirectory", "last_row", "load_run", "load_state", "read_status", "verify"]


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
    keep_at : iterable of int
        Steps to keep the state at, beside those at which every run does.

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
        self,
        path,
        experiment=None,
        resume=False,
        record=(),
        own=None,
        begin=None,
        extend=None,
        keep_at=(),
    ):
        self.path = as_path("directory", path)
        self.resume, self.extend = resume, extend
        self.experiment = self._asked = experiment
        self.quantities = (*built_in(experiment), *record)
        self._record = record
        self.own, self._given = {}, own or {}
        self._begin = begin
        self.first = 0 if begin is None else begin.step
        self._asked_to_keep = self._keep_at = set(keep_at)
        self.recorder = self._lock = None

    def __enter__(self):
        with self._writing(RunDirectoryError):
            self.admit()
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock = lock.Lock(self.path)
            except BlockingIOError as error:
                more = f" ({error})" if error.errno is None else ""
                raise RunDirectoryError(
                    f"{self.path}: another process is writing this run{more}"
                ) from None
            try:
                # Another process may have come and gone between the first look and the lock.
                self.admit()
            except BaseException:
                self._lock.close()
                raise
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
            if type(reached) is not int:
                raise RunDirectoryError(f"{self.path}: status.json: its step is no whole number")
            if self.experiment.n_steps < reached:
                wanted = f"at least {reached}, the run's last step"
                raise InvalidInput("extend", self.extend, wanted)
            self.own = given_parts(found, **self._given)
            self.first = first_step(self.path)
            self._lengths = {*earlier_lengths(self.path), found.n_steps}
            self._keep_at = self._asked_to_keep | steps_to_keep(self.path)
            require_same(self.path, read_own(self.path), self.own, RunDirectoryError)
            recorded = recorded_quantities(self.path)
            self.quantities = with_functions(recorded, self._record, self.path)
        elif self.path.exists() and not _is_free(self.path):
            raise RunDirectoryError(
                f"{self.path}: exists and is not an empty directory; name a new one, or resume"
            )
        else:
            self.own = given_parts(self.experiment, **self._given)
        self._require_reached(self._asked_to_keep)
        check_memory(self.experiment)
        own = [q for q in self.quantities if q.name not in QUANTITIES]
        check_disk(self.experiment, self.path, own, len(self._keep_at))

    def _require_reached(self, steps):
        """Refuse steps that the run never comes to; those that a resumed run has passed were kept."""
        last = self.experiment.n_steps
        for step in sorted(steps):
            if not self.first <= step <= last:
                wanted = f"steps of the run, from {self.first} to {last}"
                raise InvalidInput("checkpoint_at", step, wanted)

    def __exit__(self, *exception):
        if self.recorder is not None:
            self.recorder.close()
        self._lock.close()

    def start(self):
        """Write what a new run starts with, or read where the old one stood; return the state."""
        path = self.path / checkpoint.FILE
        resumable = self.resume and os.path.lexists(path)
        counted = None
        if resumable:
            state, counted = checkpoint.read_checkpoint(
                path, self.experiment, None, self.own, self._lengths
            )
            warn_of_other_bits(self.path)
        elif self.resume and read_start(self.path):
            raise RunDirectoryError(
                f"{self.path}: was ended before the state it began from was written; begin it again"
            )
        else:
            state = self._begin or init(self.experiment, **self.own)
        self._to_keep = checkpoint.evenly_spread(self.experiment.n_steps) | self._keep_at
        self._stage = state.stage
        with self._writing(RunDirectoryError):
            remove_unfinished(self.path)
            if not self.resume:
                self._describe()
            elif self.extend is not None:
                # No longer complete, should this process end here.
                self.status("running", state)
                change_experiment(self.path, self.experiment)
            make_directory(self.path / checkpoint.KEPT)
            remove_unfinished(self.path / checkpoint.KEPT)
            self.recorder = DirectoryRecorder(
                self.path, self.experiment, state.step, self.quantities, counted, self.first
            )
            if not resumable:
                self.checkpoint(state)
            if self._begin is not None:
                self._keep(state)
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
            write_archive(self.path / PARTS_FILE, arrays)
        write_config(
            self.path, self.experiment, self.quantities, self.own, self._begin, self._keep_at
        )

    def append(self, row):
        """Record one row of the trajectory."""
        try:
            self.recorder.append(row)
        except OSError as error:
            raise self._unwritable(WriteFailed, error) from None

    def checkpoint(self, state):
        """Put rows and state on the disk, in this order: a checkpoint never counts missing rows."""
        with self._writing():
            self.recorder.sync()
            counted = self.recorder.checksums()
            checkpoint.write_checkpoint(self.path / checkpoint.FILE, state, counted)

    def keep_if_due(self, state):
        """Keep a state that starts a stage, or whose step is one of those to keep."""
        if state.stage != self._stage or state.step in self._to_keep:
            self._keep(state)
        self._stage = state.stage

    def _keep(self, state):
        with self._writing():
            path = checkpoint.kept_path(self.path, state.step)
            checkpoint.write_checkpoint(path, state, sync=False)

    def status(self, word, state, **more):
        """Write status.json: "running", "complete", "interrupted", "stopped" or "failed"."""
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
            raise self._unwritable(kind, error) from None

    def _unwritable(self, kind, error):
        return kind(f"{self.path}: cannot be written ({reason(error)})")


def _is_free(path):
    """Whether a new run may start here.

    A process that is killed before the first checkpoint leaves files that say what was to be done, and
    trajectory files without a row that counts.
    """
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else ["no directory"]
    begun = "config.json", PARTS_FILE, "trajectory", checkpoint.KEPT
    return all(name in begun or lock.leaves_free(name) for name in names)
