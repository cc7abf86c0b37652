"""Train one experiment and record its trajectory.

examples:
  featlearn run --preset tiny
  featlearn run --preset quick --set temperature=1 --seed 3 --out runs/warm
  featlearn run --config experiment.toml --out runs/mine
  featlearn run --preset quick --watch picture.png
  featlearn run --resume runs/mine
  featlearn run --resume runs/mine --extend 6000
  featlearn run --preset quick --record mine.py:overlap --until "stage 2" --out runs/mine
  featlearn run --from runs/mine --set augmentation=none --out runs/branch

fields of an experiment, for --set name=value, with their values outside presets ("none" follows
the paper's formula):
"""

from argparse import ArgumentTypeError
from contextlib import nullcontext
from pathlib import Path

from ..errors import InvalidInput
from ..loop import train
from ..recording.config import read_config, read_own
from ..recording.rundir import load_state
from ..reports.progress import Progress
from ..rules import integer, require
from .common import (
    add_experiment_arguments,
    experiment_from,
    field_table,
    message,
    parse_setting,
    whole_number,
)
from .own import add_part_arguments, add_record_argument, parts_from, record_from, until_from
from .watching import Watcher

# Options whose argument has another name.
_OPTIONS = {"source": "from", "at_step": "at-step"}

__doc__ += field_table() + "\n"


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "quick")
    parser.add_argument("--out", metavar="DIR", help="run directory (runs/PRESET-SEED)")
    parser.add_argument("--resume", metavar="DIR", help="continue the run recorded there")
    parser.add_argument(
        "--extend", type=whole_number, metavar="N", help="beside --resume: on to step N"
    )
    parser.add_argument(
        "--from", dest="source", metavar="RUN", help="begin from a run's last state"
    )
    parser.add_argument(
        "--at-step", type=whole_number, metavar="N", help="beside --from: from a kept state"
    )
    parser.add_argument(
        "--until", metavar="WHEN", help='"stage 2", "stage 3", or FILE.py:NAME of f(state) → bool'
    )
    add_record_argument(parser)
    add_part_arguments(parser)
    parser.add_argument(
        "--watch", metavar="PNG", help="a picture to redraw every few seconds while it trains"
    )
    parser.add_argument(
        "--checkpoint-at", metavar="STEPS", help="keep the state at these steps too, as 300,800"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    experiment, directory, options = _asked(arguments)
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
                **options,
            )
    except KeyboardInterrupt:
        message(f"\ncontinue with: featlearn run --resume {directory}", arguments.quiet)
        raise
    message(f"{len(run)} rows recorded", arguments.quiet)
    print(directory)
    return 0


def _asked(arguments):
    """The experiment, the run directory, and what else `train` is told."""
    options = {
        "record": record_from(arguments) or None,
        "until": until_from(arguments.until),
        **parts_from(arguments),
    }
    for option, beside in (("extend", "resume"), ("at_step", "source")):
        if getattr(arguments, option) is not None and not getattr(arguments, beside):
            wanted = f"--{_OPTIONS.get(beside, beside)} beside it"
            raise InvalidInput(
                f"--{_OPTIONS.get(option, option)}", getattr(arguments, option), wanted
            )
    if arguments.resume:
        for name in ("preset", "config", "set", "seed", "out", "source"):
            value = getattr(arguments, name)
            if value not in (None, []):
                wanted = "nothing, beside --resume"
                raise InvalidInput(f"--{_OPTIONS.get(name, name)}", value, wanted)
        experiment = read_config(arguments.resume)
        if arguments.extend is not None:
            require("--extend", arguments.extend, integer(1))
            experiment = experiment.replace(n_steps=arguments.extend)
            options["extend"] = arguments.extend
        return experiment, Path(arguments.resume), options
    if arguments.source:
        start = options["start"] = _branch(arguments, options)
        return start.experiment, Path(arguments.out), options
    experiment = experiment_from(arguments)
    name = arguments.preset or (Path(arguments.config).stem if arguments.config else "quick")
    return experiment, Path(arguments.out or f"runs/{name}-{experiment.seed}"), options


def _branch(arguments, options):
    """The state that --from names, with what --set changes; its parts are taken out of `options`."""
    for name in ("preset", "config", "seed"):
        if getattr(arguments, name) is not None:
            raise InvalidInput(f"--{name}", getattr(arguments, name), "--set, beside --from")
    if not arguments.out:
        raise InvalidInput("--out", None, "the directory of the new run, beside --from")
    recorded = {role: options.pop(role) for role in read_own(arguments.source) if role in options}
    state = load_state(arguments.source, step=arguments.at_step, **recorded)
    return state.replace(**dict(map(parse_setting, arguments.set)))


def _steps(text):
    """The whole numbers of "300,800"."""
    try:
        return [whole_number(word) for word in text.split(",")] if text else []
    except ArgumentTypeError:
        raise InvalidInput(
            "--checkpoint-at", text, "steps with commas between, as 300,800"
        ) from None
