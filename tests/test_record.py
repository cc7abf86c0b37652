"""Quantities that a user records beside those of every run."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import featlearn
from featlearn import Record, digest
from featlearn.commands import main
from featlearn.plotting.several import figures
from featlearn.recording.extras import EXTRAS
from featlearn.recording.record import asked_quantities
from featlearn.recording.resources import disk_needed


@pytest.fixture
def short(small):
    return small.replace(n_steps=24, record_every=2)


def largest(state, batch, gradient):
    """largest |α_ij|"""
    return np.abs(state.alignment).max()


def pair(state, batch, gradient):
    return np.array([gradient.loss, np.nan if state.step == 0 else state.step])


def energy(state, batch, gradient):
    return np.square(batch.sample.latents).sum(dtype=int), batch.sample.masks[0].sum()


def test_own_quantities_are_recorded_beside_the_others(short, tmp_path):
    asked = {"largest": largest, "pair": pair, "energy": Record(energy, samples=True, every=4)}
    for place in (None, tmp_path / "run"):
        run = featlearn.train(short, place, record=asked)
        np.testing.assert_array_equal(run["largest"], np.abs(run["alignment"]).max(axis=(1, 2)))
        np.testing.assert_array_equal(run["pair"][:, 0], run["loss"])
        assert np.isnan(run["pair"][0, 1]) and list(run["pair"][1:, 1]) == list(run.steps[1:])
        assert list(run.steps_of("energy")) == [0, 4, 8, 12, 16, 20, 24]
        assert run["energy"].shape == (7, 2) and run["energy"].dtype == int
        batch = featlearn.draw_batch(featlearn.init(short))
        assert run["energy"][0, 0] == np.abs(batch.sample.latents).sum()
        assert run["energy"][0, 1] == batch.views.masks[0].sum()
        assert [q.name for q in run.asked] == list(asked)
    assert run.recorded[-3].doc == "largest |α_ij|"
    plain = featlearn.train(short)
    for name in plain.arrays:
        np.testing.assert_array_equal(run[name], plain[name])
    loaded = np.load(tmp_path / "run/trajectory/largest.npy", mmap_mode="r")
    np.testing.assert_array_equal(loaded, run["largest"])


def test_samples_are_there_only_where_they_are_asked_for(short):
    seen = []
    record = {
        "with": Record(lambda s, b, g: seen.append(("with", b.sample)) or 0, samples=True),
        "without": lambda s, b, g: seen.append(("without", b.sample)) or 0,
    }
    featlearn.train(short.replace(n_steps=4), record=record)
    assert all((sample is not None) == (name == "with") for name, sample in seen[2:])


def test_a_run_with_own_quantities_goes_on_bit_for_bit_with_the_same_functions_only(
    short, tmp_path
):
    place, record = tmp_path / "run", {"largest": largest, "pair": Record(pair, every=3)}
    whole = featlearn.train(short, record=record)
    featlearn.train(short, place, record=record, until=lambda state: state.step == 9)
    for other, match in (
        (None, "'largest'.*function"),
        ({"largest": largest}, "'pair'.*function"),
        ({"largest": pair, "pair": Record(pair, every=3)}, "another function"),
        ({**record, "third": largest}, "midway"),
        ({"largest": largest, "pair": pair}, "other steps"),
    ):
        with pytest.raises(featlearn.RunDirectoryError, match=match):
            featlearn.train(None, place, resume=True, record=other)
    resumed = featlearn.train(None, place, resume=True, record=record)
    for name in whole.arrays:
        np.testing.assert_array_equal(resumed[name], whole[name])


@pytest.mark.parametrize(
    "record, match",
    (
        ({"loss": largest}, "loss"),
        ({"attraction": largest}, "attraction"),
        ({"a/b": largest}, "a/b"),
        ({"q": 3}, "record"),
        ({"q": lambda s, b, g: "text"}, "record q"),
        ({"q": lambda s, b, g: np.zeros(1 + s.step)}, "record q.*first row"),
        ({"q": lambda s, b, g: 0 if s.step == 0 else 0.5}, "record q.*first row"),
        ("no such extra", "no such extra"),
        (["attraction", "attraction"], "once"),
    ),
)
def test_what_cannot_be_recorded_is_refused_by_name(short, record, match):
    with pytest.raises(featlearn.InvalidInput, match=match):
        featlearn.train(short, record=record)


def test_extras_are_what_their_line_says(short, tmp_path):
    run = featlearn.train(short, tmp_path / "run", record=list(EXTRAS))
    state = featlearn.init(short)
    while state.step < 10:
        state = featlearn.step(state)
    row, batch = list(run.steps).index(10), featlearn.draw_batch(state)
    g, M = featlearn.evaluate(state, batch), state.model.dictionary
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(run["attraction"][row], -g.positive @ M, **close)
    both = run["attraction"][row] + run["repulsion"][row]
    np.testing.assert_allclose(both, -g.weights @ M, **close)
    active, z = g.terms[0].activations.active, batch.sample.latents
    np.testing.assert_allclose(
        run["active_given_feature"][row, 3, 5], active[z[:, 5] == 1, 3].mean(), **close
    )
    beta = state.weights - state.weights @ M @ M.T
    np.testing.assert_allclose(run["dense_gram"][row], beta @ beta.T, **close)
    cosine = np.abs(state.alignment) / state.weight_norms[:, None]
    below = np.where(cosine < 1 / np.sqrt(8), cosine, 0).max(axis=1)
    np.testing.assert_allclose(run["off_support_maximum"][row], below, **close)
    # A loaded run knows them by name, and goes on with them.
    longer = featlearn.train(None, tmp_path / "run", resume=True, extend=26)
    assert len(longer["dense_gram"]) == len(run) + 1


def test_what_was_asked_for_is_drawn(short):
    run = featlearn.train(short, record=["off_support_maximum", {"largest": largest}])
    drawn = dict(figures([run], ["asked-quantities"]))
    titles = [ax.get_title() for ax in drawn["asked-quantities"].axes[:2]]
    assert titles == ["off_support_maximum", "largest"]
    (line,) = drawn["asked-quantities"].axes[1].lines[:1]
    np.testing.assert_allclose(line.get_ydata(), run["largest"])


def test_the_disk_needed_counts_what_is_asked_for(short):
    extra = EXTRAS["dense_gram"]
    more = disk_needed(short, (extra,)) - disk_needed(short)
    assert more == 13 * 24 * 24 * 4


def test_a_digest_of_a_function_knows_its_code_and_what_it_closes_over():
    def make(scale, seen):
        return lambda s, b, g: seen.append(1) or scale

    assert digest.digest_of(make(1, [])) == digest.digest_of(make(1, [2]))
    assert digest.digest_of(make(1, [])) != digest.digest_of(make(2, []))
    assert digest.digest_of(largest) != digest.digest_of(pair)


class Scaled:
    def __init__(self, scale):
        self.scale = scale

    def value(self, state, batch, gradient):
        return self.scale


def calls(inner):
    return lambda s, b, g: inner(s)


TOLD_APART = {
    "partial": [functools.partial(pow, k) for k in (1, 2)],
    "partial of another": [functools.partial(f, 1) for f in (pow, divmod)],
    "keyword": [functools.partial(largest, k=k) for k in (1, 2)],
    "method": [Scaled(k).value for k in (1, 2)],
    "inner function": [lambda s, b, g: (lambda: 1)(), lambda s, b, g: (lambda: 2)()],
    "name in an inner function": [
        lambda s, b, g: (lambda: s.step)(),
        lambda s, b, g: (lambda: s.stage)(),
    ],
    "default of a keyword": [lambda *a, k=1: k, lambda *a, k=2: k],
    "closure over a function": [calls(lambda s: 1), calls(lambda s: 2)],
    "closure over a number": [calls(np.float32(1)), calls(np.float32(2))],
    "built in": [len, max],
    "set": [functools.partial(pow, {k}) for k in (1, 2)],
    "path": [functools.partial(pow, Path(name)) for name in "ab"],
}


@pytest.mark.parametrize("pair", TOLD_APART.values(), ids=TOLD_APART)
def test_functions_that_differ_are_told_apart_however_they_are_made(pair):
    one, other = map(digest.digest_of, pair)
    assert one == digest.digest_of(pair[0]) != other


def test_a_function_that_calls_itself_has_a_digest():
    def counted(k):
        return k and counted(k - 1)

    assert digest.digest_of(counted) == digest.digest_of(counted)


def test_a_run_does_not_go_on_with_another_partial(short, tmp_path):
    def power(state, batch, gradient, of):
        return gradient.loss**of

    record = [{"power": functools.partial(power, of=k)} for k in (2, 3)]
    featlearn.train(short, tmp_path / "run", record=record[0], until=lambda s: s.step == 4)
    with pytest.raises(featlearn.RunDirectoryError, match="another function"):
        featlearn.train(None, tmp_path / "run", resume=True, record=record[1])
    assert len(featlearn.train(None, tmp_path / "run", resume=True, record=record[0])) > 4


def test_a_plan_counts_what_is_asked_for(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("def pair(state, batch, gradient):\n    return [0.5, 1.5]\n")
    sizes = []
    for record in ([], ["--record", "dense_gram"], ["--record", f"{tmp_path}/mine.py:pair"]):
        words = ["plan", "--preset", "tiny", "--no-timing", "--json", "--quiet", *record]
        assert main(words) == 0
        sizes.append(json.loads(capsys.readouterr().out)["disk_bytes"])
    assert sizes[1] - sizes[0] == 3001 * 32 * 32 * 4 and sizes[2] - sizes[0] == 3001 * 16


def of_unit_length(state):
    weights = state.weights
    weights /= state.weight_norms[:, None]


WRITES = {
    "weights": lambda s, b, g: of_unit_length(s),
    "biases": lambda s, b, g: np.add(s.biases, 1, out=s.biases),
    "alignment": lambda s, b, g: s.alignment.fill(0),
    "gradient": lambda s, b, g: g.weights.fill(0),
}


@pytest.mark.parametrize("place", (None, "run"))
@pytest.mark.parametrize("what", WRITES)
def test_a_recorded_function_cannot_write_into_the_run(short, tmp_path, what, place):
    def late(state, batch, gradient):
        if state.step >= 4:
            WRITES[what](state, batch, gradient)
        return 0

    with pytest.raises(ValueError, match="read-only"):
        featlearn.train(short, place and tmp_path / place, record={"late": late})


def test_a_function_that_ends_a_run_cannot_write_into_it(short):
    with pytest.raises(ValueError, match="read-only"):
        featlearn.train(short, until=of_unit_length)


def test_a_recorded_view_of_the_weights_is_what_it_was(short):
    run = featlearn.train(short, record={"view": lambda s, b, g: s.weights[0], "loss too": pair})
    np.testing.assert_allclose(run["view"][-1], run.weights[0])
    np.testing.assert_allclose(np.linalg.norm(run["view"], axis=1), run["weight_norm"][:, 0], 1e-5)
    run.weights[0] += 1


@pytest.mark.parametrize("value", ([[1], [2, 3]], np.ma.array([1.0, 2], mask=[0, 1])))
def test_ragged_and_masked_values_are_refused_at_any_row(short, value):
    for late in (0, 4):

        def odd(state, batch, gradient, late=late):
            return value if state.step >= late else np.array([1.0, 2])

        with pytest.raises(featlearn.InvalidInput, match="^record odd: got .*none masked"):
            featlearn.train(short, record={"odd": odd})


def test_a_partial_is_described_by_the_function_it_is_of():
    (quantity,) = asked_quantities({"part": functools.partial(largest)})
    assert quantity.doc == "largest |α_ij|"
