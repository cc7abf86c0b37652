"""Where a step is computed: arrays used again at every step, and who shares the work."""

import numpy as np

from . import threads


class Workspace:
    """Named scratch arrays, and the threads or processes that fill them.

    A kernel asks for its output arrays by name. A fresh workspace allocates them, so that a call
    with none given is pure; a workspace kept from call to call hands the same memory out again, and
    what the previous call returned in it is overwritten.

    Parameters
    ----------
    team : Team, optional
        The processes that make the run together; without one, threads of this process.
    """

    def __init__(self, team=None):
        self._arrays, self._team = {}, team

    def __call__(self, name, shape, dtype):
        """Return the array of that name, with undefined content."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            new = np.empty if self._team is None else self._team.array
            array = self._arrays[name] = new(shape, dtype)
        return array

    def for_each(self, function, pieces):
        """Call function on every piece; the results are returned where no team shares the work."""
        return (self._team or threads).for_each(function, pieces)

    def over_rows(self, function, *arrays):
        """Call function(*rows) on matching pieces of the rows of some arrays of this workspace.

        The function works in place and row by row; an array may be None.
        """
        threads.over_rows(function, *arrays, for_each=self.for_each)
