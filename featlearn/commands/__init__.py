"""The command ``featlearn``: one module a subcommand, each with `add_arguments` and `main`.

Exit codes: 0 fine; 1 a claim fails or a run broke; 2 bad arguments or input; 130 interrupted; 141 the
reader of the output left before its end.
Data goes to stdout, progress and messages to stderr.
"""

import argparse
import importlib
import sys
import warnings

from ..compute.interrupts import interruptible
from ..errors import FeatlearnError, InvalidInput, RunDirectoryError
from ..values import did_you_mean
from .output import standard_streams

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
        message = " ".join(message.split())
        shown = message if len(message) <= 300 else message[:297] + "..."
        self.exit(2, f"{self.prog}: {shown}; see {self.prog} --help\n")

    def parse_known_args(self, args=None, namespace=None):
        # Here rather than in the parser of the whole command, which does not know the subcommand's name.
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            nearly = did_you_mean(unknown[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{nearly}")
        return namespace, unknown

    def _get_value(self, action, word):
        # What a shell makes of a variable that is not set is no option left out, and no directory.
        if not word and action.type is None and action.choices is None:
            raise argparse.ArgumentError(action, f"got '', wants {action.metavar}")
        return super()._get_value(action, word)

    def _check_value(self, action, value):
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(value, action.choices)
            raise


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
    """Run a command line, that of the process unless given, and return its exit code."""
    own = argv is None
    if own:
        warnings.showwarning = _show_warning
    with standard_streams(own) as exit_code, interruptible():
        try:
            code = _run(argv)
        except SystemExit as stop:  # of the parser, after --help for one
            raise SystemExit(exit_code(stop.code)) from None
        return exit_code(code)


def _show_warning(message, *_):
    print("featlearn: warning:", " ".join(str(message).split()), file=sys.stderr)


def _run(argv):
    see = ""
    try:
        arguments = build_parser().parse_args(argv)
        see = f"; see featlearn {arguments.command} --help"
        return arguments.main(arguments) or 0
    except KeyboardInterrupt:
        return _end("interrupted", 130)
    except InvalidInput as error:
        return _end(f"{error}{see}", 2)
    except RunDirectoryError as error:
        return _end(error, 2)
    except FeatlearnError as error:
        return _end(error, 1)
    except MemoryError as error:
        return _end(f"not enough memory ({error})", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _end(f"{where}{error.strerror or error}", 1)


def _end(message, code):
    """Say in one line why a command ends, and return its exit code."""
    print("featlearn:", " ".join(str(message).split()), file=sys.stderr)
    return code
