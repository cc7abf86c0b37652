"""Stage III: attraction against repulsion and decay, and where they balance in a pure network.

Neurons on one atom M_j that have one threshold ratio ϱ = b/‖w‖ are copies of each other: on a view
x they put out ‖w_i‖ y_j, y = h_ϱ(⟨M_j, x⟩) for a unit neuron. With A = Σ_i ‖w_i‖²/τ for each atom,
a similarity over τ is A Σ_j y_j y'_j, and A is where

    E[ ((1 - P_pp) y' - Σ_q P_pq y'_q) u 1{|u| ≥ ϱ} ] = λ

along an atom. Nothing else of the network enters, and d1 only through the noise of the u_j.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from ...alignment import alignment
from ...compute.streams import generator
from ...errors import InvalidInput
from ...loss import contrast
from ...state import make_model
from ...training import evaluate, init
from ...views import augmentation_of
from .saturation import SQRT_2_PI
from .view_noise import view_noise

# Enough for 2 % of either force.
_DRAWS = 150_000
# Atoms of a batch for which growth is measured; they are all alike.
_ATOMS = 4
# d1/d from which on what a mask does to single atoms is lost in that.
_LARGE = 64
# Position of this module's draws in the "theory" stream of a seed.
_STREAM = 6


class Forces(NamedTuple):
    """What moves the alignments, per unit of learning rate; decay, -λ α, aside.

    Attributes
    ----------
    attraction, repulsion : ndarray of shape (m, d)
        The positive and the negative part of dα_ij/dt.
    """

    attraction: np.ndarray
    repulsion: np.ndarray


def forces_of(gradient, dictionary):
    """Return the `Forces` of one batch's `ContrastiveGradient` on all alignments."""
    return Forces(
        -alignment(gradient.positive, dictionary), -alignment(gradient.negative, dictionary)
    )


class Balance(NamedTuple):
    """State of a network in stage III; means over its atoms.

    Attributes
    ----------
    strength : float
        Σ_i α_ij²/τ over the atom's own neurons.
    attraction, repulsion : float
        Rates of the two along an atom, relative to α.
    similarity : float
        E⟨f(x⁺), f(x⁺⁺)⟩/τ.
    positive_probability : float
        E P_pp.
    """

    strength: float
    attraction: float
    repulsion: float
    similarity: float
    positive_probability: float


@functools.lru_cache(maxsize=16)
def pure_balance(experiment, threshold, cosine=1.0):
    """Return the `Balance` in which a network of pure neurons comes to rest.

    Parameters
    ----------
    experiment : Experiment
        With a weight decay.
    threshold : float ≥ 0
        ϱ = b/‖w‖ of the neurons.
    cosine : float in (0, 1]
        That of the neurons with their atoms.

    Returns
    -------
    Balance
        Its strength is c² A, c the cosine; 0 where decay outdoes even the attraction of a network
        without similarities.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage III balance". Expectations are means over
    drawn batches of the experiment's size and of its softmax, the same draws at every strength.
    """
    decay = experiment.weight_decay
    if decay <= 0:
        raise InvalidInput("weight_decay", decay, "a number > 0, for norms that come to rest")
    batches = _draw_features(experiment, threshold, cosine)

    def excess(strength):
        state = _state(batches, strength)
        return state.attraction - state.repulsion - decay

    weakest = 1e-6
    if excess(weakest) <= 0:
        return _state(batches, 0.0)
    strongest = 1.0
    while excess(strongest) > 0:
        strongest *= 2
    found = _state(batches, brentq(excess, weakest, strongest, rtol=2e-3))
    return found._replace(strength=cosine**2 * found.strength)


class Sustained(NamedTuple):
    """What the noise of batches keeps alive of a pure neuron, relative to its ‖α_ij‖² along its atom.

    Attributes
    ----------
    dense : float
        ‖β_i‖².
    off_support : float
        α_ik² of each other atom.
    """

    dense: float
    off_support: float


def sustained_noise(experiment, threshold):
    """Return the `Sustained` of a network of pure neurons at its balance.

    Parameters
    ----------
    experiment : Experiment
        With a weight decay.
    threshold : float ≥ 0
        ϱ = b/‖w‖.

    Returns
    -------
    Sustained
        Infinite where nothing makes noise decay.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage III balance": with a neuron's coefficient C on a
    sample, a direction of variance v besides its atom gains η² v E[C²]/B a step and loses the part 2η (λ -
    E[C e]), e the noise of u.
    """
    exp, views = experiment, view_noise(experiment)
    batches = _draw_features(exp, threshold, 1.0)
    strength = pure_balance(exp, threshold).strength
    power = gain = 0.0
    for batch in batches:
        coefficient = _coefficients(batch, strength)[1] * (batch.response != 0)
        power += np.mean(np.square(coefficient)) / len(batches)
        gain += np.mean(coefficient * batch.noise) / len(batches)
    loss = exp.weight_decay - float(gain)
    if loss <= 0:
        return Sustained(np.inf, np.inf)
    unit = exp.learning_rate * float(power) / (2 * exp.batch_size * loss)
    # C z_k is the same in both halves of a pair, and so half as many samples count.
    pairs = 2 if exp.batches == "paired" else 1
    along = (views.density + views.anchor) * pairs
    return Sustained(unit * views.anchor * exp.noise_directions, unit * along)


