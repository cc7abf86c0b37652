"""The paper's headline result: the same network, with RandomMask and without any augmentation.

First at finite d, then in the regime of the theorems, d1 a power of d in the large-batch limit, and
beside them the supervised twin, which gets labels in the place of a second view. Two smaller runs
complete the verdicts: "phases" and "linear", to which predictions apply that those leave out.
"""

import itertools
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import NamedTuple

from ..experiment import Experiment
from ..loop import train_or_resume
from ..presets import preset
from ..recording.rundir import last_row, load_run
from ..summary import summarize

# Presets in which the predictions apply that the default pair leaves out: it is chosen for what it ends
# with, and its similarities are too large for the mean field and the plateau.
PHASES = ("phases", "linear")
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


class Part(NamedTuple):
    """Runs of a reproduction that are trained, shown and checked together.

    Attributes
    ----------
    title : str
    columns : list of Column
    directory : Path
        Holds their run directories and figures.
    compared : bool
        Whether they are drawn, and shown beside those of other parts.
    """

    title: str
    columns: list
    directory: Path
    compared: bool = True


def all_parts(experiment, directory):
    """Return the parts of the whole reproduction, the twins of `experiment` first.

    Parameters
    ----------
    experiment : Experiment
        The finite one, whose seed the others share.
    directory : path
    """
    directory, seed = Path(directory), experiment.seed
    limit = preset("asymptotic").replace(seed=seed)
    labels = preset("supervised").replace(seed=seed)
    power = f"{limit.n_inputs:.3g}"
    return [
        Part("Finite d and d1", twin_columns(experiment), directory),
        Part(
            f"The large-batch limit at d = {limit.n_features}, d1 = {power}",
            twin_columns(limit),
            directory / "limit",
        ),
        Part(
            "Labels in the place of a second view",
            [Column("supervised", "supervised", labels)],
            directory,
        ),
        Part(
            "Every phase: from small weights, and at b = 0 for ever",
            [Column(name, name, preset(name).replace(seed=seed)) for name in PHASES],
            directory,
            compared=False,
        ),
    ]


def twin_columns(experiment):
    """Return the two columns of an experiment: with RandomMask, and without augmentation."""
    kinds = {"RandomMask": "random_mask", "no augmentation": "none"}
    return [
        Column(label, name, experiment.replace(augmentation=name)) for label, name in kinds.items()
    ]


def start_columns(columns, directory, executors):
    """Let worker processes train the runs of a reproduction, and return their futures by label.

    Twins start from the same weights, their seed being one. A run that was stopped before is
    continued, a complete one is kept.

    Parameters
    ----------
    columns : list of Column
    directory : path
        Holds the run directories, ``random_mask``, ``none``, ...
    executors : list
        Of `OwnWorkers`; the runs take turns on them.
    """
    return {
        column.label: executor.submit(
            _train_and_summarize, column.experiment, Path(directory) / column.name
        )
        for column, executor in zip(columns, itertools.cycle(executors))
    }


def finish_columns(futures, columns, directory, progress=None):
    """Wait for what `start_columns` began.

    Parameters
    ----------
    futures, columns, directory
    progress : callable, optional
        Called about twice a second with the last recorded row of each run, a dictionary by label;
        a row is None before the first.

    Returns
    -------
    runs : dict of str to Run
    summaries : dict of str to Summary
    """
    places = {column.label: Path(directory) / column.name for column in columns}
    waiting = True
    while waiting:
        done, waiting = wait(futures.values(), WATCH_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()
        if progress is not None:
            progress({label: last_row(place) for label, place in places.items()})
    runs = {label: load_run(place) for label, place in places.items()}
    return runs, {label: future.result() for label, future in futures.items()}


def train_columns(columns, directory, executors, progress=None):
    """Train the runs of a reproduction: `start_columns`, then `finish_columns`."""
    futures = start_columns(columns, directory, executors)
    return finish_columns(futures, columns, directory, progress)


def _train_and_summarize(experiment, directory):
    return summarize(train_or_resume(experiment, directory))
