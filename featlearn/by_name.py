"""Functions and classes by name, "module:NAME" or "FILE.py:NAME": what a command or a worker is told.

A name is looked up only where a person gave it, on the command line or to a sweep; never one that
was read from a run.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path

from .errors import InvalidInput

# Files executed so far, by the name of their module.
_FILES = {}


def load(option, name):
    """Return what a name names.

    Parameters
    ----------
    option : str
        What asked for it, for error messages.
    name : str
        "module:NAME" of something that can be imported, or "FILE.py:NAME".

    Raises
    ------
    InvalidInput
        If the module or file cannot be executed, or has nothing of that name.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise InvalidInput(option, name, "module:NAME or FILE.py:NAME")
    found = load_file(option, place) if place.endswith(".py") else _import(option, place)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidInput(option, name, f"a name that {place} has")
        found = getattr(found, part)
    return found


def load_file(option, path):
    """Execute a Python file and return it as a module, the same one each time."""
    path = Path(path).resolve()
    if path.suffix != ".py":
        raise InvalidInput(option, str(path), "a file whose name ends in .py")
    name = f"{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        wanted = f"a Python file that runs ({type(error).__name__}: {error})"
        raise InvalidInput(option, str(path), wanted) from None
    _FILES[name] = path
    return module


def _import(option, module):
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        wanted = f"a module that can be imported ({type(error).__name__}: {error})"
        raise InvalidInput(option, module, wanted) from None


def name_of(option, thing):
    """Return the name that a worker finds something by.

    Parameters
    ----------
    option : str
        For error messages.
    thing : str, class or function
        A name already, or what is found under its own.

    Raises
    ------
    InvalidInput
        If it is not found there: it is an object, or was made in a function or an interpreter.
    """
    if isinstance(thing, str):
        load(option, thing)
        return thing
    module, attribute = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    name = f"{module}:{attribute}"
    if module and attribute and module != "__main__" and "<" not in attribute:
        if module in _FILES:
            name = f"{_FILES[module]}:{attribute}"
        if load(option, name) is thing:
            return name
    wanted = "a class or function that workers can import by its name, or that name"
    raise InvalidInput(option, thing, wanted)
