"""The bias schedule: when stages change and what each does to the biases."""

import math

import numpy as np
import pytest

from featlearn import Experiment, init, step
from featlearn.schedule import BiasSchedule, root_mean_square
from featlearn.state import make_schedule

SCHEDULE = BiasSchedule(stage_one_growth=3.0, jump=0.2, growth=1.1, cap=0.5)
ONES = np.ones(4)


def advance(stage, biases, norms, new_norms, schedule=SCHEDULE, initial=1.0):
    return schedule.advance(
        stage, np.array(biases, float), np.array(norms, float), np.array(new_norms, float), initial
    )


def test_stage_one_lasts_until_the_root_mean_square_norm_has_grown():
    # The root mean square is 3 (1 ± 1e-9); the mean is far below, the largest far above.
    for factor, wanted in ((1 - 1e-9, 1), (1.0, 2), (1 + 1e-9, 2)):
        norms = factor * np.array([0.0, 0.0, 0.0, 6.0])
        stage, biases = advance(1, [0, 0, 0, 0], ONES, norms)
        assert stage == wanted
        np.testing.assert_array_equal(biases, 0.2 * norms if wanted == 2 else np.zeros(4))


def test_growth_is_relative_to_the_initial_norm():
    assert advance(1, [0], [1.0], [3.0], initial=1.01)[0] == 1
    assert advance(1, [0], [1.0], [3.0], initial=0.99)[0] == 2


def test_without_a_growth_the_network_stays_linear():
    forever = BiasSchedule(None, 0.2, 1.1, 0.5)
    stage, biases = advance(1, [0.0], [1.0], [1e9], forever)
    assert stage == 1 and biases == [0.0]


def test_stage_two_takes_the_larger_of_its_growth_and_the_norms():
    """b ← max(b · growth, b ‖w'‖/‖w‖), at most cap · ‖w'‖."""
    biases, norms = [0.2, 0.2, 0.2, 0.2, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]
    new_norms = [1.0, 1.3, 0.9, 0.4, 1.0]
    stage, new = advance(2, biases, norms, new_norms)
    assert stage == 2
    np.testing.assert_allclose(new, [0.22, 0.26, 0.22, 0.2, 0.0], rtol=1e-15)
    # a smaller norm lowers the cap below where the bias stood
    assert advance(2, [0.4], [1.0], [0.5])[1] == pytest.approx(0.25, rel=1e-15)


def test_stage_three_starts_when_half_are_at_the_cap():
    for at_cap, wanted in ((1, 2), (2, 3), (4, 3)):
        biases = [0.5] * at_cap + [0.1] * (4 - at_cap)
        stage, new = advance(2, biases, ONES, ONES)
        assert stage == wanted
        np.testing.assert_allclose(new, [0.5] * at_cap + [0.11] * (4 - at_cap))
    stage, new = advance(3, [0.1] * 4, ONES, ONES)
    assert stage == 3, "there is no way back"
    np.testing.assert_allclose(new, 0.11)


def test_a_vanished_neuron_has_no_bias():
    stage, new = advance(2, [0.2, 0.2, 0.2], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(new, [0.0, 0.0, 0.22])
    assert np.isfinite(new).all()


def test_biases_keep_their_precision():
    biases = np.zeros(3, np.float32)
    norms = np.full(3, 4, np.float32)
    for stage in (1, 2):
        assert SCHEDULE.advance(stage, biases, norms, norms, 1.0)[1].dtype == np.float32


def test_root_mean_square():
    assert root_mean_square(np.array([3.0, 4.0])) == pytest.approx(math.sqrt(12.5), rel=1e-15)
    assert root_mean_square(np.float32([1e-30, 1e-30])) == pytest.approx(1e-30, rel=1e-6)


def test_an_experiments_schedule_is_the_papers():
    e = Experiment(
        n_features=16, learning_rate=0.3, bias_factor=2.0, bias_cap=0.7, bias_growth=None
    )
    schedule = make_schedule(e)
    assert schedule.stage_one_growth == e.stage_one_growth
    assert schedule.jump == pytest.approx(math.sqrt(2 * math.log(16) / 16), rel=1e-15)
    assert schedule.growth == pytest.approx(1 + 0.3 / 16, rel=1e-15)
    assert schedule.cap == 0.7
    assert make_schedule(e.replace(bias_growth=1.5)).growth == 1.5


def test_a_run_obeys_the_schedule(small, seed):
    """Replayed by hand from the recorded norms."""
    state = init(small.replace(seed=seed, dtype="float64"))
    schedule, stages = make_schedule(small), set()
    for _ in range(120):
        new = step(state)
        stages.add(state.stage)
        growth = np.sqrt(np.mean(new.weight_norms**2)) / state.initial_norm
        if state.stage == 1:
            assert new.stage == (2 if growth >= small.stage_one_growth else 1)
            wanted = schedule.jump * new.weight_norms if new.stage == 2 else np.zeros(24)
        else:
            faster = np.maximum(small.bias_growth, new.weight_norms / state.weight_norms)
            wanted = np.minimum(state.biases * faster, small.bias_cap * new.weight_norms)
            if state.stage == 2:
                at_cap = np.isclose(wanted, small.bias_cap * new.weight_norms, rtol=1e-6)
                assert new.stage == (3 if at_cap.mean() >= 0.5 else 2)
        np.testing.assert_allclose(new.biases, wanted, rtol=1e-12)
        state = new
    assert stages == {1, 2, 3}


def test_the_root_mean_square_is_over_all_numbers_of_any_shape():
    numbers = np.arange(12.0).reshape(3, 4)
    assert root_mean_square(numbers) == root_mean_square(numbers.ravel()) == np.sqrt(506 / 12)
