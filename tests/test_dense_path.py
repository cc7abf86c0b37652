"""A network without augmentation, from its start through saturation, against networks and runs."""

import dataclasses
import math

import numpy as np
import pytest

import featlearn
from featlearn.theory.claims import dense_run as claims
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions import dense_path as module
from featlearn.theory.predictions.dense_path import Parts, dense_path, dense_run, rates_of_parts
from featlearn.theory.predictions.moments import Split, negative_count
from featlearn.theory.predictions.stage_one import sampling_noise

pytestmark = pytest.mark.usefixtures("one_blas_thread")

TINY = featlearn.preset("tiny").replace(augmentation="none")


def logit(share):
    return math.log(share / (1 - share))


def measured(run):
    """ln(Σ‖α‖²/Σ‖β‖²) at the end of a run."""
    sparse = np.sum(np.square(run["alignment"][-1], dtype=float))
    return math.log(sparse / np.sum(np.square(run["dense_norm"][-1], dtype=float)))


@pytest.mark.parametrize(
    ("share", "ratio", "size"), [(0.02, 0.3, 3.0), (0.2, 0.3, 3.0), (0.35, 0.5, 5.0)]
)
def test_the_rates_are_those_of_random_neurons(share, ratio, size):
    """What inputs attract, summed over random neurons, within 4 % of each rate; by the definitions."""
    d, m, extra = 8, 1000, 4000
    exp = TINY.replace(
        n_features=d, n_neurons=m, n_inputs=d + extra, density=0.1, noise_variance=0.1,
        temperature=m / 32,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    alpha = size * np.sqrt(share / d) * rng.standard_normal((m, d))
    beta = size * np.sqrt((1 - share) / extra) * rng.standard_normal((m, extra))
    z = rng.choice([-1.0, 0.0, 1.0], size=(4000, d), p=[0.05, 0.9, 0.05])
    along = (z + np.sqrt(0.1) * rng.standard_normal((4000, d))) @ alpha.T
    beside = np.sqrt(0.1) * rng.standard_normal((4000, extra)) @ beta.T
    u, b = along + beside, ratio * size
    h = np.sign(u) * np.maximum(abs(u) - b, 0)
    similarity = np.sum(h**2, axis=1) / exp.temperature
    q = 1 / (1 + np.exp(similarity) / negative_count(exp))
    found = rates_of_parts(exp)(Parts(0, size**2 * share, size**2 * (1 - share), ratio))
    assert found.similarity == pytest.approx(similarity.mean(), rel=0.04)
    gains = [np.mean(q * np.sum(h * part, axis=1)) / m / size**2 for part in (along, beside)]
    assert found.sparse == pytest.approx(gains[0] / share, rel=0.04)
    assert found.dense == pytest.approx(gains[1] / (1 - share), rel=0.04)
    # Features fade first: a sum over inputs that are all alike is another.
    alike = np.mean(q) * np.mean(np.sum(h * along, axis=1)) / m / size**2 / share
    assert alike > 1.04 * found.sparse


def test_leaps_are_steps(monkeypatch):
    ends = []
    for leap in (module._LEAP, 1e-9):
        monkeypatch.setattr(module, "_LEAP", leap)
        path = list(dense_path(TINY.replace(n_steps=800)))
        ends.append(path[-1])
    assert path[-1].step == 800 and len(path) > 700
    assert logit(ends[0].share) == pytest.approx(logit(ends[1].share), abs=0.02)
    assert ends[0].ratio == pytest.approx(ends[1].ratio, rel=0.01)


MANY = {"n_neurons": 128, "temperature": 4.0}
BOTH = {"stop_gradient": False, "learning_rate": TINY.learning_rate / 2}


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("changes", "seeds", "error"),
    [
        ({}, 2, module.ERROR),
        ({"temperature": 3.0, "weight_decay": TINY.weight_decay / 3}, 2, module.ERROR),
        ({"negatives": 60}, 2, module.ERROR),
        # What each neuron is to the others falls as 1/m.
        (MANY, 1, 0.12),
        ({**MANY, **BOTH}, 1, 0.12),
        # The large-batch limit, d1 = d⁵.
        (
            {
                "n_features": 16, "n_inputs": 16**5, "n_neurons": 64, "batch_size": 1024,
                "density": 0.045, "noise_variance": 0.13, "initial_norm": 5e-6, "dense": "gram",
                "batches": "paired", "negative_groups": 8, "noise_inputs": 80,
                "learning_rate": 1.55, "weight_decay": 0.0006, "stage_one_growth": 60.0,
                "bias_factor": 1.27, "bias_growth": 1.006, "bias_cap": 0.79,
            },
            1,
            module.ERROR,
        ),
    ],
)  # fmt: skip
def test_runs_end_with_the_predicted_share(changes, seeds, error):
    """The mean of seeds within what a prediction may be off, and stage III within 5 %."""
    exp = TINY.replace(n_steps=900, record_every=5, **changes)
    runs = featlearn.train_together([exp.replace(seed=seed) for seed in range(seeds)])
    found, predicted = [measured(run) for run in runs], dense_run(exp)
    assert predicted.share < 0.5
    assert np.mean(found) == pytest.approx(logit(predicted.share), abs=error)
    three = np.mean([run.steps[np.argmax(run["stage"] == 3)] for run in runs])
    assert predicted.stage_three == pytest.approx(three, rel=0.05)


