"""Random streams are those of NumPy's SeedSequence, by seed, name and indices."""

import pickle

import numpy as np
import pytest

from featlearn.compute.streams import BLOCKS, STEPS, STREAMS, generator, seed_words

SEEDS = (0, 7, 2**31, 2**32 - 1, 2**32, 2**33 + 5, 2**63 - 1, 2**64, 2**128 - 1, 2**130)
INDICES = (
    (),
    (0,),
    (5, 0),
    (STEPS - 1, BLOCKS - 1),
    (STEPS, BLOCKS),
    (4999, 1, 0),
    (2**32 - 1, 2**32 - 1),
    (2**32 - 1, 3),
    (2**32, 3),
    (3, 2**32),
)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("entropy", SEEDS)
def test_a_stream_is_that_of_a_spawned_seed_sequence(entropy, index):
    for number, name in enumerate(STREAMS):
        sequence = np.random.SeedSequence(entropy, spawn_key=(number, *index))
        expected = np.random.Generator(np.random.SFC64(sequence))
        assert (generator(entropy, name, *index).random(3) == expected.random(3)).all()


@pytest.mark.parametrize("length", [1, 2, 5])
def test_words_of_many_keys_are_those_of_each(length):
    keys = np.random.default_rng(length).integers(2**32, size=(length, 40), dtype=np.uint32)
    for seed in (3, 2**100 + 1):
        for words, key in zip(seed_words(seed, *keys), keys.T):
            sequence = np.random.SeedSequence(seed, spawn_key=tuple(map(int, key)))
            assert (words == sequence.generate_state(3, np.uint64)).all()


def test_a_stream_can_be_copied_and_has_children():
    rng = generator(3, "batch", 4, 1)
    assert pickle.loads(pickle.dumps(rng)).random() == rng.random()
    sequence = np.random.SeedSequence(3, spawn_key=(STREAMS.index("batch"), 4, 1))
    children = np.random.Generator(np.random.SFC64(sequence)).spawn(2)
    for child, expected in zip([*rng.spawn(1), *rng.spawn(1)], children):
        assert child.random() == expected.random()
    assert (rng.bit_generator.seed_seq.generate_state(5) == sequence.generate_state(5)).all()


def test_seed_and_indices_may_be_numpy_integers():
    one = generator(np.int64(3), "batch", np.int64(4), np.uint8(1)).random()
    assert one == generator(3, "batch", 4, 1).random()
