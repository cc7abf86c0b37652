"""The paper's headline result: the same network, with RandomMask and without any augmentation."""

import itertools
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import NamedTuple

from ..experiment import Experiment
from ..loop import train_or_resume
from ..recording.rundir import last_row, load_run
from ..summary import summarize

# How often the runs are looked at while they train.
WATCH_SECONDS = 0.5


class Column(NamedTuple):
    """A run of the reproduction, and a column of its table.

    Attributes
    ----------
    label : str
    name : str
        Of its run directory.
    experiment : Experiment
    """

    label: str
    name: str
    experiment: Experiment


def twin_columns(experiment):
    """Return the two columns of an experiment: with RandomMask, and without augmentation."""
    kinds = {"RandomMask": "random_mask", "no augmentation": "none"}
    return [
        Column(label, name, experiment.replace(augmentation=name)) for label, name in kinds.items()
    ]


def train_columns(columns, directory, executors, progress=None):
    """Train the runs of a reproduction; twins start from the same weights, their seed being one.

    A run that was stopped before is continued, a complete one is kept.

    Parameters
    ----------
    columns : list of Column
    directory : path
        Holds the run directories, ``random_mask``, ``none``, ...
    executors : list
        Of `OwnWorkers`; the runs take turns on them.
    progress : callable, optional
        Called about twice a second with the last recorded row of each run, a dictionary by label;
        a row is None before the first.

    Returns
    -------
    runs : dict of str to Run
    summaries : dict of str to Summary
    """
    places = {column.label: Path(directory) / column.name for column in columns}
    futures = {
        column.label: executor.submit(_train_and_summarize, column.experiment, places[column.label])
        for column, executor in zip(columns, itertools.cycle(executors))
    }
    waiting = True
    while waiting:
        done, waiting = wait(futures.values(), WATCH_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()
        if progress is not None:
            progress({label: last_row(place) for label, place in places.items()})
    runs = {label: load_run(place) for label, place in places.items()}
    return runs, {label: future.result() for label, future in futures.items()}


def _train_and_summarize(experiment, directory):
    return summarize(train_or_resume(experiment, directory))
