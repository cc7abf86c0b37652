"""Randomness: one seed, named child streams, a generator for every block of every batch.

The stream that fills a block of rows is a function of (seed, name, indices) alone. So a batch can
be drawn by any number of threads, at any time, or again after a restart, with the same bits.
"""

import itertools
from functools import cached_property, lru_cache

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence

# The position in this list is part of every stream's identity: append, never reorder.
STREAMS = (
    *("dictionary", "weights", "latents", "batch", "negatives", "probe", "theory", "images"),
    *("dense", "pairs", "tasks", "head", "spikes", "data"),
)

# Steps and blocks whose streams are seeded at once.
STEPS, BLOCKS = 128, 4


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
    if len(index) == 2 and max(key) < 1 << 32 and int(seed) < 1 << 128:
        step, block = index
        words = _words_of_block(seed, key[0], step // STEPS, block // BLOCKS)
        sequence = _Seeded(seed, key, words[step % STEPS, block % BLOCKS])
    else:
        sequence = np.random.SeedSequence(seed, spawn_key=key)
    return np.random.Generator(np.random.SFC64(sequence))


class _Seeded(ISpawnableSeedSequence):
    """SeedSequence(seed, spawn_key=key), of which the words that SFC64 asks for are known."""

    def __init__(self, seed, key, words):
        self._seed, self._key, self._words = seed, key, words

    def generate_state(self, n_words, dtype=np.uint32):
        if n_words == len(self._words) and dtype is np.uint64:
            return self._words
        return self._sequence.generate_state(n_words, dtype)

    def spawn(self, n_children):
        return self._sequence.spawn(n_children)

    @cached_property
    def _sequence(self):
        return np.random.SeedSequence(self._seed, spawn_key=self._key)


@lru_cache(maxsize=512)
def _words_of_block(seed, number, steps, blocks):
    step = np.uint32(steps * STEPS) + np.arange(STEPS, dtype=np.uint32)
    block = np.uint32(blocks * BLOCKS) + np.arange(BLOCKS, dtype=np.uint32)
    return seed_words(seed, np.full(1, number, np.uint32), step[:, None], block)


def seed_words(seed, *key):
    """Return SeedSequence(seed, spawn_key=key).generate_state(3, np.uint64) of many keys at once.

    One by one they would take a twelfth of a step of a small network.

    Parameters
    ----------
    seed : int < 2¹²⁸
    *key : ndarray of uint32, of at least one axis

    Returns
    -------
    ndarray of uint64, shape (..., 3)

    Notes
    -----
    The hash of NumPy's `SeedSequence`, which NumPy's policy keeps as it is. The pool of four words
    after the seed itself is NumPy's own; each word of the key is mixed into it in turn.
    """
    pool = np.split(np.random.SeedSequence(seed).pool, 4)
    # Of hashes so far: one a word, and twelve that mix the pool.
    constants = _constants(_INIT_A, _MULT_A, skip=16)
    for word in key:
        pool = [_mix(p, _hash(word, *next(constants))) for p in pool]
    constants = _constants(_INIT_B, _MULT_B)
    words = np.broadcast_arrays(*(_hash(pool[k % 4], *next(constants)) for k in range(6)))
    return np.stack(words, axis=-1).view(np.uint64)


_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_HALF = np.uint32(16)


def _constants(value, factor, skip=0):
    """Yield what each hash in turn adds and multiplies by, after those that are skipped."""
    for n in itertools.count(skip):
        yield tuple(np.uint32(value * pow(factor, k, 1 << 32) % (1 << 32)) for k in (n, n + 1))


def _hash(words, added, factor):
    words = (words ^ added) * factor
    return words ^ (words >> _HALF)


def _mix(one, other):
    mixed = _MIX_L * one - _MIX_R * other
    return mixed ^ (mixed >> _HALF)
