"""Every objective in what looks at a run: step, plan, check, plot, report."""

import numpy as np
import pytest

from featlearn import SMALL_WORLD, explain_step, init, preset, step, theory, train
from featlearn.explain.gradient_check import check_gradient
from featlearn.explain.text import render
from featlearn.objectives import OBJECTIVES
from featlearn.plotting.gallery import supports
from featlearn.plotting.update import update
from featlearn.theory.predictions.plan import plan

OTHERS = [name for name in OBJECTIVES if name != "infonce"]
SHORT = dict(n_steps=40, learning_rate=0.2, stage_one_growth=None, stage_one_steps=20)


def small(name, **changes):
    if name == "no_negatives":
        changes["prediction_head"] = True
    return SMALL_WORLD.replace(objective=name, **changes)


@pytest.mark.parametrize("name", OTHERS)
def test_an_update_is_explained(name):
    state = init(small(name, stage_one_steps=1, learning_rate=1e-3))
    for _ in range(3):
        state = step(state)
    explained = explain_step(state)
    made = explained.descent.total + explained.decay.total
    rate = state.experiment.learning_rate
    np.testing.assert_allclose(explained.update.total, rate * made, atol=1e-12)
    if explained.attraction is not None:
        both = explained.attraction.total + explained.repulsion.total
        np.testing.assert_allclose(both, explained.descent.total, atol=1e-12)
    change = explained.held_loss or explained.loss
    assert change.actual == pytest.approx(change.predicted, rel=0.3, abs=1e-6)
    text = render(explained, check_gradient(state))
    assert OBJECTIVES[name].label in text or "how strongly each repels" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    update(explained)


@pytest.mark.parametrize("name", OTHERS)
def test_the_gradient_of_an_update_is_checked(name):
    found = check_gradient(init(small(name)))
    assert found.compared > 20 and found.largest < 1e-6 * max(found.scale, 1e-2)


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_is_planned_checked_and_drawn(name, tmp_path):
    exp = preset("tiny").replace(objective=name, **SHORT)
    found = plan(exp)
    assert found.to_dict()
    run = train(exp, tmp_path / "run")
    verdicts = theory.check(run)
    outcomes = {v.claim: v.outcome for v in verdicts}
    assert outcomes["stage I"] == outcomes["T1"] == outcomes["T3"] == "does not apply"
    assert outcomes["simulator"] == "holds", [v for v in verdicts if v.claim == "simulator"]
    reasons = [v.reason for v in verdicts if v.claim == "T1"]
    assert name in reasons[0]
    # Of stage I and stage II only losses of pairs have the predictions that are drawn.
    drawn = [supports(figure, {"run": run}) for figure in ("stage-one-growth", "competition")]
    assert drawn == 2 * [OBJECTIVES[name].is_pairwise] and supports("lottery", {"run": run})
