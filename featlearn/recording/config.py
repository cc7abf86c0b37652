"""The config.json of a run: its experiment, what it records, and what its bits depend on."""

import os
import platform
import re
import warnings
from pathlib import Path

import numpy as np

from ..compute.threads import thread_count
from ..errors import InvalidInput, RunDirectoryError
from ..experiment import Experiment
from ..parts import describe
from .extras import EXTRAS
from .files import read_json, write_json
from .quantities import QUANTITIES, Quantity

FORMAT_VERSION = 1
# What a run recorded whose config.json does not list it.
UNLISTED = ("step", "stage", "loss", "positive_probability", "alignment", "weight_norm",
            "dense_norm", "bias", "active_fraction")  # fmt: skip
FILE_NAME = re.compile(r"\w[\w .-]*")


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


def write_config(directory, experiment, quantities, own=None, start=None):
    """Write the config.json of a run.

    Parameters
    ----------
    directory : path
    experiment : Experiment
    quantities : sequence of Quantity
        What it records.
    own : dict of str to object, optional
        The parts of the user's own.
    start : TrainingState, optional
        What it begins from, if not step 0.
    """
    value = {
        "format": FORMAT_VERSION,
        "experiment": experiment.to_dict(),
        "recorded": {q.name: _entry(q, experiment) for q in quantities},
        "versions": versions(),
        "blas_threads": thread_count(),
    }
    if own:
        value["own"] = {role: describe(part) for role, part in own.items()}
    if start is not None:
        value["start"] = origin(start)
    write_json(Path(directory) / "config.json", value)


def change_experiment(directory, experiment):
    """Write into a config.json that the run is one of another experiment, a longer one."""
    path = Path(directory) / "config.json"
    write_json(path, {**read_json(path), "experiment": experiment.to_dict()})


def read_own(directory):
    """Return name and digest of each part of the user's own that a run was trained with."""
    return read_json(Path(directory) / "config.json").get("own", {})


def read_start(directory):
    """Return where a run began: None at step 0 of its own, otherwise what `origin` says."""
    return read_json(Path(directory) / "config.json").get("start")


def origin(state):
    """Return what a run says of the state it began from: its step, its run, the fields changed."""
    found = {"step": state.step, "run": None, "changed": {}}
    if state.recorded_in is not None:
        before, now = read_config(state.recorded_in).to_dict(), state.experiment.to_dict()
        found["run"] = str(state.recorded_in)
        found["changed"] = {n: [before[n], now[n]] for n in now if before[n] != now[n]}
    return found


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


def _entry(quantity, experiment):
    shape, dtype = quantity.layout(experiment)
    entry = {
        "shape": list(shape),
        "dtype": dtype.name,
        "every": quantity.every,
        "doc": quantity.doc,
    }
    return entry | ({"digest": quantity.digest} if quantity.digest else {})


def recorded_quantities(directory):
    """Return what a run records, a tuple of `Quantity`, from its config.json.

    The built-in ones and extras come with their functions, a user's own without.
    """
    path = Path(directory) / "config.json"
    entries = read_json(path).get("recorded", dict.fromkeys(UNLISTED))
    found = []
    try:
        for name, entry in entries.items():
            if known := QUANTITIES.get(name) or EXTRAS.get(name):
                found.append(known)
                continue
            shape, every, dtype = tuple(entry["shape"]), entry["every"], np.dtype(entry["dtype"])
            plain = dtype.kind in "biufc" and all(
                type(n) is int and n >= 0 for n in (*shape, every)
            )
            if not (plain and every and FILE_NAME.fullmatch(name)):
                raise ValueError
            doc, digest = str(entry.get("doc", "")), str(entry.get("digest", ""))
            found.append(Quantity(name, doc, None, shape, dtype, every, digest=digest))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RunDirectoryError(f"{path}: its table of recorded quantities is damaged") from None
    if missing := [name for name in UNLISTED if name not in entries]:
        raise RunDirectoryError(f"{path}: its recorded quantities lack {', '.join(missing)}")
    return tuple(found)


def warn_of_other_bits(directory):
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
