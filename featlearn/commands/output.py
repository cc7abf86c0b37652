"""The standard streams as commands find them: missing, full, left by their reader, without Greek letters.

A command prints as usual. What becomes of its output never ends its work: the files are written all the
same, and the exit code tells at the end.
"""

import contextlib
import io
import os
import sys

READER_LEFT = 141  # what a shell reports of a process that SIGPIPE ended


class Output:
    """A text stream that stays silent once it cannot be written, and shows what it can.

    Parameters
    ----------
    stream : text stream or None

    Attributes
    ----------
    error : OSError or None
        Why it is silent.
    """

    def __init__(self, stream):
        self._stream, self.error = stream, None
        self._terminal = self.isatty()

    def write(self, text):
        """Write a text, with question marks for what the stream's encoding lacks."""

        def write():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding
                self._stream.write(text.encode(encoding, "replace").decode(encoding))

        self._try(write)
        return len(text)

    def flush(self):
        """Write what is still held back."""
        self._try(lambda: self._stream.flush())

    def _try(self, action):
        if self._stream is None or self.error is not None or self._stream.closed:
            return
        try:
            action()
        except OSError as error:
            self.error = error

    def isatty(self):
        """Whether it is a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    @property
    def left(self):
        """Whether its reader has left: the other end of a pipe, or a terminal that is gone."""
        return isinstance(self.error, ConnectionError) or (self._terminal and bool(self.error))

    def release(self):
        """Let the interpreter, which writes what is held back when it ends, write it to nowhere."""
        if self.error is not None:
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


@contextlib.contextmanager
def standard_streams(own=False):
    """Put an `Output` in place of stdout and of stderr, and an empty input in place of none.

    Parameters
    ----------
    own : bool
        Whether the process is there for this command alone.

    Yields
    ------
    callable
        Takes the exit code of the command and returns what it is in view of its output.
    """
    if own:
        _open_missing_descriptors()
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = Output(sys.stdout), Output(sys.stderr)
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or io.StringIO(), out, err
    try:
        yield lambda code: _exit_code(code, out)
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        if own:
            out.release()
            err.release()


def _open_missing_descriptors():
    """Keep the numbers of the standard streams from files that would be taken for them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _exit_code(code, out):
    out.flush()
    if out.error is None:
        return code
    if out.left:
        return READER_LEFT if code in (0, 1, None) else code
    print(f"featlearn: the output cannot be written ({out.error.strerror})", file=sys.stderr)
    return code or 1


def wanted():
    """Whether anybody still reads what is printed."""
    return getattr(sys.stdout, "error", None) is None
