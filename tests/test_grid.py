"""Grids whose fields follow from one another, and the powers that a sweep shows."""

import numpy as np
import pytest
from scipy import stats
from test_seeds import Here

import featlearn
from featlearn.commands import main
from featlearn.commands.sweep import _values
from featlearn.sweeps.grid import evaluate, grid
from featlearn.sweeps.power_law import fit_power, fit_sweep
from featlearn.sweeps.sweep import load_grid, load_links, sweep

TINY = featlearn.Experiment(
    n_features=4, n_inputs=16, n_neurons=8, batch_size=20, n_steps=4, density=0.2,
    noise_variance=0.1, stage_one_growth=None,
)  # fmt: skip


def test_links_follow_from_the_fields_they_name():
    links = {
        "n_inputs": "16*n_features",
        "batch_size": "n_inputs // 2 + 1",
        "temperature": "d0**.5",
    }
    with pytest.raises(featlearn.InvalidInput, match="link temperature.*d0"):
        grid(TINY, {"n_features": [4, 8]}, links)
    links["temperature"] = "(n_features/4)**0.5"
    points = grid(TINY, {"n_features": np.array([4, 16]), "seed": range(2)}, links)
    found = [(e.n_features, e.seed, e.n_inputs, e.batch_size, e.temperature) for e in points]
    assert found == [
        (4, 0, 64, 33, 1),
        (4, 1, 64, 33, 1),
        (16, 0, 256, 129, 2),
        (16, 1, 256, 129, 2),
    ]
    # Every field at once: 32 features fit only because their link makes room.
    assert grid(TINY, {"n_features": [32]}, {"n_inputs": "2*n_features"})[0].n_inputs == 64


@pytest.mark.parametrize(
    "formula",
    (
        "__import__('os')", "n_features.real", "max(1, 2)", "[1]", "'a'", "n_features if 1 else 2",
        "1/0", "2**10000", "9.0**60*1e308", "(-8)**.5", "1 +", "dictionary", "lambda: 1", "True",
        "n_features; 1", "(" * 500 + "1" + ")" * 500,
    ),
)  # fmt: skip
def test_a_link_is_arithmetic_and_nothing_is_executed(formula):
    with pytest.raises(featlearn.InvalidInput, match="link n_inputs"):
        evaluate("n_inputs", formula, {"n_features": 4, "dictionary": "flat"})


@pytest.mark.parametrize(
    "formula, wanted",
    (
        ("dictionary", "names of fields that are numbers, not dictionary"),
        ("9**99", "powers up to 64"),
        ("(-8)**.5", "a finite number"),
        ("max(1, 2)", "numbers, names of fields"),
        ("1 +", "an arithmetic formula"),
    ),
)
def test_a_link_that_is_refused_hears_what_is_wrong_with_it(formula, wanted):
    with pytest.raises(featlearn.InvalidInput) as caught:
        evaluate("n_inputs", formula, {"n_features": 4, "dictionary": "flat"})
    assert caught.value.wanted.startswith(wanted)


@pytest.mark.parametrize("values", ("text", 3, [], {"a": 1}, None))
def test_an_axis_is_a_sequence(values):
    with pytest.raises(featlearn.InvalidInput, match="grid seed"):
        grid(TINY, {"seed": values})
    with pytest.raises(featlearn.InvalidInput, match="link seed"):
        grid(TINY, {"seed": [1]}, {"seed": "1"})


def test_a_range_is_whole_and_holds_both_ends():
    assert _values("seed", "0..3") == [0, 1, 2, 3] and _values("seed", "7") == [7]
    for word in ("3..0", "0..99999999999"):
        with pytest.raises(featlearn.InvalidInput, match="range"):
            _values("seed", word)


def test_a_grid_file_may_link(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        '[base]\nn_steps = 3\ndensity = 0.1\nbias_cap = 0.9\n[grid]\nn_features = [4, 8]\n[link]\nn_inputs = "8*n_features"'
    )
    assert [e.n_inputs for e in grid(*load_grid(path), load_links(path))] == [32, 64]


def test_the_fit_of_a_power_is_that_of_the_textbook():
    rng = np.random.default_rng(0)
    x = np.repeat([8.0, 16.0, 32.0, 64.0], 5)
    y = 3 * x**-1.5 * np.exp(0.1 * rng.standard_normal(20))
    fit = fit_power(x, y)
    line = stats.linregress(np.log(x), np.log(y))
    assert fit.exponent == pytest.approx(line.slope)
    assert fit.single and abs(fit.exponent + 1.5) < 3 * fit.error
    groups = np.log(y).reshape(4, 5)
    pure = np.sum((groups - groups.mean(axis=1, keepdims=True)) ** 2)
    lack = np.sum((np.log(y) - line.intercept - line.slope * np.log(x)) ** 2) - pure
    assert fit.probability == pytest.approx(stats.f.sf((lack / 2) / (pure / 16), 2, 16))
    larger = max(pure / 16, lack / 2) / np.sum((np.log(x) - np.log(x).mean()) ** 2)
    assert fit.error == pytest.approx(np.sqrt(larger))


def test_a_bend_is_no_single_power_and_its_local_slopes_say_so():
    rng = np.random.default_rng(1)
    x = np.repeat([8.0, 16.0, 32.0], 4)
    fit = fit_power(x, (1 / x + 0.1) * np.exp(0.01 * rng.standard_normal(12)))
    assert not fit.single and "no single power" in str(fit)
    assert fit.slopes[0] < fit.slopes[1] < 0
    # The line misses by more than the seeds scatter: the error is that of its residuals.
    assert fit.error > 0.03
    assert fit_power([1, 2, 4], [1, 4, 16]).exponent == pytest.approx(2)
    for y in ([1, 0], [1, np.nan]):
        with pytest.raises(featlearn.InvalidInput, match="y"):
            fit_power([1, 2], y)
    with pytest.raises(featlearn.InvalidInput, match="two sizes"):
        fit_power([2, 2], [1, 2])


