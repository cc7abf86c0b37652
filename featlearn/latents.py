"""Laws of the latents z: how they are drawn, and the moments that the theory asks them for.

The paper's z_j are independent, -1 or 1 with probability s/2 each and otherwise 0 (Wen & Li 2021,
setting). The other laws are variations (derived: featlearn/theory/derivation.md, "Other laws of the
latents").
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from .errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Law:
    """What a law of latents tells of itself; one of your own inherits this and adds `draw`.

    Here every z_j has the values -1, 1 with probability s_j/2 each, and 0.

    Attributes
    ----------
    densities : ndarray of shape (d,)
        s_j = Pr(z_j ≠ 0).
    """

    densities: np.ndarray
    name = ""

    def __post_init__(self):
        densities = np.asarray(self.densities, np.float64)
        if densities.ndim != 1 or not ((densities >= 0) & (densities <= 1)).all():
            raise InvalidInput("densities", self.densities, "d numbers ≥ 0 and ≤ 1")
        object.__setattr__(self, "densities", densities)

    @functools.cached_property
    def _limits(self):
        # One number for all features is compared in a fifth of the time.
        s = self.densities
        return s[0] if s.size and (s == s[0]).all() else s

    @property
    def n_features(self):
        """d."""
        return len(self.densities)

    @property
    def means(self):
        """E z_j, ndarray of shape (d,)."""
        return np.zeros(self.n_features)

    @property
    def variances(self):
        """E z_j² - (E z_j)², ndarray of shape (d,)."""
        return self.densities - self.means**2

    @property
    def sizes(self):
        """Values of |z_j| ≠ 0 and the probabilities of each, two arrays; nodes where it is continuous."""
        return np.ones(1), np.ones(1)

    @property
    def second_moment(self):
        """E z zᵀ, ndarray of shape (d, d)."""
        return np.diag(self.variances) + np.outer(self.means, self.means)

    @property
    def fourth_cumulants(self):
        """χ₄ of each z_j, ndarray of shape (d,): s - 3s² where it is symmetric."""
        return self.densities - 3 * self.densities**2

    def draw(self, rng, n):
        """Draw z, ndarray of shape (n, d)."""
        raise NotImplementedError

    def moment_generating(self, t):
        """Return E exp(t z_j) of each feature, t of a shape that fits (d,)."""
        return 1 + self.densities * (np.cosh(t) - 1)

    def posterior_mean(self, u, variance):
        """Return E[z_j | z_j + √v g = u], g standard normal, u of a shape that fits (d,).

        tanh(u/v) weighs the two signs, and s_j cosh(u/v) e^{-1/2v} against 1 - s_j that z_j ≠ 0.
        """
        y = np.asarray(u, np.float64) / variance
        size = np.abs(y)
        # log of cosh(y) e^{-1/2v}, so that no power of e vanishes beside another.
        logs = size + np.log1p(np.exp(-2 * size)) - math.log(2) - 0.5 / variance
        return np.tanh(y) * _present(self.densities, logs)


class Bernoulli(Law):
    """Independent z_j, the paper's law."""

    name = "bernoulli"

    def draw(self, rng, n):
        uniform, s = rng.random((n, self.n_features)), self._limits
        # 1 below s/2, -1 from there to s.
        latents = (uniform < s / 2).astype(np.float32)
        latents += latents
        latents -= uniform < s
        return latents


class KSparse(Law):
    """Exactly k features in every sample, each as likely; their signs are independent.

    Uncorrelated, but not independent: E z_j² z_l² = k(k-1)/(d(d-1)) for j ≠ l.
    """

    name = "k_sparse"

    @classmethod
    def of(cls, n_features, n_active):
        """Return the law with k = n_active."""
        return cls(np.full(n_features, n_active / n_features))

    def draw(self, rng, n):
        d = self.n_features
        k = round(float(self.densities.sum()))
        order = np.argsort(rng.random((n, d)), axis=1)[:, :k]
        latents = np.zeros((n, d), np.float32)
        signs = np.where(rng.random((n, k)) < 0.5, -1, 1)
        np.put_along_axis(latents, order, signs.astype(np.float32), axis=1)
        return latents


