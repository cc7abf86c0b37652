"""The loss, its softmax and one update by their definitions, and runs held against them.

`naive` is written a second time, from the paper's formulas and the chain rule in plain float64, and
shares no code with the simulator that it is held against. All presets have τ = 1, where a misplaced
temperature cannot be seen: so evaluation is compared at 2τ too.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ... import training
from ...network import features
from .claim import claim
from .verdict import at_most, does_not_apply, within

CLAIM = "definitions"


class Naive(NamedTuple):
    """One batch by the definitions.

    Attributes
    ----------
    loss, positive_probability : float
        Means over the anchors.
    active_fraction : ndarray of shape (m,)
    gradient : ndarray of shape (m, d1)
        ∂L/∂W, through the arguments of the similarity that it passes through.
    """

    loss: float
    positive_probability: float
    active_fraction: np.ndarray
    gradient: np.ndarray


def naive(weights, biases, batch, temperature, stop_gradient):
    """Return the `Naive` of a batch.

    Parameters
    ----------
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,)
    batch : Batch
    temperature : float
    stop_gradient : bool
    """
    w, b = np.asarray(weights, np.float64), np.asarray(biases, np.float64)
    n, tau = len(batch.views.anchors), temperature

    def respond(x):
        """ReLU(u - b) - ReLU(-u - b), and where a neuron is active."""
        u = np.asarray(x, np.float64) @ w.T
        return np.maximum(u - b, 0) - np.maximum(-u - b, 0), np.abs(u) >= b

    h, h_on = respond(batch.views.anchors)
    keys, keys_on = respond(batch.views.keys)
    # Column 0 is the positive, the others are the negatives.
    others, others_on = (keys, keys_on) if batch.negatives is None else respond(batch.negatives)
    similarity = np.sum(h * keys, axis=1, keepdims=True)
    to_others = h @ others.T
    if batch.negatives is None:
        to_others[np.arange(n), np.arange(n)] = -np.inf
    s = np.hstack([similarity, to_others]) / tau
    s -= s.max(axis=1, keepdims=True)
    p = np.exp(s)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    loss = -tau * (s[:, 0] - np.log(total[:, 0]))
    # -τ ∂ log P_p0/∂S_pq, and S = ⟨h, key⟩/τ.
    pull = tau * p / tau / n
    pull[:, 0] -= 1 / n
    to_h = pull[:, :1] * keys + pull[:, 1:] @ others
    gradient = (to_h * h_on).T @ np.asarray(batch.views.anchors, np.float64)
    if not stop_gradient:
        to_keys, to_negatives = pull[:, :1] * h, pull[:, 1:].T @ h
        if batch.negatives is None:
            to_keys = to_keys + to_negatives
        else:
            to_negatives = (to_negatives * others_on).T
            gradient += to_negatives @ np.asarray(batch.negatives, np.float64)
        gradient += (to_keys * keys_on).T @ np.asarray(batch.views.keys, np.float64)
    return Naive(float(loss.mean()), float(p[:, 0].mean()), h_on.mean(axis=0), gradient)


@claim(CLAIM)
def claim_definitions(observed):
    """Hold recorded rows, and loss, gradient and update as the code computes them, against these."""
    return [*recorded_rows(observed), *against_definitions(observed)]


def recorded_rows(observed):
    """Compare loss, P_pp and active fractions of the rows at kept states with the definitions."""
    names = (
        "recorded loss over the loss",
        "recorded P_pp over P_pp",
        "recorded active fractions, how far from the counted ones",
    )
    unmet = another_loss(observed[0].experiment)
    states = [o.states for o in observed]
    if unmet or not all(states):
        reason = unmet or "no state is kept at a recorded row"
        return [does_not_apply(CLAIM, name, reason) for name in names]
    found = []
    for o, kept in zip(observed, states):
        rows = []
        for row, state in kept:
            exp, batch = state.experiment, training.draw_batch(state)
            by = naive(state.weights, state.biases, batch, exp.temperature, exp.stop_gradient)
            active = np.abs(np.asarray(o.run["active_fraction"][row]) - by.active_fraction)
            rows.append(
                (
                    _ratio(o.run["loss"][row], by.loss),
                    _ratio(o.run["positive_probability"][row], by.positive_probability),
                    float(active.max()),
                )
            )
        loss, probability, active = np.array(rows).T
        found.append((_farthest(loss), _farthest(probability), active.max()))
    loss, probability, active = zip(*found)
    why = f"the worst of {sum(map(len, states))} kept states; rounding of single precision"
    one = 2 / observed[0].experiment.batch_size
    return [
        within(CLAIM, names[0], 1.0, loss, 1e-3, why),
        within(CLAIM, names[1], 1.0, probability, 2e-3, why),
        at_most(CLAIM, names[2], one, active, "two anchors within rounding of a threshold"),
    ]


def against_definitions(observed):
    """Compare evaluated loss, gradient and update with the definitions, at τ and at 2τ.

    The weights are those of `update_of`, with thresholds where the run has none.
    """
    names = (
        "loss at τ and 2τ over the loss",
        "gradient at τ and 2τ, how far from ∂L/∂W",
        "update, how far from (1-ηλ) w - η ∂L/∂w",
    )
    unmet = another_loss(observed[0].experiment)
    if unmet:
        return [does_not_apply(CLAIM, name, unmet) for name in names]
    losses, gradients, updates = [], [], []
    for o in observed:
        state = strong_state(o)
        if not state.biases.any():
            biases = 0.5 * state.experiment.bias_cap * state.weight_norms
            state = dataclasses.replace(state, biases=biases)
        ratios, apart = [], []
        for factor in (1, 2):
            tau = factor * state.experiment.temperature
            hot = dataclasses.replace(state, experiment=state.experiment.replace(temperature=tau))
            batch = training.draw_batch(hot)
            by = naive(hot.weights, hot.biases, batch, tau, hot.experiment.stop_gradient)
            gradient = training.evaluate(hot, batch)
            ratios.append(_ratio(gradient.loss, by.loss))
            apart.append(_apart(gradient.weights, by.gradient))
            if factor == 1:
                exp = hot.experiment
                decayed = (1 - exp.learning_rate * exp.weight_decay) * hot.weights
                new = decayed - exp.learning_rate * by.gradient
                made = training.step(hot).weights
                updates.append(_apart(made - hot.weights, new - hot.weights))
        losses.append(_farthest(np.array(ratios)))
        gradients.append(max(apart))
    why = "the definition in plain float64, relative to the largest entry; rounding"
    verdicts = [
        within(CLAIM, names[0], 1.0, losses, 1e-6, "the definition in plain float64; rounding"),
        at_most(CLAIM, names[1], 1e-6, gradients, why),
    ]
    return [*verdicts, at_most(CLAIM, names[2], 1e-6, updates, why)]


def another_loss(experiment):
    """Why the definitions written out in `naive` are not those of an experiment, or nothing."""
    if getattr(experiment, "objective", "infonce") != "infonce":
        return f"another loss, {experiment.objective}"
    if getattr(experiment, "negative_groups", 1) != 1:
        return "negatives are those of an anchor's own group"
    return ""


def _ratio(value, expected):
    if value == expected:
        return 1.0
    return float(value) / expected if expected else math.inf


def _farthest(ratios):
    """The one that is farthest from 1."""
    return float(ratios[np.argmax(np.nan_to_num(np.abs(ratios - 1), nan=np.inf))])


def _apart(found, expected):
    scale = max(float(np.abs(expected).max()), np.finfo(np.float64).tiny)
    return float(np.abs(found - expected).max() / scale)


def strong_state(observed):
    """The state at the last weights, scaled so that the mean similarity of positives is 2τ."""
    state = _scaled_state(observed, 1.0)
    views = training.draw_batch(state).views
    h = [features(state.weights, state.biases, x) for x in (views.anchors, views.keys)]
    similarity = abs(np.mean(np.einsum("pi,pi->p", *h))) / state.experiment.temperature
    return _scaled_state(observed, math.sqrt(2 / similarity)) if similarity > 0 else state


def _scaled_state(observed, scale):
    """The state of training at the last weights, times `scale`, in double precision.

    A Gram matrix of dense parts gets no outer noise, so that its factor stays what a step makes it.
    """
    exp, run = observed.experiment.replace(dtype="float64"), observed.run
    if exp.dense == "gram":
        exp = exp.replace(noise_inputs=exp.n_columns)
    weights = scale * run.weights.astype(np.float64)
    return dataclasses.replace(
        training.init(exp),
        step=int(run.steps[-1]),
        weights=weights,
        biases=scale * run.biases.astype(np.float64),
        weight_norms=np.linalg.norm(weights, axis=1),
        parameters={name: p.astype(np.float64) for name, p in run.parameters.items()},
    )
