"""Write a page in which to look around in a run: neurons over features, step by step.

One HTML file that needs no network and is worked by mouse or keys: a slider over the steps with the
stages marked, every neuron's cosines with the features, and for the chosen one what pulls on it.

examples:
  featlearn explore runs/quick-0 -o quick.html

See also 'featlearn step --html FILE', the same page for a world small enough to read.
"""

from ..errors import InvalidInput
from ..recording.rundir import load_run
from ..reports.page import page_path, write_page


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("-o", "--out", metavar="FILE.html", required=True, help="where to write it")


def main(arguments):
    """Run it."""
    out = page_path("--out", arguments.out)
    run = load_run(arguments.run)
    if len(run) < 2:
        raise InvalidInput("RUN", f"{len(run)} recorded rows", "at least 2 to show")
    # Matplotlib takes a while to import, which bad arguments need not wait for.
    from ..reports.explorer import frames_of_run, make_explorer

    write_page(out, make_explorer(frames_of_run(run)))
    print(out)
    return 0
