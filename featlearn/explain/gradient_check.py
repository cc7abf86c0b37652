"""What the gradient says about the loss, held against the loss itself.

With the stop-gradient, what training follows is not the derivative of the loss: it is the
derivative with the features of the keys and of the negatives held where they are. Both readings are
kept apart here.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..batches import draw_batch
from ..network import features, forward
from ..rules import integer, number, require
from ..training import evaluate

# Multiplications that the check may spend on the differences of all coordinates together.
_BUDGET = 10**9


@dataclass(frozen=True)
class LossChange:
    """A change of the loss on one batch, and what first order predicts of it.

    Attributes
    ----------
    before, after : float
    predicted : float
        ⟨∂L/∂W, ΔW⟩, to be compared with after - before.
    """

    before: float
    after: float
    predicted: float

    @property
    def actual(self):
        """after - before."""
        return self.after - self.before


@dataclass(frozen=True)
class GradientCheck:
    """The gradient of the weights against central differences of the loss.

    Attributes
    ----------
    largest : float
        Largest |hand-derived - difference| over the coordinates compared.
    scale : float
        Largest |∂L/∂W| among them.
    compared : int
        Number of coordinates compared.
    kinks : int
        Coordinates left out because a neuron switches on or off between the two points.
    """

    largest: float
    scale: float
    compared: int
    kinks: int


def held_loss(state, batch):
    """Return the loss of a batch as a function of the weights, the way the gradient sees it.

    With stop-gradient the features of keys and negatives stay those of the state, whatever weights
    the function is given; without it they follow. The function also returns the active sets that the
    gradient passes through.
    """
    objective, views = state.objective, batch.views
    if not objective.stop_gradient:

        def loss(weights):
            gradient = evaluate(dataclasses.replace(state, weights=weights), batch)
            return gradient.loss, tuple(term.activations.active for term in gradient.terms)

        return loss

    def see(x):
        return None if x is None else features(state.weights, state.biases, x)

    held = see(views.anchors), see(views.keys), see(batch.negatives)

    def loss(weights):
        parts = [forward(weights, state.biases, views.anchors)]
        if objective.symmetric:
            parts.append(forward(weights, state.biases, views.keys))
        moved = (*(part.features for part in parts), None)
        return objective.loss(moved, held, state.parameters, batch.labels), tuple(
            part.active for part in parts
        )

    return loss


def loss_changes(state, after, batch, gradient):
    """Return the three comparisons of an update's loss on its own batch.

    Parameters
    ----------
    state, after : TrainingState
        Before and after the update.
    batch : Batch
    gradient : ContrastiveGradient
        That of the state on the batch.

    Returns
    -------
    loss : LossChange
        With the new weights in both views, the biases as before; first order predicts nothing where
        the objective is defined with held keys only.
    held : LossChange or None
        With the features of keys and negatives held; None without stop-gradient.
    next_loss : float
        With the new weights and the new biases.
    """
    objective, change = state.objective, after.weights - state.weights
    next_loss = evaluate(after, batch).loss
    moved = dataclasses.replace(after, biases=state.biases, parameters=state.parameters)
    moved = evaluate(moved, batch).loss
    predicted, held = float(np.vdot(gradient.weights, change)), None
    if objective.stop_gradient:
        held_prediction, predicted = predicted, math.nan
        if dataclasses.is_dataclass(objective) and "stop_gradient" in vars(objective):
            both = dataclasses.replace(objective, stop_gradient=False).gradient(
                state.weights, state.biases, batch, state.parameters
            )
            predicted = float(np.vdot(both.weights, change))
        held = LossChange(
            gradient.loss,
            held_loss(state, batch)(after.weights)[0],
            held_prediction,
        )
    return LossChange(gradient.loss, moved, predicted), held, next_loss


def check_gradient(state, step_size=1e-5, coordinates=None):
    """Compare the gradient of a state's next update with central differences, in float64.

    ∂L/∂W_ik ≈ (L(W_ik + ε) - L(W_ik - ε)) / 2ε, with the keys and negatives held where training
    stops the gradient.

    Parameters
    ----------
    state : TrainingState
    step_size : float > 0
        ε, in units of the largest weight.
    coordinates : int ≥ 1, optional
        How many of the m·d1 to compare, evenly spread, all where there are no more; by default at
        most 200, and fewer, but at least 10, where an evaluation of the loss is costly.

    Returns
    -------
    GradientCheck

    Notes
    -----
    Standard finite differences: truncation O(ε²), rounding O(1e-16 L/ε).
    """
    step_size = require("step_size", step_size, number(0, open_low=True))
    if coordinates is not None:
        coordinates = require("coordinates", coordinates, integer(1))
    batch = _double(draw_batch(state))
    weights = state.weights.astype(np.float64)
    state = dataclasses.replace(
        state,
        weights=weights,
        biases=state.biases.astype(np.float64),
        parameters={name: p.astype(np.float64) for name, p in state.parameters.items()},
    )
    loss, gradient = held_loss(state, batch), evaluate(state, batch).weights
    if coordinates is None:
        cost = len(batch.views.anchors) * len(weights) * (weights.shape[1] + len(batch.views.keys))
        coordinates = min(max(_BUDGET // cost, 10), 200)
    epsilon = step_size * (np.abs(weights).max() or 1.0)
    chosen = np.unique(np.linspace(0, weights.size - 1, min(coordinates, weights.size)).astype(int))
    differences, kinks = [], 0
    for index in chosen:
        ends = []
        for sign in (1, -1):
            moved = weights.copy()
            moved.flat[index] += sign * epsilon
            ends.append(loss(moved))
        (high, active), (low, active_too) = ends
        if not all(map(np.array_equal, active, active_too)):
            kinks += 1
            continue
        differences.append(gradient.flat[index] - (high - low) / (2 * epsilon))
    return GradientCheck(
        largest=float(np.abs(differences).max()) if differences else float("nan"),
        scale=float(np.abs(gradient.flat[chosen]).max()),
        compared=len(differences),
        kinks=kinks,
    )


def _double(batch):
    """The same batch in float64."""
    views = batch.views
    anchors = views.anchors.astype(np.float64)
    keys = anchors if views.keys is views.anchors else views.keys.astype(np.float64)
    negatives = batch.negatives
    if negatives is not None:
        negatives = negatives.astype(np.float64)
    labels = None if batch.labels is None else batch.labels.astype(np.float64)
    views = views._replace(anchors=anchors, keys=keys)
    return batch._replace(views=views, negatives=negatives, labels=labels)
