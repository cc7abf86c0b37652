"""Paired batches: the large-batch limit of contrastive training with a batch that fits in memory.

Two kinds of a batch's sampling noise would hide what the population loss does: the scatter of the
second moments of z, and what dense preactivations feed into α. The first vanishes with *stratified*
latents, every feature present in s·n of n samples; the second cancels to first order between two
halves of a batch that share their draws, one with its part along M negated and with the same key
noise beside it. That is a statement about B → ∞, not about d1 (derived:
featlearn/theory/derivation.md, "Paired batches").
"""

import math

import numpy as np

from .compute.gaussian import fill_normal
from .errors import InvalidInput

# Least expected number of samples of half a paired batch that hold a given feature: stratification
# makes their coincidences rarer by its inverse, here 6 %.
PAIRED_PRESENCE = 16


def check_batches(experiment):
    """Refuse groups and pairs of samples whose gradient would be biased."""
    e = experiment
    groups, batch = e.negative_groups, e.batch_size
    if groups > 1:
        if e.negatives != "in_batch":
            raise InvalidInput("negative_groups", groups, "1, or negatives = in_batch")
        if batch % groups or batch < 2 * groups:
            wanted = f"a divisor of batch_size = {batch}, with groups of at least 2"
            raise InvalidInput("negative_groups", groups, wanted)
    if e.batches == "iid":
        return
    reasons = {
        'dense = "gram"': e.dense == "gram",
        "negatives = in_batch": e.negatives == "in_batch",
        "stop_gradient = true": e.stop_gradient,
    }
    for wanted, met in reasons.items():
        if not met:
            raise InvalidInput("batches", "paired", f"iid, or {wanted}")
    if groups % 2:
        wanted = "an even number: halves of a paired batch that share a group bias the gradient"
        raise InvalidInput("negative_groups", groups, wanted)
    present = e.resolved_density * batch / 2
    if present < PAIRED_PRESENCE:
        least = math.ceil(2 * PAIRED_PRESENCE / e.resolved_density)
        wanted = (
            f"at least {least} with paired batches: every feature is present in s B/2 ="
            f" {present:.3g} samples, and coincidences are rarer by (1-s)/(s B/2)"
        )
        raise InvalidInput("batch_size", batch, wanted)


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
