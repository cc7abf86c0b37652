"""The experiments of a sweep: values of some fields, and other fields that follow from them."""

import ast
import itertools
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import fields

import numpy as np

from ..errors import InvalidInput
from ..experiment import Experiment

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
# Fields that may be None, for a formula: a link reads the value that is used.
_RESOLVED = ("density", "noise_variance", "bias_growth")


def grid(base, axes, links=None):
    """Return the experiments of a grid, the last axis fastest.

    Parameters
    ----------
    base : Experiment
    axes : dict of str to sequence
        Values of each swept field, a sequence of any kind; "seed" is a field like any other.
    links : dict of str to str, optional
        Fields that follow from others: {"n_inputs": "16*n_features"}. Numbers, names of fields, and
        + - * / // % ** with parentheses; later links see what earlier ones set. A whole number where
        the field is one.

    Raises
    ------
    InvalidInput
        Naming the axis or the link, and what is wrong with it.
    """
    if not isinstance(base, Experiment):
        raise InvalidInput("base", base, "an Experiment")
    for name, table in (("axes", axes), ("links", links or {})):
        if not isinstance(table, Mapping) or not all(isinstance(field, str) for field in table):
            raise InvalidInput(name, table, "a dictionary, by names of fields")
    values = {name: _values(name, each) for name, each in axes.items()}
    links = links or {}
    for name in links:
        if name in axes:
            raise InvalidInput(f"link {name}", links[name], f"no grid of {name} beside it")
    points = itertools.product(*values.values())
    return [_linked(base, dict(zip(values, point)), links) for point in points]


def _values(name, values):
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InvalidInput(f"grid {name}", values, "a sequence of at least one value")
    found = [v.item() if hasattr(v, "item") and np.ndim(v) == 0 else v for v in values]
    if not found:
        raise InvalidInput(f"grid {name}", values, "a sequence of at least one value")
    return found


def _linked(base, changes, links):
    """The experiment of one point. Fields are checked together, when all have their values."""
    known = _numbers(base)
    known |= {name: value for name, value in changes.items() if value is not None}
    for name, formula in links.items():
        value = evaluate(name, formula, known)
        if isinstance(value, float) and value.is_integer() and isinstance(known.get(name), int):
            value = int(value)
        changes[name] = known[name] = value
    return base.replace(**changes)


def _numbers(experiment):
    values = {f.name: getattr(experiment, f.name) for f in fields(experiment)}
    return values | {name: getattr(experiment, f"resolved_{name}") for name in _RESOLVED}


def evaluate(name, formula, known):
    """Return the value of an arithmetic formula; nothing in it is executed.

    Parameters
    ----------
    name : str
        The field that it is for.
    formula : str
    known : dict of str to number
        The fields it may name.

    Raises
    ------
    InvalidInput
        If it is anything but arithmetic on numbers and known fields, or has no finite value.
    """

    def refuse(wanted):
        return InvalidInput(f"link {name}", formula, wanted)

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return node.value
        if isinstance(node, ast.Name):
            found = known.get(node.id)
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                raise refuse(f"names of fields that are numbers, not {node.id}")
            return found
        if isinstance(node, ast.UnaryOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](value(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Pow) and abs(right) > 64:
                raise refuse("powers up to 64")
            return _ARITHMETIC[type(node.op)](left, right)
        raise refuse("numbers, names of fields, + - * / // % ** and parentheses")

    try:
        found = value(ast.parse(str(formula).strip(), mode="eval").body)
        if isinstance(found, complex) or not math.isfinite(found):
            raise refuse("a finite number")
    except InvalidInput:  # which is a ValueError, and says more
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refuse("an arithmetic formula") from None
    except ArithmeticError as error:
        raise refuse(f"a finite number ({error})") from None
    return found
