"""Train the paper's twin experiments, and show what it says beside what was measured.

Trains the same network from the same initial weights with RandomMask and without augmentation,
prints what the claims of the theory measure on both, writes figures, and checks every claim
('featlearn check'). Then come, as they are ready, the same twins in the regime of the theorems (d1 a
power of d, in the large-batch limit), a network that is told labels instead of getting two views, and
two smaller runs for the predictions that apply to none of these.
The exit code is 1 if a claim fails.

examples:
  featlearn reproduce
  featlearn reproduce --finite
  featlearn reproduce --seed 3 --out reproduction-3
  featlearn reproduce --preset tiny
"""

from concurrent.futures import BrokenExecutor
from pathlib import Path

from ..compute.workers import OwnWorkers
from ..errors import FeatlearnError
from ..reports.progress import SeveralProgress
from ..reports.reproduction import Part, all_parts, finish_columns, start_columns, twin_columns
from .common import (
    add_experiment_arguments,
    announcing,
    experiment_from,
    message,
)


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "default")
    parser.add_argument("--out", metavar="DIR", help="its directory (reproduction/PRESET-SEED)")
    parser.add_argument("--finite", action="store_true", help="the twins of finite d only")
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    experiment = experiment_from(arguments)
    name = arguments.preset or (Path(arguments.config).stem if arguments.config else "default")
    out = Path(arguments.out or f"reproduction/{name}-{experiment.seed}")
    parts = all_parts(experiment, out)
    if arguments.finite or arguments.preset or arguments.config or arguments.set:
        parts = [Part("", twin_columns(experiment), out)]
    message(f"training both twins into {out}", arguments.quiet)
    workers = OwnWorkers(min(2, OwnWorkers.default()))
    try:
        with workers:
            return _reproduce(parts, workers.executors, arguments.quiet)
    except KeyboardInterrupt:
        message("\nthe same command continues the reproduction", arguments.quiet)
        raise
    except BrokenExecutor:
        raise FeatlearnError(
            "reproduce: one of its processes was killed; the same command continues"
        ) from None


def _reproduce(parts, executors, quiet):
    # Matplotlib and the theory take a while to import, which the other commands need not wait for.
    from ..plotting import draw_regimes, draw_twins
    from ..reports.comparison import measures
    from ..theory.claims.observed import Observed

    seen, twins, before, failed = {}, {}, [], False
    figures = parts[0].directory / "figures"
    pairs = [part for part in parts if part.compared and len(part.columns) > 1]
    futures, drawn = [_start(parts[0], executors)], []
    for k, part in enumerate(parts):
        if part.title:
            print(f"{part.title}\n")
        progress = SeveralProgress({c.label: c.experiment for c in part.columns}, quiet)
        runs, summaries = finish_columns(futures[k], part.columns, part.directory, progress)
        if k == 0:
            # By one process, while this one checks the runs.
            drawn = [draw_twins(runs, summaries, figures, executors[-1])]
        if part in pairs:
            twins |= {f"{part.title}: {label}": run for label, run in runs.items()}
        if part is pairs[-1] and len(pairs) > 1:
            drawn = draw_regimes(twins, figures, executors)
        observed = {label: Observed(run, summaries[label]) for label, run in runs.items()}
        failed |= _show(observed, quiet, part.compared, before)
        before += observed.values()
        if part.compared:
            seen |= {(part.title, label): summaries[label] for label in runs}
        if k == 0:
            # One run after the other, the last on the worker that is free first.
            futures += [
                _start(later, executors[:: -1 if len(later.columns) == 1 else 1])
                for later in parts[1:]
            ]
            _tell(drawn, quiet)
        print(flush=True)
    if len(parts) > 1:
        print(measures(seen))
        _tell(drawn, quiet)
    return int(failed)


def _tell(drawn, quiet):
    """Wait for figures, and say where they are."""
    for share in drawn:
        for path in share.result():
            message(f"wrote {path}", quiet)


def _start(part, executors):
    return start_columns(part.columns, part.directory, executors)


def _show(observed, quiet, compared, before):
    """Print what the claims measure, if compared, and verdicts; return whether one fails.

    The runs of earlier parts are what a later one is related to.
    """
    from ..reports.comparison import comparison
    from ..theory.claims.groups import check_all, written_first
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    checked = check_all(observed.values(), announcing("checking", quiet), beside=before)
    with written_first(checked):
        if compared:
            print(comparison(observed, checked))
        for one in checked:
            print(f"\n{one.title}\n\n{table(one.verdicts, why=False)}\n")
            print(count_outcomes(one.verdicts), flush=True)
    return any(v.outcome == FAILS for one in checked for v in one.verdicts)
