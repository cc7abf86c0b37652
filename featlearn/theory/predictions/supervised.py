"""The supervised twin while b = 0: how labels pull on features, and what sampling noise adds.

With moments of a label y_k, its signal G_kj = E[y_k z_j] and what an output o = A W x leaves of it, the
drift of the weights is additive,

    E g = Aᵀ ( G Mᵀ - c A W E[x xᵀ] ),

with no dense part but a decay: a label has no noise in common with its sample (derived:
featlearn/theory/derivation.md, "The supervised twin").
"""

import math
from itertools import islice
from typing import NamedTuple

import numpy as np

from ...compute.streams import generator
from ...errors import InvalidInput
from ...objectives import make_objective
from ...state import make_model
from ...training import init
from .floors import beyond
from .label_noise import require_noiseless_labels, residual_and_slope

# Width by which a sum of w*_j z_j is smeared, far below the typical gap between two of them.
_SMEAR = 0.01
# Latents that a covariance of signs is a mean over, and their position in the "theory" stream of a seed.
LATENTS, _STREAM = 2**14, 12
# Samples and directions that the pull on spread neurons is a mean over, their position likewise, and the largest κ.
_SAMPLES, _DIRECTIONS, _SPREAD_STREAM, _MOST_SCALE = 2**15, 64, 14, 1e3


def not_told(experiment):
    """Return why nothing is derived of what labels say at an experiment's density, or nothing."""
    s = experiment.resolved_density
    if s == 0:
        return "samples hold no features: s = 0"
    if experiment.task == "classification" and s >= 0.5:
        return (
            f"what the sign of ⟨w*, z⟩ says of a feature is derived for s < 1/2; here s = {s:.3g}"
        )
    return ""


def sign_signal(tasks, density, noise=0.0):
    """Return E[sign⟨w*_k, z⟩ z_j] = s sign(w*_kj) [Pr(|r| < |w*_kj|) + ½ Pr(|r| = |w*_kj|)].

    r = Σ_{l≠j} w*_kl z_l is what the other features add. With its characteristic function
    φ(t) = Π_{l≠j} (1 - s_l + s_l cos w*_kl t), the bracket is (2/π) ∫ sin(|w*_kj| t) φ(t)/t dt over
    t > 0.

    Parameters
    ----------
    tasks : ndarray of shape (d, K)
        w*.
    density : float or ndarray of shape (d,), < 1/2
        s.
    noise : float or ndarray of shape (K,)
        Deviation of normal noise that is added to ⟨w*_k, z⟩ before its sign is taken.

    Returns
    -------
    ndarray of shape (K, d)

    Raises
    ------
    InvalidInput
        For a density of 1/2 or more.

    Notes
    -----
    The integral is cut off by a Gaussian, as if r carried normal noise of deviation 0.01.
    Derived in featlearn/theory/derivation.md, "The supervised twin".
    """
    return _of_signs(tasks, density, noise)[0]


def largest_pull(experiment):
    """Return the rate at which labels make a pure neuron of each atom grow at the bias cap, outputs ≪ 1, (d,).

    A neuron along M_j and its head follow each other at the rate ‖G_·j‖ √(F₁F₂), decay aside, with G = E[y z_j], half
    of it for signs, F₁ = E[u 1{|u| ≥ ϱ}] and F₂ = E h(u) of u = 1 + ξ_j, ξ_j ~ N(0, σ²), and ϱ the cap.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The supervised twin".
    """
    exp, tasks = experiment, make_objective(experiment).tasks
    s, sigma = exp.resolved_density, math.sqrt(exp.resolved_noise_variance)
    signal = s * tasks.T if exp.task == "regression" else sign_signal(tasks, s) / 2
    cap = 0.0 if exp.stays_linear else exp.bias_cap
    # Above the threshold and below its negative, as z_j = 1 has it.
    above, below = beyond(1 - cap, sigma), beyond(-1 - cap, sigma)
    moved = cap * above[0] + above[1] - (cap * below[0] + below[1])
    put_out = above[1] - below[1]
    return np.linalg.norm(signal, axis=0) * math.sqrt(max(moved * put_out, 0.0))


