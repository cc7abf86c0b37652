"""Single keys from a terminal, or the lines of anything else."""

import sys


def read_keys(stream=None):
    """Yield what the user presses, one key at a time.

    In a real terminal a key counts at once, without Enter, and the terminal's settings are put
    back at the end, whatever ends it. Elsewhere (a pipe, a file, a system without termios) every
    line counts as its first character, and an empty one as "".
    """
    stream = stream or sys.stdin
    settings = _terminal_settings(stream)
    if settings is None:
        for line in stream:
            yield line.strip()[:1]
        return
    import termios
    import tty

    descriptor = stream.fileno()
    try:
        # Keys arrive singly, but Ctrl-C still interrupts; what was typed too early still counts.
        tty.setcbreak(descriptor, termios.TCSANOW)
        while key := stream.read(1):
            if key == "\x04":
                return
            yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)


def _terminal_settings(stream):
    """The settings of the terminal behind a stream; None where there is none."""
    try:
        import termios
    except ImportError:
        return None
    try:
        return termios.tcgetattr(stream.fileno())
    except (OSError, ValueError, termios.error):
        return None
