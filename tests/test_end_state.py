"""The end of a run from its settings alone, against runs."""

import dataclasses
import os
from types import SimpleNamespace

import numpy as np
import pytest

import featlearn
from featlearn.alignment import cosines
from featlearn.commands import main
from featlearn.theory.claims import end_state as claims
from featlearn.theory.predictions import end_state as predictions
from featlearn.theory.predictions.balance import (
    forces_of,
    growth_apart,
    pure_balance,
    sustained_noise,
)
from featlearn.theory.predictions.dense_path import dense_run
from featlearn.theory.predictions.plan import plan
from featlearn.theory.predictions.suggestion import suggest_limit
from featlearn.training import evaluate

pytestmark = pytest.mark.usefixtures("one_blas_thread")

FULL = os.environ.get("FEATLEARN_FULL") == "1"
LIMIT = featlearn.preset("asymptotic")


def limit_pair(d, per_atom=8):
    """The recipe of the limit at d features, with RandomMask and without augmentation."""
    m = per_atom * d
    sizes = {"n_features": d, "n_inputs": d**5, "n_neurons": m, "noise_inputs": None}
    masked = suggest_limit(LIMIT.replace(**sizes))[0]
    masked = masked.replace(record_every=4, n_neurons=m, noise_inputs=d + m)
    return masked, masked.replace(augmentation="none", n_steps=masked.n_steps + 150)


@pytest.mark.statistical
@pytest.mark.parametrize("batches", ["paired", "iid"] if FULL else ["paired"])
def test_noise_sustains_what_the_balance_says(batches):
    """A network of pure neurons, put at its balance, within 15 % after three times its memory."""
    d, per_atom = 16, 4
    base = limit_pair(d)[0]
    m = per_atom * d
    exp = base.replace(
        n_neurons=m, noise_inputs=d + m, n_steps=160, batches=batches, bias_growth=1.0,
        bias_factor=base.bias_cap**2 * d / np.log(d), seed=3,
    )  # fmt: skip
    strength = pure_balance(exp, exp.bias_cap).strength * exp.temperature / per_atom
    state = featlearn.init(exp)
    weights = np.zeros_like(state.weights)
    weights[np.arange(m), np.arange(m) % d] = np.sqrt(strength)
    weights[:, d:] = 1e-3 * np.eye(m)
    norms = np.linalg.norm(weights, axis=1)
    state = dataclasses.replace(
        state, weights=weights, weight_norms=norms, biases=exp.bias_cap * norms, stage=3
    )
    run = featlearn.train(start=state)
    rows = np.asarray(run.steps) >= 100
    alpha = np.square(run["alignment"][rows], dtype=float)
    along = alpha.max(axis=2)
    noise = sustained_noise(exp, exp.bias_cap)
    dense = np.mean(np.square(run["dense_norm"][rows], dtype=float) / along)
    other = np.mean((alpha.sum(axis=2) - along) / along) / (d - 1)
    assert dense == pytest.approx(noise.dense, rel=0.15)
    assert other == pytest.approx(noise.off_support, rel=0.25)


