"""Real images as x = M z + ξ, an identity: their leading principal components, and the rest.

The dense part ξ of an image is what its first K principal components hold, at their natural strength:
smooth, low-pass, most of the energy. The next k, whitened, are the sparse part M z: M has the ICA
atoms as columns, and z are their coefficients, heavy-tailed (derived: featlearn/theory/derivation.md,
"Real images as M z + ξ").
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..compute.streams import generator
from ..data import Sample
from ..errors import InvalidInput
from ..latents import unusual_data
from ..rules import flag, integer, require, require_generator
from .fastica import fast_ica
from .patches import centre

# Fewer rows for a direction do not determine independent components.
ROWS_PER_DIRECTION = 20
# How far the strongest dense direction stands out, at least, in variance over the sparse ones. Rows of
# white noise have 1 and a little more, photographs 20 to 50.
LEAST_CONTRAST = 3.0
# Numbers whose squares and inverses single precision holds.
SIZES = 1e-15, 1e15
# Rules for K, k and the seed; a single component has none to be independent of.
N_DENSE, N_SPARSE, SEED = integer(1), integer(2), integer(0, 2**63 - 1)
# Least kurtosis of the atoms' coefficients over that of normal numbers, in units of the largest that
# normal rows show by chance: in one direction √(24/n), over all of k directions about √k times that.
# Measured on normal rows the median is 1.6 of it.
LEAST_EXCESS = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class ImageModel:
    """A set of images as samples x = M z + ξ; stands where a `SparseCodingModel` does.

    A sample is an image of the set, known by its number: `draw_latents` draws numbers instead of z,
    which is `coefficients[number]`, so that whatever makes views can ask for the image itself.

    Attributes
    ----------
    dictionary : ndarray of shape (d1, d)
        M, column-orthonormal: the ICA atoms of the sparse part.
    components : ndarray of shape (d1, K)
        Orthonormal principal components that hold the dense part; MᵀD = 0.
    coefficients : ndarray of shape (n, d)
        z of every image, of variance 1 and mean 0 over the set.
    loadings : ndarray of shape (n, K)
        ξ of every image on the components. The unit is the root mean square strength of the sparse
        directions before they were whitened.
    paired : bool
        Whether row p of `coefficients` and of `loadings` belong to one image. Otherwise an image has
        no low frequencies of its own, and each sample gets those of one drawn at random.
    filter : ndarray of shape (d1, d1) or None
        T of x = T(p - mean), which makes samples of patches p.
    mean : ndarray of shape (d1,) or None
    windows : ndarray of shape (n, S, S) or (n, d1), or None
        The images before the filter, with a margin around the part that a sample shows.
    margin : int
    converged : bool
        Whether FastICA came to rest.
    """

    dictionary: np.ndarray
    components: np.ndarray
    coefficients: np.ndarray
    loadings: np.ndarray
    paired: bool = True
    filter: np.ndarray | None = None
    mean: np.ndarray | None = None
    windows: np.ndarray | None = None
    margin: int = 0
    converged: bool = True

    # Tells training that latents are numbers of samples, and that `draw_noise` wants to know them.
    draws_numbers = True

    @classmethod
    def from_rows(cls, rows, n_dense=20, n_sparse=54, whiten=True, *, margin=0, seed=0):
        """Split rows into a dense and a sparse part, and find the atoms of the sparse one.

        Parameters
        ----------
        rows : ndarray of shape (n, d1), or (n, S, S) for square images
            Any finite numbers. A mean over the rows is removed.
        n_dense, n_sparse : int
            K and k: the leading principal components, and how many follow.
        whiten : bool
            Whether the sparse directions get variance 1 each; otherwise all are divided by their root
            mean square strength.
        margin : int
            Pixels around images (n, S, S) that samples do not show, but crops reach.
        seed : int
            Where FastICA starts.

        Returns
        -------
        ImageModel
            In float32.

        Raises
        ------
        InvalidInput
            For too few rows, rows that are not finite or all the same, too few directions, a spectrum
            without a dense part, or a rest that is normal noise.
        """
        n_dense = require("n_dense", n_dense, N_DENSE)
        n_sparse = require("n_sparse", n_sparse, N_SPARSE)
        whiten, seed = require("whiten", whiten, flag()), require("seed", seed, SEED)
        margin = require("margin", margin, integer(0))
        windows = _checked(rows, margin)
        patches = centre(windows, margin)
        n, d1 = patches.shape
        kept = n_dense + n_sparse
        if d1 < kept:
            raise InvalidInput(
                "rows", f"{d1} numbers in each", f"at least n_dense + n_sparse = {kept}"
            )
        if n < ROWS_PER_DIRECTION * kept:
            raise InvalidInput(
                "rows", f"{n} rows", f"at least {ROWS_PER_DIRECTION * kept}, {ROWS_PER_DIRECTION} for"
                f" each of the {kept} directions: independent components need that many"
            )  # fmt: skip
        mean = patches.mean(axis=0, dtype=np.float64)
        variances, directions = principal_components(patches - mean)
        _require_structure(variances, n_dense, kept)
        level = np.sqrt(variances[n_dense:kept].mean())
        scales = np.full(kept, level)
        if whiten:
            scales[n_dense:] = np.sqrt(variances[n_dense:kept])
        dense, sparse = directions[:, :n_dense], directions[:, n_dense:kept]
        rest = (patches - mean) @ (sparse / np.sqrt(variances[n_dense:kept]))
        rotation, converged = fast_ica(rest.astype(np.float32), generator(seed, "images", 0))
        _require_sparseness(rest @ rotation.T)
        atoms = sparse @ rotation.T
        linear = (directions[:, :kept] / scales) @ directions[:, :kept].T
        samples = (patches - mean) @ linear
        single = np.float32
        return cls(
            dictionary=np.asarray(atoms, single, order="F"),
            components=np.asarray(dense, single, order="F"),
            coefficients=(samples @ atoms).astype(single),
            loadings=(samples @ dense).astype(single),
            filter=linear.astype(single),
            mean=mean.astype(single),
            windows=windows.astype(single),
            margin=margin,
            converged=converged,
        )

    def __repr__(self):
        return (
            f"ImageModel({len(self.coefficients)} images, n_inputs={self.n_inputs},"
            f" n_features={self.n_features}, n_dense={self.components.shape[1]})"
        )

    @property
    def n_inputs(self):
        return self.dictionary.shape[0]

    @property
    def n_features(self):
        return self.dictionary.shape[1]

    def check_experiment(self, experiment):
        """Refuse an experiment that asks for data or labels which images do not have."""
        if asked := unusual_data(experiment):
            wanted = "none of it beside a model of images, which are the data"
            raise InvalidInput("experiment", ", ".join(asked), wanted)
        if experiment.objective == "supervised":
            wanted = "an objective without labels: images have no latents in {-1, 0, 1} to tell"
            raise InvalidInput("objective", "supervised", wanted)

    @property
    def density(self):
        """E[z_j²], the mean over the atoms; 1 where they are whitened."""
        return float(np.mean(np.square(self.coefficients, dtype=np.float64)))

    @property
    def noise_variance(self):
        """E‖ξ‖²/d1, which a model with isotropic noise of the same energy would have."""
        return float(np.trace(self.dense_covariance)) / self.n_inputs

    @cached_property
    def kurtosis(self):
        """E[z_j⁴]/E[z_j²]², the median over the atoms; normal numbers have 3."""
        z = np.asarray(self.coefficients, np.float64)
        return float(np.median(np.mean(z**4, axis=0) / np.mean(z**2, axis=0) ** 2))

    @cached_property
    def sparse_covariance(self):
        """E[z zᵀ], ndarray of shape (d, d)."""
        return _second_moment(self.coefficients)

    @cached_property
    def dense_covariance(self):
        """E[ξ ξᵀ] on the components, ndarray of shape (K, K)."""
        return _second_moment(self.loadings)

    def sample(self, rng, n):
        """Draw n images, as a `Sample` whose latents are z of shape (n, d)."""
        numbers = self.draw_latents(rng, n)
        return Sample(
            self.coefficients[numbers], self.signal(numbers), self.draw_noise(rng, n, None, numbers)
        )

    def draw_latents(self, rng, n):
        """Draw the numbers of n images, each once for as long as there are as many."""
        require_generator(rng)
        return rng.choice(
            len(self.coefficients), n, replace=n > len(self.coefficients), shuffle=False
        )

    def draw_noise(self, rng, n, out=None, latents=None):
        """Return dense parts ξ of shape (n, d1): of given images, or without of n drawn at random.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int
        out : ndarray of shape (n, d1), optional
        latents : ndarray of int, shape (n,), optional
            Numbers of images.
        """
        if out is not None:
            n = len(out)
        if latents is None or not self.paired:
            latents = rng.integers(len(self.loadings), size=n)
        return np.matmul(self.loadings[latents], self.components.T, out=out)

    def signal(self, latents, out=None):
        """Return the sparse parts M z of shape (n, d1) of images known by their numbers."""
        return np.matmul(self.coefficients[latents], self.dictionary.T, out=out)

    def filtered(self, patches):
        """Return samples x = T(p - mean) of patches p, both of shape (n, d1)."""
        return (patches - self.mean) @ self.filter


def _checked(rows, margin):
    """The rows as a float array of shape (n, d1) or (n, S, S)."""
    rows = np.asarray(rows)
    if rows.dtype.kind not in "fiub" or rows.ndim not in (2, 3) or 0 in rows.shape:
        raise InvalidInput("rows", f"an array of shape {rows.shape} and type {rows.dtype}",
                           "numbers of shape (n, d1) or (n, S, S)")  # fmt: skip
    if rows.ndim == 3 and rows.shape[1] != rows.shape[2]:
        raise InvalidInput("rows", f"shape {rows.shape}", "square images, or rows of shape (n, d1)")
    if margin and (rows.ndim != 3 or min(rows.shape[1:]) <= 2 * margin):
        raise InvalidInput("margin", margin, "0, or images (n, S, S) with S > 2 margin")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows)).reshape(len(rows), -1).any(axis=1).sum())
        raise InvalidInput("rows", f"{bad} rows with nan or infinite numbers", "finite numbers")
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float32)
    largest = float(np.abs(rows).max())
    if largest and not SIZES[0] <= largest <= SIZES[1]:
        low, high = (f"{size:g}" for size in SIZES)
        raise InvalidInput("rows", f"numbers of up to {largest:.2g}", f"{low} to {high} in size")
    return rows


def require_images(model):
    """Refuse a model that is none of images; None stands for an experiment's own."""
    if not hasattr(model, "components"):
        found = "the experiment's own" if model is None else type(model).__name__
        raise InvalidInput("model", found, "one of images, as ImageModel.from_rows makes it")


