"""The contrastive loss: known values, extreme similarities, small losses."""

import math

import numpy as np
import pytest
import reference

from featlearn.loss import contrast

DTYPES = ("float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", (1, 2, 3, 17, 100))
@pytest.mark.parametrize("size", (0.0, 0.25, 8.0, 1000.0))
def test_identical_embeddings_give_tau_log_b(dtype, n, size):
    """Whatever the common similarity, every candidate is as likely as the positive."""
    h = np.full((n, 3), size, dtype)
    for tau in (0.125, 4.0):
        result = contrast(h, h, tau)
        assert result.loss == pytest.approx(tau * math.log(n), rel=1e-15, abs=0)
        np.testing.assert_allclose(result.positive_probability, 1 / n, rtol=1e-6)
        np.testing.assert_allclose(result.attraction, 1 - 1 / n, rtol=1e-6)
        if n > 1:
            apart = contrast(h, h, tau, h[:-1])
            assert apart.loss == pytest.approx(result.loss, rel=1e-15)


@pytest.mark.parametrize("in_batch", (True, False))
def test_similarities_of_ten_thousand_temperatures(in_batch, seed):
    """Finite in float32, and equal to float64, where the logits themselves are exact."""
    rng = np.random.default_rng(seed)
    tau = 0.5
    # Small whole numbers times a power of two: products and sums are exact in float32.
    h, k = (32.0 * rng.integers(-3, 4, (40, 3)) for _ in range(2))
    n = None if in_batch else 32.0 * rng.integers(-3, 4, (30, 3))
    logits = h @ (k if n is None else n).T / tau
    assert logits.max() > 1e4 and logits.min() < -1e4
    low = [None if a is None else a.astype(np.float32) for a in (h, k, n)]
    single = contrast(low[0], low[1], tau, low[2])
    double = contrast(h, k, tau, n)
    exact = np.mean([row_loss(h[p], k, p, tau, n) for p in range(len(h))])
    assert double.loss == pytest.approx(exact, rel=1e-13)
    assert single.loss == pytest.approx(exact, rel=1e-6)
    for name in ("attraction", "repulsion", "positive_probability"):
        actual = getattr(single, name)
        assert np.isfinite(actual).all() and actual.dtype == np.float32
        np.testing.assert_allclose(actual, getattr(double, name), rtol=2e-6, atol=1e-37)


def row_loss(h, keys, p, tau, negatives):
    similarities = [float(h @ c) / tau for c in reference.candidates(p, list(keys), negatives)]
    _, log_total = reference.softmax(similarities)
    return tau * (log_total - similarities[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", (1.0, 10.0, 30.0, 60.0))
def test_a_small_loss_keeps_its_digits(dtype, gap):
    """One sure positive against n - 1 negatives at a distance: τ log1p((n-1) e^-gap)."""
    n, tau = 9, 2.0
    h = np.sqrt(tau * gap) * np.eye(n, dtype=dtype)
    result = contrast(h, h, tau)
    relative = 1e-5 if dtype == "float32" else 1e-13
    exact = math.log1p((n - 1) * math.exp(-gap))
    assert result.loss == pytest.approx(tau * exact, rel=relative, abs=0)
    np.testing.assert_allclose(result.attraction, -math.expm1(-exact), rtol=relative)
    apart = contrast(h[:1], h[:1], tau, h[1:])
    assert apart.loss == pytest.approx(tau * exact, rel=relative, abs=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("in_batch", (True, False))
def test_probabilities_add_up(dtype, in_batch, seed):
    rng = np.random.default_rng(seed)
    h, k, n = (rng.standard_normal((12, 5)).astype(dtype) for _ in range(3))
    result = contrast(h, k, 0.3, None if in_batch else n[:7])
    total = result.repulsion.sum(axis=1) + result.positive_probability
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    np.testing.assert_allclose(result.attraction, 1 - result.positive_probability, atol=1e-6)
    assert result.repulsion.shape == (12, 12 if in_batch else 7)
    if in_batch:
        assert not result.repulsion.diagonal().any()


def test_the_temperature_stands_before_the_logarithm_and_below_the_similarity():
    """Two candidates by hand: L = τ log(1 + exp((s_n - s_p)/τ))."""
    h, k, n = np.array([[3.0]]), np.array([[0.5]]), np.array([[0.25]])
    for tau in (0.2, 1.0, 5.0):
        wanted = tau * math.log1p(math.exp((0.75 - 1.5) / tau))
        assert contrast(h, k, tau, n).loss == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_of_one(dtype):
    h = np.ones((1, 3), dtype)
    result = contrast(h, h, 0.1)
    assert result.loss == 0 and result.positive_probability == 1 and result.attraction == 0
    assert not result.repulsion.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau", (1e-30, 1e30))
def test_tiny_and_huge_temperatures(dtype, tau):
    h = np.eye(4, dtype=dtype)
    result = contrast(h, h, tau)
    if tau < 1:  # the positive wins outright
        assert result.loss == 0 and (result.positive_probability == 1).all()
    else:  # nothing is told apart
        assert result.loss == pytest.approx(tau * math.log(4), rel=1e-15)
