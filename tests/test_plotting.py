"""Every figure is drawn at a small size; none is clipped, empty, or different the second time."""

import builtins
import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from figure_checks import assert_sound
from matplotlib.figure import Figure

import featlearn
from featlearn import plotting
from featlearn.commands import main
from featlearn.errors import InvalidInput, RunDirectoryError
from featlearn.objectives import Pull
from featlearn.plotting.canvas import stage_starts, thinned
from featlearn.theory.predictions.floors import bayes_floor, linear_floor


class Bare(featlearn.Objective):
    """f pulled to a length of its own: what a constant has is not known."""

    def pull(self, anchor_features, key_features, parameters, labels):
        loss = float(np.mean(np.sum((anchor_features - 1) ** 2, axis=1)))
        return Pull(loss, 2 * (1 - anchor_features))


@pytest.fixture(scope="session")
def runs(twins):
    return plotting.label_runs([featlearn.load_run(directory) for directory in twins])


@pytest.mark.parametrize("name", plotting.GALLERY)
def test_a_figure_draws_twins(runs, name):
    [(drawn, figure)] = plotting.draw_gallery(runs, [name])
    assert drawn == name
    assert_sound(figure)


def test_both_regimes_stand_beside_each_other(runs):
    four = {f"{kind}: {name}": run for kind in ("finite d", "limit") for name, run in runs.items()}
    figure = plotting.regimes(four)
    assert_sound(figure)
    titles = [ax.get_title().replace("\n", ": ") for ax in figure.axes[:4]]
    assert titles == list(four)
    assert_sound(plotting.representation(runs))


def test_the_collapse_is_drawn_on_its_fit():
    shown = ("same_latents_active", "same_noise_active", "regression")
    measured = (
        "walk",
        "off_support",
        "off_support_predicted",
        *shown,
        *(f"{n}_predicted" for n in shown),
    )
    names = [
        ("augmentation", "U12"),
        ("n_features", int),
        ("power", int),
        *((n, float) for n in measured),
    ]
    table = np.array(
        [(kind, d, 4, 1e-3 * d, 0.02 * np.sqrt(d), 0.01 * np.sqrt(d), 0.8, 0.1, 4 / d, 0.9, 0.1, 5 / d)
         for kind in ("random_mask", "none") for d in (16, 32, 64)],
        names,
    )  # fmt: skip
    figure = plotting.limit_collapse(table, (0.001, 6.0, 0.5))
    assert_sound(figure)
    assert len(figure.axes[0].lines) == 7 and len(figure.axes[1].lines) == 13


@pytest.mark.parametrize("name", ["alignment-trajectories", "sparse-and-dense"])
def test_a_figure_draws_one_run(runs, name):
    [(_, figure)] = plotting.draw_gallery(runs["RandomMask"], [name])
    assert_sound(figure)


def test_twin_figures_show_the_probes_they_are_given(runs, tmp_path, monkeypatch):
    for name in set(plotting.GALLERY) - {"probe-errors"}:
        monkeypatch.delitem(plotting.GALLERY, name)
    drawn = []
    monkeypatch.setattr(plotting.gallery, "probe_errors", lambda p, _: drawn.append(p) or Figure())
    summaries = {label: featlearn.summarize(run) for label, run in runs.items()}
    written = plotting.save_twin_figures(runs, summaries, tmp_path / "new" / "figures")
    assert {path.name for path in written} == {"probe-errors.png", "probe-errors.pdf"}
    assert all(path.stat().st_size > 500 for path in written)
    assert drawn == [{label: summary.probe for label, summary in summaries.items()}]


def test_probes_stand_beside_the_floors_of_their_data(runs):
    [(_, figure)] = plotting.draw_gallery(runs, ["probe-errors"])
    regression, classification = figure.axes
    exp = runs["RandomMask"].experiment
    s, variance = exp.resolved_density, exp.resolved_noise_variance
    levels = [
        line.get_ydata()[0] for line in regression.lines if line.get_linestyle() in ("-.", ":")
    ]
    assert levels == [linear_floor(s, variance), bayes_floor(s, variance)]
    assert not [line for line in classification.lines if line.get_linestyle() in ("-.", ":")]
    other = {**runs, "denser": featlearn.train(exp.replace(density=0.5, n_steps=2))}
    assert plotting.gallery.common_floors(other) == ()


