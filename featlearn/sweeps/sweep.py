"""A sweep: many experiments over any executor, a row each.

    results.csv        all rows in one table, for a spreadsheet or `featlearn.sweeps.results.load_results`
    rows/<run>.json    the row of one run: its experiment, status, error and measures
    runs/<run>/        its run directory, unless trajectories are off

A run is known by its whole experiment: its name ends in a hash of that. So the same sweep again
computes nothing that is complete, resumes what is not, and adds only what is new.
"""

import contextlib
import hashlib
import json
import math
import queue
import threading
import time
from collections.abc import Iterable

from .. import by_name
from ..compute.workers import OwnWorkers
from ..errors import FeatlearnError, InvalidInput, RunDirectoryError, TrainingDiverged
from ..experiment import Experiment, as_written
from ..presets import preset
from ..recording.files import (
    make_directory,
    read_json,
    reason,
    remove_unfinished,
    write_aside,
    write_json,
)
from ..recording.lock import Lock
from ..rules import as_path, integer, require
from ..theory.claims.observed import Observed
from ..together import runs_at_once, train_together
from ..values import read_table
from .grid import grid  # noqa: F401 (found here by scripts)
from .measures import joined, measures, own_verdicts, verdicts
from .options import loaded_options, named_options
from .results import results_table

# How often a run is handed to the executor again after its worker died.
ATTEMPTS = 3
# Runs in flight at a time on an executor whose size is not known.
IN_FLIGHT = 64
# How often the table is written while a sweep goes on.
TABLE_SECONDS = 5.0
# How often a waiting sweep looks for an interrupt that did not wake it.
WAKE_SECONDS = 0.5


def load_grid(path):
    """Read a grid from a TOML file.

    Its table ``[grid]`` holds a list of values for each swept field; the optional table ``[base]``
    holds the other fields, and may name a ``preset`` to start from. For a table ``[link]``
    see `load_links`.

    Returns
    -------
    base : Experiment
    axes : dict of str to list
    """
    tables = read_table(path, "grid file")
    wanted = "the tables [grid] and, optionally, [base] and [link]"
    if not set(tables) <= {"grid", "base", "link"} or "grid" not in tables:
        raise InvalidInput(f"grid file {path}", ", ".join(tables), wanted)
    if not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidInput("grid file", str(path), wanted)
    fields = dict(tables.get("base", {}))
    try:
        base = preset(fields.pop("preset")) if "preset" in fields else Experiment()
        base = base.replace(**{name: as_written(name, value) for name, value in fields.items()})
    except InvalidInput as error:
        raise error.within(path) from None
    axes = tables["grid"]
    for name, values in axes.items():
        if isinstance(values, list):
            axes[name] = [as_written(name, value) for value in values]
    return base, axes


def load_links(path):
    """Return the table ``[link]`` of a grid's TOML file, a formula for each field that it links."""
    return read_table(path, "grid file").get("link", {})


def sweep(
    experiments,
    directory,
    executor=None,
    *,
    workers=None,
    trajectories=True,
    check=True,
    progress=None,
    claims=(),
    **options,
):
    """Train every experiment that has no complete row yet, and write the table.

    Parameters
    ----------
    experiments : Experiment, or iterable of them
    directory : path
        Of the sweep; rows of earlier calls are kept and stay in its table.
    executor : object, optional
        Anything with ``submit(function, *arguments)`` that returns futures with ``result()``; nothing
        else is asked of it. By default as many processes as `workers`, one BLAS thread each.
    workers : int, optional
        Workers busy at a time: the processors, or 64 where an executor is given. Where there are more runs
        of small networks than that, each trains several seeds together.
    trajectories : bool
        Record each run in a run directory, which needs a path that the workers share. Without, a
        worker keeps its run in memory and returns the row alone; what is interrupted starts anew.
    check : bool
        Put the verdicts on the theory's claims into the rows, see `measures.verdicts`.
    progress : callable, optional
        Called with the counts (done, failed, left) at the start and after every run.
    claims : sequence of function or str
        Claims of your own, marked by `featlearn.claim`; a column each.
    **options
        What `train` takes as record, until, model, augmentation, schedule and objective. Workers
        receive names: of functions and classes that they can import, or "FILE.py:NAME". A run
        that `until` stops is complete.

    Returns
    -------
    list of dict
        The row of every experiment, in their order. "status" is "complete", "diverged", which is
        final too, or "failed", which the next call tries again.

    Raises
    ------
    RunDirectoryError
        If the directory cannot be written, or another sweep is writing it.
    KeyboardInterrupt
        With the rows that were finished kept.
    """
    given = list(experiments) if isinstance(experiments, Iterable) else [experiments]
    for each in given:
        if not isinstance(each, Experiment):
            raise InvalidInput("experiments", each, "experiments, as grid returns them")
    experiments = list(dict.fromkeys(given))
    if workers is not None:
        workers = require("workers", workers, integer(1))
    try:
        place = as_path("directory", directory).resolve()
    except OSError as error:  # the working directory is gone
        raise RunDirectoryError(f"{directory}: cannot be written ({error.strerror})") from None
    lock = _open(place)
    try:
        several = isinstance(claims, Iterable) and not isinstance(claims, str)
        claims = claims if several or claims is None else [claims]
        named = {"claims": [by_name.name_of("claims", claim) for claim in claims]} if claims else {}
        told = named_options(options)
        names = _names(experiments, place, told)
        kept = _read_rows(place)
        todo = [
            name
            for name in names
            if not _is_final(kept.get(name), place, trajectories, named.get("claims", []))
        ]
        book = _Book(place, names, kept, len(todo), progress)
        points = [(name, names[name].to_dict()) for name in todo]
        folder = str(place / "runs") if trajectories else None
        slots = workers or (OwnWorkers.default() if executor is None else IN_FLIGHT)
        groups = list(_groups(points, folder, slots, "objective" in told))
        slots, arguments = min(slots, len(groups)), (check, told | named)
        try:
            if executor is None:
                with OwnWorkers(slots) as own:
                    _collect(groups, arguments, own.executors, book)
            else:
                _collect(groups, arguments, [executor] * slots, book)
        finally:
            book.write_table()
    except OSError as error:
        raise RunDirectoryError(f"{place}: cannot be written ({reason(error)})") from None
    finally:
        lock.close()
    return [book.rows[name] for name in names]


