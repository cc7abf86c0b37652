"""An HTML file as a command writes it: whole, or not at all."""

from pathlib import Path

from ..errors import InvalidInput
from ..recording.files import write_aside, writing


def page_path(option, name):
    """Return the path of the page that an option names; refuse another kind of file."""
    if Path(name).suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(option, name, "a name ending in .html")
    return Path(name)


def write_page(path, text):
    """Write a page, and the directory it is in where that is missing.

    Raises
    ------
    RunDirectoryError
        If it cannot be written.
    """
    with writing(path):
        # Runs may lie where a name is no text.
        write_aside(path, text.encode(errors="replace"))
