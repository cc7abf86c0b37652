"""What a user asks a run to record: functions of their own, and extras by name."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from ..digest import digest_of
from ..errors import InvalidInput, RunDirectoryError
from ..rules import integer, require
from .config import FILE_NAME
from .extras import EXTRAS
from .quantities import QUANTITIES, Quantity, as_recorded


@dataclass(frozen=True)
class Record:
    """A function to record, with how it is to be recorded.

    Attributes
    ----------
    function : callable
        f(state, batch, gradient) → a number or an array, whose shape and type stay as at its first
        row; nan is allowed. It reads only: what the next step starts from cannot be written into.
    samples : bool
        Whether it is given the samples behind the batch, ``batch.sample`` with its ``latents``,
        ``noise`` and ``masks``, which takes time and memory.
    every : int
        Recorded at those recorded steps that are multiples of this, and at the first and last one.
    doc : str
        What it is, in a line.
    """

    function: Callable
    samples: bool = False
    every: int = 1
    doc: str = ""

    def __post_init__(self):
        if not callable(self.function):
            raise InvalidInput("record", self.function, "a function f(state, batch, gradient)")
        object.__setattr__(self, "every", require("every", self.every, integer(1)))


def asked_quantities(record):
    """Return what `train` is asked to record beside the built-in quantities.

    Parameters
    ----------
    record : dict, str, sequence, or None
        {name: function or `Record`}, the name of an extra, or a sequence of such.

    Returns
    -------
    tuple of Quantity
        The shape of a user's own is None: it is that of its first row, see `measured_layouts`.

    Raises
    ------
    InvalidInput
        For a name that is taken, or is no name of a file.
    """
    if record is None:
        return ()
    if isinstance(record, (str, dict)) or not isinstance(record, Iterable):
        record = (record,)
    found = {}
    for each in record:
        if isinstance(each, str):
            if each not in EXTRAS:
                wanted = "one of " + ", ".join(EXTRAS) + ", or {name: function}"
                raise InvalidInput("record", each, wanted)
            each = {each: EXTRAS[each]}
        elif not isinstance(each, dict):
            raise InvalidInput("record", each, "{name: function}, or the name of an extra")
        for name, value in each.items():
            quantity = value if value is EXTRAS.get(name) else _own(name, value)
            if name in found:
                raise InvalidInput("record", name, "each name once")
            found[name] = quantity
    return tuple(found.values())


def _own(name, value):
    if name in QUANTITIES or name in EXTRAS:
        raise InvalidInput("record", name, "another name: a built-in quantity has this one")
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        raise InvalidInput("record", name, "a name of letters, digits, spaces, dots and dashes")
    record = value if isinstance(value, Record) else Record(value)
    # Of a partial function the one that it is of; its own text is that of its class.
    told = record.function.func if isinstance(record.function, partial) else record.function
    doc = record.doc or (told.__doc__ or "").strip().partition("\n")[0]
    digest = digest_of(record.function)
    return Quantity(
        name,
        doc,
        record.function,
        shape=None,
        dtype=None,
        every=record.every,
        samples=record.samples,
        digest=digest,
    )


def measured_layouts(quantities, state, batch, gradient):
    """Return quantities with shape and type, those of a user's own from their first row."""
    return tuple(
        dataclasses.replace(q, shape=value.shape, dtype=value.dtype)
        if q.shape is None and (value := _value(q, state, batch, gradient)) is not None
        else q
        for q in quantities
    )


def _value(quantity, state, batch, gradient):
    with state.held(gradient):
        value = as_recorded(quantity.name, quantity.function(state, batch, gradient))
    if value.dtype.kind not in "biufc":
        raise InvalidInput(f"record {quantity.name}", value, "a number or an array of numbers")
    return value


def with_functions(recorded, given, directory):
    """Return the recorded quantities of a run to be resumed, with the functions that are given.

    Raises
    ------
    RunDirectoryError
        If they are not those the run records.
    """
    functions = {q.name: q for q in given}
    names = {q.name for q in recorded}
    for q in given:
        if q.name not in names:
            raise RunDirectoryError(
                f"{directory}: the run does not record {q.name!r}: it cannot begin midway"
            )
    found = []
    for q in recorded:
        if q.function is None and q.name not in functions:
            raise RunDirectoryError(
                f"{directory}: the run records {q.name!r}: resume it with its function"
            )
        given_one = functions.get(q.name, q)
        if _differ(q.digest, given_one.digest) or given_one.every != q.every:
            raise RunDirectoryError(
                f"{directory}: the run records another function, or at other steps, as {q.name!r}"
            )
        found.append(dataclasses.replace(given_one, shape=q.shape, dtype=q.dtype))
    return tuple(found)


def _differ(one, other):
    """Whether two digests tell functions apart: those of compiled code hold in one Python only."""
    return one != other and one.partition(":")[0] == other.partition(":")[0]
