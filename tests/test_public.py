"""What `import featlearn` offers: every name listed, typed and documented; one source of the version."""

import inspect
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import featlearn
from featlearn.commands import check as check_command
from featlearn.plotting import GALLERY
from featlearn.theory.claims.checking import CLAIMS
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.observed import Observed
from featlearn.views import AUGMENTATIONS

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = {name: getattr(featlearn, name) for name in featlearn.__all__}


def functions(name):
    """The functions that a public name stands for: itself, or the methods of a class."""
    thing = OBJECTS[name]
    if inspect.isfunction(thing):
        return [thing]
    if not inspect.isclass(thing):
        return []
    found = []
    for key, member in vars(thing).items():
        member = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        member = getattr(member, "func", member)
        mine = inspect.isfunction(member) and member.__code__.co_filename != "<string>"
        # What a base class says holds for what overrides it.
        mine = mine and not any(hasattr(base, key) for base in thing.__mro__[1:-1])
        if mine and (not key.startswith("_") or key in ("__init__", "__getitem__", "__len__")):
            found.append(member)
    return found


def test_all_names_are_listed():
    public = {
        name
        for name, thing in vars(featlearn).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    }
    assert sorted({*public, *featlearn._OF_THEORY}) == sorted(featlearn.__all__)
    for name in ("theory", "sweeps", "plotting"):
        assert name in dir(featlearn)


@pytest.mark.parametrize("name", featlearn.__all__)
def test_a_name_is_documented_and_typed(name):
    thing = OBJECTS[name]
    assert not callable(thing) or inspect.getdoc(thing)
    for function in functions(name):
        hints = inspect.signature(function)
        unknown = [
            p.name
            for p in hints.parameters.values()
            if p.annotation is p.empty
            and p.name not in ("self", "cls")
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        assert not unknown, f"{function.__qualname__}: no hint for {', '.join(unknown)}"
        init = function.__name__ == "__init__"
        assert init or hints.return_annotation is not hints.empty, function.__qualname__


def test_the_version_is_written_once():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == "attr: featlearn.__version__"
    # As setuptools reads it, where numpy may not be installed: a literal, without an import.
    [line] = [
        line
        for line in (ROOT / "featlearn" / "__init__.py").read_text(encoding="utf-8").splitlines()
        if line.startswith("__version__")
    ]
    assert line == f'__version__ = "{featlearn.__version__}"'


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_has_its_line(name):
    augmentation = AUGMENTATIONS[name]
    assert augmentation.name == name and augmentation.__doc__.splitlines()[0]
    assert augmentation.label and augmentation.formula and augmentation.remark.endswith(".")


def test_a_claim_has_its_line(twins):
    assert all(claim.__doc__.splitlines()[0].endswith(".") for claim in CLAIMS)
    lines = check_command.__doc__.split("claims:\n")[1].split("\n\n")[0].splitlines()
    listed = [line[2:].split("  ")[0] for line in lines]
    checked = check_all([Observed(featlearn.load_run(place)) for place in twins])
    assert {claim.claim.name for claim in CLAIMS} | {"twins"} == set(listed)
    assert {v.claim for one in checked for v in one.verdicts} <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_figure_has_its_line():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import make_figures
    finally:
        sys.path.pop(0)
    text = (ROOT / "figures" / "README.md").read_text(encoding="utf-8")
    for name in (*make_figures.FIGURES, make_figures.FILM, *make_figures.TABLES):
        assert f"| `{name}" in text or f"`{name}.gif`" in text, name
    assert all(sentence.endswith(".") for _, sentence in GALLERY.values())
