"""The README's own question, as pasted."""

import contextlib
import io
import re
from pathlib import Path

from featlearn.theory.claims import checking

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_readmes_question_runs_as_pasted(monkeypatch):
    """Without the built-in claims: what they say is tested elsewhere."""
    section = README.split("## Ask your own question")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.setattr(checking, "CLAIMS", ())
    said, space = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README", "exec"), space)
    (row,) = [line for line in said.getvalue().splitlines() if line.startswith("no preference")]
    assert row.endswith("holds")
    values = [run["concentration"][0] for run in space["runs"]]
    assert abs(sum(values) / 3 - 0.3) < 0.04
