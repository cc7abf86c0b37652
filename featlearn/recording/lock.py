"""One writer at a time in a directory: a lock of the operating system, or a file where it has none."""

import contextlib
import json
import os
import platform
import warnings
from pathlib import Path

from .files import NEW, open_to_read, open_to_write, reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FILE, OWNER = "lock", "lock.owner"


class Lock:
    """Held from its construction until it is closed, or its process ends.

    A file system without locks, or a system without flock, makes do with a file that names its
    owner; one whose process ended is taken over on the same machine.

    Parameters
    ----------
    directory : path
        Of the files ``lock`` and, without flock, ``lock.owner``.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """

    def __init__(self, directory):
        self._owner = None
        self._file = open_to_write(Path(directory) / FILE)
        try:
            _flock(self._file)
        except BlockingIOError:
            self._file.close()
            raise
        except OSError as error:
            warnings.warn(
                f"{directory}: files cannot be locked here ({reason(error)}); {OWNER} says instead"
                " who writes",
                stacklevel=3,
            )
            try:
                self._own(Path(directory) / OWNER)
            except BaseException:
                self._file.close()
                raise

    def _own(self, path):
        mine = {"host": platform.node(), "process": os.getpid()}
        if _is_abandoned(path):
            path.unlink()
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            raise BlockingIOError(f"another process does, or did: see {path}") from None
        with open(number, "w") as file:
            json.dump(mine, file)
        self._owner = path

    def close(self):
        """Let go of it."""
        if self._owner is not None:
            with contextlib.suppress(OSError):
                self._owner.unlink()
        self._file.close()


def _flock(file):
    if fcntl is None:
        raise OSError("this system has no flock")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_abandoned(path):
    """Whether the owner is a process of this machine that has ended."""
    try:
        with open_to_read(path) as file:
            owner = json.loads(file.read())
        # On Windows the question whether a process lives would interrupt it.
        if owner["host"] != platform.node() or os.name == "nt":
            return False
        os.kill(owner["process"], 0)
    except ProcessLookupError:
        return True
    except Exception:  # missing, half written, or of another user
        return False
    return False


def leaves_free(name):
    """Whether a file of that name may be what a process left that was killed before it wrote more."""
    return name in (FILE, OWNER) or name.endswith(NEW)
