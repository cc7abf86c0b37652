"""How a run on labels goes, before it runs: the end of stage I, and the noise that labels sustain at last.

Stage I has a recursion. Afterwards thresholds decide, and a coarser run tells: c times the learning rate, a
1/c of the steps and of the dense directions leave drift and sampling noise per unit of time as they are,

    η → c η,   T → T/c,   d1 - d → (d1 - d)/c,   growth of a bias → growth^c,

at a cost lower by c². What it ends with is a trained network, of which `label_noise` asks (derived:
featlearn/theory/derivation.md, "The supervised twin").
"""

import math
from typing import NamedTuple

import numpy as np

from ...alignment import alignment
from ...compute.streams import generator
from ...compute.workspace import Workspace
from ...errors import InvalidInput, TrainingDiverged
from ...recording.resources import check_memory
from ...training import init, step
from .label_noise import label_noise, require_noiseless_labels
from .supervised import first_stage, not_told

# Numbers in the samples times neurons that a prediction may take, and the c that are tried.
_MOST_WORK, _COARSER = 2e10, (4, 8)
# The largest network, and n_tasks · d², for which the recursion is quick.
_LARGEST, _MOST_NUMBERS = 1024, 1 << 21
# Position of this module's draws in the "theory" stream of a seed.
_STREAM = 13


class Taught(NamedTuple):
    """The predicted course of a supervised run.

    Attributes
    ----------
    stage_two : float
        Step at which stage I ends; infinite where the run is too short.
    dense_share : float
        ‖β‖²/‖w‖² over all neurons then, from the recursion.
    label_noise : float
        Median of ‖β_i‖²/‖w_i‖² that labels sustain at the end; nan where a coarser run takes too long.
    """

    stage_two: float
    dense_share: float
    label_noise: float


def taught(experiment):
    """Return the `Taught` of a supervised experiment, or None where it is not predicted."""
    if not_taught(experiment):
        return None
    two, share = first_stage(experiment)
    return Taught(two, share, _sustained(experiment, two))


def not_taught(experiment):
    """Return why the course of a supervised experiment is not predicted, or None."""
    exp = experiment
    try:
        require_noiseless_labels(exp)
    except InvalidInput as problem:
        return f"what labels teach is not derived for {problem.field} = {problem.value}"
    try:
        check_memory(exp)
    except InvalidInput:
        return "it does not fit in memory"
    if few_tasks(exp):
        return few_tasks(exp)
    if exp.n_neurons > _LARGEST or too_many_tasks(exp):
        return f"the recursion takes long beyond {_LARGEST} neurons or n_tasks d² = {_MOST_NUMBERS}"
    return not_told(exp) or None


def few_tasks(experiment):
    """Return why the recursion does not follow stage I where there are fewer tasks than features, or None."""
    if experiment.resolved_n_tasks >= experiment.n_features:
        return None
    return "the few directions of fewer tasks than features do not average the batches' noise"


def too_many_tasks(experiment):
    """Return whether the signal in the labels of an experiment takes more than seconds to sum up."""
    return experiment.resolved_n_tasks * experiment.n_features**2 > _MOST_NUMBERS


def coarser(experiment, factor, stage_two=math.inf):
    """Return an experiment with c times the learning rate that takes the same course; see the module.

    Parameters
    ----------
    experiment : Experiment
    factor : int
        c.
    stage_two : float
        Step at which stage I of the experiment itself ends.
    """
    exp = experiment
    d, d1 = exp.n_features, exp.resolved_noise_inputs
    inputs = d + math.ceil((d1 - d) / factor)
    steps = math.ceil(stage_two / factor) if math.isfinite(stage_two) else None
    return exp.replace(
        n_inputs=inputs,
        # The same start along M.
        initial_norm=exp.initial_norm * math.sqrt(inputs / exp.n_inputs),
        learning_rate=factor * exp.learning_rate,
        n_steps=exp.n_steps // factor,
        bias_growth=exp.resolved_bias_growth**factor,
        stage_one_growth=None,
        stage_one_steps=steps,
        dense="explicit",
        noise_inputs=None,
        n_samples=None,
    )


def _sustained(experiment, stage_two):
    """The median dense share that labels sustain at the end, nan where it takes too long to tell."""
    for factor in _COARSER:
        exp = coarser(experiment, factor, stage_two)
        work = exp.n_steps * exp.batch_size * exp.n_neurons * exp.n_inputs
        if work <= _MOST_WORK:
            break
    else:
        return math.nan
    state, memory = init(exp), Workspace()
    try:
        for _ in range(exp.n_steps):
            state = step(state, work=memory)
    except TrainingDiverged:
        return math.nan
    rng = generator(exp.seed, "theory", _STREAM)
    dense = label_noise(
        exp, state.model, state.weights, state.biases, state.parameters["head"], exp.n_steps, rng
    )
    sparse = np.square(alignment(state.weights, state.model.dictionary), dtype=np.float64).sum(
        axis=1
    )
    return float(np.median(dense / np.maximum(dense + sparse, 1e-300)))
