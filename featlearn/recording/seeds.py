"""Runs of several seeds as one: a seed axis, the mean and its confidence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from pathlib import Path

import numpy as np

from ..errors import InvalidInput
from ..experiment import Experiment
from .rundir import load_run
from .trajectory import Run


@dataclass(frozen=True)
class SeedRuns:
    """Runs that differ in nothing but the seed.

    ``runs["loss"]`` and so on have the seed as their first axis and time as the second, with the steps
    that all runs recorded.

    Attributes
    ----------
    runs : tuple of Run
        By seed.

    Raises
    ------
    InvalidInput
        Naming a field in which they differ, or a seed that they share.
    """

    runs: tuple[Run, ...]

    def __post_init__(self):
        runs = sorted(self.runs, key=lambda run: run.experiment.seed)
        object.__setattr__(self, "runs", tuple(runs))
        if not runs:
            raise InvalidInput("runs", (), "at least one run")
        for name in differing_fields(runs):
            if name != "seed":
                values = [_value(run, name) for run in runs]
                raise InvalidInput(name, values, "one value for all runs: see group_runs")
        if len(set(self.seeds)) < len(runs):
            raise InvalidInput("seed", self.seeds, "a different seed for each run")

    def __getitem__(self, name: str) -> np.ndarray:
        steps = [run.steps_of(name) for run in self.runs]
        common = reduce(np.intersect1d, steps)
        return np.stack([run[name][np.isin(its, common)] for run, its in zip(self.runs, steps)])

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __repr__(self):
        return f"SeedRuns({len(self)} runs, seeds {self.seeds})"

    @property
    def experiment(self) -> Experiment:
        """The `Experiment` of the first seed."""
        return self.runs[0].experiment

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [run.experiment.seed for run in self.runs]

    @cached_property
    def steps(self) -> np.ndarray:
        """The recorded steps that all have, ndarray of int, shape (T,)."""
        return reduce(np.intersect1d, [run.steps for run in self.runs])

    def mean(self, name: str) -> np.ndarray:
        """Return the mean of a quantity over the seeds, time axis first."""
        return self[name].mean(axis=0)

    def confidence(self, name: str) -> np.ndarray:
        """Return the half width of the 95 % confidence interval of the mean; nan for one seed.

        Student's t on the values of independent seeds, t_{0.975, n-1} · sd/√n.
        """
        return half_width(self[name])


def half_width(values):
    """Return t_{0.975, n-1} · sd/√n along the first axis, of length n; nan for n = 1."""
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    # scipy.special takes longer to load than all of featlearn does.
    from scipy import special

    return special.stdtrit(n - 1, 0.975) * np.std(values, axis=0, ddof=1) / np.sqrt(n)


def load_runs(directories: str | Path | Run | Sequence[str | Path | Run]) -> SeedRuns:
    """Load runs that differ in the seed only.

    Parameters
    ----------
    directories : path or Run, or sequence of them
        Run directories, or one of a sweep.

    Returns
    -------
    SeedRuns

    Raises
    ------
    InvalidInput
        If they differ in more than the seed, naming the field; `group_runs` sorts such runs.

    Examples
    --------
    >>> exp = featlearn.preset("tiny").replace(n_steps=2)
    >>> runs = featlearn.load_runs([featlearn.train(exp.replace(seed=k)) for k in (0, 1)])
    >>> runs["loss"].shape, runs.mean("loss").shape, runs.confidence("loss").shape
    ((2, 3), (3,), (3,))
    """
    return SeedRuns(tuple(_loaded(directories)))


def group_runs(directories: str | Path | Run | Sequence[str | Path | Run]) -> dict[str, SeedRuns]:
    """Sort runs into groups that differ in the seed only.

    Parameters
    ----------
    directories : path or Run, or sequence of them
        Run directories, or one of a sweep.

    Returns
    -------
    dict of str to SeedRuns
        Labelled by the fields that tell the groups apart, such as "temperature=2".

    Examples
    --------
    >>> exp = featlearn.preset("tiny").replace(n_steps=2)
    >>> runs = [featlearn.train(exp.replace(temperature=t)) for t in (1.0, 2.0)]
    >>> list(featlearn.group_runs(runs))
    ['temperature=1', 'temperature=2']
    """
    runs = _loaded(directories)
    names = [name for name in differing_fields(runs) if name != "seed"]
    groups = {}
    for run in runs:
        label = ", ".join(f"{name}={_shown(_value(run, name))}" for name in names)
        groups.setdefault(label, []).append(run)
    if list(groups) == [""]:
        groups = {runs[0].views: groups[""]}
    return {label: SeedRuns(tuple(group)) for label, group in groups.items()}


def run_directories(paths):
    """Return the run directories that some paths are or, those of a sweep, hold.

    Raises
    ------
    InvalidInput
        If a sweep holds no run.
    """
    found = []
    for path in map(Path, paths):
        of_a_sweep = any((path / name).is_dir() for name in ("runs", "rows"))
        if (path / "config.json").exists() or not of_a_sweep:
            found.append(path)
            continue
        inside = sorted(status.parent for status in path.glob("runs/*/status.json"))
        if not inside:
            wanted = "one with run directories in it, made without --no-trajectories"
            raise InvalidInput("sweep", str(path), wanted)
        found += inside
    return found


def differing_fields(runs):
    """Return the names of the fields that runs differ in, "own" and "start" beside an experiment's."""
    names = [f.name for f in fields(runs[0].experiment)] + ["own", "start"] if runs else []
    return [name for name in names if any(_value(r, name) != _value(runs[0], name) for r in runs)]


def _value(run, name):
    if name == "own":
        return ", ".join(p.get("label") or p["name"] for p in run.own.values()) or None
    if name == "start":
        return run.start and run.start["step"]
    return getattr(run.experiment, name)


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _loaded(directories):
    if isinstance(directories, (str, Path, Run)) or not isinstance(directories, Iterable):
        directories = [directories]
    directories = list(directories)
    for each in directories:
        if not isinstance(each, (str, Path, Run)):
            raise InvalidInput("directories", each, "paths of run directories, or runs")
    paths = [each for each in directories if isinstance(each, (str, Path))]
    runs = [each for each in directories if not isinstance(each, (str, Path))]
    runs += [load_run(path) for path in run_directories(paths)]
    if not runs:
        raise InvalidInput("directories", directories, "at least one run")
    return runs
