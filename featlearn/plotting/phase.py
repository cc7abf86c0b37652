"""The decoupling phase diagram: where features are recovered, and where theory draws the line."""

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D

from ..errors import InvalidInput
from .canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PINK,
    VERMILLION,
    legend_over,
    new_figure,
    styled,
)
from .tables import cell_edges, grid_means

PANELS = ("noise", "keep", "inputs", "temperature", "large")
_MEASURED = {"color": "white", "linewidth": 1.3}
_OUTLINE = [patheffects.withStroke(linewidth=2.6, foreground="black")]
_CROSSING = {"color": VERMILLION, "linestyle": "--", "linewidth": 1.5}
_MARGIN = {"color": ORANGE, "linestyle": "-.", "linewidth": 1.5}


@styled
def decoupling_diagram(table):
    """What is recovered over noise correlation and level, mask, d1/d and temperature.

    Parameters
    ----------
    table : structured ndarray
        A row a run, as scripts/phase_diagram.py writes it: the column `panel`, one of `PANELS`;
        swept fields; the measures `sparse_share`, `atoms_fraction` and `growth`; and the predictions
        `noise_margin` (boundary at 1) and `crossing_growth`, `available_growth` (boundary where they
        are equal).

    Returns
    -------
    matplotlib.figure.Figure
        Two maps over noise correlation and level; all runs against the predicted crossing; and what
        the mask, d1/d and the temperature do. The measured line is solid and the predicted ones are
        not, so that the gap between them is where the two disagree.
    """
    missing = set(PANELS) - set(table["panel"])
    if missing:
        raise InvalidInput("phase table", sorted(missing), "rows of every panel")
    part = {name: table[table["panel"] == name] for name in PANELS}
    figure, axes = new_figure(PAGE, 5.4, 2, 3)
    _map(axes[0, 0], part["noise"], "sparse_share")
    image = _map(axes[0, 1], part["noise"], "atoms_fraction")
    figure.colorbar(image, ax=axes[0, :2], aspect=25, pad=0.02)
    axes[0, 0].set_title("sparse share")
    axes[0, 1].set_title("atoms recovered")
    _collapse(axes[0, 2], part["noise"], part["large"])

    ratio = part["inputs"]["n_inputs"] / part["inputs"]["n_features"]
    scale = part["temperature"]["initial_norm"] / np.sqrt(part["temperature"]["temperature"])
    _line(axes[1, 0], part["keep"], part["keep"]["keep_probability"])
    _line(axes[1, 1], part["inputs"], ratio)
    _line(axes[1, 2], part["temperature"], scale)
    axes[1, 0].set(xlabel="mask's keep probability $k$", ylabel="fraction", title="RandomMask")
    axes[1, 1].set(xlabel="$d_1/d$", xscale="log", title="RandomMask, $k=1/2$")
    rho = part["temperature"]["noise_correlation"][0]
    axes[1, 2].set(
        xlabel=r"$\Vert w(0)\Vert/\sqrt{\tau}$",
        xscale="log",
        title=rf"correlated noise, $\rho={rho:g}$",
    )
    _ticks(axes[1, 1].xaxis, np.unique(ratio))
    _ticks(axes[1, 2].xaxis, _round_numbers(scale))
    _legends(axes)
    return figure


def _lead(table):
    """Growth available beyond the crossing, between -1 and 1; a crossing that never comes is -1."""
    lead = table["available_growth"] - table["crossing_growth"]
    return np.clip(np.nan_to_num(lead, nan=-1, neginf=-1, posinf=1), -1, 1)


def _map(ax, table, value):
    """A measure over noise correlation and level, its own ½, and both predicted boundaries."""
    xs, ys, means = grid_means(table, "noise_correlation", "noise_factor", value)
    ax.grid(False)
    image = ax.pcolormesh(
        cell_edges(xs), cell_edges(ys, True), means, vmin=0, vmax=1, rasterized=True
    )
    _, column = np.unique(table["noise_correlation"], return_inverse=True)
    _, row = np.unique(table["noise_factor"], return_inverse=True)
    lead, margin = np.full_like(means, np.nan), np.full_like(means, np.nan)
    lead[row, column] = _lead(table)
    margin[row, column] = np.log(table["noise_margin"])
    for field, style in ((margin, _MARGIN), (lead, _CROSSING), (means - 0.5, _MEASURED)):
        if np.nanmin(field) < 0 < np.nanmax(field):
            lines = ax.contour(
                xs,
                ys,
                field,
                [0],
                colors=[style["color"]],
                linestyles=[style.get("linestyle", "-")],
                linewidths=style["linewidth"],
            )
            if style is _MEASURED:
                lines.set_path_effects(_OUTLINE)
    ax.set(xlabel=r"noise correlation $\rho$", ylabel=r"noise level $C_\xi$", yscale="log")
    _ticks(ax.yaxis, _round_numbers(ys))
    return image