def norm(state, batch, gradient):
    return np.sqrt(np.mean(state.weight_norms**2))


def test_a_linked_sweep_and_its_exponent(tmp_path, capsys, monkeypatch):
    nothing = type("Nothing", (), {"to_dict": lambda self: {}})
    monkeypatch.setattr("featlearn.theory.claims.observed.summarize", lambda run: nothing())
    points = grid(
        TINY.replace(weight_decay=0.0),
        {"n_features": [4, 8, 16], "seed": range(2)},
        {"n_inputs": "4*n_features", "initial_norm": "n_features**.5"},
    )
    rows = sweep(points, tmp_path, Here(), workers=1, check=False, record={"norm": norm})
    assert all(row["status"] == "complete" for row in rows), rows[0]["error"]
    assert rows[0]["measures"]["norm"] > 0
    (fit,) = fit_sweep(tmp_path, "norm").values()
    assert list(fit.sizes) == [4, 8, 16] and len(fit.slopes) == 2
    command = ["fit", str(tmp_path), "--quantity", "norm", "--against", "n_features"]
    assert main(command) == 0
    assert f"exponent {fit.exponent:.3f}" in capsys.readouterr().out
    command[3] = "no such"
    assert main(command) == 2
    # The same again computes nothing; what is recorded is part of what a run is.
    calls = []
    again = type(
        "No", (Here,), {"submit": lambda self, *a: calls.append(a) or Here.submit(self, *a)}
    )
    sweep(points, tmp_path, again(), workers=1, check=False, record={"norm": norm})
    assert not calls


def test_workers_are_told_names_only(tmp_path):
    for option, value in (
        ("until", lambda state: True),
        ("augmentation", featlearn.RandomMask()),
        ("record", {"q": lambda s, b, g: 0}),
    ):
        with pytest.raises(featlearn.InvalidInput, match=f"{option}.*import"):
            sweep([TINY], tmp_path, Here(), **{option: value})
    with pytest.raises(featlearn.InvalidInput, match="no_such"):
        sweep([TINY], tmp_path, Here(), no_such=1)
    exp = TINY.replace(n_steps=3)
    (row,) = sweep([exp], tmp_path, Here(), check=False, augmentation=featlearn.RandomMask)
    assert row["status"] == "complete", row["error"]
    (plain,) = sweep([exp], tmp_path, Here(), check=False)
    assert plain["run"] != row["run"] and np.isnan(row["measures"]["noise_margin"])


def test_sizes_and_values_that_do_not_belong_together_are_refused():
    for x, y in (([1, 2, 4], [1, 2]), (1, 2), ([[1, 2]], [[1, 2]])):
        with pytest.raises(featlearn.InvalidInput, match="^x, y: "):
            fit_power(x, y)


def test_arguments_of_other_kinds_are_refused_by_name(tmp_path):
    tiny = featlearn.preset("tiny")
    for call, field in (
        (lambda: grid("tiny", {"seed": [1]}), "base"),
        (lambda: grid(tiny, ["seed"]), "axes"),
        (lambda: grid(tiny, {"seed": [1]}, ["n_steps"]), "links"),
        (lambda: grid(tiny, {"seed": np.ones((2, 2), int)}), "seed"),
        (lambda: sweep(["tiny"], tmp_path / "sweep"), "experiments"),
        (lambda: sweep([tiny], tmp_path / "sweep", workers=1.5), "workers"),
    ):
        with pytest.raises(featlearn.InvalidInput, match=f"^{field}: got"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "formula, wanted",
    (
        ("8*n_feature", "names of fields that are numbers, not n_feature"),
        ("2**n_inputs**2", "powers up to 64"),
        ("n_features.real", "numbers, names of fields, + - "),
        ("1e400", "a finite number"),
        ("8*", "an arithmetic formula"),
    ),
)
def test_a_link_that_is_refused_says_what_of_it(small, formula, wanted):
    with pytest.raises(featlearn.InvalidInput) as caught:
        grid(small, {"seed": [0]}, {"n_inputs": formula})
    assert f"link n_inputs: got {formula!r}, wants {wanted}" in str(caught.value)


SLIPS = {
    "axes: got {3": lambda e, place: grid(e, {3: [1]}),
    "links: got {3": lambda e, place: grid(e, {"seed": [1]}, {3: "1"}),
    "experiments: got 5": lambda e, place: sweep(5, place),
    "experiments: got None": lambda e, place: sweep(None, place),
    "directory: got 5": lambda e, place: sweep(e, 5),
    "record: got 5": lambda e, place: sweep(e, place, record=5),
    "record: got 6": lambda e, place: sweep(e, place, record=[6]),
    "claims: got 5": lambda e, place: sweep(e, place, claims=5),
    "x: got [None": lambda e, place: fit_power([None, "a"], [1, 2]),
    "y: got [1j": lambda e, place: fit_power([1, 2], [1j, 2]),
    "x: got 'abc'": lambda e, place: fit_power("abc", [1]),
}


@pytest.mark.parametrize("said", SLIPS)
def test_what_sweeps_and_fits_are_not_made_for_is_named(small, tmp_path, said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        SLIPS[said](small, tmp_path / "sweep")
    assert str(caught.value).startswith(said)