def test_a_lone_run_is_labelled_by_its_augmentation(runs):
    figure = plotting.alignment_trajectories(runs["RandomMask"])
    assert figure.axes[0].get_title() == "RandomMask"


def test_the_curves_are_the_recorded_ones(runs):
    run = runs["RandomMask"]
    axes = plotting.alignment_trajectories(run).axes[0]
    winner = np.abs(run["alignment"][-1]).argmax(axis=1)
    last = np.abs(run["alignment"][-1][np.arange(24), winner]) / run["weight_norm"][-1]
    blue = [line for line in axes.lines if line.get_color() == plotting.canvas.BLUE]
    drawn = [line.get_ydata()[-1] for line in blue]
    np.testing.assert_allclose(drawn, last, rtol=1e-6)


def test_stages_start_where_they_were_recorded(runs):
    run = runs["RandomMask"]
    starts = stage_starts(run.steps, run["stage"])
    assert list(starts) == [1, 2, 3]
    for stage, start in starts.items():
        assert run["stage"][start] == stage and (start == 0 or run["stage"][start - 1] < stage)


def test_thinning_keeps_the_ends():
    rows = thinned(1001, 10)
    assert rows[0] == 0 and rows[-1] == 1000 and len(rows) == 10
    assert list(thinned(3, 10)) == [0, 1, 2]


def test_the_same_run_gives_the_same_bytes_in_another_process(runs, tmp_path):
    directories = [str(run.directory) for run in runs.values()]
    subprocess.run(
        [sys.executable, "-m", "featlearn", "plot", *directories, "--only", "losses",
         "-o", str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "1"},
        check=True,
        capture_output=True,
    )  # fmt: skip
    for again in plotting.save(plotting.losses(runs), tmp_path / "again"):
        there = tmp_path / again.name.replace("again", "losses")
        assert again.read_bytes() == there.read_bytes()


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


