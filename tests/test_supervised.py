"""The supervised twin: its closed forms against all latents and against training."""

import itertools

import numpy as np
import pytest

from featlearn import InvalidInput, init, preset, train
from featlearn.objectives import make_objective
from featlearn.objectives.supervised import draw_tasks
from featlearn.theory import check
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.supervised import claim_supervised, label_noise_share
from featlearn.theory.predictions.label_noise import label_noise
from featlearn.theory.predictions.plan import plan
from featlearn.theory.predictions.supervised import (
    largest_pull,
    leaked_share,
    sign_signal,
    spread_pull,
    supervised_linear_phase,
)
from featlearn.theory.predictions.taught import taught

TWIN = preset("tiny").replace(objective="supervised", augmentation="none")
# Long enough for labels to teach the atoms, and for the noise of the beginning to fade.
TAUGHT = TWIN.replace(n_steps=1000, learning_rate=0.4, weight_decay=0.006, bias_growth=1.01)

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
    assert run["head"].shape == (1001, 8, 32)
    np.testing.assert_array_equal(run["head"][-1], run.parameters["head"])
    if task == "classification":
        assert verdicts["atoms with a pure neuron"].outcome == "holds"
        assert verdicts["median sparse share"].outcome == "holds"
    else:
        # A linear head cannot explain values as well as signs: at this rate their noise is too large.
        left = list(verdicts.values())[2:]
        assert "lower η" in left[0].reason, left


@pytest.mark.parametrize(
    ("changes", "reason"),
    (
        (dict(augmentation="random_mask", batch_size=64), "views are augmented"),
        (dict(train_head=False), "head is fixed"),
        (dict(n_neurons=6), "leave 3.6 out"),
        (dict(n_steps=300), "fall behind"),
        (dict(n_features=3, n_inputs=40, density=0.2, batch_size=256), "without single ones"),
        (dict(initial_norm=1.0, n_steps=200), "stage I"),
        (dict(label_leak=0.3, task="regression"), "0.84 of what labels pull on"),
        (dict(label_leak=0.3, n_neurons=6, n_steps=400), "leave 3.6 out"),
        (dict(label_leak=0.3, n_tasks=1, n_steps=400), "mix noise"),
        (dict(density=0.0, n_steps=60), "s = 0"),
        (dict(density=0.9, n_steps=300, n_samples=2000), "s < 1/2"),
        (dict(density=0.9, n_steps=300), "s < 1/2"),
        (dict(n_features=1, n_inputs=1, density=0.1, n_steps=60), "no dense part"),
        (dict(n_features=2, task="regression", n_tasks=1, density=0.1, initial_norm=0.01), "with an atom"),
    ),
)  # fmt: skip
def test_what_labels_need_not_teach_does_not_apply_with_the_reason(changes, reason):
    exp = TAUGHT.replace(**changes)
    found = check(train(exp), replay=0)
    assert [(v.claim, v.quantity, v.measured) for v in found if v.outcome == "fails"] == []
    assert plan(exp).to_dict()
    of_labels = [v for v in found if v.claim in ("supervised", "finite data")]
    assert any(reason in v.reason for v in of_labels if v.outcome == "does not apply"), of_labels


def test_a_fixed_head_finds_fewer_atoms(taught_runs):
    fixed = Observed(train(TAUGHT.replace(train_head=False)))
    learned = Observed(taught_runs["classification"])
    assert fixed.summary.pure_fraction < learned.summary.pure_fraction - 0.15
    assert fixed.summary.atoms_learned < learned.summary.atoms_learned


@pytest.mark.parametrize("task", ("classification", "regression"))
@pytest.mark.parametrize("leak", (0.1, 0.5, 1.0))
def test_the_pull_of_labels_that_leak_is_as_predicted(task, leak):
    exp = TWIN.replace(task=task, label_leak=leak)
    sample = init(exp).model.sample(np.random.default_rng(0), 60_000)
    labels = make_objective(exp).labels(sample).astype(float)
    pull = labels.T @ sample.inputs / len(labels)
    sparse = np.square(pull @ init(exp).model.dictionary).sum()
    chance = exp.resolved_noise_variance * np.square(labels).mean(axis=0).sum() / len(labels)
    dense = np.square(pull).sum() - sparse - chance * (exp.n_inputs - exp.n_features)
    assert leaked_share(exp) == pytest.approx(sparse / (sparse + dense), abs=0.02)


def test_half_as_many_tasks_teach_all_atoms():
    run = train(TAUGHT.replace(n_tasks=4, n_steps=1300))
    found = claim_supervised([Observed(run)])[3:]
    assert [v.outcome for v in found] == ["holds"] * 3, found
    few = train(run.experiment.replace(n_tasks=2, n_steps=20))
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
        reason = plan(exp.replace(**changes)).end_remark
        assert next(iter(changes)) in reason or "fit in memory" in reason


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


