"""The benchmark's arithmetic, subjects and script at a tiny size; no test depends on a clock."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import featlearn
from featlearn import plotting
from featlearn.errors import InvalidInput
from featlearn.speed import growth, memory, parts, peers, sparse, subjects, table
from featlearn.speed.timing import Statistic

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # A spawned process finds functions by the name of their module.
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark"]


@pytest.fixture
def tiny(small):
    return small.replace(n_steps=4)


def test_the_timed_loop_is_that_of_train(tiny, tmp_path):
    subject = subjects.Featlearn(tiny, tmp_path / "timed")
    for _ in range(tiny.n_steps):
        subject()
    subject.finish()
    run = featlearn.train(tiny)
    np.testing.assert_array_equal(subject.state.weights, run.weights)
    for name in ("alignment", "loss", "active_fraction"):
        recorded = np.load(tmp_path / "timed" / "trajectory" / f"{name}.npy")
        np.testing.assert_array_equal(recorded, run[name][:-1])


def test_the_cost_of_recording_is_that_of_every_third_step_and_of_writing(
    tiny, tmp_path, monkeypatch
):
    def seconds(function):
        function()
        return 1.0 if isinstance(function, subjects.Featlearn) else 3.0

    monkeypatch.setattr(subjects, "_seconds", seconds)
    cost = subjects.recording_cost(tiny, tmp_path / "run", rounds=1, threes=5)
    np.testing.assert_allclose(cost, [(5 + 3) / 5 - 1])
    # Every third step was recorded.
    steps = np.load(tmp_path / "run" / "trajectory" / "step.npy")
    np.testing.assert_array_equal(steps, [0, 3, 6, 9, 12])


def test_parts_add_up_and_each_is_found(tiny, tmp_path):
    split = parts.of(subjects.Featlearn(tiny, tmp_path / "parts"), 0)
    assert all(seconds > 0 for part, seconds in split.items() if part != "other")
    reference = parts.of(subjects.Reference(tiny), 0)
    assert set(reference) < set(split)
    assert all(seconds > 0 for seconds in reference.values())


def test_burst_makes_the_fewest_steps_at_least():
    calls = []

    class Counter(subjects.Subject):
        def __call__(self):
            calls.append("step")

        def finish(self):
            calls.append("finish")

    n, _ = subjects.burst(Counter(), 0, fewest=5)
    assert n == 5
    assert calls == ["step"] * 5 + ["finish"]


def test_flops_count_every_product():
    # Two forward products and the weight product of 3·4·8, two of 3·3·4 with the B × B matrix.
    experiment = featlearn.Experiment(n_features=8, n_inputs=8, n_neurons=4, batch_size=3)
    assert subjects.flops(experiment) == 2 * (3 * 3 * 4 * 8 + 2 * 3 * 3 * 4)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("peer", peers.PEERS)
def test_peers_have_the_same_gradient(tiny, peer, dtype, tolerance):
    pytest.importorskip(peer, reason=f"needs featlearn[peers]: {peer}")
    assert peers.gradient_error(peer, tiny.replace(dtype=dtype), threshold=0.5) < tolerance


def weights_of(peer):
    if isinstance(peer, peers.TorchStep):
        return peer.weights.detach().numpy().copy()
    return np.array(peer.state[0])


@pytest.mark.parametrize("peer", peers.PEERS)
def test_peers_draw_the_same_distribution_and_train(tiny, peer):
    """Second moments of both views, and complementary masks: without these the race is not fair."""
    pytest.importorskip(peer, reason=f"needs featlearn[peers]: {peer}")
    experiment = tiny.replace(batch_size=4000, noise_variance=0.3, density=0.5)
    made = peers.PEERS[peer](experiment)
    before = weights_of(made)
    if peer == "torch":
        anchors, keys = (view.numpy() for view in made.views())
    else:
        anchors, keys = map(np.asarray, made.views(made.jax.random.key(1)))
    assert not (anchors * keys).any()
    dictionary = featlearn.init(experiment).model.dictionary
    variance = np.square((anchors + keys) / 2) @ np.ones(experiment.n_inputs)
    expected = experiment.n_features * 0.5 + experiment.n_inputs * 0.3
    assert variance.mean() == pytest.approx(expected, rel=0.02)
    along = np.square((anchors + keys) / 2 @ dictionary).mean()
    assert along == pytest.approx(0.5 + 0.3, rel=0.05)
    made()
    after = weights_of(made)
    assert np.isfinite(after).all() and not np.array_equal(before, after)


def test_needed_memory_counts_data_weights_and_similarities():
    experiment = featlearn.Experiment(n_features=8, n_inputs=8, n_neurons=4, batch_size=3)
    assert memory.needed_bytes(experiment) == 4 * (3 * 3 * 8 + 4 * 8 + 3 * 3)
    double = experiment.replace(dtype="float64")
    assert memory.needed_bytes(double) == 2 * memory.needed_bytes(experiment)


def test_footprint_sees_the_arrays_of_a_run(tiny, tmp_path):
    found = memory.footprint(tiny, tmp_path, steps=2)
    views, weights = 2 * tiny.batch_size * tiny.n_inputs, tiny.n_neurons * tiny.n_inputs
    assert found.arrays > 4 * (views + weights)
    assert found.recording >= 4 * tiny.n_neurons * tiny.n_features
    assert found.smallest == 4 * tiny.n_neurons * tiny.n_inputs


def test_sparse_products_agree(tiny):
    ways = sparse.ways(tiny, density=0.1)
    results = {name: np.array(way()) for name, way in ways.items()}
    for product in ("weight product", "repulsion"):
        for name in ways:
            if name.startswith(product):
                dense = results[f"{product}, dense"]
                np.testing.assert_allclose(results[name], dense, rtol=1e-4, atol=1e-4)


def test_exponent_of_a_power_law():
    sizes = np.array([2, 4, 8, 16])
    assert growth.exponent(sizes, 7.0 * sizes**1.5) == pytest.approx(1.5)


def test_a_ladder_changes_one_size_only(tiny):
    for symbol, field in growth.FIELDS.items():
        ladder = growth.ladder(tiny, symbol, (1, 2))
        assert list(ladder) == [getattr(tiny, field), 2 * getattr(tiny, field)]
        assert ladder[getattr(tiny, field)] == tiny


def test_statistic_is_median_and_quartiles():
    assert Statistic.of([1, 2, 3, 4, 100]) == (3, 2, 4)


def some_rows():
    def row(section, name, value, goal=None):
        numbers = (value, 0.9 * value, 1.1 * value)
        return table.Row(section, "8/64/24/100", 2, name, *numbers, "ms", goal)

    return [
        *(
            row("time", name, value)
            for name, value in (("reference", 1), ("featlearn", 2), ("jax", 3))
        ),
        row("ratio", "featlearn / reference", 2.0, 1.15),
        row("ratio", "featlearn / jax", 0.67, 0.85),
        *(row("part", f"{who}: forward", 0.5) for who in ("reference", "featlearn")),
        row("part", "featlearn: update", 0.1),
        *(row("growth", f"{s} = {n}", n) for s in growth.FIELDS for n in (1, 2, 4)),
    ]


def test_table_survives_a_file(tmp_path):
    rows = some_rows()
    table.write(tmp_path / "new" / "speed.csv", rows)
    for written, row in zip(table.read(tmp_path / "new" / "speed.csv"), rows, strict=True):
        assert written.value == pytest.approx(row.value, rel=1e-5)
        assert written.met == row.met
        assert (written.section, written.name, written.goal) == (row.section, row.name, row.goal)


def test_verdict_counts_the_goals_and_names_the_missed():
    first, *missed = table.verdict(some_rows())
    assert first == "1 of 2 goals met"
    assert missed == ["  missed at 8/64/24/100, 2 threads: featlearn / reference 2 > 1.15 ms"]


def test_speed_is_drawn_with_and_without_all_sections():
    for rows in (some_rows(), some_rows()[:3]):
        figure = plotting.speed(rows)
        with plotting.canvas.in_style():
            figure.draw_without_rendering()
            box, width = figure.get_tightbbox(), figure.get_size_inches()[0]
        assert box.x0 > -0.02 and box.x1 < width + 0.02
    with pytest.raises(InvalidInput, match="at least one of the section time"):
        plotting.speed([])


def test_the_script_measures_in_processes_of_their_own(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "thread_count", lambda: 1)
    only = ["--only", "memory", "sparse"]
    small = ["--sizes", "8/64/16/32", "--rounds", "2", "--out", str(tmp_path)]
    assert script.main(["--quick", *small, *only]) == 0
    printed = capsys.readouterr().out
    assert "of 4 goals met" in printed
    rows = table.read(tmp_path / "speed.csv")
    assert {row.section for row in rows} == {"memory", "sparse"}
    for row in rows:
        assert row.name in printed


def test_every_subject_is_timed(tiny, tmp_path):
    from featlearn.speed.timing import time_in_turn

    entries = {"a": ("reference", tiny), "b": ("featlearn", tiny)}
    times, shares = time_in_turn(entries, tmp_path, threads=1, seconds=0, rounds=3)
    assert all(times[label].shape == (3,) and (times[label] > 0).all() for label in entries)
    assert set(shares["a"]) < set(shares["b"])
    # Two rounds in one process, the third in another.
    assert len(list(tmp_path.glob("*/config.json"))) == 2


@pytest.mark.parametrize(
    "arguments", [["--sizes", "64/1024"], ["--sizes", "8/4/4/4"], ["--rounds", "1"]]
)
def test_bad_arguments_are_refused_in_one_line(script, arguments, tmp_path, capsys):
    assert script.main([*arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("benchmark: ") and error.count("\n") == 1