def spread_pull(experiment):
    """Return the rate at which what pure neurons leave of labels makes neurons of all features grow at the bias cap.

    A pure neuron for each atom, its head along w*_j, puts out o = κ Σ_j w*_j h(u_j), with κ such that the pull on it is
    what decay asks for, in the mean over atoms. With R the residual of o, a neuron along a direction v of span(M) and
    its head follow each other at the rate √(E[R u 1{|u| ≥ ϱ}]·E[R h(u)]) of its own u = ⟨v, z + ξ⟩, decay aside; the
    mean over v = (±1, …, ±1)/√d is taken before the root.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The supervised twin".
    """
    exp, tasks = experiment, make_objective(experiment).tasks.astype(np.float64)
    rng, s, d = generator(exp.seed, "theory", _SPREAD_STREAM), exp.resolved_density, len(tasks)
    z = rng.choice([-1, 0, 1], (_SAMPLES, d), p=[s / 2, 1 - s, s / 2])
    x = z + math.sqrt(exp.resolved_noise_variance) * rng.standard_normal(z.shape)
    labels = z @ tasks if exp.task == "regression" else np.sign(z @ tasks)
    cap = 0.0 if exp.stays_linear else exp.bias_cap

    def parts(u):
        return u * (np.abs(u) >= cap), np.sign(u) * np.maximum(np.abs(u) - cap, 0)

    moved, put_out = parts(x)
    along, explained = tasks / np.linalg.norm(tasks, axis=1)[:, None], put_out @ tasks

    def residual(scale, n=_SAMPLES):
        return residual_and_slope(labels[:n], scale * explained[:n], exp.task)[0]

    def outgrows(scale, n=_SAMPLES // 4):
        left = residual(scale, n) @ along.T
        on_weights, on_head = ((left * part[:n]).mean() for part in (moved, put_out))
        return on_head > 0 and on_weights * on_head > exp.weight_decay**2

    low, high = 0.0, 1.0
    while outgrows(high) and high < _MOST_SCALE:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if outgrows(middle) else (low, middle)
    R = residual(low)
    directions = rng.choice([-1.0, 1.0], (d, _DIRECTIONS)) / math.sqrt(d)
    # The noise of the two means is independent if each is taken over samples of its own.
    halves = slice(None, None, 2), slice(1, None, 2)
    on_weights, on_head = (
        [R[half].T @ part[half] / (_SAMPLES / 2) for half in halves]
        for part in parts(x @ directions)
    )
    squares = on_weights[0] * on_head[1] + on_weights[1] * on_head[0]
    return math.sqrt(max(float(squares.sum()) / 2 / _DIRECTIONS, 0.0))


def leaked_share(experiment):
    """Return the share within span(M) of what labels that leak noise pull on, E[y xᵀ].

    y = ⟨w*, z⟩ + ⟨v, ξ⟩ has E[y xᵀ] = s w*ᵀMᵀ + σ² vᵀ. Of its sign, with p the density of y at 0, Stein's
    identity gives 2 p σ² vᵀ in the dense directions, and the noise smears the signal in the sparse ones.

    Parameters
    ----------
    experiment : Experiment
        Supervised, with labels that leak noise.

    Raises
    ------
    InvalidInput
        For signs of latents of a density of 1/2 or more.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The supervised twin".
    """
    exp, objective = experiment, make_objective(experiment)
    s, variance = exp.resolved_density, exp.resolved_noise_variance
    tasks, sizes = objective.tasks, np.linalg.norm(objective.dense_tasks, axis=0)
    if exp.task == "regression":
        signal, factor = s * tasks.T, 1.0
    else:
        signal, at_zero = _of_signs(tasks, s, math.sqrt(variance) * sizes)
        factor = 2 * at_zero
    sparse, dense = np.sum(signal**2), np.sum((factor * variance * sizes) ** 2)
    return float(sparse / (sparse + dense))


def _covariance_of_signs(experiment, tasks):
    """E[y yᵀ] of the signs of ⟨w*_k, z⟩, a mean over drawn latents."""
    rng, s = generator(experiment.seed, "theory", _STREAM), experiment.resolved_density
    z = rng.choice([-1, 0, 1], (LATENTS, len(tasks)), p=[s / 2, 1 - s, s / 2])
    labels = np.sign(z @ tasks)
    return labels.T @ labels / LATENTS


def _of_signs(tasks, density, noise):
    """`sign_signal`, and the density of ⟨w*_k, z⟩ with its noise at 0."""
    tasks = np.asarray(tasks, np.float64)
    density = np.broadcast_to(np.asarray(density, np.float64), len(tasks))
    if not density.max() < 0.5:
        raise InvalidInput("density", float(density.max()), "a number < 1/2")
    # A grid on which no period of r or w* is missed.
    step = math.pi / (2 * np.abs(tasks).sum(axis=0).max() + 4)
    t = np.arange(step / 2, 5 / _SMEAR, step)
    signal, at_zero = np.empty(tasks.T.shape), np.empty(tasks.shape[1])
    smears = np.broadcast_to(np.maximum(_SMEAR, noise), at_zero.shape)
    for k, (w, smear) in enumerate(zip(tasks.T, smears)):
        factors = 1 - density + density * np.cos(np.outer(t, w))
        transform = factors.prod(axis=1) * np.exp(-((smear * t) ** 2) / 2) * step / math.pi
        others = (2 * transform / t)[:, None] / factors
        signal[k] = density * np.einsum("tj,tj->j", np.sin(np.outer(t, w)), others)
        at_zero[k] = transform.sum()
    return signal, at_zero


class LinearPhase(NamedTuple):
    """A supervised network while its biases are 0, before each step.

    Attributes
    ----------
    sparse, dense : ndarray of shape (steps + 1,)
        Σ_i ‖α_i‖² and Σ_i ‖β_i‖².
    head : ndarray of shape (steps + 1,)
        ‖A‖².
    """

    sparse: np.ndarray
    dense: np.ndarray
    head: np.ndarray

    @property
    def norms(self):
        """Σ_i ‖w_i‖², ndarray of shape (steps + 1,)."""
        return self.sparse + self.dense


def supervised_linear_phase(experiment, steps):
    """Return the predicted `LinearPhase` of a supervised experiment over some steps.

    Its weights, head and tasks at step 0 are those of the seed.

    Parameters
    ----------
    experiment : Experiment
        Supervised, without augmentation, its labels without noise.
    steps : int ≥ 0

    Returns
    -------
    LinearPhase

    Raises
    ------
    InvalidInput
        For another objective, an augmentation, or labels that leak noise.

    Notes
    -----
    Regression is exact but for products of fluctuations, and for fourth cumulants in the noise.
    Classification is of first order in the outputs. ‖α‖² came within 4 % and ‖β‖² within 5 % of
    training at d = 8 and 32 until the norms had doubled.
    Derived in featlearn/theory/derivation.md, "The supervised twin".
    """
    return LinearPhase(*np.transpose(list(islice(_walk(experiment), steps + 1))))


def first_stage(experiment):
    """Return the step at which stage I of a supervised run ends, and the dense share of ‖W‖² then.

    As `supervised_linear_phase` has it; (inf, nan) where the norms do not grow that far by the last step.
    """
    exp, walk = experiment, _walk(experiment)
    start = sum(next(walk)[:2])
    enough = math.inf if exp.stage_one_growth is None else exp.stage_one_growth**2 * start
    with np.errstate(over="ignore", invalid="ignore"):
        for step, (sparse, dense, _) in zip(range(1, exp.n_steps + 1), walk):
            total = sparse + dense
            if not math.isfinite(total):
                break
            given = exp.stage_one_steps
            if total >= enough if given is None else step == given:
                return step, float(dense / total)
    return math.inf, math.nan


def _walk(experiment):
    """Yield Σ‖α_i‖², Σ‖β_i‖² and ‖A‖² before every step, for ever."""
    exp = experiment
    require_noiseless_labels(exp)
    state, objective = init(exp), make_objective(exp)
    s, variance = exp.resolved_density, exp.resolved_noise_variance
    d, m, rest = exp.n_features, exp.n_neurons, exp.n_inputs - exp.n_features
    tasks = objective.tasks.astype(np.float64)
    if exp.task == "regression":
        signal, of_labels, slope, share = s * tasks.T, s * tasks.T @ tasks, 1.0, 1.0
    else:
        # y/(1 + e^{yo}) ≈ y/2 - o/4 where y ≠ 0, which a dense output meets in that share of samples.
        share = 1 - (1 - s) ** d
        signal, of_labels, slope = (
            sign_signal(tasks, s) / 2,
            _covariance_of_signs(exp, tasks) / 4,
            0.25,
        )
    power = s + share * variance
    W = state.weights.astype(np.float64)
    alpha = W @ make_model(exp).dictionary
    beta = np.eye(m) * ((W**2).sum() - (alpha**2).sum()) / m
    noise = np.zeros((m, m))
    A = state.parameters["head"].astype(np.float64)
    keep, eta = 1 - exp.learning_rate * exp.weight_decay, exp.learning_rate
    while True:
        yield (alpha**2).sum() + np.trace(noise), np.trace(beta), (A**2).sum()
        outputs = A @ alpha
        left = signal - slope * power * outputs
        residual = (
            of_labels
            - slope * (signal @ outputs.T + outputs @ signal.T)
            + slope**2 * (power * outputs @ outputs.T + share * variance * A @ beta @ A.T)
        )
        scatter = eta**2 / exp.batch_size * A.T @ residual @ A
        shrink = keep * np.eye(m) - eta * slope * share * variance * A.T @ A
        of_head = left @ alpha.T - slope * share * variance * A @ beta
        beta = shrink @ beta @ shrink + variance * rest * scatter
        noise = shrink @ noise @ shrink + (s + variance) * d * scatter
        alpha = keep * alpha + eta * A.T @ left
        if exp.train_head:
            A = keep * A + eta * of_head
