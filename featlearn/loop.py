"""The training loop: a thin shell over `evaluate` and `step` that records every row."""

import contextlib
import dataclasses
import time
from pathlib import Path

from .compute.interrupts import noted
from .compute.processes import process_group
from .compute.workspace import Workspace
from .errors import InvalidInput, RunDirectoryError, TrainingDiverged
from .experiment import Experiment
from .recording.quantities import BUILT_IN, measure
from .recording.resources import check_memory, largest_array, memory_needed
from .recording.rundir import RunDirectory, load_run, read_status
from .recording.trajectory import MemoryRecorder, Run
from .training import draw_batch, evaluate, init, require_finite, step

CHECKPOINT_SECONDS = 20.0


def train(experiment, directory=None, *, resume=False, progress=None):
    """Run an experiment and record its trajectory.

    Parameters
    ----------
    experiment : Experiment or None
        None with `resume` takes the experiment of the directory.
    directory : path, optional
        Where the run is recorded as it goes; kept in memory without one.
    resume : bool
        Continue an unfinished run in `directory` from its checkpoint. The result equals that of the
        uninterrupted run bit for bit.
    progress : callable, optional
        Called with the row of every recorded step, a dictionary.

    Returns
    -------
    Run

    Raises
    ------
    TrainingDiverged
        When a quantity is no longer finite; what was recorded before stays readable.
    InvalidInput
        If the run would not fit in memory or on the disk.
    RunDirectoryError
        If the directory cannot be written or holds another run.
    WriteFailed
        If the disk fills up on the way; the run can then be resumed.
    ProcessLost
        If a process that shares the work is killed; the run can then be resumed.
    KeyboardInterrupt
        After Ctrl-C or another signal to stop, once a checkpoint is written. The warnings of batch
        systems write one too, and training goes on; see `featlearn.compute.interrupts`.
    """
    if not (isinstance(experiment, Experiment) or (experiment is None and resume)):
        raise InvalidInput("experiment", experiment, "an Experiment")
    if directory is None:
        if resume:
            raise RunDirectoryError("resume: needs the directory of the run")
        check_memory(experiment, in_memory=True)
        recorder = MemoryRecorder(experiment)
        state = _loop(init(experiment), BUILT_IN, recorder.append, progress, lambda state: None)
        return Run(
            experiment,
            recorder.arrays(),
            state.weights.copy(),
            state.biases,
            state.model.dictionary,
        )
    if resume and read_status(directory).get("status") == "complete":
        run = load_run(directory)
        if experiment not in (None, run.experiment):
            raise RunDirectoryError(f"{directory}: holds a run of another experiment")
        return run
    with RunDirectory(directory, experiment, resume) as place, noted() as asked:
        latest = place.start()
        saved = time.monotonic()

        def between_steps(state):
            nonlocal saved, latest
            latest = state
            # Asked once: a signal that arrives from here on waits for the next step.
            stop, save = asked.stop, asked.save
            if stop or save or time.monotonic() - saved > CHECKPOINT_SECONDS:
                asked.save = False
                place.checkpoint(state)
                place.status("interrupted" if stop else "running", state)
                saved = time.monotonic()
            if stop:
                raise KeyboardInterrupt

        try:
            latest = _loop(latest, place.quantities, place.append, progress, between_steps)
        except TrainingDiverged as error:
            place.checkpoint(latest)
            place.status("failed", latest, error=str(error))
            raise
        place.checkpoint(latest)
        place.status("complete", latest)
    return load_run(directory)


def train_or_resume(experiment, directory, progress=None):
    """Train in a directory; go on there if the run was begun before, load it if it is complete.

    Takes and returns what `train` does.
    """
    begun = (Path(directory) / "config.json").exists()
    return train(experiment, directory, resume=begun, progress=progress)


@contextlib.contextmanager
def workplace(state, help):
    """Provide a state and the `Workspace` that its run is made in, and helpers where they pay.

    Parameters
    ----------
    state : TrainingState
    help : callable
        Makes, in a helper process, the same steps: help(state, work) with what is provided here.
    """
    exp = state.experiment
    # Twice the estimate: what is not used costs nothing.
    with process_group(largest_array(exp), 2 * memory_needed(exp) + (1 << 20)) as group:
        work = Workspace(group)
        weights = work("weights", state.weights.shape, state.weights.dtype)
        weights[...] = state.weights
        state = dataclasses.replace(state, weights=weights)
        if group is not None:
            group.start(lambda: help(state, work))
        yield state, work


def _loop(state, quantities, append, progress, between_steps):
    """Record and step until the last step is recorded; return the last state."""

    def record(state, batch, gradient):
        row = measure(state, batch, gradient, quantities)
        append(row)
        if progress is not None:
            # Whoever watches may keep it.
            progress({**row, "alignment": row["alignment"].copy()})

    # Helpers make every step too; what is done with it is the leader's business.
    with workplace(state, lambda *there: _steps(*there, _ignore, _ignore)) as (state, work):
        return _steps(state, work, record, between_steps)


def _ignore(*_):
    pass


def _steps(state, work, record, between_steps):
    exp = state.experiment
    while True:
        between_steps(state)
        last = state.step == exp.n_steps
        batch = draw_batch(state, work, keep_sample=False)
        gradient = evaluate(state, batch, work)
        require_finite(state, gradient.loss)
        if last or state.step % exp.record_every == 0:
            state.align(work)
            record(state, batch, gradient)
        if last:
            return state
        state = step(state, gradient, work)
