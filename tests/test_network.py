"""The symmetric-ReLU network against its definition, its kink included."""

import numpy as np
import pytest

from featlearn import InvalidInput, features, forward
from featlearn.compute import threads


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_features_are_two_relus(dtype, seed):
    rng = np.random.default_rng(seed)
    weights, inputs = (rng.standard_normal(s).astype(dtype) for s in ((7, 5), (40, 5)))
    biases = rng.uniform(0, 1.5, 7).astype(dtype)
    a = forward(weights, biases, inputs)
    u = inputs.astype(float) @ weights.T.astype(float)
    tolerance = dict(rtol=1e-5, atol=1e-6) if dtype == "float32" else dict(rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(a.preactivations, u, **tolerance)
    np.testing.assert_allclose(a.features, relu(u - biases) - relu(-u - biases), **tolerance)
    np.testing.assert_array_equal(a.active, np.abs(a.preactivations) >= biases)
    assert a.features.dtype == dtype and a.active.dtype == bool
    np.testing.assert_array_equal(features(weights, biases, inputs), a.features)


def test_at_the_threshold_a_neuron_is_active_and_silent():
    """|u| = b takes the ≥ convention; the output is 0 there from both sides."""
    a = forward(
        np.array([[1.0]]), np.array([0.5]), np.array([[0.5], [-0.5], [0.75], [-0.75], [0.25]])
    )
    np.testing.assert_array_equal(a.active.ravel(), [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(a.features.ravel(), [0, 0, 0.25, -0.25, 0])


def test_without_a_bias_the_network_is_linear():
    weights, inputs = np.random.default_rng(0).standard_normal((2, 6, 6))
    a = forward(weights, np.zeros(6), inputs)
    np.testing.assert_array_equal(a.features, a.preactivations)
    assert a.active.all()


@pytest.mark.parametrize("count", (2, 3, 7))
def test_threads_change_no_bit(count, monkeypatch):
    rng = np.random.default_rng(0)
    weights, inputs = rng.standard_normal((7, 5)), rng.standard_normal((40, 5))
    alone = forward(weights, np.full(7, 0.3), inputs)
    monkeypatch.setattr(threads, "thread_count", lambda: count)
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    for one, many in zip(alone, forward(weights, np.full(7, 0.3), inputs)):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("biases", (np.array([0.5]), np.array([0.1, 0.2, 0.3])))
def test_networks_may_share_their_biases(biases):
    rng = np.random.default_rng(0)
    weights, inputs = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5, 4))
    found = features(weights, biases, inputs)
    for k in range(2):
        one = features(weights[k], np.broadcast_to(biases, 3), inputs[k])
        np.testing.assert_array_equal(found[k], one)


def test_whole_numbers_are_a_network_too():
    np.testing.assert_array_equal(features([[2, 0]], [1], [[1, 5]]), [[1.0]])


@pytest.mark.parametrize(
    "field, weights, biases, inputs",
    (
        ("inputs", np.eye(3), np.zeros(3), np.ones((4, 2))),
        ("inputs", np.eye(3), np.zeros(3), np.ones(3)),
        ("weights", np.ones(3), np.zeros(3), np.ones((4, 3))),
        ("inputs", np.ones((2, 3, 3)), np.zeros((2, 3)), np.ones((4, 3))),
        ("inputs", np.ones((2, 3, 3)), np.zeros((2, 3)), np.ones((3, 4, 3))),
        ("biases", np.eye(3), np.zeros(2), np.ones((4, 3))),
        ("biases", np.eye(3), np.zeros((1, 3)), np.ones((4, 3))),
        ("biases", np.eye(3), np.float64(0), np.ones((4, 3))),
        ("biases", np.eye(3), np.full(3, -0.1), np.ones((4, 3))),
        ("biases", np.eye(3), np.full(3, np.nan), np.ones((4, 3))),
    ),
)
def test_what_is_no_network_is_refused(field, weights, biases, inputs):
    for apply in (features, forward):
        with pytest.raises(InvalidInput, match=f"^{field}: "):
            apply(weights, biases, inputs)
