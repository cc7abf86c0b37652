"""The lottery: sizes of the sets, the memory of stage I, and who leads after it."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import featlearn
from featlearn import Experiment
from featlearn.alignment import lottery_sets
from featlearn.theory.claims.lottery import claim_lottery, most_missed
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.representation import atoms_to_learn, largest_count_bound
from featlearn.theory.predictions.lottery import (
    common_scatter,
    evened_out,
    expected_sets,
    leading_chances,
    leading_probability,
    left_out,
    memory,
)
from featlearn.theory.predictions.moments import uniform_attraction, view_moments
from featlearn.theory.predictions.stage_one import initial_split, predict_stage_one
from featlearn.theory.predictions.stages import predict_stages

SMALL = Experiment(
    n_features=16, n_inputs=256, n_neurons=64, batch_size=256, n_steps=130, learning_rate=0.5,
    weight_decay=0.01, temperature=8.0, density_factor=1.0, noise_factor=1.0,
    stage_one_growth=4.0, bias_factor=1.0, bias_growth=1.003, bias_cap=0.55, initial_norm=0.05,
)  # fmt: skip


@pytest.mark.parametrize("d", [4, 16, 64])
@pytest.mark.parametrize("constants", [(1.5, 1.5), (1.6, 1.4)])
def test_expected_sizes_against_draws(d, constants):
    n = 100_000 // d
    expected = expected_sets(n, d, *constants)
    found = lottery_sets(np.random.default_rng(0).standard_normal((n, d)), *constants)
    potential, sure = (sets.sum() / d for sets in found)
    assert abs(potential - expected.potential) < 4 * np.sqrt(expected.potential / d)
    assert abs(sure - expected.sure) < 4 * np.sqrt(expected.sure / d) + 0.08 * expected.sure
    assert expected_sets(1, d).empty == pytest.approx(np.exp(-expected_sets(1, d).sure))


@pytest.mark.parametrize("d", [3, 5, 32, 500])
def test_expected_sizes_by_the_laws_of_a_library(d):
    limit = min(1.5 * np.log(d) / d, 1 - 1e-9)
    share, rest = stats.beta(0.5, (d - 1) / 2), stats.beta(0.5, (d - 2) / 2)

    def lone(q):
        return share.pdf(q) * rest.cdf(min(limit / (1 - q), 1.0)) ** (d - 1)

    expected = expected_sets(7, d)
    assert expected.potential == pytest.approx(7 * share.sf(limit), rel=1e-9)
    assert expected.sure == pytest.approx(7 * quad(lone, limit, 1 - 1e-9, limit=200)[0], rel=1e-9)


def test_no_sure_set_where_no_share_is_large_enough():
    expected = expected_sets(100, 3, sure=3.0, potential=2.0)
    assert expected.sure == 0.0 and expected.empty == 1.0


def test_fewer_than_three_features_have_no_law():
    with pytest.raises(featlearn.InvalidInput, match="n_features"):
        expected_sets(8, 2)


@pytest.mark.parametrize(("rate", "n", "every"), [(0.1, 400, 10), (0.8, 20, 2)])
def test_memory_is_what_the_recursion_leaves_of_the_start(rate, n, every):
    exp = SMALL.replace(learning_rate=rate, batch_size=32)
    path = predict_stage_one(exp, *np.transpose([initial_split(exp)]), n)
    gain = uniform_attraction(exp) * view_moments(exp).cross.sparse - exp.weight_decay
    inherited = (1 + exp.learning_rate * gain) ** (2 * n) * path.sparse[0] / path.sparse[-1]
    kept = memory(exp, path.steps, path.sparse, path.dense)
    np.testing.assert_allclose(kept, np.sqrt(inherited), rtol=0.01)
    assert 0.1 < kept[0] < 0.95
    coarse = memory(exp, path.steps[::every], path.sparse[::every], path.dense[::every])
    np.testing.assert_allclose(coarse, kept, rtol=0.01)


def test_repulsion_evens_out_singular_values_as_its_flow_does():
    start = np.random.default_rng(0).standard_normal((12, 6))
    left, values, right = np.linalg.svd(start, full_matrices=False)
    mean, flow, repulsion = np.mean(values**2), values.copy(), 0.3 / np.mean(values**2)
    small = np.sqrt(mean) * np.array([1.0, 1.0 + 1e-6])
    for _ in range(4000):
        flow, small = (x * (1 + 1e-3 * (0.5 - repulsion * x**2)) for x in (flow, small))
    kept = np.log(small[1] / small[0]) / 1e-6
    assert 0.02 < kept < 0.9
    end = left * flow @ right
    cosine = np.sum(start * end) / np.linalg.norm(start) / np.linalg.norm(end)
    assert evened_out(start, kept) == pytest.approx(cosine, abs=1e-3)
    assert evened_out(start, 1.0) == pytest.approx(1)


def test_on_the_plateau_repulsion_keeps_half_of_the_noise_and_evens_out_the_start():
    exp = Experiment(
        n_features=16, n_inputs=208, n_neurons=64, batch_size=128, n_steps=600, learning_rate=0.2837,
        weight_decay=0.0026, temperature=0.5935, density_factor=1.4745, noise_factor=1.0844, seed=41,
        keep_probability=0.539, initial_norm=0.0952, stage_one_growth=3.8044, bias_factor=0.4,
    )  # fmt: skip
    seen = Observed(featlearn.train(exp))
    (kept, *_) = [v for v in claim_lottery([seen]) if v.quantity.startswith("cosine")]
    assert kept.measured == pytest.approx(kept.predicted, rel=0.05)
    rows = seen.rows_before(seen.first_row_of(2))
    sparse = np.square(seen.run["alignment"][rows], dtype=float).sum(axis=2)
    dense = np.square(seen.run["dense_norm"][rows], dtype=float)
    without = memory(exp.replace(temperature=1e9), seen.run.steps[rows], sparse, dense).mean()
    assert without < 0.9 * kept.measured


def test_who_leads_against_draws():
    rng, n = np.random.default_rng(0), 20_000
    alignments, memories = 7 * rng.standard_normal((5, 12)), np.array([0.0, 0.5, 0.8, 0.97, 1.0])
    probability = leading_probability(alignments, memories)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    unit = alignments / np.linalg.norm(alignments, axis=1, keepdims=True)
    noise = np.sqrt((1 - memories**2) / 12)[:, None] * rng.standard_normal((n, 5, 12))
    leader = np.abs(memories[:, None] * unit + noise).argmax(axis=2)
    for i in range(5):
        share = np.bincount(leader[:, i], minlength=12) / n
        assert np.abs(share - probability[i]).max() < 4 * 0.5 / np.sqrt(n)
    assert probability[4].max() == pytest.approx(1) and probability[0].max() < 0.1


NOISY = Experiment(
    n_features=32, n_inputs=10**6, n_neurons=96, batch_size=1024, learning_rate=2.0,
    weight_decay=0.01, temperature=1e9, density=0.05, noise_variance=0.05, stage_one_growth=1e6,
    initial_norm=1e-6, dense="gram", noise_inputs=128, negative_groups=8, n_steps=60,
    record_every=60,
)  # fmt: skip


@pytest.mark.statistical
@pytest.mark.parametrize(
    "changes",
    [
        {"batches": "paired"},
        {"batches": "paired", "augmentation": "none"},
        {"augmentation": "none"},
    ],
)
def test_atoms_scatter_in_common_as_batches_do(changes):
    """Of 3 × 32 atoms; from a start without dense part, whose noise would be the neurons' own."""
    experiment, found = NOISY.replace(**changes), []
    for seed in range(3):
        state = featlearn.init(experiment.replace(seed=seed))
        weights = state.weights.copy()
        weights[:, 32:] = 0
        run = featlearn.train(start=dataclasses.replace(state, weights=weights))
        sizes = np.square(run["alignment"], dtype=float).sum(axis=1)
        found.append(np.log(sizes[-1] / sizes[0]) / 2)
    predicted = np.sqrt(common_scatter(experiment, 60))
    assert np.std(found) == pytest.approx(predicted, rel=3.5 / np.sqrt(2 * 96))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negatives": 2},
        {"stop_gradient": False},
        {"stop_gradient": False, "negatives": 2},
        {"stop_gradient": False, "augmentation": "none"},
        {"stop_gradient": False, "objective": "spectral"},
        {"stop_gradient": False, "objective": "nt_xent", "embedding_floor": 1.0},
    ],
)
def test_the_common_factor_of_an_atom(changes):
    """Of 8 atoms with a neuron each and 40 seeds: the variance within three standard errors."""
    exp = Experiment(
        n_features=8, n_inputs=64, n_neurons=8, batch_size=128, n_steps=20, learning_rate=0.1,
        weight_decay=0.0, temperature=1e9, density=0.15, noise_variance=0.1,
        stage_one_growth=None, dictionary="flat", dtype="float64",
    ).replace(**changes)  # fmt: skip
    factors = []
    for seed in range(40):
        state = featlearn.init(exp.replace(seed=seed))
        run = featlearn.train(
            start=dataclasses.replace(state, weights=1e-3 * state.model.dictionary.T)
        )
        first, last = (np.diag(run["alignment"][k]).astype(float) for k in (0, -1))
        factors.append(np.log(last / first))
    found = np.var(factors, axis=0, ddof=1).mean()
    assert found == pytest.approx(common_scatter(exp, 20), rel=3 * np.sqrt(2 / (8 * 39)))


