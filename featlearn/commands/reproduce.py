"""Train the paper's twin experiments, and show what it says beside what was measured.

Trains the same network from the same initial weights with RandomMask and without augmentation,
prints a table, writes figures, and ends with the check of every claim ('featlearn check'). The exit
code is 1 if a statement of the table or a claim fails.

examples:
  featlearn reproduce
  featlearn reproduce --seed 3 --out reproduction-3
  featlearn reproduce --preset tiny
"""

from pathlib import Path

from ..reproduction import findings, findings_table, summarize_twins, train_twins
from .check import reports_on, write_reports
from .common import Progress, add_experiment_arguments, experiment_from, message


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "default")
    parser.add_argument("--out", metavar="DIR", help="new directory (reproduction/PRESET-SEED)")
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    # Matplotlib and the theory take a while to import, which the other commands need not wait for.
    from ..plotting import save_twin_figures
    from ..theory.verdict import FAILS, summary, table

    experiment = experiment_from(arguments)
    name = arguments.preset or (Path(arguments.config).stem if arguments.config else "default")
    out = Path(arguments.out or f"reproduction/{name}-{experiment.seed}")
    message(f"training both twins into {out}", arguments.quiet)
    runs = train_twins(
        experiment, out, lambda label, twin: Progress(twin, label, arguments.quiet)
    )
    summaries = summarize_twins(runs)
    found = findings(summaries, experiment.n_features)
    print(findings_table(found), flush=True)
    for path in save_twin_figures(runs, summaries, out / "figures"):
        message(f"wrote {path}", arguments.quiet)
    reports = reports_on(list(runs.values()), arguments.quiet)
    for report in reports:
        print(f"\n{report.title}\n\n{table(report.verdicts, why=False)}\n")
        print(summary(report.verdicts))
    write_reports(reports)
    verdicts = [v for report in reports for v in report.verdicts]
    failed = any(f.holds is False for f in found) or any(v.outcome == FAILS for v in verdicts)
    return int(failed)
