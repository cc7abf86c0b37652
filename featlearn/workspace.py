"""Where a step is computed: arrays used again at every step, and who shares the work."""

import numpy as np

from . import threads

# Numbers of an array to work on at a time, so that they stay in a core's cache.
CACHED = 1 << 15


class Workspace:
    """Named scratch arrays, and the threads or processes that fill them.

    A kernel asks for its output arrays by name. A fresh workspace allocates them, so that a call
    with none given is pure; a workspace kept from call to call hands the same memory out again, and
    what the previous call returned in it is overwritten.

    Parameters
    ----------
    team : Team, optional
        The processes that make the run together; without one, threads of this process.

    Attributes
    ----------
    team : Team or None
    """

    def __init__(self, team=None):
        self._arrays, self.team = {}, team

    def __call__(self, name, shape, dtype):
        """Return the array of that name, with undefined content."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            new = np.empty if self.team is None else self.team.array
            array = self._arrays[name] = new(shape, dtype)
        return array

    def exchange(self, one, other):
        """Let two names hand out each other's arrays from now on."""
        arrays = self._arrays
        arrays[one], arrays[other] = arrays.get(other), arrays.get(one)

    def for_each(self, function, pieces):
        """Call function on every piece; the results are returned where no team shares the work."""
        return (self.team or threads).for_each(function, pieces)

    def over_rows(self, function, *arrays):
        """Call function(*rows) on matching pieces of the rows of some arrays of this workspace.

        The function works in place and row by row; an array may be None.
        """
        threads.over_rows(function, *arrays, for_each=self.for_each)


def few_rows(array):
    """Yield slices of the rows of an array, each of few enough to stay in a core's cache."""
    n = max(CACHED * len(array) // max(array.size, 1), 1)
    for start in range(0, len(array), n):
        yield slice(start, start + n)
