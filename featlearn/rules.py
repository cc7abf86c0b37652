"""Rules for fields and arguments: what each may be, and how that is said.

A rule is a function that returns the value to keep, or None for one that is refused, and the words
for what is wanted.
"""

import math
from dataclasses import field, fields

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
        beyond = isinstance(value, (int, np.integer)) and value > high
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


def require_fields(checked_one):
    """Hold the fields of a frozen dataclass that `checked` describes against their rules."""
    for f in fields(checked_one):
        if "check" in f.metadata:
            rule = f.metadata["check"], f.metadata["wanted"]
            kept = require(f.name, getattr(checked_one, f.name), rule)
            object.__setattr__(checked_one, f.name, kept)