@pytest.mark.parametrize("scatter", [0.0, 0.2])
def test_atoms_that_lead_none_against_draws(scatter):
    """Without scatter a matter of counting; with it, of 2000 draws of all alignments, within 10 %.

    The law averages over the other atoms' factors for each neuron, and comes out 3 to 8 % low.
    """
    d, m, rng = 16, 64, np.random.default_rng(0)
    found, largest = [], []
    for _ in range(2000):
        alignments = rng.standard_normal((m, d)) * np.exp(scatter * rng.standard_normal(d))
        counts = np.bincount(np.abs(alignments).argmax(axis=1), minlength=d)
        found.append(np.sum(counts == 0))
        largest.append(counts.max())
    expected = left_out(SMALL.replace(n_neurons=m), scatter**2)
    error = np.std(found) / np.sqrt(2000)
    assert abs(np.mean(found) - expected.expected) < 4 * error + scatter / 2 * expected.expected
    assert expected.scatter == pytest.approx(scatter)
    bound = largest_count_bound(m, d, leading_chances(SMALL, scatter**2))
    equal = largest_count_bound(m, d)
    assert bound >= np.quantile(largest, 0.999) - 1
    assert np.mean(np.array(largest) > bound - 5) > 1e-3
    assert bound == equal if not scatter else bound > equal
    assert expected.more_than(0) == pytest.approx(1 - np.exp(-expected.expected))
    assert expected.more_than(3) < expected.more_than(1) < expected.more_than(0)
    if not scatter:
        assert expected.expected == pytest.approx(d * (1 - 1 / d) ** m, rel=1e-3)


