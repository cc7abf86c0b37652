"""Train one experiment and record its trajectory.

examples:
  featlearn run --preset tiny
  featlearn run --preset quick --set temperature=1 --seed 3 --out runs/warm
  featlearn run --config experiment.toml --out runs/mine
  featlearn run --preset quick --watch picture.png
  featlearn run --resume runs/mine

fields of an experiment, for --set name=value, with their values outside presets ("none" follows
the paper's formula):
"""

from contextlib import nullcontext
from pathlib import Path

from ..errors import InvalidInput
from ..loop import train
from ..recording.rundir import read_config
from ..reports.progress import Progress
from .common import add_experiment_arguments, experiment_from, field_table, message
from .watching import Watcher

__doc__ += field_table() + "\n"


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "quick")
    parser.add_argument("--out", metavar="DIR", help="run directory (runs/PRESET-SEED)")
    parser.add_argument("--resume", metavar="DIR", help="continue the run recorded there")
    parser.add_argument(
        "--watch", metavar="PNG", help="a picture to redraw every few seconds while it trains"
    )
    parser.add_argument(
        "--checkpoint-at", metavar="STEPS", help="keep the state at these steps too, as 300,800"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    if arguments.resume:
        for name in ("preset", "config", "set", "seed", "out"):
            value = getattr(arguments, name)
            if value not in (None, []):
                raise InvalidInput(f"--{name}", value, "nothing, beside --resume")
        directory, experiment = Path(arguments.resume), read_config(arguments.resume)
    else:
        experiment = experiment_from(arguments)
        name = arguments.preset or (Path(arguments.config).stem if arguments.config else "quick")
        directory = Path(arguments.out or f"runs/{name}-{experiment.seed}")
    progress = Progress(experiment, quiet=arguments.quiet)
    watcher = Watcher(directory, arguments.watch) if arguments.watch else nullcontext()
    try:
        with watcher:
            run = train(
                experiment,
                directory,
                resume=bool(arguments.resume),
                progress=progress,
                checkpoint_at=_steps(arguments.checkpoint_at),
            )
    except KeyboardInterrupt:
        message(f"\ncontinue with: featlearn run --resume {directory}", arguments.quiet)
        raise
    message(f"{len(run)} rows recorded", arguments.quiet)
    print(directory)
    return 0


def _steps(text):
    """The whole numbers of "300,800"."""
    try:
        return [int(word) for word in text.split(",")] if text else []
    except ValueError:
        raise InvalidInput(
            "--checkpoint-at", text, "steps with commas between, as 300,800"
        ) from None
