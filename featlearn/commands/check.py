"""Check the theory's claims and predictions on recorded runs, or on fresh ones.

examples:
  featlearn check runs/default runs/no-augmentation
  featlearn check runs/a-0 runs/a-1 runs/a-2
  featlearn check --preset tiny --seeds 0 1 2

Runs of one experiment with different seeds are checked together, with a confidence interval over
the seeds; runs that differ in nothing but the augmentation are compared with each other as well. Prints
tables and writes claims.json into every run directory. The exit code is 1 if a claim fails.
"""

import json

from ..errors import InvalidInput, RunDirectoryError
from ..loop import train
from ..recording.files import write_json
from ..recording.rundir import load_run
from .common import Progress, add_experiment_arguments, experiment_from, message


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run directory")
    add_experiment_arguments(parser, "tiny, if no RUN is given")
    parser.set_defaults(default_preset="tiny")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="train these seeds")
    parser.add_argument("--brief", action="store_true", help="leave out why tolerances are so")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    # The theory takes a while to import, which the other commands need not wait for.
    from ..theory.claims.observed import Observed
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    observed = [Observed(run) for run in _runs(arguments)]
    reports = reports_on(observed, arguments.quiet)
    if arguments.json:
        print(json.dumps([report.to_dict() for report in reports], indent=2, allow_nan=False))
    else:
        for report in reports:
            print(f"{report.title}\n\n{table(report.verdicts, not arguments.brief)}\n")
            print(f"{count_outcomes(report.verdicts)}\n")
    write_reports(reports)
    return int(any(v.outcome == FAILS for report in reports for v in report.verdicts))


def _runs(arguments):
    """The recorded runs that are named, or fresh ones."""
    fresh = ("preset", "config", "set", "seed", "seeds")
    if arguments.runs:
        for name in fresh:
            if getattr(arguments, name) not in (None, []):
                raise InvalidInput(f"--{name}", getattr(arguments, name), "no RUN beside it")
        return [load_run(directory) for directory in arguments.runs]
    if all(getattr(arguments, name) in (None, []) for name in fresh):
        raise InvalidInput("RUN", None, "a run directory, or --preset or --config for a fresh run")
    experiment = experiment_from(arguments)
    if arguments.seeds and arguments.seed is not None:
        raise InvalidInput("--seeds", arguments.seeds, "no --seed beside it")
    runs = []
    for seed in arguments.seeds or [experiment.seed]:
        one = experiment.replace(seed=seed)
        progress = Progress(one, f"seed {seed}", arguments.quiet)
        runs.append(train(one, progress=progress))
    return runs


class Report:
    """Verdicts on some runs.

    Attributes
    ----------
    title : str
    runs : list of Run
    verdicts : list of Verdict
    """

    def __init__(self, title, runs, verdicts):
        self.title, self.runs, self.verdicts = title, runs, verdicts

    def to_dict(self):
        """Return the report as plain values that JSON can hold."""
        return {
            "title": self.title,
            "seeds": [run.experiment.seed for run in self.runs],
            "verdicts": [v.to_dict() for v in self.verdicts],
        }


def reports_on(observed, quiet=False):
    """Check every experiment among some runs, then every pair of twins.

    Parameters
    ----------
    observed : list of Observed
    quiet : bool
        No messages.

    Returns
    -------
    list of Report
    """
    from ..theory import check, check_pair

    groups = {}
    for one in observed:
        groups.setdefault(one.experiment.replace(seed=0), []).append(one)
    reports = []
    for group in groups.values():
        group.sort(key=lambda one: one.experiment.seed)
        title = _title(group)
        message(f"checking {title}", quiet)
        reports.append(Report(title, [one.run for one in group], check(group)))
    for experiment, plain in groups.items():
        if experiment.augmentation != "none":
            continue
        for other, augmented in groups.items():
            twins = other.replace(augmentation="none") == experiment and other != experiment
            if twins and _seeds(plain) == _seeds(augmented):
                title = f"{_title(augmented)} against its twin without augmentation"
                both = [one.run for one in augmented + plain]
                reports.append(Report(title, both, check_pair(augmented, plain)))
    return reports


def _seeds(group):
    return [one.experiment.seed for one in group]


def _title(group):
    exp = group[0].experiment
    seeds = ", ".join(map(str, _seeds(group)))
    word = "seed" if len(group) == 1 else "seeds"
    return f"{exp.augmentation}, d = {exp.n_features}, d1 = {exp.n_inputs}, {word} {seeds}"


def write_reports(reports):
    """Write claims.json, the reports a run is part of, into every run directory."""
    for run in {id(run): run for report in reports for run in report.runs}.values():
        if run.directory is None:
            continue
        mine = [report.to_dict() for report in reports if any(run is r for r in report.runs)]
        try:
            write_json(run.directory / "claims.json", {"reports": mine})
        except OSError as error:
            raise RunDirectoryError(
                f"{run.directory}/claims.json: cannot be written ({error.strerror})"
            ) from None