def test_repulsion_makes_atoms_alike_again():
    """Of 8 atoms and 10 seeds, less what the draw of m neurons gives: within three standard errors."""
    exp = featlearn.preset("tiny").replace(
        batch_size=64, learning_rate=0.3, n_neurons=64, n_inputs=128, stage_one_growth=2.0
    )
    steps, found = int(predict_stages(exp).two), []
    exp = exp.replace(n_steps=steps, record_every=steps)
    for seed in range(10):
        alignments = featlearn.train(exp.replace(seed=seed))["alignment"][-1].astype(float)
        strengths = np.log(np.square(alignments).sum(axis=0)) / 2
        found.append(strengths.var(ddof=1) - 1 / (2 * exp.n_neurons))
    error = np.std(found, ddof=1) / np.sqrt(10)
    expected = leading_chances(exp).scatter ** 2
    assert max(np.mean(found), 0) == pytest.approx(expected, abs=3 * error)
    assert common_scatter(exp, steps) > np.mean(found) + 6 * error


def test_t1_allows_for_lost_atoms_where_leaders_win():
    """Where norms saturate before, all atoms are found: in 16 runs of 16 of "tiny" with as few neurons."""
    limit, few = featlearn.preset("asymptotic"), featlearn.preset("tiny").replace(n_neurons=16)
    lost = left_out(limit)
    allowed = limit.n_features - atoms_to_learn(limit)[0]
    assert lost.more_than(allowed) <= 0.02 < lost.more_than(0)
    assert left_out(few).expected > 0.5 and atoms_to_learn(few)[0] == few.n_features
    selects = few.replace(initial_norm=0.002)
    assert selects.n_features - atoms_to_learn(selects)[0] in (3, 4)


