"""The training loop: a thin shell over `evaluate` and `step` that records every row."""

import contextlib
import dataclasses
import operator
import time
from collections.abc import Callable, Iterable
from os import PathLike

import numpy as np

from .batches import draw_batch
from .compute.interrupts import noted
from .compute.processes import process_group
from .compute.workspace import Workspace, keep_freed_memory
from .errors import (
    FeatlearnError,
    InvalidInput,
    ProcessLost,
    RunDirectoryError,
    WriteFailed,
)
from .experiment import Experiment
from .parts import describe, given_parts
from .recording.config import origin
from .recording.quantities import built_in, measure
from .recording.record import asked_quantities, measured_layouts
from .recording.resources import check_memory, largest_array, memory_needed
from .recording.rundir import RunDirectory, load_run, read_status
from .recording.trajectory import MemoryRecorder, Run
from .rules import as_path
from .state import TrainingState
from .steps import alone, make_steps
from .training import evaluate, init

CHECKPOINT_SECONDS = 20.0
# Bytes of temporaries that are kept from step to step, at most.
MOST_KEPT = 1 << 23


def train(
    experiment: Experiment | None = None,
    directory: str | PathLike | None = None,
    *,
    resume: bool = False,
    progress: Callable[[dict], object] | None = None,
    record: dict | None = None,
    until: str | Callable[[TrainingState], bool] | None = None,
    start: TrainingState | None = None,
    extend: int | None = None,
    checkpoint_at: Iterable[int] = (),
    model: object = None,
    augmentation: object = None,
    schedule: object = None,
    objective: object = None,
) -> Run:
    """Run an experiment and record its trajectory.

    Parameters
    ----------
    experiment : Experiment or None
        None with `resume` takes the experiment of the directory, with `start` that of the state.
    directory : path, optional
        Where the run is recorded as it goes; kept in memory without one.
    resume : bool
        Continue an unfinished run in `directory` from its checkpoint. The result equals that of the
        uninterrupted run bit for bit.
    progress : callable, optional
        Called with the row of every recorded step, a dictionary.
    record : dict, str or sequence, optional
        What to record beside the quantities of every run: {name: f}, where f(state, batch, gradient)
        gives a number or an array, or is a `Record` that says more; or names of
        `featlearn.recording.extras.EXTRAS`. The run is resumed with the same functions.
    until : str or callable, optional
        "stage 2", "stage 3", or f(state) → bool: asked of every state before its update. The first
        state that it is true of is recorded and ends the run, which is then "stopped". The next step
        overwrites the weights of a state.
    start : TrainingState, optional
        Begin from this state instead of step 0: steps count on from its own, and the experiment's
        n_steps is the total. See `TrainingState.replace` for a state with something changed.
    extend : int, optional
        With `resume`: go on to this step, also where the run was complete. The trajectory is that of
        a run of so many steps.
    checkpoint_at : iterable of int
        Steps at which to keep the state, for `load_state`, beside those at which every recorded run
        does: the starts of stages II and III, and nine evenly spread ones.
    model, augmentation, schedule, objective : optional
        Parts of your own: an object with the methods of `SparseCodingModel`, `Augmentation.pair`,
        `BiasSchedule.advance`, or an objective's; or a class or function that makes one, called with
        nothing or with the experiment. They are pure functions of their arguments, as processes that
        share a run's work repeat every step. A run is resumed with the same ones.

    Returns
    -------
    Run

    Raises
    ------
    TrainingDiverged
        When a quantity is no longer finite; what was recorded before stays readable, as it does where
        a function or part of your own raises an exception. The run can then be resumed.
    InvalidInput
        If the run would not fit in memory or on the disk, or an argument does not fit another.
    RunDirectoryError
        If the directory cannot be written or holds another run.
    WriteFailed
        If the disk fills up on the way; the run can then be resumed.
    ProcessLost
        If a process that shares the work is killed; the run can then be resumed.
    KeyboardInterrupt
        After Ctrl-C or another signal to stop, once a checkpoint is written. The warnings of batch
        systems write one too, and training goes on; see `featlearn.compute.interrupts`.

    Examples
    --------
    >>> run = featlearn.train(featlearn.preset("tiny").replace(n_steps=5))
    >>> run["alignment"].shape
    (6, 32, 8)
    """
    with contextlib.nullcontext() if directory is None else noted() as asked:
        steps = running(
            asked,
            experiment,
            directory,
            resume=resume,
            progress=progress,
            record=record,
            until=until,
            start=start,
            extend=extend,
            checkpoint_at=checkpoint_at,
            model=model,
            augmentation=augmentation,
            schedule=schedule,
            objective=objective,
        )
        return alone(steps)


