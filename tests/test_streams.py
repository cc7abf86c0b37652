"""Random streams are those of NumPy's SeedSequence, by seed, name and indices."""

import numpy as np
import pytest

from featlearn.compute.streams import STREAMS, generator

SEEDS = (0, 7, 2**31, 2**32 - 1, 2**32, 2**33 + 5, 2**63 - 1, 2**64, 2**130)
INDICES = ((), (0,), (5, 0), (4999, 1, 0), (2**32 - 1, 3), (2**32, 3))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("entropy", SEEDS)
def test_a_stream_is_that_of_a_spawned_seed_sequence(entropy, index):
    for number, name in enumerate(STREAMS):
        sequence = np.random.SeedSequence(entropy, spawn_key=(number, *index))
        expected = np.random.Generator(np.random.SFC64(sequence))
        assert (generator(entropy, name, *index).random(3) == expected.random(3)).all()


def test_seed_and_indices_may_be_numpy_integers():
    one = generator(np.int64(3), "batch", np.int64(4), np.uint8(1)).random()
    assert one == generator(3, "batch", 4, 1).random()
