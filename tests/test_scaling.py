"""Exponents in d, and the script that measures them, at its quick size."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from featlearn import InvalidInput
from featlearn.plotting import scaling_fits
from featlearn.sweeps.results import load_results
from featlearn.theory.predictions.exponents import (
    QUANTITIES,
    fit_exponent,
    scaling_exponents,
    scaling_panels,
)
from featlearn.theory.predictions.limits import fit_walk

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SCRIPT = runpy.run_path(Path(__file__).parent.parent / "scripts" / "finite_scaling.py")


def test_a_power_is_found_with_the_scatter_of_its_seeds():
    d, seeds = np.tile([16, 32, 64], 3), np.repeat([0, 1, 2], 3)
    exact = fit_exponent(d, 2.0 * d**-0.7, seeds, wanted="falls")
    assert exact.value == pytest.approx(-0.7) and exact.error == pytest.approx(0, abs=1e-9)
    assert exact.prefactor == pytest.approx(2.0) and exact.remark == "falls"
    tilted = fit_exponent(d, d ** np.repeat([-0.1, 0.1, 0.3], 3), seeds, wanted="falls")
    assert tilted.value == pytest.approx(0.1)
    assert tilted.error == pytest.approx(0.2 / np.sqrt(3))
    assert tilted.remark == "does not fall"
    unsure = fit_exponent(d, d ** np.repeat([-0.3, -0.1, 0.1], 3), seeds, wanted="falls")
    assert "two standard errors" in unsure.remark
    one = fit_exponent(d[:3], d[:3] ** -0.7 * [1, 1.1, 1], seeds[:3])
    assert one.error > 0.01 and one.remark == ""
    # Seeds that agree with each other, and not with a power.
    bent = fit_exponent(d, d**-0.7 * np.tile([1, 1.1, 1], 3), seeds)
    assert bent.error == pytest.approx(one.error)


def test_what_has_no_power():
    nothing = fit_exponent([8, 16], [0.0, 0.5], [0, 0])
    assert np.isnan(nothing.value) and "0 or undefined" in nothing.remark
    with pytest.raises(InvalidInput, match="two sizes"):
        fit_exponent([8, 8], [1.0, 1.0], [0, 0])
    with pytest.raises(InvalidInput, match="scaling table"):
        scaling_exponents(np.zeros(2, dtype=[("n_features", int)]))


def test_the_sizes_are_scaled_as_the_docstring_says():
    small, large = SCRIPT["scaled"](16, 0), SCRIPT["scaled"](128, 0)
    assert large.n_inputs == 8 * small.n_inputs and large.n_neurons == 8 * small.n_neurons
    assert 128**-1.499 < large.weight_decay < 128**-1.01
    assert small.temperature == 1 and 1.7 < large.temperature < 1.8


def test_the_script_writes_its_table_and_figure_and_goes_on(tmp_path, capsys):
    arguments = ["--quick", "--out", str(tmp_path), "--runs", str(tmp_path / "runs"), "--quiet"]
    assert SCRIPT["main"](arguments) == 0
    said = capsys.readouterr().out
    written = [tmp_path / f"finite-scaling.{kind}" for kind in ("csv", "png", "pdf")]
    assert said.split()[-3:] == [str(path) for path in written]
    assert all(name in said for name in QUANTITIES)
    table = load_results(written[0])
    for d in np.unique(table["n_features"]):
        of_size = table[table["n_features"] == d]
        measured, predicted = (
            of_size["stage_one_length"].mean(),
            of_size["stage_one_predicted"].mean(),
        )
        assert measured == pytest.approx(predicted, rel=0.1)
    panels = scaling_panels(table)
    assert len(scaling_fits(panels).axes) == len(panels) >= 3
    before = written[0].read_bytes()
    assert SCRIPT["main"](arguments) == 0
    assert written[0].read_bytes() == before


def test_a_walk_is_fitted_with_the_error_of_its_residuals():
    walk = np.linspace(1e-3, 1e-2, 12)
    a, c, error = fit_walk(walk, np.sqrt(0.002 + 6.5 * walk))
    assert (a, c) == pytest.approx((0.002, 6.5)) and error < 1e-9
    noisy = np.sqrt(0.002 + 6.5 * walk + 1e-3 * np.resize([1, -1], 12))
    assert 0.01 < fit_walk(walk, noisy)[2] < 0.5
    assert np.isnan(fit_walk(walk[:2], noisy[:2])[2])


@pytest.mark.statistical
def test_the_limit_is_trained_drawn_and_gone_on_with(tmp_path, monkeypatch, capsys):
    script = runpy.run_path(Path(__file__).parent.parent / "scripts" / "scaling.py")
    exact = script["scaled"](64, 0, 4, "random_mask")
    assert exact.n_inputs == 64**4 and exact.is_large_batch_limit and exact.n_neurons == 256
    assert script["scaled"](128, 0, 4, "none").batch_size > 2 * exact.batch_size
    short = {
        "QUICK": (8,),
        "scaled": lambda *of: script["scaled"](*of).replace(
            n_steps=20, batch_size=512, negative_groups=4
        ),
    }
    for name, value in short.items():
        monkeypatch.setitem(script["main"].__globals__, name, value)
    arguments = ["--quick", "--out", str(tmp_path), "--runs", str(tmp_path / "runs")]
    assert script["main"](arguments) == 0
    said = capsys.readouterr().out
    assert "off-support² d =" in said and "same_latents_active" in said
    before = (tmp_path / "scaling.csv").read_bytes()
    assert script["main"](arguments) == 0
    assert (tmp_path / "scaling.csv").read_bytes() == before
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