def test_labels_teach_what_only_a_mask_does_else_and_a_mask_does_not_help_labels_that_leak():
    plain = TWIN.replace(
        learning_rate=0.36, bias_growth=1.006, n_steps=1150, batch_size=192, record_every=20
    )
    contrastive = plain.replace(objective="infonce")
    leaking = plain.replace(label_leak=0.3, n_steps=900)
    runs = [
        *(contrastive.replace(augmentation=views) for views in ("random_mask", "none")),
        plain,
        *(leaking.replace(augmentation=views) for views in ("random_mask", "none")),
    ]
    observed = [Observed(train(exp), replays=0) for exp in runs]
    checked = {one.title: one.verdicts for one in check_all(observed)}
    name = "supervised, none, d = 8, d1 = 256, seed 0"
    held = checked[f"{name} against its contrastive twins"]
    assert [v.outcome for v in held] == ["holds"] * 3, held
    name = name.replace(", d =", ", label_leak = 0.3, d =", 1)
    found = checked[f"{name} against its contrastive twins"]
    assert "labels leak" in found[0].reason and found[0].outcome == "does not apply"
    masked = checked[f"{name.replace('none', 'random_mask')} against its twin without augmentation"]
    assert [v.outcome for v in masked] == ["holds"], masked


def test_only_infonce_has_a_supervised_twin():
    exps = [TWIN.replace(objective="spectral", augmentation=v) for v in ("random_mask", "none")]
    exps += [TWIN, TWIN.replace(augmentation="random_mask")]
    checked = check_all([Observed(train(exp.replace(n_steps=2)), replays=0) for exp in exps])
    related = [one for one in checked if "against" in one.title]
    assert len(related) == 2 and not any("contrastive" in one.title for one in related)
    assert {v.outcome for one in related for v in one.verdicts} == {"does not apply"}


def test_the_pull_on_a_pure_neuron_is_a_mean_over_samples():
    exp = TWIN.replace(n_features=6, n_tasks=3, density=0.2, noise_variance=0.15, bias_cap=0.8)
    rng, n = np.random.default_rng(0), 400_000
    tasks = make_objective(exp).tasks
    z = rng.choice([-1, 0, 1], (n, 6), p=[0.1, 0.8, 0.1])
    u = z[:, 0] + np.sqrt(0.15) * rng.standard_normal(n)
    active, h = np.abs(u) >= 0.8, np.sign(u) * np.maximum(np.abs(u) - 0.8, 0)
    for task, labels in (("regression", z @ tasks), ("classification", np.sign(z @ tasks) / 2)):
        of_weights, of_head = labels.T @ (u * active) / n, labels.T @ h / n
        expected = largest_pull(exp.replace(task=task))[0]
        assert np.sqrt(of_weights @ of_weights * (of_head @ of_head)) ** 0.5 == pytest.approx(
            expected, rel=0.02
        )


def test_what_labels_teach_fades_where_decay_outdoes_their_pull():
    """With λ above the pull of all atoms norms fall and atoms are lost, with less of it they rest."""
    found = []
    for decay in (0.03, 0.06):
        exp = TAUGHT.replace(weight_decay=decay)
        run, pull = train(exp), largest_pull(exp)
        norms = np.sqrt(np.square(run["weight_norm"]).mean(axis=1))
        assert (norms[-1] < norms[-400] * 0.7) == (pull.max() < decay), (decay, pull, norms[-1])
        found.append([v for v in check(run, replay=0) if v.claim == "supervised"])
        assert not [v for v in found[-1] if v.outcome == "fails"]
    rests, fades = ([v.reason for v in verdicts] for verdicts in found)
    assert any("needs 1.25 times" in r for r in fades) and not any("needs 1.25" in r for r in rests)


@pytest.mark.parametrize("density", (0.05, 0.25))
def test_neurons_of_many_features_live_on_what_pure_ones_leave_of_labels(density):
    exp = TAUGHT.replace(
        task="regression", n_features=10, n_inputs=20, n_neurons=40, n_steps=1500,
        learning_rate=0.2, weight_decay=0.01, noise_variance=0.08, density=density, bias_cap=0.6,
    )  # fmt: skip
    run = train(exp)
    cosine = np.abs(run.weights @ run.dictionary).max(axis=1) / np.linalg.norm(run.weights, axis=1)
    alive = spread_pull(exp) > exp.weight_decay
    assert (np.mean(cosine < 0.65) > 0.3) == alive == (density > 0.1)
    verdict = {v.quantity: v for v in claim_supervised([Observed(run)])}["pure neurons"]
    assert verdict.outcome == ("does not apply" if alive else "holds"), verdict
    assert not alive or "neurons of all features" in verdict.reason


def test_selection_on_labels_takes_time_at_the_cap_whatever_norms_do():
    exp = TWIN.replace(
        n_features=12, n_inputs=24, n_neurons=48, n_tasks=12, density=0.07, noise_variance=0.1, bias_cap=0.56,
        learning_rate=0.1, weight_decay=0.022, n_steps=1000, bias_growth=1.004,
    )  # fmt: skip
    shorter, longer = (
        {v.quantity: v for v in claim_supervised([Observed(train(e))])}
        for e in (exp, exp.replace(learning_rate=0.2, n_steps=3000))
    )
    assert "fall behind" in shorter["all of its criteria"].reason
    assert longer["pure neurons"].outcome == longer["atoms with a pure neuron"].outcome == "holds"
