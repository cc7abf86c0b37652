"""The README's command lines are ones that the command understands."""

import re
import shlex
from pathlib import Path

import pytest

from featlearn.commands import COMMANDS, build_parser

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
LINES = sorted({line.strip() for line in re.findall(r"featlearn [a-z]+[^`\n#&]*", TEXT)})
LINES = [line for line in LINES if line.split()[1] in COMMANDS]


def test_the_readme_shows_every_command():
    assert {line.split()[1] for line in LINES} == set(COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_readme_is_understood(line):
    arguments = build_parser().parse_args(shlex.split(line)[1:])
    assert arguments.command == line.split()[1]
