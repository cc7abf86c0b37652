"""What tells a function or an object from another one: a digest of what it does and holds."""

import hashlib
import inspect
import sys
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)

import numpy as np


def digest_of_object(thing):
    """Return a digest of an object's classes, of their source outside featlearn, and of its state."""
    return _digest(thing, _feed)


def older_digest_of_object(thing):
    """Return the digest that earlier runs recorded, which knew less of functions and sets among the state."""
    return _digest(thing, partial(_feed, rest=_feed_older))


def digest_of(function):
    """Return a digest of a function, "version of Python:hex", as what it is compiled to differs.

    A callable object has that of `digest_of_object`.
    """
    # The comma tells them from digests that knew less of a function, with which none is compared.
    version = "{},{}".format(*sys.version_info)
    if not isinstance(function, (FunctionType, *_WRAPPED)):
        return f"{version}:{digest_of_object(function)}"
    digest = hashlib.sha256()
    _feed(digest, function)
    return f"{version}:{digest.hexdigest()}"


def attributes_of(part):
    """The state of an object by attribute, without what it has only computed from it."""
    if is_dataclass(part):
        return {f.name: getattr(part, f.name) for f in fields(part)}
    computed = {
        name
        for kind in type(part).__mro__
        for name, value in vars(kind).items()
        if isinstance(value, cached_property)
    }
    found = _slots(part) | getattr(part, "__dict__", {})
    return {name: v for name, v in found.items() if name not in computed}


def _slots(part):
    """What an object holds in ``__slots__``; those of Python's own classes hold what they computed."""
    names = [
        name
        for kind in type(part).__mro__
        if "__slots__" in vars(kind)
        and kind.__module__.partition(".")[0] not in sys.stdlib_module_names
        for name, value in vars(kind).items()
        if isinstance(value, MemberDescriptorType)
    ]
    return {name: getattr(part, name) for name in names if hasattr(part, name)}


def _digest(part, feed):
    digest = hashlib.sha256()
    for each in type(part).__mro__:
        if each is object:
            continue
        feed(digest, each.__qualname__)
        if not each.__module__.startswith("featlearn."):
            _feed_source(digest, each, feed)
    feed(digest, attributes_of(part), (id(part),))
    return digest.hexdigest()


def _feed_source(digest, kind, feed):
    try:
        feed(digest, inspect.getsource(kind))
    except (OSError, TypeError):
        # Typed into an interpreter: the compiled methods stand for their text.
        for name, value in sorted(vars(kind).items(), key=lambda item: item[0]):
            value = getattr(value, "fget", getattr(value, "__func__", value))
            if isinstance(value, FunctionType):
                feed(digest, value)
            elif not name.startswith("__"):
                feed(digest, [name, value])


def _closed_over(function, kinds):
    """What a function takes from around it, without what may change while it is used."""
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not bound yet
            found.append(cell.cell_contents)
    return [v for v in found if isinstance(v, kinds)]


# Values that are told by how they are written.
_WORDS = (str, bytes, int, float, complex, np.generic)
# What stands for a call of another function: the attributes that say which.
_WRAPPED = {
    partial: ("func", "args", "keywords"),
    MethodType: ("__func__", "__self__"),
    BuiltinFunctionType: ("__qualname__", "__self__"),
}
# What counts of what a function closes over.
_KEPT = (np.ndarray, *_WORDS, tuple, FunctionType, *_WRAPPED)


def _feed_rest(digest, value, within):
    """Add to a digest what a function does, what a set holds, or an object."""
    if isinstance(value, (set, frozenset)):
        # Their order, and how functions and objects among them are written, is that of one process.
        for one in sorted(_digest_alone(each, within) for each in value):
            digest.update(one)
    elif isinstance(value, (range, PurePath)):
        digest.update(repr(value).encode())
    elif isinstance(value, CodeType):
        digest.update(value.co_code)
        _feed(digest, [value.co_consts, value.co_names])
    elif isinstance(value, FunctionType) and id(value) not in within:
        found = [value.__code__, value.__defaults__, value.__kwdefaults__]
        _feed(digest, [*found, *_closed_over(value, _KEPT)], (*within, id(value)))
    elif kind := next((k for k in _WRAPPED if isinstance(value, k)), None):
        _feed(digest, [getattr(value, name) for name in _WRAPPED[kind]], within)
    elif id(value) not in within:
        _feed(digest, attributes_of(value), (*within, id(value)))


def _feed_older(digest, value, within):
    """`_feed_rest` as runs have recorded it that knew less of functions, and of sets, ranges and paths nothing."""
    if isinstance(value, FunctionType):
        code = value.__code__
        digest.update(code.co_code)
        constants = [repr(getattr(c, "co_code", c)) for c in code.co_consts]
        kept = _closed_over(value, (np.ndarray, str, bytes, int, float, tuple))
        for each in (constants, list(code.co_names), [value.__defaults__, *kept]):
            _feed(digest, each, rest=_feed_older)
    elif id(value) not in within:
        _feed(digest, attributes_of(value), (*within, id(value)), _feed_older)


def _feed(digest, value, within=(), rest=_feed_rest):
    """Add a value to a digest, by what it is rather than where it lives.

    `within` are the objects that it is part of, by `id`; of these no more is added than their type. `rest` adds
    what is neither an array, a table, a sequence, a word nor a name.
    """
    digest.update(f"\n{type(value).__name__} ".encode())
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            _feed(digest, str(key))
            _feed(digest, value[key], within, rest)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _feed(digest, each, within, rest)
    elif isinstance(value, (*_WORDS, type(None))):
        digest.update(repr(value).encode())
    elif isinstance(value, (type, ModuleType)):
        name = value.__name__ if isinstance(value, ModuleType) else value.__qualname__
        digest.update(name.encode())
    else:
        rest(digest, value, within)


def _digest_alone(value, within):
    digest = hashlib.sha256()
    _feed(digest, value, within)
    return digest.digest()
