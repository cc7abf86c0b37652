"""The contrastive loss (InfoNCE) as the paper defines it, and its residuals.

L_p = -τ log [ exp(S_p0) / (exp(S_p0) + Σ_n exp(S_pn)) ],  S = ⟨h(x_p⁺), h(·)⟩/τ,

where 0 is the anchor's own key, the positive, which is part of the denominator (Wen & Li 2021,
setting). With P the softmax of a row of S, the derivative of L_p with respect to its similarities
is -(1 - P_p0) for the positive and P_pn for a negative.
"""

from typing import NamedTuple

import numpy as np

from .compute.workspace import Workspace
from .display import one_line


class Contrast(NamedTuple):
    """Loss and softmax of B anchors.

    Attributes
    ----------
    loss : float
        Mean of L_p over the anchors.
    attraction : ndarray of shape (B,)
        1 - P_p0, computed as the sum of the negatives' probabilities, without cancellation.
    repulsion : ndarray of shape (B, N)
        P_pn of every negative. With in-batch negatives N = B and the diagonal, the positive, is 0;
        with groups of B/n anchors N = B/n, and each group has its own diagonal.
    positive_probability : ndarray of shape (B,) or None
        P_p0, where the positive is in the denominator.
    """

    loss: float
    attraction: np.ndarray
    repulsion: np.ndarray
    positive_probability: np.ndarray | None

    __repr__ = one_line


def contrast(
    anchor_features,
    key_features,
    temperature,
    negative_features=None,
    work=None,
    spare=None,
    groups=1,
):
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
    spare : ndarray of shape (B, m), optional
        Memory for the scaled features; it is overwritten.
    groups : int
        With in-batch negatives, the number of equal groups that the batch is split in, one after the
        other; the negatives of an anchor are then those of its own group.

    Returns
    -------
    Contrast

    Notes
    -----
    A row's largest logit is subtracted before exponentiation, so that similarities of any finite
    size give finite results.
    """
    work = work or Workspace()
    shape = (*anchor_features.shape[:-1], 3)
    statistics = work("statistics", shape, anchor_features.dtype)
    probabilities, positive = over_anchors(
        softmax,
        statistics,
        anchor_features,
        key_features,
        temperature,
        negative_features,
        work,
        spare,
        groups,
    )
    largest, negative_weight, total = (statistics[..., k] for k in range(3))
    # Where the positive is the largest, total - 1 is the negatives' weight alone, and log1p keeps
    # a small loss exact.
    log_total = np.where(
        largest == positive,
        np.log1p(negative_weight, dtype=np.float64),
        np.log(total, dtype=np.float64),
    )
    losses = temperature * ((largest - positive).astype(np.float64) + log_total)
    return Contrast(
        losses.mean(axis=-1).tolist(),
        attraction=negative_weight / total,
        repulsion=probabilities,
        positive_probability=np.exp(positive - largest) / total,
    )


def split_rows(n, groups):
    """Return the slices of n rows in equal groups."""
    return [slice(n * g // groups, n * (g + 1) // groups) for g in range(groups)]


def over_anchors(
    kernel, statistics, anchors, keys, temperature, negatives, work, spare=None, groups=1
):
    """Call a kernel such as `softmax` on all anchors, each with the negatives of its group.

    Parameters
    ----------
    kernel : callable
    statistics : ndarray of shape (B, ...)
        What else the kernel fills in for each anchor.
    anchors, keys : ndarray of shape (B, m)
    negatives : ndarray of shape (K, m) or None
    temperature, work, spare, groups
        See `contrast`.

    Returns
    -------
    matrix : ndarray of shape (B, N)
        What the kernel makes of the similarities with the negatives.
    positive : ndarray of shape (B,)
        S_p0.
    """
    in_batch = negatives is None
    others, n, dtype = keys if in_batch else negatives, len(anchors), anchors.dtype
    scaled = work("scaled features", anchors.shape, dtype) if spare is None else spare
    size = others.shape[-2] // groups
    matrix = work("logits", (*anchors.shape[:-1], size), dtype)
    positive = work("positive", anchors.shape[:-1], dtype)
    for rows in split_rows(n, groups):
        work.over_rows(
            kernel,
            anchors[rows],
            keys[rows],
            scaled[rows],
            matrix[rows],
            np.arange(anchors[rows].shape[-2]),
            positive[rows],
            statistics[rows],
            others=others[rows] if in_batch else others,
            temperature=temperature,
            in_batch=in_batch,
        )
    return matrix, positive


def softmax(h, h_key, scaled, P, index, positive, statistics, others, temperature, in_batch):
    """P_pn = exp S_pn / (exp S_p0 + Σ_n exp S_pn), S = H H_nᵀ/τ, of some anchors, in `P`.

    `positive` takes S_p0, and `statistics` the largest of each row's S, and relative to exp of that
    the weight of the negatives and of all.
    """
    np.divide(h, temperature, out=scaled)
    np.matmul(scaled, others.swapaxes(-2, -1), out=P)
    if in_batch:
        own = ..., np.arange(len(index)), index
        positive[:] = P[own]
        P[own] = -np.inf
    else:
        np.einsum("...pi,...pi->...p", scaled, h_key, out=positive)
    largest = np.maximum(row_maxima(P), positive)
    P -= largest[..., None]
    np.exp(P, out=P)
    negative_weight = P.sum(axis=-1)
    total = negative_weight + np.exp(positive - largest)
    P /= total[..., None]
    for column, values in enumerate((largest, negative_weight, total)):
        statistics[..., column] = values


def row_maxima(matrix):
    """Return the largest number of every row of (..., N), in half the time of ``matrix.max(axis=-1)``."""
    rows = matrix.reshape(-1, matrix.shape[-1])
    return rows[np.arange(len(rows)), rows.argmax(axis=-1)].reshape(matrix.shape[:-1])
