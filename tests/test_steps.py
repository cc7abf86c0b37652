"""The steps of the derivation, one by one: exact where they are exact, draws where they are means."""

import itertools

import numpy as np
import pytest

from featlearn.latents import LAWS
from featlearn.loss import contrast

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def latents(d, s):
    """All z in {-1, 0, 1}^d with their probabilities."""
    z = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=d)))
    return z, np.prod(np.where(z == 0, 1 - s, s / 2), axis=1)


def gaussian(function, *deviations):
    """The mean of a function of independent centred Gaussians."""
    grids = np.meshgrid(*(deviation * NODES for deviation in deviations), indexing="ij")
    weights = np.prod(np.meshgrid(*[WEIGHTS] * len(deviations), indexing="ij"), axis=0)
    return float(np.sum(weights * function(*grids)))


def test_the_traces_of_the_fourth_cumulant():
    d, s, alpha = 5, 0.2, np.array([0.9, -0.4, 0.3, 0.1, 0.05])
    z, p = latents(d, s)
    a, y, energy = alpha @ alpha, z @ alpha, (z**2).sum(axis=1)
    assert p @ (energy * y**2) == pytest.approx(s**2 * d * a + (s - s**2) * a)
    excess = p @ (energy * y**2) - (d * s * s * a + 2 * s * s * a)
    assert excess == pytest.approx((s - 3 * s * s) * a)
    covariance = p @ (energy * y**2) - (p @ energy) * (p @ y**2)
    assert covariance == pytest.approx(s * (1 - s) * a)
    law = LAWS["bernoulli"](np.full(d, s))
    np.testing.assert_allclose(law.fourth_cumulants, s - 3 * s * s)


def test_the_softmax_to_first_order():
    rng, errors = np.random.default_rng(0), []
    S = rng.standard_normal((6, 6))
    for scale in (1e-2, 1e-3):
        P = np.exp(scale * S) / np.exp(scale * S).sum(axis=1, keepdims=True)
        first = (1 + scale * (S - S.mean(axis=1, keepdims=True))) / 6
        errors.append(np.abs(P - first).max())
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.05)


def test_four_views_of_one_sample_pair_in_three_ways():
    """E v (uᵀΓv) uᵀ of jointly Gaussian views, on draws."""
    rng, n = np.random.default_rng(1), 3
    mix = rng.standard_normal((2 * n, 2 * n))
    joint = mix @ mix.T
    C1, C2, cross = joint[:n, :n], joint[n:, n:], joint[n:, :n]  # E uuᵀ, E vvᵀ, E vuᵀ
    root = rng.standard_normal((2, n))
    gamma = root.T @ root
    x = rng.standard_normal((400_000, 2 * n)) @ mix.T
    u, v = x[:, :n], x[:, n:]
    form = np.einsum("ij,jk,ik->i", u, gamma, v)
    draws = [(part[:, None, None] * np.einsum("ij,ik->ijk", b, c)).mean(axis=0)
             for part, b, c in zip(*(np.array_split(t, 20) for t in (form, v, u)))]  # fmt: skip
    symmetric = np.trace(gamma @ cross)
    wanted = symmetric * cross + cross @ gamma @ cross + C2 @ gamma @ C1
    error = np.std(draws, axis=0, ddof=1) / np.sqrt(20)
    assert np.all(np.abs(np.mean(draws, axis=0) - wanted) < 5 * error)
    assert np.all(error < 0.03 * np.abs(wanted).max())


def test_the_variance_of_a_product_of_views():
    s, n1, n2, psi = 0.3, 0.5, 0.4, -0.2
    slope = psi / np.sqrt(n1)

    def fourth(z):
        return gaussian(lambda g, h: ((z + g) * (z + slope * g / np.sqrt(n1) + h)) ** 2,
                        np.sqrt(n1), np.sqrt(n2 - slope**2))  # fmt: skip

    moment = (1 - s) * fourth(0.0) + s * fourth(1.0)
    wanted = s + s * (n1 + n2 + 4 * psi) + n1 * n2 + 2 * psi**2
    assert moment == pytest.approx(wanted)


