"""The steps of a run, which wait for their gradients: its own, or those of several runs at once."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from .batches import Batch, draw_batch
from .compute.threads import single_threaded_blas
from .compute.workspace import Workspace
from .state import TrainingState
from .training import after_descent, evaluate, require_finite, step


class Turn(NamedTuple):
    """A step of a run that is to be made.

    Attributes
    ----------
    state : TrainingState
    work : Workspace
        Where its batch is drawn.
    keep_sample : bool
        See `draw_batch`.
    due : bool
        Whether the state is to be recorded.
    """

    state: TrainingState
    work: Workspace
    keep_sample: bool
    due: bool

    def draw(self):
        """Return the batch of the step."""
        return draw_batch(self.state, self.work, self.keep_sample)

    def find(self, batch):
        """Return what is `Found` on the batch of the step by this run alone."""
        gradient = evaluate(self.state, batch, self.work)
        return Found(batch, gradient.loss, lambda: gradient)


class Found(NamedTuple):
    """What is computed for a `Turn`.

    Attributes
    ----------
    batch : Batch
    loss : float
    gradient : callable
        Returns the `Gradient`, which takes time where it was made with those of other runs.
    known : mapping or None
        Of the quantities to record, those that are measured already; `state.alignment` then is, too.
    updated : tuple or None
        What `after_descent` takes beside the state, where the step of the weights is made already.
    """

    batch: Batch
    loss: float
    gradient: Callable
    known: dict | None = None
    updated: tuple | None = None


@single_threaded_blas()
def alone(steps):
    """Make the steps of one run, a generator as `running` returns; return what that returns."""
    with contextlib.closing(steps):
        found = None
        while True:
            try:
                turn = steps.send(found)
            except StopIteration as end:
                return end.value
            # The last batch is not kept beside the next one.
            found = None
            try:
                found = turn.find(turn.draw())
            except Exception as error:
                # The run hears of it, and keeps what it has.
                steps.throw(error)


def make_steps(state, work, record, between_steps, ends, first, keep_sample):
    """Make the steps of a run, a generator; return its last state.

    At every step it yields a `Turn` and is sent what was `Found` for it.

    Parameters
    ----------
    state : TrainingState
    work : Workspace
    record : callable
        Called with the state and what was `Found`, where the state is to be recorded.
    between_steps : callable
        Called with every state before its step.
    ends : callable or None
        Says whether a state ends the run, which the last step does anyway.
    first : int
        The step at which the run began, which is recorded.
    keep_sample : callable
        Says whether recording a state needs the samples behind its batch.
    """
    exp = state.experiment
    while True:
        between_steps(state)
        last = state.step == exp.n_steps or (ends is not None and work.answer(ends, state))
        due = last or state.step % exp.record_every == 0 or state.step == first
        found = yield Turn(state, work, due and keep_sample(state), due)
        require_finite(state, found.loss)
        if due:
            if found.known is None:
                state.align(work)
            record(state, found)
            # What is recorded is read from arrays that the update takes.
            work.wait()
        if last:
            return state
        if found.updated is None:
            state = step(state, found.gradient(), work)
        else:
            state = after_descent(state, *found.updated)
        del found
