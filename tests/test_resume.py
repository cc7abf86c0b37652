"""Stopped anywhere, in any way, a run goes on to the same bytes; and so it is run in any other way."""

import errno
import json
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import training_processes

import featlearn
from featlearn import RunDirectoryError, loop
from featlearn.compute import interrupts
from featlearn.errors import WriteFailed
from featlearn.recording import files as run_files
from featlearn.recording import rows, rundir, trajectory
from featlearn.recording.rundir import read_status
from featlearn.recording.trajectory import quantities

ROWS = 51


@pytest.fixture(scope="module")
def experiment():
    return featlearn.Experiment(
        n_features=4,
        n_inputs=16,
        n_neurons=6,
        batch_size=70,
        n_steps=100,
        learning_rate=1.0,
        stage_one_growth=1.2,
        bias_growth=1.02,
        bias_cap=0.6,
        record_every=2,
    )


def contents(directory):
    """What must be equal to the last bit: the trajectory files, kept states and the final state."""
    files = {
        p.name: p.read_bytes()
        for folder in ("trajectory", "checkpoints")
        for p in sorted((directory / folder).iterdir())
    }
    with np.load(directory / "checkpoint.npz") as checkpoint:
        return files | {name: checkpoint[name].tobytes() for name in checkpoint.files}