def principal_components(centred):
    """Return variances (d1,), falling, and directions (d1, d1) as columns of rows (n, d1) of mean 0."""
    variances, directions = np.linalg.eigh(_second_moment(centred))
    return np.maximum(variances[::-1], 0), directions[:, ::-1]


def _second_moment(rows):
    rows = np.asarray(rows, np.float64)
    return rows.T @ rows / len(rows)


def _require_structure(variances, n_dense, kept):
    """Refuse a spectrum that has no sparse part, or no dense one."""
    if variances[0] == 0:
        raise InvalidInput("rows", "the same row again and again", "rows that differ")
    rank = int(np.sum(variances > 1e-10 * variances[0]))
    if rank < kept:
        raise InvalidInput(
            "rows", f"{rank} directions with any variance", f"n_dense + n_sparse = {kept} of them"
        )
    contrast = variances[0] / variances[n_dense:kept].mean()
    if contrast < LEAST_CONTRAST:
        raise InvalidInput(
            "rows", "a flat spectrum", f"a strongest direction with at least {LEAST_CONTRAST:g} times"
            f" the variance of the sparse ones, not {contrast:.2g} times: nothing here is dense"
        )  # fmt: skip


def _require_sparseness(z):
    """Refuse white coefficients (n, k) that are normal: every rotation of them is as good as ICA's."""
    n, k = z.shape
    kurtosis = float(np.median(np.mean(z**4, axis=0)))
    least = 3 + LEAST_EXCESS * np.sqrt(24 * k / n)
    if kurtosis < least:
        raise InvalidInput(
            "rows", f"independent components of kurtosis {kurtosis:.3g}",
            f"at least {least:.3g} from {n} rows, normal noise has 3: nothing here is sparse"
        )  # fmt: skip
