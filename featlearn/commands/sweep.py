"""Train a grid of experiments in parallel, a row of results each.

examples:
  featlearn sweep --preset tiny --grid temperature=1,2,4 --grid seed=0,1,2 --out sweeps/warm
  featlearn sweep --preset tiny --grid seed=0..9 --out sweeps/seeds
  featlearn sweep --grid n_features=16,32 --link "n_inputs=16*n_features" --out sweeps/sizes
  featlearn sweep --file grid.toml --out sweeps/mine
  featlearn sweep --file grid.toml --out sweeps/mine --scheduler tcp://host:8786

A grid file holds a table [grid], a list of values for each swept field, and optionally a table [base]
with the other fields and a preset, and a table [link] of formulas. The directory then holds results.csv, a row a run, and the run
directories. The same sweep again skips what is complete and resumes what is not; more points or seeds
cost only the new ones.

With --scheduler the runs go to the workers of a Dask cluster (the extra "distributed"). All of its
machines must have featlearn installed, and its workers share the path of --out unless
--no-trajectories is given.
"""

import contextlib
import math
import re
from pathlib import Path

from ..errors import InvalidInput
from ..reports.progress import SweepProgress
from .common import (
    add_experiment_arguments,
    experiment_from,
    message,
    parse_value,
    whole_number,
)
from .own import (
    add_claims_argument,
    add_part_arguments,
    add_record_argument,
    claim_names,
    names_from,
)

_RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
# In a range, and of all combinations.
MOST = 100_000


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "tiny")
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=V1,V2,...",
        help="values of one field, or a range such as 0..9; may be repeated, for every combination",
    )
    parser.add_argument(
        "--link",
        action="append",
        default=[],
        metavar="NAME=FORMULA",
        help="a field that follows from others by arithmetic; may be repeated",
    )
    add_record_argument(parser)
    parser.add_argument("--until", metavar="WHEN", help="as of featlearn run")
    add_part_arguments(parser)
    add_claims_argument(parser)
    parser.add_argument("--file", metavar="FILE", help="a .toml grid instead")
    parser.add_argument("--out", metavar="DIR", required=True, help="directory of the sweep")
    parser.add_argument("--workers", type=whole_number, help="runs at a time (the processors)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler to run on instead")
    parser.add_argument(
        "--no-trajectories", action="store_true", help="keep the rows only, no run directories"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    from ..sweeps.sweep import sweep

    experiments = _experiments(arguments)
    options = names_from(arguments)
    progress = SweepProgress(arguments.quiet)
    try:
        with _executor(arguments.scheduler) as executor:
            rows = sweep(
                experiments,
                arguments.out,
                executor,
                workers=arguments.workers,
                trajectories=not arguments.no_trajectories,
                progress=progress,
                claims=claim_names(arguments),
                **options,
            )
    except KeyboardInterrupt:
        message("\nthe same command continues the sweep", arguments.quiet)
        raise
    broken = [row for row in rows if row["status"] != "complete"]
    message(f"{len(rows) - len(broken)} runs complete, {len(broken)} failed", arguments.quiet)
    for row in broken[:5]:
        message(f"{row['run']}: {' '.join(row['error'].split())}", arguments.quiet)
    print(Path(arguments.out) / "results.csv")
    return 1 if broken else 0


def _experiments(arguments):
    from ..sweeps.sweep import grid, load_grid, load_links

    if arguments.file:
        for name in ("preset", "config", "set", "seed", "grid", "link"):
            value = getattr(arguments, name)
            if value not in (None, []):
                raise InvalidInput(f"--{name}", value, "nothing, beside --file")
        return grid(*load_grid(arguments.file), load_links(arguments.file))
    if not arguments.grid:
        raise InvalidInput("--grid", None, "name=v1,v2,..., or --file")
    axes = {}
    for text in arguments.grid:
        name, equals, words = text.partition("=")
        if not equals or not name or name in axes:
            raise InvalidInput("--grid", text, "name=v1,v2,..., each name once")
        axes[name] = [value for word in words.split(",") for value in _values(name, word)]
    points = math.prod(map(len, axes.values()))
    if points > MOST:
        raise InvalidInput("--grid", f"{points} experiments", f"at most {MOST}")
    links = {}
    for text in arguments.link:
        name, equals, formula = text.partition("=")
        if not equals or not name.strip() or name.strip() in links:
            raise InvalidInput("--link", text, "name=formula, each name once")
        links[name.strip()] = formula
    return grid(experiment_from(arguments), axes, links)


def _values(name, word):
    """The values that a word means: one, or those of a range of whole numbers."""
    ends = _RANGE.fullmatch(word.strip())
    if not ends:
        return [parse_value(name, word)]
    first, last = map(int, ends.groups())
    if not 0 <= last - first < MOST:
        raise InvalidInput("--grid", word, f"a range of 1 to {MOST} whole numbers")
    return list(range(first, last + 1))


@contextlib.contextmanager
def _executor(address):
    """Yield the executor of a Dask cluster, or None without an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        wanted = 'the extra "distributed": python -m pip install "featlearn[distributed]"'
        raise InvalidInput("--scheduler", address, wanted) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        wanted = f"a Dask scheduler that answers ({error})"
        raise InvalidInput("--scheduler", address, wanted) from None
    with client:
        yield client.get_executor()
