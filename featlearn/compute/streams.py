"""Randomness: one seed, named child streams, a generator for every block of every batch.

The stream that fills a block of rows is a function of (seed, name, indices) alone. So a batch can
be drawn by any number of threads, at any time, or again after a restart, with the same bits.
"""

import numpy as np

# The position in this list is part of every stream's identity: append, never reorder.
STREAMS = (
    *("dictionary", "weights", "latents", "batch", "negatives", "probe", "theory", "images"),
    *("dense", "pairs", "tasks", "head", "spikes", "data"),
)


def generator(seed, name, *index):
    """Return the random generator of one named child stream.

    Parameters
    ----------
    seed : int
        The experiment's seed, the entropy of its `numpy.random.SeedSequence`.
    name : str
        One of `STREAMS`.
    *index : int
        Position within the stream: for batches the step and the block of rows.

    Returns
    -------
    numpy.random.Generator
        An SFC64 generator, independent of that of any other (name, index).
    """
    key = (STREAMS.index(name), *index)
    # The words that SeedSequence(seed, spawn_key=key) is made of, if all are of 32 bits: as an array
    # they take half the time, of which a step of a small network has little.
    words = [seed & 0xFFFFFFFF, seed >> 32, 0, 0, *key]
    if max(words) >> 32:
        sequence = np.random.SeedSequence(seed, spawn_key=key)
    else:
        sequence = np.random.SeedSequence(np.array(words, np.uint32))
    return np.random.Generator(np.random.SFC64(sequence))
