"""What breaks the theorem: spikes in the noise, rare atoms, and another augmentation later."""

import dataclasses

import numpy as np
import pytest

from featlearn import load_state, preset, train
from featlearn.theory import check
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.other_data import claim_rare_atoms, spike_share
from featlearn.theory.predictions.spikes import spiked_plateau

pytestmark = pytest.mark.usefixtures("one_blas_thread")

FAST = preset("tiny").replace(learning_rate=0.36, bias_growth=1.006, n_steps=800, record_every=20)


def judged(run, claim):
    return [v for v in check(run, replay=0) if v.claim == claim]


def test_a_mask_does_not_remove_directions_of_extra_variance():
    spiked = FAST.replace(noise_spikes=4, spike_variance=0.52, learning_rate=0.12)
    found = judged(train(spiked), "spikes")
    assert [v.outcome for v in found] == ["holds", "holds"], found
    weak = judged(train(spiked.replace(spike_variance=0.03, n_steps=2)), "spikes")
    assert "do not outweigh" in weak[0].reason


def test_rare_atoms_are_the_ones_that_are_lost():
    found = judged(train(FAST.replace(density_power=1.0)), "rare atoms")
    assert [v.outcome for v in found] == ["holds"], found
    short = FAST.replace(density_power=0.2, n_steps=2)
    assert judged(train(short), "rare atoms")[0].outcome == "does not apply"


def test_of_rare_atoms_only_kept_and_lost_ones_are_compared():
    """Ranks say nothing among atoms that are all kept: cosines of frequent ones are no larger there."""
    run = train(FAST.replace(density_power=1.0, n_steps=90, stage_one_steps=20, bias_growth=1.2))
    assert run["stage"][-1] == 3
    matrix, kept = run.dictionary.T, np.repeat(np.arange(8), 4)

    def found(atoms, noise):
        """Verdict on neurons along some atoms, the noisier the more frequent these are."""
        other = np.random.default_rng(0).standard_normal((32, matrix.shape[1]))
        other -= other @ matrix.T @ matrix
        other *= (noise / np.linalg.norm(other, axis=1))[:, None]
        weights = (matrix[np.asarray(atoms)] + other).astype(run.weights.dtype)
        return claim_rare_atoms([Observed(dataclasses.replace(run, weights=weights))])[0]

    noise = np.linspace(0.4, 0.2, 32)
    assert "neurons learn all alike" in found(kept, noise).reason
    assert found(kept % 4, noise).outcome == "holds"
    assert found(7 - kept % 4, noise).outcome == "fails"


def test_spikes_hold_what_their_plateau_says_and_few_do_not_outweigh_features():
    linear = preset("tiny").replace(
        noise_spikes=4, spike_variance=0.3, stage_one_growth=None, n_steps=1600, learning_rate=0.08, record_every=50
    )  # fmt: skip
    o, share = Observed(train(linear)), spiked_plateau(linear)
    a, b = np.square(o.alignments).sum(), np.square(o.run.weights).sum()
    held = spike_share(o) * (b - a)
    assert a / (a + held) == pytest.approx(share.features, abs=0.06)
    assert spike_share(o) == pytest.approx(share.spikes, abs=0.06)
    few = FAST.replace(noise_spikes=1, spike_variance=0.52, n_steps=60)
    few = train(few.replace(stage_one_steps=20, bias_growth=1.2))
    assert few["stage"][-1] == 3
    assert "1 spikes beside 8 features" in judged(few, "spikes")[0].reason


def test_spikes_are_not_asked_to_outweigh_a_start_above_their_plateau():
    quick = preset("tiny").replace(
        noise_spikes=3, spike_variance=0.5, n_steps=120, stage_one_growth=None, stage_one_steps=2, bias_growth=1.3
    )  # fmt: skip
    assert [v.outcome for v in judged(train(quick), "spikes")] == ["holds", "holds"]
    features, spikes = judged(train(quick.replace(initial_norm=1.0)), "spikes")
    assert "dense norm of the start" in spikes.reason and features.outcome == "holds"
    features, spikes = judged(train(quick.replace(n_features=253)), "spikes")
    assert "alignment of the start" in features.reason and spikes.outcome == "holds"


@pytest.mark.parametrize(
    "unusual", [{"noise_spikes": 1, "spike_variance": 0.5}, {"density_power": 1}]
)
def test_samples_without_features_say_nothing_of_them(unusual):
    empty = FAST.replace(n_steps=20, stage_one_steps=5, bias_growth=1.3, density=0.0, **unusual)
    run = train(empty)
    assert run["stage"][-1] == 3
    found = [v for claim in ("spikes", "rare atoms") for v in judged(run, claim)]
    assert [v.outcome for v in found] == ["does not apply"], found


def test_features_are_forgotten_without_the_augmentation(tmp_path):
    first = FAST.replace(n_steps=300)
    train(first, tmp_path / "mask")
    state = load_state(tmp_path / "mask")
    assert judged(train(first.replace(n_steps=2)), "warm start") == []
    later = train(None, start=state.replace(augmentation="none", n_steps=1100))
    found = judged(later, "warm start")
    assert {v.outcome for v in found} == {"holds"} and len(found) == 4, found
    again = train(None, start=state.replace(n_steps=310))
    assert "T1 speaks of what they teach" in judged(again, "warm start")[0].reason


def test_a_mask_and_labels_teach_a_network_that_had_learned_noise(tmp_path):
    first = FAST.replace(batch_size=256, weight_decay=0.006, augmentation="none", n_steps=300)
    train(first, tmp_path / "none")
    state = load_state(tmp_path / "none")
    masked = train(None, start=state.replace(augmentation="random_mask", n_steps=1700))
    found = check(masked, replay=0)
    assert not [v for v in found if v.outcome == "fails"], found
    assert [v.outcome for v in found if v.claim == "T1"] == ["holds"] * 4 + ["does not apply"] * 3
    told = judged(
        train(None, start=state.replace(objective="supervised", n_steps=1700)), "supervised"
    )
    held = {v.quantity: v.outcome for v in told if v.outcome != "does not apply"}
    assert held == {"atoms with a pure neuron": "holds", "median sparse share": "holds"}, told
    short = train(None, start=state.replace(augmentation="random_mask", n_steps=310))
    assert "dense norm of the start" in judged(short, "T1")[0].reason
