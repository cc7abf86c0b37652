"""Files of a directory that may come from anybody: whole or absent, and never outside of it.

A new file is made under a name of its own, exclusively, and renamed into place: whatever happens to
the process, a reader meets the old file or the new one. Nothing is written through a symbolic link,
and what is no regular file, a pipe or a device, is neither read nor waited for.
"""

import contextlib
import hashlib
import io
import json
import os
import secrets
import stat
from pathlib import Path

import numpy as np

from ..errors import RunDirectoryError
from ..values import json_text

# Absent where the system knows no such links and pipes.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
NEW = ".new"
# The name of an archive's checksum among its arrays.
CHECKSUM = "checksum"


def write_json(path, value):
    """Write a JSON file, whole or not at all."""
    write_aside(path, (json_text(value) + "\n").encode())


def write_aside(path, data, sync=True):
    """Write bytes to a temporary file beside `path`, and rename it into place.

    Parameters
    ----------
    path : path
        A symbolic link there is replaced, not followed.
    data : bytes
    sync : bool
        Wait until the bytes are on the disk.
    """
    path = Path(path)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{NEW}")
    number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o666)
    try:
        with open(number, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


def remove_unfinished(directory):
    """Remove the temporary files that a killed process left in a directory."""
    for path in Path(directory).glob("*" + NEW):
        with contextlib.suppress(OSError):
            path.unlink()


def require_place(path):
    """Refuse a directory that could not be made or written, before work is spent on what it is for.

    Raises
    ------
    RunDirectoryError
        Naming what stands in the way.
    """
    place = Path(os.path.abspath(path))
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise RunDirectoryError(f"{path}: {place} is not a directory")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"{path}: {place} is not writable")


def refuse_link(path):
    """Raise a RunDirectoryError where a symbolic link stands in the place of a part of a run directory."""
    if os.path.islink(path):
        raise RunDirectoryError(f"{path}: is a symbolic link, nothing is written through it")


def make_directory(path):
    """Make a directory inside a run directory; a symbolic link in its place is refused."""
    refuse_link(path)
    Path(path).mkdir(exist_ok=True)


def open_to_write(path):
    """Open a file to write into what it holds, made where it is missing; return it unbuffered.

    Raises
    ------
    RunDirectoryError
        If it is a symbolic link or no regular file.
    """
    refuse_link(path)
    return _regular(path, os.O_RDWR | os.O_CREAT | _NO_LINK, "r+b", 0)


def open_to_read(path):
    """Open a file to read; raise a RunDirectoryError where it is no regular file."""
    return _regular(path, os.O_RDONLY, "rb", -1)


def write_archive(path, arrays, sync=True):
    """Write arrays by name into an .npz file, with a checksum; see `write_aside`."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{CHECKSUM: _digest(arrays)})
    write_aside(path, buffer.getvalue(), sync)


def read_archive(path, old=False):
    """Return the arrays of an .npz file by name.

    Parameters
    ----------
    path : path
    old : bool
        Whether the file may be older than its checksum.

    Raises
    ------
    RunDirectoryError
        If the file cannot be read, or is damaged.
    """
    try:
        with open_to_read(path) as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
        if not all(isinstance(array, np.ndarray) for array in found.values()):
            raise RunDirectoryError(f"{path}: is damaged (it holds more than arrays)")
        checksum = found.pop(CHECKSUM, None)
        if not (old and checksum is None) and not np.array_equal(checksum, _digest(found)):
            raise RunDirectoryError(f"{path}: is damaged (its checksum does not match)")
        return found
    except RunDirectoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # zipfile meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({type(error).__name__})") from None


def _digest(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _regular(path, flags, mode, buffering):
    number = os.open(path, flags | _NO_WAIT | _BINARY | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise RunDirectoryError(f"{path}: is not a regular file")
        return open(number, mode, buffering=buffering)
    except BaseException:
        os.close(number)
        raise


@contextlib.contextmanager
def writing(path):
    """Make the directory of a file; what goes wrong with either is a RunDirectoryError of its name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be written ({reason(error)})") from None


def reason(error):
    """Return in a few words why the system refused something, an OSError."""
    return error.strerror or str(error)


def unreadable(path, error):
    """Return the RunDirectoryError that says why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return RunDirectoryError(f"{path}: is missing")
    return RunDirectoryError(f"{path}: cannot be read ({reason(error)})")


def read_json(path):
    """Read a JSON object, or raise a RunDirectoryError that names the file."""
    try:
        with open_to_read(path) as file:
            value = json.loads(file.read())
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read ({reason(error)})") from None
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path}: holds no table")
    return value
