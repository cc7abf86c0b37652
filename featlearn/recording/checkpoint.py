"""Checkpoints of a run: states that it can go on from, each a file with a checksum.

checkpoint.npz           the last one; it counts the rows of the trajectory, with their checksums
checkpoints/<step>.npz   those kept: at the start of stages II and III, at nine evenly spread
                         steps, and where one was asked for
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import FeatlearnError, RunDirectoryError
from ..experiment import Experiment
from ..objectives import OBJECTIVES
from ..state import TrainingState, make_model
from ..step_arrays import shape_of
from .files import read_archive, write_archive

FILE = "checkpoint.npz"
KEPT = "checkpoints"
# Into so many parts the kept steps split a run.
PARTS = 10
# More are kept at the start of stages II and III.
MOST_KEPT = PARTS - 1 + 2
_ARRAYS = ("weights", "biases", "weight_norms")
# Marks the arrays of the objective's own.
_OWN = "objective "


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes
    ----------
    state : TrainingState
    counted : dict of str to tuple of int, or None
        Of every quantity, how many rows were recorded before, and the CRC-32 of their bytes; None
        where the checkpoint counts none.
    """

    state: TrainingState
    counted: dict | None


def evenly_spread(n_steps):
    """Return the set of steps that split a run into ten equal parts, without 0 and the last."""
    return {round(k * n_steps / PARTS) for k in range(1, PARTS)} - {0, n_steps}


def kept_path(directory, step):
    """Return where the state at a step is kept."""
    return Path(directory) / KEPT / f"{step}.npz"


def kept_steps(directory):
    """Return the steps at which a run directory keeps the state, beside its last one, in order."""
    names = [path.stem for path in (Path(directory) / KEPT).glob("*.npz")]
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def state_bytes(experiment):
    """Return the bytes of a checkpoint of an experiment, but for the archive's own few kilobytes."""
    e = experiment
    own = OBJECTIVES[e.objective].parameter_axes(e).values()
    numbers = e.n_neurons * (e.n_columns + 2)
    numbers += sum(math.prod(shape_of(e, axes)) for axes in own)
    return numbers * np.dtype(e.dtype).itemsize + len(_text(e.to_dict()))


def _text(value):
    """A JSON value as an array."""
    return np.frombuffer(json.dumps(value, sort_keys=True).encode(), np.uint8)


def write_checkpoint(path, state, counted=None, sync=True):
    """Write a checkpoint; one that was there stays until the new one is whole.

    Parameters
    ----------
    path : path
    state : TrainingState
    counted : dict, optional
        See `Checkpoint`.
    sync : bool
        Return only when it is on the disk. Without, a power failure may leave a file that its
        checksum gives away.
    """
    arrays = {
        "step": np.int64(state.step),
        "stage": np.int64(state.stage),
        "initial_norm": np.float64(state.initial_norm),
        "float64_factorisations": np.int64(state.float64_factorisations),
        "experiment": _text(state.experiment.to_dict()),
        **{name: getattr(state, name) for name in _ARRAYS},
        **{_OWN + name: array for name, array in state.parameters.items()},
    }
    if counted is not None:
        arrays["counted"] = _text(counted)
    write_archive(path, arrays, sync)


def read_checkpoint(path, experiment, model=None, own=None, lengths=()):
    """Return the `Checkpoint` of an experiment's run that a file holds.

    Parameters
    ----------
    path : path
    experiment : Experiment
    model : SparseCodingModel, optional
        The one that the run is trained on; by default that of the experiment.
    own : dict of str to object, optional
        The parts of the user's own that the run goes on with.
    lengths : collection of int
        Numbers of steps that the run was to have when it was written, if not those it has now.

    Raises
    ------
    RunDirectoryError
        If the file is missing, damaged, of another experiment, or holds no state of this one.
    """
    own = own or {}
    model = model or own.get("model") or make_model(experiment)
    arrays, counted = read_arrays(path, experiment, np.shape(model.dictionary)[0], lengths)
    parameters = own_parameters(arrays)
    state = TrainingState(
        experiment,
        model,
        step=int(arrays["step"]),
        stage=int(arrays["stage"]),
        initial_norm=float(arrays["initial_norm"]),
        float64_factorisations=int(arrays.get("float64_factorisations", 0)),
        own=own,
        **{name: arrays[name] for name in _ARRAYS},
        parameters=parameters,
    )
    return Checkpoint(state, counted)


def own_parameters(arrays):
    """Return the arrays of the objective's own among those of a checkpoint, by name."""
    return {
        name.removeprefix(_OWN): array for name, array in arrays.items() if name.startswith(_OWN)
    }


def read_arrays(path, experiment, n_inputs, lengths=()):
    """Return the arrays of a checkpoint, by name, and its `counted`; raise as `read_checkpoint`."""
    arrays = read_archive(path)
    try:
        found = Experiment.from_dict(_parsed(arrays["experiment"]))
        counted = _checked_counts(_parsed(arrays["counted"])) if "counted" in arrays else None
    except (FeatlearnError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise RunDirectoryError(f"{path}: is damaged ({error})") from None
    if found.n_steps in lengths:
        found = found.replace(n_steps=experiment.n_steps)
    if found != experiment:
        raise RunDirectoryError(f"{path}: belongs to another experiment than config.json describes")
    if fault := _fault(arrays, experiment, n_inputs):
        raise RunDirectoryError(f"{path}: is damaged ({fault})")
    return arrays, counted


def _parsed(array):
    return json.loads(array.tobytes())


def _checked_counts(counted):
    pairs = {name: tuple(pair) for name, pair in dict(counted).items()}
    for pair in pairs.values():
        if len(pair) != 2 or not all(type(n) is int and n >= 0 for n in pair):
            raise ValueError("its counts of rows")
    return pairs


def _fault(arrays, experiment, n_inputs):
    """What is wrong with the arrays of a state, or None."""
    numbers = {
        "step": ("iu", 0, experiment.n_steps),
        "stage": ("iu", 1, 3),
        "initial_norm": ("f", 0, np.inf),
    }
    if "float64_factorisations" in arrays:
        numbers["float64_factorisations"] = ("iu", 0, np.inf)
    for name, (kinds, low, high) in numbers.items():
        value = arrays.get(name)
        if value is None or value.shape != () or value.dtype.kind not in kinds:
            return f"{name} is no number" if name in arrays else f"{name} is missing"
        if not low <= value <= high or not np.isfinite(value):
            return f"{name} {value} is not from {low} to {high}"
    m = experiment.n_neurons
    for name in _ARRAYS:
        shape, value = (m, n_inputs) if name == "weights" else (m,), arrays.get(name)
        if value is None:
            return f"{name} is missing"
        if value.shape != shape or value.dtype != experiment.dtype:
            return f"{name} is of shape {value.shape} and type {value.dtype}"
    for name, value in arrays.items():
        if name in _ARRAYS or name.startswith(_OWN):
            if value.dtype.kind != "f" or not np.isfinite(value).all():
                return f"{name} is not finite"
    return None
