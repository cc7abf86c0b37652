"""The edges of what an experiment may be: the right answer, or a refusal with its reason."""

import dataclasses
import math

import numpy as np
import pytest

import featlearn
from featlearn import (
    Experiment,
    InvalidInput,
    TrainingDiverged,
    draw_batch,
    evaluate,
    init,
    plotting,
    step,
)
from featlearn.recording.quantities import measure
from featlearn.theory.claims import stage_one
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.trajectory import impossible
from featlearn.theory.predictions import mean_field

pytestmark = pytest.mark.filterwarnings("error")

BASE = Experiment(
    n_features=4,
    n_inputs=12,
    n_neurons=5,
    batch_size=16,
    n_steps=30,
    learning_rate=1.0,
    weight_decay=0.0055,
    temperature=2.0,
    initial_norm=0.05,
    noise_variance=0.3,
    bias_factor=1.0,
    stage_one_growth=1.1,
    bias_growth=1.05,
    bias_cap=0.6,
    density=0.3,
)

RUNS = {
    "two anchors": dict(batch_size=2),
    "one anchor, one negative": dict(batch_size=1, negatives=1),
    "one anchor, many negatives": dict(batch_size=1, negatives=20),
    "one feature": dict(n_features=1, noise_variance=0.2),
    "one feature, one input": dict(n_features=1, n_inputs=1, noise_variance=0.2),
    "one neuron": dict(n_neurons=1),
    "as many features as inputs": dict(n_features=12),
    "as many features as inputs, flat": dict(n_features=12, dictionary="flat"),
    "identity": dict(dictionary="identity"),
    "density 0": dict(density=0.0),
    "density 1": dict(density=1.0),
    "no noise": dict(noise_variance=0.0),
    "nothing at all": dict(density=0.0, noise_variance=0.0),
    "tiny temperature": dict(temperature=1e-30),
    "huge temperature": dict(temperature=1e30),
    "tiny weights": dict(initial_norm=1e-30),
    "all inactive": dict(bias_factor=1000.0, bias_cap=100.0),
    "no decay": dict(weight_decay=0.0),
    "decay to nothing": dict(weight_decay=1.0),
    "no steps": dict(n_steps=0),
    "rarely recorded": dict(record_every=1000),
    "rare mask": dict(keep_probability=0.001),
    "one block and one row": dict(batch_size=65),
}


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("stop_gradient", (True, False))
@pytest.mark.parametrize("name", RUNS)
def test_runs_at_the_edges_stay_finite(name, stop_gradient, dtype):
    e = BASE.replace(stop_gradient=stop_gradient, dtype=dtype, **RUNS[name])
    run = featlearn.train(e)
    for quantity, values in run.arrays.items():
        assert np.isfinite(values).all(), quantity
    assert run.steps[0] == 0 and run.steps[-1] == e.n_steps
    probability = run["positive_probability"]
    assert ((0 <= probability) & (probability <= 1)).all()
    assert (run["loss"] >= 0).all()
    assert (run["dense_norm"] <= run["weight_norm"] * (1 + 1e-6)).all()
    assert (run["bias"] <= e.bias_cap * run["weight_norm"] * (1 + 1e-6)).all()
    if name == "no decay" or "negatives" in RUNS[name]:
        return
    if name == "nothing at all":
        np.testing.assert_allclose(run["loss"], e.temperature * math.log(16), rtol=1e-12)
        assert (run["stage"] == 1).all()
    if name == "all inactive":
        silent = run["stage"] > 1
        assert silent.any() and not run["active_fraction"][silent].any()
        np.testing.assert_allclose(run["loss"][silent], e.temperature * math.log(16), rtol=1e-12)
        # What is left is the decay.
        norms = run["weight_norm"][silent].astype(float)
        shrinking = (1 - e.learning_rate * e.weight_decay) ** np.arange(len(norms))
        np.testing.assert_allclose(norms, norms[0] * shrinking[:, None], rtol=1e-5)
    if name == "huge temperature":
        np.testing.assert_allclose(run["loss"], 1e30 * math.log(16), rtol=1e-6)
    if "features as inputs" in name or name == "one feature, one input":
        assert not run["dense_norm"].any()


