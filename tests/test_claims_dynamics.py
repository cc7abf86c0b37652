"""Predictions of the dynamics as verdicts: they hold for the simulator, and not for another law."""

import dataclasses

import numpy as np
import pytest
from sizes import FULL

import featlearn
from featlearn.theory.claims import stage_one
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.stage_one import claim_plateau, claim_stage_one, linear_rows

LINEAR = featlearn.Experiment(
    n_features=8,
    n_inputs=128,
    n_neurons=32,
    batch_size=128,
    n_steps=80,
    learning_rate=0.1,
    weight_decay=0.0055,
    density=0.1,
    noise_variance=0.1,
    dictionary="flat",
    stage_one_growth=None,
    initial_norm=0.01,
    temperature=1e3,
)
LONG = LINEAR.replace(
    n_steps=450,
    batch_size=256,
    learning_rate=0.3,
    weight_decay=0.01,
    density=0.15,
    noise_variance=0.05,
    initial_norm=0.1,
    temperature=1.0,
)


def outcomes(verdicts):
    return [v.outcome for v in verdicts]


@pytest.mark.parametrize("augmentation", ["random_mask", "none", "independent_masks"])
def test_stage_one_follows_the_recursion(augmentation):
    run = featlearn.train(LINEAR.replace(augmentation=augmentation))
    assert outcomes(claim_stage_one([Observed(run)]))[:2] == ["holds", "holds"]


def test_another_growth_rate_than_the_experiment_s_fails():
    run = featlearn.train(LINEAR)
    other = dataclasses.replace(run, experiment=LINEAR.replace(learning_rate=0.2))
    assert outcomes(claim_stage_one([Observed(other)]))[0] == "fails"


def test_the_crossing_is_where_the_theory_says():
    quick = LINEAR.replace(n_steps=200, learning_rate=0.2, noise_variance=0.05)
    verdict = claim_stage_one([Observed(featlearn.train(quick))])[2]
    assert verdict.outcome == "holds"
    assert 0.1 < verdict.predicted < 1
    never = claim_stage_one([Observed(featlearn.train(LINEAR.replace(n_steps=10)))])[2]
    assert never.outcome == "does not apply"


def test_similarities_of_order_tau_and_uneven_masks_end_what_the_recursion_says():
    run = featlearn.train(LINEAR.replace(n_steps=5))
    warm = dataclasses.replace(run, experiment=LINEAR.replace(temperature=1e-6))
    assert "before similarities" in claim_stage_one([Observed(warm)])[0].reason
    narrow = LINEAR.replace(n_inputs=32, dictionary="orthonormal", n_steps=5)
    assert "Haar" in claim_stage_one([Observed(featlearn.train(narrow))])[0].reason


def test_a_long_stage_one_is_compared_while_seeds_scatter_little(monkeypatch):
    decaying = dict(learning_rate=1.0, weight_decay=0.2, n_steps=2000, record_every=10, seed=1)
    run = featlearn.train(featlearn.preset("tiny").replace(augmentation="none", **decaying))
    assert {v.outcome for v in claim_stage_one([Observed(run)])[:2]} == {"holds"}
    # After 2000 steps the batches that all neurons share decide the norms, by factors of 10.
    monkeypatch.setattr(stage_one, "_MOST_SCATTER", np.inf)
    assert {v.outcome for v in claim_stage_one([Observed(run)])[:2]} == {"fails"}


@pytest.mark.statistical
@pytest.mark.parametrize("augmentation", ["random_mask", "none"])
def test_seeds_scatter_as_predicted(augmentation):
    exp = LINEAR.replace(augmentation=augmentation, record_every=8)
    n = 48 if FULL else 16
    rows = [linear_rows(Observed(featlearn.train(exp.replace(seed=s)))) for s in range(n)]
    growth = np.array([r.sparse[-1] / r.sparse[0] for r in rows])
    predicted = np.mean([r.scatter_sparse[-1] for r in rows])
    # The standard deviation of n values is known to 1/√(2(n-1)), 18 % for 16; three of these.
    rel = 3 / np.sqrt(2 * (n - 1))
    assert growth.std(ddof=1) / growth.mean() == pytest.approx(predicted, rel=rel)


@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize("augmentation", ["random_mask", "none"])
def test_a_step_scatters_as_predicted(augmentation, stop_gradient):
    """The change of Σ‖α‖² in 200 batches at the start, where most of its noise comes from the β."""
    exp = LINEAR.replace(n_inputs=1024, n_steps=1)
    exp = exp.replace(augmentation=augmentation, stop_gradient=stop_gradient)
    rows = linear_rows(Observed(featlearn.train(exp)))
    state = featlearn.init(exp)
    alignments = state.weights @ state.model.dictionary
    changes = []
    for k in range(200):
        then = dataclasses.replace(state, step=k)
        gradient = featlearn.evaluate(then, featlearn.draw_batch(then)).weights
        changes.append(-np.sum(alignments * (gradient @ state.model.dictionary)))
    scatter = 2 * exp.learning_rate * np.std(changes) / np.sum(alignments**2)
    assert scatter == pytest.approx(rows.scatter_sparse[-1], rel=3 / np.sqrt(2 * 200))


def test_a_long_linear_run_ends_on_the_plateau():
    run = featlearn.train(LONG)
    assert outcomes(claim_plateau([Observed(run)])) == ["holds", "holds"]
    other = dataclasses.replace(run, experiment=LONG.replace(temperature=1.3))
    assert outcomes(claim_plateau([Observed(other)]))[0] == "fails"
    for initial_norm, reason in ((0.1, "left directions without a signal"), (0.01, "stationary")):
        short = LONG.replace(n_steps=60, initial_norm=initial_norm)
        early = claim_plateau([Observed(featlearn.train(short))])
        assert reason in early[0].reason
    plain = claim_plateau([Observed(featlearn.train(LONG.replace(n_steps=5, augmentation="none")))])
    assert "share dense noise" in plain[0].reason
