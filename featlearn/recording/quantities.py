"""The quantities that a run records: what each is, and the row that a step leaves of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..alignment import dense_norm as dense_norms
from ..errors import InvalidInput


@dataclass(frozen=True)
class Quantity:
    """What is recorded of a run at its recorded steps.

    The built-in ones also take several runs at once, along a first axis of their arrays.

    Attributes
    ----------
    name : str
        Of its file, and in ``run[name]``.
    doc : str
        What it is, in a line.
    function : callable
        f(state, batch, gradient) → its row: of a `TrainingState`, the `Batch` of its step, and the
        gradient on it. What it returns is copied at once.
    shape : tuple of int or str
        Of a row; a word is a field of the experiment.
    dtype : str or dtype
        "dtype" is the experiment's.
    every : int
        Recorded at those recorded steps that are multiples of this, and at the first and last one.
    samples : bool
        Whether the function needs ``batch.sample``.
    only : tuple
        A built-in one may be recorded only where some field has some value, (name, value).
    digest : str
        Of a user's own function, whose rows are held against shape and dtype.
    of_rows : callable or None
        f(experiment, rows) → its rows of many steps, of those of the other quantities, {name: array}.
    """

    name: str
    doc: str
    function: Callable
    shape: tuple = ()
    dtype: object = "float64"
    every: int = 1
    samples: bool = False
    only: tuple = ()
    digest: str = ""
    of_rows: Callable | None = None

    def row(self, state, batch, gradient):
        """Return the row of a state: what the function says, of the shape and type of the first row.

        Raises
        ------
        InvalidInput
            If a user's own function returns something else than at its first row.
        """
        if batch.sample is not None and not self.samples:
            batch = batch._replace(sample=None)
        if not self.digest:
            return self.function(state, batch, gradient)
        with state.held(gradient):
            value = as_recorded(self.name, self.function(state, batch, gradient))
        dtype = np.dtype(self.dtype)
        if value.shape != self.shape or not np.can_cast(value.dtype, dtype, "same_kind"):
            got, wanted = (
                f"{t} of shape {s}" for t, s in ((value.dtype, value.shape), (dtype, self.shape))
            )
            raise InvalidInput(f"record {self.name}", got, f"{wanted}, as at its first row")
        return value

    def layout(self, experiment):
        """Return shape and dtype of a row of an experiment's run."""
        shape = tuple(getattr(experiment, n) if isinstance(n, str) else n for n in self.shape)
        return shape, np.dtype(experiment.dtype if self.dtype == "dtype" else self.dtype)

    def row_bytes(self, experiment):
        """Return the bytes of a row."""
        return bytes_of(*self.layout(experiment))

    def is_due(self, experiment, step, first=0):
        """Whether a recorded step has a row of this quantity, in a run that began at `first`.

        Of an array of steps, an array.
        """
        return (step % self.every == 0) | (step == first) | (step == experiment.n_steps)

    def rows_before(self, experiment, step, first=0):
        """Return how many rows are recorded before a step, in a run that began at `first`."""
        last = experiment.n_steps
        every = math.lcm(experiment.record_every, self.every)
        if step <= first:
            return 0
        regular = -(-min(step, last) // every) - -(-first // every)
        return regular + (first % every > 0 and first < last) + (step > last)


def as_recorded(name, value):
    """Return what a user's own function says as an array; what a masked one hides would be recorded."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        array = None
    if array is None or np.ma.is_masked(value):
        raise InvalidInput(f"record {name}", value, "a number or an array of numbers, none masked")
    return array


# Those that runs record by themselves.
QUANTITIES = {}


def _recorded(dtype, *shape, **more):
    """Register a function as a quantity under its own name, its docstring being the line on it."""

    def register(function):
        name, doc = function.__name__, function.__doc__
        QUANTITIES[name] = Quantity(name, doc, function, shape, dtype, **more)
        return function

    return register


@_recorded("int64")
def step(state, batch, gradient):
    """number of updates made before the row"""
    return state.step


@_recorded("int8")
def stage(state, batch, gradient):
    """stage of the bias schedule, 1 to 3"""
    return state.stage


@_recorded("float64")
def loss(state, batch, gradient):
    """mean loss on the step's batch, before its update"""
    return gradient.loss


@_recorded("float64")
def positive_probability(state, batch, gradient):
    """mean over that batch of P_p0, the softmax probability of the positive; NaN without one"""
    found = gradient.positive_probability
    if found is None:
        return np.full(np.shape(gradient.loss), np.nan)[()]
    return found.mean(axis=-1, dtype=np.float64)


@_recorded("dtype", "n_neurons", "n_features")
def alignment(state, batch, gradient):
    """α_ij = ⟨w_i, M_j⟩"""
    return state.alignment


@_recorded("dtype", "n_neurons")
def weight_norm(state, batch, gradient):
    """‖w_i‖"""
    return state.weight_norms


def _dense_norms(experiment, rows):
    if experiment.n_features == experiment.n_inputs:
        return np.zeros_like(rows["weight_norm"])
    return dense_norms(rows["alignment"], rows["weight_norm"])


@_recorded("dtype", "n_neurons", of_rows=_dense_norms)
def dense_norm(state, batch, gradient):
    """‖β_i‖, norm of what of w_i is outside the span of M"""
    found = {"alignment": state.alignment, "weight_norm": state.weight_norms}
    return _dense_norms(state.experiment, found)


@_recorded("dtype", "n_neurons")
def bias(state, batch, gradient):
    """b_i"""
    return state.biases


@_recorded("dtype", "n_neurons")
def active_fraction(state, batch, gradient):
    """fraction of the anchors with |⟨w_i, x⁺⟩| ≥ b_i"""
    active = gradient.terms[0].activations.active
    # Bytes are added several times as fast as wider numbers, and hold 255.
    parts = (active[..., k : k + 255, :] for k in range(0, active.shape[-2], 255))
    counts = (np.einsum("...pi->...i", some.view(np.uint8)) for some in parts)
    return sum(n.astype(np.int32) for n in counts) / active.shape[-2]


@_recorded("int64", only=("dense", "gram"))
def float64_factorisations(state, batch, gradient):
    """how often float32 was not enough to factorise the Gram matrix of the dense parts"""
    return state.float64_factorisations


@_recorded("dtype", "resolved_n_tasks", "n_neurons", only=("objective", "supervised"))
def head(state, batch, gradient):
    """A, the linear head of supervised; NaN where the objective is the user's own"""
    return state.parameters.get("head", np.nan)


def built_in(experiment):
    """Return the built-in quantities that a run of an experiment records; all for None."""
    return tuple(
        q
        for q in QUANTITIES.values()
        if experiment is None or not q.only or getattr(experiment, q.only[0]) == q.only[1]
    )


class RowsOfSeveral:
    """The built-in quantities of several runs that are measured at once, at some recorded steps.

    Those that follow from others are made where they are asked for, of many steps at once.

    Parameters
    ----------
    experiment : Experiment
    measured : dict of str to array_like
        Of one step, the runs along a first axis.
    n_steps : int
        How many steps it holds at most.

    Attributes
    ----------
    names : tuple of str
        Of all quantities.
    """

    def __init__(self, experiment, measured, n_steps):
        found = {name: np.asarray(values) for name, values in measured.items()}
        self._experiment, self._n, self._n_steps = experiment, 0, n_steps
        self._n_runs = len(next(iter(found.values())))
        shape = self._n_runs, n_steps
        self._arrays = {name: np.empty(shape + a.shape[1:], a.dtype) for name, a in found.items()}
        self.names = tuple(q.name for q in built_in(experiment))

    def takes(self, n_runs):
        """Whether it holds another step of so many runs."""
        return self._n < self._n_steps and self._n_runs == n_runs

    def add(self, measured):
        """Copy what was measured at a step; return the row of each run, a list of `RowOfSeveral`."""
        for name, array in self._arrays.items():
            array[:, self._n] = measured[name]
        self._n += 1
        return [RowOfSeveral(self, self._n - 1, k) for k in range(self._n_runs)]

    def __call__(self, name, k, steps):
        """Return a quantity of run k at a step, or at those of a slice."""
        if name in self._arrays:
            return self._arrays[name][k, steps]
        rows = {other: array[k, steps] for other, array in self._arrays.items()}
        return QUANTITIES[name].of_rows(self._experiment, rows)


class RowOfSeveral(Mapping):
    """The row of run k at the n-th step of `RowsOfSeveral`, {name: value}."""

    __slots__ = ("k", "n", "rows")

    def __init__(self, rows, n, k):
        self.rows, self.n, self.k = rows, n, k

    def __getitem__(self, name):
        value = self.rows(name, self.k, self.n)
        return value.item() if isinstance(value, np.generic) else value

    def __contains__(self, name):
        return name in self.rows.names

    def __iter__(self):
        return iter(self.rows.names)

    def __len__(self):
        return len(self.rows.names)


def measure(state, batch, gradient, quantities=None, first=0, known=None):
    """Return the row of the trajectory that describes a state on its batch, {name: value}.

    What the state holds is not copied; what is known already is not measured again.
    """
    quantities = built_in(state.experiment) if quantities is None else quantities
    known = known or {}
    return {
        q.name: known[q.name] if q.name in known else q.row(state, batch, gradient)
        for q in quantities
        if q.every == 1 or q.is_due(state.experiment, state.step, first)
    }


def bytes_of(shape, dtype):
    """Return the bytes of an array."""
    return math.prod(shape) * dtype.itemsize
