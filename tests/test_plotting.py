"""Every figure is drawn at a small size; none is clipped, empty, or different the second time."""

import os
import subprocess
import sys

import numpy as np
import pytest

import featlearn
from featlearn import plotting
from featlearn.commands import main
from featlearn.errors import InvalidInput
from featlearn.plotting.canvas import stage_starts, thinned


@pytest.fixture(scope="session")
def twins(tmp_path_factory):
    """Directories of a short run with RandomMask and of one without augmentation."""
    experiment = featlearn.Experiment(
        n_features=8, n_inputs=64, n_neurons=24, batch_size=100, n_steps=120, learning_rate=1.0,
        stage_one_growth=1.2, bias_growth=1.02, bias_cap=0.6,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("twins")
    for name in ("random_mask", "none"):
        featlearn.train(experiment.replace(augmentation=name), place / name)
    return place / "random_mask", place / "none"


@pytest.fixture(scope="session")
def runs(twins):
    return plotting.label_runs([featlearn.load_run(directory) for directory in twins])


def assert_sound(figure):
    """Nothing reaches beyond the figure, every panel has data, and every legend is outside."""
    with plotting.canvas.in_style():
        figure.draw_without_rendering()
        box, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < width + 0.02 and box.y1 < height + 0.02
    for axes in figure.axes:
        assert axes.has_data()
        assert axes.get_legend() is None


@pytest.mark.parametrize("name", plotting.GALLERY)
def test_a_figure_draws_one_run_and_twins(runs, name):
    label, run = next(iter(runs.items()))
    for chosen in ({label: run}, runs):
        [(drawn, figure)] = plotting.draw_gallery(chosen, [name])
        assert drawn == name
        assert_sound(figure)


def test_twin_figures_show_the_probes_they_are_given(runs, tmp_path):
    summaries = {label: featlearn.summarize(run) for label, run in runs.items()}
    written = plotting.save_twin_figures(runs, summaries, tmp_path / "new" / "figures")
    assert {path.stem for path in written} == set(plotting.GALLERY)
    assert all(path.stat().st_size > 1000 for path in written)


def test_a_lone_run_is_labelled_by_its_augmentation(runs):
    figure = plotting.alignment_trajectories(runs["RandomMask"])
    assert figure.axes[0].get_title() == "RandomMask"


def test_the_curves_are_the_recorded_ones(runs):
    run = runs["RandomMask"]
    axes = plotting.alignment_trajectories(run).axes[0]
    winner = np.abs(run["alignment"][-1]).argmax(axis=1)
    last = np.abs(run["alignment"][-1][np.arange(24), winner]) / run["weight_norm"][-1]
    drawn = [line.get_ydata()[-1] for line in axes.lines if line.get_color() == plotting.canvas.BLUE]
    np.testing.assert_allclose(drawn, last, rtol=1e-6)


def test_stages_start_where_they_were_recorded(runs):
    run = runs["RandomMask"]
    starts = stage_starts(run)
    assert list(starts) == [1, 2, 3]
    for stage, start in starts.items():
        assert run["stage"][start] == stage and (start == 0 or run["stage"][start - 1] < stage)


def test_thinning_keeps_the_ends():
    rows = thinned(1001, 10)
    assert rows[0] == 0 and rows[-1] == 1000 and len(rows) == 10
    assert list(thinned(3, 10)) == [0, 1, 2]


def test_the_same_run_gives_the_same_bytes_in_another_process(twins, tmp_path):
    command = [sys.executable, "-m", "featlearn", "plot", *map(str, twins), "--only", "losses"]
    for out, seed in (("a", "1"), ("b", "2")):
        subprocess.run(
            [*command, "-o", str(tmp_path / out)],
            env={**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed},
            check=True,
            capture_output=True,
        )
    for name in ("losses.png", "losses.pdf"):
        first, second = ((tmp_path / out / name).read_bytes() for out in "ab")
        assert first == second and len(first) > 1000


def test_the_plot_command_draws_into_the_run_and_refuses_bad_input(twins, tmp_path, capsys):
    assert main(["plot", str(twins[0]), "--only", "cosine-heatmaps", "--format", "png"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line == str(twins[0] / "figures" / "cosine-heatmaps.png")
    for arguments in (
        [str(tmp_path / "nothing")],
        [str(twins[0]), "--only", "portrait"],
        [str(twins[0]), "-o", str(twins[0] / "config.json")],
    ):
        assert main(["plot", *arguments]) == 2
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1 and error[0].startswith("featlearn: ")


def test_a_run_of_one_row_is_refused(small):
    run = featlearn.train(small.replace(n_steps=0))
    with pytest.raises(InvalidInput, match="1 recorded rows"):
        plotting.losses(run)