def running(
    asked,
    experiment,
    directory,
    *,
    work=None,
    resume=False,
    progress=None,
    record=None,
    until=None,
    start=None,
    extend=None,
    checkpoint_at=(),
    model=None,
    augmentation=None,
    schedule=None,
    objective=None,
):
    """Return `train` as a generator, for whoever draws the batches and computes the gradients.

    At every step it yields a `Turn` and is sent what was `Found` for it. It returns the run.

    Parameters
    ----------
    asked : Asked or None
        What signals ask for; None for a run in memory.
    work : Workspace, optional
        That of the run; one of its own, and helpers where they pay, without.
    experiment, directory, resume, progress, record, until, start, extend, checkpoint_at, model, \
    augmentation, schedule, objective
        As in `train`.
    """
    ends, quantities = _ending(until), asked_quantities(record)
    require_progress(progress)
    keep_at = _steps_to_keep(checkpoint_at)
    own = {
        "model": model,
        "augmentation": augmentation,
        "schedule": schedule,
        "objective": objective,
    }
    if start is not None:
        start = _begin(start, experiment, own, resume)
        experiment, own = start.experiment, start.own
    if not (isinstance(experiment, Experiment) or (experiment is None and resume)):
        raise InvalidInput("experiment", experiment, "an Experiment")
    if extend is not None and not resume:
        raise InvalidInput("extend", extend, "resume=True and the directory of a run beside it")
    if directory is None:
        if resume:
            raise RunDirectoryError("resume: needs the directory of the run")
        if keep_at:
            wanted = "a directory beside it, which states are kept in"
            raise InvalidInput("checkpoint_at", sorted(keep_at), wanted)
        began = None if start is None else origin(start)
        check_memory(experiment, in_memory=True)
        state = start or init(experiment, **own)
        quantities = with_layouts(quantities, lambda: state)
        return (yield from _in_memory(state, began, quantities, progress, ends, work))
    if not resume and quantities:
        check_memory(experiment)
        quantities = with_layouts(quantities, lambda: start or init(experiment, **own))
    own = {role: part for role, part in own.items() if part is not None}
    place = RunDirectory(directory, experiment, resume, quantities, own, start, extend, keep_at)
    if resume and extend is None and read_status(directory).get("status") == "complete":
        place.admit()
        return load_run(directory, place.own.get("model"))
    with place:
        latest = place.start()
        saved = time.monotonic()

        def between_steps(state):
            nonlocal saved, latest
            latest = state
            place.keep_if_due(state)
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
            latest = yield from _loop(latest, place, progress, between_steps, ends, work)
        except (ProcessLost, WriteFailed):
            raise
        except Exception as error:
            # Of a function of the user's own, or as training diverged: what was made before is kept.
            place.checkpoint(latest)
            known = isinstance(error, FeatlearnError)
            said = str(error) if known else f"{type(error).__name__}: {error}"
            place.status("failed", latest, error=said)
            raise
        place.checkpoint(latest)
        if latest.step == latest.experiment.n_steps:
            place.status("complete", latest)
        else:
            place.status("stopped", latest, by="until")
    return load_run(directory, place.own.get("model"))


def with_layouts(quantities, begin):
    """Return quantities with shape and type, which a user's own have from their first row.

    Parameters
    ----------
    quantities : tuple of Quantity
    begin : callable
        Makes the state that the run begins from, where that is needed.
    """
    if all(q.shape is not None for q in quantities):
        return quantities
    state = begin()
    batch = draw_batch(state)
    return measured_layouts(quantities, state, batch, evaluate(state, batch))


