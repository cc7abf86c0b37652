"""Signals that ask a process to stop, or to save what it has because its time is nearly up.

    SIGINT, SIGTERM, SIGHUP       Ctrl-C, the end of a job, a terminal that is gone: stop
    SIGUSR1, SIGUSR2, SIGXCPU     the warnings of batch systems: save, and go on

Names that a system does not have are left out. What the parent process ignores, as `nohup` and `&` in a
script have it, stays ignored.
"""

import contextlib
import signal
import threading

STOP = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SAVE = ("SIGUSR1", "SIGUSR2", "SIGXCPU")


@contextlib.contextmanager
def handling(stop=None, save=None):
    """A context with other handlers of these signals; without effect outside the main thread.

    Parameters
    ----------
    stop, save : callable, optional
        Handlers as `signal.signal` takes them; None leaves these signals alone.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for handler, names in ((stop, STOP), (save, SAVE)):
            for number in _present(names) if handler is not None else ():
                # None is a handler that some library has set past Python.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def ignore(names=STOP + SAVE):
    """Ignore signals from now on."""
    for number in _present(names):
        signal.signal(number, signal.SIG_IGN)


def _present(names):
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class Asked:
    """What signals have asked for: `stop` and `save`, either of which may be set at any moment."""

    def __init__(self):
        self.stop = self.save = False

    def _stop(self, number, frame):
        if self.stop and number == signal.SIGINT:
            # Who presses Ctrl-C twice does not want to wait for a checkpoint.
            raise KeyboardInterrupt
        self.stop = True

    def _save(self, number, frame):
        self.save = True


@contextlib.contextmanager
def noted():
    """Provide an `Asked` in which signals are noted, instead of dying of them mid-step.

    Left without an exception, it raises the interrupt that nobody has seen to.
    """
    asked = Asked()
    with handling(asked._stop, asked._save):
        yield asked
    if asked.stop:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible():
    """A context in which every signal to stop is an interrupt, and one to save does no harm.

    Interrupts come once, so that the second signal of a batch system does not cut short what the first
    one has begun: the writing of checkpoints. A second Ctrl-C does.
    """
    stopping = False

    def stop(number, frame):
        nonlocal stopping
        if not stopping or number == signal.SIGINT:
            stopping = True
            raise KeyboardInterrupt

    with handling(stop, lambda number, frame: None):
        yield
