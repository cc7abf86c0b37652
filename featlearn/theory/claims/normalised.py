"""Losses of normalised features: at what rate they move weights, and how long that takes to select.

Of u = h/n a pull is 1/n of it on h, for a sample's norm, n² = ‖h‖² + ε², or a neuron's over the batch, n² = E h_i². So
along one direction weights move at 1/n² of the rate η of plain inner products, against λn² of decay, n² times m
where a loss is a mean over neurons (derived: featlearn/theory/derivation.md, "Other objectives").
"""

import dataclasses

import numpy as np

from ... import training
from ...network import features
from ..predictions.crossing import limiting_ratio
from ..predictions.moments import view_moments
from ..predictions.on_sphere import as_pairs, square_at_start

# Batches that norms at the end are means over.
BATCHES = 8
# Dense over sparse part of ‖w‖² that noise makes by the norms late in a run: with .17 the bound of T1 held on
# "tiny", with .28 it did not.
MOST_DENSE = 0.2
# e-folds of a lone feature's pull, 2ηs/n² a step, after which every atom of "tiny" had a pure neuron: 18-22.
SELECTS = 22


def rated_at_end(observed):
    """Return the experiment of plain inner products with the rate and the noise of a run at its end.

    A sample pulls by k_i/(n n') with n and n' the norms of its views. What holds a feature moves weights at the rate
    ηρ, ρ = E[1/(n n') | z ≠ 0]; noise, a mean of squares, is that of a batch smaller by E[‖k‖²/(n n')²]/(ρ² E‖k‖²): a
    faint sample, without a feature, pulls as hard as any other.
    """
    run, exp = observed.run, observed.experiment
    state, found = training.init(exp), []
    for step in range(BATCHES):
        batch = training.draw_batch(dataclasses.replace(state, step=step))
        views = batch.views.anchors, batch.views.keys
        both = [np.square(features(run.weights, run.biases, x)).sum(axis=1) for x in views]
        found.append(np.array([*both, batch.sample.latents.any(axis=1)], np.float64))
    anchors, keys, held = np.concatenate(found, axis=1)
    squares = (anchors + exp.embedding_floor**2) * (keys + exp.embedding_floor**2)
    rate = np.mean(1 / np.sqrt(squares[held > 0]))
    noise = np.mean(keys / squares) / (rate**2 * np.mean(keys))
    return as_pairs(exp, 1 / rate).replace(batch_size=max(round(exp.batch_size / noise), 2))


def dense_on_sphere(observed):
    """Return why sampling noise may keep neurons dense at the end of a run, or nothing."""
    ratio = limiting_ratio(rated_at_end(observed))
    if ratio <= MOST_DENSE:
        return ""
    return (
        f"with the norms at the end sampling noise would make ‖β‖² {ratio:.2g} of ‖α‖² in stage I, more than"
        f" {MOST_DENSE}, faint samples pulling as hard as others: raise ε or B, or lower η"
    )


def not_selected_on_sphere(observed):
    """Return why features that lost a neuron may still be in it, or nothing."""
    exp, row = observed.experiment, observed.first_row_of(2)
    steps = float(observed.run.steps[-1] - observed.run.steps[row])
    pulled = 2 * exp.learning_rate / square_at_start(exp) * view_moments(exp).cross.sparse * steps
    if pulled >= SELECTS:
        return ""
    return (
        f"stages II and III lasted {pulled:.2g} e-folds of a feature's pull; neurons select within"
        f" {SELECTS}"
    )


def own_time(observed):
    """Return Σ η/(m n²) over the steps until each row, n² = E h_i² of the median neuron at b = 0, ndarray (T,)."""
    run, exp, views = observed.run, observed.experiment, view_moments(observed.experiment)
    sparse = np.square(run["alignment"], dtype=np.float64).sum(axis=2)
    dense = np.square(run["dense_norm"], dtype=np.float64)
    squares = np.median(views.anchor.sparse * sparse + views.anchor.dense * dense, axis=1)
    rate = exp.learning_rate / (exp.n_neurons * squares[:-1])
    return np.append(0.0, np.cumsum(rate * np.diff(run.steps)))


def rated_neurons(observed, row):
    """Return `as_pairs` of a run whose neurons are normalised over the batch, at a row."""
    time, steps = own_time(observed), observed.run.steps
    exp = observed.experiment
    rate = (time[row] - time[row - 1]) / float(steps[row] - steps[row - 1])
    return as_pairs(exp, exp.learning_rate / rate)
