"""The config.json of a run: its experiment, what it records, and what its bits depend on."""

import contextlib
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
        "processor": _processor(),
    }


def _processor():
    """The kind of processor, on which BLAS decides how it computes."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def made_with(directory):
    """Return a run's number of threads, and whether all else that its bits depend on is as now.

    Returns
    -------
    threads : int or None
        None where the run does not say.
    same : bool
    """
    config = read_json(Path(directory) / "config.json")
    threads = config.get("blas_threads")
    threads = threads if type(threads) is int and threads > 0 else None
    return threads, config.get("versions") == versions()


def write_config(directory, experiment, quantities, own=None, start=None, keep_at=()):
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
    keep_at : iterable of int
        Steps to keep the state at, beside those at which every run does.
    """
    value = {
        "format": FORMAT_VERSION,
        "experiment": experiment.to_dict(),
        "recorded": {q.name: _entry(q, experiment) for q in quantities},
        "checkpoint_at": sorted(keep_at),
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
    lengths = sorted({*earlier_lengths(directory), read_config(directory).n_steps})
    changes = {"experiment": experiment.to_dict(), "earlier_n_steps": lengths}
    write_json(path, {**read_json(path), **changes})


def earlier_lengths(directory):
    """Return the numbers of steps that a run was to have before it was made longer."""
    return _numbers(directory, "earlier_n_steps")


def read_own(directory):
    """Return name and digest of each part of the user's own that a run was trained with."""
    path = Path(directory) / "config.json"
    own = read_json(path).get("own", {})
    try:
        words = [part[word] for part in own.values() for word in ("name", "digest")]
        words += [part.get("label", "") for part in own.values()]
    except (AttributeError, KeyError, TypeError):
        words = [None]
    if not all(isinstance(word, str) for word in words):
        raise RunDirectoryError(f"{path}: its table of own parts is damaged")
    return own


def read_start(directory):
    """Return where a run began: None at step 0 of its own, otherwise what `origin` says."""
    path = Path(directory) / "config.json"
    start = read_json(path).get("start")
    if start is None:
        return None
    if not isinstance(start, dict) or type(start.get("step")) is not int or start["step"] < 0:
        raise RunDirectoryError(f"{path}: where it began is damaged")
    return start


def first_step(directory):
    """Return the step at which a run began."""
    return (read_start(directory) or {"step": 0})["step"]


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
    with contextlib.suppress(PermissionError):  # which reading it reports
        if not path.exists():
            raise RunDirectoryError(f"{directory}: is not a run directory, config.json is missing")
    config = read_json(path)
    if config.get("format") != FORMAT_VERSION:
        raise RunDirectoryError(
            f"{path}: format {config.get('format')!r}, this version reads {FORMAT_VERSION}"
        )
    if not isinstance(config.get("versions", {}), dict):
        raise RunDirectoryError(f"{path}: its versions are no table")
    try:
        return Experiment.from_dict(config.get("experiment"))
    except InvalidInput as error:
        raise RunDirectoryError(f"{path}: {error}") from None


def steps_to_keep(directory):
    """Return the steps at which a run was asked to keep its state."""
    return _numbers(directory, "checkpoint_at")


def _numbers(directory, name):
    path = Path(directory) / "config.json"
    numbers = read_json(path).get(name, [])
    if not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
        raise RunDirectoryError(f"{path}: {name} is no list of whole numbers")
    return set(numbers)


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
    then = {**config.get("versions", {}), "BLAS threads": config.get("blas_threads")}
    changed = [
        f"{name} {then.get(name)}, now {now[name]}" for name in now if now[name] != then.get(name)
    ]
    if changed:
        warnings.warn(
            f"{directory}: was started with {'; '.join(changed)}: the resumed run may differ in"
            " its last digits from one without a stop",
            stacklevel=2,
        )