@pytest.fixture(scope="module")
def runs():
    return [featlearn.train(SMALL.replace(seed=seed)) for seed in range(3)]


def test_claim_on_seeds(runs):
    verdicts = claim_lottery([Observed(run) for run in runs])
    assert [v.outcome for v in verdicts[:4]] == ["holds"] * 4
    kept, led = verdicts[2], verdicts[3]
    assert 0.5 < kept.predicted < 0.95 and 1 / 16 < led.predicted < 0.95
    assert {v.outcome for v in verdicts[4:]} == {"does not apply"}
    assert "stage II" in verdicts[4].reason


def test_claim_fails_where_more_is_forgotten(runs):
    """Batches an eighth as large as the experiment says have eight times the noise."""
    noisy = featlearn.train(SMALL.replace(batch_size=SMALL.batch_size // 8))
    other = dataclasses.replace(noisy, experiment=SMALL)
    kept = claim_lottery([Observed(other)])[2]
    assert kept.outcome == "fails" and kept.measured < kept.predicted


def with_alignments(run, row, values):
    alignments = np.array(run["alignment"])
    alignments[row] = values
    return Observed(dataclasses.replace(run, arrays={**run.arrays, "alignment": alignments}))


def test_claim_fails_where_the_start_is_lost(runs):
    """Turned upside down, the start has other sure pairs, and nothing of it is left."""
    start = runs[0]["alignment"][0]
    verdicts = claim_lottery([with_alignments(runs[0], 0, start[:, ::-1])])
    assert verdicts[2].outcome == "fails"


def test_claim_fails_where_losers_lead():
    """After stage I the first two of every neuron change places: little of the start is lost by that."""
    run = featlearn.train(SMALL.replace(n_inputs=128, batch_size=1024, n_neurons=256))
    last = Observed(run).first_row_of(2) - 1
    values = np.array(run["alignment"][last])
    rows = np.arange(len(values))
    second, first = np.abs(values).argsort(axis=1).T[-2:]
    values[rows, first], values[rows, second] = values[rows, second], values[rows, first]
    honest, changed = (
        claim_lottery([observed])[3]
        for observed in (Observed(run), with_alignments(run, last, values))
    )
    assert (honest.outcome, changed.outcome) == ("holds", "fails")
    assert honest.predicted > 0.9 and changed.measured < 0.1


def test_a_linear_run_has_no_end_of_stage_one(small):
    run = featlearn.train(small.replace(stage_one_growth=None, n_steps=3))
    verdicts = claim_lottery([Observed(run)])
    assert {v.outcome for v in verdicts[2:]} == {"does not apply"}


def test_a_fraction_of_few_pairs_may_miss_by_chance():
    """The tail of the law of misses is longer than three standard deviations of it."""
    for pairs, p in ((16, 0.954), (16, 0.7), (100, 0.9)):
        low = p - most_missed(pairs, p)
        assert stats.binom.cdf(round(low * pairs) - 1, pairs, p) <= 1e-3
        assert stats.binom.cdf(round(low * pairs), pairs, p) > 1e-3
    assert most_missed(16, 0.954) > 3 * np.sqrt(0.954 * 0.046 / 16)
