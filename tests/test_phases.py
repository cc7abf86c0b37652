"""The runs that show what the default pair leaves out."""

from featlearn import preset
from featlearn.reports.phases import check_phases
from featlearn.theory.predictions.plan import plan


def test_a_linear_run_shows_the_plateau(tmp_path):
    (checked,) = check_phases(tmp_path, names=("linear",))
    held = {v.claim for v in checked.verdicts if v.outcome == "holds"}
    assert {"plateau", "stage I", "trajectory", "replay"} <= held
    assert [v.quantity for v in checked.verdicts if v.outcome == "fails"] == []


def test_the_phases_are_planned_to_be_met():
    """Trained it takes half a minute; the plan says that every stage has its time."""
    phases = preset("phases")
    planned = plan(phases)
    assert planned.stages.two < planned.stages.three < 0.5 * phases.n_steps
    assert planned.preconditions[0].met
