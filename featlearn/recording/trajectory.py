"""The trajectory of a run: the rows of all its quantities, kept in memory or written to files."""

import itertools
import time
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from ..data import SparseCodingModel
from ..display import escape, html_table
from ..errors import InvalidInput
from ..experiment import Experiment
from ..parts import shown_name
from ..state import make_model
from .files import make_directory
from .quantities import QUANTITIES, RowOfSeveral, built_in
from .rows import FLUSH_BYTES, LARGE_BYTES, RowFile, checksum, require_rows

FLUSH_SECONDS = 1.0


def quantities(experiment):
    """Return what every run of an experiment records: name -> (shape, dtype) of one row.

    ``featlearn.recording.quantities.QUANTITIES`` says what each is.
    """
    return {q.name: q.layout(experiment) for q in built_in(experiment)}


def rows_before(experiment, step):
    """Return how many rows are recorded before a step: every k-th step is, and always the last."""
    return QUANTITIES["step"].rows_before(experiment, step)


@dataclass(frozen=True, eq=False)
class Run:
    """A recorded run.

    ``run["alignment"]`` and so on are the recorded quantities, time axis first; see `quantities`.

    Attributes
    ----------
    experiment : Experiment
    steps : ndarray of int, shape (T,)
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,)
        At the last checkpoint; for a complete run, the last recorded step.
    dictionary : ndarray of shape (d1, d)
    directory : Path or None
    model : SparseCodingModel or None
        What it was trained on; None where that was a model of the user's own, which a run directory
        holds the arrays of only.
    own : dict of str to dict
        Name and digest of each part of the user's own, by role: "model", "augmentation", "schedule"
        or "objective".
    start : dict or None
        Where it began, if not at step 0: "step", the "run" whose state that was, and the fields
        "changed" since.
    recorded : tuple of Quantity
        What was recorded; a user's own without functions where the run was loaded.
    counted : dict of str to int, or None
        Rows of every quantity that the last checkpoint counts; None for a run in memory.
    parameters : dict of str to ndarray
        Arrays of the objective's own, such as a head, with the weights.
    """

    experiment: Experiment
    arrays: dict
    weights: np.ndarray
    biases: np.ndarray
    dictionary: np.ndarray
    directory: Path | None = None
    model: SparseCodingModel | None = None
    own: dict = field(default_factory=dict)
    start: dict | None = None
    recorded: tuple = tuple(QUANTITIES.values())
    counted: dict | None = None
    parameters: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.model is None and "model" not in self.own:
            object.__setattr__(self, "model", make_model(self.experiment))

    def __repr__(self):
        exp = self.experiment
        words = [
            self.views,
            f"d={exp.n_features}",
            f"m={exp.n_neurons}",
            f"{len(self)} rows",
        ]
        if len(self):
            words.append("stage " + "I" * int(self["stage"][-1]))
        if self.directory is not None:
            words.append(str(self.directory))
        return f"Run({', '.join(words)})"

    def _repr_html_(self):
        rows = [
            [f"<code>{name}</code>", escape(array.shape), escape(array.dtype)]
            for name, array in self.arrays.items()
        ]
        return f"<p>{escape(self)}</p>\n" + html_table(["recorded", "shape", "type"], rows)

    def __contains__(self, name):
        return isinstance(name, str) and name in self.arrays

    def __iter__(self):
        return iter(self.arrays)

    def to_xarray(self) -> object:
        """Return the trajectory as an `xarray.Dataset` with named dimensions.

        Needs the extra: ``pip install "featlearn[xarray]"``.

        Raises
        ------
        InvalidInput
            If xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise InvalidInput(
                "xarray", None, 'the extra: pip install "featlearn[xarray]"'
            ) from None
        exp = self.experiment
        lengths = {"neuron": exp.n_neurons, "feature": exp.n_features}
        built_in = {"alignment": ("neuron", "feature")}
        found = {}
        for name, array in self.arrays.items():
            if name == "step":
                continue
            axes = built_in.get(name)
            if axes is None:
                one = array.shape[1:] == (lengths["neuron"],)
                axes = ("neuron",) if one else [f"{name}_{k}" for k in range(array.ndim - 1)]
            found[name] = (("step", *axes), array)
        return xarray.Dataset(found, {"step": self.steps})

    def at_checkpoint(self) -> "Run":
        """Return the run with the rows that its last checkpoint counts: those whose checksums it has.

        All of a complete run; of one that is going on or was killed, those before the weights.
        """
        if self.counted is None:
            return self
        return replace(self, arrays=self.arrays.first(self.counted))

    @property
    def steps(self) -> np.ndarray:
        return self.arrays["step"]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise InvalidInput("run quantity", name, "one of " + ", ".join(self.arrays))
        return self.arrays[name]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def asked(self) -> tuple:
        """The quantities recorded beside those of every run, a tuple of `Quantity`."""
        return tuple(q for q in self.recorded if q.name not in QUANTITIES)

    def steps_of(self, name: str) -> np.ndarray:
        """Return the steps at which a quantity was recorded, ndarray of int, shape (T,)."""
        rows = len(self[name])
        every = {q.name: q.every for q in self.recorded}.get(name, 1)
        if every == 1:
            return self.steps[:rows]
        first, last = self.steps[0], self.experiment.n_steps
        due = (self.steps % every == 0) | (self.steps == first) | (self.steps == last)
        return self.steps[due][:rows]

    @property
    def views(self) -> str:
        """What the augmentation that made its views is called, the user's own or the experiment's."""
        own = self.own.get("augmentation")
        return shown_name(own) if own else self.experiment.augmentation

    def require_model(self) -> object:
        """Return the model to draw samples of, or raise an InvalidInput that says what is missing."""
        if self.model is None:
            raise InvalidInput(
                "model", None, "the model it was trained on: load_run(directory, model=...)"
            )
        if missing := [n for n in ("sample", "n_features") if not hasattr(self.model, n)]:
            wanted = "one that has " + " and ".join(missing) + " too, to be measured"
            raise InvalidInput("model", type(self.model).__name__, wanted)
        return self.model


class MemoryRecorder:
    """Keeps a trajectory in memory.

    Parameters
    ----------
    experiment : Experiment
    quantities : sequence of Quantity, optional
    first : int
        The step at which the run begins.
    """

    def __init__(self, experiment, quantities=None, first=0):
        quantities = built_in(experiment) if quantities is None else quantities
        self.quantities, self.first = quantities, first
        self._arrays, self._rows = {}, dict.fromkeys((q.name for q in quantities), 0)
        for q in quantities:
            shape, dtype = q.layout(experiment)
            rows = q.rows_before(experiment, experiment.n_steps + 1, first)
            self._arrays[q.name] = np.empty((rows, *shape), dtype)

    def append(self, row):
        """Record one row, {name: value}."""
        for name, value in row.items():
            self._arrays[name][self._rows[name]] = value
            self._rows[name] += 1

    def arrays(self):
        """Return what was recorded so far."""
        return {name: array[: self._rows[name]] for name, array in self._arrays.items()}


class DirectoryRecorder:
    """Writes a trajectory to a run directory as it comes.

    Large rows, those of the alignments as a rule, are written at once. The others are gathered for a
    second at most, and no more of them than a quarter of a megabyte, or one; when they are written,
    readers get to see all.

    Parameters
    ----------
    directory : path
    experiment : Experiment
    step : int
        Rows that an earlier part of the run recorded before this step are kept; whatever follows
        them is dropped.
    quantities : sequence of Quantity, optional
    checksums : dict of str to (int, int)
        As `checksums` returned them when the earlier part ended; computed from the files where that
        had another number of rows.
    first : int
        The step at which the run begins.
    """

    def __init__(self, directory, experiment, step=0, quantities=None, checksums=None, first=0):
        quantities = built_in(experiment) if quantities is None else quantities
        folder = Path(directory) / "trajectory"
        make_directory(folder)
        plans = []
        # Before any file is touched, each must hold the rows that the checkpoint counts on.
        for q in quantities:
            path, rows = folder / f"{q.name}.npy", q.rows_before(experiment, step, first)
            layout = q.layout(experiment)
            counted, value = (checksums or {}).get(q.name, (0, 0))
            if rows:
                require_rows(path, *layout, rows)
            if counted != rows:
                value = checksum(path, *layout, rows)
            plans.append((q, path, *layout, rows, value))
        self._gathered = rows_gathered(quantities, experiment)
        self._files = {
            q.name: RowFile(*plan, gathered=0 if _is_large(q, experiment) else self._gathered)
            for q, *plan in plans
        }
        self._all_small = not any(_is_large(q, experiment) for q in quantities)
        self._rows, self._measured = 0, []
        self._flushed = time.monotonic()

    def append(self, row):
        """Record one row, {name: value}."""
        if self._all_small and isinstance(row, RowOfSeveral):
            # It stays as it is until it is written.
            self._measured.append(row)
        else:
            if self._measured:
                self._gather()
            for name, value in row.items():
                self._files[name].append(value)
        self._rows += 1
        if self._rows == self._gathered or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def _gather(self):
        """Write rows that were measured beside those of other runs, each quantity's at once."""
        for several, rows in itertools.groupby(self._measured, attrgetter("rows")):
            rows = list(rows)
            steps, k = slice(rows[0].n, rows[-1].n + 1), rows[0].k
            for name, file in self._files.items():
                file.extend(several(name, k, steps))
        self._measured = []

    def flush(self):
        """Write what was gathered."""
        if self._rows:
            self._gather()
            for file in self._files.values():
                file.flush()
            for file in self._files.values():
                file.count()
        self._rows, self._flushed = 0, time.monotonic()

    def sync(self):
        """Write what was gathered, and return only when it is on the disk."""
        self.flush()
        for file in self._files.values():
            file.sync()

    def checksums(self):
        """Return, of the rows written, {name: (how many, their CRC-32)}."""
        return {name: (file.rows, file.checksum) for name, file in self._files.items()}

    def close(self):
        """Close the files; what was not flushed is lost."""
        for file in self._files.values():
            file.close()


def rows_gathered(quantities, experiment):
    """Return how many rows are gathered at most, of those that are not written at once."""
    small = [q.row_bytes(experiment) for q in quantities if not _is_large(q, experiment)]
    return max(FLUSH_BYTES // max(sum(small), 1), 1)


def _is_large(quantity, experiment):
    return quantity.row_bytes(experiment) >= LARGE_BYTES
