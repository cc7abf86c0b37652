"""The checkpoint of a run: the state that it goes on from, with a checksum."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from ..errors import InvalidInput, RunDirectoryError
from ..experiment import Experiment
from ..training import TrainingState, make_model
from .files import write_aside

# Marks the arrays of the objective's own.
_OWN = "objective "


def _digest(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _text(experiment):
    """The experiment as an array, so that a checkpoint knows which one it belongs to."""
    return np.frombuffer(json.dumps(experiment.to_dict(), sort_keys=True).encode(), np.uint8)


def _belongs(text, experiment):
    """Whether a checkpoint is of that experiment, or of one that is longer or shorter."""
    try:
        found = Experiment.from_dict(json.loads(bytes(text)))
    except (TypeError, ValueError, InvalidInput):
        return False
    return found.replace(n_steps=experiment.n_steps) == experiment


def write_checkpoint(directory, state):
    """Write checkpoint.npz; the previous one stays until the new one is whole."""
    arrays = {
        "step": np.int64(state.step),
        "stage": np.int64(state.stage),
        "initial_norm": np.float64(state.initial_norm),
        "weights": state.weights,
        "biases": state.biases,
        "weight_norms": state.weight_norms,
        "float64_factorisations": np.int64(state.float64_factorisations),
        "experiment": _text(state.experiment),
        **{_OWN + name: array for name, array in state.parameters.items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, checksum=_digest(arrays))
    write_aside(Path(directory) / "checkpoint.npz", buffer.getvalue())


def read_checkpoint(directory, experiment, own=None):
    """Return the `TrainingState` of a run directory's checkpoint.

    Parameters
    ----------
    directory : path
    experiment : Experiment
    own : dict of str to object, optional
        The parts of the user's own that the run goes on with.
    """
    own = own or {}
    arrays = read_arrays(directory, experiment)
    return TrainingState(
        experiment,
        own.get("model") or make_model(experiment),
        step=int(arrays["step"]),
        stage=int(arrays["stage"]),
        initial_norm=float(arrays["initial_norm"]),
        float64_factorisations=int(arrays.get("float64_factorisations", 0)),
        own=own,
        parameters={
            name.removeprefix(_OWN): array
            for name, array in arrays.items()
            if name.startswith(_OWN)
        },
        **{name: arrays[name] for name in ("weights", "biases", "weight_norms")},
    )


def read_arrays(directory, experiment):
    """Return what a run directory's checkpoint holds, a dictionary of arrays."""
    path = Path(directory) / "checkpoint.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        checksum = arrays.pop("checksum")
    except FileNotFoundError:
        raise RunDirectoryError(f"{path}: is missing") from None
    except Exception as error:  # zipfile meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({type(error).__name__})") from None
    if not np.array_equal(checksum, _digest(arrays)):
        raise RunDirectoryError(f"{path}: is damaged (its checksum does not match)")
    if not _belongs(arrays.get("experiment"), experiment):
        raise RunDirectoryError(f"{path}: belongs to another experiment than config.json describes")
    return arrays
