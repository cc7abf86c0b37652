"""Train the paper's twin experiments, and show what it says beside what was measured.

Trains the same network from the same initial weights with RandomMask and without augmentation,
prints a table, writes figures, and ends with the check of every claim ('featlearn check'). The exit
code is 1 if a statement of the table or a claim fails.

examples:
  featlearn reproduce
  featlearn reproduce --seed 3 --out reproduction-3
  featlearn reproduce --preset tiny
"""

import shutil
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

from ..compute.workers import OwnWorkers
from ..errors import FeatlearnError
from ..reports.reproduction import TWINS, findings, findings_table, train_twins
from .check import reports_on, write_reports
from .common import Progress, add_experiment_arguments, experiment_from, interruptible, message


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
    message(f"training both twins into {out}", arguments.quiet)
    workers = OwnWorkers(min(len(TWINS), OwnWorkers.default()))
    try:
        with interruptible(), workers:
            return _reproduce(experiment, out, workers.executors, arguments.quiet)
    except KeyboardInterrupt:
        message("\nthe same command continues the reproduction", arguments.quiet)
        raise
    except BrokenExecutor:
        raise FeatlearnError(
            "reproduce: one of its processes was killed; the same command continues"
        ) from None


def _reproduce(experiment, out, executors, quiet):
    # Matplotlib and the theory take a while to import, which the other commands need not wait for.
    from ..plotting import draw_twins
    from ..theory.claims.observed import Observed
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    runs, summaries = train_twins(experiment, out, executors, TwinProgress(experiment, quiet))
    found = findings(summaries, experiment.n_features)
    print(findings_table(found), flush=True)
    drawn = draw_twins(runs, summaries, out / "figures", executors)
    observed = [Observed(run, summaries[label]) for label, run in runs.items()]
    reports = reports_on(observed, quiet)
    for report in reports:
        print(f"\n{report.title}\n\n{table(report.verdicts, why=False)}\n")
        print(count_outcomes(report.verdicts), flush=True)
    write_reports(reports)
    for share in drawn:
        for path in share.result():
            message(f"wrote {path}", quiet)
    verdicts = [v for report in reports for v in report.verdicts]
    failed = any(f.holds is False for f in found) or any(v.outcome == FAILS for v in verdicts)
    return int(failed)


class TwinProgress:
    """The progress lines of both twins, one below the other; silent where `Progress` is."""

    def __init__(self, experiment, quiet=False):
        self._lines = {label: Progress(experiment, f"{label:15}") for label in TWINS}
        self._show = sys.stderr.isatty() and not quiet
        self._drawn = False

    def __call__(self, rows):
        if not self._show:
            return
        up = f"\x1b[{len(rows)}A" if self._drawn else ""
        text = [row and self._lines[label].line(row) or label for label, row in rows.items()]
        # A line that wraps would not be found again.
        width = shutil.get_terminal_size().columns - 1
        lines = [f"\r{line[:width]:{width}}" for line in text]
        print(up + "\n".join(lines), file=sys.stderr, flush=True)
        self._drawn = True
