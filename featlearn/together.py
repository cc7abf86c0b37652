"""Runs that advance together: one gradient for several of equal shape.

A step of a small network is mostly its calls, and the kernels of a loss of pairs take several runs at
once, as does the update of the weights. The samples, the views, the biases and the rows of each run are
made as they are of a run alone, one kind of work for all runs after the other.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from types import SimpleNamespace

import numpy as np

from .batches import Batch
from .compute.interrupts import Asked, noted
from .compute.threads import can_share_out, single_threaded_blas
from .compute.workspace import Workspace, beside_each_other, stacked
from .errors import InvalidInput
from .experiment import Experiment
from .gram_views import view_law
from .loop import is_begun, require_progress, running
from .objectives import make_objective
from .recording.quantities import RowsOfSeveral, built_in, measure
from .recording.resources import largest_array
from .recording.trajectory import Run, rows_gathered
from .state import neuron_norms
from .steps import Found
from .training import descend, rates
from .views import Views

# Of the views of all runs. More gain nothing, of fewer each run makes more of the calls.
VIEW_BYTES = 1 << 22


def runs_at_once(experiment, objective=None):
    """Return how many runs of an experiment, each of another seed, are best trained together.

    1 where a step is large, or where the objective's gradient takes one run only.
    """
    exp = experiment
    objective = objective or make_objective(exp)
    several = getattr(objective, "takes_several", False) and exp.negative_groups == 1
    if not several or can_share_out(largest_array(exp)):
        return 1
    n_views = 1 if view_law(exp).identical_views else 2
    views = n_views * exp.batch_size * exp.n_columns * np.dtype(exp.dtype).itemsize
    return max(VIEW_BYTES // views, 1)


def train_together(
    experiments: Sequence[Experiment],
    directories: Sequence[str | PathLike] | None = None,
    *,
    progress: Callable[[int, dict], object] | None = None,
    **options,
) -> list[Run | Exception]:
    """Train runs that differ in their seed only; each gets the bits that `train` gives it.

    Parameters
    ----------
    experiments : sequence of Experiment
    directories : sequence of path, optional
        One each, where a run that was begun there before goes on, and a complete one is read; without,
        the runs are kept in memory.
    progress : callable, optional
        Called with k and the row of every recorded step of the k-th run.
    **options
        What else `train` takes, but for start and resume; the same for all.

    Returns
    -------
    list of Run or Exception
        What ended it in the place of a run that did not come to its end; the others go on.

    Raises
    ------
    InvalidInput
        If the experiments differ in more than the seed, or there is such an option.
    KeyboardInterrupt
        After a signal to stop, once each run has written a checkpoint.

    Examples
    --------
    >>> exp = featlearn.preset("tiny").replace(n_steps=5)
    >>> runs = featlearn.train_together([exp.replace(seed=k) for k in range(3)])
    >>> [run["alignment"].shape for run in runs]
    [(6, 32, 8), (6, 32, 8), (6, 32, 8)]
    """
    given = experiments
    experiments = list(given) if isinstance(given, Iterable) else [given]
    require_progress(progress)
    # Each run goes through what an iterator gives but once.
    options = {n: list(v) if isinstance(v, Iterator) else v for n, v in options.items()}
    for name in {"start", "resume"} & set(options):
        raise InvalidInput(name, options[name], "no such option: a run begun in its place goes on")
    for exp in experiments:
        if given is exp or not isinstance(exp, Experiment):
            raise InvalidInput("experiments", exp, "a sequence of Experiments")
        if exp.replace(seed=experiments[0].seed) != experiments[0]:
            raise InvalidInput("experiments", "several kinds", "those that differ in the seed only")
    if directories is None:
        members = [(exp, None) for exp in experiments]
        return _train(members, None, progress, options)
    one = isinstance(directories, (str, PathLike)) or not isinstance(directories, Iterable)
    if one:
        raise InvalidInput("directories", directories, "a sequence of paths, one a run")
    directories = list(directories)
    if len(directories) != len(experiments):
        wanted = f"{len(experiments)}, one for each experiment"
        raise InvalidInput("directories", len(directories), wanted)
    with noted() as asked:
        return _train(list(zip(experiments, directories)), asked, progress, options)


@single_threaded_blas()
def _train(members, asked, progress, options):
    """Train the runs, some of them at once."""
    found = []
    at_once = runs_at_once(members[0][0], options.get("objective")) if members else 1
    for first in range(0, len(members), at_once):
        some = members[first : first + at_once]
        tell = progress and (lambda k, row, first=first: progress(first + k, row))
        with contextlib.closing(Group(some, asked, tell, options)) as group:
            while group.step():
                pass
        for outcome in group.outcomes:
            if isinstance(outcome, KeyboardInterrupt):
                raise outcome
        found += group.outcomes
    return found


class Group:
    """Runs in the middle of their training, of which each waits for its next gradient.

    Parameters
    ----------
    members : sequence of (Experiment, path or None)
        Of each run; they are equal but for the seed.
    asked : Asked or None
        What signals ask for; None for runs in memory.
    progress, options
        As in `train_together`.

    Attributes
    ----------
    outcomes : list
        Of every run that has ended its `Run`, or the exception that ended it; None before.
    """

    def __init__(self, members, asked=None, progress=None, options=None):
        n = len(members)
        self.outcomes = [None] * n
        self._asked, self._told = asked, [Asked() for _ in members]
        works = beside_each_other(n) if n > 1 else [None]
        self._runs = [
            running(
                self._told[k],
                experiment,
                place,
                work=works[k],
                resume=place is not None and is_begun(place),
                progress=progress and functools.partial(progress, k),
                **(options or {}),
            )
            for k, (experiment, place) in enumerate(members)
        ]
        self._waiting, self._work = dict.fromkeys(range(n)), Workspace()
        self._rows, self._dictionaries = None, (None, None)

    def step(self):
        """Make one step of all runs; return whether there is one that has not ended."""
        if self._asked is not None:
            for told in self._told:
                told.stop |= self._asked.stop
                told.save |= self._asked.save
            self._asked.save = False
        turns = {}
        for k in list(self._waiting):
            try:
                turns[k] = self._runs[k].send(self._waiting.pop(k))
            except StopIteration as end:
                self.outcomes[k] = end.value
            except Exception as error:
                self.outcomes[k] = error
            except KeyboardInterrupt as error:
                # Those that are recorded write their checkpoints, each as it is told to stop.
                if self._asked is None:
                    raise
                self.outcomes[k] = error
        self._waiting = self._find(turns)
        return bool(self._waiting)

    def close(self):
        """Put away what runs that have not ended have open."""
        for run in self._runs:
            run.close()

    def _find(self, turns):
        """Return what runs wait for, `Found` by run."""
        batches = self._of_each(turns, lambda k: turns[k].draw())
        turns = {k: turns[k] for k in batches}
        if len(turns) > 1:
            # What is wrong with one run is found when each is asked alone.
            with contextlib.suppress(Exception):
                return self._together(turns, batches)
        return self._of_each(turns, lambda k: turns[k].find(batches[k]))

    def _of_each(self, turns, function):
        """Return {k: function(k)} of the runs for which it does not fail; the others end."""
        made = {}
        for k in turns:
            try:
                made[k] = function(k)
            except Exception as error:
                self.outcomes[k] = error
                # The run hears of it, and keeps what it has; where it cannot, that is what ends it.
                try:
                    self._runs[k].throw(error)
                except Exception as last:
                    self.outcomes[k] = last
        return made

    def _together(self, turns, batches):
        """Return what is `Found` for several runs at once."""
        states, work = [turn.state for turn in turns.values()], self._work
        batches, exp = list(batches.values()), states[0].experiment
        views = [batch.views for batch in batches]
        anchors = keys = stacked([v.anchors for v in views])
        if any(v.keys is not v.anchors for v in views):
            keys = stacked([v.keys for v in views])
        negatives = None
        if batches[0].negatives is not None:
            negatives = stacked([batch.negatives for batch in batches])
        batch = Batch(Views(anchors, keys), negatives, None)
        several = SimpleNamespace(
            experiment=exp,
            model=states[0].model,
            step=[s.step for s in states],
            stage=[s.stage for s in states],
            weights=stacked([s.weights for s in states]),
            biases=np.array([s.biases for s in states]),
            weight_norms=stacked([s.weight_norms for s in states]),
            float64_factorisations=[s.float64_factorisations for s in states],
        )
        known = updated = [None] * len(states)
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = states[0].objective.gradient(
                several.weights, several.biases, batch, {}, work
            )
            # Outer noise of a Gram matrix is of each run by itself.
            if exp.dense != "gram":
                weights = work("new weights", several.weights.shape, several.weights.dtype)
                descend(weights, several.weights, gradient.weights, **rates(exp))
                work.exchange("new weights", "old weights")
                norms, parameters = neuron_norms(weights), gradient.parameters
                updated = [(parameters, *of_run) for of_run in zip(weights, norms)]
        if all(turn.due for turn in turns.values()):
            several.alignment = self._align(turns, several.weights)
            by_itself = [q for q in built_in(exp) if q.of_rows is None]
            known = self._keep(measure(several, batch, gradient, by_itself), exp)
        return {
            run: Found(
                batches[k],
                gradient.loss[k],
                functools.partial(gradient.of_run, k),
                known[k],
                updated[k],
            )
            for k, run in enumerate(turns)
        }

    def _align(self, turns, weights):
        """Return α of several runs along a first axis, and let each state know its own."""
        states, runs = [turn.state for turn in turns.values()], tuple(turns)
        if states[0].leading_columns or "model" in states[0].own:
            return stacked([turn.state.align(turn.work) for turn in turns.values()])
        if runs != self._dictionaries[0]:
            self._dictionaries = runs, np.stack([s.model.dictionary.T for s in states])
        found = weights @ self._dictionaries[1].swapaxes(-2, -1)
        for state, alignment in zip(states, found):
            vars(state)["alignment"] = alignment
        return found

    def _keep(self, measured, exp):
        """Return what was measured of each run, where it stays until it is written."""
        if self._rows is None or not self._rows.takes(len(measured["step"])):
            self._rows = RowsOfSeveral(exp, measured, rows_gathered(built_in(exp), exp))
        return self._rows.add(measured)
