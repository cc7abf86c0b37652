"""Augmentations: what makes a view, and its second moments against their closed forms."""

import dataclasses

import numpy as np
import pytest

from featlearn import InvalidInput, draw_batch, init
from featlearn.data import SparseCodingModel, make_dictionary
from featlearn.views import (
    CorrelatedNoise,
    IndependentMasks,
    NoAugmentation,
    RandomMask,
    make_augmentation,
)

AUGMENTATIONS = [
    RandomMask(),
    RandomMask(0.3),
    RandomMask(0.8),
    IndependentMasks(),
    IndependentMasks(0.25),
    IndependentMasks(0.9),
    CorrelatedNoise(0.0),
    CorrelatedNoise(0.35),
    CorrelatedNoise(1.0),
    NoAugmentation(),
]


def a_model(seed=0, density=0.4, variance=0.3, d1=6, d=3):
    rng = np.random.default_rng(seed)
    return SparseCodingModel(make_dictionary("orthonormal", d1, d, rng), density, variance)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
def test_second_moments_are_the_closed_forms(augmentation, seed):
    """Every entry of the three matrices within 5 standard errors of its sampled value."""
    model = a_model(seed)
    rng = np.random.default_rng(100 + seed)
    n = 60000
    views = augmentation.pair(rng, model.sample(rng, n), model)
    moments = augmentation.moments(model.density, model.noise_variance)
    for moment, first, second in (
        (moments.cross, views.keys, views.anchors),
        (moments.anchor, views.anchors, views.anchors),
        (moments.key, views.keys, views.keys),
    ):
        mean = first.T @ second / n
        variance = (first**2).T @ second**2 / n - mean**2
        error = np.sqrt(np.maximum(variance, 0) / n)
        difference = np.abs(mean - moment.matrix(model.dictionary))
        assert (difference <= 5 * error + 1e-12).all(), (difference / (error + 1e-300)).max()


def test_the_noise_decouples_under_complementary_masks_only():
    model = a_model()
    rng = np.random.default_rng(0)
    silent = SparseCodingModel(model.dictionary, 0.0, 1.0)
    sample = silent.sample(rng, 50000)
    for augmentation, correlation in ((RandomMask(), 0.0), (IndependentMasks(), 0.5)):
        views = augmentation.pair(rng, sample, silent)
        measured = np.sum(views.anchors * views.keys) / np.sum(views.anchors**2)
        assert measured == pytest.approx(correlation, abs=0.01)


@pytest.mark.parametrize("keep", (0.5, 0.3))
def test_complementary_masks_share_no_coordinate_and_lose_none(keep):
    model = a_model()
    rng = np.random.default_rng(0)
    sample = model.sample(rng, 500)
    views = RandomMask(keep).pair(rng, sample, model)
    (mask,) = views.masks
    np.testing.assert_array_equal(views.anchors != 0, mask)
    np.testing.assert_array_equal(views.keys != 0, ~mask)
    np.testing.assert_allclose(views.anchors * keep + views.keys * (1 - keep), sample.inputs)
    assert abs(mask.mean() - keep) < 5 * np.sqrt(keep * (1 - keep) / mask.size)
    assert len(np.unique(mask, axis=0)) > 40, "a fresh mask for every sample"


def test_independent_masks_are_two():
    model = a_model()
    rng = np.random.default_rng(0)
    sample = model.sample(rng, 4000)
    views = IndependentMasks(0.5).pair(rng, sample, model)
    first, second = views.masks
    np.testing.assert_allclose(views.anchors, 2 * first * sample.inputs)
    np.testing.assert_allclose(views.keys, 2 * second * sample.inputs)
    assert abs(np.mean(first & second) - 0.25) < 5 * np.sqrt(0.1875 / first.size)


def test_correlated_noise_keeps_the_signal_whole():
    model = a_model(variance=0.0)
    rng = np.random.default_rng(0)
    sample = model.sample(rng, 50)
    for rho in (0.0, 0.4, 1.0):
        views = CorrelatedNoise(rho).pair(rng, sample, model)
        np.testing.assert_allclose(views.anchors, sample.signal, atol=1e-15)
        np.testing.assert_allclose(views.keys, sample.signal, atol=1e-15)


