"""Normal numbers: the law, the sizes that do not pair up, and refused outputs."""

import numpy as np
import pytest
from scipy import stats

import featlearn
from featlearn.compute import gaussian
from featlearn.compute.gaussian import fill_normal
from featlearn.compute.streams import generator


def drawn(shape, scale=1.0, seed=0):
    out = np.full(shape, np.nan, np.float32)
    fill_normal(generator(seed, "theory"), out, scale)
    return out


def test_the_law_is_normal():
    x = drawn(1_000_001).astype(np.float64)
    assert stats.kstest(x, "norm").pvalue > 1e-3
    # Moments 1 to 6 within five standard errors, Var X^k = E X^2k - (E X^k)².
    moments = {k: stats.norm.moment(k) for k in range(1, 13)}
    for k in range(1, 7):
        error = np.sqrt((moments[2 * k] - moments[k] ** 2) / len(x))
        assert abs(np.mean(x**k) - moments[k]) < 5 * error, k
    expected = 2 * stats.norm.sf(4) * len(x)
    assert abs(np.sum(np.abs(x) > 4) - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("power", [1, 2])
def test_the_two_of_a_pair_are_independent(power):
    x = drawn((2, 200_000)).astype(np.float64) ** power
    assert abs(np.corrcoef(x[0], x[1])[0, 1]) < 5 / np.sqrt(x.shape[1])
    assert abs(np.corrcoef(x[0][1:], x[0][:-1])[0, 1]) < 5 / np.sqrt(x.shape[1])


@pytest.mark.parametrize("shape", [1, 2, 3, (3, 5), (4, 4)])
def test_every_entry_is_filled(shape):
    assert np.isfinite(drawn(shape)).all()
    np.testing.assert_allclose(drawn(shape, 3.0), 3 * drawn(shape), rtol=1e-6)
    assert not drawn(shape, 0.0).any()


def test_an_output_that_cannot_be_filled_in_place_is_refused():
    for out in (np.empty(4), np.empty((4, 4), np.float32)[:, :2]):
        with pytest.raises(featlearn.InvalidInput, match="contiguous"):
            fill_normal(generator(0, "theory"), out)


def test_draws_are_those_of_the_formula(monkeypatch):
    """On integers that are given, 0 among them, which leads to the largest draw."""
    k, angles = np.array([0, 2**31, 2**32 - 1], np.uint32), np.array([0, 2**29, 2**31], np.uint32)
    given = iter([k, angles])
    monkeypatch.setattr(gaussian, "_integers", lambda rng, n: next(given).copy())
    out = np.empty(6, np.float32)
    fill_normal(np.random.default_rng(0), out, 2.0)
    r = 2 * np.sqrt(-2 * np.log((k + 0.5) / 2.0**32))
    phi = 2 * np.pi * angles.astype(np.uint32).view(np.int32) / 2.0**32
    expected = np.concatenate([r * np.cos(phi), r * np.sin(phi)])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)


def test_two_integers_come_from_every_word():
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    assert len(gaussian._integers(rng, 5)) == 5
    other.bit_generator.random_raw(3)
    assert rng.bit_generator.random_raw() == other.bit_generator.random_raw()
