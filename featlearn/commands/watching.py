"""A picture of a run that is redrawn while the run is going."""

import os
import subprocess
import time
from pathlib import Path

from ..compute.interrupts import SAVE, ignore
from ..compute.workers import interpreter
from ..errors import InvalidInput, RunDirectoryError
from ..recording.rundir import load_run, read_status
from .common import message

SECONDS = 5.0


def watch(directory, picture, parent=None, seconds=SECONDS):
    """Redraw the headline picture of a run until the run is over, or the parent process is.

    The file is replaced whole, so that a viewer never meets half of one.

    Parameters
    ----------
    directory : path
        A run directory; it may still be missing.
    picture : path
        PNG file.
    parent : int, optional
        Stop once this is no longer the parent process.
    seconds : float
        Between two pictures.
    """
    from ..plotting import headline
    from ..plotting.canvas import write

    aside = Path(f"{picture}.new")
    while True:
        over = _is_over(directory, parent) or (parent is not None and os.getppid() != parent)
        try:
            run = load_run(directory)
        except RunDirectoryError:
            run = None
        if run is not None and len(run) >= 2:
            try:
                with open(aside, "wb") as file:
                    write(headline(run), file, "png")
                os.replace(aside, picture)
            except OSError as error:
                return message(f"{picture}: is not drawn ({error.strerror})")
        if over:
            return
        time.sleep(seconds)


def _is_over(directory, process):
    """Whether a run has ended; with a process given, only its own status counts."""
    try:
        status = read_status(directory)
    except RunDirectoryError:
        return False
    mine = process is None or status.get("process") == process
    return mine and status.get("status", "running") != "running"


class Watcher:
    """A context in which a child process watches a run, so that drawing does not halt training.

    Parameters
    ----------
    directory : path
    picture : path
        PNG file in an existing directory.
    """

    def __init__(self, directory, picture):
        self._directory, self._picture = directory, Path(picture)
        place = self._picture.parent
        if (
            self._picture.suffix.lower() != ".png"
            or self._picture.is_dir()
            or not os.access(place, os.W_OK)
        ):
            wanted = "a .png file in an existing directory that one may write"
            raise InvalidInput("--watch", str(picture), wanted)

    def __enter__(self):
        words = [str(self._directory), str(self._picture), str(os.getpid())]
        # In a session of its own an interrupt of the training does not reach it.
        command = interpreter(__name__, "main", *words)
        self._process = subprocess.Popen(command, start_new_session=True)
        return self

    def __exit__(self, kind, *exception):
        """Wait for the last picture of a run that ended well."""
        if kind is not None:
            self._process.terminate()
        self._process.wait()


def main(directory, picture, parent):
    """Watch in a process of its own, which ends with its parent."""
    ignore(("SIGINT", "SIGHUP", *SAVE))
    watch(directory, picture, int(parent))
