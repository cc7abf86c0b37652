"""The plateau of the linear phase with the softmax as it is, instead of its leading order.

Along a left singular direction of W an anchor's feature, over √τ, is u = √a y + √e ζ with
y = z + √n₁ g and ζ ~ N(0, n₁), and a key's is the same with n₂. Weighting keys by exp(u u') tilts
their law: their mean moves from 0 to

    G(u) = √a T(√a u) + n₂ e u,      T(θ) = n₂ θ + s sinh θ/(1 - s + s cosh θ),

and attraction minus repulsion along the direction is the residual r = key - G(u). Its three moments
fix the plateau:

    E[r y]/√a = λ,      2 e (λ - E[r ζ]/√e) = (η/B) n₁ (d1-d) E[r²].

A finite batch has B keys instead of their law; its moments are measured on drawn batches.
"""

import math

import numpy as np
from scipy.optimize import root

from ..loss import contrast
from ..streams import generator
from ..training import make_model
from ..views import make_augmentation
from .plateau import negatives_factor, plateau, plateau_at, view_noise

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_DRAWS = 300_000
_ROUNDS = 12


def softmax_plateau(experiment, finite_batch=True):
    """Return the plateau of the linear phase with the true softmax.

    Parameters
    ----------
    experiment : Experiment
        As for `plateau`.
    finite_batch : bool
        Measure the residual's moments on batches of the experiment's own size and dictionary, drawn
        from its stream "theory"; takes about a second. Without it the number of keys is infinite
        and the result immediate.

    Returns
    -------
    Plateau

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase". Every left singular
    direction is taken to hold the same a and e.
    """
    leading = plateau(experiment)
    if leading.sparse == 0:
        return leading
    views, factor = view_noise(experiment), negatives_factor(experiment)
    batches = _draw_coordinates(experiment) if finite_batch else None
    correction, solution = np.zeros(3), (leading.sparse, leading.dense)
    solution = _balance(experiment, views, correction, solution)
    for _ in range(_ROUNDS if finite_batch else 0):
        previous = solution
        limit = residual_moments(*solution, views, factor)
        correction = _batch_moments(batches, *solution) - limit
        solution = _balance(experiment, views, correction, solution)
        if abs(solution[0] / previous[0] - 1) < 1e-3:
            break
    return plateau_at(experiment, *solution)


def tilted_key(u, sparse, dense, views):
    """Return G(u), the mean feature of the keys under the weight exp(u u').

    Parameters
    ----------
    u : ndarray
        Anchors' features along a left singular direction, over √τ.
    sparse, dense : float
        a and e.
    views : ViewNoise
    """
    s, theta = views.density, math.sqrt(sparse) * u
    tilted = s * np.sinh(theta) / (1 - s + s * np.cosh(theta))
    return math.sqrt(sparse) * (views.key * theta + tilted) + views.key * dense * u


def residual_moments(sparse, dense, views, factor):
    """Return E[r y]/√a, E[r ζ]/√e and E[r²] for infinitely many keys.

    Parameters
    ----------
    sparse, dense : float
        a > 0 and e ≥ 0.
    views : ViewNoise
    factor : float
        q.

    Returns
    -------
    ndarray of shape (3,)
    """
    s, root_a = views.density, math.sqrt(sparse)
    spread = math.sqrt(views.anchor * (sparse + dense))
    # u given z is N(√a z, n₁(a+e)), and -z mirrors z. The Gaussian parts of y and ζ enter through
    # E[g G(… + g)] = Var(g) E[G'], and so does the part of the key's noise that it shares with u.
    u = root_a * np.array([[0.0], [1.0]]) + spread * _NODES
    law = np.array([[1 - s], [s]]) * _WEIGHTS
    g = tilted_key(u, sparse, dense, views)
    slope = np.sum(law * g * _NODES) / spread if spread > 0 else 0.0
    with_signal = np.sum(law[1] * g[1])
    along_sparse = s + views.shared - with_signal / root_a - views.anchor * slope
    along_dense = views.shared - views.anchor * slope
    with_key = root_a * with_signal + views.shared * (sparse + dense) * slope
    variance = (s + views.key) * sparse + views.key * dense
    power = variance - 2 * with_key + np.sum(law * g**2)
    return np.array([factor * along_sparse, factor * along_dense, factor**2 * power])


def _balance(experiment, views, correction, start):
    """Return (a, e) where the corrected moments balance decay and sampling noise."""
    decay, factor = experiment.weight_decay, negatives_factor(experiment)
    noise = experiment.learning_rate / experiment.batch_size * views.anchor
    noise *= experiment.n_inputs - experiment.n_features
    has_dense = start[1] > 0

    def imbalance(logarithms):
        sparse = np.exp(logarithms[0])
        dense = np.exp(logarithms[1]) if has_dense else 0.0
        moments = residual_moments(sparse, dense, views, factor) + correction
        along = (moments[0] - decay) / views.density
        if not has_dense:
            return [along]
        return [along, 2 * dense * (decay - moments[1]) / noise - moments[2]]

    guess = np.log(start if has_dense else start[:1])
    found = root(imbalance, guess)
    if not found.success:
        return start
    return float(np.exp(found.x[0])), float(np.exp(found.x[1])) if has_dense else 0.0


def _draw_coordinates(experiment):
    """Draw batches and return, for each, (y, ζ) of its anchors, its keys and its negatives.

    ζ are the coordinates along as many random directions orthogonal to the dictionary.
    """
    model = make_model(experiment)
    dictionary = model.dictionary.astype(np.float64)
    d1, d = dictionary.shape
    rng = generator(experiment.seed, "theory")
    others = rng.standard_normal((d1, d))
    others -= dictionary @ (dictionary.T @ others)
    lengths = np.linalg.norm(others, axis=0)
    others = others / np.where(lengths > 1e-6, lengths, 1.0) if d1 > d else 0 * others
    basis = np.concatenate([dictionary, others], axis=1).astype(dictionary.dtype)
    augmentation = make_augmentation(
        experiment.augmentation, experiment.keep_probability, experiment.noise_correlation
    )
    in_batch = experiment.negatives == "in_batch"

    def coordinates(n):
        views = augmentation.pair(rng, model.sample(rng, n), model)
        return [np.split(view @ basis, 2, axis=1) for view in (views.anchors, views.keys)]

    n_batches = max(4, -(-_DRAWS // (experiment.batch_size * d)))
    batches = []
    for _ in range(n_batches):
        anchors, keys = coordinates(experiment.batch_size)
        negatives = None if in_batch else coordinates(experiment.negatives)[1]
        batches.append((anchors, keys, negatives))
    return batches


def _batch_moments(batches, sparse, dense):
    """Return the moments of `residual_moments` over drawn batches."""
    root_a, root_e = math.sqrt(sparse), math.sqrt(dense)

    def feature(coordinates):
        return root_a * coordinates[0] + root_e * coordinates[1]

    total = np.zeros(3)
    for anchors, keys, negatives in batches:
        u, key = feature(anchors), feature(keys)
        others = None if negatives is None else feature(negatives)
        result = contrast(u, key, 1.0, others)
        residual = result.attraction[:, None] * key
        residual -= result.repulsion @ (key if others is None else others)
        along_dense = np.mean(residual * anchors[1]) / root_e if dense > 0 else 0.0
        total += [np.mean(residual * anchors[0]) / root_a, along_dense, np.mean(residual**2)]
    return total / len(batches)
