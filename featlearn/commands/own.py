"""Arguments that name functions, claims and parts of a user's own."""

from pathlib import Path

from .. import by_name
from ..errors import InvalidInput

PARTS = ("model", "augmentation", "schedule", "objective")


def add_part_arguments(parser, roles=PARTS):
    """Add --model and so on."""
    for role in roles:
        parser.add_argument(
            f"--{role}", metavar="FILE.py:NAME", help=f"{_article(role)} {role} of your own"
        )


def parts_from(arguments, roles=PARTS):
    """Return {role: what was named} for the roles that were given."""
    return {
        role: by_name.load(f"--{role}", getattr(arguments, role))
        for role in roles
        if getattr(arguments, role) is not None
    }


def add_record_argument(parser):
    """Add --record."""
    parser.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="WHAT",
        help="record it too: FILE.py:NAME of a function of (state, batch, gradient), or an extra: "
        "attraction, repulsion, off_support_maximum, active_given_feature, dense_gram",
    )


def record_from(arguments):
    """Return what `train` takes as `record`."""
    asked = []
    for text in arguments.record:
        if ":" not in text:
            asked.append(text)
            continue
        found = by_name.load("--record", text)
        asked.append(found if isinstance(found, dict) else {text.rpartition(":")[2]: found})
    return asked


def until_from(text):
    """Return what `train` takes as `until`."""
    return by_name.load("--until", text) if text and ":" in text else text


def add_claims_argument(parser):
    """Add --claims."""
    parser.add_argument(
        "--claims",
        action="append",
        default=[],
        metavar="FILE.py",
        help="claims of your own too: the functions in it marked by @featlearn.claim",
    )


def claims_from(arguments):
    """Return the marked functions of the files that were named, in their order."""
    from ..theory.claims.claim import Claim

    found = []
    for path in arguments.claims:
        module = by_name.load_file("--claims", path)
        mine = [f for f in vars(module).values() if isinstance(getattr(f, "claim", None), Claim)]
        mine = [f for f in mine if getattr(f, "__module__", None) == module.__name__]
        if not mine:
            raise InvalidInput("--claims", path, "functions marked by @featlearn.claim(name)")
        found += mine
    return found


def claim_names(arguments):
    """Return the names by which workers find the claims of the files that were named."""
    return [by_name.name_of("--claims", claim) for claim in claims_from(arguments)]


def names_from(arguments):
    """Return what `featlearn.sweeps.sweep.sweep` is told of --record, --until, --model and so on."""
    options = {role: _absolute(getattr(arguments, role)) for role in PARTS}
    options["until"] = _absolute(arguments.until)
    record = record_from(arguments)
    options["record"] = record or None
    return {name: value for name, value in options.items() if value is not None}


def _absolute(name):
    """A name that holds in another directory too."""
    if name is None or ".py:" not in name:
        return name
    path, _, attribute = name.rpartition(":")
    return f"{Path(path).resolve()}:{attribute}"


def _article(word):
    return "an" if word[0] in "aeiou" else "a"
