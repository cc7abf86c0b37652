"""Rules for fields and arguments: what each may be, and how that is said.

A rule is a function that returns the value to keep, or None for one that is refused, and the words
for what is wanted.
"""

import math
from dataclasses import field, fields
from os import PathLike
from pathlib import Path

import numpy as np

from .errors import InvalidInput
from .values import did_you_mean

# What a 32-bit integer holds: no array is longer along one axis.
MOST = 2**31 - 1


def integer(low, high=MOST, optional=None):
    """A rule for whole numbers; `optional` says what None stands for."""

    def check(value):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            return None
        return int(value) if low <= value <= high else None

    def wanted(value):
        # That there is an end is of interest to whoever is beyond it.
        beyond = isinstance(value, (int, float, np.number)) and value > high
        words = f"a whole number ≥ {low}" + (f" and ≤ {high}" if beyond or high != MOST else "")
        return f"{words}, or none {optional}" if optional else words

    if optional:
        return (lambda value: "none" if value is None else check(value)), wanted
    return check, wanted


def number(low, high=math.inf, open_low=False, open_high=False, optional=None):
    """A rule for finite numbers; `optional` says what None stands for."""

    def check(value):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            return None
        try:
            value = float(value)
        except OverflowError:  # a whole number beyond any float
            return None
        above = value > low if open_low else value >= low
        below = value < high if open_high else value <= high
        return value if above and below and math.isfinite(value) else None

    wanted = f"a finite number {'>' if open_low else '≥'} {low}"
    if high != math.inf:
        wanted += f" and {'<' if open_high else '≤'} {high}"
    if optional:
        wanted += f", or none {optional}"
        return (lambda value: "none" if value is None else check(value)), wanted
    return check, wanted


def choice(names):
    """A rule for one of some names; those of a dictionary may become more."""

    def wanted(value):
        return "one of " + ", ".join(names) + did_you_mean(value, names)

    return (lambda value: value if isinstance(value, str) and value in names else None), wanted


def flag():
    """A rule for true or false."""
    return (lambda value: value if isinstance(value, bool) else None), "true or false"


def in_batch_or_integer():
    """A rule for where negatives come from."""
    check, wanted = integer(1)
    return (
        lambda value: value if isinstance(value, str) and value == "in_batch" else check(value)
    ), lambda value: f'"in_batch" or {wanted(value)}'


def checked(default, rule, doc, later=False):
    """Describe a field; one that was added later leaves the identity of older runs alone."""
    check, wanted = rule
    metadata = {"check": check, "wanted": wanted, "doc": doc, "later": later}
    return field(default=default, metadata=metadata)


def require(name, value, rule):
    """Return a value as a rule keeps it, or raise an InvalidInput that says what is wanted."""
    check, wanted = rule
    kept = check(value)
    if kept is None:
        raise InvalidInput(name, value, wanted(value) if callable(wanted) else wanted)
    return None if value is None else kept


def as_numbers(name, value):
    """Return what a user gives as an array of real numbers, or raise an InvalidInput.

    What a masked array hides would count.
    """
    try:
        array = np.asarray(value)
        if array.dtype == object and value is not None:  # None alone would be nan
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.asarray("no numbers")
    if array.dtype.kind not in "fiub" or np.ma.is_masked(value):
        raise InvalidInput(name, value, "numbers, all of them real and none masked")
    return array


def as_array(role, method, array, shape=None, dtype=None):
    """Return what a part's method returned as an array of the shape and type that a step has there.

    Without a shape or a type it keeps its own.

    Raises
    ------
    InvalidInput
        For another shape, or what is no array of numbers.
    """
    try:
        found = as_numbers(role, array)
    except InvalidInput:
        kind = getattr(array, "dtype", type(array).__name__)
        kind = f"masked {kind}" if np.ma.is_masked(array) else kind
        wanted = "a number" if shape == () else "real numbers" + f" of shape {shape}" * bool(shape)
        raise InvalidInput(role, f"{kind} from {method}", wanted) from None
    if shape is not None and found.shape != shape:
        raise InvalidInput(role, f"shape {found.shape} from {method}", f"shape {shape}")
    return found if dtype is None else found.astype(dtype, copy=False)


def as_path(name, value):
    """Return what a user gives as a Path, or raise an InvalidInput."""
    if not isinstance(value, (str, PathLike)) or "\0" in str(value):
        raise InvalidInput(name, value, "a path")
    return Path(value)


def require_generator(rng):
    """Refuse what draws no random numbers: a seed would draw the same ones at every call."""
    if not isinstance(rng, np.random.Generator):
        raise InvalidInput(
            "rng", rng, "a numpy.random.Generator, as numpy.random.default_rng(seed)"
        )


def as_number(name, value):
    """Return what a user gives as a float, which may be nan, or raise an InvalidInput."""
    array = as_numbers(name, value)
    if array.ndim:
        raise InvalidInput(name, f"shape {array.shape}", "one number")
    return float(array)


def repeats(shape, over):
    """Whether an array of one shape is one of another shape by repetition."""
    try:
        return np.broadcast_shapes(shape, over) == over
    except ValueError:
        return False


def require_fields(checked_one):
    """Hold the fields of a frozen dataclass that `checked` describes against their rules."""
    for f in fields(checked_one):
        if "check" in f.metadata:
            rule = f.metadata["check"], f.metadata["wanted"]
            kept = require(f.name, getattr(checked_one, f.name), rule)
            object.__setattr__(checked_one, f.name, kept)
