"""The claims tell a network that has learned from one that has not, and say when they apply."""

import dataclasses
import importlib
import pkgutil
import tracemalloc

import numpy as np
import pytest
from scipy import stats

import featlearn
from featlearn import theory
from featlearn.compute.streams import generator
from featlearn.errors import InvalidInput
from featlearn.latents import Amplitudes, Bernoulli, Binary
from featlearn.theory import check, check_pair
from featlearn.theory.claims.applicability import few_inputs
from featlearn.theory.claims.boundaries import SEEN, claim_boundaries, find_boundaries
from featlearn.theory.claims.decoupling import claim_t5, correlation, cross_view, pure_signal
from featlearn.theory.claims.linear import (
    chance_beyond,
    claim_t4,
    most_by_chance,
    principal_law,
    random_best_cosine,
)
from featlearn.theory.claims.lottery import KEPT, claim_lottery
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.representation import (
    claim_t1,
    claim_t2,
    claim_t3,
    largest_count_bound,
    t2_criteria,
)
from featlearn.theory.claims.stage_one import CROSSING, claim_stage_one
from featlearn.theory.predictions.crossing import crossing, limiting_ratio, noise_margin
from featlearn.theory.predictions.floors import bayes_floor, linear_floor, pure_error
from featlearn.theory.predictions.preconditions import MOST_DENSE

EXPERIMENT = featlearn.Experiment(
    n_features=16,
    n_inputs=128,
    n_neurons=64,
    batch_size=512,
    n_steps=3,
    learning_rate=0.05,
    weight_decay=0.0,
    temperature=2.0,
    initial_norm=0.05,
    density=0.1,
    noise_variance=0.1,
    stage_one_growth=1.0,
    bias_factor=0.5,
    bias_growth=10.0,
    bias_cap=0.3,
)


@pytest.fixture(scope="module")
def twins():
    """Two runs too short to learn anything, that have gone through all stages nevertheless."""
    return {
        name: featlearn.train(EXPERIMENT.replace(augmentation=name))
        for name in ("random_mask", "none")
    }


def with_weights(run, weights):
    """The run as if it had ended with these weights, at the cap of the biases, and masked ones had grown to it."""
    norms, recorded = np.linalg.norm(weights, axis=1), run["weight_norm"].copy()
    if run.experiment.augmentation != "none":
        recorded[-1] *= 10
    return dataclasses.replace(
        run,
        arrays={**run.arrays, "weight_norm": recorded},
        weights=weights.astype(run.weights.dtype),
        biases=(run.experiment.bias_cap * norms).astype(run.biases.dtype),
    )


def outcomes(verdicts):
    return {v.quantity: v.outcome for v in verdicts}


def atoms(run):
    """Four neurons an atom, of either sign, with a little of everything else."""
    exp = run.experiment
    matrix = run.dictionary[:, np.arange(exp.n_neurons) % exp.n_features].T
    signs = np.where(np.arange(exp.n_neurons) < 32, 1, -1)[:, None]
    noise = generator(1, "theory").standard_normal(matrix.shape) / np.sqrt(exp.n_inputs)
    return signs * matrix + 0.2 * noise


def test_pure_neurons_that_cover_the_atoms_bear_out_t1_and_t2(twins):
    observed = [Observed(with_weights(twins["random_mask"], atoms(twins["random_mask"])))]
    assert {v.outcome for v in claim_t1(observed) + claim_t2(observed)} == {"holds"}


def test_without_decay_features_are_selected_by_growth_or_not_at_all(twins):
    """A weight decay of 0 promises no more than a small one."""
    for decay in (0.0, 1e-9):
        run = twins["random_mask"]
        run = dataclasses.replace(run, experiment=run.experiment.replace(weight_decay=decay))
        (verdict,) = claim_t1([Observed(run)])
        assert "to fall behind" in verdict.reason and verdict.outcome == "does not apply"


