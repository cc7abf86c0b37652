"""Losses of normalised features: at what rate they move weights, and how long that takes to select.

Of u = h/n a pull is 1/n of it on h, for a sample's norm, n² = ‖h‖² + ε², or a neuron's over the batch, n² = E h_i². So
along one direction weights move at 1/n² of the rate η of plain inner products, against λn² of decay, n² times m
where a loss is a mean over neurons (derived: featlearn/theory/derivation.md, "Other objectives").
"""

import dataclasses

import numpy as np

from ... import training
from ...network import features
from ...objectives.no_negatives import NEURON_FLOOR, unit_neurons
from ..predictions.crossing import limiting_ratio
from ..predictions.feature_drift import feature_moments
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


def own_rates(observed):
    """Return η/(m n⁺n⁺⁺) of the median neuron at each row and its wᵀCw/wᵀC₁w, two ndarrays of shape (T,), at b = 0.

    n⁺² = E h_i² of the anchors, which are normalised once more, and n⁺⁺² = E h_i² + ε² of the keys.
    """
    run, exp, along = observed.run, observed.experiment, feature_moments(observed.experiment)
    views = view_moments(exp)
    sparse = np.square(run["alignment"], dtype=np.float64)
    dense = np.square(run["dense_norm"], dtype=np.float64)
    cross, anchor, key = (
        sparse @ of_features + of_noise * dense
        for of_features, of_noise in zip(
            along, (views.cross.dense, views.anchor.dense, views.key.dense)
        )
    )
    squares = np.median(np.sqrt(anchor * (key + NEURON_FLOOR**2)), axis=1)
    return exp.learning_rate / (exp.n_neurons * squares), np.median(cross / anchor, axis=1)


def own_time(observed):
    """Return Σ η/(m n⁺n⁺⁺) over the steps until each row, see `own_rates`, ndarray (T,)."""
    rate = own_rates(observed)[0][:-1]
    return np.append(0.0, np.cumsum(rate * np.diff(observed.run.steps)))


def sustained(observed):
    """Return what batches sustain of ‖w_i‖² beside a neuron's atom, relative to it; the median of the neurons.

    With C the coefficient of a sample in a neuron's update, the normalisation within, a direction of variance v gets
    η² v E[C²]/B in a step, and keeps it for 1/(2η E[C z]/α) steps (derived: featlearn/theory/derivation.md, "Other
    objectives").
    """
    run, exp, views = observed.run, observed.experiment, view_moments(observed.experiment)
    state, atom = training.init(exp), observed.cosine.argmax(axis=1)
    along = observed.alignments[np.arange(exp.n_neurons), atom].astype(np.float64)
    power = pull = 0.0
    for step in range(BATCHES):
        batch = training.draw_batch(dataclasses.replace(state, step=step))
        h, k = (
            features(run.weights, run.biases, x).astype(np.float64)
            for x in (batch.views.anchors, batch.views.keys)
        )
        (h, size), (k, _) = unit_neurons(h, NEURON_FLOOR), unit_neurons(k, NEURON_FLOOR)
        # A neuron is active where its output is not 0.
        C = (k - h * np.mean(h * k, axis=0)) / (exp.n_neurons * size) * (h != 0)
        power = power + np.mean(C**2, axis=0) / BATCHES
        pull = pull + np.mean(C * batch.sample.latents[:, atom], axis=0) / BATCHES
    variance = (exp.n_inputs - exp.n_features) * views.anchor.dense
    variance += (exp.n_features - 1) * views.anchor.sparse
    ratio = exp.learning_rate * variance * power / (2 * exp.batch_size)
    return float(np.median(ratio / np.maximum(pull * along, 1e-300)))
