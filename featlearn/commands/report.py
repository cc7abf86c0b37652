"""Write one HTML file to send: experiment, predictions, measurements, verdicts and figures.

The file needs neither a network nor a script to be read.

examples:
  featlearn report runs/default runs/no-augmentation -o report.html
"""

from ..recording.rundir import load_run
from ..recording.seeds import run_directories
from ..reports.page import page_path, write_page
from .common import announcing, drawable, message
from .own import add_claims_argument, add_part_arguments, claims_from, parts_from

# Columns of a table.
MOST_LISTED = 6


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or one of a sweep")
    parser.add_argument("-o", "--out", default="report.html", metavar="FILE", help="(report.html)")
    add_claims_argument(parser)
    add_part_arguments(parser, ["model"])
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    out = page_path("--out", arguments.out)
    own = parts_from(arguments, ["model"])
    loaded = [load_run(directory, **own) for directory in run_directories(arguments.runs)]
    # Matplotlib and the checks take a while to import, which the other commands need not wait for.
    from ..plotting import GALLERY, label_runs
    from ..plotting.several import SENTENCES, figures, shown_runs
    from ..reports.html import MOST_IN_A_FIGURE, make_report
    from ..theory.claims.groups import check_all
    from ..theory.claims.observed import Observed

    observed = {id(run): Observed(run) for run in loaded}
    say = announcing("checking", arguments.quiet)
    checked = check_all(list(observed.values()), say, claims_from(arguments))
    message("drawing", arguments.quiet)
    to_draw = drawable(loaded, arguments.quiet)
    # More panels than this are too small to read: the first runs stand for the rest.
    shown = shown_runs(to_draw, MOST_IN_A_FIGURE)
    listed = label_runs(loaded) if len(loaded) <= MOST_LISTED else shown
    # A run loaded without the model of its own is not probed.
    known = {label: run for label, run in shown.items() if run.model is not None}
    probes = {label: observed[id(run)].summary.probe for label, run in known.items()}
    drawn = figures(to_draw, probes=probes, most=MOST_IN_A_FIGURE)
    sentences = SENTENCES | {name: GALLERY[name][1] for name in GALLERY}
    pictures = ((name, sentences[name], figure) for name, figure in drawn)
    text = make_report(
        {label: observed[id(run)] for label, run in listed.items()},
        [(one.title, one.verdicts) for one in checked],
        pictures,
    )
    write_page(out, text)
    print(out)
    return 0
