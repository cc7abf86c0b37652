"""The stage II mean field: its closed forms, its drift against draws, and simulated winners."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import integrate as quadrature

import featlearn
from featlearn import Experiment
from featlearn.state import make_model
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.stage_two import claim_stage_two
from featlearn.theory.predictions import mean_field
from featlearn.theory.predictions.drift import MeanFieldLaw
from featlearn.theory.predictions.neuron_moments import neuron_moments, response
from featlearn.theory.predictions.starting_point import starting_point, starting_point_of_state
from featlearn.theory.predictions.view_noise import view_noise
from featlearn.theory.predictions.winners import compare_winners
from featlearn.views import make_augmentation

LAW = Experiment(
    n_features=12, n_inputs=192, weight_decay=0.0, density_factor=1.0, noise_factor=1.0
)


@pytest.mark.parametrize("mean, threshold", [(0.0, 0.5), (0.7, 0.5), (-1.2, 0.9), (0.4, 0.0)])
def test_responses_are_gaussian_integrals(mean, threshold):
    variance = 0.3

    def average(function):
        def integrand(u):
            density = np.exp(-((u - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
            return function(u) * density

        edges = [-8, -threshold, threshold, 8] if threshold else [-8, 0, 8]
        return sum(quadrature.quad(integrand, *pair)[0] for pair in zip(edges[:-1], edges[1:]))

    def output(u):
        return np.sign(u) * max(abs(u) - threshold, 0)

    r = response(np.array(mean), variance, threshold)
    assert r.activity == pytest.approx(average(lambda u: abs(u) >= threshold), abs=1e-9)
    assert r.output == pytest.approx(average(output), abs=1e-9)
    assert r.power == pytest.approx(average(lambda u: output(u) ** 2), abs=1e-9)
    assert r.energy == pytest.approx(average(lambda u: u**2 * (abs(u) >= threshold)), abs=1e-9)
    step = 1e-5
    above, below = (response(np.array(mean + h), variance, threshold) for h in (step, -step))
    assert r.slope == pytest.approx((above.activity - below.activity) / (2 * step), abs=1e-6)


def draw_views(views, n, d, rng):
    """Coordinates of both views along d features and one dense direction, (n, d + 1) each."""
    z = np.zeros((n, d + 1))
    uniform = rng.random((n, d))
    z[:, :d] = np.where(uniform < views.density, np.where(uniform < views.density / 2, -1, 1), 0)
    size = np.abs(z).sum(axis=1, keepdims=True) / (views.density * d)
    scattered, common = rng.standard_normal((2, n, d + 1))
    anchor_part, key_part, _ = views.scattered
    anchors = z + np.sqrt(size * anchor_part) * scattered
    keys = z - np.sqrt(size * key_part) * scattered
    if views.shared > 0:  # no mask, or independent ones
        anchors = z + np.sqrt(size * anchor_part) * rng.standard_normal((n, d + 1))
        anchors += np.sqrt(views.shared) * common
        keys += np.sqrt(views.shared) * common
    for view, variance, part in ((anchors, views.anchor, anchor_part), (keys, views.key, key_part)):
        own = variance - part - max(0.0, views.shared)
        view += np.sqrt(max(0.0, own)) * rng.standard_normal((n, d + 1))
    return z, anchors, keys


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"keep_probability": 0.35},
        {"augmentation": "independent_masks"},
        {"augmentation": "none"},
    ],
)
def test_attraction_against_draws(changes):
    """A leader, a runner-up and other features, for a mixed, a leading and a nearly pure neuron."""
    experiment, n = LAW.replace(**changes), 200_000
    views, rng = view_noise(experiment), np.random.default_rng(0)
    d = experiment.n_features
    alignments = 0.1 * rng.standard_normal((3, d))
    alignments[:, 0], alignments[:, 1] = [0.4, -0.7, 1.2], [0.35, 0.3, 0.2]
    dense = np.array([0.5, 0.4, 0.3])
    norms = np.sqrt((alignments**2).sum(axis=1) + dense**2)
    biases = np.array([0.35, 0.4, 0.5]) * norms
    law = MeanFieldLaw.of(experiment, repulsion=False)
    drift = law.drift(alignments, np.diag(dense**2), biases)
    mean = neuron_moments(alignments, dense, biases, views)
    z, anchors, keys = draw_views(views, n, d, rng)
    for i in range(3):
        w = np.append(alignments[i], dense[i])
        u, v = anchors @ w, keys @ w
        a = np.sign(v) * np.maximum(np.abs(v) - biases[i], 0) * (np.abs(u) >= biases[i])
        weights = [np.eye(d + 1)[0], np.eye(d + 1)[1], np.append([0, 0], w[2:])]
        weights[2][-1] = 0
        for direction in weights + [np.eye(d + 1)[d]]:
            samples = law.factor * a * (anchors @ direction)
            error = samples.std() / np.sqrt(n)
            predicted = drift.alignments[i] @ direction[:d]
            if direction[d]:
                predicted = drift.mixing[i, i] * dense[i]
            # What the Gaussian rest and the quadrature may cost, beside the draws' own error.
            assert abs(predicted - samples.mean()) < 4 * error + 0.01 * abs(predicted)
        power = (a**2).std() / np.sqrt(n)
        assert abs(mean.power[i] - np.mean(a**2)) < 4 * power + 0.01 * mean.power[i]
        on = z[:, 0] != 0
        lead = np.mean(a[on] ** 2), (a[on] ** 2).std() / np.sqrt(on.sum())
        assert abs(mean.lead_power[i, 0] - lead[0]) < 4 * lead[1] + 0.01 * lead[0]


@pytest.mark.parametrize("keep", [0.5, 0.35])
def test_attraction_on_masked_views(keep):
    """At a d1 where the uneven shares of a mask tell: without them the dense part is 10 % off."""
    experiment, m = LAW.replace(n_inputs=96, keep_probability=keep), 24
    model, rng = make_model(experiment), np.random.default_rng(0)
    d, d1 = experiment.n_features, experiment.n_inputs
    alignments = 0.1 * rng.standard_normal((m, d))
    alignments[:, 0], alignments[:, 1] = np.linspace(0.3, 1.3, m), 0.3
    dense = rng.standard_normal((m, d1))
    dense -= dense @ model.dictionary @ model.dictionary.T
    dense *= np.linspace(0.6, 0.4, m)[:, None] / np.linalg.norm(dense, axis=1, keepdims=True)
    weights = (dense + alignments @ model.dictionary.T).astype(np.float32)
    biases = 0.5 * np.linalg.norm(weights, axis=1)
    law = MeanFieldLaw.of(experiment, repulsion=False)
    even = dataclasses.replace(law, views=dataclasses.replace(law.views, uneven=(0.0, 0.0)))

    def summed(law):
        drift = law.drift(alignments, dense @ dense.T, biases)
        return np.array([drift.alignments[:, 0].sum(), np.trace(drift.mixing)])

    augmentation = make_augmentation("random_mask", keep)
    directions = dense / np.square(dense).sum(axis=1, keepdims=True)
    batches = []
    for _ in range(300):
        views = augmentation.pair(rng, sample := model.sample(rng, 2048), model)
        u, v = views.anchors @ weights.T, views.keys @ weights.T
        a = np.sign(v) * np.maximum(np.abs(v) - biases, 0) * (np.abs(u) >= biases)
        moved = law.factor / len(sample.latents) * (a.T @ views.anchors)
        batches.append([(moved @ model.dictionary[:, 0]).sum(), np.sum(moved * directions)])
    error = np.std(batches, axis=0) / np.sqrt(len(batches))
    found = np.mean(batches, axis=0)
    # Terms in 1/d1² are left out: 1 % here.
    assert (np.abs(summed(law) - found) < 4 * error + 0.01 * found).all()
    assert (np.abs(summed(even) - found) > 4 * error).any()


@pytest.mark.parametrize("threshold", [0.3, 0.55])
def test_averages_over_sparse_latents_against_all_of_them(threshold):
    """Features of about one size, whose sum has heavy tails; all 3^9 latents are gone through."""
    experiment = LAW.replace(
        n_features=9, density=0.11, augmentation="correlated_noise", noise_variance=0.05
    )
    views, s = view_noise(experiment), experiment.density
    alignments = np.array([np.linspace(0.8, 1.2, 9)])
    norm = np.sqrt((alignments**2).sum() + 1)
    mean = neuron_moments(alignments, np.ones(1), np.array([threshold * norm]), views)
    z = np.array(list(itertools.product((0, 1, -1), repeat=9)))
    probability = np.prod(np.where(z == 0, 1 - s, s / 2), axis=1)
    r = response(z @ alignments[0], views.anchor * norm**2, threshold * norm)
    assert mean.similarity[0] == pytest.approx(probability @ r.output**2, rel=0.02)
    given = 2 / s * (probability * (z[:, 0] == 1)) @ (r.output * r.activity)
    assert mean.pull[0, 0] == pytest.approx(given, rel=0.01)
    assert mean.activity[0] == pytest.approx(probability @ r.activity, rel=0.01)


def test_quadrature_is_fine_enough():
    views, rng = view_noise(LAW), np.random.default_rng(1)
    alignments = rng.standard_normal((20, 12)) * np.exp(rng.standard_normal((20, 1)))
    dense, norms = np.full(20, 0.5), np.linalg.norm(alignments, axis=1)
    few = neuron_moments(alignments, dense, 0.4 * norms, views)
    many = neuron_moments(alignments, dense, 0.4 * norms, views, quadrature=31)
    for name, value in few._asdict().items():
        reference = getattr(many, name)
        assert np.abs(value - reference).max() < 2e-3 * np.abs(reference).max(), name


def test_without_bias_the_drift_is_the_linear_one():
    """dW/dt = q W C - λ W - (q/τ) W C₂ WᵀW C₁, projected on M and its complement."""
    experiment = LAW.replace(keep_probability=0.4, weight_decay=0.01, temperature=3.0)
    law, rng = MeanFieldLaw.of(experiment), np.random.default_rng(2)
    # A share that counts along features only is not in second moments that all directions share.
    law = dataclasses.replace(law, views=dataclasses.replace(law.views, uneven=(0.0, 0.0)))
    views, s, q = law.views, law.views.density, law.factor
    alignments, dense = rng.standard_normal((9, 12)), rng.standard_normal((9, 30))
    drift = law.drift(alignments, dense @ dense.T, np.zeros(9))
    keys = (s + views.key) * alignments @ alignments.T + views.key * dense @ dense.T
    expected = (q * (s + views.shared) - 0.01) * alignments
    expected -= q / 3.0 * (s + views.anchor) * keys @ alignments
    np.testing.assert_allclose(drift.alignments, expected, rtol=1e-3, atol=1e-4)
    expected = (q * views.shared - 0.01) * dense - q / 3.0 * views.anchor * keys @ dense
    np.testing.assert_allclose(drift.mixing @ dense, expected, rtol=1e-3, atol=1e-4)


SMALL = Experiment(
    n_features=16,
    n_inputs=512,
    n_neurons=48,
    batch_size=512,
    n_steps=500,
    learning_rate=0.4,
    weight_decay=0.01,
    temperature=8.0,
    density_factor=1.0,
    noise_factor=1.0,
    stage_one_growth=6.0,
    bias_factor=1.0,
    bias_growth=1.003,
    bias_cap=0.55,
    initial_norm=0.05,
)


@pytest.fixture(scope="module")
def run():
    return featlearn.train(SMALL)


def test_winners_and_their_alignments(run):
    rows, prediction = mean_field.predict(run, n_rows=25)
    winners = compare_winners(run, rows, prediction, threshold=0.8)
    judged = winners.pure & winners.certain
    assert judged.sum() >= 12 and prediction.valid.sum() >= 5
    assert winners.agreement >= 0.9
    assert winners.worst_ratio == pytest.approx(1, abs=0.1)
    # The leads that noise can overturn are the small ones, and there are some.
    assert np.median(prediction.lead[0][winners.certain]) > np.median(
        prediction.lead[0][~winners.certain]
    )
    last = np.flatnonzero(prediction.valid)[-1]
    bias = run["bias"][rows[last]]
    assert np.median(prediction.bias[last] / bias) == pytest.approx(1, abs=0.1)


def test_some_neurons_stand_for_all(run, monkeypatch):
    """Half of them, and one that was asked for, have the fate that they have among all."""
    _, whole = mean_field.predict(run, n_rows=25)
    monkeypatch.setattr(mean_field, "_MOST_NEURONS", 24)
    rows, part = mean_field.predict(run, n_rows=25, include=7)
    assert len(part.neurons) == 25 and 7 in part.neurons
    k = min(len(part.steps), len(whole.steps)) - 1
    np.testing.assert_allclose(part.similarity[:k], whole.similarity[:k], rtol=0.2)
    ratio = np.abs(part.alignment[k]).max(axis=1)
    ratio /= np.abs(whole.alignment[k][part.neurons]).max(axis=1)
    assert np.median(ratio) == pytest.approx(1, abs=0.05) and 0.9 < ratio.min() < ratio.max() < 1.1
    judged = compare_winners(run, rows, part, threshold=0.8)
    assert len(judged.final) == 25 and judged.agreement >= 0.9


def test_without_repulsion_alignments_come_out_high(run):
    start = starting_point(run)
    steps = run.steps[run.steps >= start.step][::20]
    with_it, without = (
        mean_field.integrate(SMALL, start, steps, repulsion) for repulsion in (True, False)
    )
    last = min(len(with_it.steps), len(without.steps)) - 1
    assert np.square(without.alignment[last]).sum() > np.square(with_it.alignment[last]).sum()


def test_the_prediction_ends_where_similarities_do(run):
    rows, prediction = mean_field.predict(run, n_rows=100)
    np.testing.assert_array_equal(run.steps[rows], prediction.steps)
    limit = mean_field.VALID_SIMILARITY * SMALL.temperature
    np.testing.assert_array_equal(prediction.valid, prediction.similarity < limit)
    assert prediction.steps[-1] < SMALL.n_steps


def test_noise_is_carried_back_to_the_start():
    lead, variance = np.array([[1.0], [2.0], [4.0]]), np.full((3, 1), 0.16)
    noise = mean_field.accumulated_noise(lead, variance)
    # 1 + 1/4 + 1/16 + …, beyond the last row too.
    np.testing.assert_allclose(noise, [np.sqrt(0.16 * 4 / 3)])
    assert mean_field.accumulated_noise(lead[::-1], variance) == np.inf


def test_claim_on_a_run(run):
    share, ratio = claim_stage_two([Observed(run)])
    assert (share.outcome, ratio.outcome) == ("holds", "holds")
    assert "with a lead within the noise" in share.reason


def test_claim_fails_where_another_feature_wins(run):
    swapped = np.array(run["alignment"])
    swapped[-1] = np.roll(swapped[-1], 1, axis=1)
    other = dataclasses.replace(run, arrays={**run.arrays, "alignment": swapped})
    share = claim_stage_two([Observed(other)])[0]
    assert share.outcome == "fails" and share.measured < 0.2


def test_claim_does_not_apply_where_similarities_are_large(run):
    exp = SMALL.replace(temperature=0.01)
    hot = dataclasses.replace(run, experiment=exp)
    verdicts = claim_stage_two([Observed(hot)])
    assert {v.outcome for v in verdicts} == {"does not apply"} and "τ" in verdicts[0].reason


def test_a_long_leap_agrees_with_single_steps(run, monkeypatch):
    start = starting_point(run)
    steps = start.step + np.array([0, 40])
    leaps = mean_field.integrate(SMALL, start, steps)
    monkeypatch.setattr(mean_field, "_LONGEST_LEAP", 1)
    single = mean_field.integrate(SMALL, start, steps)
    np.testing.assert_allclose(
        leaps.alignment, single.alignment, atol=2e-3 * single.alignment.max()
    )
    np.testing.assert_allclose(leaps.bias, single.bias, rtol=2e-3)
    np.testing.assert_allclose(leaps.dense_norm, single.dense_norm, rtol=2e-3)


def test_starting_point_of_a_run_and_of_its_state(run):
    from_run = starting_point(run)
    state = featlearn.init(SMALL)
    while state.stage == 1:
        state = featlearn.step(state)
    from_state = starting_point_of_state(state)
    assert (from_run.step, from_run.stage) == (from_state.step, 2)
    np.testing.assert_allclose(from_run.alignments, from_state.alignments, atol=1e-5)
    np.testing.assert_array_equal(from_run.biases, from_state.biases)
    difference = from_run.dense_gram - from_state.dense_gram
    assert np.linalg.norm(difference) < 0.5 * np.linalg.norm(from_state.dense_gram)


def test_a_run_that_stays_in_stage_one_is_refused(small):
    run = featlearn.train(small.replace(stage_one_growth=None, n_steps=3))
    with pytest.raises(featlearn.InvalidInput, match="stage II"):
        mean_field.predict(run)


def test_steps_must_ascend_from_the_start(run):
    start = starting_point(run)
    with pytest.raises(featlearn.InvalidInput, match="steps"):
        mean_field.integrate(SMALL, start, [start.step - 1])
    with pytest.raises(featlearn.InvalidInput, match="stop_gradient"):
        mean_field.integrate(SMALL.replace(stop_gradient=False), start, [start.step])