class OneOfD(Law):
    """One feature in every sample, j with probability s_j, Σ s_j = 1; its sign is independent."""

    name = "one_of_d"

    def draw(self, rng, n):
        chosen = np.searchsorted(np.cumsum(self.densities[:-1]), rng.random(n), side="right")
        latents = np.zeros((n, self.n_features), np.float32)
        latents[np.arange(n), chosen] = np.where(rng.random(n) < 0.5, -1, 1)
        return latents


class Binary(Law):
    """Independent z_j, 1 with probability s_j and otherwise 0: not centred, E z_j = s_j."""

    name = "binary"

    @property
    def means(self):
        return self.densities

    @property
    def fourth_cumulants(self):
        v = self.variances
        return v * (1 - 6 * v)

    def draw(self, rng, n):
        return (rng.random((n, self.n_features)) < self.densities).astype(np.float32)

    def moment_generating(self, t):
        return 1 + self.densities * np.expm1(t)

    def posterior_mean(self, u, variance):
        return _present(self.densities, (np.asarray(u, np.float64) - 0.5) / variance)


class Amplitudes(Law):
    """Independent z_j of real size: ±a with probability s_j/2 each, a uniform on [1/2, 3/2]/√(13/12); or 0.

    E a² = 1, so that E z_j² = s_j.
    """

    name = "amplitudes"
    least, most = np.array([0.5, 1.5]) / math.sqrt(13 / 12)

    @property
    def sizes(self):
        nodes, weights = np.polynomial.legendre.leggauss(64)
        return self.least + (self.most - self.least) * (nodes + 1) / 2, weights / 2

    @property
    def fourth_cumulants(self):
        # E a⁴ = (b⁵ - c⁵)/(5 (b - c)) on [c, b].
        fourth = (self.most**5 - self.least**5) / (5 * (self.most - self.least))
        return fourth * self.densities - 3 * self.densities**2

    def draw(self, rng, n):
        latents = Bernoulli.draw(self, rng, n)
        sizes = rng.random(latents.shape, np.float32)
        return latents * (sizes * np.float32(self.most - self.least) + np.float32(self.least))

    def moment_generating(self, t):
        # E cosh(t a) is a difference of sinh(t a)/t, which is a where t = 0.
        a, t = np.array([self.least, self.most]), np.asarray(t, np.float64)[..., None]
        ends = np.divide(
            np.sinh(t * a), t, out=np.broadcast_to(a, (*t.shape[:-1], 2)).copy(), where=t != 0
        )
        return 1 + self.densities * (np.diff(ends)[..., 0] / (self.most - self.least) - 1)

    def posterior_mean(self, u, variance):
        a, weights = self.sizes
        size = np.abs(np.asarray(u, np.float64))[..., None]
        logs = np.stack([-((size - a) ** 2), -((size + a) ** 2)]) / (2 * variance)
        absent = -(size[..., 0] ** 2) / (2 * variance)
        largest = np.maximum(absent, logs.max(axis=(0, -1)))
        plus, minus = np.exp(logs - largest[..., None]) * weights / 2
        empty = (1 - self.densities) * np.exp(absent - largest)
        mean = self.densities * ((plus - minus) @ a)
        return np.sign(u) * mean / (empty + self.densities * (plus + minus).sum(axis=-1))


def _present(densities, logs):
    """Pr(z_j ≠ 0 | u), `logs` the logarithm of how much more likely z_j ≠ 0 makes u."""
    absent = (1 - densities) * np.exp(np.minimum(-logs, 700))
    return densities / (densities + absent)


LAWS = {law.name: law for law in (Bernoulli, OneOfD, KSparse, Binary, Amplitudes)}


