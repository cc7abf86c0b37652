"""The supervised twin: its closed forms against all latents and against training."""

import itertools

import numpy as np
import pytest

from featlearn import InvalidInput, preset, train
from featlearn.objectives.supervised import draw_tasks
from featlearn.theory.predictions.supervised import sign_signal, supervised_linear_phase

TWIN = preset("tiny").replace(objective="supervised", augmentation="none")


def test_the_signal_in_a_sign_is_that_of_all_latents():
    tasks = draw_tasks(np.random.default_rng(0), 6, 4)
    density = np.array([0.05, 0.1, 0.2, 0.1, 0.3, 0.02])
    z = np.array(list(itertools.product((-1, 0, 1), repeat=6)), float)
    probability = np.prod(np.where(z != 0, density / 2, 1 - density), axis=1)
    exact = (np.sign(z @ tasks) * probability[:, None]).T @ z
    # Where two sums of w*_j nearly coincide, the smear counts.
    np.testing.assert_allclose(sign_signal(tasks, density), exact, atol=0.02 * exact.max())
    alone = sign_signal(np.array([[-0.7]]), 0.3)
    assert alone == pytest.approx(-0.3, rel=1e-3), "one feature decides its label"


@pytest.mark.parametrize("task", ("classification", "regression"))
def test_the_linear_phase_is_that_of_training(task):
    exp = TWIN.replace(task=task, n_steps=24, stage_one_growth=None, batch_size=1024)
    run, expected = train(exp), supervised_linear_phase(exp, 24)
    sparse = np.square(run["alignment"], dtype=float).sum(axis=(1, 2))
    dense = np.square(run["dense_norm"], dtype=float).sum(axis=1)
    assert sparse[-1] > 8 * sparse[0], "the phase is long enough to tell"
    for step in (12, 24):
        assert sparse[step] == pytest.approx(expected.sparse[step], rel=0.05)
        assert dense[step] == pytest.approx(expected.dense[step], rel=0.01)


def test_the_linear_phase_is_of_supervised_runs_without_augmentation():
    for changes, field in (
        (dict(objective="infonce"), "objective"),
        (dict(augmentation="random_mask"), "augmentation"),
        (dict(label_leak=0.1), "label_leak"),
    ):
        with pytest.raises(InvalidInput) as caught:
            supervised_linear_phase(TWIN.replace(**changes), 1)
        assert caught.value.field == field