def growth_apart(experiment, threshold):
    """Return the rate at which a pure neuron takes up a second atom, on its own.

    Parameters
    ----------
    experiment : Experiment
        With in-batch negatives.
    threshold : float ≥ 0
        ϱ = b/‖w‖.

    Returns
    -------
    float
        Of ln |α_ik| per unit of η t, to first order in α_ik, for a neuron that departs from the others on
        its atom in a pure network at its balance. Where it is positive, purity does not last.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage III balance".
    """
    exp, spread = experiment, np.sqrt(view_noise(experiment).anchor)
    strength, rates = pure_balance(exp, threshold).strength, []
    for batch in _draw_features(exp, threshold, 1.0):
        contrasted = _coefficients(batch, strength)[0]
        for j in range(min(exp.n_features, _ATOMS)):
            answer = (batch.keys[:, j, None] != 0) * batch.seen_keys
            pull = contrasted.attraction[:, None] * answer - contrasted.repulsion @ answer
            active = batch.anchors[:, j, None] != 0
            # An anchor at the threshold puts out nothing.
            silent = batch.anchors.copy()
            silent[:, j] = 0
            coefficient = _coefficients(batch._replace(anchors=silent), strength)[1][:, j]
            above, below = (
                np.exp(-np.square((at - batch.latents[:, j]) / spread) / 2) / (SQRT_2_PI * spread)
                for at in (threshold, -threshold)
            )
            crossing = coefficient * (above - below)
            gain = active * batch.seen * pull + crossing[:, None] * np.square(batch.seen)
            rates.append(np.delete(gain.mean(axis=0), j).mean())
    return float(np.mean(rates)) - exp.weight_decay


class _Features(NamedTuple):
    """One batch of a pure network: what one unit neuron per atom makes of it, (n, d) each.

    `seen` and `seen_keys` are the preactivations of the views, `anchors` and `keys` the outputs.
    """

    latents: np.ndarray
    seen: np.ndarray
    seen_keys: np.ndarray
    response: np.ndarray
    noise: np.ndarray
    anchors: np.ndarray
    keys: np.ndarray
    negatives: np.ndarray | None