@dataclass(frozen=True, eq=False)
class Coherent(Law):
    """Latents z = C b of a dictionary M C whose atoms are not orthogonal; b as in the paper.

    Written in an orthonormal M, which spans the same: a model's own law, none that an experiment names.

    Attributes
    ----------
    mixing : ndarray of shape (d, d)
        C, columns of length 1.
    """

    mixing: np.ndarray
    name = "coherent"

    @property
    def variances(self):
        return self.mixing**2 @ self.densities

    @property
    def second_moment(self):
        return self.mixing * self.densities @ self.mixing.T

    @property
    def fourth_cumulants(self):
        return self.mixing**4 @ (self.densities - 3 * self.densities**2)

    def draw(self, rng, n):
        return Bernoulli.draw(self, rng, n) @ self.mixing.T.astype(np.float32)


def mixing_of(n_features, coherence, rng):
    """Return C of shape (d, d): columns of length 1, |⟨C_j, C_k⟩| at most `coherence` < 1, and once that."""
    normals = rng.standard_normal((n_features, n_features))

    def mixed(size):
        columns = np.eye(n_features) + size * normals
        columns /= np.linalg.norm(columns, axis=0)
        return columns, np.abs(columns.T @ columns - np.eye(n_features)).max()

    low, high = 0.0, 1e-3
    while mixed(high)[1] < coherence:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if mixed(middle)[1] < coherence else (low, middle)
    return mixed(low)[0]


def power_densities(mean, n_features, power):
    """Return s_j = mean · d j^-p / Σ_k k^-p, ndarray of shape (d,), the first feature most frequent."""
    weights = np.arange(1, n_features + 1, dtype=np.float64) ** -power
    return mean * n_features * weights / weights.sum()


def law_of(experiment):
    """Return the law of an experiment's latents."""
    e = experiment
    if e.latents == "k_sparse":
        return KSparse.of(e.n_features, e.n_active)
    densities = np.full(e.n_features, e.resolved_density)
    if e.density_power:
        densities = power_densities(e.resolved_density, e.n_features, e.density_power)
    return LAWS[e.latents](densities)


def check_data(experiment):
    """Refuse fields of an experiment's data that do not fit each other, by name."""
    e = experiment
    if e.n_active > e.n_features:
        raise InvalidInput("n_active", e.n_active, f"at most n_features = {e.n_features}")
    if e.density_power:
        if e.latents == "k_sparse":
            raise InvalidInput("density_power", e.density_power, "0 with latents = k_sparse")
        first = power_densities(e.resolved_density, e.n_features, e.density_power)[0]
        if first > 1:
            wanted = f"a power or density with s_1 ≤ 1; it is {first:.4g}"
            raise InvalidInput("density_power", e.density_power, wanted)
    if e.noise_spikes > e.n_inputs - e.n_features:
        wanted = f"at most n_inputs - n_features = {e.n_inputs - e.n_features}"
        raise InvalidInput("noise_spikes", e.noise_spikes, wanted)
    if e.n_samples is not None:
        for name in ("batch_size", "negatives"):
            if name == "negatives" and e.negatives == "in_batch":
                continue
            if getattr(e, name) > e.n_samples:
                raise InvalidInput(
                    "n_samples", e.n_samples, f"at least {name} = {getattr(e, name)}"
                )
    if e.dense == "gram":
        for name in ("noise_spikes", "noise_spread", "n_samples"):
            if getattr(e, name):
                wanted = f'{"none" if name == "n_samples" else "0"} with dense = "gram": its law'
                raise InvalidInput(
                    name, getattr(e, name), f"{wanted} is that of isotropic noise and fresh samples"
                )
    if e.batches == "paired" and (e.latents != "bernoulli" or e.density_power):
        raise InvalidInput("batches", "paired", "iid with another law of the latents")


def unusual_data(experiment):
    """Return how an experiment's data differ from the paper's, a list of "field = value"."""
    names = ("latents", "density_power", "noise_spikes", "noise_spread", "n_samples")
    usual = ("bernoulli", 0, 0, 0, None)
    found = [(name, getattr(experiment, name)) for name in names]
    return [f"{name} = {value}" for (name, value), u in zip(found, usual) if value != u]
