"""Stage III: the forces on a network, their balance, and the claim about a run."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn import Experiment
from featlearn.state import make_model
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.stage_three import claim_stage_three
from featlearn.theory.predictions.balance import forces_of, measured_balance, pure_balance
from featlearn.training import evaluate, init, step

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SMALL = Experiment(
    n_features=8, n_inputs=256, n_neurons=24, batch_size=128, n_steps=600, learning_rate=0.25,
    weight_decay=0.015, temperature=4.0, density_factor=0.75, noise_factor=0.6,
    stage_one_growth=4.0, bias_factor=1.0, bias_growth=1.01, bias_cap=0.6, initial_norm=0.05,
)  # fmt: skip

# Wide enough for the noise of the atoms to be independent.
WIDE = SMALL.replace(n_inputs=1024, noise_variance=SMALL.resolved_noise_variance)


def pure_network(experiment, strength, threshold):
    """Weights and biases of neurons on one atom each, with Σ_i ‖w_i‖² = τ A an atom."""
    rng, d = np.random.default_rng(0), experiment.n_features
    atoms = np.arange(experiment.n_neurons) % d
    norms = rng.uniform(0.5, 2.0, experiment.n_neurons)
    for j in range(d):
        own = atoms == j
        norms[own] *= np.sqrt(strength * experiment.temperature / np.square(norms[own]).sum())
    signs = rng.choice([-1.0, 1.0], experiment.n_neurons)
    weights = (signs * norms)[:, None] * make_model(experiment).dictionary.T[atoms]
    return weights, threshold * norms


def observed_network(experiment, strength, threshold):
    weights, biases = pure_network(experiment, strength, threshold)
    dictionary = make_model(experiment).dictionary
    return Observed(featlearn.Run(experiment, {}, weights, biases, dictionary))


@pytest.mark.parametrize(
    "changes",
    [{}, {"negatives": 256}, {"keep_probability": 0.4}, {"n_inputs": 64}, {"n_inputs": 32}],
)
def test_a_pure_network_at_the_balance_is_at_rest(changes):
    """The network itself, on views of its own, does what one neuron an atom was computed to do."""
    experiment = WIDE.replace(dtype="float64", **changes)
    expected = pure_balance(experiment, 0.6)
    assert expected.attraction - expected.repulsion == pytest.approx(0.015, rel=0.01)
    measured = measured_balance(observed_network(experiment, expected.strength, 0.6), n_batches=160)
    assert measured.ratio.mean() == pytest.approx(1, abs=0.06)
    assert measured.balance.strength == pytest.approx(expected.strength)
    assert measured.balance.attraction == pytest.approx(expected.attraction, rel=0.06)
    assert measured.balance.repulsion == pytest.approx(expected.repulsion, rel=0.1)
    assert measured.balance.similarity == pytest.approx(expected.similarity, rel=0.06)
    assert measured.balance.positive_probability == pytest.approx(
        expected.positive_probability, rel=0.1
    )
    weak, strong = (
        measured_balance(observed_network(experiment, x * expected.strength, 0.6)).ratio.mean()
        for x in (0.5, 2.0)
    )
    assert weak < 0.9 and strong > 1.1


def test_masks_tie_the_noise_of_atoms_together_unless_d1_is_large():
    """Repulsion grows, so that attraction balances it at smaller norms; independent noise does not do that."""
    strength = {
        (augmentation, d1): pure_balance(
            WIDE.replace(n_inputs=d1, augmentation=augmentation), 0.6
        ).strength
        for augmentation in ("random_mask", "correlated_noise")
        for d1 in (64, 511, 513)
    }
    independent = strength["correlated_noise", 64]
    assert strength["random_mask", 64] < 0.75 * independent
    # Where Gaussian noise takes the place of masks the two differ by what 64 d leaves of it, and the draws.
    assert strength["random_mask", 511] == pytest.approx(strength["random_mask", 513], rel=0.06)


def test_decay_beyond_all_attraction_leaves_nothing():
    assert pure_balance(SMALL.replace(weight_decay=0.9), 0.6).strength == 0
    with pytest.raises(featlearn.InvalidInput, match="weight_decay"):
        pure_balance(SMALL.replace(weight_decay=0.0), 0.6)


def test_forces_are_the_parts_of_a_step(small):
    state = init(small.replace(dtype="float64"))
    gradient, dictionary = evaluate(state), state.model.dictionary
    forces = forces_of(gradient, dictionary)
    before, after = state.weights @ dictionary, step(state, gradient).weights @ dictionary
    change = forces.attraction + forces.repulsion - small.weight_decay * before
    np.testing.assert_allclose(after, before + small.learning_rate * change, atol=1e-12)


@pytest.fixture(scope="module")
def run():
    """A pure network that starts with half the balance, 600 steps later, its last 120 recorded."""
    weights, biases = pure_network(SMALL, 0.5 * pure_balance(SMALL, 0.6).strength, 0.6)
    state = dataclasses.replace(
        init(SMALL),
        stage=3,
        weights=weights.astype(np.float32),
        biases=biases.astype(np.float32),
        weight_norms=np.linalg.norm(weights, axis=1),
    )
    rows = {"step": [], "stage": [], "weight_norm": []}
    while state.step < SMALL.n_steps:
        state = step(state)
        for name, value in (("step", state.step), ("stage", state.stage)):
            rows[name].append(value)
        rows["weight_norm"].append(state.weight_norms)
    arrays = {name: np.array(values) for name, values in rows.items()}
    return featlearn.Run(SMALL, arrays, state.weights, state.biases, state.model.dictionary)


def test_claim_on_a_run_at_rest(run):
    verdicts = claim_stage_three([Observed(run)])
    assert [v.outcome for v in verdicts] == ["holds"] * 4, verdicts
    assert 0.1 < verdicts[2].predicted < 10


def test_claim_fails_where_norms_are_too_small(run):
    """The weights of a run at rest, halved: attraction wins, and similarities are a quarter."""
    halved = dataclasses.replace(run, weights=run.weights / 2, biases=run.biases / 2)
    verdicts = claim_stage_three([Observed(halved)])
    assert [v.outcome for v in verdicts[:3]] == ["fails"] * 3
    assert verdicts[0].measured < 0.9 and verdicts[2].measured < 0.5 * verdicts[2].predicted


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"augmentation": "none"}, "share dense noise"),
        ({"weight_decay": 0.0}, "without weight decay"),
        ({"stop_gradient": False}, "stop-gradient"),
        ({"n_steps": 601}, "stopped"),
    ],
)
def test_claim_does_not_apply(run, changes, reason):
    other = dataclasses.replace(run, experiment=SMALL.replace(**changes))
    verdicts = claim_stage_three([Observed(other)])
    assert {v.outcome for v in verdicts} == {"does not apply"}
    assert all(reason in v.reason for v in verdicts)


def test_claim_does_not_apply_while_norms_move(run):
    norms = np.array(run["weight_norm"])
    norms[-1] *= 1.1
    moving = dataclasses.replace(run, arrays={**run.arrays, "weight_norm": norms})
    verdicts = claim_stage_three([Observed(moving)])
    assert {v.outcome for v in verdicts} == {"does not apply"} and "move" in verdicts[0].reason
