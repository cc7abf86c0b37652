"""Signals: what each asks of a run that is being recorded, and which are left alone."""

import os
import signal

import numpy as np
import pytest
from training_processes import share_among

import featlearn
from featlearn import loop
from featlearn.compute import interrupts
from featlearn.recording.rundir import read_status

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")


@pytest.fixture
def raised_at(small, tmp_path, monkeypatch):
    """Train with signals raised at step 10; return the status that step 12 and the end meet."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 1e9)
    directory = tmp_path / "run"

    def run(*numbers):
        met = []

        def progress(row):
            if row["step"] == 10:
                for number in numbers:
                    signal.raise_signal(number)
            if row["step"] == 12:
                met.append(read_status(directory))

        try:
            featlearn.train(small.replace(n_steps=20), directory, progress=progress)
        except KeyboardInterrupt:
            met.append("interrupted")
        return *met, read_status(directory)

    return run


@pytest.mark.parametrize("name", ("SIGTERM", "SIGHUP"))
@pytest.mark.parametrize("times", (1, 2, 3))
def test_signals_to_stop_write_a_checkpoint_however_often_they_come(raised_at, name, times):
    interrupted, status = raised_at(*[getattr(signal, name)] * times)
    assert interrupted == "interrupted"
    assert (status["status"], status["step"]) == ("interrupted", 11)


def test_ctrl_c_twice_does_not_wait_for_a_checkpoint(raised_at):
    interrupted, status = raised_at(signal.SIGINT, signal.SIGINT)
    assert interrupted == "interrupted"
    assert (status["status"], status["step"]) == ("running", 0)


@pytest.mark.parametrize("name", interrupts.SAVE)
def test_the_warning_of_a_batch_system_writes_a_checkpoint_and_training_goes_on(raised_at, name):
    on_the_way, end = raised_at(getattr(signal, name))
    assert (on_the_way["status"], on_the_way["step"]) == ("running", 11)
    assert (end["status"], end["step"]) == ("complete", 20)


@pytest.mark.parametrize("name", ("SIGINT", "SIGHUP", "SIGUSR1"))
def test_what_the_parent_ignored_stays_ignored(raised_at, name):
    number = getattr(signal, name)
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        with interrupts.interruptible():
            on_the_way, end = raised_at(number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, previous)
    assert (on_the_way["step"], end["status"]) == (0, "complete")


def test_handlers_are_put_back(raised_at):
    numbers = [getattr(signal, name) for name in interrupts.STOP + interrupts.SAVE
               if hasattr(signal, name)]  # fmt: skip
    before = [signal.getsignal(number) for number in numbers]
    raised_at(signal.SIGTERM)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_command_is_interrupted_once_by_a_batch_system_and_again_by_ctrl_c():
    with interrupts.interruptible():
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="helpers need Linux")
def test_a_helper_that_was_stopped_alone_goes_on(small, monkeypatch):
    started = share_among(2, monkeypatch)
    experiment = small.replace(n_steps=20)
    stop = lambda row: row["step"] == 10 and os.kill(started[0], signal.SIGSTOP)  # noqa: E731
    run = featlearn.train(experiment, progress=stop)
    assert started
    np.testing.assert_array_equal(run.weights, featlearn.train(experiment).weights)
