"""The contrastive loss (InfoNCE) as the paper defines it, and its residuals.

L_p = -τ log [ exp(S_p0) / (exp(S_p0) + Σ_n exp(S_pn)) ],  S = ⟨h(x_p⁺), h(·)⟩/τ,

where 0 is the anchor's own key, the positive, which is part of the denominator (Wen & Li 2021,
setting). With P the softmax of a row of S, the derivative of L_p with respect to its similarities
is -(1 - P_p0) for the positive and P_pn for a negative.
"""

from typing import NamedTuple

import numpy as np

from .compute.workspace import Workspace


class Contrast(NamedTuple):
    """Loss and softmax of B anchors.

    Attributes
    ----------
    loss : float
        Mean of L_p over the anchors.
    attraction : ndarray of shape (B,)
        1 - P_p0, computed as the sum of the negatives' probabilities, without cancellation.
    repulsion : ndarray of shape (B, N)
        P_pn of every negative. With in-batch negatives N = B and the diagonal, the positive, is 0.
    positive_probability : ndarray of shape (B,)
        P_p0.
    """

    loss: float
    attraction: np.ndarray
    repulsion: np.ndarray
    positive_probability: np.ndarray


def contrast(anchor_features, key_features, temperature, negative_features=None, work=None):
    """Evaluate the loss and the softmax of every anchor.

    Parameters
    ----------
    anchor_features, key_features : ndarray of shape (B, m)
        h(x_p⁺) and h(x_p⁺⁺).
    temperature : float > 0
        τ.
    negative_features : ndarray of shape (K, m), optional
        A separate set of negatives shared by all anchors. Without it the negatives of an anchor are
        the other anchors' keys.
    work : Workspace, optional

    Returns
    -------
    Contrast

    Notes
    -----
    A row's largest logit is subtracted before exponentiation, so that similarities of any finite
    size give finite results.
    """
    work = work or Workspace()
    in_batch = negative_features is None
    if in_batch:
        negative_features = key_features
    dtype = anchor_features.dtype
    n = len(anchor_features)
    scaled = work("scratch", anchor_features.shape, dtype)
    logits = work("logits", (n, len(negative_features)), dtype)
    positive, statistics = work("positive", (n,), dtype), work("statistics", (n, 3), dtype)

    def rows(anchors, keys, scaled, logits, index, positive, statistics):
        np.divide(anchors, temperature, out=scaled)
        np.matmul(scaled, negative_features.T, out=logits)
        if in_batch:
            own = np.arange(len(index)), index
            positive[:] = logits[own]
            logits[own] = -np.inf
        else:
            np.einsum("pi,pi->p", scaled, keys, out=positive)
        _softmax(logits, positive, statistics)

    work.over_rows(
        rows, anchor_features, key_features, scaled, logits, np.arange(n), positive, statistics
    )
    largest, negative_weight, total = statistics.T
    # Where the positive is the largest, total - 1 is the negatives' weight alone, and log1p keeps
    # a small loss exact.
    log_total = np.where(
        largest == positive,
        np.log1p(negative_weight, dtype=np.float64),
        np.log(total, dtype=np.float64),
    )
    losses = temperature * ((largest - positive).astype(np.float64) + log_total)
    return Contrast(
        float(np.mean(losses)),
        attraction=negative_weight / total,
        repulsion=logits,
        positive_probability=np.exp(positive - largest) / total,
    )


def _softmax(logits, positive, statistics):
    """Turn logits into probabilities in place; note each row's maximum and weights."""
    largest = np.maximum(logits.max(axis=1), positive)
    logits -= largest[:, None]
    weights = np.exp(logits, out=logits)
    negative_weight = weights.sum(axis=1)
    total = negative_weight + np.exp(positive - largest)
    weights /= total[:, None]
    for column, values in enumerate((largest, negative_weight, total)):
        statistics[:, column] = values
