"""Worker processes: started from anywhere, and without shared memory, a main guard, or the right directory."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import BrokenExecutor

import pytest

from featlearn.compute import workers
from featlearn.compute.workers import OwnWorkers


def test_calls_come_back_with_what_they_return_or_raise():
    with OwnWorkers(1) as own:
        (executor,) = own.executors
        path, number, missing, printed, pid = [
            executor.submit(*call)
            for call in (
                (os.path.join, "a", "b"),
                (int, "x"),
                (os._exit, 3),
                (print, "by the way"),
                (os.getpid,),
            )
        ]
        assert path.result() == os.path.join("a", "b")
        with pytest.raises(ValueError, match="invalid literal"):
            number.result()
        with pytest.raises(BrokenExecutor, match="has ended with 3"):
            missing.result()
        # A new process is in the place of the one that ended, and what it prints is in nobody's way.
        assert printed.result() is None
        assert pid.result() == own.processes[0] != os.getpid()
        assert executor.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
    with pytest.raises(RuntimeError, match="told to end"):
        executor.submit(os.getpid)


def test_what_has_not_begun_when_the_workers_end_is_cancelled():
    with OwnWorkers(1) as own:
        executor = own.executors[0]
        first = executor.submit(os.getpid)
        assert first.result()
        executor.end()
        executor.join()
        assert own.processes == []


SCRIPT = """
    import multiprocessing, os, shutil, sys
    # No semaphores, as without /dev/shm: whoever wants one fails.
    sys.modules["_multiprocessing"] = None
    from featlearn import Experiment
    from featlearn.sweeps.sweep import grid, sweep

    print("once")
    experiment = Experiment(n_features=4, n_inputs=16, n_neurons=6, batch_size=8, n_steps=3, bias_cap=.7)

    def train(out, seeds):
        rows = sweep(grid(experiment, {"seed": seeds}), out, workers=2, check=False)
        print(*(row["status"] for row in rows), flush=True)

    out = sys.argv[1]
    train(out + "/script", [0, 1])
    # In the worker of some pool.
    inside = multiprocessing.get_context("fork").Process(target=train, args=(out + "/inside", [0]))
    inside.daemon = True
    inside.start()
    inside.join()
    # From a working directory that is gone.
    os.mkdir(out + "/gone")
    os.chdir(out + "/gone")
    os.rmdir(out + "/gone")
    train(out + "/gone-from", [0])
    try:
        train("relative", [0])
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process")
def test_a_sweep_from_a_script_without_a_main_guard(tmp_path):
    """Also inside another process's worker, without semaphores, and beside modules of standard names."""
    beside = tmp_path / "beside"
    beside.mkdir()
    for name in ("random", "signal", "queue", "types"):
        (beside / f"{name}.py").write_text("raise RuntimeError('not the standard one')\n")
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        cwd=beside,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    wanted = ["once", "complete complete", "complete", "complete", "RunDirectoryError"]
    assert done.stdout.splitlines() == wanted


def test_the_interpreter_finds_what_this_process_finds_and_nothing_else(tmp_path):
    (tmp_path / "signal.py").write_text("raise RuntimeError('not the standard one')\n")
    command = workers.interpreter("featlearn.errors", "FeatlearnError", "x")
    assert subprocess.run(command, cwd=tmp_path, timeout=60).returncode == 0
