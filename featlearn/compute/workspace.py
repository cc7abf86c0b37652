"""Where a step is computed: arrays used again at every step, and who shares the work."""

import copy

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
    arrays : dict of str to ndarray
        What was handed out so far.
    """

    def __init__(self, group=None):
        self.arrays, self.group = {}, group
        self._threads = threads.thread_count()

    def __call__(self, name, shape, dtype):
        """Return the array of that name, with undefined content."""
        array = self.arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            new = np.empty if self.group is None else self.group.array
            array = self.arrays[name] = new(shape, dtype)
        return array

    def exchange(self, one, other):
        """Let two names hand out each other's arrays from now on."""
        arrays = self.arrays
        arrays[one], arrays[other] = arrays.get(other), arrays.get(one)

    def by_itself(self):
        """Return this workspace for a call that this thread makes alone: its rows are no rows of a batch."""
        alone = copy.copy(self)
        alone._threads = 1
        return alone

    def for_each(self, kernel, pieces, size, **whole):
        """Call kernel(*piece, **whole) on every piece; what it computes, it writes in place.

        Threads share the pieces where they are of so many numbers together that it is worthwhile.
        """
        if self.group is None and (self._threads == 1 or not threads.can_share_out(size)):
            for piece in pieces:
                kernel(*piece, **whole)
            return
        (self.group or threads).for_each(lambda piece: kernel(*piece, **whole), pieces)

    def over_rows(self, kernel, *sliced, **whole):
        """Call kernel(*rows, **whole) on matching pieces of the rows of some arrays.

        The kernel works in place and row by row; an array may be None, and what is given by name is
        handed over whole. The pieces depend on the sizes and the number of threads only.
        """
        shares, present, largest = 1, sliced, 0
        if self._threads > 1:
            present = [array for array in sliced if array is not None]
            largest = max(array.size for array in present)
            shares = self._threads if threads.can_share_out(largest) else 1
        if shares == 1 and self.group is None:
            kernel(*sliced, **whole)
            return
        n = len(present[0])
        bounds = [n * k // shares for k in range(shares + 1)]

        def share(start, stop):
            rows = slice(start, stop)
            kernel(*(None if array is None else array[rows] for array in sliced), **whole)

        self.for_each(share, zip(bounds, bounds[1:]), largest)

    def answer(self, question, *arguments):
        """Return whether question(*arguments), which the leader asks for all processes of the run."""
        if self.group is None:
            return question(*arguments)
        found = self("answer", (1,), np.bool_)
        if self.group.leads:
            found[0] = bool(question(*arguments))
        self.group.wait()
        return bool(found[0])

    def wait(self):
        """Wait until all processes of the run have come here."""
        if self.group is not None:
            self.group.wait()


class _Beside(Workspace):
    """The workspace of run k of n, whose arrays lie beside those of the same name of the others."""

    def __init__(self, shared, k, n):
        super().__init__()
        self._shared, self._k, self._n = shared, k, n

    def __call__(self, name, shape, dtype):
        array = self.arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            whole = self._shared(name, (self._n, *shape), dtype)
            array = self.arrays[name] = whole[self._k]
        return array


def beside_each_other(n):
    """Return a `Workspace` for each of n runs that take the same arrays: see `stacked`."""
    shared = Workspace()
    return [_Beside(shared, k, n) for k in range(n)]


def stacked(arrays):
    """Return the array along whose first axis some arrays lie; a copy if they do not lie in one."""
    whole, shape = arrays[0].base, (len(arrays), *arrays[0].shape)
    if whole is not None and whole.shape == shape and all(a.base is whole for a in arrays):
        return whole
    return np.stack(arrays)


def keep_freed_memory(n_bytes):
    """Let the C library keep the memory of temporaries of so many bytes from step to step.

    By its own measure glibc gives freed memory back to the system, which maps it anew at the next step, up
    to a seventh of a step; after a larger block was freed it keeps as much. Elsewhere nothing changes.
    """
    np.empty(n_bytes, np.uint8)


def few_rows(array, numbers=CACHED):
    """Yield slices of the rows of an array, each of at most so many numbers or one row."""
    n = max(numbers * len(array) // max(array.size, 1), 1)
    for start in range(0, len(array), n):
        yield slice(start, start + n)