@pytest.mark.statistical
@pytest.mark.parametrize("d, grows", [(16, True), (32, True), (64, False)])
def test_a_neuron_on_its_own_takes_up_a_second_atom_where_d_is_small(d, grows):
    """The force on departures that cancel over an atom's neurons, along them, on fresh batches."""
    per_atom, n_batches = 4, 15
    m = per_atom * d
    exp = limit_pair(d)[0].replace(n_neurons=m, noise_inputs=d + m, batches="iid", seed=3)
    size = np.sqrt(pure_balance(exp, exp.bias_cap).strength * exp.temperature / per_atom)
    own = np.arange(m), np.arange(m) % d
    # Small ones: at a tenth of the cosine the rate is a third less.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (per_atom // 2, d, d))
    apart = 0.005 * size * np.concatenate([signs, -signs]).reshape(m, d)
    apart[own] = 0
    state = featlearn.init(exp)
    weights = np.zeros_like(state.weights)
    weights[:, :d] = apart
    weights[own] = size
    norms = np.linalg.norm(weights, axis=1)
    state = dataclasses.replace(
        state, weights=weights, weight_norms=norms, biases=exp.bias_cap * norms, stage=3
    )
    rates = []
    for step in range(n_batches):
        gradient = evaluate(dataclasses.replace(state, step=step))
        force = sum(forces_of(gradient, np.eye(weights.shape[1], d)))
        rates.append(np.sum(force * apart) / np.sum(apart**2) - exp.weight_decay)
    predicted = [growth_apart(exp.replace(seed=seed), exp.bias_cap) for seed in range(4)]
    error = np.hypot(*(np.std(x, ddof=1) / np.sqrt(len(x)) for x in (rates, predicted)))
    assert np.mean(rates) == pytest.approx(np.mean(predicted), abs=3 * error)
    assert abs(np.mean(rates)) > 2 * error and (np.mean(rates) > 0) == grows


@pytest.fixture(scope="module")
def run():
    return featlearn.train(limit_pair(16, per_atom=4)[0])


@pytest.mark.statistical
def test_a_run_ends_as_predicted(run):
    """Within 0.1 in each measure, atoms as a Poisson number is; at d = 16 here, at 32 and 64, there without augmentation too, in full."""
    pairs = [(run.experiment, run)]
    if FULL:
        experiments = [*limit_pair(64), *limit_pair(32)]
        pairs += [(e, featlearn.train(e)) for e in experiments]
    for experiment, one in pairs:
        s, end = featlearn.summarize(one), predictions.end_state(experiment, anyway=True)
        measured = [
            s.pure_fraction,
            1 - s.sparse_share,
            s.same_latents_active,
            s.same_noise_active,
            s.regression("features"),
        ]
        np.testing.assert_allclose([end[0], *end[2:6]], measured, atol=0.1)
        lost = experiment.n_features - s.atoms_learned
        assert abs(lost - end.atoms_left_out) < 3 * np.sqrt(end.atoms_left_out) + 1e-9


def test_an_end_between_the_parts_is_not_predicted():
    """Where the sparse part ends larger, neurons select features, which random ones do not."""
    small, large = (limit_pair(d)[1] for d in (32, 64))
    assert 0.8 < predictions.end_state(small).dense_share < predictions.end_state(large).dense_share
    longer = small.replace(n_inputs=32**4, initial_norm=1e-6)
    assert "neither is then alone" in predictions.not_predicted(longer)


@pytest.mark.statistical
def test_neurons_select_as_in_a_run(run):
    """The fraction of pure neurons when the norms saturate, and the step of stage III.

    A fraction to 0.1, and two standard deviations of the few neurons of one run: over eight seeds it is
    0.88 ± 0.05, predicted 0.92.
    """
    cosine, saturated, ratio = predictions.selected_neurons(run.experiment, 256)
    row = int(np.searchsorted(run.steps, saturated))
    found = cosines(run["alignment"][row], run["weight_norm"][row]).max(axis=1)
    pure = np.mean(cosine >= 0.9)
    scatter = np.sqrt(pure * (1 - pure) / len(found))
    assert pure == pytest.approx(np.mean(found >= 0.9), abs=0.1 + 2 * scatter)
    assert np.median(cosine) == pytest.approx(np.median(found), abs=0.02)
    assert ratio == pytest.approx(np.median(run["bias"][row] / run["weight_norm"][row]), rel=0.05)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({}, "in stage II"),
        ({"objective": "spectral"}, "InfoNCE"),
        ({"latents": "one_of_d"}, "data"),
        ({"stage_one_growth": None}, "ends by growth"),
        ({"weight_decay": 0.0}, "weight decay"),
        ({"negatives": 64}, "in-batch"),
        ({"augmentation": "independent_masks"}, "share dense noise"),
        ({"batch_size": 32}, "sampling noise"),
        ({"augmentation": "none", "initial_norm": 1e-5}, "neither is then alone"),
        ({"augmentation": "none", "n_steps": 100}, "beyond the last step"),
    ],
)
def test_why_an_end_is_not_predicted(changes, reason):
    experiment = featlearn.preset("quick").replace(**changes)
    assert reason in predictions.not_predicted(experiment)
    assert predictions.end_state(experiment) is None


