"""An explained update is the one that training makes, and its parts add up to it."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn.batches import draw_batch
from featlearn.explain.gradient_check import check_gradient, held_loss
from featlearn.explain.update import SMALL_WORLD
from featlearn.training import evaluate, init, step

VARIANTS = [
    {},
    {"negatives": 5},
    {"stop_gradient": False},
    {"negatives": 5, "stop_gradient": False},
    {"augmentation": "none"},
    {"augmentation": "independent_masks"},
    {"augmentation": "correlated_noise", "noise_correlation": 0.3},
    {"keep_probability": 0.4, "temperature": 2.0},
    {"batch_size": 12, "negative_groups": 3},
    {"batch_size": 8, "negative_groups": 2, "stop_gradient": False},
]


def later(experiment, steps):
    state = init(experiment)
    for _ in range(steps):
        state = step(state)
    return state


@pytest.fixture(params=VARIANTS, ids=str)
def state(request):
    """A state of stage II, where some neurons are off."""
    state = later(SMALL_WORLD.replace(**request.param), 90)
    assert state.stage >= 2 and (state.biases > 0).all()
    return state


def test_the_explained_step_is_the_training_step(state):
    explained = featlearn.explain_step(state, neuron=1, anchor=2)
    after, gradient = step(state), evaluate(state)
    for field in dataclasses.fields(after):
        np.testing.assert_array_equal(
            getattr(explained.after, field.name), getattr(after, field.name)
        )
    assert explained.loss.before == gradient.loss
    np.testing.assert_allclose(
        explained.attraction.total + explained.repulsion.total, -gradient.weights, atol=1e-15
    )
    batch = draw_batch(state)
    np.testing.assert_array_equal(explained.anchors, batch.views.anchors)
    np.testing.assert_array_equal(explained.keys, batch.views.keys)
    np.testing.assert_array_equal(explained.latents, batch.sample.latents)


def test_the_forces_add_up_to_the_update_and_their_projections_to_them(state):
    e = featlearn.explain_step(state)
    M, exp = e.dictionary, state.experiment
    for force in (e.attraction, e.repulsion, e.decay, e.update):
        np.testing.assert_allclose(force.on_atoms @ M.T + force.dense, force.total, atol=1e-12)
        np.testing.assert_allclose(force.dense @ M, 0, atol=1e-12)
    for part in ("total", "on_atoms", "dense"):
        attraction, repulsion, decay, update = (
            getattr(f, part) for f in (e.attraction, e.repulsion, e.decay, e.update)
        )
        summed = exp.learning_rate * (attraction + repulsion + decay)
        np.testing.assert_allclose(update, summed, atol=1e-12)


def test_the_arrays_are_what_their_names_say(state):
    """Each array from the ones before it, by the formula a student would write."""
    e = featlearn.explain_step(state)
    W, b, tau = state.weights, state.biases, state.experiment.temperature
    np.testing.assert_allclose(e.inputs, e.latents @ e.dictionary.T + e.noise, atol=1e-12)
    np.testing.assert_allclose(e.anchor_preactivations, e.anchors @ W.T, atol=1e-12)
    u = e.key_preactivations
    np.testing.assert_array_equal(e.key_active, np.abs(u) >= b)
    relu = np.maximum(u - b, 0) - np.maximum(-u - b, 0)
    np.testing.assert_allclose(e.key_features, relu, atol=1e-12)
    candidates, rows = e.candidate_features, np.arange(len(e.anchors))
    own = np.sum(e.anchor_features * e.key_features, axis=1) / tau
    np.testing.assert_allclose(e.similarity[rows, e.positive_column], own, atol=1e-12)
    exponential = np.exp(e.similarity)
    if e.negatives is None:
        group = rows // state.experiment.group_size
        exponential *= group[:, None] == group
    P = exponential / exponential.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(e.probability, P, atol=1e-12)
    delta = np.zeros_like(P)
    delta[rows, e.positive_column] = 1
    np.testing.assert_allclose(e.residual, delta - P, atol=1e-12)
    by_chance = 1 / np.count_nonzero(P[0])
    assert f"by chance {by_chance:.3f}" in str(e)
    if e.negatives is None:
        A = (delta - P) @ candidates * e.anchor_active
    else:
        A = (1 - P[:, :1]) * e.key_features - P[:, 1:] @ candidates
        A *= e.anchor_active
    np.testing.assert_allclose(e.coefficients[0], A, atol=1e-12)
    np.testing.assert_allclose(e.pulls + e.pushes, A, atol=1e-12)
    if state.experiment.stop_gradient:
        forces = e.attraction.total + e.repulsion.total
        np.testing.assert_allclose(forces, A.T @ e.anchors / len(A), atol=1e-12)


def test_central_differences_of_the_loss_agree(state):
    check = check_gradient(state)
    assert check.compared + check.kinks == state.weights.size
    assert check.compared > 0.8 * state.weights.size
    assert check.largest < 1e-7 * max(check.scale, 1)


def test_the_check_notices_a_wrong_gradient(monkeypatch):
    """The loss that the check differentiates does not come from the gradient it checks."""
    state = later(SMALL_WORLD, 90)
    honest = check_gradient(state)

    def wrong(state, batch=None, work=None):
        gradient = evaluate(state, batch, work)
        return dataclasses.replace(gradient, weights=gradient.weights * 1.001)

    monkeypatch.setattr("featlearn.explain_check.evaluate", wrong)
    assert check_gradient(state).largest > 1e3 * honest.largest


def test_first_order_predicts_the_loss_of_a_small_step(state):
    """The prediction's error is of second order: ten times smaller steps, a hundredth of it."""
    errors = []
    for rate in (1e-3, 1e-4):
        smaller = dataclasses.replace(
            state, experiment=state.experiment.replace(learning_rate=rate)
        )
        e = featlearn.explain_step(smaller)
        changes = [e.loss] + ([e.held_loss] if e.held_loss else [])
        errors.append([abs(c.predicted - c.actual) for c in changes])
    for large, small in zip(*errors):
        assert small < 0.03 * large + 1e-13


