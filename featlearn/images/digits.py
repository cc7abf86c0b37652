"""Handwritten digits in front of photographs' low frequencies: what features are worth with labels.

The strokes of a digit, whitened, are the sparse part; the dense part is the low frequencies of a
photograph drawn at random. So labels depend on the sparse part only, as they do in the paper: this is
by construction, and not found.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom

from ..compute.streams import generator
from ..network import features
from ..probing import ridge_path
from .fastica import fast_ica
from .model import ImageModel, principal_components
from .sources import SIDE

N_TRAIN, N_SPARSE = 1200, 40
LABELS = (50, 100, 200, 400, 1200)
# Of the labelled samples, for cross-validation.
N_PARTS = 5


@dataclass(frozen=True)
class Digits:
    """Digits with labels, split into a training and a test set.

    Attributes
    ----------
    model : ImageModel
        Of the training digits; their low frequencies are those of photographs, not paired with them.
    signal : ndarray of shape (N, d1)
        The sparse part of every digit, training digits first.
    labels : ndarray of int, shape (N,)
    """

    model: ImageModel
    signal: np.ndarray
    labels: np.ndarray

    def inputs(self, rng):
        """Return every digit in front of the low frequencies of a photograph drawn at random."""
        return self.signal + self.model.draw_noise(rng, len(self.signal))


def digits(light, seed=0):
    """Make the labelled digits of scikit-learn, in front of the low frequencies of a photograph model.

    Parameters
    ----------
    light : ImageModel
        Of patches of 12 × 12 pixels.
    seed : int

    Returns
    -------
    Digits

    Notes
    -----
    Digits are enlarged to 12 × 12 pixels, projected off the dense components of the photographs, and
    whitened on their 40 leading principal components; all of that is fitted on training digits only.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = generator(seed, "images", 3).permutation(len(pixels))
    small = pixels[order].reshape(-1, 8, 8) / 16
    large = zoom(small, (1, SIDE / 8, SIDE / 8), order=1).reshape(len(small), -1)
    D = np.asarray(light.components, np.float64)
    strokes = large - large[:N_TRAIN].mean(axis=0)
    strokes -= (strokes @ D) @ D.T
    mean = strokes[:N_TRAIN].mean(axis=0)
    variances, directions = principal_components(strokes[:N_TRAIN] - mean)
    basis = directions[:, :N_SPARSE]
    white = (strokes - mean) @ (basis / np.sqrt(variances[:N_SPARSE]))
    rotation, _ = fast_ica(white[:N_TRAIN].astype(np.float32), generator(seed, "images", 4))
    coefficients = (white @ rotation.T).astype(np.float32)
    model = ImageModel(
        dictionary=np.asarray(basis @ rotation.T, np.float32, order="F"),
        components=light.components,
        coefficients=coefficients[:N_TRAIN],
        loadings=light.loadings,
        paired=False,
    )
    return Digits(model, coefficients @ model.dictionary.T, labels[order])


def label_curve(data, represent, seed=0, labels=LABELS, n_draws=8):
    """Return the test accuracy of a linear head by the number of labels it was fitted on.

    Parameters
    ----------
    data : Digits
    represent : callable
        From inputs (n, d1) to what the head sees (n, m).
    seed : int
    labels : sequence of int
        At most the number of training digits.
    n_draws : int
        Draws of the labelled digits and of all low frequencies.

    Returns
    -------
    dict of int to float
        Mean over the draws.
    """
    curve = {}
    for n in labels:
        found = []
        for draw in range(n_draws):
            rng = generator(seed, "images", 5, n, draw)
            seen = np.asarray(represent(data.inputs(rng)), np.float64)
            chosen = rng.permutation(N_TRAIN)[:n]
            found.append(
                accuracy(seen[chosen], data.labels[chosen], seen[N_TRAIN:], data.labels[N_TRAIN:])
            )
        curve[n] = float(np.mean(found))
    return curve


def network_of(run):
    """Return the representation of a run's last weights, for `label_curve`."""
    return lambda inputs: features(run.weights, run.biases, inputs.astype(run.weights.dtype))


def accuracy(
    x: np.ndarray, labels: np.ndarray, x_test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Fit ridge heads, one a class against all others, and return their accuracy on a test set.

    The ridge is chosen by cross-validation on the labelled samples, in five parts.
    """
    part = np.arange(len(x)) % N_PARTS
    right = sum(
        np.sum(
            _predicted(x[part != k], labels[part != k], x[part == k]) == labels[part == k], axis=1
        )
        for k in range(N_PARTS)
    )
    return float(np.mean(_predicted(x, labels, x_test)[right.argmax()] == test_labels))


def _predicted(x, labels, others):
    """Classes of other samples by heads with every ridge, ndarray of shape (n_ridges, n)."""
    mean = x.mean(axis=0)
    scale = np.sqrt(np.mean((x - mean) ** 2)) or 1.0
    wanted = np.eye(10)[labels]
    path = ridge_path((x - mean) / scale, wanted - wanted.mean(axis=0))
    seen = (others - mean) / scale
    return np.array([(seen @ w + wanted.mean(axis=0)).argmax(axis=1) for w in path])
