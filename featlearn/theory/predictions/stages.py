"""When stages II and III start, predicted from the experiment alone.

Stage I: the recursion of `stage_one` with the softmax's back-reaction. The neurons span m directions,
d of which the sparse signal fills; every direction has a sparse part a and a dense part e (squared
norms over τ), and with the residual r of `residual`

    growth of ln a in a step = 2 ln(1 + η(E[r y]/√a - λ)),      of ln e alike with E[r ζ]/√e,

plus sampling noise. Stage II: the norm follows the attraction that the thresholds leave, and the
biases gain on it until they are at their cap.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from ...errors import InvalidInput
from .moments import Split, negative_count, uniform_attraction, view_moments
from .residual import negative_mass_of, residual_moments
from .saturation import dense_pair, shares_noise
from .softmax_plateau import softmax_plateau
from .stage_one import initial_split, sampling_noise

# Steps beyond which no boundary is looked for, and how far beyond the end of the run.
MOST_STEPS, BEYOND = 100_000, 10
# Change of a part, relative to it, up to which its rates of growth are taken as they were.
STEADY = 1e-3


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
        # A step that would turn weights around leaves little of them.
        growth = max(1 + exp.learning_rate * float(rate(norms[1], ratio)), 0.01)
        norms[1] *= growth
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
    Between, the mean of the squared singular values is up to a tenth ahead in norm, as the largest of
    them slow down first.
    Derived in featlearn/theory/derivation.md, "Stage boundaries".
    """
    exp, v = experiment, view_moments(experiment)
    d, m, tau, eta = exp.n_features, exp.n_neurons, exp.temperature, exp.learning_rate
    filled = min(d, m)
    counts = np.array([filled, m - filled])
    start = initial_split(exp)
    # Columns: the directions that the signal fills, and the others; rows: a and e, over τ.
    parts = np.array([[start.sparse * m / filled, 0.0], [start.dense, start.dense]]) / tau
    noise = eta**2 / exp.batch_size * sampling_noise(exp, Split(d, exp.n_inputs - d))
    negative_mass_at, still = negative_mass_of(exp), uniform_attraction(exp) ** 2
    # Without stop-gradient the keys move in the same way, with the views exchanged.
    exchanged = dataclasses.replace(v, anchor=v.key, key=v.anchor)
    arguments = (v,) if exp.stop_gradient else (v, exchanged)

    def rates(parts):
        """The drift of the parts in a step, and the power of the noise along each."""
        (a, _), (e, other) = parts
        negative_mass = negative_mass_at(a, e, other)
        moments = [residual_moments(a, e, views, negative_mass) for views in arguments]
        beside = v.cross.dense - v.anchor.dense * v.key.dense * other
        pull = [
            [sum(r.sparse for r in moments), 0.0],
            [sum(r.dense for r in moments), len(moments) * negative_mass.mean * beside],
        ]
        # The sampling noise of a uniform softmax is in proportion to the power of a key.
        key = v.key.sparse * a + v.key.dense * e
        power = [moments[0].power / key if key > 0 else 0.0, negative_mass.mean_square]
        drift = 1 + eta * (np.array(pull) - exp.weight_decay)
        return np.maximum(drift, 0.0) ** 2, np.array(power) / still

    seen = np.full_like(parts, math.nan)
    while True:
        # Written so that what was never seen counts as changed.
        if not (abs(parts - seen) <= STEADY * seen).all():
            seen, (drift, power) = parts, rates(parts)
        added = noise @ (parts * power)
        # W M has rank d: what noise adds to it in other directions turns the d ones instead.
        added[0] = [added[0] @ counts / filled, 0.0]
        parts = drift * parts + added
        sparse, both = float(parts[0] @ counts), float((parts @ counts).sum())
        yield math.sqrt(tau * both / m), sparse / both if both > 0 else 0.0


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