def test_a_watched_run_leaves_its_last_picture(tmp_path, capsys):
    words = "run --preset tiny --set n_features=8 --set n_inputs=32 --set n_neurons=8 --quiet"
    words += " --set batch_size=16 --set n_steps=20"
    picture = tmp_path / "picture.png"
    where = ["--out", str(tmp_path / "run"), "--watch"]
    assert main([*words.split(), *where, str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert list(tmp_path.glob("*.new")) == []
    for wrong in (tmp_path / "picture.jpg", tmp_path / "missing" / "picture.png"):
        assert main([*words.split(), *where, str(wrong)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_loss_of_a_constant_representation_is_that_of_each_objective(small):
    base = small.replace(n_steps=3)
    runs = {
        "plain": base,
        "groups": base.replace(negative_groups=4),
        "NT-Xent": base.replace(objective="nt_xent", temperature=0.5),
        "spectral": base.replace(objective="spectral"),
        "supervised": base.replace(objective="supervised"),
    }
    runs = {name: featlearn.train(exp) for name, exp in runs.items()}
    runs["own"] = featlearn.train(base, objective=Bare())

    def drawn(shown):
        figure = plotting.losses(shown)
        ((ax,), (legend,)) = figure.axes, figure.legends
        named = "constant representation" in [text.get_text() for text in legend.get_texts()]
        found = sorted(line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--")
        assert named == bool(found)
        return found

    n = base.batch_size
    tau = base.temperature
    wanted = sorted([tau * np.log(n), tau * np.log(n // 4), 0.5 * np.log(2 * n - 1)])
    np.testing.assert_allclose(drawn(runs), wanted, rtol=1e-6)
    for name in ("spectral", "supervised", "own"):
        assert drawn({name: runs[name]}) == []


def test_a_run_of_one_row_is_refused(small):
    run = featlearn.train(small.replace(n_steps=0))
    with pytest.raises(InvalidInput, match="1 recorded rows"):
        plotting.losses(run)


def test_the_style_sheet_is_known_by_name_without_pyplot():
    code = (
        "import sys, featlearn.plotting\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib.pyplot as plt\n"
        "plt.style.use('featlearn')\n"
        "print(plt.rcParams['savefig.dpi'], plt.rcParams['figure.figsize'])\n"
    )
    environment = {**os.environ, "MPLBACKEND": "agg"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert found.stdout.split() == b"300.0 [3.3, 2.5]".split(), found.stderr


def test_arguments_of_figures_are_refused_by_name(runs, tmp_path):
    run = next(iter(runs.values()))
    for call, field in (
        (lambda: list(plotting.draw_gallery(runs, ["portrait"])), "names"),
        (lambda: plotting.save(Figure(), tmp_path / "new" / "one", formats=("xyz",)), "formats"),
        (lambda: plotting.competition(run, neuron=10**6), "neuron"),
        (lambda: plotting.neuron_map(run, row=10**6), "row"),
        (lambda: plotting.animate(run, tmp_path / "film.gif", fps=0), "fps"),
        (lambda: plotting.animate(run, tmp_path / "film.gif", n_frames=0), "n_frames"),
        (lambda: plotting.record_forces(run.experiment, n_rows=0), "n_rows"),
        (lambda: plotting.record_forces(run.experiment, batches=0), "batches"),
    ):
        with pytest.raises(InvalidInput, match=f"^{field}: got"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", ("figure", "film"))
def test_what_cannot_be_written_leaves_the_earlier_file(runs, tmp_path, monkeypatch, draw):
    """A full disk halfway, in the place of a picture and of a film; and the error names the file."""
    path = tmp_path / ("one.png" if draw == "figure" else "one.gif")
    path.write_bytes(b"earlier")
    if draw == "figure":
        call = lambda: plotting.save(Figure(), tmp_path / "one", formats=["png"])  # noqa: E731
    else:
        call = lambda: plotting.animate(next(iter(runs.values())), path, 2, 1)  # noqa: E731
    real = builtins.open

    def full(name, mode="r", *arguments, **options):
        file = real(name, mode, *arguments, **options)
        if "w" in mode and (isinstance(name, int) or str(name).startswith(str(tmp_path))):
            file.write(b"half")
            file.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return file

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(RunDirectoryError, match=f"{path.name}: cannot be written .No space left"):
        call()
    monkeypatch.undo()
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_neurons_and_atoms_are_counted_in_whole_numbers(small):
    few = small.replace(n_features=2, n_neurons=2, n_steps=2, density=0.3)
    [ax, *_] = plotting.cosine_heatmaps(featlearn.train(few)).axes
    for axis in (ax.xaxis, ax.yaxis):
        assert all(tick == round(tick) for tick in axis.get_ticklocs())


def test_names_and_formats_may_come_one_by_one(runs, tmp_path):
    run = next(iter(runs.values()))
    [(name, _)] = plotting.draw_gallery(run, iter(["competition"]))
    assert name == "competition"
    [written] = plotting.save(Figure(), tmp_path / "one", formats=iter(("png",)))
    assert written.exists()


def test_a_quantity_that_is_never_a_number_is_drawn_empty(small):
    record = {"empty": lambda state, batch, gradient: np.full(3, np.nan)}
    run = featlearn.train(small.replace(n_steps=2), record=record)
    assert len(plotting.asked_quantities(run).axes[0].lines) == 0


def test_what_is_named_twice_is_drawn_once(twins, tmp_path, capsys):
    twice = ["--only", "losses", "--only", "losses", "--format", "png", "--format", "png"]
    assert main(["plot", str(twins[0]), *twice, "-o", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "losses.png")]


@pytest.mark.parametrize("n_steps", (1, 3, 10, 24))
def test_ticks_of_short_runs_stand_at_whole_steps(n_steps):
    run = featlearn.train(featlearn.preset("tiny").replace(n_steps=n_steps))
    for name in ("losses", "sparse-and-dense", "alignment-trajectories", "competition", "headline"):
        [(_, figure)] = plotting.draw_gallery(run, [name])
        with plotting.canvas.in_style():
            figure.draw_without_rendering()
        for ax in figure.axes:
            if ax.get_xlabel() == "step":
                assert not (ax.get_xticks() % 1).any(), (name, ax.get_xticks())


def test_one_neuron_and_one_feature_are_counted_and_coloured_as_such():
    one = featlearn.preset("tiny").replace(n_features=1, n_neurons=1, n_steps=6, stage_one_steps=3)
    drawn = dict(plotting.draw_gallery(featlearn.train(one), ["cosine-heatmaps", "competition"]))
    heatmap = plotting.canvas.panels(drawn["cosine-heatmaps"])[0]
    for axis in (heatmap.xaxis, heatmap.yaxis):
        assert not (axis.get_majorticklocs() % 1).any()
    lines = drawn["competition"].axes[0].lines
    assert {line.get_color() for line in lines} == {plotting.canvas.BLUE}
