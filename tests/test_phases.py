"""The runs that show what the default pair leaves out."""

import math

import pytest
from sizes import FULL

from featlearn import preset, train
from featlearn.reports.reproduction import PHASES, all_parts
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions.plan import plan
from featlearn.theory.predictions.preconditions import preconditions
from featlearn.theory.predictions.stages import predict_stages, unknown_steps


def check_phases(directory, names=PHASES):
    """Train presets in a directory and check their runs."""
    return check_all([Observed(train(preset(name), directory / name)) for name in names])


def test_a_linear_run_shows_the_plateau(tmp_path):
    (checked,) = check_phases(tmp_path, ("linear",))
    held = {v.claim for v in checked.verdicts if v.outcome == "holds"}
    assert {"plateau", "stage I", "trajectory", "replay"} <= held
    assert [v.quantity for v in checked.verdicts if v.outcome == "fails"] == []


def test_the_phases_are_planned_to_be_met():
    """Trained it takes half a minute; what is known before says that every stage has its time."""
    phases = preset("phases")
    planned, rough = plan(phases), predict_stages(phases)
    # By how much the norms of stage II move stage III is not known, but at most how far.
    assert math.isnan(planned.stages.three)
    assert planned.stages.two < rough.three < 0.5 * phases.n_steps - unknown_steps(phases, rough)
    assert planned.preconditions[0].met


def test_the_other_parts_of_a_reproduction_are_for_what_the_phases_leave_out(tmp_path):
    *parts, phases = all_parts(preset("default"), tmp_path)
    assert [c.name for c in phases.columns] == ["phases", "linear"] and not phases.compared
    experiments = [column.experiment for part in parts for column in part.columns]
    assert any(preconditions(e)[1].met and e.augmentation == "none" for e in experiments)
    assert any(e.is_large_batch_limit for e in experiments)
    assert any(e.objective == "supervised" for e in experiments)


@pytest.mark.statistical
@pytest.mark.skipif(not FULL, reason="trains for half a minute")
def test_every_prediction_is_judged_at_least_once(tmp_path):
    checked = check_phases(tmp_path)
    verdicts = [v for one in checked for v in one.verdicts]
    judged = {v.claim for v in verdicts if v.outcome != "does not apply"}
    # The twins, the limit and the supervised twin are what these four are judged on.
    assert {v.claim for v in verdicts} - judged <= {"T3", "limit", "supervised", "end state"}
    assert [v.quantity for v in verdicts if v.outcome == "fails"] == []
