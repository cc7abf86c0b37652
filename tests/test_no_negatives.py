"""Learning without negatives: collapse where densities differ, and what keeps neurons apart."""

import pytest

from featlearn import preset, train
from featlearn.theory import check
from featlearn.theory.claims.no_negatives import without_negatives

pytestmark = pytest.mark.usefixtures("one_blas_thread")

BASE = preset("tiny").replace(
    objective="no_negatives",
    learning_rate=0.2,
    stage_one_steps=500,
    n_steps=1100,
    bias_growth=1.005,
    batch_size=384,
    record_every=50,
)


@pytest.mark.parametrize(
    ("changes", "n_criteria"),
    (
        (dict(density_power=0.5), 2),
        (dict(density_power=0.5, prediction_head=True, head_rate=10.0), 3),
        ({}, 1),
    ),
)
def test_neurons_collapse_unless_densities_are_equal_or_a_head_couples_them(changes, n_criteria):
    found = [
        v for v in check(train(BASE.replace(**changes)), replay=0) if v.claim == "no negatives"
    ]
    assert [v.outcome for v in found] == ["holds"] * n_criteria, found


def test_where_nothing_is_said_of_runs_without_negatives():
    for changes, reason in (
        (dict(density_power=0.1, n_steps=600), "as frequent"),
        (dict(density_power=0.5, n_steps=20), "stage I"),
    ):
        exp = BASE.replace(batch_size=32, stage_one_steps=30, bias_growth=1.02, **changes)
        found = [v for v in check(train(exp), replay=0) if v.claim == "no negatives"]
        assert found[0].outcome == "does not apply" and reason in found[0].reason, found
    assert "binary" in without_negatives(BASE.replace(latents="binary"))
    assert "infonce" in without_negatives(BASE.replace(objective="infonce"))
