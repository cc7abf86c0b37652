"""The hand-derived gradient against plain loops and against central differences of the loss."""

import itertools

import numpy as np
import pytest
import reference

import featlearn
from featlearn import InvalidInput, contrastive_gradient
from featlearn.compute.workspace import Workspace
from featlearn.data import SparseCodingModel, make_dictionary
from featlearn.views import AUGMENTATIONS, make_augmentation

D, D1, M, B, K = 3, 7, 4, 5, 3
TAU = 0.7
MARGIN = 1e-3
COMBINATIONS = list(
    itertools.product(
        AUGMENTATIONS,
        ("in_batch", "separate"),
        (True, False),
        ("zero", "positive", "all inactive", "all active"),
    )
)


def problem(augmentation, negatives, bias, seed=0):
    """Weights, biases and views in float64 with no preactivation near a kink |u| = b."""
    rng = np.random.default_rng(seed)
    model = SparseCodingModel(make_dictionary("orthonormal", D1, D, rng), 0.6, 0.3)
    augment = make_augmentation(augmentation, noise_correlation=0.4)
    while True:
        weights = rng.standard_normal((M, D1))
        views = augment.pair(rng, model.sample(rng, B), model)
        separate = None
        if negatives == "separate":
            separate = augment.pair(rng, model.sample(rng, K), model).keys
        inputs = [x for x in (views.anchors, views.keys, separate) if x is not None]
        size = np.abs(np.concatenate(inputs) @ weights.T)
        biases = {
            "zero": np.zeros(M),
            "positive": rng.uniform(0.2, 0.8, M),
            "all inactive": np.full(M, 100.0),
            "all active": np.full(M, size.min() / 2),
        }[bias]
        active = size >= biases
        mixed = active.any() and not active.all()
        if np.abs(size - biases).min() > MARGIN and (bias != "positive" or mixed):
            return weights, biases, views.anchors, views.keys, separate


def central_differences(function, at, h=1e-5):
    """Derivative of a number with respect to every entry of an array."""
    result = np.empty_like(at)
    for index in np.ndindex(at.shape):
        sides = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * h
            sides.append(function(moved))
        result[index] = (sides[0] - sides[1]) / (2 * h)
    return result


def assert_close(actual, wanted, tolerance):
    """Relative error in the norm, exact where the reference vanishes."""
    error = np.linalg.norm(actual - wanted)
    assert error <= tolerance * np.linalg.norm(wanted), (error, np.linalg.norm(wanted))


@pytest.mark.parametrize("augmentation, negatives, stop_gradient, bias", COMBINATIONS)
def test_against_plain_loops(augmentation, negatives, stop_gradient, bias, seed):
    weights, biases, anchors, keys, separate = problem(augmentation, negatives, bias, seed)
    g = contrastive_gradient(weights, biases, anchors, keys, TAU, separate, stop_gradient)
    positive, negative, by_bias = reference.gradient(
        weights, biases, anchors, keys, TAU, separate, stop_gradient
    )
    assert g.loss == pytest.approx(
        reference.loss(weights, biases, anchors, keys, TAU, separate), rel=1e-12
    )
    assert_close(g.weights, positive + negative, 1e-12)
    assert_close(g.positive, positive, 1e-12)
    assert_close(g.negative, negative, 1e-12)
    assert_close(g.biases, by_bias, 1e-12)
    np.testing.assert_allclose(g.positive + g.negative, g.weights, rtol=1e-14, atol=1e-16)
    if bias == "all inactive":
        assert not g.weights.any() and not g.biases.any()
        assert g.loss == pytest.approx(TAU * np.log(B if separate is None else K + 1), rel=1e-15)


@pytest.mark.parametrize("threads", (2, 3))
@pytest.mark.parametrize("augmentation, negatives, stop_gradient, bias", COMBINATIONS[::3])
def test_rows_shared_out_over_threads(
    augmentation, negatives, stop_gradient, bias, threads, monkeypatch
):
    monkeypatch.setattr(featlearn.threads, "thread_count", lambda: threads)
    monkeypatch.setattr(featlearn.threads, "WORTHWHILE", 1)
    test_against_plain_loops(augmentation, negatives, stop_gradient, bias, 0)


@pytest.mark.parametrize("augmentation, negatives, stop_gradient, bias", COMBINATIONS)
def test_against_central_differences(augmentation, negatives, stop_gradient, bias, seed):
    weights, biases, anchors, keys, separate = problem(augmentation, negatives, bias, seed)
    g = contrastive_gradient(weights, biases, anchors, keys, TAU, separate, stop_gradient)
    # Where the gradient is stopped, the second argument keeps the weights it had.
    stopped = (weights, biases) if stop_gradient else None

    def loss(w, b):
        return reference.loss(w, b, anchors, keys, TAU, separate, second=stopped)

    assert_close(g.weights, central_differences(lambda w: loss(w, biases), weights), 1e-6)
    assert_close(g.biases, central_differences(lambda b: loss(weights, b), biases), 1e-6)


@pytest.mark.parametrize("stop_gradient", (True, False))
@pytest.mark.parametrize("negatives", ("in_batch", "separate"))
def test_terms_add_up_to_the_gradient(negatives, stop_gradient):
    weights, biases, anchors, keys, separate = problem("random_mask", negatives, "positive")
    g = contrastive_gradient(weights, biases, anchors, keys, TAU, separate, stop_gradient)
    total = sum(t.coefficients.T @ t.inputs for t in g.terms) / -B
    np.testing.assert_allclose(total, g.weights, rtol=1e-14, atol=1e-16)
    assert len(g.terms) == 1 + (not stop_gradient) * (1 + (separate is not None))


