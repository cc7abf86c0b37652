"""Draw the figures that one run, or several compared, support.

A run that is still going is drawn as far as it is recorded; probe errors are those of its last
checkpoint. Of runs that differ in the seed only the first is drawn, and the mean over the seeds of
a few measures, with its 95 % confidence.

examples:
  featlearn plot runs/quick-0
  featlearn plot runs/with runs/without -o figures/twins
  featlearn plot sweeps/temperature
  featlearn plot runs/quick-0 --only losses --only headline --format png
"""

from pathlib import Path

from ..errors import InvalidInput
from ..recording.files import refuse_link
from ..recording.rundir import load_run
from ..recording.seeds import run_directories
from .common import drawable, message
from .own import add_part_arguments, parts_from


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or one of a sweep")
    parser.add_argument("-o", "--out", metavar="DIR", help="where to draw (RUN/figures)")
    parser.add_argument("--only", action="append", metavar="NAME", help="one figure; repeatable")
    parser.add_argument(
        "--format", action="append", choices=("png", "pdf"), help="one format; repeatable (both)"
    )
    add_part_arguments(parser, ["model"])
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    # Matplotlib takes half a second to import, which the other commands need not wait for.
    from ..plotting import GALLERY, save
    from ..plotting.canvas import FORMATS
    from ..plotting.several import SENTENCES, figures

    for name in arguments.only or ():
        if name not in (*GALLERY, *SENTENCES):
            raise InvalidInput("--only", name, "one of " + ", ".join((*GALLERY, *SENTENCES)))
    own = parts_from(arguments, ["model"])
    loaded = [load_run(directory, **own) for directory in run_directories(arguments.runs)]
    loaded = drawable(loaded, arguments.quiet)
    out = Path(arguments.out or Path(arguments.runs[0]) / "figures")
    if not arguments.out:
        refuse_link(out)
    for name, figure in figures(loaded, arguments.only):
        for path in save(figure, out / name, tuple(arguments.format or FORMATS)):
            print(path)
    message(f"drawn from {', '.join(arguments.runs)}", arguments.quiet)
    return 0
