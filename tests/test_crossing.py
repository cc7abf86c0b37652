"""The two numbers, noise margin and crossing, against simulations and each other."""

import numpy as np
import pytest
from sizes import FULL

from featlearn import Experiment, train
from featlearn.theory import (
    crossing,
    initial_split,
    limiting_ratio,
    noise_margin,
    preconditions,
    predict_stage_one,
    saturation_growth,
    unmet,
)
from featlearn.theory.predictions.crossing import stage_one_growth, stage_one_steps
from featlearn.theory.predictions.moments import Split, view_moments
from featlearn.theory.predictions.stage_one import sampling_noise

SMALL = Experiment(
    n_features=16,
    n_inputs=256,
    n_neurons=48,
    density_factor=1.0,
    noise_factor=1.0,
    batch_size=128,
    learning_rate=0.4,
    weight_decay=0.005,
    temperature=1e9,
    initial_norm=0.01,
    stage_one_growth=None,
    n_steps=0,
)
DIALS = [
    {"augmentation": "correlated_noise", "noise_correlation": 0.0},
    {"augmentation": "correlated_noise", "noise_correlation": 0.1},
    {"augmentation": "correlated_noise", "noise_correlation": 0.3},
    {"augmentation": "correlated_noise", "noise_correlation": 1.0},
    {"augmentation": "none"},
    {"augmentation": "random_mask"},
]
if FULL:
    larger = {"n_features": 24, "n_inputs": 768, "batch_size": 512, "learning_rate": 0.2}
    DIALS += [{**larger, **dial} for dial in DIALS]


def share_and_growth(run):
    """The sparse share of the weights and ln of the growth of their norm, at every recorded step."""
    total = np.square(run["weight_norm"], dtype=np.float64).sum(axis=1)
    sparse = np.square(run["alignment"], dtype=np.float64).sum(axis=(1, 2))
    return sparse / total, 0.5 * np.log(total / total[0])


@pytest.mark.statistical
@pytest.mark.parametrize("dial", DIALS)
def test_growth_at_the_crossing(dial):
    """Within 10 %: a is a sum over few features, so that one batch noise moves it by 2-4 %."""
    experiment = SMALL.replace(**dial)
    predicted = crossing(experiment)
    measured = []
    for seed in range(5 if FULL else 2):
        steps = int(1.3 * predicted.step) + 5
        share, growth = share_and_growth(train(experiment.replace(n_steps=steps, seed=seed)))
        after = int(np.argmax(share > 0.5))
        assert after > 0, "sparse and dense part did not cross"
        measured.append(np.interp(0.5, share[after - 1 : after + 1], growth[after - 1 : after + 1]))
    assert np.mean(measured) == pytest.approx(predicted.growth, rel=0.1)


@pytest.mark.parametrize("dial", DIALS)
def test_closed_form_of_the_crossing_is_that_of_the_recursion(dial):
    experiment = SMALL.replace(**dial)
    found = crossing(experiment)
    start = initial_split(experiment)
    path = predict_stage_one(experiment, start.sparse, start.dense, int(found.step) + 1)
    assert path.sparse[-2] <= path.dense[-2] and path.sparse[-1] >= path.dense[-1]
    assert np.log(path.growth[-2]) - 1e-9 <= found.growth <= np.log(path.growth[-1]) + 1e-9
    growth = np.exp(stage_one_growth(experiment, 100))
    assert stage_one_steps(experiment, growth) == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize(
    "dense",
    [{"density": 0.95, "keep_probability": 0.9}, {"latents": "k_sparse", "n_features": 3,
     "n_active": 2}, {"density": 0.5, "augmentation": "none"}],
)  # fmt: skip
def test_the_ratio_that_stage_one_tends_to_is_the_recursions(dense):
    experiment = SMALL.replace(dictionary="identity", **dense)
    ratio = limiting_ratio(experiment)
    one = predict_stage_one(experiment, 1.0, ratio, 1)
    assert ratio > 0 and one.dense[1] / one.sparse[1] == pytest.approx(ratio, rel=1e-9)


def test_without_sampling_noise_the_crossing_is_the_known_formula():
    """g* = ½ ln(2(1-d/d1)) + (c_D-λ) ln(d1/d-1)/(2s), in the limit of small steps and many samples."""
    for rho in (0.0, 0.1, 1.0):
        limit = SMALL.replace(
            augmentation="correlated_noise",
            noise_correlation=rho,
            batch_size=2**30,
            learning_rate=1e-3,
        )
        s, shared = limit.resolved_density, 2 * rho * limit.resolved_noise_variance
        known = 0.5 * np.log(2 * 15 / 16) + (shared - 0.005) * np.log(15) / (2 * s)
        # Second order in η·rate = 4e-4, times the growth.
        assert crossing(limit).growth == pytest.approx(known, abs=2e-3)


