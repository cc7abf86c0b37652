"""What a sweep tells its workers beside the experiments: names, never code."""

from collections.abc import Iterable

from .. import by_name
from ..errors import InvalidInput
from ..parts import METHODS
from ..recording.record import Record

ENDS = ("stage 2", "stage 3")


def named_options(options):
    """Return options of `train` as names that a worker finds, plain values that JSON can hold.

    Parameters
    ----------
    options : dict
        "record", "until", "model", "augmentation", "schedule" and "objective", as `train` takes
        them, with functions and classes that can be imported, or their names.

    Raises
    ------
    InvalidInput
        For an option that a sweep does not take, or something without a name of its own.
    """
    named = {}
    for option, value in options.items():
        if value is None:
            continue
        if option == "record":
            named[option] = _named_record(value)
        elif option == "until" and value in ENDS:
            named[option] = value
        elif option == "until" or option in METHODS:
            named[option] = by_name.name_of(option, value)
        else:
            wanted = "one of record, until, " + ", ".join(METHODS)
            raise InvalidInput("sweep", option, wanted)
    return named


def _named_record(record):
    if isinstance(record, (str, dict)) or not isinstance(record, Iterable):
        record = (record,)
    named = []
    for each in record:
        if isinstance(each, str):
            named.append(each)
            continue
        if not isinstance(each, dict):
            raise InvalidInput("record", each, "{name: function}, or the name of an extra")
        for name, value in each.items():
            more = {}
            if isinstance(value, Record):
                more = {"samples": value.samples, "every": value.every, "doc": value.doc}
                value = value.function
            named.append({"name": name, "function": by_name.name_of("record", value), **more})
    return named


def loaded_options(named):
    """Return what `named_options` made, as `train` takes it."""
    options = {}
    for option, value in named.items():
        if option == "record":
            options[option] = [_loaded_record(each) for each in value]
        elif value in ENDS:
            options[option] = value
        else:
            options[option] = by_name.load(option, value)
    return options


def _loaded_record(each):
    if isinstance(each, str):
        return each
    more = dict(each)
    name, function = more.pop("name"), by_name.load("record", more.pop("function"))
    return {name: Record(function, **more) if more else function}
