"""Quantities that a run records where it is asked to by name, beside those of every run."""

import numpy as np

from ..alignment import cosines, support
from ..errors import InvalidInput
from .quantities import Quantity

# They are functions of (state, batch, gradient), with the arrays' shapes and types by fields.
EXTRAS = {}


def _extra(dtype, *shape, samples=False):
    """Register a function as an extra under its own name, its docstring being the line on it."""

    def register(function):
        name, doc = function.__name__, function.__doc__
        EXTRAS[name] = Quantity(name, doc, function, shape, dtype, samples=samples)
        return function

    return register


@_extra("dtype", "n_neurons", "n_features")
def attraction(state, batch, gradient):
    """-⟨∂L⁺/∂w_i, M_j⟩, the pull of the positives on neuron i along atom j"""
    return -(gradient.positive @ state.model.dictionary)


@_extra("dtype", "n_neurons", "n_features")
def repulsion(state, batch, gradient):
    """-⟨∂L⁻/∂w_i, M_j⟩, the push of the negatives on neuron i along atom j"""
    return -(gradient.negative @ state.model.dictionary)


@_extra("dtype", "n_neurons")
def off_support_maximum(state, batch, gradient):
    """largest |α_ij|/‖w_i‖ over the atoms j outside N_i, those below 1/√d"""
    cosine = cosines(state.alignment, state.weight_norms)
    return np.where(support(cosine), 0, cosine).max(axis=1)


@_extra("dtype", "n_neurons", "n_features", samples=True)
def active_given_feature(state, batch, gradient):
    """Pr(neuron i active | z_j = 1) among the anchors; nan where no sample has that"""
    active = gradient.terms[0].activations.active
    if batch.sample.latents.ndim != 2:
        wanted = "a model with latents in {-1, 0, 1}: images have none"
        raise InvalidInput("record", "active_given_feature", wanted)
    present = (batch.sample.latents == 1).astype(state.weights.dtype)
    with np.errstate(invalid="ignore"):
        return active.T.astype(present.dtype) @ present / present.sum(axis=0)


@_extra("dtype", "n_neurons", "n_neurons")
def dense_gram(state, batch, gradient):
    """⟨β_i, β_k⟩, the Gram matrix of the dense parts"""
    dense = state.weights - state.alignment @ np.asarray(state.model.dictionary).T
    return dense @ dense.T
