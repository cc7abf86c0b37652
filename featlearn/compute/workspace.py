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
    group : ProcessGroup, optional
        The processes that make the run together; without one, threads of this process.

    Attributes
    ----------
    group : ProcessGroup or None
    """

    def __init__(self, group=None):
        self._arrays, self.group = {}, group

    def __call__(self, name, shape, dtype):
        """Return the array of that name, with undefined content."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            new = np.empty if self.group is None else self.group.array
            array = self._arrays[name] = new(shape, dtype)
        return array

    def exchange(self, one, other):
        """Let two names hand out each other's arrays from now on."""
        arrays = self._arrays
        arrays[one], arrays[other] = arrays.get(other), arrays.get(one)

    def for_each(self, function, pieces):
        """Call function on every piece; the results are returned where no group shares the work."""
        return (self.group or threads).for_each(function, pieces)

    def over_rows(self, function, *arrays):
        """Call function(*rows) on matching pieces of the rows of some arrays of this workspace.

        The function works in place and row by row; an array may be None. The pieces depend on the
        sizes and the number of threads only.
        """
        present = [array for array in arrays if array is not None]
        n, largest = len(present[0]), max(array.size for array in present)
        shares = threads.thread_count() if threads.can_share_out(largest) else 1
        bounds = [n * k // shares for k in range(shares + 1)]

        def share(k):
            rows = slice(bounds[k], bounds[k + 1])
            function(*(None if array is None else array[rows] for array in arrays))

        self.for_each(share, range(shares))


def few_rows(array, numbers=CACHED):
    """Yield slices of the rows of an array, each of at most so many numbers or one row."""
    n = max(numbers * len(array) // max(array.size, 1), 1)
    for start in range(0, len(array), n):
        yield slice(start, start + n)
