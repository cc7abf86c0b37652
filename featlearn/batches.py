"""The batch of a step: samples, their views, negatives and labels, drawn block by block."""

import inspect
from typing import NamedTuple

import numpy as np

from .compute.streams import generator
from .compute.threads import single_threaded_blas
from .compute.workspace import Workspace
from .data import Sample
from .display import one_line
from .errors import InvalidInput
from .gram_views import noise_covariance
from .paired import negate_signal, redraw_noise, stratified_latents
from .rules import as_array
from .state import TrainingState, require_state
from .views import Views

# Rows of a batch that share one random stream. Part of what a seed means: the bits of every run
# depend on it. 64 rows of 1024 float32 stay in a core's cache.
BLOCK_ROWS = 64

# The set of samples a stream fills, as the last index of its latents' stream.
_SETS = {"batch": 0, "negatives": 1}


class Batch(NamedTuple):
    """One batch as the network sees it, with what it was made of.

    Attributes
    ----------
    views : Views
        Anchors and keys, each of shape (B, d1).
    negatives : ndarray of shape (K, d1) or None
        Key views of separate samples; None with in-batch negatives. They are fresh, or of a fixed data set,
        and may then repeat those of the batch.
    sample : Sample or None
        The samples behind the views; None where only the views were asked for.
    labels : ndarray of shape (B, K) or None
        What the objective is told about the samples.
    """

    views: Views
    negatives: np.ndarray | None
    sample: Sample | None
    labels: np.ndarray | None = None

    __repr__ = one_line


@single_threaded_blas()
def draw_batch(
    state: TrainingState, work: Workspace | None = None, keep_sample: bool = True
) -> Batch:
    """Return the `Batch` that the step from this state uses.

    A function of the experiment and the step number alone.

    Parameters
    ----------
    state : TrainingState
    work : Workspace, optional
        Where the arrays live, until its next use; fresh ones without.
    keep_sample : bool
        Whether the samples and masks behind the views are kept, which takes memory of its own.

    Returns
    -------
    Batch

    Examples
    --------
    >>> batch = featlearn.draw_batch(featlearn.init(featlearn.preset("tiny")))
    >>> batch.views.anchors.shape, batch.sample.latents.shape
    ((128, 256), (128, 8))
    """
    require_state(state)
    exp = state.experiment
    work = work or Workspace()
    objective = state.objective
    views, sample = _draw(state, "batch", exp.batch_size, work, keep_sample or objective.sees_noise)
    negatives = None
    if exp.negatives != "in_batch":
        negatives = _draw(state, "negatives", exp.negatives, work, False)[0].keys
    labels = objective.labels(sample)
    return Batch(views, negatives, sample if keep_sample else None, labels)


