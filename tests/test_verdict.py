"""Verdicts: what decides, what is said, and how it is shown."""

import json

import numpy as np
import pytest

from featlearn.theory import at_least, at_most, does_not_apply, table, within
from featlearn.theory.claims.verdict import count_outcomes


def test_the_mean_over_seeds_decides_and_the_interval_is_reported():
    verdict = within("stage I", "growth", 2.0, [1.9, 2.0, 2.1], relative=0.05, why="")
    assert verdict.outcome == "holds"
    # t_{0.975, 2} = 4.303, standard error 0.1/√3.
    assert verdict.spread == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)
    assert "more seeds" in verdict.reason
    assert within("stage I", "growth", 2.0, [2.2], relative=0.05, why="").outcome == "fails"
    assert within("stage I", "growth", 0.0, [0.2], 0.05, "", absolute=0.3).outcome == "holds"


@pytest.mark.parametrize(
    "judge, bound, value, outcome",
    [
        (at_most, 1.0, 1.0, "holds"),
        (at_most, 1.0, 1.1, "fails"),
        (at_least, 1.0, 1.0, "holds"),
        (at_least, 1.0, 0.9, "fails"),
        (at_most, 1.0, float("nan"), "fails"),
        (at_least, 1.0, [], "fails"),
    ],
)
def test_bounds(judge, bound, value, outcome):
    assert judge("T1", "share", bound, value, "").outcome == outcome


def test_the_table_fits_a_terminal_and_json_takes_every_verdict():
    verdicts = [
        at_most("T1", "a quantity with a description that is long " * 3, 1, [2, 3], "why " * 40),
        does_not_apply("T3", "cosine", "g = 4.1 is above g* = 2.4 " * 6, predicted="tends to 1"),
        at_least("T2", "error", 1.0, np.float32(np.nan), "no reason"),
    ]
    text = table(verdicts)
    assert max(map(len, text.splitlines())) <= 100
    for word in ("fails", "does not apply", "why why", "g* = 2.4", "undefined"):
        assert word in text
    assert "why why" not in table(verdicts, why=False)
    json.dumps([v.to_dict() for v in verdicts], allow_nan=False)
    assert count_outcomes(verdicts) == "0 hold, 2 fail, 1 do not apply"
