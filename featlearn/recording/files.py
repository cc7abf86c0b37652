"""Small files that are whole or absent, whatever happens to the process that writes them."""

import json
import os
from pathlib import Path

from ..errors import RunDirectoryError


def write_json(path, value):
    """Write a JSON file aside and rename it into place."""
    write_aside(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_aside(path, data):
    """Write bytes to a temporary file beside `path`, sync it, and rename it into place."""
    path = Path(path)
    aside = path.with_name(path.name + ".new")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def read_json(path):
    """Read a JSON object, or raise a RunDirectoryError that names the file."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path}: holds no table")
    return value