def test_random_neurons_do_not(twins):
    run = twins["random_mask"]
    random = generator(2, "theory").standard_normal(run.weights.shape)
    observed = [Observed(with_weights(run, random))]
    found = outcomes(claim_t1(observed) + claim_t2(observed))
    for quantity in ("atoms with a pure neuron", "dense coordinate √d1/‖w‖, rms"):
        assert found[quantity] == "fails"
    assert found["regression error on f"] == "fails"


def test_neurons_spread_over_the_span_or_all_on_one_atom_fail_t1(twins):
    run = twins["random_mask"]
    mixed = generator(3, "theory").standard_normal((64, 16)) @ run.dictionary.T
    found = outcomes(claim_t1([Observed(with_weights(run, mixed))]))
    assert found["mean |N_i|"] == found["off-support alignment √d/‖w‖, rms"] == "fails"
    pure = atoms(run)
    pure[16:] = pure[0]
    found = outcomes(claim_t1([Observed(with_weights(run, pure))]))
    assert found["most pure neurons of one atom"] == "fails"
    assert found["atoms with a pure neuron"] == "holds"


def test_without_augmentation_a_function_of_the_noise_bears_out_t3_and_pure_neurons_do_not(twins):
    run = twins["none"]
    random = generator(4, "theory").standard_normal(run.weights.shape)
    dense = random - random @ run.dictionary @ run.dictionary.T
    assert {v.outcome for v in claim_t3([Observed(with_weights(run, dense))])} == {"holds"}
    learned = with_weights(run, atoms(run))
    assert {v.outcome for v in claim_t3([Observed(learned)])} == {"fails"}


def test_claims_name_the_precondition_they_lack(twins):
    def reasons(run):
        observed = [Observed(run)]
        return [c(observed)[0].reason for c in (claim_t1, claim_t2, claim_t3)]

    plain, masked = twins["none"], twins["random_mask"]
    assert all("share dense noise" in reason for reason in reasons(plain)[:2])
    assert "augmented" in reasons(masked)[2]
    changed = dataclasses.replace(masked, experiment=EXPERIMENT.replace(n_steps=9))
    assert "stopped at step 3 of 9" in reasons(changed)[0]
    changed = dataclasses.replace(masked, experiment=EXPERIMENT.replace(learning_rate=50.0))
    assert noise_margin(changed.experiment) > 1 and "noise margin" in reasons(changed)[0]
    grown = {**plain.arrays, "weight_norm": plain["weight_norm"] * np.geomspace(1, 1e4, 4)[:, None]}
    changed = dataclasses.replace(plain, arrays=grown)
    assert "g = 9.2" in reasons(changed)[2]
    linear = dataclasses.replace(masked, experiment=EXPERIMENT.replace(stage_one_growth=None))
    assert "linear" in reasons(linear)[0]
    noisy = EXPERIMENT.replace(
        learning_rate=0.6 * EXPERIMENT.learning_rate / noise_margin(EXPERIMENT)
    )
    assert noise_margin(noisy) < 1 and limiting_ratio(noisy) > MOST_DENSE
    assert "sampling noise sustains" in reasons(dataclasses.replace(masked, experiment=noisy))[0]


def test_too_few_neurons_are_not_asked_for_every_atom(twins):
    run = twins["random_mask"]
    few = EXPERIMENT.replace(n_neurons=24)
    arrays = {
        name: array[:, :24] if array.ndim > 1 else array for name, array in run.arrays.items()
    }
    run = dataclasses.replace(
        run, experiment=few, arrays=arrays, biases=run.biases[:24], weights=run.weights[:24]
    )
    found = claim_t1([Observed(with_weights(run, atoms(run)[:24]))])
    skipped = [v.quantity for v in found if v.outcome == "does not apply"]
    assert skipped == ["atoms j in some N_i", "atoms with a pure neuron"]
    assert "few for n_features" in found[0].reason


