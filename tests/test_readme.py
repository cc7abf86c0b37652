"""The README's command lines are ones that the command understands, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest

import featlearn
from featlearn.commands import COMMANDS, build_parser

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
LINES = sorted({line.strip() for line in re.findall(r"featlearn [a-z]+[^`\n#&]*", TEXT)})
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
LINES = [line for line in LINES if line.split()[1] in COMMANDS]


def test_the_readme_shows_every_command():
    assert {line.split()[1] for line in LINES} == set(COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_readme_is_understood(line):
    arguments = build_parser().parse_args(shlex.split(line)[1:])
    assert arguments.command == line.split()[1]


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_block_of_python_runs(block, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    short = featlearn.preset("tiny").replace(n_steps=60)
    monkeypatch.setitem(featlearn.PRESETS, "tiny", short)
    # A later block may go on with what an earlier one imports.
    names = {"featlearn": featlearn}
    exec(compile(BLOCKS[block], f"block {block} of the README", "exec"), names)
    assert "print" not in BLOCKS[block] or capsys.readouterr().out
