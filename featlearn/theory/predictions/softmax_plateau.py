"""The plateau of the linear phase with the softmax as it is, instead of its leading order.

Along a left singular direction of W an anchor's feature, over √τ, is u = √a y + √e ζ. Three moments
of the residual r, attraction minus repulsion along it (see `residual`), fix the plateau:

    E[r y]/√a = λ,      2 e (λ - E[r ζ]/√e) = (η/B) n₁ (d1-d) E[r²].

Without stop-gradient the keys have a residual too, with the views exchanged, and each of the three is a
sum over both. A finite batch has B keys instead of their law; its moments are measured on drawn batches.
"""

import dataclasses
import math

import numpy as np
from scipy.optimize import root

from ...compute.streams import generator
from ...gram_views import view_law
from ...objectives import OBJECTIVES
from ...state import make_model
from .moments import scatter_of_negatives, view_moments
from .plateau import plateau, plateau_at
from .residual import negative_mass_of, residual_moments

_DRAWS = 300_000
# Samples of small batches that are drawn and compared at once.
_AT_ONCE = 128
_ROUNDS = 12
# Logarithms of a and e beyond which no balance is looked for.
_FARTHEST = 30.0


def softmax_plateau(experiment, finite_batch=True):
    """Return the plateau of the linear phase with the true softmax.

    Parameters
    ----------
    experiment : Experiment
        As for `plateau`.
    finite_batch : bool
        Measure the residual's moments on batches of the experiment's own size and dictionary, drawn
        from its stream "theory"; takes about a second. Without it negatives are as many as their
        law has, and the result is immediate.

    Returns
    -------
    Plateau

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase". Every left singular
    direction is taken to hold the same a and e. Without a softmax the leading order is all there is.
    """
    leading = plateau(experiment)
    if leading.sparse == 0 or not OBJECTIVES[experiment.objective].has_softmax:
        return leading
    batches = _draw_coordinates(experiment) if finite_batch else None
    limit = _limit_moments(experiment)
    correction, solution = np.zeros(3), (leading.sparse, leading.dense)
    solution = _balance(experiment, limit, correction, solution)
    for _ in range(_ROUNDS if finite_batch else 0):
        previous = solution
        correction = _batch_moments(experiment, batches, *solution) - limit(*solution)
        solution = _balance(experiment, limit, correction, solution)
        if abs(solution[0] / previous[0] - 1) < 1e-3:
            break
    return plateau_at(experiment, *solution)


def _limit_moments(experiment):
    """Return a function of (a, e): the moments of r, with the law of the keys for the keys.

    They are E[r y]/√a, E[r ζ]/√e and n₁ E[r²], with what the mean of the negatives adds, summed over the
    arguments of the similarity that the gradient passes through.
    """
    views, negative_mass = view_moments(experiment), negative_mass_of(experiment)
    arguments, few = [views], scatter_of_negatives(experiment)
    if not experiment.stop_gradient:
        arguments.append(dataclasses.replace(views, anchor=views.key, key=views.anchor))

    def moments(a, e):
        mass = negative_mass(a, e)
        each = [residual_moments(a, e, view, mass) for view in arguments]
        powers = [few * view.anchor.dense * r.power for view, r in zip(arguments, each)]
        return np.array([sum(r.sparse for r in each), sum(r.dense for r in each), sum(powers)])

    return moments


def _balance(experiment, limit, correction, start):
    """Return (a, e) where the corrected moments balance decay and sampling noise."""
    decay, views = experiment.weight_decay, view_moments(experiment)
    extra = experiment.noise_directions
    noise = experiment.learning_rate / experiment.batch_size * extra
    has_dense = start[1] > 0 and extra > 0

    def imbalance(logarithms):
        sparse, *dense = np.exp(np.clip(logarithms, -_FARTHEST, _FARTHEST))
        dense = dense[0] if has_dense else 0.0
        moments = limit(sparse, dense) + correction
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
    """Draw batches, some at once; return for these (y, ζ) of anchors, of keys and of negatives, (G, n, d) each.

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
    augmentation = view_law(experiment)
    in_batch = experiment.negatives == "in_batch"

    def coordinates(n):
        views = augmentation.pair(rng, model.sample(rng, at_once * n), model)
        found = [(view @ basis).reshape(at_once, n, 2 * d) for view in (views.anchors, views.keys)]
        return [np.split(each, 2, axis=-1) for each in found]

    # Groups of negatives are batches of their own.
    size = experiment.group_size if in_batch else experiment.batch_size
    at_once = max(1, _AT_ONCE // max(size, 1 if in_batch else experiment.negatives))
    batches = []
    for _ in range(max(4, -(-_DRAWS // (at_once * size * d)))):
        anchors, keys = coordinates(size)
        negatives = None if in_batch else coordinates(experiment.negatives)[1]
        batches.append((anchors, keys, negatives))
    return batches


def _batch_moments(experiment, batches, sparse, dense):
    """Return the moments of the residual over drawn batches; see `_limit_moments`."""
    root_a, root_e = math.sqrt(sparse), math.sqrt(dense)
    views, contrast = view_moments(experiment), OBJECTIVES[experiment.objective].contrast

    def feature(coordinates):
        return root_a * coordinates[0] + root_e * coordinates[1]

    total = np.zeros(3)
    for anchors, keys, negatives in batches:
        u, key = feature(anchors), feature(keys)
        others = key if negatives is None else feature(negatives)
        result = contrast(u, key, 1.0, None if negatives is None else others)
        strength = result.attraction[..., None]
        r = strength * key - result.repulsion @ others
        terms = [(r, anchors, views.anchor.dense)]
        power = 0.0
        if not experiment.stop_gradient:
            pushed = result.repulsion.swapaxes(-2, -1) @ u
            own = strength * u - (pushed if negatives is None else 0)
            terms.append((own, keys, views.key.dense))
            power += 2 * views.cross.dense * np.mean(r * own)
            if negatives is not None:
                terms.append((-pushed, negatives, views.key.dense))
        for residual, _, noise in terms:
            power += noise * np.sum(residual**2) / r.size
        along_sparse = sum(np.sum(residual * inputs[0]) for residual, inputs, _ in terms)
        along_dense = sum(np.sum(residual * inputs[1]) for residual, inputs, _ in terms)
        along_dense = along_dense / r.size / root_e if dense > 0 else 0.0
        total += [along_sparse / r.size / root_a, along_dense, power]
    return total / len(batches)