def test_without_thresholds_the_floor_decides():
    """At d1 = 10⁶, where the floor of independent batches decides, and at d1 = 8192, where d/d1 counts.

    The share of a seed scatters by a factor of two, as all neurons share the batches' noise.
    """
    exp = featlearn.Experiment(
        n_features=8, n_inputs=10**6, n_neurons=16, batch_size=64, density=0.06,
        noise_variance=0.13, learning_rate=0.1, weight_decay=0.004, temperature=1.0,
        initial_norm=1e-2, stage_one_growth=None, n_steps=300, augmentation="none", dense="gram",
        record_every=300, noise_inputs=24,
    )  # fmt: skip
    for experiment in (exp, exp.replace(n_inputs=8192, batch_size=256, n_steps=200)):
        ratios = []
        for seed in range(3):
            run = featlearn.train(experiment.replace(seed=seed))
            sparse = np.sum(np.square(run["alignment"][-1], dtype=float))
            dense = np.sum(np.square(run["dense_norm"][-1], dtype=float))
            ratios.append(sparse / dense)
        predicted = dense_run(experiment).share / (1 - dense_run(experiment).share)
        assert 0.5 * predicted < np.mean(ratios) < 2 * predicted, (ratios, predicted)
    assert dense_run(exp).floor > 100 * 8 / 10**6
    larger = exp.replace(batch_size=4 * exp.batch_size)
    assert dense_run(larger).floor == pytest.approx(dense_run(exp).floor / 4)
    assert dense_run(featlearn.preset("asymptotic")).floor == 0


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_floor_is_the_noise_of_a_step_over_its_lead(stop_gradient):
    exp = TINY.replace(stop_gradient=stop_gradient, negatives=10**6)
    noise = sampling_noise(exp, Split(exp.n_features, exp.noise_directions))[0, 1]
    lead = (2 if stop_gradient else 4) * exp.resolved_density
    expected = exp.learning_rate / exp.batch_size * noise / lead
    # N has one more term, without the factor d.
    assert dense_run(exp).floor == pytest.approx(expected, rel=1e-3)


def test_the_claim_holds_and_sees_another_decay():
    exp = TINY.replace(n_steps=900, record_every=5, **MANY)
    run = featlearn.train(exp)
    (verdict,) = claims.claim_dense_run([Observed(run)])
    assert verdict.outcome == "holds" and "random directions" in verdict.why
    wrong = featlearn.train(exp.replace(weight_decay=4 * exp.weight_decay))
    (verdict,) = claims.claim_dense_run([Observed(dataclasses.replace(wrong, experiment=exp))])
    assert verdict.outcome == "fails"
    short = exp.replace(n_steps=4)
    for changes, reason in (
        ({}, "stage I"),
        ({"noise_variance": 1.2}, "set its directions apart"),
        ({"stop_gradient": False}, "with stop-gradient"),
        ({"bias_factor": 0.0}, "biases stay at 0"),
        ({"n_inputs": 8}, "no dense part"),
        ({"noise_variance": 0.0}, "no dense part"),
    ):
        (verdict,) = claims.claim_dense_run([Observed(featlearn.train(short.replace(**changes)))])
        assert verdict.outcome == "does not apply" and reason in verdict.reason


def test_the_claim_is_made_without_augmentation_only():
    run = featlearn.train(featlearn.preset("tiny").replace(n_steps=3))
    assert "dense run" not in {v.claim for v in featlearn.check(run)}
    plain = featlearn.train(TINY.replace(n_steps=3))
    assert "dense run" in {v.claim for v in featlearn.check(plain)}


@pytest.mark.parametrize(
    "changes",
    [
        {"density": 0.0},
        {"weight_decay": 0.0},
        {"weight_decay": 5.0},
        {"temperature": 1e-6},
        {"learning_rate": 50.0},
        {"bias_factor": 0.01, "bias_cap": 40.0, "bias_growth": 1.5},
        {"stage_one_steps": 3},
        {"batch_size": 2},
    ],
)
def test_odd_experiments_have_a_number(changes):
    assert list(dense_path(TINY.replace(**changes)))[-1].step == TINY.n_steps
    found = dense_run(TINY.replace(**changes))
    assert 0 <= found.share <= 1 and found.error >= 0 and found.stage_three > 0
