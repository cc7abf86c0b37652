"""Relatives of the loss: the dichotomy, and the one that must lose it."""

import pytest

from featlearn import preset, train
from featlearn.theory import check
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.relatives import divergence

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
        (MASKED_ON_SPHERE.replace(n_steps=700), "sampling noise makes"),
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