def test_noise_margin_is_the_known_one_and_governs_the_limit():
    experiment = SMALL.replace(dictionary="flat")
    s, f = experiment.resolved_density, 1 / 16
    n = 2 * experiment.resolved_noise_variance + s * f
    kappa = 0.4 * 256 / (2 * 128)
    assert noise_margin(experiment) == pytest.approx(kappa * n**2 / s)
    weak = experiment.replace(learning_rate=0.002, n_inputs=4096, weight_decay=0.0)
    f = 16 / 4096
    n = 2 * weak.resolved_noise_variance + s * f
    kappa = 0.002 * 4096 / (2 * 128)
    ratio = kappa * (s + n) * n / (s - kappa * n**2)
    # The formula leaves out d of d1 directions and the growth of a by its own noise, both 1 % here.
    assert limiting_ratio(weak) == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("augmentation", ["random_mask", "none", "correlated_noise"])
@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize(
    "loss", [{}, {"objective": "decoupled", "negatives": "in_batch", "negative_groups": 64}]
)
def test_noise_margin_is_the_noise_of_a_step_over_its_lead(augmentation, stop_gradient, loss):
    """In d1 - d of d1 directions, and without terms smaller than these by 1/d1."""
    exp = SMALL.replace(
        n_inputs=8192, augmentation=augmentation, noise_correlation=0.6, noise_spread=0.3,
        dictionary="flat", stop_gradient=stop_gradient, **{"negatives": 10**6, **loss},
    )  # fmt: skip
    if loss:
        # One negative for each anchor, of no scale of its own.
        exp = exp.replace(noise_spread=0.0)
    views, arguments = view_moments(exp), 1 if stop_gradient else 2
    noise = sampling_noise(exp, Split(16, 8192 - 16))[1, 1]
    lead = 2 * arguments * (views.cross.sparse - views.cross.dense)
    expected = exp.learning_rate / exp.batch_size * noise / lead
    assert noise_margin(exp) == pytest.approx(expected, rel=0.005)


def test_drowning_and_a_head_start_have_their_values():
    assert crossing(SMALL.replace(learning_rate=20.0)).growth == np.inf
    assert crossing(SMALL.replace(n_inputs=32)) == (0, 0)
    assert noise_margin(SMALL.replace(dictionary="identity")) == np.inf


@pytest.mark.statistical
def test_growth_that_an_unaugmented_network_reaches():
    """Within 0.2, a fifth of the growths that decide about T3 here: similarities fluctuate."""
    base = SMALL.replace(augmentation="none", temperature=1.0, weight_decay=0.01, noise_factor=2.0)
    linear = base.replace(initial_norm=0.1, n_steps=150)
    biased = base.replace(
        initial_norm=0.02, n_steps=500, stage_one_growth=6.0, bias_growth=1.005, bias_cap=0.6
    )
    for experiment in (linear, biased):
        for seed in range(4 if FULL else 1):
            reached = share_and_growth(train(experiment.replace(seed=seed)))[1].max()
            assert reached == pytest.approx(saturation_growth(experiment), abs=0.2)


@pytest.mark.parametrize("rho", (0.0, 0.03, 0.09))
def test_growth_where_shared_noise_is_weak(rho):
    """Decay beats the dense part: the norms reach the plateau of the sparse one."""
    experiment = SMALL.replace(
        augmentation="correlated_noise", noise_correlation=rho, noise_factor=0.15,
        temperature=1.0, initial_norm=0.1, n_steps=200,
    )  # fmt: skip
    reached = share_and_growth(train(experiment))[1].max()
    assert reached == pytest.approx(saturation_growth(experiment), abs=0.2)
    assert saturation_growth(experiment) > crossing(experiment).growth


@pytest.mark.parametrize("augmentation", ("none", "independent_masks", "correlated_noise"))
def test_every_decay_leaves_a_growth(augmentation):
    for weight_decay in (0.0, 1e-4, 0.003, 0.01):
        for negatives in ("in_batch", 5, 7, 300):
            experiment = SMALL.replace(
                augmentation=augmentation, noise_correlation=0.6, temperature=1.0, n_steps=300,
                weight_decay=weight_decay, negatives=negatives,
            )  # fmt: skip
            assert 0 < saturation_growth(experiment) < np.inf


def test_preconditions_name_the_unmet_one():
    matched = Experiment(
        n_features=32,
        n_inputs=1024,
        n_neurons=192,
        batch_size=512,
        learning_rate=0.15,
        weight_decay=0.0055,
        temperature=2.0,
        initial_norm=0.05,
        density_factor=1.0,
        noise_factor=2.0,
        bias_cap=0.55,
    )
    all_three = preconditions(matched)
    assert all(one.met for one in all_three) and unmet(matched) == []
    assert preconditions(matched.replace(augmentation="none")) == all_three
    drowned = matched.replace(learning_rate=2.0)
    assert not preconditions(drowned)[0].met and "batch_size" in unmet(drowned)[0]
    far = matched.replace(augmentation="none", initial_norm=1e-6)
    assert not preconditions(far)[1].met and "T3" in unmet(far)[0]
    assert "share dense noise" in unmet(matched.replace(augmentation="independent_masks"))[0]
