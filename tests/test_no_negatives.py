"""Learning without negatives: collapse where densities differ, and what keeps neurons apart."""

import numpy as np
import pytest

from featlearn import Experiment, preset, train
from featlearn.theory import check
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.no_negatives import (
    _equal,
    claim_no_negatives,
    led_by_most_frequent,
    without_negatives,
)
from featlearn.theory.claims.normalised import own_rates, sustained
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions.feature_drift import feature_moments

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


@pytest.mark.parametrize(
    ("changes", "reason"),
    (
        (dict(n_neurons=6, n_steps=1500), "leave 3.6 out"),
        (dict(batch_size=16), "more than 0.2"),
        (dict(n_steps=900), "neurons select"),
        (dict(density_power=0.5, stage_one_steps=150, n_steps=500), "needs 0.97"),
        (dict(density_power=0.5, prediction_head=True, head_rate=0.3), "raise head_rate"),
        (dict(prediction_head=True, head_rate=10.0), "not derived"),
    ),
)
def test_what_is_not_promised_without_negatives_does_not_apply(changes, reason):
    found = check(train(BASE.replace(**changes)), replay=0)
    assert [(v.claim, v.quantity, v.measured) for v in found if v.outcome == "fails"] == []
    mine = [v for v in found if v.claim == "no negatives"]
    assert len(mine) == 1 and reason in mine[0].reason, mine


def test_a_prediction_head_keeps_more_atoms_than_none():
    alone = BASE.replace(density_power=0.5)
    coupled = alone.replace(prediction_head=True, head_rate=10.0)
    observed = [Observed(train(exp), replays=0) for exp in (alone, coupled)]
    related = check_all(observed)[-1]
    assert related.title.endswith("against none") and "prediction_head = True" in related.title
    assert [v.outcome for v in related.verdicts] == ["holds", "holds"], related.verdicts
    short = [Observed(train(exp.replace(n_steps=2)), replays=0) for exp in (alone, coupled)]
    assert "stage I" in check_all(short)[-1].verdicts[0].reason


def test_the_preset_has_what_its_claims_speak_of():
    exp = preset("no-negatives")
    assert exp.density_power > 0 and exp.prediction_head


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


def test_what_decides_runs_without_negatives_is_known_from_their_rates():
    """Norms that start small make the first step the whole of stage I; thresholds make noise count more."""
    exp = Experiment(
        n_features=12, n_inputs=96, n_neurons=48, batch_size=256, n_steps=2, learning_rate=0.4, weight_decay=0.0028,
        temperature=1.0, density_factor=1.29, noise_variance=0.0408, dictionary="flat", initial_norm=0.036,
        keep_probability=0.3, stage_one_growth=2.8, bias_factor=0.33, bias_growth=1.1, bias_cap=0.3,
        objective="no_negatives", density_power=1.0,
    )  # fmt: skip
    predicted, measured = [], []
    for seed in range(8):
        o = Observed(train(exp.replace(seed=seed)))
        row = o.first_row_of(2)
        predicted.append(led_by_most_frequent(o, row))
        most = np.argmax(o.model.law.densities)
        measured.append(np.mean(np.abs(o.run["alignment"][row]).argmax(axis=1) == most))
    assert np.mean(predicted) == pytest.approx(np.mean(measured), abs=0.07)
    assert max(predicted) < 0.8
    noisy = exp.replace(
        n_features=16, n_inputs=256, n_neurons=64, batch_size=64, n_steps=900, learning_rate=0.24, weight_decay=0.0074,
        density_factor=0.7, noise_variance=0.0434, initial_norm=0.06, keep_probability=0.5, density_power=0.0,
        stage_one_growth=2.61, bias_factor=0.4, bias_growth=1.0062, bias_cap=0.408, record_every=5,
    )  # fmt: skip
    o = Observed(train(noisy))
    beside = np.median(1 / o.cosine.max(axis=1) ** 2 - 1)
    assert sustained(o) == pytest.approx(beside, rel=0.25)
    (found,) = claim_no_negatives([o])
    assert "sampling noise sustains" in found.reason


def test_any_number_of_atoms_may_be_left_out():
    many = dict(n_features=220, n_inputs=256, n_neurons=40, batch_size=32)
    run = train(BASE.replace(**many, stage_one_steps=4, n_steps=8))
    [criterion] = _equal([Observed(run)])
    assert "leave 1.8e+02 out" in criterion.unmet


def test_the_rates_of_norms_below_the_floor_are_known():
    small = BASE.replace(
        initial_norm=3e-4, learning_rate=1e-5, density_power=1.0, stage_one_steps=40, n_steps=41, record_every=1
    )  # fmt: skip
    o = Observed(train(small))
    rates, ratios = (values[:40, None] for values in own_rates(o))
    cross, anchor, _ = feature_moments(small)
    predicted = np.log(1 + rates * (cross - ratios * anchor)).sum(axis=0)
    grown = np.median(np.log(np.abs(o.run["alignment"][40] / o.run["alignment"][0])), axis=0)
    assert grown.max() == pytest.approx(predicted.max(), rel=0.1)
