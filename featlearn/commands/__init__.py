"""The command ``featlearn``: one module a subcommand, each with `add_arguments` and `main`.

Exit codes: 0 fine; 1 a claim fails or a run broke; 2 bad arguments or input; 130 interrupted.
Data goes to stdout, progress and messages to stderr.
"""

import argparse
import importlib
import sys

from ..errors import FeatlearnError, InvalidInput, RunDirectoryError, TrainingDiverged

COMMANDS = (
    "reproduce",
    "plan",
    "run",
    "step",
    "check",
    "plot",
    "animate",
    "explore",
    "derivation",
    "api",
    "report",
    "sweep",
    "fit",
    "images",
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, and where to read what is right."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def build_parser():
    """Return the parser of the whole command."""
    parser = _Parser(
        prog="featlearn",
        description="Simulate the feature learning process of contrastive self-supervised learning"
        " (Wen & Li 2021), and check it against the theory.",
    )
    from .. import __version__

    parser.add_argument("--version", action="version", version=f"featlearn {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f".{name}", __name__)
        first, _, rest = module.__doc__.partition("\n")
        sub = subparsers.add_parser(
            name,
            help=first,
            description=first,
            epilog=rest.strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(main=module.main)
    return parser


def main(argv=None):
    """Run the command line and return its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.main(arguments) or 0
    except KeyboardInterrupt:
        print("featlearn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except TrainingDiverged as error:
        print(f"featlearn: {error}", file=sys.stderr)
        return 1
    except (InvalidInput, RunDirectoryError) as error:
        print(f"featlearn: {error}", file=sys.stderr)
        return 2
    except FeatlearnError as error:
        print(f"featlearn: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"featlearn: not enough memory ({error})", file=sys.stderr)
        return 1
