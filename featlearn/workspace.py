"""Arrays that are used again at every step instead of being allocated anew."""

import numpy as np


class Workspace:
    """Named scratch arrays.

    A kernel asks for its output arrays by name. A fresh workspace allocates them, so that a call
    with none given is pure; a workspace kept from call to call hands the same memory out again, and
    what the previous call returned in it is overwritten.
    """

    def __init__(self):
        self._arrays = {}

    def __call__(self, name, shape, dtype):
        """Return the array of that name, with undefined content."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._arrays[name] = np.empty(shape, dtype)
        return array
