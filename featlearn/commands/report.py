"""Write one HTML file to send: experiment, predictions, measurements, verdicts and figures.

The file needs neither a network nor a script to be read.

examples:
  featlearn report runs/default runs/no-augmentation -o report.html
"""

from ..recording.rundir import load_run
from ..reports.page import page_path, write_page
from .common import announcing, message


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory")
    parser.add_argument("-o", "--out", default="report.html", metavar="FILE", help="(report.html)")
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    out = page_path("--out", arguments.out)
    loaded = [load_run(directory) for directory in arguments.runs]
    # Matplotlib and the checks take a while to import, which the other commands need not wait for.
    from ..plotting import GALLERY, draw_gallery, label_runs
    from ..reports.html import MOST_IN_A_FIGURE, make_report
    from ..theory.claims.groups import check_all
    from ..theory.claims.observed import Observed

    observed = {label: Observed(run) for label, run in label_runs(loaded).items()}
    checked = check_all(observed.values(), announcing("checking", arguments.quiet))
    message("drawing", arguments.quiet)
    # More panels than this are too small to read: the first runs stand for the rest.
    shown = dict(list(observed.items())[:MOST_IN_A_FIGURE])
    runs = {label: one.run for label, one in shown.items()}
    probes = {label: one.summary.probe for label, one in shown.items()}
    drawn = draw_gallery(runs, probes=probes)
    figures = ((name, GALLERY[name][1], figure) for name, figure in drawn)
    text = make_report(observed, [(one.title, one.verdicts) for one in checked], figures)
    write_page(out, text)
    print(out)
    return 0
