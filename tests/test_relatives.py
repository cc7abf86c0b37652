"""Relatives of the loss: the dichotomy, and the one that must lose it."""

import numpy as np
import pytest

from featlearn import Experiment, preset, train
from featlearn.theory import check, plan, preconditions
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.relatives import divergence
from featlearn.theory.predictions.on_sphere import growth_on_sphere

pytestmark = pytest.mark.usefixtures("one_blas_thread")

BASE = preset("tiny").replace(augmentation="none", record_every=10, bias_growth=1.006)
ON_SPHERE = dict(
    objective="nt_xent",
    stop_gradient=False,
    temperature=0.5,
    learning_rate=0.09,
    stage_one_steps=250,
)


def outcomes(experiment):
    found = [v for v in check(train(experiment), replay=0) if v.claim == "relatives"]
    return {v.quantity: v.outcome for v in found}, found


@pytest.mark.parametrize(
    "changes",
    (dict(objective="spectral", learning_rate=0.36, n_steps=600), {**ON_SPHERE, "n_steps": 700}),
)
def test_without_augmentation_relatives_learn_the_noise(changes):
    held, verdicts = outcomes(BASE.replace(**changes))
    assert set(held.values()) == {"holds"} and len(held) == 4, verdicts


def test_with_an_augmentation_the_spectral_loss_learns_every_atom():
    changes = dict(objective="spectral", augmentation="random_mask", n_steps=1500, batch_size=256)
    held, verdicts = outcomes(BASE.replace(**changes, learning_rate=0.3))
    assert set(held.values()) == {"holds"} and "atoms with a pure neuron" in held, verdicts


MASKED = BASE.replace(augmentation="random_mask")
MASKED_ON_SPHERE = MASKED.replace(**ON_SPHERE, bias_growth=1.01)


@pytest.mark.parametrize(
    ("experiment", "reason"),
    (
        (MASKED.replace(objective="spectral", batch_size=16, n_steps=500), "noise margin"),
        (MASKED.replace(objective="spectral", n_steps=520), "fall behind"),
        (MASKED.replace(objective="decoupled", n_steps=520), "fall behind"),
        (MASKED_ON_SPHERE.replace(n_steps=700), "sampling noise sustains"),
        (MASKED_ON_SPHERE.replace(n_steps=500, learning_rate=0.03), "e-folds"),
        (MASKED_ON_SPHERE.replace(n_steps=1600, learning_rate=0.025, embedding_floor=0.05), "raise ε"),
        (BASE.replace(objective="decoupled", n_steps=700, weight_decay=0.05), "dense neurons die"),
    ),
)  # fmt: skip
def test_what_relatives_do_not_promise_does_not_apply_with_the_reason(experiment, reason):
    run = train(experiment)
    found = check(run, replay=0)
    assert [(v.claim, v.quantity, v.measured) for v in found if v.outcome == "fails"] == []
    mine = [v for v in found if v.claim == "relatives"]
    assert len(mine) == 1 and reason in mine[0].reason, mine


def test_norms_diverge_where_the_attraction_never_fades():
    decoupled = BASE.replace(objective="decoupled", n_steps=700)
    held, verdicts = outcomes(decoupled)
    assert list(held.values()) == ["holds", "holds"], verdicts
    _, verdicts = outcomes(decoupled.replace(n_steps=100))
    assert "norms may take" in verdicts[0].reason
    # Where the attraction fades, norms rest below g*.
    found = divergence([Observed(train(BASE.replace(n_steps=700)))])
    assert found[0].outcome == "fails", found


OVERTAKEN = Experiment(
    n_features=16, n_inputs=128, n_neurons=128, batch_size=256, n_steps=400, learning_rate=0.03,
    weight_decay=0.004, temperature=0.5, noise_factor=0.5, augmentation="none", initial_norm=0.003,
    bias_factor=1.0, bias_growth=1.004, bias_cap=0.55, seed=400, dictionary="flat",
    objective="nt_xent", stop_gradient=False, stage_one_steps=300, record_every=10,
)  # fmt: skip


def test_on_the_sphere_the_noise_wins_only_if_norms_grow_by_less_than_the_crossing():
    noise = next(p for p in preconditions(OVERTAKEN) if p.claim == "T3")
    assert not noise.met and "T3 is not promised" in plan(OVERTAKEN).warnings[0]
    run = train(OVERTAKEN)
    share = np.square(run["alignment"]).sum(axis=(1, 2)) / np.square(run["weight_norm"]).sum(axis=1)
    assert share[0] < 0.2 and share.max() > 0.8
    found = check(run, replay=0)
    assert [(v.claim, v.quantity) for v in found if v.outcome == "fails"] == []
    assert "overtakes" in next(v.reason for v in found if v.claim == "relatives")
    promised = BASE.replace(**ON_SPHERE)
    assert [p.met for p in preconditions(promised) if p.claim == "T3"] == [True]
    assert plan(promised).warnings == ()


@pytest.mark.parametrize("initial_norm", (0.003, 0.05))
def test_norms_on_the_sphere_grow_as_far_as_predicted(initial_norm):
    run = train(OVERTAKEN.replace(initial_norm=initial_norm, n_steps=300, record_every=300))
    grown = np.square(run["weight_norm"]).mean(axis=1)
    assert growth_on_sphere(run.experiment) == pytest.approx(
        0.5 * np.log(grown[-1] / grown[0]), abs=0.15
    )