def test_few_neurons_and_neurons_that_die_are_named():
    tiny = featlearn.preset("tiny").replace(learning_rate=0.36, bias_growth=1.006, record_every=5)
    for changes, reasons in (
        (dict(n_neurons=6, batch_size=256, n_steps=1300), ("being few", "tells little")),
        (dict(augmentation="none", weight_decay=0.05, n_steps=500), ("dense neurons die",)),
    ):
        found = check(featlearn.train(tiny.replace(**changes)), replay=0)
        assert [(v.claim, v.quantity, v.measured) for v in found if v.outcome == "fails"] == []
        skipped = " ".join(v.reason for v in found if v.outcome == "does not apply")
        assert all(reason in skipped for reason in reasons)


def test_the_two_numbers_of_the_preconditions():
    matched = featlearn.Experiment(noise_factor=2.0, learning_rate=0.15)
    # The matched pair of the theory's last table.
    assert noise_margin(matched) == pytest.approx(0.21, abs=0.01)
    assert crossing(matched.replace(augmentation="none")).growth == pytest.approx(5.3, rel=0.1)
    assert crossing(matched.replace(n_inputs=64)).growth == 0


def test_the_floors_are_those_of_the_best_estimators():
    rng = generator(0, "theory")
    s, variance, n = 0.1, 0.09, 200_000
    z = rng.choice([-1, 0, 1], n, p=[s / 2, 1 - s, s / 2])
    u = z + np.sqrt(variance) * rng.standard_normal(n)
    likelihood = np.exp(-((u[:, None] - [-1, 0, 1]) ** 2) / (2 * variance)) * [s / 2, 1 - s, s / 2]
    mean = (likelihood[:, 2] - likelihood[:, 0]) / likelihood.sum(axis=1)
    assert bayes_floor(s, variance) == pytest.approx(np.mean((mean - z) ** 2) / s, rel=0.03)
    slope = (u @ z) / (u @ u)
    assert linear_floor(s, variance) == pytest.approx(np.mean((slope * u - z) ** 2) / s, rel=0.03)
    assert bayes_floor(s, 1e-4) < 1e-6
    assert bayes_floor(s, 1e4) == pytest.approx(1, abs=1e-4)
    assert bayes_floor(0.0, 1.0) == 1 and bayes_floor(s, 0.0) == 0


@pytest.mark.parametrize("law", (Bernoulli, Binary, Amplitudes))
def test_the_floors_of_other_laws_are_those_of_the_best_estimators(law):
    rng, densities, variance = generator(0, "theory"), np.array([0.05, 0.2, 0.4]), 0.09
    z = law(densities).draw(rng, 200_000).astype(float)
    u = z + np.sqrt(variance) * rng.standard_normal(z.shape)
    total = z.var(axis=0).sum()
    # No formula: the mean of z among samples of nearly the same u.
    left = fitted = 0.0
    for z_j, u_j in zip(z.T, u.T):
        bins = np.round(u_j / 0.02).astype(int)
        bins -= bins.min()
        means = np.bincount(bins, z_j) / np.maximum(np.bincount(bins), 1)
        left += np.mean((z_j - means[bins]) ** 2)
        fitted += np.mean((z_j - np.polyval(np.polyfit(u_j, z_j, 1), u_j)) ** 2)
    assert bayes_floor(densities, variance, law) == pytest.approx(left / total, rel=0.02)
    found = linear_floor(law(densities).variances, variance)
    assert found == pytest.approx(fitted / total, rel=0.02)
    assert bayes_floor(densities, 1e-4, law) < 2e-4 and bayes_floor(0.2, 0.0, law) == 0
    assert bayes_floor(densities, 1e4, law) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("changes", (dict(density_power=1.0), dict(latents="binary")))
def test_no_head_is_below_the_floor_of_its_law(changes):
    exp = featlearn.preset("tiny").replace(density=0.2, n_steps=1, **changes)
    found = {v.quantity: v for v in claim_t4([Observed(featlearn.train(exp))])}
    verdict = found["regression error of a head on x"]
    assert verdict.outcome == "holds", verdict
    assert verdict.predicted != pytest.approx(0.95 * linear_floor(0.2, exp.resolved_noise_variance))


