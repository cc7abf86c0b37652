"""What featlearn does where the system has less: no fork, no locks, no signals, no home, nothing writable."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from featlearn import Experiment, RunDirectoryError
from featlearn.commands import main
from featlearn.commands.watching import Watcher
from featlearn.compute import threads
from featlearn.errors import InvalidInput
from featlearn.images.fastica import fast_ica
from featlearn.sweeps.sweep import sweep

ROOT = Path(__file__).resolve().parent.parent
TINY = Experiment(n_features=4, n_inputs=16, n_neurons=6, batch_size=8, n_steps=6, bias_cap=0.7)

WITHOUT_UNIX = """
    import multiprocessing, os, signal, subprocess, sys, warnings

    missing = {"fcntl", "resource", "termios", "tty", "pwd", "grp", "_multiprocessing"}
    for name in missing:
        sys.modules[name] = None
    for module, names in {
        os: "fork sysconf sched_getaffinity sched_yield killpg getppid setsid".split(),
        signal: "SIGHUP SIGUSR1 SIGUSR2 SIGXCPU SIGALRM pthread_sigmask".split(),
    }.items():
        for name in names:
            delattr(module, name)
    # These ask the real system what it is, once.
    import matplotlib.animation, matplotlib.figure, scipy.integrate, scipy.optimize
    sys.platform = "win32"
    warnings.simplefilter("ignore")

    import featlearn
    from featlearn.commands import main

    codes = []
    folder = sys.argv[1]
    os.chdir(folder)
    config = ["--config", "tiny.toml", "--quiet"]
    for words in (
        ["run", *config, "--out", "runs/a"],
        ["run", "--resume", "runs/a", "--quiet"],
        ["sweep", *config, "--grid", "seed=0,1", "--out", "sweep", "--workers", "2"],
        ["step", "--interactive", "--quiet"],
        ["plot", "runs/a", "--only", "losses", "--format", "png", "--quiet"],
        ["plan", *config, "--no-timing"],
    ):
        codes.append(main(words))
    print("codes", *codes)
"""


def test_commands_do_without_what_only_linux_has(tmp_path):
    """Windows lacks the most; whatever macOS lacks is among it."""
    TINY.save(tmp_path / "tiny.toml")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_UNIX), tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stderr.count("Traceback") == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "codes 0 0 0 0 0 0", done.stdout + done.stderr


@pytest.mark.parametrize("backend", ("module://matplotlib_inline.backend_inline", "tkagg"))
def test_no_figure_depends_on_the_backend_of_pyplot(backend, tmp_path):
    code = (
        "import sys; from featlearn.commands import main; code = main(sys.argv[1:]);"
        "import os; assert 'matplotlib.pyplot' not in sys.modules; print(os.environ['MPLBACKEND']);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "step", "--plot", tmp_path / "update.png", "--quiet"],
        env={
            **os.environ,
            "MPLBACKEND": backend,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            # Of a user without a home.
            "HOME": "/nonexistent",
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == backend
    assert (tmp_path / "update.png").stat().st_size > 10000


def test_a_picture_that_cannot_be_written_is_refused_at_the_door(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match="^--watch: "):
        Watcher(tmp_path / "run", tmp_path)
    with pytest.raises(InvalidInput, match="^--watch: "):
        Watcher(tmp_path / "run", tmp_path / "absent" / "x.png")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InvalidInput, match="that one may write"):
        Watcher(tmp_path / "run", tmp_path / "x.png")


def test_a_picture_that_fails_on_the_way_is_one_line(tmp_path, monkeypatch, capsys):
    from featlearn import train
    from featlearn.commands import watching

    train(TINY, tmp_path / "run")

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watching.os, "replace", refuse)
    watching.watch(tmp_path / "run", tmp_path / "x.png", seconds=0.01)
    assert capsys.readouterr().err == f"{tmp_path}/x.png: is not drawn (No space left on device)\n"


def test_a_working_directory_that_is_gone_is_one_line(tmp_path, capsys):
    home = os.getcwd()
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    try:
        gone.rmdir()
        for words in (["run", "--preset", "tiny"], ["sweep", "--grid", "seed=0", "--out", "x"]):
            assert main(words) in (1, 2)
            assert capsys.readouterr().err.count("\n") == 1
        with pytest.raises(RunDirectoryError, match="cannot be written"):
            sweep([TINY], "relative")
    finally:
        os.chdir(home)


def test_a_test_that_is_skipped_says_why(tmp_path):
    """Where an extra is missing, its tests are named with what they need."""
    text = """
        import pytest

        def test_of_an_extra():
            pytest.importorskip("no_such_package", reason="needs featlearn[no_such_extra]")
    """
    path = tmp_path / "test_extra.py"
    path.write_text(textwrap.dedent(text))
    options = ["-c", str(ROOT / "setup.cfg"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    said = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)], capture_output=True, text=True
    )
    assert said.returncode == 0 and len(said.stdout.splitlines()) < 6
    assert "needs featlearn[no_such_extra]" in said.stdout


def test_atoms_are_found_where_numpy_has_another_blas(monkeypatch):
    monkeypatch.setattr(threads, "_blas", lambda: None)
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(2000, 3)).astype(np.float32)
    sources /= sources.std(axis=0)
    _, converged = fast_ica(sources, rng)
    assert converged


def test_a_call_that_fails_waits_for_its_threads(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    ended = []

    def work(piece):
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("broken")
        time.sleep(0.1)
        ended.append(piece)

    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="broken"):
        while not ended and time.monotonic() - begun < 10:
            threads.for_each(work, range(2))
    assert len(ended) == 1


def test_threads_expect_the_overflow_that_their_caller_expects(monkeypatch, recwarn):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    both = threading.Barrier(2, timeout=10)

    def overflow(piece):
        both.wait()
        return np.exp(np.float32([piece]))

    with np.errstate(over="ignore"):
        found = threads.for_each(overflow, (1000, 2000))
    assert np.isinf(found).all() and not recwarn.list
