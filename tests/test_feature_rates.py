"""The drift of each feature in stage I, for every law of the latents, and what its claim notices."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn.theory.claims import feature_rates
from featlearn.theory.claims.claim import judge
from featlearn.theory.claims.feature_rates import claim_feature_rates
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions import feature_drift as predictions

BASE = featlearn.preset("phases").replace(n_steps=70, stage_one_growth=None)
LAWS = {
    "bernoulli": {},
    "binary": {"latents": "binary", "density": 0.2},
    "one of d": {"latents": "one_of_d"},
    "exactly k": {"latents": "k_sparse", "n_active": 3},
    "power law": {"density_power": 1.0},
    "spikes": {"noise_spikes": 3},
}


def slopes(experiment):
    return feature_rates._slopes(Observed(featlearn.train(experiment)))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("augmentation", ("random_mask", "none"))
def test_updates_have_the_mean_of_every_law(law, augmentation, seed):
    found = slopes(BASE.replace(augmentation=augmentation, seed=seed, **LAWS[law]))
    assert found.rows > 20
    z = (found.products / found.squares - 1) / (found.noise / found.squares)
    # 16 features, nearly independent.
    assert np.abs(z).max() < 4.5 and 0.4 < np.sqrt(np.mean(z**2)) < 1.7


def test_a_mask_scatters_a_feature_that_is_one_input_into_itself():
    """Of densities that differ none is left between complementary masks of an identity, whatever its s_j."""
    exp = BASE.replace(dictionary="identity", density_power=1.0)
    alike = np.ones((exp.n_neurons, exp.n_features))
    for keep in (0.3, 0.5):
        mean, taken = predictions.feature_drift(exp.replace(keep_probability=keep), alike, 0, 1.0)
        np.testing.assert_allclose(mean + taken, 0, atol=1e-12)
    rows = slopes(exp.replace(n_steps=4)).rows
    assert rows == 0
    shared = exp.replace(augmentation="independent_masks", temperature=1e9)
    verdicts = claim_feature_rates([Observed(featlearn.train(shared))])
    assert [v.outcome for v in verdicts] == ["holds", "holds"]


def test_spikes_are_followed_until_they_repel_features():
    """Their similarities are those of a few left directions, of which every feature has a part."""
    exp = featlearn.Experiment(
        n_features=8, n_inputs=128, n_neurons=24, batch_size=256, n_steps=60, learning_rate=0.5, weight_decay=0.003,
        temperature=1.0, density=0.0593, noise_variance=0.0918, dictionary="flat", initial_norm=0.167,
        stage_one_growth=None, noise_spikes=8, spike_variance=0.239, seed=3,
    )  # fmt: skip
    far = claim_feature_rates([Observed(featlearn.train(exp))])
    assert {v.outcome for v in far} <= {"holds", "does not apply"}, far
    near = claim_feature_rates([Observed(featlearn.train(exp.replace(initial_norm=0.01)))])
    assert [v.outcome for v in near] == ["holds", "holds"], near


@pytest.mark.parametrize(
    "change", ({"stop_gradient": False}, {"negatives": 60}, {"dtype": "float64"})
)
def test_it_holds_for_other_gradients(change):
    verdicts = claim_feature_rates([Observed(featlearn.train(BASE.replace(**change)))])
    assert [v.outcome for v in verdicts] == ["holds", "holds"]


def test_a_growth_of_the_second_moment_is_seen(monkeypatch):
    """The mean of the atoms would grow faster if the negatives did not take it away."""
    run = featlearn.train(BASE.replace(augmentation="none", **LAWS["binary"]))
    start, end = (run["alignment"][k].sum(axis=1) for k in (0, 60))
    s, exp = 0.2, run.experiment
    noise = exp.resolved_noise_variance
    for variance, agrees in ((s * (1 - s), True), (s * (1 - s) + exp.n_features * s**2, False)):
        factor = 1 + exp.learning_rate * (variance + noise - exp.weight_decay)
        assert (abs(end @ start / (start @ start) / factor**60 - 1) < 0.3) == agrees


@pytest.mark.parametrize("wrong", ("equal densities", "learning rate", "decay"))
def test_what_is_false_fails(wrong, monkeypatch):
    run = featlearn.train(BASE.replace(augmentation="none", density_power=1.0))
    exp = run.experiment
    if wrong == "equal densities":
        law = featlearn.latents.Bernoulli(np.full(exp.n_features, exp.resolved_density))
        monkeypatch.setattr(predictions, "law_of", lambda experiment: law)
    else:
        name = {"learning rate": "learning_rate", "decay": "weight_decay"}[wrong]
        factor = {"learning rate": 1.5, "decay": 20}[wrong]
        run = dataclasses.replace(
            run, experiment=exp.replace(**{name: factor * getattr(exp, name)})
        )
    assert "fails" in {v.outcome for v in claim_feature_rates([Observed(run)])}


@pytest.mark.parametrize(
    "change, reason",
    (
        ({"n_samples": 500}, "fixed data set"),
        ({"record_every": 7}, "record_every = 7"),
        ({"objective": "spectral"}, "InfoNCE"),
        ({"n_steps": 1}, "1 rows"),
        ({"batch_size": 16, "n_steps": 4}, "standard error"),
    ),
)
def test_what_it_asks_for(change, reason):
    run = featlearn.train(BASE.replace(**{"n_steps": 8, **change}))
    verdicts = judge(claim_feature_rates, [Observed(run)])
    assert {v.outcome for v in verdicts} == {"does not apply"}
    assert reason in verdicts[0].reason


def test_it_is_asked_of_other_laws():
    run = featlearn.train(BASE.replace(latents="binary"))
    outcome = {v.claim: v.outcome for v in featlearn.check(run, replay=0)}
    assert outcome["feature rates"] == "holds" and outcome["stage I"] == "does not apply"


def test_samples_that_differ_in_scale_are_followed_while_they_are_alike_in_attraction():
    """Up to a tenth less attraction the slope would be 0.92, which the noise of 8 seeds does not allow."""
    exp = featlearn.Experiment(
        n_features=7, n_inputs=60, n_neurons=31, batch_size=200, n_steps=60, learning_rate=0.05,
        weight_decay=0.08, temperature=0.57, density=0.14, noise_variance=0.47, initial_norm=0.04,
        augmentation="none", negatives=5, noise_spread=0.5, stage_one_growth=None, stop_gradient=False,
    )  # fmt: skip
    runs = [Observed(featlearn.train(exp.replace(seed=seed))) for seed in range(8)]
    verdicts = claim_feature_rates(runs)
    assert [v.outcome for v in verdicts] == ["holds", "holds"], verdicts
    loud, _ = claim_feature_rates([Observed(featlearn.train(exp.replace(noise_spread=1.0)))])
    assert "other scales" in loud.reason
