"""What every figure shares: the style sheet, fresh canvases, thinning, stages, and saving."""

import functools
import io
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from ..errors import InvalidInput
from ..recording.files import write_aside, writing
from ..recording.trajectory import Run
from ..rules import choice, require
from ..views import augmentation_of

STYLE = str(Path(__file__).parent.parent / "featlearn.mplstyle")
COLUMN, PAGE = 3.3, 6.8
ROWS_DRAWN = 400
BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip
GREY = "#8A8A8A"
FORMATS = ("png", "pdf")
# From now on plt.style.use("featlearn") works, without pyplot being imported here.
matplotlib.style.library["featlearn"] = matplotlib.rc_params_from_file(
    STYLE, use_default_template=False
)
# Without dates, and without a version that would change the bytes.
_METADATA = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def in_style():
    """Return a context in which featlearn's style sheet holds, and nothing else does."""
    return matplotlib.style.context(["default", STYLE])


def styled(function):
    """Run a figure function under featlearn's style sheet, whatever the caller's own settings.

    Ticks stand at whole steps, and several panels get the letters that captions and texts call them by.
    """

    @functools.wraps(function)
    def wrapper(*arguments, **keywords):
        with in_style():
            figure = function(*arguments, **keywords)
            for ax in figure.axes:
                _tick_whole_steps(ax)
            if not figure.subfigs:
                _letter(panels(figure))
            return figure

    return wrapper


def panels(figure):
    """Return the Axes of a figure that show data: neither colour bars nor empty places."""
    return [
        ax
        for ax in figure.axes
        if ax.get_label() != "<colorbar>" and (ax.axison or ax.images or ax.collections)
    ]


def _tick_whole_steps(ax):
    """Put no tick between two steps, as 2.5; longer axes, which have ticks at 250, stay as they are."""
    low, high = ax.get_xlim()
    if ax.get_xlabel() == "step" and high - low < 25:
        ax.locator_params(axis="x", integer=True, min_n_ticks=1)


def _letter(axes):
    for letter, ax in zip("abcdefghijklmnopqrstuvwxyz", axes if len(axes) > 1 else ()):
        ax.annotate(
            letter, (0, 1), (-5, 4), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="bottom", fontsize=9, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def new_figure(width=COLUMN, height=2.5, rows=1, columns=1, **keywords):
    """Return a Figure and its Axes, an ndarray of shape (rows, columns), without pyplot."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **keywords)


def save(figure, path, formats=FORMATS, dpi=None):
    """Write a figure as path.png and path.pdf; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Without a suffix; its directory is made where it is missing.
    formats : sequence of str
        Among "png" and "pdf".
    dpi : float, optional
        Of the pixels; by default that of the style sheet.

    Returns
    -------
    list of Path

    Raises
    ------
    InvalidInput
        For another format.
    RunDirectoryError
        If a file cannot be written.
    """
    formats = tuple(dict.fromkeys(formats))
    for kind in formats:
        require("formats", kind, choice(_METADATA))
    path = Path(path)
    written = [path.with_name(f"{path.name}.{kind}") for kind in formats]
    for kind, file in zip(formats, written):
        save_as(figure, file, kind, dpi)
    return written


def save_as(figure, path, kind, dpi=None):
    """Write a figure into one file, whole or not at all, and the directory where that is missing.

    Raises
    ------
    RunDirectoryError
        If it cannot be written.
    """
    with io.BytesIO() as drawn, writing(path):
        write(figure, drawn, kind, dpi)
        write_aside(path, drawn.getvalue(), sync=False)


def write(figure, file, kind, dpi=None):
    """Write a figure to a binary stream, `kind` being "png" or "pdf"."""
    with in_style():
        # The layout is solved once, so that all files have the same and it costs half.
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(file, format=kind, dpi=dpi, metadata=_METADATA[kind])


def as_runs(runs):
    """Return runs as a dictionary of label to Run; a single Run is labelled by its augmentation."""
    if isinstance(runs, Run):
        runs = {label(runs): runs}
    if not isinstance(runs, dict) or not runs:
        raise InvalidInput("runs", type(runs).__name__, "a Run, or a dictionary of label to Run")
    for name, run in runs.items():
        if len(run) < 2:
            raise InvalidInput(f"run {name}", f"{len(run)} recorded rows", "at least 2 to draw")
    return runs


def label(run):
    """Return the name of a run's augmentation as figures show it, and whether it is of the limit."""
    if "augmentation" in run.own:
        return run.views
    limit = " (large-batch limit)" if run.experiment.is_large_batch_limit else ""
    return augmentation_of(run.experiment).label + limit


def label_runs(runs):
    """Return a dictionary of label to Run for several runs, labelled by what tells them apart."""
    names = [label(run) for run in runs]
    if len(set(names)) < len(names):
        names = [run.directory.name if run.directory else name for run, name in zip(runs, names)]
    unique = {}
    for name, run in zip(names, runs):
        unique[name if name not in unique else f"{name} ({len(unique) + 1})"] = run
    return unique


def thinned(n_rows, n_drawn=ROWS_DRAWN):
    """Return at most n_drawn row numbers, evenly spread, that include the first and the last."""
    return np.unique(np.linspace(0, n_rows - 1, min(n_drawn, n_rows)).round().astype(int))


def stage_starts(steps, stages):
    """Return a dictionary of stage number to the first recorded step of that stage."""
    numbers, first = np.unique(np.asarray(stages), return_index=True)
    return {int(number): int(steps[row]) for number, row in zip(numbers, first)}


def mark_stages(axes, steps, stages):
    """Draw a line where each later stage begins, and name the stages along the top."""
    starts = stage_starts(steps, stages)
    edges = [*starts.values(), int(steps[-1])]
    span = max(edges[-1] - edges[0], 1)
    for number, start, end in zip(starts, edges, edges[1:]):
        if start > edges[0]:
            axes.axvline(start, color="0.35", linestyle=":", linewidth=0.8, zorder=1)
        if end - start > (0.01 + 0.01 * number) * span:
            axes.text(
                (start + end) / 2,
                1.0,
                "I" * number,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                color="0.35",
                fontsize=7,
            )


def band(text):
    """Return the legend entry that says what the bands around lines hold."""
    return Patch(color=GREY, alpha=0.35, linewidth=0, label=f"band: {text}")


def legend_over(ax, handles, columns=1, points=16):
    """Put the legend of one panel above it, so many points over its frame: clear of its title."""
    above = ax.transAxes + ScaledTranslation(0, points / 72, ax.figure.dpi_scale_trans)
    return ax.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), bbox_transform=above,
        ncols=columns, borderaxespad=0,
    )  # fmt: skip


def legend_above(figure, handles, labels=None, columns=None):
    """Put one legend above all panels, where it cannot cover data."""
    labels = labels or [handle.get_label() for handle in handles]
    if columns is None:
        # Of letters of 7 points and a handle each, as many as the page is wide.
        widest = max(map(len, labels), default=1) * 0.07 + 0.45
        columns = min(len(labels), max(int(figure.get_size_inches()[0] / widest), 1))
    return figure.legend(handles, labels, loc="outside upper center", ncols=columns)