def _draw(state, stream, n, work, keep_sample):
    """Draw n samples and their views, block by block."""
    exp, model = state.experiment, state.model
    augmentation = state.augmentation
    shape, dtype = (n, exp.n_columns), np.dtype(exp.dtype)
    anchors = work(stream + " anchors", shape, dtype)
    one_view = getattr(augmentation, "identical_views", False)
    keys = anchors if one_view else work(stream + " keys", shape, dtype)
    # The views take the place of what they are made of.
    noise, masks = anchors, ()
    if keep_sample:
        noise = work(stream + " noise", shape, dtype)
        n_masks = getattr(augmentation, "n_masks", 0)
        masks = [work(f"{stream} mask {k}", shape, np.bool_) for k in range(n_masks)]
    index = _data_rows(state, stream, n)
    latents = draw_latents(state, stream, n) if index is None else model.data.latents[index]
    # The second half of a paired batch is made from the first.
    half = n // 2 if exp.batches == "paired" else n
    first = Views(anchors[:half], keys[:half])
    if one_view:
        first = Views(first.anchors, first.anchors)
    own = not state.own.keys().isdisjoint(("model", "augmentation"))
    if own:
        of_images = getattr(model, "draws_numbers", False)
        kind = ((n,), np.intp) if of_images else ((n, exp.n_features), dtype)
        latents = as_array("model", "draw_latents", latents, *kind)

    starts = range(0, half, BLOCK_ROWS)
    # One after the other they are made in half the time.
    rngs = [generator(exp.seed, stream, state.step, start // BLOCK_ROWS) for start in starts]
    work.for_each(
        draw_own_block if own else draw_block,
        zip(starts, rngs),
        anchors.size,
        latents=latents[:half],
        noise=noise[:half],
        anchors=first.anchors,
        keys=first.keys,
        masks=masks,
        model=model,
        augmentation=augmentation,
        index=index,
    )
    if half < n:
        rngs = [generator(exp.seed, "pairs", state.step, start // BLOCK_ROWS) for start in starts]
        work.for_each(
            pair_block,
            zip(starts, rngs),
            anchors.size,
            first=first,
            second=Views(anchors[half:], keys[half:]),
            covariance=noise_covariance(augmentation, model, latents[:half]),
            n_features=model.n_features,
            identical_views=one_view,
        )
        if keep_sample:
            negate_signal(noise[:half], model.n_features, noise[half:])
    masks = tuple(masks)
    signal = model.signal(latents) if keep_sample else None
    sample = Sample(latents, signal, noise if keep_sample else None, masks)
    return Views(anchors, keys, masks), sample


def draw_block(start, rng, latents, noise, anchors, keys, masks, model, augmentation, index):
    """Draw noise and views of the `BLOCK_ROWS` samples from `start` on, into their arrays.

    Samples of a fixed data set, those at `index`, have their noise.
    """
    rows = slice(start, start + BLOCK_ROWS)
    signal = model.signal(latents[rows], out=None if keys is anchors else keys[rows])
    if index is None:
        model.draw_noise(rng, len(signal), out=noise[rows])
    else:
        noise[rows] = model.data.noise[index[rows]]
    block = Sample(latents[rows], signal, noise[rows])
    views = augmentation.pair(rng, block, model, out=(anchors[rows], keys[rows]))
    for kept, mask in zip(masks, views.masks):
        kept[rows] = mask


def _data_rows(state, stream, n):
    """Which samples of a fixed data set a step uses: all in order, or n drawn without replacement."""
    data = getattr(state.model, "data", None)
    if not isinstance(data, Sample):
        return None
    size = len(data.latents)
    if n == size:
        return np.arange(n)
    rng = generator(state.experiment.seed, "latents", state.step, _SETS[stream])
    return rng.choice(size, n, replace=False)


def pair_block(start, rng, first, second, covariance, n_features, identical_views):
    """Write the `BLOCK_ROWS` views of a batch's second half that pair with those of the first."""
    rows = slice(start, start + BLOCK_ROWS)
    own, cross = (values[rows] for values in covariance)
    negate_signal(first.keys[rows], n_features, second.keys[rows])
    if not identical_views:
        negate_signal(first.anchors[rows], n_features, second.anchors[rows])
        redraw_noise(rng, first.keys[rows], own, cross, n_features, second.anchors[rows])


def draw_latents(state, stream, n):
    """Return the latents of the n samples that the step from this state draws from a stream."""
    rng = generator(state.experiment.seed, "latents", state.step, _SETS[stream])
    if state.experiment.batches == "iid":
        return state.model.draw_latents(rng, n)
    first = stratified_latents(state.model, rng, n // 2)
    return np.concatenate([first, -first])


def draw_own_block(start, rng, latents, noise, anchors, keys, masks, model, augmentation, index):
    """`draw_block` for parts of the user's own, which return arrays instead of filling these."""
    rows, dtype = slice(start, start + BLOCK_ROWS), anchors.dtype
    # A part may write into what it is given; the batch keeps the latents as they were drawn.
    z, shape = latents[rows].copy(), anchors[rows].shape
    signal = as_array("model", "signal", model.signal(z), shape, dtype)
    if index is not None:
        xi = model.data.noise[index[rows]]
    elif "latents" in inspect.signature(model.draw_noise).parameters:
        # A model that holds its samples knows which noise is theirs.
        xi = model.draw_noise(rng, len(z), latents=z)
    else:
        xi = model.draw_noise(rng, len(z))
    xi = as_array("model", "draw_noise", xi, shape, dtype)
    noise[rows] = xi
    views = augmentation.pair(rng, Sample(z, signal, xi), model)
    try:
        pair = views[0], views[1]
    except (TypeError, IndexError, KeyError):
        wanted = "Views, of anchors and keys"
        raise InvalidInput("augmentation", f"{views!r} from pair", wanted) from None
    for view, out in zip(pair, (anchors, keys)):
        out[rows] = as_array("augmentation", "pair", view, shape, dtype)
    made = getattr(views, "masks", ()) if masks else ()
    if not isinstance(made, (tuple, list, np.ndarray)) or len(made) != len(masks):
        wanted = f"{len(masks)} of them, as its n_masks says"
        raise InvalidInput("augmentation", f"masks {made!r} from pair", wanted)
    for kept, mask in zip(masks, made):
        kept[rows] = as_array("augmentation", "masks of pair", mask, shape, kept.dtype)
