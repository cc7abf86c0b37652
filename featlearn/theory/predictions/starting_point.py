"""Where the mean field starts: a state of a network as far as its prediction depends on it."""

from typing import NamedTuple

import numpy as np

from ...errors import InvalidInput
from ...schedule import root_mean_square
from ...training import init
from .moments import uniform_attraction
from .view_noise import view_noise


class StartingPoint(NamedTuple):
    """A state as the mean field sees it.

    Attributes
    ----------
    step, stage : int
    alignments : ndarray of shape (m, d)
    dense_gram : ndarray of shape (m, m)
        ⟨β_i, β_l⟩.
    biases : ndarray of shape (m,)
    initial_norm : float
        Root mean square of the norms at step 0, which the end of stage I is measured by.
    """

    step: int
    stage: int
    alignments: np.ndarray
    dense_gram: np.ndarray
    biases: np.ndarray
    initial_norm: float


def starting_point(run, row=None):
    """Return the `StartingPoint` of a recorded row, by default the first of stage II.

    A run records ‖β_i‖ and no ⟨β_i, β_l⟩, which only the repulsion needs. They are put together from
    the initial weights, decayed as in stage I, and sampling noise in the left space of α.

    Raises
    ------
    InvalidInput
        If the run never left stage I.
    """
    if row is None:
        later = np.flatnonzero(np.asarray(run["stage"]) >= 2)
        if len(later) == 0:
            raise InvalidInput("run", "no step of stage II", "a run that reached stage II")
        row = int(later[0])
    alignments = np.array(run["alignment"][row], dtype=np.float64)
    dense_norms = np.array(run["dense_norm"][row], dtype=np.float64)
    return StartingPoint(
        int(run.steps[row]),
        int(run["stage"][row]),
        alignments,
        _estimated_gram(run, int(run.steps[row]), alignments, dense_norms),
        np.array(run["bias"][row], dtype=np.float64),
        root_mean_square(run["weight_norm"][0]),
    )


def _estimated_gram(run, step, alignments, dense_norms):
    experiment = run.experiment
    growth = uniform_attraction(experiment) * view_noise(experiment).shared
    rate = growth - experiment.weight_decay
    inherited = _dense_gram(init(experiment)) * (1 + experiment.learning_rate * rate) ** (2 * step)
    share = np.diag(inherited) / np.maximum(dense_norms**2, np.finfo(float).tiny)
    excess = np.sqrt(np.maximum(share, 1))
    inherited /= np.outer(excess, excess)
    sampled = np.sqrt(np.maximum(dense_norms**2 - np.diag(inherited), 0))
    norms = np.linalg.norm(alignments, axis=1)
    directions = alignments / np.where(norms > 0, norms, 1.0)[:, None]
    gram = inherited + np.outer(sampled, sampled) * (directions @ directions.T)
    np.fill_diagonal(gram, dense_norms**2)
    return gram


def starting_point_of_state(state):
    """Return the `StartingPoint` of a `TrainingState`."""
    return StartingPoint(
        state.step,
        state.stage,
        np.asarray(state.weights @ state.model.dictionary, dtype=np.float64),
        _dense_gram(state),
        np.asarray(state.biases, dtype=np.float64),
        state.initial_norm,
    )


def _dense_gram(state):
    weights, dictionary = state.weights.astype(np.float64), state.model.dictionary
    dense = weights - (weights @ dictionary) @ dictionary.T
    return dense @ dense.T
