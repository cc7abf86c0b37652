"""The sparse-coding data model x = M z + ξ."""

import math
from dataclasses import dataclass

import numpy as np

from .compute.gaussian import fill_normal
from .compute.workspace import few_rows
from .display import one_line
from .errors import InvalidInput
from .latents import Bernoulli, Law
from .rules import integer, number, require, require_generator

# From so many numbers in M on, and up to this density, z Mᵀ takes less time as a sparse product.
SPARSE_SIZE, SPARSE_DENSITY = 1 << 17, 0.1


@dataclass(frozen=True, eq=False)
class Sample:
    """n inputs as what they are made of, x = M z + ξ.

    Attributes
    ----------
    latents : ndarray of shape (n, d)
        z, entries in {-1, 0, 1} or what else their law has.
    signal : ndarray of shape (n, d1)
        M z, the sparse features.
    noise : ndarray of shape (n, d1)
        ξ, the dense features.
    masks : tuple of ndarray of bool, shape (n, d1)
        Those that made its views, where it has been masked.
    """

    __repr__ = one_line

    latents: np.ndarray
    signal: np.ndarray | None
    noise: np.ndarray | None
    masks: tuple = ()

    @property
    def inputs(self) -> np.ndarray:
        """x = M z + ξ, ndarray of shape (n, d1)."""
        return self.signal + self.noise