def test_held_loss_at_the_state_itself_is_the_loss(state):
    batch = draw_batch(state)
    assert held_loss(state, batch)(state.weights)[0] == pytest.approx(
        evaluate(state, batch).loss, rel=1e-14
    )


def test_float32_is_explained_too():
    state = later(SMALL_WORLD.replace(dtype="float32"), 60)
    e = featlearn.explain_step(state)
    np.testing.assert_array_equal(e.after.weights, step(state).weights)
    assert check_gradient(state).largest < 1e-7


def test_the_text_says_what_the_own_key_pulls_with():
    for name, wanted, title in (
        ("infonce", "pull = (1-P) h⁺⁺ = ", "(δ - P) h(q)"),
        ("decoupled", "pull = h⁺⁺ = 1.000·", "(δ - R) h(q)"),
        ("spectral", "pull = h⁺⁺ = 1.000·", "(δ - R) h(q)"),
    ):
        said = str(featlearn.explain_step(featlearn.init(SMALL_WORLD.replace(objective=name))))
        assert wanted in said and title in said


def test_the_small_world_shows_winners():
    """Three neurons end on three different atoms, as its comment says."""
    state = later(SMALL_WORLD, SMALL_WORLD.n_steps)
    cosine = featlearn.explain_step(state).cosines
    assert cosine.max(axis=1).min() > 0.9
    assert len(set(cosine.argmax(axis=1))) == 3
    assert state.stage == 3


@pytest.mark.parametrize(("name", "value"), [("neuron", 3), ("neuron", -1), ("anchor", 4)])
def test_a_neuron_or_anchor_that_is_not_there_is_refused(name, value):
    with pytest.raises(featlearn.InvalidInput, match=name):
        featlearn.explain_step(init(SMALL_WORLD), **{name: value})