def _collapse(ax, grid, large):
    """Sparse share against the measured growth beyond the predicted crossing, at both sizes."""
    sizes = ((grid, "o", BLUE, 1.8, 0.5), (large, "D", PINK, 4, 1.0))
    for table, marker, color, size, alpha in sizes:
        # A crossing that never comes is drawn at the left edge.
        beyond = np.maximum(table["growth"] - table["crossing_growth"], -4)
        ax.plot(beyond, table["sparse_share"], marker, color=color, markersize=size, alpha=alpha)
    ax.axvline(0, **_CROSSING)
    ax.axhline(0.5, color=GREY, linewidth=0.8)
    ax.set(
        xlabel=r"measured $g$ − predicted $g^*$",
        ylabel="sparse share",
        ylim=(-0.03, 1.03),
        title="map and spot check",
    )
    left, right = ax.get_xlim()
    ticks = [tick for tick in (-4, -2, 0, 2, 4) if left <= tick <= right]
    ax.set_xticks(ticks, [r"$-\infty$" if tick == -4 else f"{tick:g}" for tick in ticks])


def _line(ax, table, x):
    """Both measures over one parameter, and the predicted boundaries between its values."""
    xs, index = np.unique(np.round(x, 12), return_inverse=True)

    def mean(values):
        return np.array([np.mean(values[index == i]) for i in range(len(xs))])

    for value, color, style in (("sparse_share", BLUE, "-o"), ("atoms_fraction", GREEN, ":s")):
        ax.plot(x, table[value], style[-1], color=color, markersize=2, alpha=0.5)
        ax.plot(xs, mean(table[value]), style[:-1], color=color)
    for field, style in ((np.log(table["noise_margin"]), _MARGIN), (_lead(table), _CROSSING)):
        at = mean(field)
        for i in np.flatnonzero(np.sign(at[:-1]) * np.sign(at[1:]) < 0):
            part = at[i] / (at[i] - at[i + 1])
            ax.axvline(xs[i] * (xs[i + 1] / xs[i]) ** part, **style)
    ax.set(ylim=(-0.03, 1.03))


def _round_numbers(values):
    """The numbers 1, 2 or 5 times a power of ten within the range of positive values."""
    steps = [n * 10.0**k for k in range(-4, 5) for n in (1, 2, 5)]
    return [step for step in steps if np.min(values) <= step <= np.max(values)]


def _ticks(axis, values):
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)


def _legends(axes):
    """Over each panel what it shows; the first of those alike speaks for them."""

    def point(color, marker, label, line):
        return Line2D([], [], color=color, marker=marker, linestyle=line, label=label)

    measured = Line2D([], [], **_MEASURED, label="measured ½")
    measured.set_path_effects(_OUTLINE)
    crossing = Line2D([], [], **_CROSSING, label="predicted $g=g^*$")
    margin = Line2D([], [], **_MARGIN, label="predicted noise margin 1")
    legend_over(axes[0, 0], [measured, crossing, margin])
    legend_over(axes[0, 1], [measured, crossing, margin])
    sizes = [
        point(BLUE, "o", "$d=16$, $d_1=256$", ""),
        point(PINK, "D", "$d=32$, $d_1=1024$", ""),
        Line2D([], [], **_CROSSING, label="predicted"),
    ]
    legend_over(axes[0, 2], sizes)
    for ax in axes[1]:
        legend_over(ax, [
            point(BLUE, "o", "sparse share, median neuron", "-"),
            point(GREEN, "s", "atoms with a cosine ≥ 0.9", ":"),
        ])  # fmt: skip
