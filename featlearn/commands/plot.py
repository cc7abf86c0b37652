"""Draw the figures that one run, or several compared, support.

A run that is still going is drawn as far as it is recorded; probe errors are those of its last
checkpoint.

examples:
  featlearn plot runs/quick-0
  featlearn plot runs/with runs/without -o figures/twins
  featlearn plot runs/quick-0 --only losses --only headline --format png
"""

from pathlib import Path

from ..errors import InvalidInput
from ..recording.rundir import load_run
from .common import message


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory")
    parser.add_argument("-o", "--out", metavar="DIR", help="where to draw (RUN/figures)")
    parser.add_argument("--only", action="append", metavar="NAME", help="one figure; repeatable")
    parser.add_argument(
        "--format", action="append", choices=("png", "pdf"), help="one format; repeatable (both)"
    )
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    # Matplotlib takes half a second to import, which the other commands need not wait for.
    from ..plotting import GALLERY, draw_gallery, label_runs, save
    from ..plotting.canvas import FORMATS

    for name in arguments.only or ():
        if name not in GALLERY:
            raise InvalidInput("--only", name, "one of " + ", ".join(GALLERY))
    runs = label_runs([load_run(directory) for directory in arguments.runs])
    out = Path(arguments.out or Path(arguments.runs[0]) / "figures")
    for name, figure in draw_gallery(runs, arguments.only):
        for path in save(figure, out / name, tuple(arguments.format or FORMATS)):
            print(path)
    message(f"drawn from {', '.join(arguments.runs)}", arguments.quiet)
    return 0
