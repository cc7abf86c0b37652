"""Reading a run directory: the run, a state that it passed through, and whether its files are whole."""

import dataclasses
import os
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import InvalidInput, RunDirectoryError
from ..parts import given_parts, require_same
from ..rules import as_path, integer, require
from ..state import TrainingState, make_model
from . import checkpoint
from .config import (
    earlier_lengths,
    first_step,
    read_config,
    read_own,
    read_start,
    recorded_quantities,
)
from .files import read_archive, read_json
from .quantities import QUANTITIES
from .rows import MappedRows, checksum, open_rows
from .trajectory import Run

# The arrays of a model or another part of the user's own.
PARTS_FILE = "parts.npz"


def read_status(directory):
    """Return the content of status.json, or an empty dictionary before it is written."""
    path = Path(directory) / "status.json"
    return read_json(path) if os.path.lexists(path) else {}


def load_run(directory: str | PathLike, model: object = None, *, verify: bool = False) -> Run:
    """Load a run directory, of a run that is complete, was stopped, or is still going.

    Nothing that it names is imported or executed.

    Parameters
    ----------
    directory : path
    model : object, optional
        The model of the user's own that the run was trained on, which is held against the digest
        that it recorded. Without it the `model` of such a run is None.
    verify : bool
        Hold every file against its checksum, and show only the rows that the last checkpoint counts,
        which these cover.

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
    directory = as_path("directory", directory)
    # Read first: what is complete now stays so while the rest is read.
    complete = read_status(directory).get("status") == "complete"
    experiment = read_config(directory)
    own = read_own(directory)
    given = given_parts(experiment, model=model)
    if given:
        recorded = {role: value for role, value in own.items() if role == "model"}
        require_same(directory, recorded, given, RunDirectoryError)
    arrays = _open_trajectory(directory, experiment)
    dictionary, model = _trained_on(directory, experiment, own, given)
    path = directory / checkpoint.FILE
    state, counted = checkpoint.read_arrays(
        path, experiment, len(dictionary), earlier_lengths(directory)
    )
    if complete:
        _require_all(directory, experiment, len(arrays["step"]), int(state["step"]))
    if counted is None:
        counted = _rows_before(directory, experiment, int(state["step"]))
    run = Run(
        experiment,
        arrays,
        state["weights"],
        state["biases"],
        dictionary,
        directory,
        model,
        own,
        read_start(directory),
        recorded_quantities(directory),
        {name: rows for name, (rows, _) in counted.items()},
        parameters=checkpoint.own_parameters(state),
    )
    if not verify:
        return run
    _require_whole(directory)
    return run.at_checkpoint()


def load_state(directory: str | PathLike, step: int | None = None, **own: object) -> TrainingState:
    """Load a state that a run passed through, as `train` keeps some.

    Parameters
    ----------
    directory : path
    step : int, optional
        One of those kept; by default the last checkpoint.
    **own : object
        The parts of the user's own that the run was trained with, by role, as `train` takes them.

    Returns
    -------
    TrainingState

    Raises
    ------
    InvalidInput
        If no state was kept at that step; it names the steps that were.
    RunDirectoryError
        Naming the file that is missing or damaged.

    Examples
    --------
    >>> import tempfile
    >>> exp = featlearn.preset("tiny").replace(n_steps=20)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = featlearn.train(exp, place, checkpoint_at=[3])
    ...     print(featlearn.load_state(place, step=3).weights.shape)
    (32, 256)
    """
    step = None if step is None else require("step", step, integer(0))
    directory = as_path("directory", directory)
    experiment = read_config(directory)
    own = given_parts(experiment, **own)
    require_same(directory, read_own(directory), own, RunDirectoryError)
    path, lengths = directory / checkpoint.FILE, earlier_lengths(directory)
    state = checkpoint.read_checkpoint(path, experiment, None, own, lengths).state
    if step not in (None, state.step):
        kept = checkpoint.kept_steps(directory)
        if step not in kept:
            steps = ", ".join(map(str, sorted({*kept, state.step})))
            raise InvalidInput("step", step, f"one of those kept: {steps}")
        path = checkpoint.kept_path(directory, step)
        state = checkpoint.read_checkpoint(path, experiment, state.model, own, lengths).state
        if state.step != step:
            raise RunDirectoryError(f"{path}: holds the state at step {state.step}")
    return dataclasses.replace(state, recorded_in=directory)


def load_weights(directory, step):
    """Return the weights (m, d1) and biases (m,) of a state that was kept, whatever parts made it."""
    experiment, own = read_config(directory), read_own(directory)
    n_inputs = len(_trained_on(Path(directory), experiment, own, {})[0])
    path = checkpoint.kept_path(directory, step)
    arrays, _ = checkpoint.read_arrays(path, experiment, n_inputs, earlier_lengths(directory))
    return arrays["weights"], arrays["biases"]


def verify(directory):
    """Hold the files of a run against their checksums.

    Those of the trajectory are judged by the rows that the last checkpoint counts; what a run has
    recorded since, or a killed one did, is not.

    Parameters
    ----------
    directory : path

    Returns
    -------
    dict of str to (str or None)
        Of every file that has a checksum, by its path in the directory: what is wrong with it, in a
        line, or None. A run recorded before trajectories had checksums has none for those.

    Raises
    ------
    RunDirectoryError
        If config.json or checkpoint.npz cannot be read or is damaged.
    """
    directory = as_path("directory", directory)
    experiment = read_config(directory)
    n_inputs = len(_trained_on(directory, experiment, read_own(directory), {})[0])
    expected = experiment, n_inputs, earlier_lengths(directory)
    _, counted = checkpoint.read_arrays(directory / checkpoint.FILE, *expected)
    found = {}
    for q in recorded_quantities(directory) if counted is not None else ():
        name = f"trajectory/{q.name}.npy"
        found[name] = _fault_of_rows(directory / name, q.layout(experiment), counted.get(q.name))
    for step in checkpoint.kept_steps(directory):
        path = checkpoint.kept_path(directory, step)
        found[f"{checkpoint.KEPT}/{step}.npz"] = _fault_of_state(path, step, *expected)
    if read_own(directory):
        found[PARTS_FILE] = _fault_of_parts(directory / PARTS_FILE)
    return found


def _fault_of_rows(path, layout, counted):
    if counted is None:
        return f"{path}: is not counted by the checkpoint"
    rows, expected = counted
    try:
        there = len(open_rows(path, *layout))
        if there < rows:
            return f"{path}: has {there} rows, its checkpoint counts {rows}"
        if checksum(path, *layout, rows) != expected:
            return f"{path}: is damaged (its checksum does not match)"
    except RunDirectoryError as error:
        return str(error)
    return None


def _fault_of_state(path, step, *expected):
    try:
        arrays, _ = checkpoint.read_arrays(path, *expected)
    except RunDirectoryError as error:
        return str(error)
    return None if arrays["step"] == step else f"{path}: holds the state at step {arrays['step']}"


def _fault_of_parts(path):
    try:
        read_archive(path, old=True)
    except RunDirectoryError as error:
        return str(error)
    return None


def _require_whole(directory):
    faults = [fault for fault in verify(directory).values() if fault]
    if faults:
        raise RunDirectoryError("; ".join(faults))


def last_row(directory):
    """Return the last recorded row of a run, a dictionary, or None before there is one."""
    if not read_status(directory):
        return None
    arrays = _open_trajectory(Path(directory), read_config(directory))
    return {name: array[-1] for name, array in arrays.items()} if len(arrays["step"]) else None


def _open_trajectory(directory, experiment):
    recorded = recorded_quantities(directory)
    paths = {q.name: directory / "trajectory" / f"{q.name}.npy" for q in recorded}
    layouts = {q.name: q.layout(experiment) for q in recorded}
    rows = {name: len(open_rows(path, *layouts[name])) for name, path in paths.items()}
    # While a run is going, a file may be a few rows ahead of another.
    shown = min(rows[q.name] for q in recorded if q.every == 1)
    steps = open_rows(paths["step"], *layouts["step"])[:shown]
    first = first_step(directory)
    due = {q.name: int(np.count_nonzero(q.is_due(experiment, steps, first))) for q in recorded}
    return MappedRows(paths, layouts, {name: min(rows[name], due[name]) for name in rows})


def _trained_on(directory, experiment, own, given):
    """The dictionary of the model that a run was trained on, and the model where it is at hand."""
    if "model" not in own:
        model = make_model(experiment)
        return model.dictionary, model
    if "model" in given:
        return np.asarray(given["model"].dictionary), given["model"]
    path = directory / PARTS_FILE
    dictionary = read_archive(path, old=True).get("model.dictionary")
    if dictionary is None:
        raise RunDirectoryError(f"{path}: holds no dictionary")
    if dictionary.shape != (experiment.n_inputs, experiment.n_features):
        raise RunDirectoryError(f"{path}: holds a dictionary of shape {dictionary.shape}")
    return dictionary, None


def _rows_before(directory, experiment, step):
    """What a checkpoint counts that was written before checkpoints did."""
    step, first = step + (step == experiment.n_steps), first_step(directory)
    quantities = recorded_quantities(directory)
    return {q.name: (q.rows_before(experiment, step, first), None) for q in quantities}


def _require_all(directory, experiment, rows, step):
    """A run that says it is complete must be."""
    wanted = QUANTITIES["step"].rows_before(
        experiment, experiment.n_steps + 1, first_step(directory)
    )
    if (step, rows) != (experiment.n_steps, wanted):
        raise RunDirectoryError(
            f"{directory}: is not complete as its status.json says: its checkpoint is at step {step}"
            f" of {experiment.n_steps}, {rows} of {wanted} rows are there"
        )
