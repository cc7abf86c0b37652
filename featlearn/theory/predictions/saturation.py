"""How far the norms can grow before similarities saturate.

The sparse part saturates at the plateau of the linear phase. The preactivations of a network that
stays dense are Gaussian and nearly the same for all inputs in size, so that every P_p0 is too. Its
norms grow until the attraction (1 - P_p0) · gain has fallen to the decay λ, and P_p0 is a function of
the similarity of an anchor with its key:

    1 - P_p0 = λ/G,      S = ln(N P_p0/(1 - P_p0)),      m ‖w‖² H/τ = S,

with N the number of negatives, H = E[h(u)h(u')] and G = E[h(u') u 1{|u| ≥ b}] for a neuron of unit
norm, u and u' its preactivations on two views of one input. The spectral loss has no P_p0, and a neuron
meets its own response to other inputs: G - ‖w‖² E[h²] E[h u]/τ = λ. The decoupled loss lets norms grow on.
"""

import math

import numpy as np
from scipy.special import ndtr

from ...objectives import OBJECTIVES
from .crossing import stage_one_growth
from .moments import negative_count, uniform_attraction, view_moments
from .softmax_plateau import softmax_plateau

# Where two views share less of the dense noise than this correlation, noise cannot win stage I.
SHARED = 0.02
SQRT_2_PI = math.sqrt(2 * math.pi)


def saturation_growth(experiment):
    """Return g = ln(‖w_sat‖/‖w_0‖), the growth available to the norms in this experiment.

    The larger of two norms. The sparse part saturates at the plateau of the linear phase. Views that
    share dense noise let a dense network grow to the norm of `dense_saturation_norm`: at b = 0 if that
    is reached before the growth that ends stage I, otherwise the largest on the way of the biases to
    their cap. A run too short to get there counts with the growth that its steps allow.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    float
        -∞ where decay beats the signal.

    Notes
    -----
    An estimate: it takes all similarities with negatives for 0, and the preactivations of a neuron
    for Gaussian. Un-augmented networks that stayed dense came within 0.2 of it, at d = 16 with τ and
    ‖w_0‖ between them spanning g = 0.5 … 8; where sparse features win the norm stays below it.
    Derived in featlearn/theory/derivation.md, "Saturation of a dense network".
    """
    exp, norm = experiment, _sparse_plateau_norm(experiment)
    if shares_noise(exp):
        dense, stage_one = dense_saturation_norm(exp, 0.0), exp.stage_one_growth
        if exp.stage_one_steps is not None:
            stage_one = 0.0
        if stage_one is not None and dense > stage_one * exp.initial_norm:
            ratios = np.linspace(exp.bias_jump, exp.bias_cap, 9)
            dense = max([dense, *(dense_saturation_norm(exp, ratio) for ratio in ratios)])
        norm = max(norm, dense)
    if norm == 0:
        return -math.inf
    return min(math.log(norm / exp.initial_norm), max(stage_one_growth(exp, exp.n_steps), 0.0))


def shares_noise(experiment):
    """Return whether the views share enough dense noise for it to win stage I."""
    return view_moments(experiment).dense_correlation >= SHARED


def _sparse_plateau_norm(experiment):
    """Return the ‖w‖ of the plateau, with no more shared noise than decay takes away."""
    exp, views = experiment, view_moments(experiment)
    # A little less, so that rounding does not make it more.
    arguments = 1 if exp.stop_gradient else 2
    bearable = (1 - 1e-9) * exp.weight_decay / (arguments * uniform_attraction(exp))
    if views.cross.dense > bearable:
        noise = views.anchor.dense
        exp = exp.replace(
            augmentation="correlated_noise",
            noise_variance=noise / 2,
            noise_correlation=bearable / noise,
        )
    return softmax_plateau(exp, finite_batch=False).weight_norm


def dense_saturation_norm(experiment, bias_ratio):
    """Return the ‖w‖ at which a dense network with b = bias_ratio · ‖w‖ stops growing.

    Parameters
    ----------
    experiment : Experiment
    bias_ratio : float ≥ 0

    Returns
    -------
    float
        0 where decay beats the gain at any similarity; infinite where nothing ends the growth.
    """
    exp, views = experiment, view_moments(experiment)
    kind = OBJECTIVES[exp.objective]
    similarity, gain = dense_pair(views, bias_ratio)
    if not exp.stop_gradient:
        gain *= 2
    if not kind.has_softmax:
        return _repelled_norm(exp, gain, bias_ratio)
    if exp.weight_decay == 0 or (not kind.fades and gain > exp.weight_decay):
        return math.inf
    negative_mass = exp.weight_decay / gain if gain > 0 else math.inf
    if negative_mass >= uniform_attraction(exp):
        return 0.0
    wanted = math.log(negative_count(exp) * (1 - negative_mass) / negative_mass)
    return math.sqrt(max(wanted, 0.0) * exp.temperature / (exp.n_neurons * similarity))


def _repelled_norm(experiment, gain, bias_ratio):
    """Return the ‖w‖ at which a repulsion in proportion to similarities leaves a gain equal to decay.

    ‖w‖² = τ (G - λ)/(Σ E[h²] E[h u]), over the arguments that the gradient passes through: the h² of one
    view, and the h u of the other.
    """
    views = view_moments(experiment)
    pairs = [(views.anchor.dense, views.key.dense)]
    pairs += [] if experiment.stop_gradient else [pairs[0][::-1]]
    repulsion = 0.0
    for own, other in pairs:
        t = [bias_ratio / math.sqrt(variance) for variance in (own, other)]
        beyond = ndtr(np.negative(t))
        # E[h u 1{|u| ≥ b}] and E[h²] of Gaussian preactivations.
        square = (1 + t[1] ** 2) * beyond[1] - t[1] * math.exp(-(t[1] ** 2) / 2) / SQRT_2_PI
        repulsion += 4 * own * beyond[0] * other * square
    surplus = max(gain - experiment.weight_decay, 0.0)
    return math.sqrt(experiment.temperature * surplus / repulsion) if surplus else 0.0


def dense_pair(views, bias_ratio):
    """Return E[h(u)h(u')] and E[h(u') u 1{|u| ≥ b}] of a dense neuron of unit norm.

    Parameters
    ----------
    views : ViewMoments
    bias_ratio : float ≥ 0
        b.

    Returns
    -------
    similarity, gain : float

    Notes
    -----
    u = √x z and u' = √k (r z + √(1-r²) z') with standard normal z and z', integrated on a grid.
    """
    grid = np.linspace(-8, 8, 801)
    density = np.exp(-(grid**2) / 2)
    density /= density.sum()
    u = math.sqrt(views.anchor.dense) * grid
    r = min(views.dense_correlation, 1.0)
    inner = r * grid[:, None] + math.sqrt(1 - r * r) * grid[None, :]
    key = math.sqrt(views.key.dense) * inner
    key_feature = (key - np.clip(key, -bias_ratio, bias_ratio)) @ density
    feature = u - np.clip(u, -bias_ratio, bias_ratio)
    similarity = float(np.sum(density * feature * key_feature))
    gain = float(np.sum(density * key_feature * u * (np.abs(u) >= bias_ratio)))
    return similarity, gain