def test_purity_that_does_not_last_is_not_predicted_for_long_runs():
    """At d = 32 .97 of the neurons are pure at step 500 and half of them at 1600; at 64 they stay pure."""
    short = suggest_limit(featlearn.Experiment(n_features=32, n_inputs=32**5))[0].replace(
        n_neurons=160, batch_size=1024, negative_groups=4, noise_inputs=192, n_steps=560, seed=8
    )
    until = predictions.end_state(short).until
    assert short.n_steps < until < 800
    longer = short.replace(n_steps=1600)
    assert "second features" in predictions.not_predicted(longer)
    assert predictions.end_state(longer) is None
    passing = predictions.end_state(longer, anyway=True)
    assert passing.pure_fraction > 0.8
    said = plan(longer)
    assert said.end is None and said.stages.three == passing.stage_three
    assert claims.claim_end_state.claim.needs == (predictions.not_predicted,)
    assert predictions.end_state(LIMIT.replace(n_steps=5000)).until == np.inf


def test_few_features_are_outside_of_what_is_stated():
    few = limit_pair(16)[0]
    assert predictions.not_predicted(few) == "d = 16: stated from d = 32 on"
    assert predictions.end_state(few) is None


def test_without_augmentation_the_end_is_that_of_dense_neurons():
    experiment = featlearn.preset("no-augmentation")
    end = predictions.end_state(experiment)
    assert end.pure_fraction == 0 and end.atoms_left_out == experiment.n_features
    assert end.dense_share == pytest.approx(1 - dense_run(experiment).share)
    assert end.same_noise > 0.6 and end.same_latents < 0.1
    # More of the input is noise: more of f is.
    noisy = predictions.end_state(experiment.replace(noise_factor=3.0))
    assert noisy.same_noise > end.same_noise and noisy.regression > end.regression


def test_the_claim_compares_both(monkeypatch):
    end = predictions.EndState(0.9, 0.5, 0.02, 0.95, 0.03, 0.12)
    monkeypatch.setattr(claims, "end_state", lambda experiment: end)
    summary = SimpleNamespace(
        pure_fraction=0.97, atoms_learned=64, sparse_share=0.97, same_latents_active=0.94,
        same_noise_active=0.03, regression=lambda head: 0.25,
    )  # fmt: skip
    seen = SimpleNamespace(experiment=LIMIT, summary=summary, complete=True, last_stage=3)
    verdicts = claims.claim_end_state([seen])
    assert [v.outcome for v in verdicts] == ["holds"] * 5 + ["fails"]
    early = SimpleNamespace(**{**vars(seen), "last_stage": 2})
    assert [v.outcome for v in claims.claim_end_state([early])] == ["does not apply"]


def test_plan_shows_the_end(capsys):
    assert main(["plan", "--preset", "asymptotic", "--no-timing"]) == 0
    said = capsys.readouterr().out
    assert "end of the run: pure neurons" in said and "same z / same ξ" in said
    assert main(["plan", "--preset", "quick", "--no-timing"]) == 0
    assert "not predicted: norms grow by e^" in capsys.readouterr().out


def test_plan_shows_how_long_the_end_lasts(monkeypatch, capsys):
    end = predictions.EndState(0.9, 0.5, 0.02, 0.95, 0.03, 0.12, 370.0, 510.0, until=632.4)
    monkeypatch.setattr("featlearn.theory.predictions.plan.end_state", lambda *args, **kwargs: end)
    assert main(["plan", "--preset", "asymptotic", "--no-timing"]) == 0
    assert "lasts until step" in (said := capsys.readouterr().out) and "632" in said
