"""A sweep on a real Dask cluster: a scheduler and two workers on loopback, one of them killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from featlearn.commands import main
from featlearn.recording.files import read_json
from featlearn.sweeps.results import load_results

pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and the processes of its two workers."""
    place, environment = tmp_path / "cluster", {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    place.mkdir()
    log = open(place / "log", "w")

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env=environment,
            stdout=log,
            stderr=log,
        )

    local = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = start("scheduler", *local, "--port", "0", "--scheduler-file", place / "file")
    _wait((place / "file").exists)
    address = read_json(place / "file")["address"]
    workers = [
        start(
            "worker", address, *local, "--no-nanny", "--nthreads", "1", "--local-directory", place
        )
        for _ in range(2)
    ]
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()
    log.close()


def _wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sweep_survives_a_worker(small, tmp_path, cluster, monkeypatch, capsys):
    address, workers = cluster
    out = tmp_path / "sweep"
    small.replace(record_every=10).save(tmp_path / "base.toml")
    seeds = range(8)
    killed = []

    def kill_a_busy_worker(self, done, failed, left):
        if done >= 2 and not killed:
            running = [read_json(path) for path in (out / "runs").glob("*/status.json")]
            busy = {status["process"] for status in running if status["status"] == "running"}
            worker = next((w for w in workers if w.pid in busy), workers[0])
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.wait())

    monkeypatch.setattr("featlearn.commands.sweep.SweepProgress.__call__", kill_a_busy_worker)
    command = ["sweep", "--config", str(tmp_path / "base.toml"), "--out", str(out)]
    command += ["--scheduler", address, "--grid", "seed=" + ",".join(map(str, seeds))]
    assert main(command) == 0, capsys.readouterr().err
    assert killed == [-signal.SIGKILL]
    table = load_results(out / "results.csv")
    assert list(table["seed"]) == list(seeds)
    assert set(table["status"]) == {"complete"}
    processes = {read_json(p)["process"] for p in (out / "runs").glob("*/status.json")}
    assert processes == {worker.pid for worker in workers}


def test_no_scheduler_there_is_one_clear_line(tmp_path, capsys):
    command = ["sweep", "--out", str(tmp_path), "--grid", "seed=0", "--scheduler"]
    assert main([*command, "nonsense://x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