def test_the_flow_is_at_rest_where_the_lines_say():
    rng, d, d1, m = np.random.default_rng(2), 3, 12, 5
    s, psi, n1, n2, decay, D, tau, e = 0.3, -0.02, 0.2, 0.25, 0.01, 0.9, 2.0, 0.1
    c1, c2 = s + n1, s + n2
    h2 = (s + psi - decay / D) / c1
    a = (h2 - n2 * e) / c2
    M = np.linalg.qr(rng.standard_normal((d1, d1)))[0]
    M, beside = M[:, :d], M[:, d:]
    U = np.linalg.qr(rng.standard_normal((m, d)))[0]
    E = np.sqrt(tau * e) * beside[:, :d].T
    W = U @ (np.sqrt(tau * a) * M.T + E)

    def moments(along, other):
        return along * M @ M.T + other * beside @ beside.T

    C, C1, C2 = moments(s + psi, psi), moments(c1, n1), moments(c2, n2)
    np.testing.assert_allclose(W @ C2 @ W.T, tau * h2 * U @ U.T, atol=1e-12)
    flow = D * (W @ C - W @ C2 @ W.T @ W @ C1 / tau) - decay * W
    np.testing.assert_allclose(flow @ M, 0, atol=1e-12)
    rate = D * (psi - h2 * n1) - decay
    np.testing.assert_allclose(flow @ beside @ beside.T, rate * U @ E, atol=1e-12)


def test_a_pulled_walk_and_its_semicircle():
    pull, noise, variance = 0.01, 0.3, 0.0
    for _ in range(3000):
        variance = (1 - pull) ** 2 * variance + noise
    assert variance == pytest.approx(noise / (2 * pull), rel=0.01)
    rng, d = np.random.default_rng(3), 150
    matrix = rng.standard_normal((d, d)) * np.sqrt(2)
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    assert np.abs(values).max() == pytest.approx(2 * np.sqrt(d), rel=0.08)
    assert np.mean(values**2) == pytest.approx(d, rel=0.03)  # R²/4


def test_the_tilted_key_is_the_slope_of_a_logarithm():
    s, a, e, n2 = 0.3, 0.8, 0.2, 0.4
    v2 = n2 * (a + e)

    def log_mean(u):
        noise = gaussian(lambda g: np.exp(u * g), np.sqrt(v2))
        return np.log(noise * sum(p * np.exp(u * np.sqrt(a) * z)
                                  for z, p in ((-1, s / 2), (0, 1 - s), (1, s / 2))))  # fmt: skip

    def tilted(u):
        theta = np.sqrt(a) * u
        return v2 * u + np.sqrt(a) * s * np.sinh(theta) / (1 - s + s * np.cosh(theta))

    for u in (0.3, 1.0, -1.7):
        slope = (log_mean(u + 1e-4) - log_mean(u - 1e-4)) / 2e-4
        assert tilted(u) == pytest.approx(slope, rel=1e-6)
    assert tilted(1e-5) / 1e-5 == pytest.approx((s + n2) * a + n2 * e, rel=1e-6)


def test_the_saturated_norm_solves_both_lines():
    tau, m, H, G, decay, N = 2.0, 50, 0.6, 0.4, 0.01, 255
    squared = tau / (m * H) * np.log(N * (1 - decay / G) / (decay / G))
    S = np.zeros((1, N + 1))
    S[0, 0] = m * squared * H / tau
    P = np.exp(S) / np.exp(S).sum()
    assert (1 - P[0, 0]) * G == pytest.approx(decay)
    # The softmax of the code is this one.
    features = np.sqrt(S[0, 0] * tau)
    found = contrast(np.array([[features]]), np.array([[features]]), tau, np.zeros((N, 1)))
    assert found.positive_probability[0] == pytest.approx(P[0, 0])


def test_the_mean_over_keys_of_an_anchor():
    s, a, v2 = 0.25, 0.7, 0.3
    with_latent = sum(p * np.exp(a * z) for z, p in ((-1, s / 2), (0, 1 - s), (1, s / 2)))
    assert with_latent == pytest.approx(1 - s + s * np.cosh(a))
    noise = gaussian(lambda g: np.exp(np.sqrt(a) * g), np.sqrt(v2))
    assert np.log(noise) == pytest.approx(a * v2 / 2)
    # A latent of the key alone, the anchor's noise small: the first order in its variance.
    for v1 in (1e-3, 1e-4):
        mean = gaussian(lambda g: np.log(1 - s + s * np.cosh(np.sqrt(a) * g)), np.sqrt(v1))
        assert mean == pytest.approx(s * a * v1 / 2, rel=2 * v1)