def _draw_features(experiment, threshold, cosine):
    n, d = experiment.group_size, experiment.n_features
    rng = generator(experiment.seed, "theory", _STREAM)
    draw = _view_drawer(experiment, rng)

    def output(u):
        return np.sign(u) * np.maximum(np.abs(u) - threshold, 0)

    batches = []
    for _ in range(max(4, -(-_DRAWS // (n * d)))):
        latents, anchor_noise, key_noise = draw(n)
        anchors, keys = cosine * latents + anchor_noise, cosine * latents + key_noise
        separate, negatives = experiment.negatives != "in_batch", None
        if separate:
            z, _, noise = draw(experiment.negatives)
            negatives = output(cosine * z + noise)
        # What an active neuron gains along its atom, of which its cosine is a part.
        along = (anchors - anchor_noise) / cosine**2 + anchor_noise
        response = along * (np.abs(anchors) >= threshold)
        outputs = output(anchors), output(keys), negatives
        batches.append(_Features(latents, anchors, keys, response, anchor_noise, *outputs))
    return batches


def _view_drawer(experiment, rng):
    """Return a function of n that draws z and the noise of both views along the atoms, (n, d) each.

    A mask makes the noise of the atoms depend on each other and on z, to the order of d/d1: it is that of masked
    samples where d1 is not large, and elsewhere Gaussian.
    """
    if experiment.dense != "gram" and experiment.n_inputs <= _LARGE * experiment.n_features:
        model, augmentation = make_model(experiment), augmentation_of(experiment)

        def masked(n):
            sample = model.sample(rng, n)
            views = augmentation.pair(rng, sample, model)[:2]
            z = np.asarray(sample.latents, np.float64)
            return z, *(np.asarray(x @ model.dictionary, np.float64) - z for x in views)

        return masked
    views, d = view_noise(experiment), experiment.n_features
    correlation = views.shared / np.sqrt(views.anchor * views.key) if views.anchor > 0 else 0.0

    def gaussian(n):
        z = np.sign(rng.standard_normal((n, d))) * (rng.random((n, d)) < views.density)
        first, own = rng.standard_normal((2, n, d))
        second = correlation * first + np.sqrt(max(1 - correlation**2, 0)) * own
        return z, np.sqrt(views.anchor) * first, np.sqrt(views.key) * second

    return gaussian


def _coefficients(batch, strength):
    """The contrast of a batch, and C = (1 - P_pp) y' - Σ_q P_pq y'_q of every unit neuron, (n, d)."""
    others = batch.keys if batch.negatives is None else batch.negatives
    separate = None if batch.negatives is None else strength * others
    result = contrast(batch.anchors, strength * batch.keys, 1.0, separate)
    return result, result.attraction[:, None] * batch.keys - result.repulsion @ others


def _state(batches, strength):
    total = np.zeros(4)
    for batch in batches:
        result, coefficient = _coefficients(batch, strength)
        attracted = result.attraction[:, None] * batch.keys
        pull = np.mean(attracted * batch.response)
        push = np.mean((attracted - coefficient) * batch.response)
        similarity = strength * np.einsum("pj,pj->p", batch.anchors, batch.keys).mean()
        total += pull, push, similarity, result.positive_probability.mean()
    return Balance(strength, *(float(value) for value in total / len(batches)))


class Measured(NamedTuple):
    """The balance that a run has reached, and each learned atom's own.

    Attributes
    ----------
    balance : Balance
        Its forces are those along the atoms of pure neurons.
    ratio : ndarray of shape (k,)
        Repulsion and decay over attraction, for each atom that a pure neuron has.
    total, error : float
        The same of all these atoms together, and its standard error over the batches.
    cosine : float
        Root mean square cosine of the pure neurons with their atoms.
    similarity_error, probability_error : float
        Standard errors of the balance's similarity and probability, relative to them.
    """

    balance: Balance
    ratio: np.ndarray
    total: float
    error: float
    cosine: float
    similarity_error: float
    probability_error: float


def measured_balance(observed, pure=0.9, n_batches=8):
    """Measure the forces and similarities of a run's last weights on fresh batches.

    Parameters
    ----------
    observed : Observed
    pure : float
        Cosine from which a neuron counts as pure.
    n_batches : int
        Of the experiment's size.

    Returns
    -------
    Measured
        Forces along an atom are summed over its pure neurons, weighted with α_ij.
    """
    run, exp = observed.run, observed.experiment
    cosine, alignments = observed.cosine, np.asarray(observed.alignments, np.float64)
    best = cosine == cosine.max(axis=1, keepdims=True)
    own = best & (cosine >= pure)
    # Steps beyond the last have batches that training never saw.
    state = dataclasses.replace(init(exp), weights=run.weights, biases=run.biases)
    pull, push, similarity, probability = [], [], [], []

    def along_atoms(force):
        return np.sum(np.where(own, force * alignments, 0.0), axis=0, dtype=np.float64)

    for k in range(n_batches):
        gradient = evaluate(dataclasses.replace(state, step=exp.n_steps + k))
        forces = forces_of(gradient, run.dictionary)
        pull.append(along_atoms(forces.attraction))
        push.append(-along_atoms(forces.repulsion))
        term = gradient.terms[0]
        inner = np.einsum("pi,pi->p", term.activations.features, term.partners)
        similarity.append(inner.mean(dtype=np.float64) / exp.temperature)
        probability.append(gradient.contrast.positive_probability.mean(dtype=np.float64))
    learned = own.any(axis=0)
    pull, push = np.array(pull)[:, learned], np.array(push)[:, learned]
    attraction, repulsion = pull.mean(axis=0), push.mean(axis=0)
    size = along_atoms(alignments)[learned]
    strength = np.square(alignments[best]).sum() / exp.temperature / exp.n_features
    whole = max(float(size.sum()), np.finfo(float).tiny)
    balance = Balance(
        float(strength),
        float(attraction.sum() / whole),
        float(repulsion.sum() / whole),
        float(np.mean(similarity)),
        float(np.mean(probability)),
    )
    opposed = push.sum(axis=1) + exp.weight_decay * size.sum()
    total = float(opposed.mean() / pull.sum(axis=1).mean())
    # To first order a quotient of means errs by the mean of this.
    error = (opposed - total * pull.sum(axis=1)).std(ddof=1) / pull.sum(axis=1).mean()
    return Measured(
        balance,
        (repulsion + exp.weight_decay * size) / attraction,
        total,
        float(error / np.sqrt(n_batches)),
        float(np.sqrt(np.mean(np.square(cosine[own], dtype=np.float64)))),
        _relative_error(similarity),
        _relative_error(probability),
    )


def _relative_error(values):
    mean = abs(np.mean(values))
    return float(np.std(values, ddof=1) / np.sqrt(len(values)) / mean) if mean > 0 else 0.0
