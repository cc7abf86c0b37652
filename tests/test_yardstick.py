"""Sparse coding as a yardstick: matching one to one, and what plain learners recover."""

import numpy as np
import pytest

from featlearn import InvalidInput, SparseCodingModel, make_dictionary
from featlearn.images import fast_ica
from featlearn.yardstick import (
    learn_components,
    learn_dictionary,
    match_one_to_one,
    recovery_curve,
)


def test_nothing_is_matched_twice():
    matched = match_one_to_one([[0.9, 0.8, 0.1], [0.7, 0.1, 0.2]])
    np.testing.assert_allclose(matched, [0.9, 0.2])
    twice = np.array([[0.95, 0.0], [0.94, 0.1]])
    np.testing.assert_allclose(recovery_curve(twice, [0.05, 0.5, 0.96]), [1, 0.5, 0])
    permutation = np.eye(6)[np.random.default_rng(0).permutation(6)]
    np.testing.assert_array_equal(match_one_to_one(permutation), np.ones(6))
    with pytest.raises(InvalidInput, match="non-empty"):
        match_one_to_one(np.empty((0, 3)))


@pytest.mark.parametrize("learn", (learn_dictionary, learn_components))
def test_atoms_are_recovered_from_enough_samples_and_not_from_few(learn):
    rng = np.random.default_rng(0)
    model = SparseCodingModel(make_dictionary("orthonormal", 64, 4, rng), 0.1, 0.1)
    found = []
    for n in (100, 10000):
        directions = learn(model.sample(rng, n).inputs, 4, rng)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1)
        found.append(match_one_to_one(np.abs(directions.T @ model.dictionary))[-1])
    assert found[0] < 0.7 < 0.95 < found[1]
    with pytest.raises(InvalidInput, match="n_atoms"):
        learn(np.ones((3, 5)), 4, rng)


def test_one_threshold_has_one_fraction():
    np.testing.assert_array_equal(recovery_curve([[0.9, 0.8], [0.7, 0.1]], 0.5), [0.5])


@pytest.mark.parametrize("cosine", ([[np.nan, 1.0]], [[-0.9, 0.2]]))
def test_what_is_no_absolute_cosine_is_matched_with_nothing(cosine):
    with pytest.raises(InvalidInput, match="^cosine: "):
        recovery_curve(cosine)


def test_samples_that_hold_nothing_to_learn_are_refused():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4))
    for learn in (learn_dictionary, learn_components):
        for bad in (np.where(x > 2, np.nan, x), 0 * x, x[0]):
            with pytest.raises(InvalidInput, match="^inputs: "):
                learn(bad, 2, rng)
        with pytest.raises(InvalidInput, match="^n_atoms: "):
            learn(x, 2.0, rng)
    for more in (dict(n_steps=-1), dict(threshold=np.nan), dict(threshold=-1)):
        with pytest.raises(InvalidInput, match=f"^{next(iter(more))}: "):
            learn_dictionary(x, 2, rng, **more)
    with pytest.raises(InvalidInput, match="^inputs: "):
        learn_components(np.ones((30, 4)), 1, rng)
    with pytest.raises(InvalidInput, match="^white: "):
        fast_ica(np.full((30, 2), np.nan), rng)
