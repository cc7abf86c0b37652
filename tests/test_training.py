"""The training loop, in memory and in a run directory."""

import numpy as np

import featlearn
from featlearn.workspace import Workspace


def test_a_workspace_changes_no_bit(small, seed):
    pure = kept = featlearn.init(small.replace(seed=seed))
    work = Workspace()
    for _ in range(5):
        pure, kept = featlearn.step(pure), featlearn.step(kept, work=work)
        np.testing.assert_array_equal(pure.weights, kept.weights)


def test_recording_changes_no_bit_and_reloads_as_it_was(small, seed, tmp_path):
    experiment = small.replace(seed=seed)
    in_memory = featlearn.train(experiment)
    on_disk = featlearn.train(experiment, tmp_path / "run")
    assert on_disk.experiment == experiment
    np.testing.assert_array_equal(in_memory.weights, on_disk.weights)
    for name in in_memory.arrays:
        np.testing.assert_array_equal(in_memory[name], on_disk[name])
    assert list(np.unique(in_memory["stage"])) == [1, 2, 3]
