"""A run made by several processes: the same bits, and no process left behind however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from training_processes import share_among

import featlearn
from featlearn import loop
from featlearn.compute import processes, threads
from featlearn.errors import ProcessLost

OTHER_THREADS = processes.other_threads
pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="process groups need Linux"
)


@pytest.fixture(params=(2, 3))
def shared(request, monkeypatch):
    """Every array is worth sharing out among so many processes, and processors are to be had."""
    started = share_among(request.param, monkeypatch)
    yield started
    assert not any(alive(process) for process in started)


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def arrays(run):
    return {"weights": run.weights, **{name: np.asarray(run[name]) for name in run.arrays}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": "none", "dtype": "float64"},
        {"stop_gradient": False},
        {"negatives": 30, "stop_gradient": False, "batch_size": 130},
        {"negatives": 170, "augmentation": "correlated_noise", "record_every": 7},
    ],
)
def test_a_process_group_makes_the_same_bits_as_threads(shared, small, changes, monkeypatch):
    experiment = small.replace(n_steps=25, **changes)
    together = arrays(featlearn.train(experiment))
    assert len(shared) == threads.thread_count() - 1
    monkeypatch.setattr(processes, "LARGEST", 1)
    alone = arrays(featlearn.train(experiment))
    assert len(shared) == threads.thread_count() - 1
    for name, values in alone.items():
        np.testing.assert_array_equal(together[name], values, err_msg=name)


def what_is_there(state, batch, gradient):
    return np.concatenate([gradient.weights, batch.views.anchors, batch.sample.noise])


def test_what_is_recorded_as_a_group_stops_is_of_the_step_that_stops_it(shared, small, monkeypatch):
    # The stop is off the steps that are recorded anyway, and the leader alone can tell it.
    here = os.getpid()
    options = {
        "record": {"there": featlearn.Record(what_is_there, samples=True)},
        "until": lambda state: os.getpid() == here and state.step == 10,
    }
    experiment = small.replace(n_steps=25, record_every=7)
    together = featlearn.train(experiment, **options)
    assert len(shared) == threads.thread_count() - 1
    assert list(together.steps) == [0, 7, 10]
    monkeypatch.setattr(processes, "LARGEST", 1)
    alone = arrays(featlearn.train(experiment, **options))
    for name, values in arrays(together).items():
        np.testing.assert_array_equal(values, alone[name], err_msg=name)


def test_helpers_wait_until_a_step_is_recorded(shared, small, monkeypatch):
    def late(state, batch, gradient):
        time.sleep(0.02)
        return gradient.weights

    experiment = small.replace(n_steps=5)
    together = featlearn.train(experiment, record={"late": late})
    monkeypatch.setattr(processes, "LARGEST", 1)
    alone = featlearn.train(experiment, record={"late": late})
    np.testing.assert_array_equal(together["late"], alone["late"])


def test_an_interrupted_group_goes_on_with_the_same_bits(shared, small, tmp_path, monkeypatch):
    experiment = small.replace(n_steps=40)

    def interrupt(row):
        if row["step"] == 15:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(experiment, tmp_path / "run", progress=interrupt)
    assert shared and not any(map(alive, shared))
    resumed = arrays(featlearn.train(experiment, tmp_path / "run", resume=True))
    whole = arrays(featlearn.train(experiment, tmp_path / "whole"))
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)


def test_a_lost_helper_ends_the_run_which_can_be_resumed(shared, small, tmp_path):
    experiment = small.replace(n_steps=30)

    def kill(row):
        if row["step"] == 10:
            os.kill(shared[0], signal.SIGKILL)

    with pytest.raises(ProcessLost, match="process [0-9]+"):
        featlearn.train(experiment, tmp_path / "run", progress=kill)
    resumed = featlearn.train(experiment, tmp_path / "run", resume=True)
    np.testing.assert_array_equal(resumed.weights, featlearn.train(experiment).weights)


def test_helpers_end_with_a_failing_run(shared, small, monkeypatch):
    with pytest.raises(featlearn.TrainingDiverged):
        featlearn.train(small.replace(learning_rate=1e6, initial_norm=10.0))

    def fail(row):
        raise RuntimeError("of the caller's own")

    with pytest.raises(RuntimeError, match="own"):
        featlearn.train(small, progress=fail)


def test_helpers_notice_that_their_leader_was_killed(shared, small, tmp_path):
    read, write = os.pipe()
    leader = os.fork()
    if leader == 0:
        # Helpers close their copy of the pipe, so that only the leader tells of them.
        def tell(row):
            if row["step"] == 3:
                os.write(write, " ".join(map(str, shared)).encode())
                signal.pause()

        try:
            featlearn.train(small, tmp_path / "run", progress=tell)
        finally:
            os._exit(1)
    os.close(write)
    helpers = [int(word) for word in os.read(read, 100).split()]
    os.close(read)
    assert helpers and all(map(alive, helpers))
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    deadline = time.monotonic() + 20
    while any(map(alive, helpers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, helpers))
    # Nobody holds the directory's lock any more.
    featlearn.train(small, tmp_path / "run", resume=True)


def test_no_group_where_a_thread_would_be_left_behind(shared, small, monkeypatch):
    monkeypatch.setattr(processes, "other_threads", OTHER_THREADS)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        featlearn.train(small.replace(n_steps=3))
    finally:
        done.set()
        thread.join()
    assert not shared
    found = []
    inside = threading.Thread(
        target=lambda: found.append(featlearn.train(small.replace(n_steps=3)))
    )
    inside.start()
    inside.join()
    assert not shared and len(found) == 1


def test_no_group_without_processors_or_for_small_arrays(shared, small, monkeypatch):
    state = featlearn.init(small)

    def helps(state, work):
        pass

    with loop.workplace(state, helps) as (_, work):
        assert work.group is not None
    monkeypatch.setattr(threads, "WORTHWHILE", 1 << 30)
    with loop.workplace(state, helps) as (_, work):
        assert work.group is None
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(1))
    with loop.workplace(state, helps) as (_, work):
        assert work.group is None


WAYS = """
import numpy as np

import featlearn
from featlearn.compute import processes

base = featlearn.Experiment(
    n_features=7, n_inputs=331, n_neurons=193, batch_size=413, n_steps=2, density_factor=1.0
)
for changes in (
    {}, {"negatives": 77}, {"objective": "nt_xent", "stop_gradient": False},
    {"objective": "supervised", "augmentation": "none"}, {"objective": "no_negatives"},
):
    exp = base.replace(**changes)
    processes.LARGEST = 16
    by_processes = featlearn.train(exp).weights
    processes.LARGEST = 1
    by_threads = featlearn.train(exp).weights
    by_hand = featlearn.step(featlearn.step(featlearn.init(exp))).weights
    (together, _) = featlearn.train_together([exp, exp.replace(seed=1)])
    for found in (by_threads, by_hand, together.weights):
        assert np.array_equal(found, by_processes), changes
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
def test_odd_sizes_have_the_same_bits_however_two_threads_share_them():
    # In a process whose BLAS has threads of its own, as a user's has.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", WAYS], env=environment, check=True, timeout=120)
