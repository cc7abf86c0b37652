"""The supervised twin: its closed forms against all latents and against training."""

import dataclasses
import itertools

import numpy as np
import pytest

from featlearn import InvalidInput, preset, train
from featlearn.objectives.supervised import draw_tasks
from featlearn.theory import check
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.supervised import claim_supervised, label_noise_share
from featlearn.theory.predictions.label_noise import label_noise
from featlearn.theory.predictions.supervised import sign_signal, supervised_linear_phase
from featlearn.theory.predictions.taught import taught

TWIN = preset("tiny").replace(objective="supervised", augmentation="none")
# Long enough for labels to teach the atoms, and for the noise of the beginning to fade.
TAUGHT = TWIN.replace(n_steps=540, learning_rate=0.4, weight_decay=0.006, bias_growth=1.01)

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.fixture(scope="module")
def taught_runs(one_blas_thread):
    """Runs that labels teach, by their task."""
    return {task: train(TAUGHT.replace(task=task)) for task in ("classification", "regression")}


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


@pytest.mark.parametrize("task", ("classification", "regression"))
def test_labels_teach_the_atoms_without_augmentation(taught_runs, task):
    run = taught_runs[task]
    found = check(run) if task == "classification" else claim_supervised([Observed(run)])
    verdicts = {v.quantity: v for v in found if v.claim == "supervised"}
    noise = verdicts.pop("median dense share, measured over that of label noise")
    assert noise.outcome == "holds", noise
    assert run["head"].shape == (541, 8, 32)
    np.testing.assert_array_equal(run["head"][-1], run.parameters["head"])
    if task == "classification":
        assert verdicts["atoms with a pure neuron"].outcome == "holds"
        assert verdicts["median sparse share"].outcome == "holds"
    else:
        # A linear head cannot explain values as well as signs: at this rate their noise is too large.
        left = list(verdicts.values())[2:]
        assert "lower η" in left[0].reason, left


def test_half_as_many_tasks_teach_all_atoms():
    run = train(TWIN.replace(n_tasks=4, n_steps=1100, learning_rate=0.4, bias_growth=1.006))
    found = claim_supervised([Observed(run)])[3:]
    assert [v.outcome for v in found] == ["holds"] * 3, found
    few = dataclasses.replace(run, experiment=run.experiment.replace(n_tasks=2))
    assert "half as many" in claim_supervised([Observed(few)])[-1].reason


def test_label_noise_is_in_proportion_to_the_rate_and_comes_to_rest(taught_runs):
    run = taught_runs["classification"]
    arrays = run.weights, run.biases, run.parameters["head"]

    def noise(steps=10**6, **changes):
        rng = np.random.default_rng(0)
        exp = run.experiment.replace(weight_decay=0.02, **changes)
        return label_noise(exp, run.model, *arrays, steps, rng, 2048).sum()

    assert noise(learning_rate=0.04) == pytest.approx(noise() / 10, rel=0.05)
    assert noise(batch_size=1280) == pytest.approx(noise() / 10, rel=1e-6)
    assert noise(1) == pytest.approx(noise(2) / 2, rel=0.05)
    assert noise(10**4) == pytest.approx(noise(), rel=1e-3)
    with pytest.raises(InvalidInput, match="augmentation"):
        noise(augmentation="random_mask")


@pytest.mark.parametrize("task", ("classification", "regression"))
def test_the_course_of_a_run_on_labels_is_known_before_it(taught_runs, task):
    """Stage I ends where norms have grown 2.5-fold, a little beyond the doubling that the recursion is good to."""
    run = taught_runs[task]
    exp, found = run.experiment, taught(run.experiment)
    row = int(np.argmax(run["bias"].max(axis=1) > 0))
    share = 1 - np.square(run["alignment"][row]).sum() / np.square(run["weight_norm"][row]).sum()
    assert found.stage_two == pytest.approx(run.steps[row], rel=0.1, abs=1)
    assert found.dense_share == pytest.approx(share, abs=0.05)
    measured = label_noise_share(Observed(run))
    assert found.label_noise == pytest.approx(measured, rel=0.1)
    assert taught(exp.replace(n_steps=5))[0] == np.inf
    assert taught(exp.replace(n_steps=10**9)).label_noise != found.label_noise
    for changes in (dict(augmentation="random_mask"), dict(label_leak=0.1), dict(n_tasks=10**8)):
        assert taught(exp.replace(**changes)) is None


def test_one_task_learns_its_direction():
    exp = TWIN.replace(
        n_tasks=1,
        task="regression",
        n_steps=300,
        learning_rate=0.2,
        initial_norm=0.02,
        stage_one_growth=None,
    )
    verdicts = claim_supervised([Observed(train(exp))])
    assert {v.quantity: v.outcome for v in verdicts[2:]} == dict.fromkeys(
        (
            "cosine of neurons with M w*, median",
            "effective rank of f",
            "atoms with a pure neuron",
        ),
        "holds",
    ), verdicts


def test_labels_that_leak_noise_bring_dense_features_back_whatever_the_augmentation():
    exp = TWIN.replace(
        label_leak=0.3,
        augmentation="random_mask",
        n_steps=400,
        learning_rate=0.4,
        bias_growth=1.006,
    )
    verdict = claim_supervised([Observed(train(exp))])[-1]
    assert verdict.outcome == "holds", verdict


def test_a_third_twin_is_held_against_its_contrastive_twins():
    exp = TWIN.replace(objective="infonce", n_steps=12)
    runs = [train(exp.replace(augmentation=views)) for views in ("random_mask", "none")]
    runs.append(train(TWIN.replace(task="regression", n_steps=6)))
    np.testing.assert_array_equal(runs[-1]["alignment"][0], runs[0]["alignment"][0])
    checked = check_all([Observed(run) for run in runs])
    assert [one.title.split(",")[0] for one in checked[:3]] == ["random_mask", "none", "supervised"]
    last = checked[-1]
    assert last.title.endswith("against its contrastive twins") and len(last.runs) == 3
    assert {v.outcome for v in last.verdicts} == {"does not apply"}
    assert "stage I" in last.verdicts[0].reason
