"""A claim: a function of recorded runs that returns verdicts, marked with its name and its needs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...errors import InvalidInput
from .verdict import Verdict, does_not_apply, table, verdict_html


@dataclass(frozen=True)
class Claim:
    """What `claim` notes on the function it marks.

    Attributes
    ----------
    name : str
    needs : tuple of callable
        Functions of the experiment that return why the claim does not apply, or None.
    """

    name: str
    needs: tuple = ()


def claim(name: str, needs: Callable | Sequence[Callable] = ()) -> Callable[[Callable], Callable]:
    """Mark a function as a claim, for `check` and ``featlearn check --claims``.

    Parameters
    ----------
    name : str
        What its rows of the table are called.
    needs : callable or sequence of callable
        Preconditions: functions of the `Experiment` that return a reason why the claim does not
        apply, or None.

    Returns
    -------
    callable
        A decorator of f(observed) → `Verdict` or list of them, where observed is a list of
        `Observed`, one for each seed. The function itself stays as it was.

    Examples
    --------
    >>> @featlearn.claim("my lemma")
    ... def bias_below_cap(observed):
    ...     ratio = [o.run["bias"][-1].max() / o.norms.max() for o in observed]
    ...     return featlearn.theory.at_most("my lemma", "b/‖w‖", 0.6, ratio, "the cap")
    """
    if not isinstance(name, str) or not name:
        raise InvalidInput("name", name, "the name of a claim, a text")
    needs = as_functions("needs", needs, "functions of the experiment")

    def mark(function):
        try:
            function.claim = Claim(name, needs)
        except (AttributeError, TypeError):
            raise InvalidInput(f"claim {name}", function, "a function f(observed)") from None
        return function

    return mark


def as_functions(name, given, wanted):
    """Return one function, or several, as a tuple; one that is given twice is there once."""
    given = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
    if not all(map(callable, given)):
        raise InvalidInput(name, given, wanted)
    return tuple(each for k, each in enumerate(given) if not any(each is one for one in given[:k]))


class Verdicts(list):
    """A list of `Verdict` that prints as its table."""

    def __str__(self):
        return table(self)

    def _repr_html_(self):
        return verdict_html(self)


def judge(function, observed):
    """Return the verdicts of a marked function on some runs, a list.

    Raises
    ------
    InvalidInput
        If it is not marked, or returns something else than verdicts.
    """
    mark = getattr(function, "claim", None)
    if not isinstance(mark, Claim):
        raise InvalidInput("claims", function, "functions marked by @featlearn.claim(name)")
    for need in mark.needs:
        reason = need(observed[0].experiment)
        if reason:
            # An object that is called has no name of its own.
            shown = getattr(function, "__name__", mark.name).replace("_", " ")
            return [does_not_apply(mark.name, shown, str(reason))]
    found = function(observed)
    found = [found] if isinstance(found, Verdict) else found
    if not isinstance(found, (list, tuple)) or not all(isinstance(v, Verdict) for v in found):
        raise InvalidInput(f"claim {mark.name}", found, "a Verdict or a list of them")
    return list(found)
