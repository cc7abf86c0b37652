"""Laws of the latents, spiked noise and a fixed data set: draws, moments, what the theory says."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn.latents import (
    LAWS,
    Amplitudes,
    Binary,
    Coherent,
    KSparse,
    OneOfD,
    law_of,
    mixing_of,
    power_densities,
)
from featlearn.theory.claims.finite_data import (
    claim_finite_data,
    masked_share,
    seen_minus_fresh,
)
from featlearn.theory.claims.groups import check_all
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions.crossing import noise_margin
from featlearn.theory.predictions.fixed_data import (
    fixed_data,
    labelled_data,
    not_masked,
    share_of_leading,
)
from featlearn.theory.predictions.moments import view_moments

N = 40_000


def laws():
    s = power_densities(0.15, 6, 0.5)
    return [LAWS["bernoulli"](s), Binary(s), KSparse.of(6, 2), OneOfD(s / s.sum()), Amplitudes(s)]


@pytest.mark.parametrize("law", laws(), ids=lambda law: law.name)
def test_moments_are_those_of_the_draws(law):
    z = law.draw(np.random.default_rng(0), N).astype(float)
    error = 5 / np.sqrt(N)
    np.testing.assert_allclose((z != 0).mean(axis=0), law.densities, atol=error)
    np.testing.assert_allclose(z.mean(axis=0), law.means, atol=error)
    np.testing.assert_allclose(z.T @ z / N, law.second_moment, atol=error)
    centred = z - law.means
    fourth = (centred**4).mean(axis=0) - 3 * (centred**2).mean(axis=0) ** 2
    np.testing.assert_allclose(fourth, law.fourth_cumulants, atol=error)
    t = np.linspace(-1, 1, 6)
    np.testing.assert_allclose(np.exp(t * z).mean(axis=0), law.moment_generating(t), atol=2 * error)


def test_the_posterior_mean_of_a_real_amplitude_is_that_of_draws():
    law, v, u = laws()[-1], 0.3, np.array([-2.0, -0.4, 0.0, 0.7, 3.0])[:, None]
    z = law.draw(np.random.default_rng(0), 10 * N)
    weight = np.exp(-((u[:, :, None] - z.T) ** 2) / (2 * v))
    expected = (weight * z.T).mean(axis=2) / weight.mean(axis=2)
    np.testing.assert_allclose(law.posterior_mean(u, v), expected, atol=0.02)
    far = law.posterior_mean(np.array([[-1e4], [1e4]]), 0.01)
    np.testing.assert_allclose(far, [[-law.most] * 6, [law.most] * 6], rtol=0.01)


@pytest.mark.parametrize("law", laws()[:-1], ids=lambda law: law.name)
def test_the_posterior_mean_is_that_of_the_marginal(law):
    v, u = 0.3, np.array([-2.0, -0.4, 0.0, 0.7, 3.0])[:, None]
    values = (0, 1) if law.name == "binary" else (-1, 0, 1)
    p = {0: 1 - law.densities, 1: law.densities / (len(values) - 1)}
    weight = {a: p[abs(a)] * np.exp(-((u - a) ** 2) / (2 * v)) for a in values}
    expected = sum(a * w for a, w in weight.items()) / sum(weight.values())
    np.testing.assert_allclose(law.posterior_mean(u, v), expected, rtol=1e-9, atol=1e-12)
    assert np.isfinite(law.posterior_mean(np.array([[-1e4], [1e4]]), 0.01)).all()


def test_atoms_that_are_not_orthogonal():
    rng, s = np.random.default_rng(0), power_densities(0.15, 6, 0.5)
    law = Coherent(s, mixing_of(6, 0.3, rng))
    gram = law.mixing.T @ law.mixing
    assert np.abs(gram - np.eye(6)).max() == pytest.approx(0.3, abs=1e-3)
    z = law.draw(rng, N).astype(float)
    error = 5 / np.sqrt(N)
    np.testing.assert_allclose(z.T @ z / N, law.second_moment, atol=error)
    np.testing.assert_allclose(np.diag(law.second_moment), law.variances)
    fourth = (z**4).mean(axis=0) - 3 * (z**2).mean(axis=0) ** 2
    np.testing.assert_allclose(fourth, law.fourth_cumulants, atol=error)


def test_every_sample_has_its_number_of_features():
    rng = np.random.default_rng(1)
    assert (np.abs(KSparse.of(9, 3).draw(rng, 500)).sum(axis=1) == 3).all()
    assert (np.abs(OneOfD(np.full(9, 1 / 9)).draw(rng, 500)).sum(axis=1) == 1).all()


def test_an_experiment_names_its_law(small):
    law = law_of(small.replace(density=0.1, density_power=1.0))
    assert law.densities.mean() == pytest.approx(0.1)
    np.testing.assert_allclose(law.densities[0] / law.densities, np.arange(1, 9))
    sparse = small.replace(latents="k_sparse", n_active=2, density=0.5)
    assert sparse.resolved_density == 0.25
    model = featlearn.init(sparse).model
    assert model.law.name == "k_sparse" and model.density == 0.25
    assert featlearn.init(small).model.law.name == "bernoulli"


@pytest.mark.parametrize(
    "changes, field",
    (
        ({"latents": "gamma"}, "latents"),
        ({"latents": "k_sparse", "n_active": 9}, "n_active"),
        ({"density": 0.5, "density_power": 2.0}, "density_power"),
        ({"latents": "k_sparse", "density_power": 0.5}, "density_power"),
        ({"density_power": -1.0}, "density_power"),
        ({"noise_spikes": 60}, "noise_spikes"),
        ({"n_samples": 50}, "n_samples"),
        ({"n_samples": 150, "negatives": 200}, "n_samples"),
        ({"n_samples": 200, "dense": "gram", "n_inputs": 512}, "n_samples"),
        ({"noise_spikes": 2, "dense": "gram", "n_inputs": 512}, "noise_spikes"),
        ({"noise_spread": 0.2, "dense": "gram", "n_inputs": 512}, "noise_spread"),
        ({"noise_spread": 3.1}, "noise_spread"),
    ),
)
def test_data_that_do_not_fit_are_refused_by_field(small, changes, field):
    with pytest.raises(featlearn.InvalidInput, match=field):
        small.replace(**changes)


def test_spikes_are_the_only_directions_of_more_noise(small):
    exp = small.replace(noise_variance=0.2, noise_spikes=3, spike_variance=2.0, batch_size=4000)
    state = featlearn.init(exp)
    noise, spikes = featlearn.draw_batch(state).sample.noise, state.model.spikes
    np.testing.assert_allclose(spikes.T @ spikes, 2 * np.eye(3), atol=1e-5)
    np.testing.assert_allclose(state.model.dictionary.T @ spikes, 0, atol=1e-5)
    along = noise @ spikes / np.sqrt(2)
    np.testing.assert_allclose(along.var(axis=0), 2.2, rtol=0.1)
    assert noise.var() == pytest.approx(0.2 + 3 * 2 / 64, rel=0.03)


def test_a_scale_of_each_sample_leaves_the_mean_square(small):
    exp = small.replace(noise_variance=0.2, noise_spread=0.4, batch_size=20000)
    squares = np.square(featlearn.draw_batch(featlearn.init(exp)).sample.noise).mean(axis=1) / 0.2
    assert squares.mean() == pytest.approx(1, rel=0.02)
    # Of 64 normals of one scale the mean square has variance 2/64 beside that of c².
    expected = np.exp(4 * 0.4**2) * (1 + 2 / 64)
    assert np.square(squares).mean() == pytest.approx(expected, rel=0.1)
    plain = exp.replace(noise_spread=0.0)
    n = 4 * plain.resolved_noise_variance**2 * plain.learning_rate * 64 / (2 * plain.batch_size)
    cross = view_moments(exp).cross
    gained = (noise_margin(exp) - noise_margin(plain)) * (cross.sparse - cross.dense)
    assert gained == pytest.approx(n * np.expm1(4 * 0.4**2), rel=1e-6)


@pytest.mark.parametrize("own", (False, True))
def test_a_fixed_data_set_is_used_again(small, own):
    exp = small.replace(n_samples=120, n_steps=4)
    state = featlearn.init(exp)
    data = state.model.data
    state = featlearn.init(exp, model=state.model if own else None)
    for _ in range(3):
        sample = featlearn.draw_batch(state).sample
        match = (sample.noise[:, None, :3] == data.noise[None, :, :3]).all(axis=2)
        index = match.argmax(axis=1)
        assert (match.sum(axis=1) == 1).all() and len(set(index)) == 100
        np.testing.assert_array_equal(sample.latents, data.latents[index])
        state = featlearn.step(state)
    full = featlearn.init(exp.replace(n_samples=100))
    first, second = (featlearn.draw_batch(s) for s in (full, featlearn.step(full)))
    np.testing.assert_array_equal(first.sample.inputs, second.sample.inputs)
    assert not np.array_equal(first.views.anchors, second.views.anchors), "masks stay fresh"
    assert not np.array_equal(
        data.noise[0], featlearn.init(exp.replace(seed=1)).model.data.noise[0]
    )


def test_runs_of_every_kind_of_data_are_recorded_resumed_and_checked(small, tmp_path):
    kinds = {
        "one_of_d": {"latents": "one_of_d"},
        "binary": {"latents": "binary"},
        "power": {"density_power": 0.5},
        "amplitudes": {"latents": "amplitudes"},
        "spikes": {"noise_spikes": 2, "spike_variance": 1.0},
        "spread": {"noise_spread": 0.5},
        "fixed": {"n_samples": 150},
    }
    for name, changes in kinds.items():
        exp = small.replace(n_steps=12, **changes)
        whole = featlearn.train(exp)
        featlearn.train(exp, tmp_path / name, until=lambda state: state.step == 5)
        run = featlearn.train(None, tmp_path / name, resume=True)
        for quantity in whole.arrays:
            np.testing.assert_array_equal(run[quantity], whole[quantity])
        assert run.model.law.name == exp.latents
    verdicts = featlearn.check(featlearn.train(small.replace(n_steps=12, **kinds["binary"])))
    # What the rows are is certified, what they should show is not known.
    assert {v.claim for v in verdicts if v.outcome == "holds"} == {"trajectory", "replay"}
    assert "binary" in verdicts[-1].reason


def test_a_state_of_another_law_is_refused_or_rebuilt(small):
    state = featlearn.init(small)
    for changes in ({"latents": "binary"}, {"n_samples": 200}):
        with pytest.raises(featlearn.InvalidInput, match=next(iter(changes))):
            dataclasses.replace(state, experiment=small.replace(**changes))
        again = state.replace(**changes)
        np.testing.assert_array_equal(again.model.dictionary, state.model.dictionary)
    assert state.replace(latents="binary").model.law.name == "binary"


def test_the_noise_of_a_fixed_data_set_and_its_signal_are_as_predicted():
    base = featlearn.preset("tiny")
    for n in (2400, 4800, 8192):
        exp = base.replace(n_samples=n)
        model = featlearn.init(exp).model
        x = model.data.inputs.astype(float)
        shared = x.T @ x / n
        np.fill_diagonal(shared, 0)
        values, vectors = np.linalg.eigh(shared)
        expected = fixed_data(exp)
        top = vectors[:, -8:]
        share = np.sum((model.dictionary.T @ top) ** 2) / 8
        assert share == pytest.approx(expected.sparse_share, abs=0.08)
        noise = model.data.noise.astype(float)
        own = noise.T @ noise / n
        np.fill_diagonal(own, 0)
        assert np.linalg.eigvalsh(own)[-1] == pytest.approx(expected.noise_edge, rel=0.05)
    few = base.replace(n_samples=400)
    assert fixed_data(few).sparse_share < 0.2 and fixed_data(few).samples_needed > 400
    assert fixed_data(base.replace(n_samples=1202)).samples_needed == pytest.approx(1202, rel=0.01)
    assert any("drowns" in w for w in featlearn.theory.plan(few).warnings)
    with pytest.raises(featlearn.InvalidInput, match="n_samples"):
        fixed_data(base)


@pytest.mark.parametrize("sizes", [(24, 48, 250), (48, 96, 160), (40, 160, 467), (12, 300, 1300)])
def test_the_share_of_a_fixed_data_set_at_any_number_of_features(sizes):
    """Three data sets give the share to 0.015; of few features in many inputs it is the known formula."""
    d, d1, n = sizes
    exp = featlearn.Experiment(
        n_features=d, n_inputs=d1, n_samples=n, n_neurons=4, batch_size=32, dictionary="flat"
    )
    shares = []
    for seed in range(3):
        model = featlearn.init(exp.replace(seed=seed)).model
        x = model.data.inputs.astype(float)
        shared = x.T @ x / n
        np.fill_diagonal(shared, 0)
        top = np.linalg.eigh(shared)[1][:, -d:]
        shares.append(np.sum((model.dictionary.T @ top) ** 2) / d)
    assert np.mean(shares) == pytest.approx(fixed_data(exp).sparse_share, abs=0.045)
    assert share_of_leading(2, 20_000, 100_000, 1.3) == pytest.approx(
        (1 - 0.2 * 1.3**2) / (1 + 0.2 * 1.3), abs=0.01
    )


def test_fewer_samples_than_features_have_directions_without_any():
    """Which are as sparse as all of them: without these the share would be 0.49."""
    exp = featlearn.Experiment(
        n_features=40, n_inputs=80, n_samples=20, n_neurons=4, batch_size=8, dictionary="flat",
        density=0.3, noise_factor=0.1, n_steps=1,
    )  # fmt: skip
    shares = [masked_share(Observed(featlearn.train(exp.replace(seed=k)))) for k in range(3)]
    assert np.mean(shares) == pytest.approx(fixed_data(exp).sparse_share, abs=0.03)


def test_shares_of_few_features_scatter_and_few_samples_are_not_asked():
    exp = featlearn.Experiment(
        n_features=4, n_inputs=32, n_samples=400, n_neurons=4, batch_size=8, density=0.06,
        noise_variance=0.13, stage_one_growth=None, n_steps=1,
    )  # fmt: skip
    runs = [Observed(featlearn.train(exp.replace(seed=seed))) for seed in range(10)]
    for observed in (*([run] for run in runs), runs):
        assert claim_finite_data(observed)[0].outcome == "holds"
    few = exp.replace(
        n_features=40, n_inputs=160, n_samples=80, density=0.033, noise_variance=0.001
    )
    first, *_ = claim_finite_data([Observed(featlearn.train(few))])
    assert first.outcome == "does not apply" and "each in 2.6 of them" in first.reason


def test_a_mask_takes_atoms_that_are_single_inputs():
    exp = featlearn.preset("tiny").replace(dictionary="identity", n_samples=4096)
    assert "takes the signal" in not_masked(exp)
    assert featlearn.theory.plan(exp).data_set is None


@pytest.mark.parametrize("task", ("classification", "regression"))
def test_the_pull_of_labels_on_a_fixed_data_set_is_as_predicted(task):
    base = featlearn.preset("tiny").replace(objective="supervised", augmentation="none", task=task)
    for n in (256, 1024):
        exp = base.replace(n_samples=n, n_steps=1)
        verdicts = claim_finite_data([Observed(featlearn.train(exp))])
        assert verdicts[0].outcome == "holds", verdicts[0]
        assert 0.2 < verdicts[0].measured < 0.95
    found = featlearn.theory.plan(exp).data_set
    assert found.sparse_share > fixed_data(exp.replace(objective="infonce")).sparse_share
    assert labelled_data(exp.replace(n_samples=4 * n)).samples_needed == found.samples_needed
    few = featlearn.theory.plan(exp.replace(n_samples=128, batch_size=64))
    assert any("N_sup" in warning for warning in few.warnings)


def test_a_network_remembers_the_noise_of_its_samples():
    """Seen noise decides f as fresh noise does without training, and more so after some."""
    exp = featlearn.preset("tiny").replace(n_samples=256, n_steps=300, learning_rate=0.4)
    before, after = (
        Observed(featlearn.train(exp.replace(n_steps=steps))) for steps in (1, exp.n_steps)
    )
    assert abs(seen_minus_fresh(before)) < 0.03 and seen_minus_fresh(after) > 0.05


def test_groups_of_runs_on_data_sets_are_related():
    exp = featlearn.preset("tiny").replace(n_steps=2)
    told = exp.replace(objective="supervised", augmentation="none")
    observed = [
        Observed(featlearn.train(one.replace(n_samples=n)))
        for one in (exp, told)
        for n in (2400, 1300)
    ]
    titles = [one.title for one in check_all(observed)]
    assert sum("on the same samples" in title for title in titles) == 2
    assert sum(title.endswith("more samples") and "1300" in title for title in titles) == 2
