"""Paired batches: the large-batch limit of contrastive training with a batch that fits in memory.

Two kinds of a batch's sampling noise would hide what the population loss does: the scatter of the
second moments of z, and what dense preactivations feed into α. The first vanishes with *stratified*
latents, every feature present in s·n of n samples; the second cancels to first order between two
halves of a batch that share their draws, one with its part along M negated and with the same key
noise beside it. That is a statement about B → ∞, not about d1 (derived:
featlearn/theory/derivation.md, "Paired batches").
"""

import numpy as np

from .compute.gaussian import fill_normal


def stratified_latents(model, rng, n):
    """Draw z of shape (n, d) with every feature present in s n rows, rounded at random.

    The law of one row is that of `SparseCodingModel.draw_latents`. Two rows are not independent: they
    hold the same feature with probability s²(1 - (1-s)/(s n)), rounding aside.
    """
    d, expected = model.n_features, model.density * n
    present = int(expected) + (rng.random(d) < expected % 1)
    order = np.argsort(rng.random((n, d), dtype=np.float32), axis=0)
    signs = np.where(rng.random((n, d), dtype=np.float32) < 0.5, -1, 1)
    signs *= np.arange(n)[:, None] < present
    latents = np.empty((n, d), model.dictionary.dtype)
    np.put_along_axis(latents, order, signs.astype(latents.dtype), axis=0)
    return latents


def negate_signal(views, n_features, out):
    """Copy views of shape (n, d + r), with the part along M, their first d columns, negated."""
    np.negative(views[:, :n_features], out=out[:, :n_features])
    out[:, n_features:] = views[:, n_features:]


def redraw_noise(rng, keys, own, cross, n_features, out):
    """Draw the anchors' noise beside M from its law given the keys', (c/v) key + √(v - c²/v) g.

    Parameters
    ----------
    rng : numpy.random.Generator
    keys : ndarray of shape (n, d + r)
    own, cross : ndarray of shape (n,)
        v and c, the noise's variance and its covariance between the views.
    n_features : int
        d.
    out : ndarray of shape (n, d + r)
        Its columns from d on are written.
    """
    slope = np.divide(cross, own, out=np.zeros_like(own), where=own > 0)
    rest = np.sqrt(np.maximum(own - slope * cross, 0))
    fresh = np.empty((len(keys), keys.shape[1] - n_features), np.float32)
    fill_normal(rng, fresh)
    noise = rest[:, None].astype(keys.dtype) * fresh
    noise += slope[:, None].astype(keys.dtype) * keys[:, n_features:]
    out[:, n_features:] = noise