@pytest.fixture(scope="module")
def uninterrupted(experiment, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "uninterrupted"
    featlearn.train(experiment, directory)
    return contents(directory)


def status(directory):
    return json.loads((directory / "status.json").read_text())["status"]


def test_killed_at_random_moments(experiment, uninterrupted, tmp_path):
    """At least 20 times, several in the life of one run, in the middle of whatever it does."""
    rng = np.random.default_rng()
    longest = 0.1
    kills = inside = 0
    for number in range(20):
        directory = tmp_path / str(number)
        code = -signal.SIGPROF
        while code:
            process = training_processes.start(
                experiment, directory, die_after=rng.uniform(0, longest)
            )
            code = training_processes.end(process)
            assert code in (0, -signal.SIGPROF)
            kills += code != 0
            inside += (directory / "status.json").exists() and status(directory) == "running"
            # About five starts each, however long a start takes here.
            longest *= 1.15 if code else 0.5
        assert contents(directory) == uninterrupted
        if kills >= 20 and inside >= 8:
            return
    raise AssertionError(f"{kills} kills, {inside} of a run under way")


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_interrupted_and_terminated(experiment, uninterrupted, tmp_path, number):
    directory = tmp_path / "run"
    process = training_processes.start(experiment, directory, checkpoint=1e9)
    while not (directory / "status.json").exists():
        time.sleep(0.002)
    os.kill(process.pid, number)
    assert training_processes.end(process) == 130
    assert status(directory) == "interrupted"
    stopped = featlearn.load_run(directory)
    assert 0 <= len(stopped) < ROWS
    run = featlearn.train(None, directory, resume=True)
    assert contents(directory) == uninterrupted and status(directory) == "complete"
    assert len(run) == ROWS and run.steps[-1] == 100


def test_a_signal_in_the_last_step_is_not_lost(experiment, tmp_path):
    def at_the_end(row):
        if row["step"] == experiment.n_steps:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(experiment, tmp_path / "run", progress=at_the_end)
    assert status(tmp_path / "run") == "complete"


def test_a_signal_is_seen_to_wherever_it_falls_between_two_steps(
    experiment, uninterrupted, tmp_path, monkeypatch
):
    """Here while the time is looked at, between the two questions whether to stop."""
    looks = []

    def clock():
        looks.append(None)
        if len(looks) == 40:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", SimpleNamespace(monotonic=clock))
        with pytest.raises(KeyboardInterrupt):
            featlearn.train(experiment, directory)
    assert status(directory) == "interrupted"
    assert read_status(directory)["step"] > 30
    featlearn.train(experiment, directory, resume=True)
    assert contents(directory) == uninterrupted


def test_a_signal_after_the_last_step_is_not_lost(experiment, tmp_path, monkeypatch):
    """Here while the handlers are put back, of which the first two calls have put ours."""
    calls = []

    def install(number, handler):
        calls.append(number)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return signal.signal(number, handler)

    replaced = SimpleNamespace(**{**vars(signal), "signal": install})
    monkeypatch.setattr(interrupts, "signal", replaced)
    monkeypatch.setattr(interrupts, "STOP", ("SIGINT", "SIGTERM"))
    monkeypatch.setattr(interrupts, "SAVE", ())
    with pytest.raises(KeyboardInterrupt):
        featlearn.train(experiment, tmp_path / "run")
    assert status(tmp_path / "run") == "complete"


def interrupted(experiment, directory, at=60):
    """A run directory stopped at a step, with its rows written."""

    def stop(row):
        if row["step"] == at:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(experiment, directory, progress=stop)
    return directory


@pytest.mark.parametrize("odd", (0, 59, 60, 99))
def test_stopped_between_recorded_steps(experiment, uninterrupted, tmp_path, odd):
    every = experiment.replace(record_every=1)
    directory = interrupted(every, tmp_path / "every", at=odd)
    assert len(featlearn.load_run(directory)) == odd + 1
    featlearn.train(every, directory, resume=True)
    featlearn.train(every, tmp_path / "whole")
    assert contents(directory) == contents(tmp_path / "whole")


def test_rows_that_the_checkpoint_does_not_cover_are_made_again(
    experiment, uninterrupted, tmp_path
):
    """Whole rows ahead of the checkpoint, then a torn one."""
    directory = interrupted(experiment, tmp_path / "run")
    for name, (shape, dtype) in quantities(experiment).items():
        path = directory / "trajectory" / f"{name}.npy"
        array = np.load(path)
        extra = np.full((5, *shape), 7, dtype)
        header = path.read_bytes()[:192].replace(b"(%d," % len(array), b"(%d," % (len(array) + 5))
        path.write_bytes(header + array.tobytes() + extra.tobytes() + b"\x01\x02\x03")
        assert len(np.load(path)) == len(array) + 5
    featlearn.train(None, directory, resume=True)
    assert contents(directory) == uninterrupted


class FullDisk:
    """Lets a number of bytes through and then half a block, as a full disk does."""

    def __init__(self, free):
        self.free = free

    def write_all(self, file, data):
        if len(data) > self.free:
            file.write(bytes(data)[: self.free])
            self.free = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        self.free -= len(data)
        file.write(data)


@pytest.mark.parametrize("large", (64, 1 << 14))
@pytest.mark.parametrize("free", (0, 1000, 5000, 20000))
def test_a_disk_full_in_the_middle_of_a_row(
    experiment, uninterrupted, tmp_path, monkeypatch, free, large
):
    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(trajectory, "FLUSH_SECONDS", 0.0)
        patch.setattr(trajectory, "LARGE_BYTES", large)
        patch.setattr(rows, "_write_all", FullDisk(free).write_all)
        with pytest.raises((WriteFailed, RunDirectoryError), match="No space left on device"):
            featlearn.train(experiment, directory)
    featlearn.train(experiment, directory, resume=True)
    assert contents(directory) == uninterrupted


def test_a_disk_full_in_the_middle_of_a_checkpoint(
    experiment, uninterrupted, tmp_path, monkeypatch
):
    directory, written = tmp_path / "run", []

    def fails_later(path, data, sync=True):
        if path.name == "checkpoint.npz":
            written.append(path)
        if len(written) > 3:
            path.with_name(path.name + ".new").write_bytes(data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data, sync)

    real = run_files.write_aside
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(run_files, "write_aside", fails_later)
        with pytest.raises(WriteFailed, match="No space left on device"):
            featlearn.train(experiment, directory)
    assert len(featlearn.load_run(directory)) > 0
    featlearn.train(experiment, directory, resume=True)
    assert contents(directory) == uninterrupted


def test_files_that_may_not_grow(experiment, uninterrupted, tmp_path):
    """The operating system's own refusal, in a real process."""
    every = experiment.replace(record_every=1)
    directory = tmp_path / "run"
    assert (
        training_processes.end(training_processes.start(every, directory, largest_file=6000)) == 2
    )
    assert 0 < len(featlearn.load_run(directory)) < 101
    assert training_processes.end(training_processes.start(every, directory)) == 0
    featlearn.train(every, tmp_path / "whole")
    assert contents(directory) == contents(tmp_path / "whole")


def test_the_same_bytes_however_it_is_run(experiment, uninterrupted, tmp_path, monkeypatch):
    in_memory = featlearn.train(experiment, progress=lambda row: None)
    assert in_memory.weights.tobytes() == uninterrupted["weights"]
    for name, array in in_memory.arrays.items():
        assert array.tobytes() == uninterrupted[f"{name}.npy"][192:]
    for threads in (1, 2, 3):
        monkeypatch.setattr(featlearn.threads, "thread_count", lambda threads=threads: threads)
        directory = tmp_path / f"threads-{threads}"
        featlearn.train(experiment, directory)
        assert contents(directory) == uninterrupted
    state = featlearn.init(experiment)
    for _ in range(experiment.n_steps):
        state = featlearn.step(state)
    assert state.weights.tobytes() == uninterrupted["weights"]


def test_recording_less_changes_nothing_that_is_recorded(experiment, uninterrupted):
    sparse = featlearn.train(experiment.replace(record_every=30))
    np.testing.assert_array_equal(sparse.steps, [0, 30, 60, 90, 100])
    whole = np.frombuffer(uninterrupted["alignment.npy"][192:], np.float32).reshape(ROWS, 6, 4)
    np.testing.assert_array_equal(sparse["alignment"], whole[[0, 15, 30, 45, 50]])


def test_rows_are_readable_while_another_process_writes(experiment, uninterrupted, tmp_path):
    directory = tmp_path / "run"
    process = training_processes.start(experiment, directory)
    counts, final = [], None
    whole = np.frombuffer(uninterrupted["alignment.npy"][192:], np.float32).reshape(ROWS, 6, 4)
    while process.is_alive() or final is None:
        if not (directory / "checkpoint.npz").exists():
            continue
        if not process.is_alive():
            final = True
        rows = np.load(directory / "trajectory" / "alignment.npy", mmap_mode="r")
        np.testing.assert_array_equal(rows, whole[: len(rows)])
        run = featlearn.load_run(directory)
        assert len(run["loss"]) == len(run["alignment"]) == len(run)
        np.testing.assert_array_equal(run.steps, 2 * np.arange(len(run)))
        counts.append(len(rows))
    assert training_processes.end(process) == 0
    assert counts == sorted(counts) and counts[-1] == ROWS
    assert len(set(counts)) > 3, "it was read while it grew"


def test_a_reader_keeps_its_rows_through_a_resume(experiment, tmp_path):
    directory = interrupted(experiment, tmp_path / "run")
    held = np.load(directory / "trajectory" / "alignment.npy", mmap_mode="r")
    before = np.array(held)
    featlearn.train(None, directory, resume=True)
    np.testing.assert_array_equal(held, before)


def test_two_processes_on_one_directory(experiment, tmp_path):
    directory = tmp_path / "run"
    first = training_processes.start(experiment.replace(n_steps=100000), directory)
    while not (directory / "status.json").exists():
        time.sleep(0.002)
    for resume in (True, False):
        before = (directory / "config.json").read_bytes()
        with pytest.raises(RunDirectoryError) as caught:
            featlearn.train(experiment.replace(n_steps=100000), directory, resume=resume)
        wanted = "another process is writing" if resume else "is not an empty directory"
        assert wanted in str(caught.value)
        assert (directory / "config.json").read_bytes() == before
    assert first.is_alive()
    first.kill()
    training_processes.end(first)
    # The dead process holds nothing.
    place = rundir.RunDirectory(directory, None, resume=True)
    with place:
        assert place.start().step >= 0


def test_a_lock_file_alone_does_not_block(experiment, tmp_path):
    (tmp_path / "lock").write_text("")
    (tmp_path / "config.json.new").write_text("{")
    featlearn.train(experiment.replace(n_steps=2), tmp_path)


def test_killed_before_its_first_checkpoint(experiment, uninterrupted, tmp_path):
    directory = tmp_path / "run"
    featlearn.train(experiment, directory)
    for name in ("checkpoint.npz", "status.json"):
        (directory / name).unlink()
    for path in (directory / "trajectory").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    featlearn.train(None, directory, resume=True)
    assert contents(directory) == uninterrupted


def test_a_complete_run_is_loaded_not_run_again(experiment, tmp_path):
    featlearn.train(experiment, tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    run = featlearn.train(None, tmp_path / "run", resume=True)
    assert len(run) == ROWS
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_a_resume_under_other_versions_says_so(experiment, tmp_path):
    directory = interrupted(experiment, tmp_path / "run")
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["versions"]["numpy"] = "1.0.0"
    config["blas_threads"] = 99
    path.write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="numpy 1.0.0, now .*; BLAS threads 99, now"):
        featlearn.train(None, directory, resume=True)


def test_divergence_names_the_step_and_keeps_what_was_recorded(experiment, tmp_path):
    wild = experiment.replace(learning_rate=1e6, temperature=0.01)
    with pytest.raises(featlearn.TrainingDiverged) as caught:
        featlearn.train(wild, tmp_path / "run")
    run = featlearn.load_run(tmp_path / "run")
    assert status(tmp_path / "run") == "failed"
    assert f"at step {caught.value.step}:" in str(caught.value)
    assert len(run) >= 1 and caught.value.step >= run.steps[-1]
    assert all(np.isfinite(run[name]).all() for name in run.arrays)
    assert np.isfinite(run.weights).all()


def test_files_that_a_killed_process_had_not_finished_go(experiment, tmp_path):
    left = [tmp_path / "run/config.json.ab.new", tmp_path / "run/checkpoints/4.npz.cd.new"]
    featlearn.train(experiment, tmp_path / "run", until=lambda state: state.step == 20)
    for path in left:
        path.write_bytes(b"PK")
    featlearn.train(None, tmp_path / "run", resume=True)
    assert not any(path.exists() for path in left)
