"""When stages II and III start, predicted from the experiment alone.

Stage I: the recursion of `stage_one` with the softmax's back-reaction. The neurons span m directions,
d of which the sparse signal fills; every direction has a sparse part a and a dense part e (squared
norms). A direction's anchor and key features have the variances k₁ = c₁ a + n₁ e and k₂ alike, the
similarity of a pair is S = Σ (c_S a + c_D e)/τ, and with P = e^S/(e^S + N e^{V/2}), V = Σ k₁k₂/τ²,

    ln growth of a in a step = 2 ln(1 + η((1 - P)(c_S - k₂ c₁/τ) - λ)),   e alike with c_D and n₁,

plus sampling noise. Stage II: the norm follows the attraction that the thresholds leave, and the
biases gain on it until they are at their cap.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from ..errors import InvalidInput
from .moments import Split, attraction, view_moments
from .plateau import plateau
from .saturation import dense_pair, shares_noise
from .stage_one import initial_split, sampling_noise

# Steps beyond which no boundary is looked for, and how far beyond the end of the run.
MOST_STEPS, BEYOND = 100_000, 10


class Stages(NamedTuple):
    """Steps at which the stages start; infinite where they do not, as far as one looked.

    Attributes
    ----------
    two, three : float
    norms : tuple of float
        Root mean square of the ‖w_i‖ there, or where the search ended.
    """

    two: float
    three: float
    norms: tuple[float, float]


def predict_stages(experiment):
    """Return the predicted `Stages` of an experiment.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    Stages
        Boundaries are looked for within ten times the length of the run and 10⁵ steps.

    Notes
    -----
    Mean-field estimates. The start of stage II came within 9 % of simulations in 13 experiments, d
    8-64, and was rightly never reached in one more. The second counts all neurons as one and the
    sparse part as Gaussian: within 11 % for the presets, up to 36 % off where single features stand
    out of a neuron's sum early.
    Derived in featlearn/theory/derivation.md, "Stage boundaries".
    """
    exp = experiment
    norms, steps = [exp.initial_norm], [math.inf, math.inf]
    if exp.stage_one_growth is None:
        return Stages(*steps, (exp.initial_norm, exp.initial_norm))
    most, target = min(BEYOND * exp.n_steps, MOST_STEPS), exp.stage_one_growth * exp.initial_norm
    for step, (norm, _) in zip(range(1, most + 1), linear_phase(exp)):
        norms[0] = norm
        if norm >= target:
            steps[0] = step
            break
    norms.append(norms[0])
    if math.isinf(steps[0]):
        return Stages(*steps, tuple(norms))
    rate = _thresholded_rate(exp)
    ratio = exp.bias_jump
    for step in range(steps[0] + 1, most + 1):
        growth = 1 + exp.learning_rate * rate(norms[1], ratio)
        norms[1] *= float(growth)
        # b grows by the larger of its own factor and the norm's, so that b/‖w‖ never falls.
        ratio *= max(exp.resolved_bias_growth / growth, 1.0)
        if ratio >= exp.bias_cap:
            steps[1] = step
            break
    return Stages(*steps, tuple(norms))


def linear_phase(experiment):
    """Yield (‖w‖, sparse share) after each step with b = 0, for ever; means over the neurons.

    Parameters
    ----------
    experiment : Experiment

    Yields
    ------
    norm, share : float
        Root mean square of the ‖w_i‖, and Σ‖α_i‖²/Σ‖w_i‖².

    Notes
    -----
    For small similarities it is the recursion of `predict_stage_one`, and it ends on the `plateau`.
    Derived in featlearn/theory/derivation.md, "Stage boundaries".
    """
    exp, v = experiment, view_moments(experiment)
    d, m, tau, eta = exp.n_features, exp.n_neurons, exp.temperature, exp.learning_rate
    extra = exp.n_inputs - d
    filled = min(d, m)
    counts = np.array([filled, m - filled])
    start = initial_split(exp)
    # Columns: the directions that the signal fills, and the others; rows: a and e.
    parts = np.array([[start.sparse * m / filled, 0.0], [start.dense, start.dense]])
    noise = eta**2 / exp.batch_size * sampling_noise(exp, Split(d, extra))
    negatives = exp.batch_size - 1 if exp.negatives == "in_batch" else exp.negatives
    anchor, key, cross = (np.array(moment) for moment in (v.anchor, v.key, v.cross))
    while True:
        k_anchor, k_key = anchor @ parts / tau, key @ parts / tau
        similarity = float(cross @ parts @ counts) / tau
        spread = float(np.sum(counts * k_anchor * k_key))
        doubt = 1 / (1 + math.exp(min(similarity - spread / 2, 500.0)) / negatives)
        pull = cross[:, None] - np.outer(anchor, k_key)
        if not exp.stop_gradient:
            pull = pull + cross[:, None] - np.outer(key, k_anchor)
        drift = 1 + eta * (doubt * pull - exp.weight_decay)
        added = noise @ parts
        # W M has rank d: what noise adds to it in other directions turns the d ones instead.
        added[0] = [added[0] @ counts / filled, 0.0]
        parts = np.maximum(drift, 0.0) ** 2 * parts + added
        total = parts @ counts
        yield math.sqrt(total.sum() / m), float(total[0] / total.sum())


def _thresholded_rate(experiment):
    """Return a function of (‖w‖, b/‖w‖): the rate of ln ‖w‖ per unit of η t in stage II."""
    exp, views = experiment, view_moments(experiment)
    decay = exp.weight_decay
    arguments = 1 if exp.stop_gradient else 2
    if shares_noise(exp):
        ratios = np.linspace(exp.bias_jump, exp.bias_cap, 33)
        pairs = np.array([dense_pair(views, ratio) for ratio in ratios])
        negatives = exp.batch_size - 1 if exp.negatives == "in_batch" else exp.negatives

        def dense_rate(norm, ratio):
            similarity, gain = (np.interp(ratio, ratios, column) for column in pairs.T)
            similarity *= exp.n_neurons * norm**2 / exp.temperature
            doubt = 1 / (1 + math.exp(min(similarity, 500.0)) / negatives)
            return arguments * doubt * gain - decay

        return dense_rate
    try:
        level = plateau(exp)
    except InvalidInput:
        level = None
    if level is None or level.weight_norm == 0:
        return lambda norm, ratio: -decay
    pull = arguments * attraction(exp) * views.cross.sparse
    share = level.sparse_share
    spread = [math.sqrt(share * s + (1 - share) * n) for s, n in (views.anchor, views.key)]

    def sparse_rate(norm, ratio):
        active = math.prod(erfc(ratio / (math.sqrt(2) * one)) for one in spread)
        repulsion = (active * norm / level.weight_norm) ** 2 * (pull - decay)
        return active * pull - repulsion - decay

    return sparse_rate