@pytest.mark.parametrize("stop_gradient", (True, False))
def test_a_batch_of_one_has_no_negative_and_no_gradient(stop_gradient):
    weights, biases, anchors, keys, _ = problem("random_mask", "in_batch", "positive")
    g = contrastive_gradient(
        weights, biases, anchors[:1], keys[:1], TAU, stop_gradient=stop_gradient
    )
    assert g.loss == 0 and not g.weights.any() and not g.biases.any()


@pytest.mark.parametrize("stop_gradient", (True, False))
def test_one_anchor_at_a_time_with_the_others_keys_as_separate_negatives(stop_gradient):
    """In-batch negatives are those of B single anchors whose separate set is the others' keys."""
    weights, biases, anchors, keys, _ = problem("random_mask", "in_batch", "positive")
    whole = contrastive_gradient(weights, biases, anchors, keys, TAU, None, stop_gradient)
    singles = [
        contrastive_gradient(
            weights,
            biases,
            anchors[p : p + 1],
            keys[p : p + 1],
            TAU,
            np.delete(keys, p, axis=0),
            stop_gradient,
        )
        for p in range(B)
    ]
    assert whole.loss == pytest.approx(np.mean([g.loss for g in singles]), rel=1e-13)
    for name in ("weights", "biases", "positive", "negative"):
        mean = np.mean([getattr(g, name) for g in singles], axis=0)
        assert_close(getattr(whole, name), mean, 1e-12)


def test_keys_that_are_the_anchors_or_their_copy_give_the_same():
    weights, biases, anchors, keys, _ = problem("none", "in_batch", "positive")
    assert keys is anchors
    for stop_gradient in (True, False):
        one = contrastive_gradient(weights, biases, anchors, keys, TAU, None, stop_gradient)
        two = contrastive_gradient(weights, biases, anchors, keys.copy(), TAU, None, stop_gradient)
        np.testing.assert_array_equal(one.weights, two.weights)


def test_a_kept_workspace_changes_no_bit():
    work = Workspace()
    for seed in range(3):
        for negatives in ("in_batch", "separate"):
            args = problem("random_mask", negatives, "positive", seed)
            for stop_gradient in (True, False):
                fresh = contrastive_gradient(*args[:4], TAU, args[4], stop_gradient)
                kept = contrastive_gradient(*args[:4], TAU, args[4], stop_gradient, work)
                for name in ("loss", "weights", "biases", "positive", "negative"):
                    np.testing.assert_array_equal(getattr(fresh, name), getattr(kept, name))


def test_float32_follows_float64():
    args = problem("random_mask", "separate", "positive")
    exact = contrastive_gradient(*args[:4], TAU, args[4], False)
    weights, biases, anchors, keys, separate = (a.astype(np.float32) for a in args)
    g = contrastive_gradient(weights, biases, anchors, keys, TAU, separate, False)
    assert g.weights.dtype == g.biases.dtype == g.positive.dtype == np.float32
    assert_close(g.weights, exact.weights, 1e-5)
    assert_close(g.biases, exact.biases, 1e-5)


GOOD = dict(
    weights=np.ones((2, 3)),
    biases=np.zeros(2),
    anchors=np.ones((4, 3)),
    keys=np.ones((4, 3)),
    temperature=1.0,
)


@pytest.mark.parametrize(
    "field, value",
    [
        ("weights", np.ones(3)),
        ("weights", np.ones((0, 3))),
        ("anchors", np.ones((4, 2))),
        ("anchors", np.ones((0, 3))),
        ("keys", np.ones((3, 3))),
        ("keys", np.ones((4, 2))),
        ("negatives", np.ones((5, 2))),
        ("negatives", np.ones((0, 3))),
        ("negatives", np.ones(3)),
        ("biases", np.zeros(3)),
        ("biases", np.array([0.0, -1e-9])),
        ("biases", np.array([0.0, np.nan])),
        ("weights", [["a", "b"], ["c", "d"]]),
        ("weights", [[1.0], [1.0, 2.0]]),
        ("anchors", GOOD["anchors"] * 1j),
        ("keys", np.ma.array(GOOD["keys"], mask=GOOD["keys"] == GOOD["keys"])),
        ("biases", [0.0, 1j]),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", np.nan),
        ("temperature", np.inf),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(field, value):
    contrastive_gradient(**GOOD)
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        contrastive_gradient(**{**GOOD, field: value})


@pytest.mark.parametrize(
    "groups, batch, negatives, allowed",
    ((2, 4, None, True), (2, 5, None, False), (3, 5, None, False), (4, 4, None, False),
     (2, 4, 3, False), (1, 5, 3, True)),
)  # fmt: skip
def test_groups_are_equal_of_two_at_least_and_in_batch(groups, batch, negatives, allowed):
    rng = np.random.default_rng(0)
    weights, views = rng.standard_normal((3, 6)), rng.standard_normal((2, batch, 6))
    negatives = None if negatives is None else rng.standard_normal((negatives, 6))
    given = weights, np.zeros(3), *views, 1.0, negatives
    if allowed:
        assert np.isfinite(contrastive_gradient(*given, negative_groups=groups).loss)
    else:
        with pytest.raises(InvalidInput, match="negative_groups"):
            contrastive_gradient(*given, negative_groups=groups)
