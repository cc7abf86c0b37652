"""When stages II and III start, predicted from the experiment alone.

Stage I is the `linear_phase`. In stage II the norm follows the attraction that the thresholds leave,
and the biases gain on it until they are at their cap.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from ...errors import InvalidInput
from .balance import pure_balance
from .linear_phase import linear_phase
from .moments import negative_count, uniform_attraction, view_moments
from .saturation import dense_pair, shares_noise
from .softmax_plateau import softmax_plateau

# Steps beyond which no boundary is looked for, and how far beyond the end of the run.
MOST_STEPS, BEYOND = 100_000, 10
# Why stage III is not predicted where `unknown_steps` are more than half of stage II.
NORMS_DECIDE = "what the norms do in stage II decides it more than the growth of the biases"


class Stages(NamedTuple):
    """Steps at which the stages start; infinite where they do not, as far as one looked.

    Attributes
    ----------
    two, three : float
        nan where nothing is predicted.
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
    out of a neuron's sum early, and more where `unknown_steps` are many. It is nan where views share noise and
    the sparse part leads all the same, for which there is no such estimate.
    Derived in featlearn/theory/derivation.md, "Stage boundaries".
    """
    exp = experiment
    norms, steps = [exp.initial_norm], [math.inf, math.inf]
    if exp.stays_linear:
        return Stages(*steps, (exp.initial_norm, exp.initial_norm))
    most = min(BEYOND * exp.n_steps, MOST_STEPS)
    target = (exp.stage_one_growth or math.inf) * exp.initial_norm
    if exp.stage_one_steps is not None:
        most, target = max(most, exp.stage_one_steps), math.inf
    for step, weights in zip(range(1, most + 1), linear_phase(exp)):
        norms[0] = norm = math.sqrt((weights.sparse + weights.dense) / exp.n_neurons)
        if norm >= target or step == exp.stage_one_steps:
            steps[0] = step
            break
    norms.append(norms[0])
    if math.isinf(steps[0]):
        return Stages(*steps, tuple(norms))
    if shares_noise(exp) and weights.sparse_share > 0.5:
        return Stages(steps[0], math.nan, tuple(norms))
    rate = _thresholded_rate(exp)
    ratio = exp.bias_jump
    for step in range(steps[0] + 1, most + 1):
        # A step that would turn weights around leaves little of them.
        growth = max(1 + exp.learning_rate * float(rate(norms[1], ratio)), 0.01)
        norms[1] *= growth
        # b grows by the larger of its own factor and the norm's, so that b/‖w‖ never falls.
        ratio *= max(exp.resolved_bias_growth / growth, 1.0)
        if ratio >= exp.bias_cap:
            steps[1] = step
            break
    return Stages(*steps, tuple(norms))


def unknown_steps(experiment, stages):
    """Return by how many steps stage III may start elsewhere than predicted, for what norms do in stage II.

    b/‖w‖ grows by the factor of the biases over that of the norms. What the norms do is estimated for all neurons as one,
    and counts as unknown; so do the steps in which pure neurons grow to their rest, if faster than the biases.

    Parameters
    ----------
    experiment : Experiment
    stages : Stages
        With a stage III.

    Returns
    -------
    float
    """
    gain = math.log(experiment.resolved_bias_growth)
    if gain == 0:
        return math.inf
    grown = abs(math.log(stages.norms[1] / stages.norms[0])) / gain
    return max(grown, _steps_to_rest(experiment, stages.norms[0], gain))


def _steps_to_rest(experiment, norm, gain):
    """Number of steps in which pure neurons of a norm grow to their rest, if faster than the biases.

    b/‖w‖ rests meanwhile. Similarities aside, a pure neuron with b = ϱ ‖w‖ grows by η(g q c_S (1 - ϱ)
    - λ) a step, where g = 1, or 2 without stop-gradient.
    """
    exp, views, jump = experiment, view_moments(experiment), experiment.bias_jump
    if exp.weight_decay == 0 or views.cross.dense > 0 or jump >= 1:
        return 0.0
    arguments = 1 if exp.stop_gradient else 2
    pull = arguments * uniform_attraction(exp) * views.cross.sparse * (1 - jump)
    rate = exp.learning_rate * (pull - exp.weight_decay)
    if rate <= gain:
        return 0.0
    strength = pure_balance(exp, jump).strength
    rest = math.sqrt(strength * exp.temperature * exp.n_features / exp.n_neurons)
    return math.log(rest / norm) / rate if rest > norm else 0.0


def _thresholded_rate(experiment):
    """Return a function of (‖w‖, b/‖w‖): the rate of ln ‖w‖ per unit of η t in stage II."""
    exp, views = experiment, view_moments(experiment)
    decay = exp.weight_decay
    arguments = 1 if exp.stop_gradient else 2
    if shares_noise(exp):
        ratios = np.linspace(exp.bias_jump, exp.bias_cap, 33)
        pairs = np.array([dense_pair(views, ratio) for ratio in ratios])
        negatives = negative_count(exp)

        def dense_rate(norm, ratio):
            similarity, gain = (np.interp(ratio, ratios, column) for column in pairs.T)
            similarity *= exp.n_neurons * norm**2 / exp.temperature
            negative_mass = 1 / (1 + math.exp(min(similarity, 500.0)) / negatives)
            return arguments * negative_mass * gain - decay

        return dense_rate
    try:
        level = softmax_plateau(exp, finite_batch=False)
    except InvalidInput:
        level = None
    if level is None or level.weight_norm == 0:
        return lambda norm, ratio: -decay
    pull = arguments * uniform_attraction(exp) * views.cross.sparse
    share = level.sparse_share
    variances = [share * s + (1 - share) * n for s, n in (views.anchor, views.key)]
    spread = [max(math.sqrt(variance), 1e-300) for variance in variances]

    def sparse_rate(norm, ratio):
        active = math.prod(erfc(ratio / (math.sqrt(2) * one)) for one in spread)
        repulsion = (active * norm / level.weight_norm) ** 2 * (pull - decay)
        return active * pull - repulsion - decay

    return sparse_rate
