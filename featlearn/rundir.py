"""The run directory: what another process, another day or another person finds of a run.

    config.json              the experiment, with versions and thread count
    trajectory/<name>.npy    one array a quantity, time axis first
    checkpoint.npz           weights and biases, from which the run can go on
    status.json              how far the run is, and whether it runs, is complete, or broke
    lock                     held, by the operating system, while a process writes here

Small files are written aside and renamed into place, so that a reader or a crash never meets half
of one. Nothing in it is ever executed when it is read: JSON and plain arrays only.
"""

import fcntl
import hashlib
import io
import json
import os
import platform
import zipfile
from pathlib import Path

import numpy as np

from .errors import InvalidInput, RunDirectoryError
from .experiment import Experiment
from .threads import thread_count
from .trajectory import DirectoryRecorder, Run, quantities, recorded_steps
from .training import TrainingState, init, make_model

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
        if self.resume:
            found = read_config(self.path)
            if self.experiment not in (None, found):
                raise RunDirectoryError(f"{self.path}: holds a run of another experiment")
            self.experiment = found
        elif self.path.exists() and not _is_free(self.path):
            raise RunDirectoryError(
                f"{self.path}: exists and is not an empty directory; name a new one, or resume"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / "lock", "a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RunDirectoryError(
                f"{self.path}: another process is writing this run"
            ) from None
        except OSError as error:
            raise RunDirectoryError(f"{self.path}: cannot be written ({error.strerror})") from None
        return self

    def __exit__(self, *exception):
        if self.recorder is not None:
            self.recorder.close()
        self._lock.close()

    def start(self):
        """Write what a new run starts with, or read where the old one stood; return the state."""
        if not self.resume:
            write_json(self.path / "config.json", _config(self.experiment))
        resumable = self.resume and (self.path / "checkpoint.npz").exists()
        if resumable:
            state = read_checkpoint(self.path, self.experiment)
        else:
            state = init(self.experiment)
        rows = int(np.searchsorted(recorded_steps(self.experiment), state.step))
        self.recorder = DirectoryRecorder(self.path, self.experiment, rows)
        if not resumable:
            self.checkpoint(state)
        return state

    def checkpoint(self, state):
        """Put rows and state on the disk, in this order: a checkpoint never counts missing rows."""
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
        write_json(self.path / "status.json", value)


def _is_free(path):
    """Whether a new run may start here: a process killed at once leaves a lock file at most."""
    left_over = {"lock", "config.json.new"}
    return path.is_dir() and all(entry.name in left_over for entry in path.iterdir())


def write_json(path, value):
    """Write a JSON file aside and rename it into place."""
    write_aside(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_aside(path, data):
    """Write bytes to a temporary file beside `path`, sync it, and rename it into place."""
    path = Path(path)
    aside = path.with_name(path.name + ".new")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def read_json(path):
    """Read a JSON object, or raise a RunDirectoryError that names the file."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise RunDirectoryError(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path}: holds no table")
    return value


def versions():
    """Return the versions that the bits of a run may depend on."""
    import scipy

    from . import __version__

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


def read_config(directory):
    """Return the `Experiment` of a run directory."""
    path = Path(directory) / "config.json"
    if not path.exists():
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
    return read_json(path) if path.exists() else {}


def _digest(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def write_checkpoint(directory, state):
    """Write checkpoint.npz; the previous one stays until the new one is whole."""
    arrays = {
        "step": np.int64(state.step),
        "stage": np.int64(state.stage),
        "initial_norm": np.float64(state.initial_norm),
        "weights": state.weights,
        "biases": state.biases,
        "weight_norms": state.weight_norms,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, checksum=_digest(arrays))
    write_aside(Path(directory) / "checkpoint.npz", buffer.getvalue())


def read_checkpoint(directory, experiment):
    """Return the `TrainingState` of a run directory's checkpoint."""
    path = Path(directory) / "checkpoint.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise RunDirectoryError(f"{path}: is missing") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunDirectoryError(f"{path}: is damaged ({error})") from None
    checksum = arrays.pop("checksum", None)
    if checksum is None or not np.array_equal(checksum, _digest(arrays)):
        raise RunDirectoryError(f"{path}: is damaged (its checksum does not match)")
    m, d1, dtype = experiment.n_neurons, experiment.n_inputs, np.dtype(experiment.dtype)
    wanted = {"weights": (m, d1), "biases": (m,), "weight_norms": (m,)}
    for name, shape in wanted.items():
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != dtype:
            raise RunDirectoryError(f"{path}: {name} does not fit the experiment in config.json")
    return TrainingState(
        experiment,
        make_model(experiment),
        step=int(arrays["step"]),
        stage=int(arrays["stage"]),
        initial_norm=float(arrays["initial_norm"]),
        **{name: arrays[name] for name in wanted},
    )


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
    arrays = {}
    for name, (shape, dtype) in quantities(experiment).items():
        path = directory / "trajectory" / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise RunDirectoryError(f"{path}: is missing") from None
        except (OSError, ValueError, EOFError) as error:
            raise RunDirectoryError(f"{path}: is damaged ({error})") from None
        if array.shape[1:] != shape or array.dtype != dtype:
            raise RunDirectoryError(
                f"{path}: rows of shape {array.shape[1:]} and type {array.dtype}, "
                f"the experiment in config.json has {shape} and {dtype}"
            )
        arrays[name] = array
    # While a run is going, a file may be a few rows ahead of another.
    rows = min(map(len, arrays.values()))
    state = read_checkpoint(directory, experiment)
    return Run(
        experiment,
        {name: array[:rows] for name, array in arrays.items()},
        state.weights,
        state.biases,
        state.model.dictionary,
        directory,
    )
