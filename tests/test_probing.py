"""Downstream heads and shared-part cosines, on representations whose answer is known."""

import numpy as np
import pytest

from featlearn import InvalidInput
from featlearn.data import SparseCodingModel, make_dictionary
from featlearn.latents import Bernoulli, Binary, Coherent, mixing_of
from featlearn.probing import best_on_inputs, oracle_features, probe, shared_cosines

D, D1 = 6, 24


def a_model(variance, density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return SparseCodingModel(make_dictionary("orthonormal", D1, D, rng), density, variance)


def test_pure_neurons_without_noise_solve_the_tasks(seed):
    model = a_model(0.0)
    result = probe(
        model.dictionary.T.copy(), np.zeros(D), model, np.random.default_rng(seed), 500, 500
    )
    for name in ("features", "inputs", "oracle"):
        assert result.regression[name].shape == (5,)
        assert (result.regression[name] < 1e-6).all(), name
        assert (result.classification[name] < 0.25).all(), name


def test_neurons_orthogonal_to_every_atom_are_no_better_than_a_constant(seed):
    model = a_model(0.5)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((12, D1))
    weights -= weights @ model.dictionary @ model.dictionary.T
    result = probe(weights, np.zeros(12), model, rng, 4000, 4000)
    np.testing.assert_allclose(result.regression["features"], 1, atol=0.05)
    np.testing.assert_allclose(result.classification["features"], 0.5, atol=0.06)
    assert (result.regression["oracle"] < 0.95).all()


def test_the_linear_head_on_the_inputs_has_the_error_of_the_best_filter(seed):
    """Of z_j from ⟨M_j, x⟩ = z_j + noise: relative error σ²/(s + σ²)."""
    variance, density = 0.2, 0.3
    model = a_model(variance, density)
    weights = model.dictionary.T.copy()
    result = probe(weights, np.zeros(D), model, np.random.default_rng(seed), 20000, 20000, 3)
    best = variance / (density + variance)
    np.testing.assert_allclose(result.regression["inputs"], best, rtol=0.04)
    np.testing.assert_allclose(result.regression["features"], best, rtol=0.04)


LAWS = {
    "unequal": Bernoulli(np.array([0.9, 0.5, 0.2, 0.1, 0.05, 0.02])),
    "binary": Binary(np.array([0.9, 0.5, 0.2, 0.1, 0.05, 0.02])),
    "coherent": Coherent(np.full(D, 0.2), mixing_of(D, 0.5, np.random.default_rng(3))),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_best_head_on_the_inputs_is_that_of_the_law(law, seed):
    """The one that least squares with an intercept tends to, and so does the ridge on f = x."""
    model = SparseCodingModel(np.eye(D), float(law.densities.mean()), 0.2, law)
    rng = np.random.default_rng(seed)
    sample = model.sample(rng, 100_000)
    w_star = rng.uniform(0.5, 1.5, (D, 2))
    y = sample.latents @ w_star
    x = np.hstack([sample.inputs, np.ones((len(y), 1))])
    wanted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    found = best_on_inputs(model, sample.inputs, w_star)
    np.testing.assert_allclose(found, wanted, atol=0.05)
    error = np.mean((wanted - y) ** 2, axis=0) / y.var(axis=0)
    np.testing.assert_allclose(np.mean((found - y) ** 2, axis=0) / y.var(axis=0), error, rtol=1e-3)


def test_a_constant_has_error_one_whatever_the_means(seed):
    """Also where a model's own draws, and not its law, say what they are."""

    class Shifted(SparseCodingModel):
        def draw_latents(self, rng, n):
            return super().draw_latents(rng, n) + np.float32(2)

    binary = SparseCodingModel(np.eye(D1, D), 0.3, 0.2, Binary(np.full(D, 0.3)))
    for model in (a_model(0.2), binary, Shifted(np.eye(D1, D), 0.3, 0.2)):
        rng = np.random.default_rng(seed)
        weights = np.zeros((3, D1))
        result = probe(weights, np.zeros(3), model, rng, 4000, 4000)
        np.testing.assert_allclose(result.regression["features"], 1, atol=0.01)
        # And the head on x has the error of the best filter: no intercept is penalised.
        v = 0.21 if model is binary else 0.3
        best = 0.2 / (v + 0.2)
        np.testing.assert_allclose(result.regression["inputs"], best, rtol=0.12)


def test_vanished_representations_are_no_error():
    model = a_model(0.5)
    rng = np.random.default_rng(0)
    result = probe(np.zeros((3, D1)), np.zeros(3), model, rng, 100, 100)
    np.testing.assert_allclose(result.regression["features"], 1)
    shared = shared_cosines(np.zeros((3, D1)), np.zeros(3), model, rng, 50)
    assert np.isnan(shared.same_noise) and np.isnan(shared.same_latents) and shared.defined == 0


def test_one_head_alone_has_the_errors_it_has_beside_others():
    model = a_model(0.2)
    arguments = np.random.default_rng(1).standard_normal((9, D1)), np.full(9, 0.1), model
    whole, one = (
        probe(*arguments, np.random.default_rng(0), 200, 100, only=only)
        for only in (None, "features")
    )
    assert list(one.regression) == list(one.classification) == ["features"]
    np.testing.assert_array_equal(one.regression["features"], whole.regression["features"])


def test_too_few_samples_are_refused():
    model = a_model(0.5)
    for sizes in ((9, 100), (100, 9)):
        with pytest.raises(InvalidInput, match="n_train, n_test: .*≥ 10"):
            probe(np.ones((3, D1)), np.zeros(3), model, np.random.default_rng(0), *sizes)


def test_what_cannot_be_measured_is_refused_by_name():
    arguments = np.ones((3, D1)), np.zeros(3), a_model(0.5), np.random.default_rng(0)
    for wrong in (dict(n_train=10.5), dict(n_draws=0), dict(only="pixels")):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            probe(*arguments, **wrong)
    for n in (0, -3, 2.5):
        with pytest.raises(InvalidInput, match="^n: "):
            shared_cosines(*arguments, n)


def test_oracle_features_threshold_the_alignment():
    model = SparseCodingModel(np.eye(3, 2), 0.5, 0.0)
    x = np.array([[0.5, -0.4, 9.0], [-2.0, 0.49, 9.0]])
    np.testing.assert_array_equal(oracle_features(model, x), [[1, 0], [-1, 0]])
    np.testing.assert_array_equal(oracle_features(model, x, 0.4), [[1, -1], [-1, 1]])


def test_what_a_representation_is_a_function_of(seed):
    model = a_model(0.5)
    rng = np.random.default_rng(seed)
    sparse = model.dictionary.T.copy()
    shared = shared_cosines(
        sparse, np.zeros(D), SparseCodingModel(model.dictionary, 0.9, 1e-6), rng
    )
    assert shared.same_latents > 0.999 and abs(shared.same_noise) < 0.1
    dense = rng.standard_normal((40, D1))
    dense -= dense @ model.dictionary @ model.dictionary.T
    shared = shared_cosines(dense, np.zeros(40), model, rng)
    assert shared.same_noise > 0.9999 and abs(shared.same_latents) < 0.1
    assert shared.defined == 1


def test_cosines_are_over_pairs_that_have_one():
    """At density 0.2 and no noise, a pure neuron is silent on most inputs."""
    model = SparseCodingModel(np.eye(1), 0.2, 0.0)
    shared = shared_cosines(np.ones((1, 1)), np.zeros(1), model, np.random.default_rng(0), 20000)
    assert shared.same_latents == 1
    # Same noise, other latents: both non-zero in 4 % of the pairs; same latents: in 20 %.
    assert shared.defined == pytest.approx(0.12, abs=0.01)
    assert abs(shared.same_noise) < 0.2
