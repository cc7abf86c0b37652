"""Sweeps: grids, executors, failures, what a second call costs, and the table."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import featlearn
from featlearn import Experiment, InvalidInput, RunDirectoryError, load_run, train
from featlearn.commands import main
from featlearn.compute.workers import OwnWorkers
from featlearn.recording.files import read_json
from featlearn.recording.rundir import read_status
from featlearn.sweeps.results import load_results
from featlearn.sweeps.sweep import grid, load_grid, sweep
from featlearn.theory import at_most
from featlearn.theory.predictions.crossing import noise_margin


class Inline:
    """The least an executor can be: it runs what it is given at once, and counts the runs."""

    def __init__(self):
        self.submitted = 0

    def submit(self, function, points, *more):
        self.submitted += len(points)
        return Answer(function(points, *more))


class Answer:
    def __init__(self, value):
        self._value = value

    def result(self):
        return self._value


@pytest.fixture
def base(small):
    return small.replace(n_steps=60, record_every=5, temperature=2.0)


def test_grid_takes_every_combination(base):
    points = grid(base, {"temperature": [1, 2], "seed": [0, 1, 2]})
    assert len(set(points)) == 6
    assert [(e.temperature, e.seed) for e in points[:4]] == [(1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_bad_point_is_refused_before_anything_runs(base):
    with pytest.raises(InvalidInput, match="temperature: got -1"):
        grid(base, {"temperature": [1, -1]})
    with pytest.raises(InvalidInput, match="n_featurs"):
        grid(base, {"n_featurs": [8]})


def test_grid_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        '[base]\npreset = "tiny"\ndensity = 0.1\n[grid]\nbias_growth = ["none", 1.5]\nseed = [3]\n'
    )
    base, axes = load_grid(path)
    assert base.density == 0.1
    assert axes == {"bias_growth": [None, 1.5], "seed": [3]}
    path.write_text("[grids]\nseed = [3]\n")
    with pytest.raises(InvalidInput, match="grid file"):
        load_grid(path)


def test_more_points_and_seeds_cost_only_the_new_ones(base, tmp_path):
    counts = []
    for axes in (
        {"seed": [0]},
        {"seed": [0]},
        {"seed": [0, 1]},
        {"seed": [0, 1], "temperature": [2.0, 3.0]},
    ):
        executor = Inline()
        rows = sweep(grid(base, axes), tmp_path, executor, workers=1)
        counts.append(executor.submitted)
        assert all(row["status"] == "complete" for row in rows)
    assert counts == [1, 0, 1, 2]
    table = load_results(tmp_path / "results.csv")
    assert sorted(zip(table["seed"], table["temperature"])) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_the_table_opens_in_numpy_and_in_plain_csv(base, tmp_path):
    points = grid(base.replace(bias_growth=None), {"learning_rate": [1.0, 1e30], "seed": [0, 1]})
    rows = sweep(points, tmp_path, Inline(), workers=1)
    assert [row["status"] for row in rows] == ["complete"] * 2 + ["diverged"] * 2
    table = load_results(tmp_path / "results.csv")
    assert list(table["status"]) == [row["status"] for row in rows]
    assert np.isnan(table["growth"][2:]).all() and np.isfinite(table["growth"][:2]).all()
    assert table["growth"][0] == rows[0]["measures"]["growth"]
    assert table["noise_margin"][0] == noise_margin(points[0])
    assert table["verdicts_hold"][0] > table["verdicts_fail"][0]
    assert table["bias_growth"][0] == 1 + 1.0 / base.n_features
    assert "is not finite" in table["error"][2]
    text = (tmp_path / "results.csv").read_text()
    assert '"' not in text and "#" not in text
    widths = {len(line) for line in csv.reader(text.splitlines())}
    assert widths == {len(table.dtype.names)}
    # What diverged once diverges again: a second call leaves it.
    again = Inline()
    sweep(points, tmp_path, again, workers=1)
    assert again.submitted == 0


def test_a_failed_run_is_recorded_and_tried_again(base, tmp_path):
    points = grid(base, {"seed": [0, 1]})
    first = sweep(points, tmp_path, Inline(), workers=1, trajectories=False)
    assert not (tmp_path / "runs").exists()
    # A file where a run directory should be breaks that run alone.
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / first[0]["run"]).write_text("in the way")
    counts = []
    rows = sweep(points, tmp_path, Inline(), workers=1, progress=lambda *c: counts.append(c))
    assert [row["status"] for row in rows] == ["failed", "complete"]
    assert first[0]["run"] in rows[0]["error"]
    assert counts[0] == (0, 0, 2) and counts[-1] == (1, 1, 0)
    (tmp_path / "runs" / first[0]["run"]).unlink()
    again = Inline()
    rows = sweep(points, tmp_path, again, workers=1)
    assert again.submitted == 1
    assert [row["status"] for row in rows] == ["complete", "complete"]
    # What a check judges of files, it judges of a recorded run only.
    for row, before in zip(rows, first):
        found = {name: value for name, value in row["measures"].items() if "verdicts" not in name}
        np.testing.assert_equal(found, {name: before["measures"][name] for name in found})


def test_an_unfinished_run_is_resumed(base, tmp_path):
    (whole,) = sweep([base], tmp_path / "whole", Inline())

    class Stops(Inline):
        def submit(self, function, points, *more):
            [(fields, directory)] = points

            # What a killed worker leaves: a run directory in the middle of its run.
            def stop(row):
                if row["step"] == 30:
                    raise MemoryError

            with pytest.raises(MemoryError):
                train(Experiment.from_dict(fields), directory, progress=stop)
            return super().submit(function, points, *more)

    (row,) = sweep([base], tmp_path / "stopped", Stops())
    np.testing.assert_equal(row["measures"], whole["measures"])
    assert len(load_run(tmp_path / "stopped" / "runs" / row["run"])) == 13


def test_processes_give_the_same_rows_and_a_killed_one_loses_nothing(base, tmp_path, monkeypatch):
    points = grid(base, {"seed": [0, 1, 2, 3]})
    expected = sweep(points, tmp_path / "inline", ThreadPoolExecutor(1), trajectories=False)
    killed, entered = [], []
    enter = OwnWorkers.__enter__
    monkeypatch.setattr(OwnWorkers, "__enter__", lambda self: entered.append(self) or enter(self))

    def kill_one(done, failed, left):
        if done and not killed:
            killed.append(entered[0].processes[0])
            os.kill(killed[0], signal.SIGKILL)

    rows = sweep(points, tmp_path / "processes", workers=2, progress=kill_one)
    assert killed
    assert [row["status"] for row in rows] == ["complete"] * 4
    for row, other in zip(rows, expected):
        # Not to the bit: the threads of BLAS may differ here and there.
        assert row["measures"]["growth"] == pytest.approx(other["measures"]["growth"], rel=1e-3)
        config = read_json(tmp_path / "processes" / "runs" / row["run"] / "config.json")
        assert config["blas_threads"] == 1


def test_an_executor_that_gives_up_still_ends_with_every_row(base, tmp_path):
    class Broken(Inline):
        def submit(self, function, points, *more):
            if 1 in [fields["seed"] for fields, _ in points]:
                raise RuntimeError("no worker, is left")
            return super().submit(function, points, *more)

    rows = sweep(grid(base, {"seed": [0, 1, 2]}), tmp_path, Broken(), workers=2)
    assert [row["status"] for row in rows] == ["complete", "failed", "complete"]
    assert load_results(tmp_path / "results.csv")["error"][1].endswith("no worker; is left")


def test_two_sweeps_do_not_write_one_directory(base, tmp_path):
    class Nested(Inline):
        def submit(self, function, *arguments):
            with pytest.raises(RunDirectoryError, match="another sweep"):
                sweep([base], tmp_path, Inline())
            return super().submit(function, *arguments)

    (row,) = sweep([base], tmp_path, Nested())
    assert row["status"] == "complete"


def test_an_interrupt_that_wakes_nobody_ends_the_sweep(base, tmp_path):
    ended, outlasted = threading.Event(), []

    class Never(Inline):
        def submit(self, function, *arguments):
            time.sleep(0.5)
            # Taken by this thread, the signal leaves the waiting one asleep.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            outlasted.append(not ended.wait(30))
            return super().submit(function, *arguments)

    with pytest.raises(KeyboardInterrupt):
        sweep([base], tmp_path, Never())
    assert not outlasted
    ended.set()


def test_a_table_of_rows_that_were_read_back_is_the_same_text(base, tmp_path):
    points = grid(base.replace(n_steps=2), {"seed": [0, 1]})
    sweep(points, tmp_path, Inline(), check=False)
    text = (tmp_path / "results.csv").read_text()
    sweep(points, tmp_path, Inline(), check=False)
    assert (tmp_path / "results.csv").read_text() == text


def test_the_command(base, tmp_path, capsys):
    base.save(tmp_path / "base.toml")
    command = ["sweep", "--config", str(tmp_path / "base.toml"), "--out", str(tmp_path)]
    assert main([*command, "--grid", "seed=0,1", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path}/results.csv\n"
    assert said.err == "2 runs complete, 0 failed\n"
    assert len(load_results(tmp_path / "results.csv")) == 2
    assert main(["sweep", "--out", str(tmp_path)]) == 2
    assert main(["sweep", "--out", str(tmp_path), "--grid", "seed"]) == 2
    assert main(["sweep", "--out", str(tmp_path), "--grid", "seed=1,x"]) == 2
    capsys.readouterr()
    assert main(["sweep", "--out", str(tmp_path), "--grid", "tau=1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupted_command_keeps_its_rows_and_goes_on(base, tmp_path):
    base.save(tmp_path / "base.json")
    command = [sys.executable, "-m", "featlearn", "sweep", "--config", tmp_path / "base.json"]
    command += ["--grid", "n_steps=20,100000", "--workers", "2", "--out", tmp_path]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while (
        not list((tmp_path / "rows").glob("*.json"))
        or len(list((tmp_path / "runs").glob("*/checkpoint.npz"))) < 2
    ):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("the same command continues the sweep\nfeatlearn: interrupted\n")
    table = load_results(tmp_path / "results.csv")
    assert list(table["n_steps"]) == [20]
    (directory,) = [p for p in (tmp_path / "runs").iterdir() if "100000" in p.name]
    status = read_status(directory)
    assert status["status"] == "interrupted" and status["step"] > 0


@pytest.mark.parametrize(
    "change",
    (
        lambda row: row.clear(),
        lambda row: row["measures"].update(growth=None),
        lambda row: row["measures"].update(growth="much"),
        lambda row: row.update(measures=[1]),
        lambda row: row.update(experiment={}) or row["experiment"].update(seed=-1),
        lambda row: row.update(experiment=None),
        lambda row: row.update(run="another"),
        lambda row: row.update(status=3),
    ),
)
def test_a_damaged_row_is_one_line(base, tmp_path, capsys, change):
    experiment = base.replace(n_steps=2)
    sweep([experiment], tmp_path, Inline(), check=False)
    (path,) = (tmp_path / "rows").iterdir()
    row = json.loads(path.read_text())
    change(row)
    path.write_text(json.dumps(row))
    with pytest.raises(RunDirectoryError, match="is no row of a sweep") as caught:
        sweep([experiment], tmp_path, Inline())
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_rows_that_a_killed_process_had_not_finished_go(base, tmp_path):
    left = tmp_path / "rows" / "x.json.ab.new"
    left.parent.mkdir()
    left.write_text("{")
    sweep([base.replace(n_steps=1)], tmp_path, Inline(), check=False)
    assert not left.exists()


def largest(state, batch, gradient):
    return float(np.abs(state.alignment).max())


@featlearn.claim("a lemma")
def holds(observed):
    return at_most("a lemma", "1", 2, [1.0], "it is")


@featlearn.claim("a lemma")
def fails(observed):
    return at_most("a lemma", "3", 2, [3.0], "it is not")


@featlearn.claim("T1")
def taken(observed):
    return at_most("T1", "1", 2, [1.0], "it is")


@pytest.mark.parametrize(
    ("options", "name"),
    (
        ({"record": {"growth": largest}}, "growth"),
        ({"record": {"T2": largest}}, "T2"),
        ({"record": {"seed": largest}}, "seed"),
        ({"record": {"a_lemma": largest}, "claims": [holds]}, "a_lemma"),
        ({"claims": [taken]}, "T1"),
    ),
)
def test_no_column_of_ones_own_takes_the_place_of_another(base, tmp_path, options, name):
    [row] = sweep(base.replace(n_steps=3), tmp_path, Inline(), **options)
    assert row["status"] == "failed" and f"sweep: got '{name}', wants another name" in row["error"]


def test_claims_of_one_name_share_a_column(base, tmp_path):
    [row] = sweep(base.replace(n_steps=3), tmp_path, Inline(), claims=[holds, fails])
    assert row["measures"]["a_lemma"] == 0.5
