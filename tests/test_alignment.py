"""Measures of alignment, on neurons made by hand."""

import math

import numpy as np
import pytest

import featlearn
from featlearn import InvalidInput
from featlearn.alignment import (
    alignment,
    best_cosine_of_atoms,
    best_cosine_of_neurons,
    cosines,
    dense_norm,
    lottery_constants,
    lottery_sets,
    neurons_per_atom,
    sparse_share,
    support,
)
from featlearn.data import make_dictionary


@pytest.fixture
def made(seed):
    """Neurons w_i = Σ_j α_ij M_j + β_i with known parts, one of them without any."""
    rng = np.random.default_rng(seed)
    dictionary = make_dictionary("orthonormal", 20, 4, rng)
    alpha = np.array([[3.0, 0, 0, 0], [0, -4, 0, 0], [1, 1, -1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    beta = rng.standard_normal((5, 20))
    beta -= beta @ dictionary @ dictionary.T
    lengths = np.array([4.0, 0.0, 1.0, 2.0, 0.0])
    beta *= (lengths / np.linalg.norm(beta, axis=1))[:, None]
    weights = alpha @ dictionary.T + beta
    return weights, dictionary, alpha, lengths, np.linalg.norm(weights, axis=1)


def test_the_parts_of_a_neuron(made):
    weights, dictionary, alpha, lengths, norms = made
    measured = alignment(weights, dictionary)
    np.testing.assert_allclose(measured, alpha, atol=1e-13)
    np.testing.assert_allclose(dense_norm(measured, norms), lengths, atol=1e-6)
    np.testing.assert_allclose(sparse_share(alpha, norms), [0.36, 1, 0.8, 0, 0], rtol=1e-12)
    # Where rounding makes the sparse part the longer one, nothing dense is left.
    assert not dense_norm(alpha[1:2] * (1 + 1e-9), norms[1:2]).any()


def test_cosines_ignore_the_sign(made):
    _, _, alpha, _, norms = made
    cosine = cosines(alpha, norms)
    third = 1 / math.sqrt(5)
    wanted = [[0.6, 0, 0, 0], [0, 1, 0, 0], [third] * 4, [0] * 4, [0] * 4]
    np.testing.assert_allclose(cosine, wanted, rtol=1e-12)
    np.testing.assert_allclose(cosines(alpha / 100, norms / 100), wanted, rtol=1e-12)
    np.testing.assert_allclose(best_cosine_of_neurons(cosine), [0.6, 1, third, 0, 0])
    np.testing.assert_allclose(best_cosine_of_atoms(cosine), [0.6, 1, third, third])
    np.testing.assert_array_equal(neurons_per_atom(cosine), [0, 1, 0, 0])
    np.testing.assert_array_equal(neurons_per_atom(cosine, 0.6), [1, 1, 0, 0])
    np.testing.assert_array_equal(neurons_per_atom(cosine, 0.4), [2, 1, 0, 0])
    np.testing.assert_array_equal(neurons_per_atom(np.array([[0.5, 0.25]]), 0.5), [1, 0])


def test_measures_take_a_time_axis(made):
    _, _, alpha, _, norms = made
    both, both_norms = np.stack([alpha, 2 * alpha]), np.stack([norms, norms])
    for measure in (sparse_share, cosines, dense_norm):
        np.testing.assert_array_equal(measure(both, both_norms)[1], measure(2 * alpha, norms))


def test_the_support_of_a_neuron():
    cosine = np.array([[0.5, 0.49, 0.1, 0.0], [0.0, 0.9, 0.3, 0.0]])
    np.testing.assert_array_equal(support(cosine), [[1, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(support(cosine, 0.3), [[1, 1, 0, 0], [0, 1, 1, 0]])


def test_lottery_sets_by_hand():
    # log d / d = 0.3466 at d = 4, so a winner has q ≥ 0.52 at 1.5, and ≥ 0.17 at 0.5.
    squares = np.array([[0.55, 0.45, 0, 0], [0.51, 0.49, 0, 0], [0.1, 0.2, 0.7, 0], [0, 0, 0, 0]])
    alpha = np.sqrt(squares) * [1, -1, 1, -1] * 7.0
    potential, sure = lottery_sets(alpha)
    np.testing.assert_array_equal(potential, [[1, 0, 0, 0], [0] * 4, [0, 0, 1, 0], [0] * 4])
    np.testing.assert_array_equal(sure, potential)
    potential, sure = lottery_sets(alpha, sure=1.5, potential=0.5)
    np.testing.assert_array_equal(potential, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0] * 4])
    assert not sure.any(), "each has a rival"
    potential, sure = lottery_sets(alpha, sure=1.0, potential=1.45)
    np.testing.assert_array_equal(potential[:2], [[1, 0, 0, 0], [1, 0, 0, 0]])
    # The second of neuron 0 has q ≥ c1 too, but a rival that is a potential winner.
    np.testing.assert_array_equal(sure[:2], [[1, 0, 0, 0], [1, 0, 0, 0]])
    potential, sure = lottery_sets(alpha, sure=1.55, potential=1.45)
    np.testing.assert_array_equal(potential[:2], [[1, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(sure[:2], [[1, 0, 0, 0], [0, 0, 0, 0]])


def test_nearly_every_sure_set_has_a_member_at_initialisation(seed):
    d, m = 64, 512
    alpha = np.random.default_rng(seed).standard_normal((m, d))
    sure = lottery_sets(alpha).sure
    counts = sure.sum(axis=0)
    assert np.mean(counts > 0) > 0.85
    assert 2 < counts.mean() < 5


def test_lottery_constants():
    assert lottery_constants(0.01, 0.5) == pytest.approx((2.01, 1.01), rel=1e-15)
    with pytest.warns(UserWarning, match="c1 = 2.04 is below c2 = 2.16"):
        assert lottery_constants(0.2, 0.9) == pytest.approx((2.04, 2.16))
    for excess, gamma in ((0.1, 0.0), (0.1, 1.0), (-1e-9, 0.5), (float("nan"), 0.5)):
        with pytest.raises(InvalidInput):
            lottery_constants(excess, gamma)


def test_measures_of_a_trajectory_are_those_of_its_rows():
    alpha = np.random.default_rng(3).standard_normal((4, 6, 3)) ** 3
    cosine = cosines(alpha, np.linalg.norm(alpha, axis=2))
    for k in range(4):
        np.testing.assert_array_equal(
            neurons_per_atom(cosine, 0.8)[k], neurons_per_atom(cosine[k], 0.8)
        )
        np.testing.assert_array_equal(support(cosine)[k], support(cosine[k]))
        for whole, row in zip(lottery_sets(alpha), lottery_sets(alpha[k])):
            np.testing.assert_array_equal(whole[k], row)


def test_whole_numbers_and_lists_have_cosines_too():
    np.testing.assert_array_equal(cosines([[3, -4], [0, 0]], [5, 0]), [[0.6, 0.8], [0, 0]])
    np.testing.assert_array_equal(neurons_per_atom([[1, 0], [0, 0]]), [1, 0])


ALPHA = np.array([[3.0, 4.0], [0.0, 5.0], [1.0, 1.0]])
HIDDEN = np.ma.array(ALPHA, mask=ALPHA > 3)
BY_HAND = {
    "weight_norms: got 'shape (3, 1)'": lambda: featlearn.cosines(ALPHA, np.ones((3, 1))),
    "weight_norms: got 'shape (9, 3)'": lambda: featlearn.sparse_share(ALPHA, np.ones((9, 3))),
    "weight_norms: got None": lambda: featlearn.cosines(ALPHA, None),
    "alignments: got array": lambda: featlearn.cosines(ALPHA + 1j, np.ones(3)),
    "alignments: got masked_array": lambda: featlearn.sparse_share(HIDDEN, np.ones(3)),
    "alignments: got 'shape ()'": lambda: featlearn.sparse_share(1.0, 1.0),
    "alignments: got 'shape (2,)'": lambda: featlearn.lottery_sets(ALPHA[0]),
    "sure: got None": lambda: featlearn.lottery_sets(ALPHA, sure=None),
    "potential: got nan": lambda: featlearn.lottery_sets(ALPHA, potential=np.nan),
    "cosine: got 'shape (3, 0)'": lambda: featlearn.support(ALPHA[:, :0]),
    "cosine: got 'shape (2,)'": lambda: featlearn.neurons_per_atom(ALPHA[0]),
    "threshold: got nan": lambda: featlearn.support(ALPHA, np.nan),
    "threshold: got [0.5, 0.9]": lambda: featlearn.neurons_per_atom(ALPHA, [0.5, 0.9]),
    "cosine: got 'abc'": lambda: featlearn.match_one_to_one("abc"),
    "cosine: got [[1], [2, 3]]": lambda: featlearn.match_one_to_one([[1], [2, 3]]),
    "thresholds: got None": lambda: featlearn.recovery_curve(ALPHA, None),
    "inputs: got array": lambda: featlearn.learn_dictionary(
        ALPHA + 1j, 2, np.random.default_rng(0)
    ),
    "weights: got 'abc'": lambda: featlearn.features("abc", np.zeros(3), ALPHA),
    "inputs: got masked_array": lambda: featlearn.features(ALPHA, np.zeros(3), HIDDEN),
}


@pytest.mark.parametrize("said", BY_HAND)
def test_measures_by_hand_name_the_argument_that_is_wrong(said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        BY_HAND[said]()
    assert str(caught.value).startswith(said)


def test_measures_by_hand_take_what_numpy_takes_for_an_array():
    norms, usual = np.array([5.0, 5, 2]), featlearn.cosines(ALPHA, [5.0, 5, 2])
    for same in (
        ALPHA.tolist(),
        np.ma.array(ALPHA),
        np.asfortranarray(ALPHA),
        ALPHA.astype(object),
    ):
        np.testing.assert_array_equal(featlearn.cosines(same, norms), usual)
        assert type(featlearn.cosines(same, norms)) is np.ndarray
    assert featlearn.cosines(ALPHA[0], 5.0).shape == (2,)
