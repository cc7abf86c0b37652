"""What is timed: the unavoidable work of one step, and featlearn's own whole step.

Every subject is made from an experiment and a directory to write in, and makes one training step
a call.
"""

import contextlib
import time
from pathlib import Path
from unittest import mock

import numpy as np

from ..batches import draw_batch
from ..compute.streams import generator
from ..compute.threads import for_each, thread_count
from ..gram_views import view_law
from ..loop import workplace
from ..recording import trajectory
from ..recording.quantities import measure
from ..recording.rundir import RunDirectory
from ..together import Group, runs_at_once
from ..training import evaluate, step

# Steps of a run that no measurement reaches the end of.
LONG = 500_000


def flops(experiment):
    """Floating-point operations of the matrix products of a step, recorded or not.

    2 B m d1 for each of the two forward products and the weight product, 2 B² m for similarities
    and for repulsion (derived: featlearn/theory/derivation.md, "The gradient by hand").
    """
    B, m, columns = experiment.batch_size, experiment.n_neurons, experiment.n_columns
    return 2 * B * m * (3 * columns + 2 * experiment.group_size)


class Subject:
    """One training step a call, or one of each of several runs.

    Attributes
    ----------
    runs : int
        How many runs make a step a call.
    """

    runs = 1

    def finish(self):
        """Write what still waits to be written after the last step; by default nothing does."""


class Reference(Subject):
    """The five matrix products of a step, and its normals drawn on all threads.

    With the dense part as a Gram matrix also the factorisations, products and normals of its outer noise.

    Attributes
    ----------
    seconds : dict of str to float
        Total so far of every part.
    """

    def __init__(self, experiment, place=None):
        B, m, d1 = experiment.batch_size, experiment.n_neurons, experiment.n_columns
        dtype = np.dtype(experiment.dtype)
        rng = generator(experiment.seed, "theory")

        def normal(*shape):
            return rng.standard_normal(shape, dtype=np.float32).astype(dtype)

        W, X, X2 = normal(m, d1), normal(B, d1), normal(B, d1)
        U, U2, R = normal(B, m), normal(B, m), normal(B, m)
        S, G = normal(B, B), normal(m, d1)
        n_normals = view_law(experiment).n_normals
        noise = [np.empty((B, d1), np.float32) for _ in range(n_normals)]
        threads = thread_count()
        bounds = [B * k // threads for k in range(threads + 1)]
        pieces = [
            (generator(experiment.seed, "theory", index, k), array[bounds[k] : bounds[k + 1]])
            for index, array in enumerate(noise)
            for k in range(threads)
        ]

        def draw():
            for_each(lambda piece: piece[0].standard_normal(dtype=np.float32, out=piece[1]), pieces)

        def forward():
            np.matmul(X, W.T, out=U)
            np.matmul(X2, W.T, out=U2)

        self._parts = {
            "draw batch": draw,
            "forward": forward,
            "contrast": lambda: np.matmul(U, U2.T, out=S),
            "coefficients": lambda: np.matmul(S, U2, out=R),
            "weight product": lambda: np.matmul(U.T, X, out=G),
        }
        if experiment.dense == "gram":
            self._parts["outer noise"] = _outer_noise(
                rng, normal(B, m), W[:, experiment.n_features :]
            )
        self.seconds = dict.fromkeys(self._parts, 0.0)

    def __call__(self):
        for name, part in self._parts.items():
            started = time.perf_counter()
            part()
            self.seconds[name] += time.perf_counter() - started


def _outer_noise(rng, rows, inner):
    """Return what draws and factorises the outer noise of a Gram matrix, for B ≥ m ≥ r."""
    m, normals = len(inner), np.empty((len(inner), len(inner)), np.float32)
    ridge = len(rows) * np.eye(m, dtype=rows.dtype)
    both = np.empty((m, inner.shape[1] + m), rows.dtype)
    both[:, m:] = inner

    def work():
        factor = np.linalg.cholesky(rows.T @ rows + ridge)
        rng.standard_normal(dtype=np.float32, out=normals)
        np.matmul(factor, normals, out=both[:, :m])
        np.linalg.cholesky(both @ both.T + ridge)

    return work


class Featlearn(Subject):
    """featlearn's training loop, a step a call: data, gradient, update, schedule, and recording.

    Parameters
    ----------
    experiment : Experiment
        As in `train`, steps that its `record_every` divides are measured and recorded.
    place : path
        An empty directory, for the run directory.
    """

    def __init__(self, experiment, place):
        self._open = contextlib.ExitStack()
        directory = self._open.enter_context(RunDirectory(place, experiment))
        there = workplace(directory.start(), self._help)
        self.state, self.work = self._open.enter_context(there)
        self._recorder = directory.recorder

    def __call__(self):
        self.state = self._step(self.state, self.work, self._record)

    def _record(self, *now):
        self._recorder.append(measure(*now))

    @staticmethod
    def _step(state, work, record):
        batch = draw_batch(state, work, keep_sample=False)
        gradient = evaluate(state, batch, work)
        if state.step % state.experiment.record_every == 0:
            state.align(work)
            record(state, batch, gradient)
        return step(state, gradient, work)

    def _help(self, state, work):
        while True:
            state = self._step(state, work, lambda *now: None)

    def finish(self):
        """Write the rows that still wait to be written."""
        self._recorder.flush()

    def close(self):
        """End the processes that shared the work, and let go of the directory."""
        self._open.close()


def unrecorded(experiment, place):
    """featlearn's loop with no step after the first measured and recorded."""
    return Featlearn(experiment.replace(record_every=1 << 30), place)


class Together(Subject):
    """Seeds that `train_together` trains at once: a step of each a call, with all that a run does."""

    def __init__(self, experiment, place):
        self.runs = runs_at_once(experiment)
        long = experiment.replace(n_steps=LONG)
        self._group = Group(
            [(long.replace(seed=k), Path(place) / str(k)) for k in range(self.runs)]
        )

    def __call__(self):
        if not self._group.step():
            raise RuntimeError(f"the runs have ended: {self._group.outcomes}")

    def close(self):
        """Let go of the directories."""
        self._group.close()


def recording_cost(experiment, place, rounds, threes=20, made=Featlearn):
    """Return how much longer recorded steps take than others, one number a round.

    All are steps of one run, or of several together, for two processes differ by more than this, whatever
    they do. Of three steps one is recorded: runs together measure it in one call and hand it over in the
    next. Writing the rows of a round, whenever that is done, counts for its recorded steps; as many rows
    are written at a time as where all steps are recorded.
    """
    costs = []
    with mock.patch.object(trajectory, "FLUSH_SECONDS", 3 * trajectory.FLUSH_SECONDS):
        subject = made(experiment.replace(record_every=3), place)
        for _ in range(rounds):
            times = [_seconds(subject) for _ in range(3 * threes)]
            times = np.array(times).reshape(-1, 3).sum(axis=0)
            plain = times[2]
            costs.append((times.sum() - 2 * plain + _seconds(subject.finish)) / plain - 1)
        subject.close()
    return np.array(costs)


def _seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def burst(subject, seconds, fewest=3):
    """Make steps for some time, and write whatever they leave to be written.

    Returns
    -------
    n : int
        Steps made.
    each : float
        Seconds a step of one run.
    """
    started, n = time.perf_counter(), 0
    while n < fewest or time.perf_counter() - started < seconds:
        subject()
        n += 1
    subject.finish()
    return n, (time.perf_counter() - started) / n / subject.runs
