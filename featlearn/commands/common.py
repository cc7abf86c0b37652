"""What the subcommands share: choosing an experiment, and messages."""

import argparse
import dataclasses
import sys

from ..display import text_table
from ..errors import InvalidInput
from ..experiment import Experiment, as_written
from ..presets import PRESETS, preset
from ..values import parse_word


def add_experiment_arguments(parser, default):
    """Add --preset, --config, --set and --seed."""
    parser.add_argument(
        "--preset", default=None, choices=list(PRESETS), help=f"where to start from ({default})"
    )
    parser.add_argument("--config", metavar="FILE", help="a .toml or .json experiment instead")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change one field; may be repeated (see 'featlearn run --help')",
    )
    parser.add_argument("--seed", type=whole_number, help="short for --set seed=SEED")
    parser.set_defaults(default_preset=default)


def experiment_from(arguments, start=None):
    """Return the experiment that the arguments of `add_experiment_arguments` describe.

    Without --preset and --config it starts from `start`, an Experiment, or from the default preset.
    """
    if arguments.config and arguments.preset:
        raise InvalidInput("--config", arguments.config, "no --preset beside it")
    if arguments.config:
        experiment = Experiment.load(arguments.config)
    elif start is not None and not arguments.preset:
        experiment = start
    else:
        experiment = preset(arguments.preset or arguments.default_preset)
    changes = dict(parse_setting(text) for text in arguments.set)
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    return experiment.replace(**changes)


def seed_from(arguments):
    """Return the seed that the arguments of `add_experiment_arguments` name, unchecked; 0 without."""
    if arguments.seed is not None:
        return arguments.seed
    set_here = dict(parse_setting(text) for text in arguments.set).get("seed")
    if set_here is not None:
        return set_here
    return Experiment.load(arguments.config).seed if arguments.config else 0


def parse_setting(text):
    """Return (name, value) of "name=value"; numbers, true and false are read as such."""
    name, equals, word = text.partition("=")
    if not equals or not name:
        raise InvalidInput("--set", text, "name=value")
    return name, parse_value(name, word)


def parse_value(name, word):
    """Return the value of an experiment's field that a word on the command line means."""
    return as_written(name, parse_word(word))


def whole_number(word):
    """The type of arguments that are whole numbers, in any form in which people write them."""
    value = parse_word(word)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise argparse.ArgumentTypeError(f"invalid int value: {word[:80]!r}")
    return value


def field_table():
    """Return the lines that describe the fields of an experiment."""
    return text_table(
        [
            (f"  {f.name}", "none" if f.default is None else str(f.default), f.metadata["doc"])
            for f in dataclasses.fields(Experiment)
        ]
    )


def message(text, quiet=False):
    """Print a line to stderr, unless quiet."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def drawable(runs, quiet=False):
    """Return those of some runs that have rows to draw, and name the others; all where none has."""
    short = [run for run in runs if len(run) < 2]
    if len(short) == len(runs):
        return runs
    for run in short:
        message(f"not drawn: {run.directory}, of {len(run)} recorded rows", quiet)
    return [run for run in runs if len(run) >= 2]


def announcing(verb, quiet=False):
    """Return a function of a title that prints what is done next to stderr, unless quiet."""
    return lambda title: message(f"{verb} {title}", quiet)