def test_noise_along_a_feature_by_parts():
    """E[e F] against its two terms, on draws, and the bend of the activity at 0."""
    rng, n = np.random.default_rng(4), 1_000_000
    a, b, alpha, rest, n1, psi = 0.5, 0.7, 0.6, 0.5, 0.4, -0.1
    noise = rng.standard_normal((4, n)) * np.sqrt(n1)
    along = noise[0], psi / n1 * noise[0] + np.sqrt(1 - (psi / n1) ** 2) * noise[1]
    up = a + alpha * along[0] + rest * noise[2]
    down = a + alpha * along[1] + rest * noise[3]
    h = np.sign(down) * np.maximum(np.abs(down) - b, 0)
    F = h * (np.abs(up) >= b)
    # ∂F/∂u⁺ is h(u⁻) at u⁺ = ±b, here in a window around it; ∂F/∂u⁻ both views active.
    width = 0.05
    edge = (np.abs(up - b) < width).astype(float) - (np.abs(up + b) < width)
    first = n1 * alpha * np.mean(h * edge) / (2 * width)
    second = psi * alpha * np.mean((np.abs(up) >= b) & (np.abs(down) >= b))
    draws = along[0] * F
    error = np.std(draws) / np.sqrt(n) + n1 * alpha * np.std(h * edge) / (2 * width * np.sqrt(n))
    assert np.mean(draws) == pytest.approx(first + second, abs=4 * error)
    assert abs(second) > 10 * error and abs(first) > 10 * error

    v = 0.3
    density = lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    slope = lambda t: (density((t - b) / v**0.5) - density((t + b) / v**0.5)) / v**0.5  # noqa: E731
    bend = (slope(1e-4) - slope(-1e-4)) / 2e-4
    assert bend == pytest.approx(2 * b / v**0.5 * density(b / v**0.5) / v, rel=1e-6)


def test_the_law_of_a_sum_of_features():
    s, alpha = 0.2, np.array([0.5, -0.7, 0.2, 0.4, 0.1])
    z, p = latents(len(alpha), s)
    r = z @ alpha
    variance = p @ r**2
    excess = p @ r**4 / variance**2 - 3
    assert excess == pytest.approx((1 / s - 3) * np.sum(alpha**4) / np.sum(alpha**2) ** 2)
    spread = 0.3
    fourth = sum(0.5 * gaussian(lambda g: g**4, np.sqrt(1 + sign * spread)) for sign in (-1, 1))
    assert fourth - 3 == pytest.approx(3 * spread**2)


def test_what_a_mask_does_to_one_neuron():
    # All masks of ten inputs: share and scattered signal exactly.
    rng = np.random.default_rng(5)
    w, signal = rng.standard_normal(10), rng.standard_normal(10)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=10)))
    share, scattered = signs @ w**2 / (w @ w), signs @ (w * signal)
    assert np.mean(share**2) == pytest.approx(np.sum(w**4) / (w @ w) ** 2)
    assert np.mean(share * scattered) == pytest.approx(np.sum(w**3 * signal) / (w @ w))
    # Gaussian neurons of many inputs: Var δ ≈ 3/d1, slope a, and the variance of what is left.
    d1, n = 300, 20_000
    w, signal = rng.standard_normal((n, d1)), rng.standard_normal(d1)
    squares = np.sum(w**2, axis=1)
    a = w @ signal
    variance = np.sum(w**4, axis=1) / squares**2
    assert variance.mean() == pytest.approx(3 / d1, rel=0.02)
    covariance = (w**3 @ signal) / squares
    slope = np.sum(covariance * a) / np.sum(variance * a * a)
    assert slope == pytest.approx(1, abs=0.03)
    left = (w**2) @ signal**2 - a**2 * variance
    wanted = (squares * (signal @ signal) - a**2) / d1
    assert left.mean() == pytest.approx(wanted.mean(), rel=0.02)
