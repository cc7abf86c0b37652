"""Imports matplotlib whatever MPLBACKEND says: figures are drawn here without a backend of pyplot.

A notebook sets that variable for the commands it starts, and matplotlib cannot be imported while it names
a backend that is not installed.
"""

import contextlib
import os
import sys

if "matplotlib" not in sys.modules:
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        # As matplotlib does itself, for whoever uses pyplot beside featlearn.
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
