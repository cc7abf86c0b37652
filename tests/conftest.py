"""Fixtures shared by the tests."""

import contextlib
import os
import signal

import pytest

from featlearn import Experiment, train
from featlearn.compute import threads


def pytest_configure():
    """Let commands be interrupted even where the tests were started with SIGINT ignored, as by `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    """A test that asks for `seed` runs on seed 0, or on as many as FEATLEARN_TEST_SEEDS says."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(int(os.environ.get("FEATLEARN_TEST_SEEDS", "1"))))


@pytest.fixture(scope="session", autouse=True)
def a_processor_each():
    """Where pytest-xdist shares the tests out, BLAS works with one thread in each process."""
    shared = "PYTEST_XDIST_WORKER" in os.environ
    with threads.single_threaded_blas() if shared else contextlib.nullcontext():
        yield


@pytest.fixture(scope="module")
def one_blas_thread():
    """Let BLAS work with one thread, as networks this small are trained fastest.

    Two threads wait for each other many times a step, for long where other programs keep processors busy.
    """
    with threads.single_threaded_blas():
        yield


@pytest.fixture
def small():
    """An experiment that passes through all stages in a fraction of a second."""
    return Experiment(
        n_features=8,
        n_inputs=64,
        n_neurons=24,
        batch_size=100,
        n_steps=200,
        learning_rate=1.0,
        stage_one_growth=1.2,
        bias_growth=1.02,
        bias_cap=0.6,
        seed=0,
    )


@pytest.fixture(scope="session")
def twins(tmp_path_factory):
    """Directories of a short run with RandomMask and of one without augmentation."""
    experiment = Experiment(
        n_features=8, n_inputs=64, n_neurons=24, batch_size=100, n_steps=120, learning_rate=1.0,
        weight_decay=0.0055, temperature=2.0, noise_factor=1.0, initial_norm=0.05,
        stage_one_growth=1.2, bias_factor=1.0, bias_growth=1.02, bias_cap=0.6,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("twins")
    for name in ("random_mask", "none"):
        train(experiment.replace(augmentation=name), place / name)
    return place / "random_mask", place / "none"
