"""Train the paper's twin experiments, and show what it says beside what was measured.

Trains the same network from the same initial weights with RandomMask and without augmentation,
prints what the claims of the theory measure on both, writes figures, and ends with the check of every
claim ('featlearn check'). The exit code is 1 if a claim fails.

examples:
  featlearn reproduce
  featlearn reproduce --seed 3 --out reproduction-3
  featlearn reproduce --preset tiny
"""

from concurrent.futures import BrokenExecutor
from pathlib import Path

from ..compute.workers import OwnWorkers
from ..errors import FeatlearnError
from ..reports.progress import SeveralProgress
from ..reports.reproduction import train_columns, twin_columns
from .common import (
    add_experiment_arguments,
    announcing,
    experiment_from,
    interruptible,
    message,
)


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "default")
    parser.add_argument("--out", metavar="DIR", help="its directory (reproduction/PRESET-SEED)")
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    experiment = experiment_from(arguments)
    name = arguments.preset or (Path(arguments.config).stem if arguments.config else "default")
    out = Path(arguments.out or f"reproduction/{name}-{experiment.seed}")
    columns = twin_columns(experiment)
    message(f"training both twins into {out}", arguments.quiet)
    workers = OwnWorkers(min(len(columns), OwnWorkers.default()))
    try:
        with interruptible(), workers:
            return _reproduce(columns, out, workers.executors, arguments.quiet)
    except KeyboardInterrupt:
        message("\nthe same command continues the reproduction", arguments.quiet)
        raise
    except BrokenExecutor:
        raise FeatlearnError(
            "reproduce: one of its processes was killed; the same command continues"
        ) from None


def _reproduce(columns, out, executors, quiet):
    # Matplotlib and the theory take a while to import, which the other commands need not wait for.
    from ..plotting import draw_twins
    from ..reports.comparison import comparison
    from ..theory.claims.groups import check_all, write_claims
    from ..theory.claims.observed import Observed
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    progress = SeveralProgress({c.label: c.experiment for c in columns}, quiet)
    runs, summaries = train_columns(columns, out, executors, progress)
    drawn = draw_twins(runs, summaries, out / "figures", executors)
    observed = {label: Observed(run, summaries[label]) for label, run in runs.items()}
    checked = check_all(observed.values(), announcing("checking", quiet))
    print(comparison(observed, checked))
    for one in checked:
        print(f"\n{one.title}\n\n{table(one.verdicts, why=False)}\n")
        print(count_outcomes(one.verdicts), flush=True)
    write_claims(checked)
    for share in drawn:
        for path in share.result():
            message(f"wrote {path}", quiet)
    return int(any(v.outcome == FAILS for one in checked for v in one.verdicts))
