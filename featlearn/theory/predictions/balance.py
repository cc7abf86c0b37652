"""Stage III: attraction against repulsion and decay, and where they balance in a pure network.

Neurons on one atom M_j that have one threshold ratio ϱ = b/‖w‖ are copies of each other: on a view
x they put out ‖w_i‖ y_j, y = h_ϱ(⟨M_j, x⟩) for a unit neuron. With A = Σ_i ‖w_i‖²/τ for each atom,
a similarity over τ is A Σ_j y_j y'_j, and A is where

    E[ ((1 - P_pp) y' - Σ_q P_pq y'_q) u 1{|u| ≥ ϱ} ] = λ

along an atom. Nothing else of the network enters, and d1 only through the noise of u.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from ...alignment import alignment
from ...compute.streams import generator
from ...errors import InvalidInput
from ...loss import contrast
from ...training import evaluate, init
from .view_noise import view_noise

# Enough for 2 % of either force.
_DRAWS = 150_000
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
        A = Σ_i α_ij²/τ.
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


def pure_balance(experiment, threshold):
    """Return the `Balance` in which a network of pure neurons comes to rest.

    Parameters
    ----------
    experiment : Experiment
        With a weight decay.
    threshold : float ≥ 0
        ϱ = b/‖w‖ of the neurons.

    Returns
    -------
    Balance
        Of strength 0 where decay outdoes even the attraction of a network without similarities.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Stage III balance". Expectations are means over
    drawn batches of the experiment's size and of its softmax, the same draws at every strength.
    """
    decay = experiment.weight_decay
    if decay <= 0:
        raise InvalidInput("weight_decay", decay, "a number > 0, for norms that come to rest")
    batches = _draw_features(experiment, threshold)

    def excess(strength):
        state = _state(batches, strength)
        return state.attraction - state.repulsion - decay

    weakest = 1e-6
    if excess(weakest) <= 0:
        return _state(batches, 0.0)
    strongest = 1.0
    while excess(strongest) > 0:
        strongest *= 2
    return _state(batches, brentq(excess, weakest, strongest, rtol=2e-3))


class _Features(NamedTuple):
    """One batch of a pure network: what one unit neuron per atom makes of it, (n, d) each."""

    response: np.ndarray
    anchors: np.ndarray
    keys: np.ndarray
    negatives: np.ndarray | None


def _draw_features(experiment, threshold):
    views, d, n = view_noise(experiment), experiment.n_features, experiment.group_size
    rng = generator(experiment.seed, "theory", _STREAM)
    correlation = views.shared / np.sqrt(views.anchor * views.key) if views.anchor > 0 else 0.0

    def output(u):
        return np.sign(u) * np.maximum(np.abs(u) - threshold, 0)

    def coordinates(n):
        z = np.sign(rng.standard_normal((n, d))) * (rng.random((n, d)) < views.density)
        first, own = rng.standard_normal((2, n, d))
        second = correlation * first + np.sqrt(max(1 - correlation**2, 0)) * own
        return z + np.sqrt(views.anchor) * first, z + np.sqrt(views.key) * second

    batches = []
    for _ in range(max(4, -(-_DRAWS // (n * d)))):
        anchors, keys = coordinates(n)
        separate = experiment.negatives != "in_batch"
        negatives = output(coordinates(experiment.negatives)[1]) if separate else None
        response = anchors * (np.abs(anchors) >= threshold)
        batches.append(_Features(response, output(anchors), output(keys), negatives))
    return batches


def _state(batches, strength):
    total = np.zeros(4)
    for batch in batches:
        others = batch.keys if batch.negatives is None else batch.negatives
        separate = None if batch.negatives is None else strength * others
        result = contrast(batch.anchors, strength * batch.keys, 1.0, separate)
        pull = np.mean(result.attraction[:, None] * batch.keys * batch.response)
        push = np.mean(result.repulsion @ others * batch.response)
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
    """

    balance: Balance
    ratio: np.ndarray


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
    cosine, alignments = observed.cosine, observed.alignments
    own = (cosine == cosine.max(axis=1, keepdims=True)) & (cosine >= pure)
    # Steps beyond the last have batches that training never saw.
    state = dataclasses.replace(init(exp), weights=run.weights, biases=run.biases)
    pull, push, similarity, probability = np.zeros_like(alignments), 0.0, 0.0, 0.0
    for k in range(n_batches):
        gradient = evaluate(dataclasses.replace(state, step=exp.n_steps + k))
        forces = forces_of(gradient, run.dictionary)
        pull, push = pull + forces.attraction / n_batches, push + forces.repulsion / n_batches
        term = gradient.terms[0]
        inner = np.einsum("pi,pi->p", term.activations.features, term.partners)
        similarity += inner.mean(dtype=np.float64) / exp.temperature / n_batches
        probability += gradient.contrast.positive_probability.mean() / n_batches

    def along_atoms(force):
        return np.sum(np.where(own, force * alignments, 0.0), axis=0, dtype=np.float64)

    learned = own.any(axis=0)
    attraction, repulsion = along_atoms(pull)[learned], -along_atoms(push)[learned]
    size = along_atoms(alignments)[learned]
    strength = np.square(alignments, dtype=np.float64).sum() / exp.temperature / exp.n_features
    whole = max(float(size.sum()), np.finfo(float).tiny)
    balance = Balance(
        float(strength),
        float(attraction.sum() / whole),
        float(repulsion.sum() / whole),
        float(similarity),
        float(probability),
    )
    return Measured(balance, (repulsion + exp.weight_decay * size) / attraction)