def test_full_correlation_makes_one_view_of_two():
    model = a_model()
    rng = np.random.default_rng(0)
    sample = model.sample(rng, 50)
    views = CorrelatedNoise(1.0).pair(rng, sample, model)
    np.testing.assert_array_equal(views.anchors, views.keys)
    np.testing.assert_allclose(views.anchors, sample.signal + np.sqrt(2) * sample.noise)


def test_no_augmentation_is_the_sample_itself():
    model = a_model()
    rng = np.random.default_rng(0)
    sample = model.sample(rng, 50)
    views = NoAugmentation().pair(rng, sample, model)
    assert views.keys is views.anchors
    np.testing.assert_array_equal(views.anchors, sample.inputs)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
def test_given_memory_is_used_and_changes_nothing(augmentation):
    """The anchors may even be written over the sample's own noise, as training does."""
    model = a_model()
    sample = model.sample(np.random.default_rng(1), 40)
    fresh = augmentation.pair(np.random.default_rng(2), sample, model)
    out = (sample.noise, np.empty_like(sample.noise))
    if augmentation.name == "none":
        out = (sample.noise, sample.noise)
    given = augmentation.pair(np.random.default_rng(2), sample, model, out)
    assert given.anchors is out[0]
    np.testing.assert_array_equal(fresh.anchors, given.anchors)
    np.testing.assert_array_equal(fresh.keys, given.keys)


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
def test_views_keep_the_precision(augmentation, dtype):
    exact = a_model()
    model = SparseCodingModel(exact.dictionary.astype(dtype), 0.4, 0.3)
    views = augmentation.pair(
        np.random.default_rng(2), model.sample(np.random.default_rng(1), 5), model
    )
    assert views.anchors.dtype == views.keys.dtype == dtype


def test_training_uses_the_experiments_augmentation(small):
    for name, extra in (
        ("random_mask", {"keep_probability": 0.3}),
        ("none", {}),
        ("independent_masks", {"keep_probability": 0.25}),
        ("correlated_noise", {"noise_correlation": 1.0}),
    ):
        batch = draw_batch(init(small.replace(augmentation=name, dtype="float64", **extra)))
        x = batch.sample.inputs
        anchors, keys = batch.views.anchors, batch.views.keys
        if name == "random_mask":
            np.testing.assert_allclose(0.3 * anchors + 0.7 * keys, x, atol=1e-12)
            assert not (anchors * keys).any()
        elif name == "none":
            np.testing.assert_array_equal(anchors, x)
            np.testing.assert_array_equal(keys, x)
        elif name == "independent_masks":
            for view, mask in zip((anchors, keys), batch.views.masks):
                np.testing.assert_allclose(view, 4 * mask * x, atol=1e-12)
        else:
            np.testing.assert_allclose(anchors, keys)


def test_training_draws_new_samples_every_step_and_for_every_set(small):
    state = init(small.replace(negatives=small.batch_size))
    first = draw_batch(state)
    second = draw_batch(dataclasses.replace(state, step=1))
    keys = first.views.keys
    for other in (second.views.keys, first.negatives, second.negatives):
        assert keys.shape == other.shape
        assert abs(np.corrcoef(keys.ravel(), other.ravel())[0, 1]) < 0.1
    rows = first.sample.noise
    assert len(np.unique(rows, axis=0)) == len(rows), "every block its own stream"


def test_augmentations_by_name():
    assert make_augmentation("random_mask", 0.2) == RandomMask(0.2)
    assert make_augmentation("independent_masks", 0.2) == IndependentMasks(0.2)
    assert make_augmentation("correlated_noise", noise_correlation=0.2) == CorrelatedNoise(0.2)
    assert make_augmentation("none") == NoAugmentation()
    with pytest.raises(InvalidInput, match="^augmentation: got 'crop'"):
        make_augmentation("crop")