def make_dictionary(
    kind: str, n_inputs: int, n_features: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a column-orthonormal dictionary M, MᵀM = I.

    Parameters
    ----------
    kind : {"orthonormal", "flat", "identity"}
        "orthonormal": the first d columns of a Haar-random orthogonal matrix.
        "flat": cosine columns with random signs, ‖M_j‖_∞ ≤ √2/√d1, chosen in pairs k, d1-k whose
        squares add up to a constant, so that diag(M Mᵀ) = d/d1 exactly.
        "identity": the first d columns of the identity.
    n_inputs, n_features : int
        d1 and d, 1 ≤ d ≤ d1.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (d1, d), float64

    Notes
    -----
    Wen & Li 2021, setting: M is column-orthonormal with ‖M_j‖_∞ = Õ(1/√d1). A Haar-random matrix
    has that up to a logarithm, a flat one up to a constant.

    Examples
    --------
    >>> import numpy as np
    >>> M = featlearn.make_dictionary("flat", 64, 8, np.random.default_rng(0))
    >>> bool(np.allclose(M.T @ M, np.eye(8)))
    True
    """
    require_generator(rng)
    n_inputs = require("n_inputs", n_inputs, integer(1))
    n_features = require("n_features", n_features, integer(1))
    if n_features > n_inputs:
        raise InvalidInput("n_features", n_features, f"at most n_inputs = {n_inputs}")
    if kind == "identity":
        return np.eye(n_inputs, n_features)
    if kind == "orthonormal":
        q, r = np.linalg.qr(rng.standard_normal((n_inputs, n_features)))
        return q * np.where(np.diag(r) < 0, -1.0, 1.0)
    if kind == "flat":
        return _flat_dictionary(n_inputs, n_features, rng)
    raise InvalidInput("dictionary", kind, 'one of "orthonormal", "flat", "identity"')


def _flat_dictionary(n_inputs, n_features, rng):
    # Columns of the orthonormal DCT-II. The squares of columns k and d1-k sum to 2/d1 in every row,
    # and columns 0 and d1/2 are flat by themselves.
    pairs = rng.permutation(np.arange(1, (n_inputs + 1) // 2))[: n_features // 2]
    columns = np.concatenate([pairs, n_inputs - pairs])
    single = [0] + ([n_inputs // 2] if n_inputs % 2 == 0 else [])
    columns = np.concatenate([columns, single[: n_features - len(columns)]])
    columns = rng.permutation(columns)
    rows = np.arange(n_inputs)
    scale = np.where(columns == 0, np.sqrt(1 / n_inputs), np.sqrt(2 / n_inputs))
    cosines = scale * np.cos(np.pi * np.outer(2 * rows + 1, columns) / (2 * n_inputs))
    signs = rng.choice([-1.0, 1.0], size=(n_inputs, 1))
    return signs * cosines


def require_orthonormal(matrix):
    """Refuse a dictionary whose columns are not orthonormal, up to the rounding of float32."""
    plain = isinstance(matrix, np.ndarray) and not np.ma.is_masked(matrix)
    if not plain or matrix.dtype not in (np.float32, np.float64):
        found = str(getattr(matrix, "dtype", type(matrix).__name__))
        found = f"masked {found}" if np.ma.is_masked(matrix) else found
        raise InvalidInput("dictionary", found, "an ndarray of float32 or float64")
    if matrix.ndim != 2 or not matrix.shape[0] >= matrix.shape[1] >= 1:
        raise InvalidInput("dictionary", f"shape {matrix.shape}", "a (d1, d) matrix, 1 ≤ d ≤ d1")
    # Normals v with MᵀM v ≠ v tell, at the cost of a product with a few vectors.
    v = np.random.default_rng(0).standard_normal((matrix.shape[1], 4))
    error = np.abs(matrix.T @ (matrix @ v) - v).max()
    if not error <= 1e-3:
        wanted = f"orthonormal columns: ‖MᵀMv - v‖ is {error:.2g} for a v of normals"
        raise InvalidInput("dictionary", f"shape {matrix.shape}", wanted)


def make_spikes(dictionary, n_spikes, variance, rng):
    """Return directions of extra variance in the noise, orthogonal to M and to each other.

    Parameters
    ----------
    dictionary : ndarray of shape (d1, d)
    n_spikes : int
        r ≤ d1 - d.
    variance : float
        Of ⟨v_k/‖v_k‖, ξ⟩, beside σ².
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (d1, r), float32
    """
    normals = rng.standard_normal((len(dictionary), n_spikes))
    normals -= dictionary @ (dictionary.T @ normals)
    directions, _ = np.linalg.qr(normals)
    return (math.sqrt(variance) * directions).astype(np.float32)


@dataclass(frozen=True, repr=False)
class SparseCodingModel:
    """The distribution of x = M z + ξ (Wen & Li 2021, setting).

    The z_j are independent and symmetric in {-1, 0, 1} with Pr(z_j ≠ 0) = s, or of another law;
    ξ ~ c N(0, σ² I + Σ_k v_k v_kᵀ), with a scale c of each sample, E c² = 1.

    Attributes
    ----------
    dictionary : ndarray of shape (d1, d)
        M, column-orthonormal.
    density : float in [0, 1]
        s.
    noise_variance : float ≥ 0
        σ² per coordinate.
    law : Law, optional
        Of the latents; `featlearn.latents.Bernoulli` without. Their mean density is s.
    spikes : ndarray of shape (d1, r) or None
        Columns v_k, directions of extra variance ‖v_k‖² in the noise.
    data : Sample or None
        A fixed data set, of which batches are made; fresh samples without.
    noise_spread : float ≥ 0
        Standard deviation of ln c, which is normal; 0 is c = 1.

    Raises
    ------
    InvalidInput
        If the columns of M are not orthonormal, a number is out of range, or spikes have another
        length.
    """

    dictionary: np.ndarray
    density: float
    noise_variance: float
    law: Law | None = None
    spikes: np.ndarray | None = None
    data: Sample | None = None
    noise_spread: float = 0.0

    def __post_init__(self):
        require("density", self.density, number(0, 1))
        require("noise_variance", self.noise_variance, number(0))
        require("noise_spread", self.noise_spread, number(0))
        require_orthonormal(self.dictionary)
        if self.spikes is not None:
            found = np.shape(self.spikes)
            if len(found) != 2 or found[0] != self.n_inputs:
                raise InvalidInput("spikes", f"shape {found}", f"({self.n_inputs}, r)")
        if self.law is None:
            law = Bernoulli(np.full(self.n_features, self.density))
            object.__setattr__(self, "law", law)
        if self._composes_sparsely:
            # For the processes that a run forks; smaller models start without it.
            import scipy.sparse  # noqa: F401

    def __repr__(self):
        return (
            f"{type(self).__name__}(d1={self.n_inputs}, d={self.n_features},"
            f" density={self.density:.4g}, noise_variance={self.noise_variance:.4g})"
        )

    def check_experiment(self, experiment: object) -> None:
        """Refuse data that an experiment asks for beside this model, and that it does not have."""
        found = {
            "latents": ("bernoulli", self.law.name),
            "noise_spikes": (0, 0 if self.spikes is None else self.spikes.shape[1]),
            "noise_spread": (0, self.noise_spread),
            "n_samples": (None, self.data and len(self.data.latents)),
        }
        for name, (usual, value) in found.items():
            if getattr(experiment, name) not in (usual, value):
                raise InvalidInput(name, getattr(experiment, name), f"{value}, that of the model")

    @property
    def n_inputs(self) -> int:
        return self.dictionary.shape[0]

    @property
    def n_features(self) -> int:
        return self.dictionary.shape[1]

    @property
    def _composes_sparsely(self):
        return self.dictionary.size >= SPARSE_SIZE and self.density <= SPARSE_DENSITY

    def sample(self, rng: np.random.Generator, n: int) -> Sample:
        """Draw n samples: first their latents, then their noise.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int

        Returns
        -------
        Sample
        """
        n = require("n", n, integer(0))
        latents = self.draw_latents(rng, n)
        return Sample(latents, self.signal(latents), self.draw_noise(rng, n))

    def draw_latents(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw z of shape (n, d) from the law: by default -1, 1 with probability s/2 each, or 0."""
        require_generator(rng)
        return self.law.draw(rng, n).astype(self.dictionary.dtype, copy=False)

    def draw_noise(
        self, rng: np.random.Generator, n: int, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw ξ of shape (n, d1), into `out` where given.

        The normals are drawn in float32 whatever the dtype, so that float32 and float64 runs of one
        seed see the same samples.
        """
        require_generator(rng)
        if out is None:
            n = require("n", n, integer(0))
            out = np.empty((n, self.n_inputs), self.dictionary.dtype)
        noise = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
        fill_normal(rng, noise, math.sqrt(self.noise_variance))
        if self.spikes is not None:
            noise += rng.standard_normal((n, self.spikes.shape[1]), np.float32) @ self.spikes.T
        if self.noise_spread:
            # E c² = 1 for ln c of mean -spread².
            logs = self.noise_spread * (rng.standard_normal((n, 1)) - self.noise_spread)
            noise *= np.exp(logs).astype(np.float32)
        if noise is not out:
            out[...] = noise
        return out

    def signal(self, latents: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return M z of shape (n, d1) for latents of shape (n, d), in `out` where given."""
        atoms = self.dictionary.T
        if not self._composes_sparsely:
            return np.matmul(latents, atoms, out=out)
        from scipy.sparse import csr_array

        if out is None:
            out = np.empty((len(latents), self.n_inputs), latents.dtype)
        # The product needs memory of its own.
        for some in few_rows(out, SPARSE_SIZE):
            z = latents[some]
            row, feature = np.nonzero(z != 0)
            ends = np.searchsorted(row, np.arange(len(z) + 1))
            out[some] = csr_array((z[row, feature], feature, ends), z.shape) @ atoms
        return out
