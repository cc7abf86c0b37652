"""Training by every objective: its gradient through the network, its own arrays, and what is refused."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn import Experiment, InvalidInput, evaluate, init, step, train
from featlearn.batches import draw_batch
from featlearn.compute.workspace import Workspace
from featlearn.objectives import OBJECTIVES, Objective, Pull
from featlearn.state import make_model

BASE = Experiment(
    n_features=4,
    n_inputs=8,
    n_neurons=5,
    batch_size=6,
    n_steps=12,
    density=0.4,
    noise_variance=0.2,
    learning_rate=0.1,
    initial_norm=1.0,
    stage_one_steps=3,
    bias_factor=0.05,
    dtype="float64",
)
VARIANTS = {
    "spectral": dict(objective="spectral"),
    "spectral both": dict(objective="spectral", stop_gradient=False),
    "spectral K": dict(objective="spectral", negatives=7),
    "spectral K both": dict(objective="spectral", negatives=7, stop_gradient=False),
    "decoupled": dict(objective="decoupled"),
    "decoupled both": dict(objective="decoupled", stop_gradient=False),
    "decoupled K": dict(objective="decoupled", negatives=7),
    "decoupled K both": dict(objective="decoupled", negatives=7, stop_gradient=False),
    "spectral groups": dict(objective="spectral", negative_groups=2),
    "decoupled groups": dict(objective="decoupled", negative_groups=3, stop_gradient=False),
    "nt_xent": dict(objective="nt_xent"),
    "nt_xent both": dict(objective="nt_xent", stop_gradient=False),
    "nt_xent both, one view": dict(objective="nt_xent", stop_gradient=False, augmentation="none"),
    "classification": dict(objective="supervised", n_tasks=3),
    "regression": dict(objective="supervised", task="regression", augmentation="none"),
    "leak": dict(objective="supervised", label_leak=0.5),
    "fixed head": dict(objective="supervised", train_head=False),
    "no_negatives": dict(objective="no_negatives"),
    "prediction head": dict(objective="no_negatives", prediction_head=True, head_rate=3.0),
}


def state_of(name):
    """A state with thresholds at work, and a head that is not where it started."""
    state = init(BASE.replace(**VARIANTS[name]))
    rng = np.random.default_rng(1)
    return dataclasses.replace(
        state,
        biases=np.full(BASE.n_neurons, 0.2),
        parameters={
            key: p + 0.2 * rng.standard_normal(p.shape) for key, p in state.parameters.items()
        },
    )


def moved(state, name, index, by):
    if name in ("weights", "biases"):
        array = getattr(state, name).copy()
        array[index] += by
        return dataclasses.replace(state, **{name: array})
    array = state.parameters[name].copy()
    array[index] += by
    return dataclasses.replace(state, parameters={**state.parameters, name: array})


def loss_with_held_keys(state, batch, at):
    """The loss at a state, the second argument of similarities seeing the network of `at`."""
    from test_objectives import no_negatives_loss, nt_xent_loss_of

    exp, views = state.experiment, batch.views
    h = featlearn.features(state.weights, state.biases, views.anchors)
    k, held_h, held_k = (
        featlearn.features(s.weights, s.biases, x)
        for s, x in ((state, views.keys), (at, views.anchors), (at, views.keys))
    )
    if exp.objective == "nt_xent":
        return nt_xent_loss_of(h, k, (held_h, held_k), exp.temperature, exp.embedding_floor)
    if exp.objective == "no_negatives":
        return no_negatives_loss(h, held_k, state.parameters.get("prediction_head"), 1e-3)
    separate = None
    if batch.negatives is not None:
        separate = featlearn.features(at.weights, at.biases, batch.negatives)
    contrast, groups = state.objective.contrast, exp.negative_groups
    return contrast(h, held_k, exp.temperature, separate, groups=groups).loss


@pytest.mark.parametrize("name", VARIANTS)
def test_the_gradient_of_every_objective_against_central_differences(name):
    state = state_of(name)
    exp, batch = state.experiment, draw_batch(state)
    held = exp.objective != "supervised" and exp.stop_gradient

    def loss(there):
        if held:
            return loss_with_held_keys(there, batch, state)
        return evaluate(there, batch).loss

    found = evaluate(state, batch)
    exact = {"weights": found.weights, "biases": found.biases, **found.parameters}
    assert set(found.parameters) == set(state.parameters)
    for part, gradient in exact.items():
        numeric = np.empty_like(gradient)
        for index in np.ndindex(gradient.shape):
            ends = [loss(moved(state, part, index, by)) for by in (1e-6, -1e-6)]
            numeric[index] = (ends[0] - ends[1]) / 2e-6
        if part == "prediction_head":
            np.fill_diagonal(numeric, 0)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-8, err_msg=part)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_kept_workspace_changes_no_bit(name):
    pure = kept = init(BASE.replace(**VARIANTS[name]))
    work = Workspace()
    for _ in range(6):
        pure = step(pure)
        kept = step(kept, evaluate(kept, work=work), work)
    np.testing.assert_array_equal(pure.weights, kept.weights)
    for key, p in pure.parameters.items():
        np.testing.assert_array_equal(p, kept.parameters[key])
    assert pure.stage > 1


@pytest.mark.parametrize("name", ("classification", "prediction head"))
def test_a_run_is_resumed_with_its_head(name, tmp_path, monkeypatch):
    exp = BASE.replace(**VARIANTS[name], dtype="float32")
    whole = train(exp)
    stop = 5

    def interrupt(row):
        if row["step"] == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(featlearn.loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(exp, tmp_path / "run", progress=interrupt)
    resumed = train(None, tmp_path / "run", resume=True)
    for quantity in ("alignment", "loss"):
        np.testing.assert_array_equal(whole[quantity], resumed[quantity])
    np.testing.assert_array_equal(whole.weights, resumed.weights)
    assert np.isnan(whole["positive_probability"]).all()


def test_twins_start_from_the_same_weights_and_see_the_same_samples():
    contrastive, supervised = (
        init(BASE.replace(augmentation="none", objective=name))
        for name in ("infonce", "supervised")
    )
    np.testing.assert_array_equal(contrastive.weights, supervised.weights)
    one, other = draw_batch(contrastive), draw_batch(supervised)
    np.testing.assert_array_equal(one.views.anchors, other.views.anchors)
    assert one.labels is None
    tasks = supervised.objective.tasks
    np.testing.assert_array_equal(other.labels, np.sign(other.sample.latents @ tasks))
    assert 0.5 <= np.abs(tasks).min() and np.abs(tasks).max() <= 1.5


@pytest.mark.parametrize(
    "data",
    (
        {},
        dict(density=0.3, density_power=1.0),
        dict(density=0.3, latents="binary"),
        dict(noise_spikes=3, spike_variance=4.0),
    ),
    ids=("paper", "unequal", "binary", "spikes"),
)
def test_labels_leak_a_dense_direction_of_the_size_asked_for(data):
    exp = BASE.replace(
        objective="supervised", task="regression", label_leak=0.5, batch_size=20000, **data
    )
    state = init(exp)
    batch, objective = draw_batch(state), state.objective
    signal = batch.sample.latents @ objective.tasks
    leaked = batch.labels - signal
    np.testing.assert_allclose(objective.dense_tasks.T @ state.model.dictionary, 0, atol=1e-12)
    np.testing.assert_allclose(leaked.std(axis=0), 0.5 * signal.std(axis=0), rtol=0.05)
    # The same labels where only the views are asked for.
    views_only = draw_batch(state, Workspace(), keep_sample=False)
    np.testing.assert_allclose(views_only.labels, batch.labels, rtol=1e-12)


@pytest.mark.parametrize("name", ("nt_xent", "supervised", "no_negatives"))
def test_an_objective_that_is_no_loss_of_pairs_has_no_attraction(name):
    gradient = evaluate(init(BASE.replace(objective=name)))
    for part in ("positive", "negative"):
        with pytest.raises(InvalidInput, match=f"{name}.*attraction and repulsion"):
            getattr(gradient, part)


@pytest.mark.parametrize("name", ("spectral", "decoupled"))
@pytest.mark.parametrize("negatives", ("in_batch", 7))
def test_the_two_parts_of_a_loss_of_pairs_add_up(name, negatives):
    gradient = evaluate(init(BASE.replace(objective=name, negatives=negatives)))
    np.testing.assert_allclose(gradient.positive + gradient.negative, gradient.weights)
    assert np.abs(gradient.positive).max() > 0 and np.abs(gradient.negative).max() > 0


@pytest.mark.parametrize(
    "changes, field",
    [
        (dict(objective="nt_xent", negatives=3), "negatives"),
        (dict(objective="supervised", negatives=3), "negatives"),
        (dict(objective="no_negatives", negatives=3), "negatives"),
        (dict(objective="nt_xent", negative_groups=2), "negative_groups"),
        (dict(objective="supervised", stop_gradient=False), "stop_gradient"),
        (dict(objective="no_negatives", stop_gradient=False), "stop_gradient"),
        (dict(objective="nt_xent", batch_size=1), "batch_size"),
        (dict(objective="no_negatives", batch_size=1), "batch_size"),
        (dict(objective="supervised", label_leak=1.0, noise_variance=0.0), "label_leak"),
        (dict(objective="supervised", label_leak=1.0, n_inputs=BASE.n_features), "label_leak"),
    ],
)
def test_what_an_objective_is_not_defined_for_is_refused_by_name(changes, field):
    with pytest.raises(InvalidInput) as caught:
        BASE.replace(**changes)
    assert caught.value.field == field and changes["objective"] in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    (
        {},
        dict(negatives=7),
        dict(negative_groups=2),
        dict(objective="decoupled"),
        dict(objective="decoupled", negatives=7),
        dict(objective="decoupled", negative_groups=2),
        dict(objective="nt_xent"),
    ),
    ids=str,
)
@pytest.mark.parametrize("length", (0.0, 1.0, 3.0))
def test_the_loss_of_a_constant_representation_is_what_the_objective_says(changes, length):
    exp = BASE.replace(**changes, temperature=0.7)
    state = init(exp)
    state = state.replace(weights=length * state.weights)
    batch = draw_batch(state)
    views = type(batch.views)(*(np.tile(x[:1], (len(x), 1)) for x in [batch.views.anchors] * 2))
    negatives = batch.negatives
    if negatives is not None:
        negatives = np.tile(views.anchors[:1], (len(negatives), 1))
    same = batch._replace(views=views, negatives=negatives)
    found = evaluate(state, same).loss
    assert found == pytest.approx(state.objective.constant_loss(exp), rel=1e-9)


def test_where_a_constant_representation_has_no_one_loss_there_is_none():
    for name in ("spectral", "supervised", "no_negatives"):
        assert OBJECTIVES[name].constant_loss(BASE.replace(objective=name)) is None


def test_labels_leak_the_noise_of_the_experiments_own_model_only():
    exp = BASE.replace(objective="supervised", augmentation="none", n_steps=2)
    model, leaking = make_model(exp), exp.replace(label_leak=0.3)
    with pytest.raises(InvalidInput, match="label_leak: got 0.3.*beside a model of your own"):
        init(leaking, model=model)
    with pytest.raises(InvalidInput, match="label_leak"):
        init(exp, model=model).replace(label_leak=0.3)
    # What no built-in labels are made of is no matter.
    train(leaking, model=model, objective=OBJECTIVES["infonce"].of(exp))
    train(leaking.replace(objective="infonce"), model=model)


@pytest.mark.parametrize("changes", (dict(batch_size=1), dict(batch_size=1, n_tasks=1)))
def test_labels_need_no_second_sample(changes):
    run = train(BASE.replace(objective="supervised", **changes))
    assert np.isfinite(run["loss"]).all()
    for name in ("infonce", "spectral", "decoupled"):
        with pytest.raises(InvalidInput, match="at least 2 with in-batch negatives"):
            BASE.replace(objective=name, **changes)


def test_stage_one_ends_at_the_step_asked_for():
    for growth in (None, 1.0, 100.0):
        run = train(BASE.replace(stage_one_growth=growth, stage_one_steps=7))
        np.testing.assert_array_equal(run["stage"][:8], [1] * 7 + [2])


def test_every_objective_tells_of_itself():
    for name, cls in OBJECTIVES.items():
        made = cls.of(BASE.replace(objective=name))
        assert made.name == name and made.label and made.formula


class Attraction(Objective):
    """A user's own: the key attracts, and nothing repels."""

    name = "attraction"

    def pull(self, anchor_features, key_features, parameters, labels):
        inner = np.einsum("pi,pi->p", anchor_features, key_features)
        return Pull(-float(inner.mean()), key_features)


def test_an_objective_of_your_own_needs_its_pull_only():
    state = init(BASE, objective=Attraction)
    gradient = evaluate(state)
    views = draw_batch(state).views
    h_key = views.keys @ state.weights.T
    np.testing.assert_allclose(gradient.weights, -h_key.T @ views.anchors / BASE.batch_size)
    run = train(BASE, objective=Attraction)
    np.testing.assert_allclose(run["alignment"][1], step(state).weights @ run.dictionary)


def test_another_objective_in_mid_run_brings_its_head():
    state = step(init(BASE)).replace(objective="supervised", n_tasks=3)
    assert state.parameters["head"].shape == (3, BASE.n_neurons)
    assert step(state).step == 2 and state.replace(objective="infonce").parameters == {}
