"""A trajectory file: rows in .npy format that a process appends to while others read them."""

import os
import zlib

import numpy as np
from numpy.lib import format as npy_format

from ..errors import RunDirectoryError
from .quantities import bytes_of

FLUSH_BYTES = 1 << 17
# Rows of so many bytes are not worth gathering.
LARGE_BYTES = 1 << 14

# Of every trajectory file, however many rows it has: a multiple of 64, as the format wants.
HEADER_BYTES = 192


def open_rows(path, shape, dtype):
    """Map the rows of a trajectory file, which another process may be writing.

    Returns
    -------
    ndarray of shape (T, *shape), read-only

    Raises
    ------
    RunDirectoryError
        If the file is missing, damaged, or holds rows of another shape or type.
    """
    try:
        array = npy_format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise RunDirectoryError(f"{path}: is missing") from None
    except Exception as error:  # numpy's parser meets damaged bytes with errors of many kinds
        raise RunDirectoryError(f"{path}: is damaged ({_one_line(error)})") from None
    if array.ndim == 0 or array.shape[1:] != shape or array.dtype != dtype:
        raise RunDirectoryError(
            f"{path}: holds an array of shape {array.shape} and type {array.dtype}, "
            f"the experiment in config.json has rows of shape {shape} and type {dtype}"
        )
    return array


def _one_line(error):
    return " ".join(str(error).split())[:120]


def require_rows(path, shape, dtype, rows):
    """Check that a file may be appended to, and holds the rows that a checkpoint counts on."""
    found = open_rows(path, shape, dtype)
    if len(found) < rows:
        raise RunDirectoryError(f"{path}: has {len(found)} rows, its checkpoint {rows}")
    if found.offset != HEADER_BYTES:
        raise RunDirectoryError(f"{path}: was not written by featlearn")


def checksum(path, shape, dtype, rows):
    """Return the CRC-32 of the first rows of a trajectory file."""
    found, value = open_rows(path, shape, dtype), 0
    at_once = max(FLUSH_BYTES // max(bytes_of(shape, dtype), 1), 1)
    for start in range(0, rows, at_once):
        value = zlib.crc32(np.ascontiguousarray(found[start : min(start + at_once, rows)]), value)
    return value


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
        self._kept, self._n_kept = np.empty((gathered, *shape), dtype), 0
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)
        self.count()

    def append(self, row):
        """Write a row, or keep it back."""
        if len(self._kept):
            self._kept[self._n_kept] = row
            self._n_kept += 1
        else:
            self._write(np.ascontiguousarray(row, self._dtype)[None])

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
        entries = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False}
        text = repr({**entries, "shape": (rows, *self._shape)}).ljust(HEADER_BYTES - 11) + "\n"
        return npy_format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode("latin1")

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
