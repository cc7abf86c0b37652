"""Tables in a terminal: as wide as it is, whatever they show."""

import pytest

from featlearn import load_run
from featlearn.commands import main
from featlearn.display import text_table
from featlearn.reports import image_tables
from featlearn.reports.comparison import comparison, measures
from featlearn.reports.images import Learned
from featlearn.theory import at_most
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.verdict import table

WIDTHS = pytest.mark.parametrize("columns", [80, 120])
ROWS = [("quantity", *(f"run {k}" for k in range(9)))]
ROWS += [(f"a measure with a name, {j}", *(f"{j + k / 100:.6f}" for k in range(9)))
         for j in range(3)]  # fmt: skip


def widest(text):
    return max(map(len, text.splitlines()))


def test_columns_that_do_not_fit_are_shown_in_blocks_below_each_other():
    text = text_table(ROWS, width=80)
    blocks = text.split("\n\n")
    assert len(blocks) == 2 and widest(text) <= 80
    for block in blocks:
        assert [line.split("  ")[0] for line in block.splitlines()] == [r[0] for r in ROWS]
    # Every cell once, in order, but for the repeated first column.
    lines = [block.splitlines() for block in blocks]
    for j, row in enumerate(ROWS):
        assert (
            " ".join(part[j][len(row[0]) :] for part in lines).split() == " ".join(row[1:]).split()
        )
    assert "\n\n" not in text_table(ROWS, width=120)


def test_long_cells_are_wrapped_and_lose_no_word():
    words = "a long name of what was measured, in many words, " * 3
    rows = [("what", "value"), ("  " + words, "1.5"), ("short", "2")]
    lines = text_table(rows, right=True, width=40).splitlines()
    assert widest("\n".join(lines)) == 40
    assert all(line.startswith("  ") for line in lines[1:-1])  # the indent goes on
    assert " ".join(" ".join(lines[1:-1]).split()) == " ".join(
        [*words.split()[:6], "1.5", *words.split()[6:]]
    )
    across = text_table(["head row".split(), "one line " * 20, ("a", "b")], width=40)
    assert widest(across) <= 40 and across.split().count("line") == 20


@WIDTHS
def test_a_terminal_of_any_width_from_80_on_is_enough(columns, monkeypatch, capsys, twins):
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in (
        ["plan", "--no-timing", "--suggest", "--set", "batch_size=128"],
        ["plan", "--no-timing", "--preset", "asymptotic", "--suggest", "--limit"],
        ["check", str(twins[0]), "--quiet", "--replay", "1"],
    ):
        main(arguments)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, (x for x in lines if "--set" not in x))) <= columns, arguments


@WIDTHS
def test_many_runs_beside_each_other_fit(columns, monkeypatch, twins):
    monkeypatch.setenv("COLUMNS", str(columns))
    runs = {f"run number {k}": Observed(load_run(twins[k % 2])) for k in range(6)}
    texts = [comparison(runs, []), measures({("", k): o.summary for k, o in runs.items()})]
    for text in texts:
        assert widest(text) <= columns
        assert all(label in text for label in runs)


@WIDTHS
def test_tables_of_images_and_verdicts_fit(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    label = "another image's low frequencies, the same in both views"
    learned = Learned("x", label, (0.0, 1.0), 0.5, 0.6, 0.1, 0.9, 100.0, (7, 0.1), (7, 0.1))
    accuracy = {"raw": dict.fromkeys((50, 100, 200, 400, 1200), 0.5)}
    wordy = at_most("supervised", "a quantity of many words " * 4, 1.0, [2.0, 3.0], "why " * 50)
    for text in (image_tables.learned_table([learned]), image_tables.curves_table(accuracy),
                 table([wordy])):  # fmt: skip
        assert widest(text) <= columns
    assert "0.90" in image_tables.learned_table([learned])
