"""The README's map of the code against the imports: data goes one way."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "featlearn"
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    # They say what a package offers, and import what is in it.
    if path.name not in ("__init__.py", "__main__.py")
)


def rows():
    """The first cells of the map, each a list of modules and folders."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("## The map of the code")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", cell) for cell in cells]


def place(module):
    """The row of a module: that of its own name, or of the smallest folder that is listed."""
    found = [
        (len(entry), k)
        for k, row in enumerate(rows())
        for entry in row
        if entry == module or (entry.endswith("/") and module.startswith(entry))
    ]
    assert found, f"{module} is not on the README's map"
    return max(found)[1]


def imported(module):
    """The featlearn modules that a module imports, at its top or inside its functions.

    Of a package, those that it takes what it offers from.
    """
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (PACKAGE / module).parents[node.level - 1]
            base = base.joinpath(*(node.module or "").split("."))
            for alias in node.names:
                names |= files_of(base / alias.name) or files_of(base)
    return names - {module}


def files_of(path):
    """What an import of a module or package, without its suffix, leads to."""
    if path.with_suffix(".py").exists():
        return {path.with_suffix(".py").relative_to(PACKAGE).as_posix()}
    if path == PACKAGE or not (path / "__init__.py").exists():
        return set()
    return imported((path / "__init__.py").relative_to(PACKAGE).as_posix())


def test_everything_on_the_map_exists():
    for entry in (entry for row in rows() for entry in row):
        assert (PACKAGE / entry).exists(), entry


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module):
    for other in imported(module):
        assert place(other) <= place(module), f"{module} imports {other}, which is below it"


def test_there_are_no_circles():
    graph = {module: imported(module) for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_every_folder_is_a_package():
    """One without __init__.py can be imported from a checkout, but is not installed."""
    for module in MODULES:
        assert (PACKAGE / module).parent.joinpath("__init__.py").exists(), module
