"""A trajectory file: rows in .npy format that a process appends to while others read them."""

import contextlib
import os
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy_format

from ..errors import RunDirectoryError
from .files import open_to_read, open_to_write, unreadable
from .quantities import bytes_of

FLUSH_BYTES = 1 << 18
# Rows of so many bytes are not worth gathering.
LARGE_BYTES = 1 << 14

# Of every trajectory file, however many rows it has: a multiple of 64, as the format wants.
HEADER_BYTES = 192


def open_rows(path, shape, dtype):
    """Map the rows of a trajectory file, which another process may be writing.

    Where the system cannot map them they are read.

    Returns
    -------
    ndarray of shape (T, *shape), read-only

    Raises
    ------
    RunDirectoryError
        If the file is missing, unreadable, damaged, or holds rows of another shape or type.
    """
    with _opened(path) as file:
        found, order, kind = _read_header(file)
        offset = file.tell()
        if not found or found[1:] != shape or kind != dtype:
            raise RunDirectoryError(
                f"{path}: holds an array of shape {found} and type {kind}, "
                f"the experiment in config.json has rows of shape {shape} and type {dtype}"
            )
        needed = found[0] * bytes_of(shape, dtype)
        if not 0 <= needed <= os.fstat(file.fileno()).st_size - offset:
            raise ValueError(f"shorter than its {found[0]} rows")
        try:
            return np.memmap(file, dtype, "r", offset, found, order)
        except OSError:
            data = np.frombuffer(file.read(needed), dtype)
            return data.reshape(found, order=order)


@contextlib.contextmanager
def _opened(path):
    """Open a trajectory file to read; what goes wrong in the context says so of the file."""
    try:
        with open_to_read(path) as file:
            yield file
    except RunDirectoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # numpy's parser meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({str(error)[:120]})") from None


def _read_header(file):
    """Return shape, "C" or "F", and dtype; leave the file where its rows begin."""
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    first = version == (1, 0)
    read = npy_format.read_array_header_1_0 if first else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("holds objects, no numbers")
    return shape, "F" if fortran else "C", dtype


def require_rows(path, shape, dtype, rows):
    """Check that a file may be appended to, and holds the rows that a checkpoint counts on."""
    found = len(open_rows(path, shape, dtype))
    if found < rows:
        raise RunDirectoryError(f"{path}: has {found} rows, its checkpoint {rows}")
    with _opened(path) as file:
        _read_header(file)
        if file.tell() != HEADER_BYTES:
            raise RunDirectoryError(f"{path}: was not written by featlearn")


def checksum(path, shape, dtype, rows):
    """Return the CRC-32 of the first rows of a trajectory file, which must be there."""
    found, value = open_rows(path, shape, dtype), 0
    at_once = max(FLUSH_BYTES // max(bytes_of(shape, dtype), 1), 1)
    for start in range(0, rows, at_once):
        value = zlib.crc32(np.ascontiguousarray(found[start : min(start + at_once, rows)]), value)
    return value


class MappedRows(Mapping):
    """The quantities that a run directory holds, {name: array}, each mapped when it is asked for.

    An array that is mapped keeps a file descriptor; so many runs can be held at a time as there is
    memory for what is in use.

    Parameters
    ----------
    paths : dict of str to path
    layouts : dict of str to (tuple, dtype)
        Of a row.
    rows : dict of str to int
        How many are shown.
    """

    def __init__(self, paths, layouts, rows):
        self._paths, self._layouts, self._rows = paths, layouts, rows
        # Asked for most often, and small.
        self._step = np.array(self._open("step"))

    def first(self, rows):
        """Return the same with at most so many rows of each."""
        fewer = {name: min(n, rows.get(name, n)) for name, n in self._rows.items()}
        return MappedRows(self._paths, self._layouts, fewer)

    def _open(self, name):
        found = open_rows(self._paths[name], *self._layouts[name])
        if len(found) < self._rows[name]:
            raise RunDirectoryError(f"{self._paths[name]}: was cut while it was read")
        return found[: self._rows[name]]

    def __getitem__(self, name):
        return self._step if name == "step" else self._open(name)

    def __contains__(self, name):
        return name in self._rows

    def __iter__(self):
        return iter(self._rows)

    def __len__(self):
        return len(self._rows)


class RowFile:
    """An .npy file whose first axis grows.

    The header counts rows after they are in place, so that another process can open the file with
    ``np.load(..., mmap_mode="r")`` at any time and sees whole rows only. What lies behind the
    rows that it counts, a torn row or rows to be made again, is overwritten in time; the file is
    never made shorter, for a reader may have it mapped.

    Parameters
    ----------
    path : Path
    shape, dtype
        Of a row.
    rows : int
        Rows of an earlier part of the run to keep; whatever follows them is dropped.
    checksum : int
        The CRC-32 of those rows.
    gathered : int
        Rows to keep back at most until `flush`; 0 writes each at once.

    Attributes
    ----------
    rows : int
        Rows written.
    checksum : int
        The CRC-32 of their bytes: carried on from row to row, it never reads one again.
    """

    def __init__(self, path, shape, dtype, rows=0, checksum=0, gathered=0):
        self._shape, self._dtype, self.rows, self.checksum = shape, dtype, rows, checksum
        self._size = bytes_of(shape, dtype)
        self._magic = npy_format.magic(1, 0) + (HEADER_BYTES - 10).to_bytes(2, "little")
        entries = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False}
        self._entries = repr(entries).removesuffix("}")
        self._kept, self._n_kept = np.empty((gathered, *shape), dtype), 0
        self._file = open_to_write(path)
        self.count()

    def append(self, row):
        """Write a row, or keep it back."""
        if len(self._kept):
            self._kept[self._n_kept] = row
            self._n_kept += 1
        else:
            self._write(np.ascontiguousarray(row, self._dtype)[None])

    def extend(self, rows):
        """Write several rows, an array of them, after those that were kept back."""
        self.flush()
        self._write(np.ascontiguousarray(rows, self._dtype))

    def flush(self):
        """Write the rows that were kept back."""
        if self._n_kept:
            self._write(self._kept[: self._n_kept])
            self._n_kept = 0

    def _write(self, block):
        data = memoryview(block.reshape(-1).view(np.uint8))
        self._file.seek(HEADER_BYTES + self.rows * self._size)
        _write_all(self._file, data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.rows += len(block)

    def _header(self, rows):
        # The version 1.0 header, padded so that its length does not depend on the number of rows.
        text = f"{self._entries}, 'shape': {(rows, *self._shape)}}}".ljust(HEADER_BYTES - 11) + "\n"
        return self._magic + text.encode("latin1")

    def count(self):
        """Let readers see the rows written so far."""
        self._file.seek(0)
        _write_all(self._file, self._header(self.rows))

    def sync(self):
        """Return only when what was written is on the disk."""
        os.fsync(self._file.fileno())

    def close(self):
        """Close the file; what was kept back is lost."""
        self._file.close()


def _write_all(file, data):
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]