def _in_memory(state, began, quantities, progress, ends, work):
    check_memory(state.experiment, in_memory=True, own=quantities)
    recorder = MemoryRecorder(
        state.experiment, (*built_in(state.experiment), *quantities), state.step
    )
    last = yield from _loop(state, recorder, progress, _ignore, ends, work)
    return Run(
        last.experiment,
        recorder.arrays(),
        last.weights.copy(),
        last.biases,
        np.asarray(last.model.dictionary),
        None,
        last.model,
        {role: describe(part) for role, part in last.own.items()},
        began,
        recorder.quantities,
        parameters=last.parameters,
    )


def require_progress(progress):
    """Refuse what cannot be told of the rows of a run."""
    if progress is not None and not callable(progress):
        raise InvalidInput("progress", progress, "a function of a row")


def _ending(until):
    """Return `until` as a function of the state, or None."""
    if until is None:
        return None
    if until in ("stage 2", "stage 3"):
        stage = int(until[-1])
        return lambda state: state.stage >= stage
    if callable(until):

        def ends(state):
            with state.held():
                return until(state)

        return ends
    raise InvalidInput("until", until, '"stage 2", "stage 3" or a function of the state')


def _steps_to_keep(steps):
    try:
        found = {operator.index(step) for step in steps}
    except TypeError:
        raise InvalidInput("checkpoint_at", steps, "steps, whole numbers ≥ 0") from None
    if min(found, default=0) < 0:
        raise InvalidInput("checkpoint_at", steps, "steps, whole numbers ≥ 0")
    return found


def _begin(state, experiment, own, resume):
    """Return the state that a run begins from, with the parts that were given."""
    if not isinstance(state, TrainingState):
        raise InvalidInput("start", state, "a TrainingState, as init or load_state return it")
    if resume:
        raise InvalidInput("start", f"a state at step {state.step}", "no resume beside it")
    if experiment not in (None, state.experiment):
        raise InvalidInput(
            "experiment", "another than that of the state", "None, or start=state.replace(...)"
        )
    if state.step > state.experiment.n_steps:
        wanted = f"at least {state.step}, the step of the state: n_steps is the total"
        raise InvalidInput("n_steps", state.experiment.n_steps, wanted)
    given = given_parts(state.experiment, **own)
    model = given.get("model", state.model)
    return dataclasses.replace(state, model=model, own={**state.own, **given})


def train_or_resume(experiment, directory, progress=None, **options):
    """Train in a directory; go on there if the run was begun before, load it if it is complete.

    Takes and returns what `train` does.
    """
    return train(experiment, directory, resume=is_begun(directory), progress=progress, **options)


def is_begun(directory):
    """Return whether a directory holds a run, to go on with or to load."""
    return (as_path("directory", directory) / "config.json").exists()


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
        state = _moved_into(work, state)
        if group is not None:
            group.start(lambda: help(state, work))
        yield state, work


def _moved_into(work, state):
    """Return a state whose weights live in a workspace, which a run is then made in."""
    # Of the size of the largest arrays of a step: temporaries are no larger.
    keep_freed_memory(min(8 * largest_array(state.experiment), MOST_KEPT))
    weights = work("weights", state.weights.shape, state.weights.dtype)
    weights[...] = state.weights
    return dataclasses.replace(state, weights=weights)


def _loop(state, place, progress, between_steps, ends, work):
    """Record and step until the last step is recorded, a generator as `running`; return the last state."""
    first, asked = place.first, place.quantities
    of_samples = [q for q in asked if q.samples]

    def record(state, found):
        row = found.known
        if row is None or len(row) != len(asked):
            row = measure(state, found.batch, found.gradient(), asked, first, row)
        place.append(row)
        if progress is not None:
            # Whoever watches may keep it, or write into it.
            progress({n: v.copy() if isinstance(v, np.ndarray) else v for n, v in row.items()})

    def keep_sample(state):
        return any(q.is_due(state.experiment, state.step, first) for q in of_samples)

    # Helpers make every step too; what is done with it is the leader's business.
    def help(state, work):
        alone(make_steps(state, work, _ignore, _ignore, ends, first, keep_sample))

    if work is None:
        where = workplace(state, help)
    else:
        where = contextlib.nullcontext((_moved_into(work, state), work))
    with where as (state, work):
        return (yield from make_steps(state, work, record, between_steps, ends, first, keep_sample))


def _ignore(*_):
    pass