def _open(place):
    """Make the directory and return its lock, held until it is closed."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        make_directory(place / "rows")
        lock = Lock(place)
        remove_unfinished(place / "rows")
        return lock
    except BlockingIOError as error:
        more = f" ({error})" if error.errno is None else ""
        raise RunDirectoryError(f"{place}: another sweep is writing here{more}") from None
    except OSError as error:
        raise RunDirectoryError(f"{place}: cannot be written ({reason(error)})") from None


def run_name(experiment, varied, told=None):
    """Return a name: the varied fields to read, and a hash of the whole experiment to be known by.

    What workers are told beside the experiment, if anything, is hashed with it.
    """
    fields = experiment.to_dict()
    text = json.dumps(experiment.identity() | ({"told": told} if told else {}), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    shown = [
        f"{name}={value:.6g}" if isinstance(value := fields[name], float) else f"{name}={value}"
        for name in varied
    ]
    return "-".join(["-".join(shown)[:120] or "run", digest])


def _names(experiments, place, told):
    """Return {name: experiment}; a run keeps the name it had in an earlier, smaller sweep."""
    tables = [experiment.to_dict() for experiment in experiments]
    varied = [name for name in tables[0] if len({t[name] for t in tables}) > 1] if tables else []
    old = {path.stem.rpartition("-")[2]: path.stem for path in (place / "rows").glob("*.json")}
    if (place / "runs").is_dir():
        old |= {p.name.rpartition("-")[2]: p.name for p in (place / "runs").iterdir()}
    names = {}
    for experiment in experiments:
        name = run_name(experiment, varied, told)
        names[old.get(name.rpartition("-")[2], name)] = experiment
    return names


def _read_rows(place):
    return {path.stem: _read_row(path) for path in sorted((place / "rows").glob("*.json"))}


def _read_row(path):
    row = read_json(path)
    try:
        whole = row["run"] == path.stem and isinstance(row["error"], str)
        whole = whole and row["status"] in ("complete", "diverged", "failed")
        row["measures"] = {
            # What is not finite is stored as a word; a whole number stays one, for the table's text.
            name: value if type(value) in (int, float) else float(value)
            for name, value in row["measures"].items()
        }
        Experiment.from_dict(row["experiment"])
    except (AttributeError, FeatlearnError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise RunDirectoryError(f"{path}: is no row of a sweep; without it the run is made again")
    return row


def _is_final(row, place, trajectories, claims):
    if row is None or row["status"] not in ("complete", "diverged"):
        return False
    if row["status"] == "complete" and not set(claims) <= set(row.get("claims", ())):
        return False
    return not trajectories or (place / "runs" / row["run"]).is_dir()


def run_points(points, check, options=None):
    """Train experiments that differ in their seed only, where a worker is asked to.

    Parameters
    ----------
    points : list of (dict, str or None)
        Fields of each experiment, and its run directory, resumed where one is there; None keeps the
        runs in memory.
    check : bool
        Whether verdicts are among the measures.
    options : dict, optional
        The names that `named_options` returns, and those of "claims".

    Returns
    -------
    list of dict
        What each row needs: "status", "error" and "measures". Whatever goes wrong in a run is in it,
        so that an exception tells of the executor alone.
    """
    fields, directories = zip(*points)
    try:
        options = dict(options or {})
        claims = options.pop("claims", [])
        experiments = [Experiment.from_dict(each) for each in fields]
        places = None if directories[0] is None else directories
        runs = train_together(experiments, places, **loaded_options(options))
    except Exception as error:
        runs, claims = [error] * len(points), []
    return [_outcome(run, check, claims) for run in runs]


def _outcome(run, check, claims):
    """What the row of a run needs; of one that did not end, of the exception in its place."""
    try:
        if isinstance(run, Exception):
            raise run
        observed = Observed(run)
        own = [by_name.load("claims", name) for name in claims]
        judged = verdicts(observed) if check else {}
        found = joined(measures(observed), judged, own_verdicts(observed, own))
        return {"status": "complete", "error": "", "measures": found, "claims": claims}
    except TrainingDiverged as error:
        return {"status": "diverged", "error": str(error), "measures": {}}
    except Exception as error:
        return {"status": "failed", "error": f"{type(error).__name__}: {error}", "measures": {}}


def _groups(points, folder, workers, own_objective):
    """Return points in groups that one worker trains together, so many that no worker is idle."""
    alike = {}
    for name, fields in points:
        key = json.dumps({**fields, "seed": None}, sort_keys=True)
        alike.setdefault(key, []).append((name, (fields, folder and f"{folder}/{name}")))
    share = math.ceil(len(points) / workers)
    for group in alike.values():
        experiment = Experiment.from_dict(group[0][1][0])
        at_once = 1 if own_objective else min(runs_at_once(experiment), share)
        for start in range(0, len(group), at_once):
            yield group[start : start + at_once]


def _collect(groups, arguments, executors, book):
    """Keep one group in flight for every element of `executors`; record its runs as it comes back.

    A thread waits for each group in flight, since `result` is all that a future need have. Rows are
    recorded in the calling thread, where an interrupt arrives too.
    """
    tasks, results = iter(groups), queue.SimpleQueue()
    lock, stop = threading.Lock(), threading.Event()

    def work(executor):
        while not stop.is_set():
            with lock:
                group = next(tasks, None)
            if group is None:
                return
            names, points = zip(*group)
            for name, outcome in zip(names, _outcomes(executor, lock, stop, points, arguments)):
                if outcome is not None:
                    results.put((name, outcome))

    threads = [threading.Thread(target=work, args=(e,), daemon=True) for e in executors]
    for thread in threads:
        thread.start()
    try:
        for _ in range(sum(map(len, groups))):
            book.record(*_next(results))
    finally:
        stop.set()
        while not results.empty():
            book.record(*results.get())


def _next(results):
    """Wait for a result, or for an interrupt.

    One that arrives on the way into the wait, or in another thread, does not end the wait: hence
    short ones.
    """
    while True:
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=WAKE_SECONDS)


def _outcomes(executor, lock, stop, points, arguments):
    """Train a group; return the outcome of each of its runs, None where it was stopped.

    Where its worker is lost the runs are tried again, each alone: one of them may be the reason.
    """
    if len(points) > 1:
        found, _ = _attempt(executor, lock, points, arguments)
        if found is not None:
            return found
    return [_retried(executor, lock, stop, point, arguments) for point in points]


def _retried(executor, lock, stop, point, arguments):
    """Train one run, again where its worker is lost."""
    for _ in range(ATTEMPTS):
        if stop.is_set():
            return None
        found, error = _attempt(executor, lock, [point], arguments)
        if found is not None:
            return found[0]
    lost = f"its worker was lost {ATTEMPTS} times: {type(error).__name__}: {error}"
    return None if stop.is_set() else {"status": "failed", "error": lost, "measures": {}}


def _attempt(executor, lock, points, arguments):
    """Submit runs; return their outcomes, or None and what became of their worker."""
    try:
        with lock:
            future = executor.submit(run_points, list(points), *arguments)
        return future.result(), None
    except BaseException as error:
        return None, error


class _Book:
    """The rows of a sweep, on the disk as they come."""

    def __init__(self, place, names, rows, left, progress):
        self._place, self._names, self._progress = place, names, progress
        self.rows = rows
        self._failed, self._left = 0, left
        self._written = time.monotonic()
        self._tell()

    def record(self, name, outcome):
        """Write the row of one run."""
        row = {"run": name, "experiment": self._names[name].to_dict(), **outcome}
        # JSON has no word for what is not finite.
        found = {
            key: value if math.isfinite(value) else str(value)
            for key, value in row["measures"].items()
        }
        write_json(self._place / "rows" / f"{name}.json", {**row, "measures": found})
        self.rows[name] = row
        self._failed += row["status"] != "complete"
        self._left -= 1
        if time.monotonic() - self._written > TABLE_SECONDS:
            self.write_table()
        self._tell()

    def _tell(self):
        if self._progress is not None:
            done = len(self._names) - self._left - self._failed
            self._progress(done, self._failed, self._left)

    def write_table(self):
        """Write results.csv: the rows of this call in their order, then those of earlier ones."""
        order = dict.fromkeys([*self._names, *self.rows])
        rows = [self.rows[name] for name in order if name in self.rows]
        write_aside(self._place / "results.csv", results_table(rows).encode())
        self._written = time.monotonic()
