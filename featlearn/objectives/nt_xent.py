"""NT-Xent: contrast on the unit sphere, among all 2B views of a batch (Chen et al. 2020, SimCLR).

With u_r = h_r/√(‖h_r‖² + ε²) for all 2B views, S = u uᵀ/τ, and P the softmax of a row of S without the
row's own view,

    L = -(τ/2B) Σ_r log P_{r, partner(r)},      -B ∂L/∂u = ½ (R + Rᵀ) u,   R = δ_partner - P,

where the second part of the bracket is what the gradient through the second argument adds; with the
stop-gradient it is absent. The pull on h is (G - u ⟨u, G⟩)/n (derived:
featlearn/theory/derivation.md, "Other objectives").
"""

import numpy as np

from .pull import Pull, pull_before_unit_rows, unit_rows


def nt_xent(anchor_features, key_features, temperature, floor, stop_gradient=False):
    """Return the `Pull` of NT-Xent.

    Parameters
    ----------
    anchor_features, key_features : ndarray of shape (B, m)
    temperature : float > 0
        τ.
    floor : float ≥ 0
        ε; features are divided by √(‖h‖² + ε²). As ε → ∞ with τ ε² in the place of τ the embedding is not
        normalised; as ε → 0 samples without an active neuron get unbounded gradients.
    stop_gradient : bool
        Whether every similarity passes its gradient to its first argument only.

    Returns
    -------
    Pull
    """
    n = len(anchor_features)
    unit, norms = unit_rows(np.concatenate([anchor_features, key_features]), floor)
    loss, probability = _softmax(unit, unit, temperature)
    own, partner = _pairs(2 * n)
    positive = probability[own[:n], partner[:n]].copy()
    residual = -probability
    residual[own, partner] += 1
    pull = (residual if stop_gradient else residual + residual.T) @ unit / 2
    pull = pull_before_unit_rows(pull, unit, norms)
    return Pull(loss, pull[:n], pull[n:], positive_probability=positive)


def nt_xent_loss(first, second, temperature, floor):
    """Return the loss with other features in the second argument of every similarity.

    Parameters
    ----------
    first, second : tuple of two ndarrays of shape (B, m)
        Features of anchors and keys, in each argument.
    temperature, floor : float
        τ and ε.
    """
    units = (unit_rows(np.concatenate(views), floor)[0] for views in (first, second))
    return _softmax(*units, temperature)[0]


def _pairs(n):
    """Indices of n views, and of the partner of each."""
    own = np.arange(n)
    return own, np.roll(own, n // 2)


def _softmax(first, second, temperature):
    """The loss, and P of shape (2B, 2B) with 0 in the place of the row's own view."""
    own, partner = _pairs(len(first))
    logits = first @ second.T
    logits /= temperature
    positive = logits[own, partner].copy()
    logits[own, own] = -np.inf
    largest = logits.max(axis=1, keepdims=True)
    probability = np.exp(logits - largest)
    total = probability.sum(axis=1, keepdims=True)
    probability /= total
    log_total = np.log(total[:, 0], dtype=np.float64) + largest[:, 0]
    return temperature * float(np.mean(log_total - positive)), probability
