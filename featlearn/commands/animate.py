"""Write a film of the neurons moving towards their atoms.

Atoms stand on a circle. Each pulls a neuron with the share of the neuron's squared norm that it
holds; the dense part pulls to the centre.

examples:
  featlearn animate runs/quick-0 quick.gif
  featlearn animate runs/quick-0 quick.gif --frames 40 --fps 8
"""

from ..errors import InvalidInput
from ..recording.rundir import load_run
from .common import whole_number


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("film", metavar="FILM.gif", help="where to write it")
    parser.add_argument("--frames", type=whole_number, default=80, help="number of frames (80)")
    parser.add_argument("--fps", type=whole_number, default=12, help="frames a second (12)")


def main(arguments):
    """Run it."""
    for name, low, high in (("frames", 2, 1000), ("fps", 1, 50)):
        value = getattr(arguments, name)
        if not low <= value <= high:
            raise InvalidInput(f"--{name}", value, f"a whole number ≥ {low} and ≤ {high}")
    run = load_run(arguments.run)
    from ..plotting import animate

    animate(run, arguments.film, arguments.frames, arguments.fps)
    print(arguments.film)
    return 0
