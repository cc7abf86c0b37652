"""Worker processes on this machine: fresh interpreters of one BLAS thread each, replaced if they die.

A worker reads calls from its standard input and writes what they return to its standard output. It needs
nothing else of the system: no shared memory, no semaphores, no fork. So it works on every platform and
inside the workers of another pool, and it never imports the script that started it.
"""

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor, Future

from ..errors import FeatlearnError
from . import interrupts
from .threads import BLAS_THREADS

_LENGTH_BYTES = 8


class OwnWorkers:
    """A context of n worker processes, each behind an executor of its own.

    A worker that dies takes only its own run with it, and the next call starts a new one. Left by an
    exception, the context asks the workers to end, upon which a recorded run writes a checkpoint. The
    warning of a batch system is passed on to them.

    Parameters
    ----------
    n : int ≥ 0

    Attributes
    ----------
    executors : list
        Each with ``submit(function, *arguments)``, which returns a `concurrent.futures.Future`. The
        function must be importable by its name; a future whose worker died raises BrokenExecutor.
    """

    def __init__(self, n):
        self._n = n
        self._exit = contextlib.ExitStack()

    @staticmethod
    def default():
        """Number of processors this process may run on."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def processes(self):
        """Process numbers of the workers that have been started and not yet been missed."""
        return [worker.process.pid for worker in self.executors if worker.process is not None]

    def __enter__(self):
        self.executors = [_Worker() for _ in range(self._n)]
        self._exit.enter_context(interrupts.handling(save=self._pass_on))
        return self

    def _pass_on(self, number, frame):
        for worker in self.executors:
            worker.send_signal(number)

    def __exit__(self, kind, *exception):
        self._exit.close()
        for worker in self.executors:
            worker.end(terminate=kind is not None)
        for worker in self.executors:
            worker.join()


def interpreter(module, function, *arguments):
    """Return the command line of a fresh interpreter that calls a function of a module with strings.

    It finds the modules that this process finds, and no others: a file in the working directory that is
    named like a standard module is not in the way.
    """
    if not sys.executable:
        raise FeatlearnError("there is no Python interpreter to start another process with")
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import importlib;"
        f" importlib.import_module({module!r}).{function}(*sys.argv[2:])"
    )
    path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
    return [sys.executable, "-P", "-c", code, path, *arguments]


class _Worker:
    """An executor of one process, which a thread of this one starts, feeds and waits for."""

    def __init__(self):
        self.process = None
        self._calls = queue.SimpleQueue()
        self._lock, self._ended = threading.Lock(), False
        # A daemon, so that an interpreter that ends does not wait for it.
        self._thread = threading.Thread(target=self._feed, name="featlearn worker", daemon=True)
        self._thread.start()

    def submit(self, function, *arguments):
        """Call the function in the worker process; return a Future."""
        with self._lock:
            if self._ended:
                raise RuntimeError("the workers were told to end")
            future = Future()
            self._calls.put((future, pickle.dumps((function, arguments))))
            return future

    def send_signal(self, number):
        """Send a signal to the worker process, if there is one."""
        process = self.process
        if process is not None:
            process.send_signal(number)

    def end(self, terminate=False):
        """Take no more calls; ask the process to end at once, or after the call it is in."""
        with self._lock:
            self._ended = True
            self._calls.put(None)
            if terminate and self.process is not None:
                self.process.terminate()

    def join(self):
        """Wait until the process has ended."""
        self._thread.join()

    def _feed(self):
        _hold_signals()
        while (call := self._calls.get()) is not None:
            future, data = call
            if self._ended:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                returned, value = self._ask(data)
            except Exception as error:
                returned, value = False, error
            (future.set_result if returned else future.set_exception)(value)
        self._dismiss()

    def _ask(self, data):
        with self._lock:
            if self._ended:
                raise BrokenExecutor("the workers were told to end")
            if self.process is None or self.process.poll() is not None:
                self._dismiss()
                self.process = subprocess.Popen(
                    interpreter(__name__, "serve"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, **dict.fromkeys(BLAS_THREADS, "1")},
                )
        process = self.process
        try:
            _send(process.stdin, data)
            return pickle.loads(_receive(process.stdout))
        except (OSError, EOFError):
            self._dismiss()
            raise BrokenExecutor(
                f"worker process {process.pid} has ended with {process.returncode}"
            ) from None

    def _dismiss(self):
        """Close the pipes, upon which a worker ends, and wait for that."""
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
            self.process.wait()
            self.process = None


def _held():
    """Signals that a worker leaves to its parent, or has no handler for while it starts."""
    names = ("SIGINT", "SIGHUP", *interrupts.SAVE)
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _hold_signals():
    """Keep signals from this thread, and from the processes it starts until they are ready."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _held())


def _send(pipe, data):
    pipe.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
    pipe.flush()


def _receive(pipe):
    length = pipe.read(_LENGTH_BYTES)
    data = pipe.read(int.from_bytes(length, "little"))
    if len(length) < _LENGTH_BYTES or len(data) < int.from_bytes(length, "little"):
        raise EOFError
    return data


def serve():
    """Be a worker: make the calls that come, until the parent process closes the pipe or dies."""
    # The parent decides what an interrupt or a closed terminal means.
    interrupts.ignore(("SIGINT", "SIGHUP"))
    with interrupts.handling(save=lambda number, frame: None):
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _held())
        results = os.fdopen(os.dup(1), "wb")
        # What is printed by the way must not get in between the results.
        printed = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2
        os.dup2(printed, 1)
        calls = queue.SimpleQueue()
        reader = threading.Thread(target=_read_calls, args=(calls,), name="featlearn calls")
        reader.start()
        while True:
            answer = _answer(calls.get())
            try:
                _send(results, answer)
            except OSError:
                os._exit(1)


def _read_calls(calls):
    """Read ahead, so that a worker notices at once when its parent is gone, whatever it does."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            calls.put(_receive(sys.stdin.buffer))
    os._exit(0)


def _answer(call):
    """Return (True, result) or (False, exception) of a call, as bytes."""
    try:
        function, arguments = pickle.loads(call)
        return pickle.dumps((True, function(*arguments)))
    except BaseException as error:
        with contextlib.suppress(Exception):
            data = pickle.dumps((False, error))
            pickle.loads(data)
            return data
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
