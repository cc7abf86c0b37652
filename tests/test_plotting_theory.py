"""Figures that hold measurements against predictions, and figures of tables, at small sizes."""

import numpy as np
import pytest
from figure_checks import assert_sound
from scipy.integrate import trapezoid

import featlearn
from featlearn import plotting
from featlearn.commands import main
from featlearn.errors import InvalidInput
from featlearn.plotting.animation import atom_positions, neuron_positions
from featlearn.plotting.lottery import initial_ranks
from featlearn.plotting.spectrum import semicircle
from featlearn.plotting.tables import cell_edges, grid_means


@pytest.fixture(scope="session")
def with_mask(twins):
    return featlearn.load_run(twins[0])


def test_the_lottery_ranks_and_picture(with_mask):
    ranks = initial_ranks(np.array([[0.1, -0.5, 0.3], [0.2, 0.1, -0.05]]), np.array([2, 0]))
    assert list(ranks) == [2, 1]
    assert_sound(plotting.lottery(with_mask))
    # Also while no neuron is pure.
    assert_sound(plotting.lottery(with_mask, threshold=1.0))


@pytest.mark.parametrize("d", (1, 12, 13, 40))
def test_the_lottery_shows_every_rank(d):
    small = featlearn.preset("tiny").replace(n_features=d, n_neurons=24, n_steps=2)
    figure = plotting.lottery(featlearn.train(small))
    assert_sound(figure)
    left = figure.axes[0]
    assert sum(bar.get_height() for bar in left.patches) == pytest.approx(2)
    assert (left.get_xticklabels()[-1].get_text() == "≥ 12") == (d > 12)


def test_stage_one_starts_on_the_recursion_and_ends_near_it(with_mask):
    [ax] = plotting.stage_one_growth(with_mask).axes
    measured, predicted = ax.lines[0], ax.lines[1]
    assert predicted.get_linestyle() == "--"
    assert predicted.get_ydata()[0] == pytest.approx(measured.get_ydata()[0])
    # One seed of a short stage: the same growth within a fifth.
    grown = [line.get_ydata()[-1] / line.get_ydata()[0] for line in (measured, predicted)]
    assert grown[0] == pytest.approx(grown[1], rel=0.2)


def test_the_competition_has_its_mean_field_while_it_holds(small):
    exp = small.replace(temperature=50.0)
    run = featlearn.train(exp)
    [ax] = plotting.competition(run, neuron=3).axes
    measured, predicted = ax.lines[: exp.n_features], ax.lines[exp.n_features :]
    assert len(predicted) == exp.n_features
    for solid, dashed in zip(measured, predicted):
        assert dashed.get_linestyle() == "--" and solid.get_color() == dashed.get_color()
        assert dashed.get_xdata()[0] == solid.get_xdata()[0]
        assert dashed.get_ydata()[0] == pytest.approx(solid.get_ydata()[0], abs=1e-6)
    assert_sound(plotting.competition(run))


def test_the_decoupling_picture_measures_what_the_closed_forms_say(small):
    table = plotting.cross_view_correlations(small, 2000)
    for row in table.values():
        for part in ("sparse", "dense"):
            assert row[part] == pytest.approx(row[part + "_predicted"], abs=0.03)
    assert table["none"]["dense"] == pytest.approx(1)
    assert_sound(plotting.decoupling(table))
    with pytest.raises(InvalidInput, match="dense directions"):
        plotting.cross_view_correlations(small.replace(n_inputs=8, dictionary="identity"))


def test_the_spectrum_has_its_predicted_lines(small):
    run = featlearn.train(small.replace(stage_one_growth=None, n_steps=60))
    figure = plotting.spectrum_and_plateau(run)
    assert_sound(figure)
    from featlearn.theory.predictions.softmax_plateau import softmax_plateau

    lines = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    expected = softmax_plateau(run.experiment)
    assert lines == [expected.singular_value_squared, expected.dense_squared]
    x, density = semicircle(0.3)
    assert trapezoid(density, x) == pytest.approx(1, abs=1e-2)


def test_forces_are_the_growth_rate_along_the_winner(small):
    experiment = small.replace(n_steps=30, dtype="float64")
    table = plotting.record_forces(experiment, n_rows=5, batches=1)
    run = featlearn.train(experiment)
    winner = np.abs(run["alignment"][-1]).argmax(axis=1)
    along = run["alignment"][:, np.arange(len(winner)), winner]
    t = table["step"]
    grown = (along[t + 1] - along[t]) / along[t] / experiment.learning_rate
    total = table["attraction"] + table["repulsion"] + table["decay"]
    np.testing.assert_allclose(total, grown, rtol=1e-8)
    assert_sound(plotting.forces(table))


def test_neurons_stand_where_their_norm_points(with_mask, tmp_path, capsys):
    place = neuron_positions(np.array([[0.0, 2.0], [0.0, 0.0]]), np.array([2.0, 1.0]))
    np.testing.assert_allclose(place, [atom_positions(2)[1], [0, 0]], atol=1e-12)
    assert_sound(plotting.neuron_map(with_mask))
    film = tmp_path / "run.gif"
    words = ["animate", str(with_mask.directory)]
    assert main([*words, str(film), "--frames", "3", "--fps", "2"]) == 0
    assert film.read_bytes()[:6] == b"GIF89a"
    for wrong in (["film.mp4"], [str(film), "--frames", "0"]):
        assert main([*words, *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def phase_table():
    names = [("rho", float), ("sigma", float), ("seed", int), ("share", float)]
    return np.array(
        [(a, b, s, np.nan if a + b == 0.1 else (a < 0.4) * 0.8 + 0.1 * s)
         for a in (0, 0.3, 0.6) for b in (0.1, 1.0) for s in (0, 1)],
        names,
    )  # fmt: skip


def test_the_phase_diagram_averages_over_seeds_and_leaves_gaps():
    table = phase_table()
    xs, ys, means = grid_means(table, "rho", "sigma", "share")
    assert list(xs) == [0, 0.3, 0.6] and list(ys) == [0.1, 1]
    np.testing.assert_allclose(means, [[np.nan, 0.85, 0.05], [0.85, 0.85, 0.05]])
    edges = cell_edges([1, 10, 100], True)
    np.testing.assert_allclose(edges, 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    figure = plotting.phase_diagram(
        table, "rho", "sigma", "share", {"predicted": ([0.4, 0.4], [0.1, 1])},
        logarithmic=("sigma",),
    )  # fmt: skip
    assert_sound(figure)
    with pytest.raises(InvalidInput, match="one of rho, sigma, seed, share"):
        plotting.phase_diagram(table, "rho", "tau", "share")


def test_slopes_between_sizes_show_what_is_no_single_power():
    sizes = np.repeat([8, 16, 64], 2)
    values = np.repeat([1.0, 0.5, 1 / 32], 2) * np.tile([0.9, 1.1], 3)
    np.testing.assert_allclose(plotting.tables.local_slopes(sizes, values), [-1, -2])
    assert plotting.tables.local_slopes(sizes, -values) == []


def test_scaling_fits_are_drawn_with_and_without_theory():
    d = np.array([8, 8, 16, 32])
    fit = {"n_features": d, "values": 1 / d, "exponent": -1.0, "error": 0.1, "prefactor": 1.0}
    assert_sound(plotting.scaling_fits({"share": fit, "time": fit | {"predicted": -0.5}}))
    assert_sound(plotting.scaling_fits({"share": fit}))
