"""Sparse coding as a yardstick: matching one to one, and what plain learners recover."""

import numpy as np
import pytest

from featlearn import InvalidInput, SparseCodingModel, make_dictionary
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
