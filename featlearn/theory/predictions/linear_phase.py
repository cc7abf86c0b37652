"""The linear phase, b = 0, from its start to the plateau, with the softmax's back-reaction.

The neurons span m directions, of which the sparse signal fills d. A filled direction has a sparse
part a and a dense part e, each of the others a dense part e' (squared norms over τ). With the
residual r of `residual`,

    growth of ln a in a step = 2 ln(1 + η(E[r y]/√a - λ)),      of ln e alike with E[r ζ]/√e,

plus sampling noise. The squared singular values of W M are not all alike: they have a relative
variance ω, and the larger ones grow more slowly.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from .moments import Split, scatter_of_negatives, uniform_attraction, view_moments
from .residual import negative_mass_of, residual_moments
from .stage_one import initial_split, sampling_noise

# Change of a part, relative to it, up to which its rates of growth are taken as they were.
STEADY = 1e-3
# Squared weights over τ that nothing holds back any more; their powers are still numbers.
FREE = 1e60
# Spread from which a slope is measured.
_FINITE = 0.01
# What is divided by, at least.
_LEAST = 1e-300


class Weights(NamedTuple):
    """The weights of a linear network in three numbers.

    Attributes
    ----------
    sparse, dense : float
        Σ_i ‖α_i‖² and Σ_i ‖β_i‖².
    spread : float
        ω, the variance of the non-zero squared singular values of W M, relative to their mean².
    drift : float
        Rate at which the α grew in the last step, decay aside, over that without similarities.
    uneven : float
        Variance over the atoms of δ_j, where e^δ_j multiplies all α_ij of atom j. Below 0, down to -1/(2m), where
        repulsion has made the atoms more alike than m draws are.
    """

    sparse: float
    dense: float
    spread: float
    drift: float = 1.0
    uneven: float = 0.0

    @property
    def sparse_share(self):
        """Σ‖α_i‖²/Σ‖w_i‖², 0 where there is nothing."""
        total = self.sparse + self.dense
        return self.sparse / total if total > 0 else 0.0


def initial_weights(experiment):
    """Return the expected `Weights` of an experiment at initialisation.

    For Gaussian entries r tr(G²)/(tr G)² = r (m + d + 1)/(m d + 2) in the mean, G = MᵀWᵀWM of rank
    r = min(m, d).
    """
    d, m, start = experiment.n_features, experiment.n_neurons, initial_split(experiment)
    spread = min(d, m) * (m + d + 1) / (m * d + 2) - 1
    return Weights(m * start.sparse, m * start.dense, spread)


def measured_weights(alignments, dense_norms):
    """Return the `Weights` of alignments of shape (m, d) and of ‖β_i‖ of shape (m,)."""
    alignments = np.asarray(alignments, np.float64)
    gram = alignments.T @ alignments
    sparse = float(np.trace(gram))
    spread = min(alignments.shape) * np.square(gram).sum() / sparse**2 - 1 if sparse > 0 else 0.0
    return Weights(sparse, float(np.square(dense_norms, dtype=np.float64).sum()), float(spread))


def linear_phase(experiment, start=None):
    """Yield the `Weights` after each step with b = 0, for ever.

    Parameters
    ----------
    experiment : Experiment
    start : Weights, optional
        Those before the first step; by default `initial_weights`.

    Yields
    ------
    Weights

    Notes
    -----
    For small similarities it is the recursion of `predict_stage_one`, and it ends on the `plateau`.
    Weights that sampling noise makes grow beyond all numbers stay at 10⁶⁰ τ.

    From a run's own start it followed ‖α‖² and ‖β‖² through the whole of stage I within the scatter
    of a seed and 2 %: the presets, with and without stop-gradient, and with 20 to 400 negatives.
    Derived in featlearn/theory/derivation.md, "Stage boundaries" and "The positive's own similarity".
    """
    exp, start = experiment, start or initial_weights(experiment)
    views, eta, tau = view_moments(exp), exp.learning_rate, exp.temperature
    d, m, extra = exp.n_features, exp.n_neurons, exp.noise_directions
    filled = min(d, m)
    counts = np.array([filled, m - filled])
    # Columns: the directions that the signal fills, and the others; rows: a and e, over τ.
    dense = start.dense / m
    parts, spread = np.array([[start.sparse / filled, 0.0], [dense, dense]]) / tau, start.spread
    uneven = start.uneven
    noise = eta**2 / exp.batch_size * sampling_noise(exp, Split(d, extra))
    rates, seen = _rates(exp, views), np.full_like(parts, math.nan)
    free = (1 if exp.stop_gradient else 2) * uniform_attraction(exp) * views.cross.sparse
    while True:
        if parts.max() > FREE:
            yield Weights(*map(float, parts @ counts * tau), spread, uneven=uneven)
            continue
        # Written so that what was never seen counts as changed.
        if not (abs(parts - seen) <= STEADY * seen).all():
            seen, (pull, slope, power, turned, apart) = parts, rates(parts, spread)
        drift = np.maximum(1 + eta * (pull - exp.weight_decay), 0.0) ** 2
        added = noise @ (parts * power)
        fed = noise[0, 1] * (parts[1] * power) @ counts / filled
        # W M has rank d: what noise adds to it in other directions turns the d ones instead.
        added[0] = [added[0] @ counts / filled, 0.0]
        before = parts[0][0]
        parts = drift * parts + added
        if parts[0][0] > 0 and before > 0:
            # The larger values lag, products of a batch add variance, and new values are alike.
            lag, new = 4 * eta * slope, 2 * min(added[0][0] / parts[0][0], 0.5)
            batch = eta**2 / exp.batch_size * before / parts[0][0]
            spread = max(spread * (1 + lag - new) + batch * turned, 0.0)
            # Energies of m draws lag as those do that batches set apart. New values of the dense part are draws.
            drawn, redrawn = 1 / (2 * m), 2 * min(fed / parts[0][0], 0.5)
            uneven += (uneven + drawn) * lag - uneven * redrawn + batch * apart
            uneven = max(uneven, -drawn)
        sparse, dense = parts @ counts * tau
        drifted = pull[0][0] / free if free > 0 else 1.0
        yield Weights(float(sparse), float(dense), spread, drifted, uneven)


def _rates(experiment, views):
    """Return a function of the parts and ω: drifts, slope of that of a, power of the noise, `_turned`, `_set_apart`.

    Σ a grows at the rate of a direction with the mean of a weighted by itself, a (1 + ω). A dense
    part of m random directions in D = d1 - d dimensions sees itself 1 + m/D times as large. The slope
    is that by ln a.
    """
    exp, m = experiment, experiment.n_neurons
    mass_of, still = negative_mass_of(exp), uniform_attraction(exp) ** 2
    overlap = 1 + m / max(exp.n_inputs - exp.n_features, 1)
    # Without stop-gradient the keys move in the same way, with the views exchanged.
    exchanged = dataclasses.replace(views, anchor=views.key, key=views.anchor)
    arguments = (views,) if exp.stop_gradient else (views, exchanged)

    def rates(parts, spread):
        (a, _), (e, other) = parts
        mass = mass_of(a, e, other)
        mean = [residual_moments(a, e, view, mass) for view in arguments]
        wide = max(spread, _FINITE)
        largest = [residual_moments(a * (1 + wide), e, view, mass) for view in arguments]
        residuals = [
            residual_moments(a * (1 + spread), e * overlap, view, mass) for view in arguments
        ]
        slope = (sum(r.sparse for r in largest) - sum(r.sparse for r in mean)) / wide
        sparse = sum(r.sparse for r in mean) + slope * spread
        beside = views.cross.dense - views.anchor.dense * views.key.dense * other * overlap
        pull = [
            [sparse, 0.0],
            [sum(r.dense for r in residuals), len(arguments) * mass.mean * beside],
        ]
        # The sampling noise of a uniform softmax is in proportion to the power of a key.
        key = views.key.sparse * a + views.key.dense * e
        power = [mean[0].power / key if key > 0 else 0.0, mass.mean_square]
        turned = _turned(exp, views, (a, e), spread, mass, mean) if a > 0 else 0.0
        apart = _set_apart(exp, views, mass, mean)
        return np.array(pull), slope, np.array(power) / still, turned, apart

    return rates


def _turned(experiment, views, parts, spread, mass, residuals):
    """B/η² times the ω that a batch adds to singular values which are nearly alike.

    With p_j = (y, y', ζ, ζ') of anchor and key along a direction j, a batch turns MᵀWᵀWM/a by η times the
    means of p_jᵀ Q p_k, whose variances are tr(QΣQΣ)/B. Derived in featlearn/theory/derivation.md, "Stage
    boundaries".

    Parameters
    ----------
    experiment : Experiment
    views : ViewMoments
    parts : tuple of float
        a > 0 and e.
    spread : float
        ω.
    mass : NegativeMass
    residuals : list of Residual
        One for each argument that the gradient passes through.
    """
    exp, (a, e), s = experiment, parts, views.density
    d, filled, paired = exp.n_features, min(exp.n_features, exp.n_neurons), exp.batches == "paired"
    moments = np.zeros((4, 4))
    for i, (anchor, key, cross) in enumerate(zip(views.anchor, views.key, views.cross)):
        moments[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[anchor, cross], [cross, key]]
    # A larger value makes more noise of itself, and halves of a pair cancel that of the dense part.
    weights = [math.sqrt(1 + spread), 0.0 if paired else math.sqrt(e / a)]
    features, y, form = np.kron(weights, np.eye(2)), np.eye(4), np.zeros((4, 4))
    for i, (residual, side) in enumerate(zip(residuals, (views.anchor, views.key))):
        left = features[1 - i] - _repelled(views, mass, residual, side) * features[i]
        form += np.outer(left, y[i]) + np.outer(y[i], left)
    # The mean of few keys scatters as well; in a batch so does that of their products with anchors.
    few = scatter_of_negatives(exp)
    alone = moments if exp.negatives == "in_batch" else np.diag(np.diag(moments))
    variance = _square(form @ moments) + (few - 1) * _square(form @ alone)
    fourth, repeats = s * (1 - 3 * s), 1
    if paired:
        # Strata have no scatter of z_j².
        fourth, repeats = fourth - s * (1 - s), 2
    per_pair = (filled + 2) / filled * variance + fourth * form[:2, :2].sum() ** 2 / d
    return mass.mean_square * repeats * (filled - 1) * per_pair


def _set_apart(experiment, views, mass, residuals):
    """B/η² times the variance over the atoms of what a batch adds to δ_j.

    δ_j moves by η times the mean of pᵀQp/2, p = (y, y') of anchor and key along M_j, Gaussian given z_j: its
    moments with and without a latent are weighed by those of 1 - P. Derived in
    featlearn/theory/derivation.md, "Lottery sets".

    Parameters
    ----------
    experiment : Experiment
    views : ViewMoments
    mass : NegativeMass
    residuals : list of Residual
        One for each argument that the gradient passes through.
    """
    s, form, cross = views.density, np.zeros((2, 2)), views.cross.sparse
    for i, (residual, side) in enumerate(zip(residuals, (views.anchor, views.key))):
        y = np.eye(2)[i]
        left = np.eye(2)[1 - i] - _repelled(views, mass, residual, side) * y
        form += np.outer(left, y) + np.outer(y, left)
    moments = np.array([[views.anchor.sparse, cross], [cross, views.key.sparse]])
    noise = form @ (moments - s)
    # Without a latent, and with one.
    mean = (np.trace(noise) + np.array([0, form.sum()])) / 2
    scatter = _square(noise) / 2 + np.array([0, (noise @ form).sum()])
    chance = np.array([mass.mean_square - s * mass.matched_square, s * mass.matched_square])
    weight = np.array([mass.mean - s * mass.matched, s * mass.matched])
    variance = chance @ (mean**2 + scatter) - (weight @ mean) ** 2
    if experiment.batches == "paired":
        # Strata have no scatter of z_j², and halves of a batch are alike.
        variance = 2 * chance @ scatter
    # The mean of few keys scatters as well; in a batch so does that of their products with anchors.
    few, alone = scatter_of_negatives(experiment) - 1, views.anchor.sparse * views.key.sparse
    alone += cross**2 if experiment.negatives == "in_batch" else 0.0
    return max(variance, 0.0) + few * len(residuals) ** 2 * mass.mean_square * alone


def _repelled(views, mass, residual, side):
    """The part k of E u h that repulsion takes away."""
    taken = views.cross.sparse - residual.sparse / max(mass.mean, _LEAST)
    return taken / max(side.sparse, _LEAST)


def _square(matrix):
    """tr X²."""
    return float(np.sum(matrix * matrix.T))