def test_tiny_weights_grow_as_small_ones_do():
    """Far below the temperature the dynamics are linear in the weights, whatever their scale."""
    scales = {}
    for norm in (1e-6, 1e-18, 1e-30):
        run = featlearn.train(BASE.replace(initial_norm=norm, stage_one_growth=None))
        scales[norm] = run["alignment"].astype(float) / norm
    np.testing.assert_allclose(scales[1e-18], scales[1e-6], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scales[1e-30], scales[1e-6], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", (0.0, 1e-25, 1e-38, 1e-45))
@pytest.mark.parametrize("stage", (1, 2))
def test_a_neuron_whose_norm_underflows(size, stage):
    state = init(BASE)
    weights = state.weights.copy()
    weights[2] = size
    norms = np.sqrt(np.sum(weights.astype(np.float64) ** 2, axis=1)).astype(np.float32)
    state = dataclasses.replace(
        state, weights=weights, weight_norms=norms, stage=stage, biases=0.3 * norms * (stage > 1)
    )
    for _ in range(3):
        batch = draw_batch(state)
        row = measure(state, batch, evaluate(state, batch))
        for quantity, value in row.items():
            assert np.isfinite(value).all(), quantity
        share = featlearn.sparse_share(row["alignment"], row["weight_norm"])
        cosine = featlearn.cosines(row["alignment"], row["weight_norm"])
        assert (share <= 1 + 1e-5).all() and (share >= 0).all()
        assert (cosine >= 0).all() and np.isfinite(cosine).all()
        state = step(state)
    if size == 0:
        assert not state.weights[2].any() and state.biases[2] == 0
    assert np.isfinite(state.weights).all() and np.isfinite(state.biases).all()


def test_one_feature_needs_a_density():
    with pytest.raises(InvalidInput, match="^density: got None, wants a number when n_features"):
        BASE.replace(n_features=1, density=None)


def test_one_anchor_needs_separate_negatives():
    with pytest.raises(InvalidInput, match="^batch_size: got 1, wants at least 2 with in-batch"):
        BASE.replace(batch_size=1)


def test_the_loss_at_the_extremes_of_the_temperature():
    """Hard choice at τ → 0: the mean excess of the best similarity over the positive's."""
    state = init(BASE.replace(initial_norm=1.0, temperature=1e-12, dtype="float64"))
    g = evaluate(state)
    h, k = (featlearn.features(state.weights, state.biases, x) for x in _views(state))
    similarities = h @ k.T
    excess = similarities.max(axis=1) - similarities.diagonal()
    assert g.loss == pytest.approx(excess.mean(), rel=1e-9)
    assert set(np.unique(g.contrast.positive_probability)) <= {0.0, 1.0}
    warm = evaluate(init(BASE.replace(initial_norm=1.0, temperature=1e12, dtype="float64")))
    np.testing.assert_allclose(warm.contrast.positive_probability, 1 / 16, rtol=1e-9)


def _views(state):
    views = featlearn.draw_batch(state).views
    return views.anchors, views.keys


DIVERGING = {
    "learning rate": dict(learning_rate=1e30),
    "initial norm": dict(initial_norm=1e30),
    "largest initial norm": dict(initial_norm=3e38),
    "noise": dict(noise_variance=1e38),
    "weight decay": dict(weight_decay=1e30),
    "smallest temperature": dict(temperature=2e-38, initial_norm=10.0),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_what_diverges_says_when_and_what(name):
    with pytest.raises(TrainingDiverged) as caught:
        featlearn.train(BASE.replace(n_steps=500, stage_one_growth=None, **DIVERGING[name]))
    assert f"at step {caught.value.step}: " in str(caught.value)
    assert caught.value.quantity in ("the loss", "a weight")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stage_one_steps", (None, 10))
def test_a_network_that_decays_away_is_measured_and_checked(stage_one_steps):
    exp = BASE.replace(
        learning_rate=0.2,
        weight_decay=5.0,
        n_steps=150,
        record_every=5,
        stage_one_steps=stage_one_steps,
    )
    run = featlearn.train(exp)
    assert not run.weights.any()
    assert featlearn.summarize(run).growth == -math.inf
    verdicts = featlearn.check(run)
    assert {v.outcome for v in verdicts} == {"does not apply"}
    assert any("decayed to 0" in v.reason for v in verdicts if v.claim == "trajectory")


def test_a_mean_field_that_diverges_is_followed_no_further():
    exp = BASE.replace(weight_decay=0.9, n_steps=150, record_every=5, stage_one_steps=10)
    rows, prediction = mean_field.predict(featlearn.train(exp))
    assert 0 < len(prediction.alignment) <= len(rows)


def test_weights_near_the_smallest_number_are_not_judged_by_rounding():
    exp = featlearn.preset("tiny").replace(learning_rate=1.0, weight_decay=0.2, n_steps=2000)
    run = featlearn.train(exp.replace(record_every=10))
    assert 0 < run["weight_norm"][-1].max() < 1e-37
    assert not [v for v in featlearn.check(run, replay=0) if v.outcome == "fails"]


def test_parts_that_vanish_together_do_not_cross():
    assert stage_one._growth_at_crossing(np.array([0.1, 0.0]), np.array([1.0, 0.0])) is None
    assert stage_one._growth_at_crossing(np.array([0.1, 2.0]), np.array([1.0, 0.1])) > 0


def test_growth_from_or_of_no_weights_is_undefined():
    zero = init(BASE).replace(weights=np.zeros((BASE.n_neurons, BASE.n_inputs)))
    observed = Observed(featlearn.train(start=zero))
    assert math.isnan(observed.growth) and math.isnan(observed.late_growth)
    assert math.isnan(featlearn.summarize(observed.run).growth)


def test_the_spectrum_of_a_network_that_decays_away_is_drawn():
    run = featlearn.train(BASE.replace(learning_rate=0.2, weight_decay=5.0, n_steps=150))
    assert len(plotting.spectrum_and_plateau(run).axes) == 2


def test_probes_of_an_experiment_without_signal():
    for changes in (dict(density=0.0), dict(density=0.0, noise_variance=0.0)):
        run = featlearn.train(BASE.replace(n_steps=2, **changes))
        model = init(run.experiment).model
        shared = featlearn.shared_cosines(
            run.weights, run.biases, model, np.random.default_rng(0), 50
        )
        assert (shared.defined == 0) == (changes.get("noise_variance") == 0.0)


def test_a_probability_of_the_positive_below_all_numbers_is_recorded_as_zero():
    """Of float32 that is one below e^-87, at a loss of 87 τ or more."""
    low = BASE.replace(batch_size=3, negatives=1, n_neurons=1, density=1.0, temperature=1e-3,
                       initial_norm=1.0)  # fmt: skip
    run = featlearn.train(low)
    loss, none = run["loss"] / low.temperature, run["positive_probability"] == 0
    assert none.any() and loss[none].min() > 87 and impossible(run) == 0
    for claimed, bad in ((88, 0), (86, none.sum())):
        changed = np.where(none, claimed * low.temperature, run["loss"])
        arrays = {**run.arrays, "loss": changed}
        assert impossible(dataclasses.replace(run, arrays=arrays)) == bad
