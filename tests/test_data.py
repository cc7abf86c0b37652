"""The sparse-coding data model: dictionaries, latents, noise."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from featlearn import InvalidInput, data, draw_batch, init
from featlearn.data import SparseCodingModel, make_dictionary

KINDS = ("orthonormal", "flat", "identity")
SIZES = [(1, 1), (2, 1), (2, 2), (3, 2), (7, 7), (8, 8), (9, 4), (64, 9), (65, 10), (101, 101)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d1, d", SIZES)
def test_columns_are_orthonormal(kind, d1, d, seed):
    matrix = make_dictionary(kind, d1, d, np.random.default_rng(seed))
    assert matrix.shape == (d1, d)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(d), atol=1e-12)
    single = matrix.astype(np.float32)
    np.testing.assert_allclose(single.T @ single, np.eye(d), atol=1e-6)


def test_a_flat_dictionary_is_flat_at_every_size(seed):
    for d1 in range(1, 26):
        for d in range(1, d1 + 1):
            matrix = make_dictionary("flat", d1, d, np.random.default_rng(seed))
            np.testing.assert_allclose(matrix.T @ matrix, np.eye(d), atol=1e-12)
            assert np.abs(matrix).max() <= 2 / np.sqrt(d1)
            np.testing.assert_allclose(np.sum(matrix**2, axis=1), d / d1, rtol=1e-12)


def test_the_identity_dictionary_is_the_identity():
    np.testing.assert_array_equal(
        make_dictionary("identity", 3, 2, np.random.default_rng(0)), [[1, 0], [0, 1], [0, 0]]
    )


def test_an_orthonormal_dictionary_is_haar(seed):
    """Every entry of a Haar column has mean 0 and variance 1/d1, the diagonal of Q included."""
    rng = np.random.default_rng(seed)
    draws = np.array([make_dictionary("orthonormal", 4, 3, rng) for _ in range(2000)])
    error = 1 / np.sqrt(4 * 2000)
    assert np.abs(draws.mean(axis=0)).max() < 5 * error
    # The fourth moment of an entry of a random unit vector in n dimensions is 3/(n(n+2)).
    squares = draws**2
    spread = np.sqrt(3 / (4 * 6) - 1 / 16)
    assert np.abs(squares.mean(axis=0) - 1 / 4).max() < 5 * spread / np.sqrt(2000)


@pytest.mark.parametrize("kind", ("orthonormal", "flat"))
def test_dictionaries_differ_between_seeds(kind):
    one, two = (make_dictionary(kind, 16, 4, np.random.default_rng(k)) for k in range(2))
    assert np.abs(one - two).max() > 0.05


def test_impossible_dictionaries_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="^n_features: got 5, wants at most n_inputs = 4"):
        make_dictionary("flat", 4, 5, rng)
    with pytest.raises(InvalidInput, match="^dictionary: got 'cosine'"):
        make_dictionary("cosine", 4, 2, rng)


@pytest.mark.parametrize("density", (0.0, 0.05, 0.4, 1.0))
def test_latents_are_symmetric_with_the_density(density, seed):
    model = SparseCodingModel(np.eye(6), density, 1.0)
    z = model.sample(np.random.default_rng(seed), 20000).latents
    assert set(np.unique(z)) <= {-1.0, 0.0, 1.0}
    n = z.size
    error = np.sqrt(density * (1 - density) / n)
    assert abs(np.mean(z != 0) - density) <= 5 * error
    assert abs(np.mean(z)) <= 5 * np.sqrt(density / n)
    # Independent coordinates: no correlation beyond chance.
    products = z.T @ z / len(z)
    off = products[~np.eye(6, dtype=bool)]
    assert np.abs(off).max() <= 5 * density / np.sqrt(len(z)) + 1e-15


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("variance", (0.0, 0.3, 4.0))
def test_noise_is_gaussian_with_the_variance(dtype, variance, seed):
    model = SparseCodingModel(np.eye(5, 2, dtype=dtype), 0.3, variance)
    noise = model.sample(np.random.default_rng(seed), 20000).noise.astype(np.float64)
    n = noise.size
    assert abs(noise.mean()) <= 5 * np.sqrt(variance / n)
    assert abs(noise.var() - variance) <= 5 * variance * np.sqrt(2 / n)
    assert abs(np.mean(noise**4) - 3 * variance**2) <= 5 * variance**2 * np.sqrt(96 / n)


def test_a_sample_is_what_it_is_made_of(seed):
    rng = np.random.default_rng(seed)
    model = SparseCodingModel(make_dictionary("orthonormal", 9, 4, rng), 0.5, 0.2)
    sample = model.sample(rng, 30)
    signal = [sum(z[j] * model.dictionary[:, j] for j in range(4)) for z in sample.latents]
    np.testing.assert_allclose(sample.signal, signal, atol=1e-14)
    np.testing.assert_array_equal(sample.inputs, sample.signal + sample.noise)


@pytest.mark.parametrize("density", (0.0, 0.02, 0.1))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_the_sparse_product_is_the_dense_one(dtype, density, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    dictionary = make_dictionary("orthonormal", 60, 40, rng).astype(dtype)
    model = SparseCodingModel(dictionary, density, 0.2)
    latents = model.draw_latents(rng, 50)
    products = []

    def counted(*arguments):
        products.append(csr_array(*arguments))
        return products[-1]

    monkeypatch.setattr("scipy.sparse.csr_array", counted)
    dense = model.signal(latents)
    assert not products
    monkeypatch.setattr(data, "SPARSE_SIZE", 7 * 60)
    sparse = model.signal(latents)
    assert len(products) == 8
    assert sparse.dtype == dtype and sparse.flags.c_contiguous
    np.testing.assert_allclose(sparse, dense, rtol=0, atol=4 * np.finfo(dtype).eps)


def test_both_precisions_see_the_same_samples(small):
    one = draw_batch(init(small)).sample
    two = draw_batch(init(small.replace(dtype="float64"))).sample
    np.testing.assert_array_equal(one.latents, two.latents)
    np.testing.assert_allclose(one.noise, two.noise, rtol=1e-6)
    np.testing.assert_allclose(one.signal, two.signal, atol=1e-6)