@pytest.mark.parametrize("latents", ["bernoulli", "one_of_d"])
@pytest.mark.parametrize("threshold", [0.4, 1.0])
def test_what_pure_neurons_leave_of_a_task(latents, threshold):
    """A head on a pure network, and where thresholds make it worse than one on x T2 does not say better."""
    exp = featlearn.Experiment(
        n_features=6, n_inputs=12, n_neurons=6, batch_size=32, latents=latents, density=1 / 6,
        noise_variance=0.067, bias_factor=0.1, bias_cap=threshold, seed=3,
    )  # fmt: skip
    model = featlearn.init(exp).model
    found = featlearn.probing.probe(
        model.dictionary.T, np.full(6, threshold), model, np.random.default_rng(0), 20_000, 20_000
    )
    pure = pure_error(1 / 6, 0.067, threshold)
    assert found.regression["features"].mean() == pytest.approx(pure, abs=0.015)
    unmet = [bool(criterion.unmet) for criterion in t2_criteria(exp)]
    assert unmet == ([True] * 4 if threshold == 1 else [False] * 4)


def test_principal_directions_of_a_sample_lean_to_atoms():
    """Their best cosine is 15 % above that of random directions, and one frame in eight has an atom."""
    exp = featlearn.Experiment(
        n_features=40, n_inputs=80, n_neurons=8, batch_size=32, n_steps=1, noise_factor=0.02,
        augmentation="none",
    )  # fmt: skip
    runs = [Observed(featlearn.train(exp.replace(seed=seed))) for seed in range(4)]
    found = {v.quantity: v for v in claim_t4(runs)}
    verdict = found["best cosine of a principal direction"]
    assert verdict.outcome == "holds" and verdict.predicted > 1.15 * random_best_cosine(40)
    assert found["atoms among the principal directions"].outcome == "holds"
    assert principal_law(12).expected == random_best_cosine(12)


