"""Runs of several seeds as one: a seed axis, mean and confidence, a sweep's directory."""

import numpy as np
import pytest
from scipy import stats

import featlearn
from featlearn import plotting
from featlearn.commands import main
from featlearn.plotting.several import BANDS, figures, shown_runs
from featlearn.recording.seeds import run_directories
from featlearn.sweeps.sweep import grid, sweep
from featlearn.theory.claims import checking
from featlearn.theory.claims.boundaries import claim_boundaries


class Here:
    """An executor that runs in this process."""

    def submit(self, function, *arguments):
        value = function(*arguments)
        return type("Done", (), {"result": lambda self: value})()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The directory of a sweep over two temperatures and three seeds."""
    base = featlearn.Experiment(
        n_features=8, n_inputs=64, n_neurons=16, batch_size=40, n_steps=20, learning_rate=1.0,
        stage_one_growth=1.2, bias_growth=1.02, bias_cap=0.6,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("swept")
    points = grid(base, {"temperature": [1.0, 2.0], "seed": range(3)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featlearn.sweeps.sweep.measures", lambda observed: {})
        sweep(points, place, Here(), workers=1, check=False)
    return place


def test_seeds_are_the_first_axis(swept):
    groups = featlearn.group_runs(swept)
    assert sorted(groups) == ["temperature=1", "temperature=2"]
    runs = groups["temperature=2"]
    assert runs.seeds == [0, 1, 2] and len(runs) == 3 and "3 runs" in repr(runs)
    assert runs["alignment"].shape == (3, 21, 16, 8)
    losses = np.stack([run["loss"] for run in runs])
    np.testing.assert_array_equal(runs.mean("loss"), losses.mean(axis=0))
    low, high = stats.t.interval(0.95, 2, losses.mean(axis=0), stats.sem(losses))
    np.testing.assert_allclose(runs.confidence("loss"), (high - low) / 2)
    one = featlearn.load_runs([runs.runs[0].directory])
    assert np.isnan(one.confidence("loss")).all()


def test_runs_that_differ_in_more_than_the_seed_are_refused_by_field(swept):
    with pytest.raises(featlearn.InvalidInput, match="temperature.*group_runs"):
        featlearn.load_runs(swept)
    run = run_directories([swept])[0]
    with pytest.raises(featlearn.InvalidInput, match="seed"):
        featlearn.load_runs([run, run])
    with pytest.raises(featlearn.RunDirectoryError):
        featlearn.load_runs(swept / "no such run")


def test_runs_with_other_parts_are_another_group(swept):
    exp = featlearn.load_run(run_directories([swept])[0]).experiment.replace(seed=5)
    own = featlearn.train(exp, augmentation=featlearn.RandomMask())
    groups = featlearn.group_runs([own, featlearn.train(exp.replace(seed=6))])
    assert "own=RandomMask, keep_probability = 0.5" in groups
    other = featlearn.train(exp.replace(seed=6), augmentation=featlearn.RandomMask(0.4))
    with pytest.raises(featlearn.InvalidInput, match="own.*0.5.*0.4"):
        featlearn.load_runs([own, other])
    with pytest.raises(featlearn.InvalidInput, match="only the seed different"):
        featlearn.check([own, other])


def test_runs_that_stopped_at_other_steps_are_aligned_by_step(swept):
    exp = featlearn.load_run(run_directories([swept])[0]).experiment.replace(n_steps=9)
    exp = exp.replace(record_every=3)
    runs = [
        featlearn.train(exp.replace(seed=1), until=lambda state: state.step == 4),
        featlearn.train(exp.replace(seed=2)),
    ]
    both = featlearn.load_runs(runs)
    assert list(both.steps) == [0, 3] and both["loss"].shape == (2, 2)
    np.testing.assert_array_equal(both["step"], [[0, 3], [0, 3]])
    np.testing.assert_array_equal(both["loss"][1], runs[1]["loss"][:2])


def test_a_figure_of_many_runs_is_no_wider_than_a_page(swept):
    runs = [featlearn.load_run(path) for path in run_directories([swept])]
    assert list(shown_runs(runs)) == ["temperature=1", "temperature=2"]
    drawn = dict(figures(runs, [BANDS, "losses", "cosine-heatmaps"]))
    for name, figure in drawn.items():
        assert figure.get_size_inches()[0] <= 8, name
    (legend,) = drawn[BANDS].legends
    assert [text.get_text() for text in legend.texts] == [
        "temperature=1 (3 seeds)", "temperature=2 (3 seeds)", "band: 95 % confidence of the mean",
    ]  # fmt: skip
    line = drawn[BANDS].axes[0].lines[0].get_ydata()
    group = featlearn.group_runs(runs)["temperature=1"]
    np.testing.assert_allclose(line, group.mean("loss"), rtol=1e-6)


def test_a_legend_of_many_labels_stays_inside_its_figure(swept):
    runs = [featlearn.load_run(path) for path in run_directories([swept])]
    many = {f"a rather long label number {k}": run for k, run in enumerate(runs)}
    figure = plotting.losses(many)
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_commands_take_the_directory_of_a_sweep(swept, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checking, "CLAIMS", (claim_boundaries,))
    assert main(["plot", str(swept), "-o", str(tmp_path), "--only", BANDS, "--format", "png"]) == 0
    assert (tmp_path / f"{BANDS}.png").exists()
    main(["check", str(swept), "--brief"])
    said = capsys.readouterr().out
    assert said.count("seeds 0, 1, 2") == 2


def test_a_run_of_a_sweep_without_rows_to_draw_is_left_out_and_named(tmp_path, capsys):
    short = featlearn.preset("tiny").replace(n_steps=3)
    good, diverged = tmp_path / "runs" / "good", tmp_path / "runs" / "diverged"
    featlearn.train(short, good)
    with pytest.raises(featlearn.TrainingDiverged):
        featlearn.train(short.replace(learning_rate=1e30), diverged)
    drawn = ["--only", "losses", "--format", "png", "-o", str(tmp_path)]
    assert main(["plot", str(tmp_path), *drawn]) == 0
    said = capsys.readouterr().err
    assert f"not drawn: {diverged}, of 1 recorded rows" in said and f"{good}," not in said
    assert (tmp_path / "losses.png").exists()
    assert main(["plot", str(diverged), *drawn]) == 2
    assert "at least 2 to draw" in capsys.readouterr().err


def test_a_sweep_that_kept_no_trajectories_is_called_so(tmp_path, capsys):
    (tmp_path / "rows").mkdir()
    for command in ("plot", "check", "report"):
        assert main([command, str(tmp_path)]) == 2
        assert "wants one with run directories in it, made without" in capsys.readouterr().err


@pytest.mark.parametrize("n_own", (0, 1, 2))
def test_the_lowest_panel_of_each_column_has_steps(n_own):
    exp = featlearn.preset("tiny").replace(n_steps=30)
    own = {f"own {k}": lambda state, batch, gradient: float(state.step) for k in range(n_own)}
    runs = [featlearn.train(exp.replace(seed=k), record=own) for k in range(2)]
    figure = plotting.seed_bands(featlearn.group_runs(runs))
    figure.draw_without_rendering()
    for ax in plotting.canvas.panels(figure)[-2:]:
        assert ax.get_xlabel() == "step"
        assert any(label.get_visible() and label.get_text() for label in ax.get_xticklabels())
