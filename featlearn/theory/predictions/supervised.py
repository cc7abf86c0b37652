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

from ...errors import InvalidInput
from ...objectives import make_objective
from ...state import make_model
from ...training import init
from .label_noise import require_noiseless_labels

# Width by which a sum of w*_j z_j is smeared, far below the typical gap between two of them.
_SMEAR = 0.01


def sign_signal(tasks, density):
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
    tasks = np.asarray(tasks, np.float64)
    density = np.broadcast_to(np.asarray(density, np.float64), len(tasks))
    if not density.max() < 0.5:
        raise InvalidInput("density", float(density.max()), "a number < 1/2")
    # A grid on which no period of r or w* is missed.
    step = math.pi / (2 * np.abs(tasks).sum(axis=0).max() + 4)
    t = np.arange(step / 2, 5 / _SMEAR, step)
    kernel = 2 / math.pi * step * np.exp(-((_SMEAR * t) ** 2) / 2) / t
    signal = np.empty(tasks.T.shape)
    for row, w in zip(signal, tasks.T):
        factors = 1 - density + density * np.cos(np.outer(t, w))
        others = (kernel * factors.prod(axis=1))[:, None] / factors
        row[:] = density * np.einsum("tj,tj->j", np.sin(np.outer(t, w)), others)
    return signal


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
    Classification is of first order in the outputs, and takes the labels of two tasks for
    uncorrelated: A has independent rows at the start. ‖α‖² came within 4 % and ‖β‖² within 5 % of
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
            np.eye(tasks.shape[1]) * share / 4,
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