def test_the_law_of_many_principal_directions_takes_the_memory_of_one_matrix():
    tracemalloc.start()
    principal_law(200, 2.001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 200**2 * 8


def test_random_directions_and_random_choices():
    g = generator(0, "theory").standard_normal((20_000, 12))
    cosine = np.abs(g).max(axis=1) / np.linalg.norm(g, axis=1)
    assert random_best_cosine(12) == pytest.approx(cosine.mean(), rel=0.01)
    choices = generator(1, "theory").integers(8, size=(2000, 64))
    most = np.array([np.bincount(row).max() for row in choices])
    assert (
        np.mean(most > largest_count_bound(64, 8))
        < 3e-3
        < np.mean(most > largest_count_bound(64, 8) - 3)
    )


def test_the_correlation_has_the_standard_error_it_says():
    rng = generator(0, "theory")
    common, a, b = rng.standard_normal((3, 400, 500, 2))
    found = [correlation(common[k] + a[k], common[k] + b[k]) for k in range(400)]
    values = np.array([c.value for c in found])
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean([c.error for c in found]) == pytest.approx(values.std(), rel=0.15)
    assert correlation(a[0], a[0]) == pytest.approx((1.0, 0.0))


def test_boundaries_are_found_where_pieces_meet_and_only_there():
    t = np.arange(300)
    noise = 0.003 * generator(0, "theory").standard_normal(300)
    stages = np.where(t < 80, 1.0, np.maximum(0.6 - 0.004 * (t - 80), 0.2)) + noise * (t >= 80)
    first, second = find_boundaries(stages)
    assert first == 80 and abs(second - 180) < 10
    assert find_boundaries(stages[:150]) == [80]
    assert find_boundaries(stages[:60]) == []
    assert find_boundaries(np.ones(1)) == []


def test_biases_that_stay_at_zero_show_no_boundary():
    exp = featlearn.preset("tiny").replace(bias_factor=0.0, stage_one_steps=40, n_steps=100)
    run = featlearn.train(exp)
    assert run["stage"][-1] == 2 and (run["active_fraction"] == 1).all()
    verdicts = {v.quantity: v for v in claim_boundaries([Observed(run)])}
    assert verdicts[SEEN[0]].outcome == "does not apply"
    raised = featlearn.train(exp.replace(bias_factor=0.5))
    seen = {v.quantity: v for v in claim_boundaries([Observed(raised)])}
    assert seen[SEEN[0]].outcome == "holds"


def test_one_neuron_is_not_held_to_what_averages_over_many():
    """Its β² and its cosine scatter by more than the tolerances that many neurons keep."""
    exp = featlearn.preset("tiny").replace(n_steps=360)
    names = (CROSSING, KEPT[0])
    for m, outcome in ((1, "does not apply"), (exp.n_neurons, "holds")):
        found = [Observed(featlearn.train(exp.replace(n_neurons=m)))]
        verdicts = {v.quantity: v for v in (*claim_stage_one(found), *claim_lottery(found))}
        assert [verdicts[name].outcome for name in names] == [outcome] * 2, verdicts


def test_check_refuses_what_does_not_belong_together(twins):
    with pytest.raises(InvalidInput, match="only the seed"):
        check(twins.values())
    shared = f"{twins['none'].directory or 'seed 0'} and .*, both of seed 0.*different seed"
    with pytest.raises(InvalidInput, match=shared):
        check([twins["none"], twins["none"]])
    with pytest.raises(InvalidInput, match="at least one run"):
        check([])
    with pytest.raises(InvalidInput, match="with an augmentation and with none"):
        check_pair(twins["none"], twins["random_mask"])
    other = featlearn.train(EXPERIMENT.replace(seed=1, augmentation="none"))
    with pytest.raises(InvalidInput, match="a twin of"):
        check_pair(twins["random_mask"], other)


def test_twins_are_told_apart_by_their_features(twins):
    masked, plain = twins["random_mask"], twins["none"]
    random = generator(5, "theory").standard_normal(plain.weights.shape)
    dense = random - random @ plain.dictionary @ plain.dictionary.T
    learned, unlearned = with_weights(masked, atoms(masked)), with_weights(plain, dense)
    found = outcomes(check_pair(learned, unlearned))
    del found["final loss, none over augmented"]  # no loss belongs to weights made by hand
    assert set(found.values()) == {"holds"}
    found = outcomes(check_pair(learned, with_weights(plain, atoms(plain))))
    assert found["regression error, none over augmented"] == "fails"


def test_twins_of_another_loss_are_told_apart_by_their_features_and_not_by_their_loss(twins):
    masked, plain = (
        dataclasses.replace(run, experiment=run.experiment.replace(objective="spectral"))
        for run in (twins["random_mask"], twins["none"])
    )
    random = generator(5, "theory").standard_normal(plain.weights.shape)
    dense = random - random @ plain.dictionary @ plain.dictionary.T
    found = outcomes(check_pair(with_weights(masked, atoms(masked)), with_weights(plain, dense)))
    assert found.pop("final loss, none over augmented") == "does not apply"
    assert len(found) == 4 and set(found.values()) == {"holds"}
    for objective, reason in (("decoupled", "diverge"), ("no_negatives", "nothing is derived")):
        other = [
            dataclasses.replace(run, experiment=run.experiment.replace(objective=objective))
            for run in (masked, plain)
        ]
        assert reason in check_pair(*other)[0].reason
    counted = [
        dataclasses.replace(run, experiment=run.experiment.replace(latents="binary"))
        for run in (twins["random_mask"], twins["none"])
    ]
    assert "paper's data" in check_pair(*counted)[0].reason


def test_several_seeds_give_every_verdict_an_interval(twins):
    runs = [twins["none"], featlearn.train(EXPERIMENT.replace(seed=1, augmentation="none"))]
    verdicts = [v for v in check(runs) if v.outcome != "does not apply"]
    assert len(verdicts) > 10
    assert all(v.spread is not None for v in verdicts)


def test_atoms_by_chance_are_those_of_random_directions():
    rng = np.random.default_rng(0)
    for d, most in ((3, 3), (8, 2), (32, 0)):
        rotations = np.linalg.qr(rng.standard_normal((2000, d, d)))[0]
        counts = (np.abs(rotations).max(axis=2) >= 0.9).sum(axis=1)
        assert np.mean(counts > most) <= 3e-3
        assert most_by_chance(principal_law(d).atoms, d) == most


@pytest.mark.parametrize("d", (2, 3, 17, 64, 1000))
@pytest.mark.parametrize("cosine", (0.1, 0.5, 0.9))
def test_atoms_by_chance_by_the_laws_of_a_library(d, cosine):
    mean = d**2 * stats.beta.sf(cosine**2, 0.5, (d - 1) / 2)
    for probability in (0.5, 1e-3, 1e-9):
        most = min(d, stats.poisson.ppf(1 - probability, mean))
        assert most_by_chance(d * d * chance_beyond(d, cosine), d, probability) == most


def test_modules_of_the_theory_draw_from_streams_of_their_own():
    found = []
    for _, name, _ in pkgutil.walk_packages(theory.__path__, "featlearn.theory."):
        names = vars(importlib.import_module(name)).items()
        found += [value for key, value in names if key.endswith("_STREAM")]
    assert len(found) > 5 and sorted(found) == sorted(set(found))


@pytest.mark.parametrize(
    "changes, kept", [({}, 1 / 3), ({"n_inputs": 48}, 1 / 2), ({"n_inputs": 160}, 9 / 11)]
)
def test_views_of_few_inputs_share_less_of_the_signal_and_t5_asks_for_less(changes, kept):
    """A pure network: even a linear neuron keeps no more than (1 - f)/(1 + f)."""
    exp = EXPERIMENT.replace(n_inputs=32, dictionary="flat", density=0.06, stage_one_steps=1)
    exp = exp.replace(**changes)
    run = featlearn.train(exp)
    pure = with_weights(run, atoms(run))
    shared = [v for v in claim_t5([Observed(pure)]) if v.quantity == "f across views, x = M z"]
    assert cross_view(Observed(pure)).expected_signal == pytest.approx(kept)
    assert [v.outcome for v in shared] == ["holds"] and shared[0].low == pytest.approx(kept / 2)
    dense = generator(4, "theory").standard_normal(run.weights.shape)
    unlearned = with_weights(run, dense - dense @ run.dictionary @ run.dictionary.T)
    shared = [v for v in claim_t5([Observed(unlearned)]) if v.quantity == "f across views, x = M z"]
    assert [v.outcome for v in shared] == ["fails"]


def test_t5_asks_of_f_no_more_than_pure_neurons_at_a_high_cap_have_across_views():
    exp = featlearn.preset("tiny").replace(
        latents="one_of_d", density=None, n_features=6, n_inputs=24, n_neurons=24, n_steps=2000, bias_cap=0.9, seed=1
    )  # fmt: skip
    observed = Observed(featlearn.train(exp))
    measured = cross_view(observed)
    assert pure_signal(observed).value < 0.05 < measured.expected_signal / 2
    shared = [v for v in claim_t5([observed]) if v.quantity == "f across views, x = M z"]
    assert [v.outcome for v in shared] == ["does not apply"]
    assert "at b/‖w‖ = 0.9 pure neurons themselves" in shared[0].reason


def test_of_a_mask_of_few_inputs_only_the_first_order_is_known():
    assert "few inputs" in few_inputs(EXPERIMENT.replace(n_inputs=80))
    assert not few_inputs(EXPERIMENT.replace(n_inputs=96))
    assert not few_inputs(EXPERIMENT.replace(n_inputs=32, augmentation="correlated_noise"))
