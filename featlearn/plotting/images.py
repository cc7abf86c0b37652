"""Real images: learned filters, the dial, what views share before training, and what labels say."""

import math

import numpy as np

from ..errors import InvalidInput
from .canvas import (
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    SKY,
    VERMILLION,
    legend_above,
    legend_over,
    new_figure,
    styled,
)

# Filters shown of each network, in so many columns.
SHOWN, COLUMNS = 48, 8


def mosaic(filters, columns=COLUMNS):
    """Lay filters out side by side, each scaled to its largest entry.

    Parameters
    ----------
    filters : ndarray of shape (m, d1), d1 a square number
    columns : int

    Returns
    -------
    ndarray of shape (H, W)
        Entries in [-1, 1], nan between filters.
    """
    side = math.isqrt(filters.shape[1])
    if side * side != filters.shape[1]:
        raise InvalidInput("filters", f"{filters.shape[1]} numbers each", "those of square patches")
    rows = -(-len(filters) // columns)
    canvas = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
    for k, filter in enumerate(filters):
        top, left = (side + 1) * (k // columns), (side + 1) * (k % columns)
        largest = np.abs(filter).max() or 1.0
        canvas[top : top + side, left : left + side] = filter.reshape(side, side) / largest
    return canvas


@styled
def filters(weights, dictionary):
    """Draw what neurons of several networks look at, beside the ICA atoms of the same patches.

    Parameters
    ----------
    weights : dict of str to ndarray of shape (m, d1)
        By label.
    dictionary : ndarray of shape (d1, d)

    Returns
    -------
    matplotlib.figure.Figure
        Edges where the augmentation decouples the low frequencies, as ICA finds them, and blobs
        where it does not.
    """
    panels = {**weights, "ICA, no network": dictionary.T}
    figure, axes = new_figure(PAGE, 1.75, columns=len(panels))
    _draw_filters(axes[0], panels)
    return figure


def _draw_filters(axes, panels):
    for ax, (label, rows) in zip(axes, panels.items()):
        ax.imshow(mosaic(rows[:SHOWN]), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(label, fontsize=8)


def _dial(learned):
    """The runs along the dial, by correlation; without augmentation it is 1."""
    points = [(float(name.partition("-")[2]), run) for name, run in learned.items()
              if name.startswith("hybrid-")]  # fmt: skip
    return sorted([*points, (1.0, learned["none"])], key=lambda point: point[0])


def _draw_dial(ax, learned):
    rho, runs = zip(*_dial(learned))
    for values, color, style, label in (
        ([r.dense_share for r in runs], VERMILLION, "-o", "dense share of filters"),
        ([r.match for r in runs], GREEN, "-s", "match with ICA"),
        ([r.same_light for r in runs], ORANGE, "-.^", "cosine of f, same low frequencies"),
        ([r.same_edges for r in runs], BLUE, ":D", "cosine of f, same edges"),
    ):
        ax.plot(rho, values, style, color=color, markersize=3, label=label)
    ax.set(xlabel="correlation ρ of the views' low frequencies", ylim=(-0.03, 1.03))


@styled
def dial(learned):
    """Draw what is learned as the views share more and more of their low frequencies.

    Parameters
    ----------
    learned : dict of str to Learned
        By name of the run: those named ``hybrid-…``, and ``none``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = new_figure(COLUMN, 2.9)
    _draw_dial(axes[0, 0], learned)
    legend_above(figure, axes[0, 0].lines, columns=1)
    return figure


def _draw_plane(ax, learned):
    """A point a run: what the views share before training, coloured by what is learned."""
    runs = [run for name, run in learned.items() if name != "linear"]
    x, y = ([run.coupling[k] for run in runs] for k in range(2))
    drawn = ax.scatter(x, y, c=[run.dense_share for run in runs], cmap="RdYlBu_r", vmin=0, vmax=1,
                       s=26, edgecolors="black", linewidths=0.5, zorder=3)  # fmt: skip
    # Points have numbers, several at one place together; the key stands where no run comes to lie:
    # views that share neither part teach nothing.
    places = {}
    for number, (a, b) in enumerate(zip(x, y), 1):
        near = next((p for p in places if max(abs(p[0] - a), abs(p[1] - b)) < 0.04), (a, b))
        places.setdefault(near, []).append(str(number))
    for place, numbers in places.items():
        ax.annotate(", ".join(numbers), place, (0, 5), textcoords="offset points", fontsize=6,
                    ha="center", va="bottom")  # fmt: skip
    key = "\n".join(f"{number:2d}  {run.label}" for number, run in enumerate(runs, 1))
    ax.axhline(0, color=GREY, linewidth=0.6)
    # Over the line, which would strike an entry through.
    ax.text(0.03, 0.03, key, transform=ax.transAxes, fontsize=6, va="bottom", color="0.25",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    ax.set(xlabel="correlation of the views: low frequencies", ylabel="edges",
           xlim=(-0.12, 1.12), ylim=(-0.45, 1.25))  # fmt: skip
    return drawn


@styled
def plane(learned):
    """Draw every run where the decoupling measured before training puts it.

    Parameters
    ----------
    learned : dict of str to Learned
        By name of the run.

    Returns
    -------
    matplotlib.figure.Figure
        Networks learn edges at the upper left only, where views share edges and nothing else.
    """
    figure, axes = new_figure(0.7 * PAGE, 3.2)
    drawn = _draw_plane(axes[0, 0], learned)
    figure.colorbar(drawn, ax=axes[0, 0], label="dense share of the filters learned")
    return figure


@styled
def label_curves(curves):
    """Draw the accuracy of linear heads on digits by the number of labels.

    Parameters
    ----------
    curves : dict of str to dict of int to float
        As `featlearn.theory.claims.images.digit_verdicts` takes them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = new_figure(COLUMN, 2.8)
    ax = axes[0, 0]
    looks = {
        "hybrid": ("f, ρ = 0", BLUE, "-o"),
        "hybrid-0.5": ("f, ρ = 0.5", SKY, "-s"),
        "none": ("f, no augmentation", VERMILLION, "-.^"),
        "none, trained on": ("the same, three times as long", ORANGE, ":v"),
        "raw": ("raw input", GREY, "--D"),
    }
    for name, curve in curves.items():
        label, color, style = looks[name]
        ax.plot(list(curve), list(curve.values()), style, color=color, markersize=3, label=label)
    ax.axhline(0.1, color="black", linewidth=0.6, label="chance")
    ticks = list(next(iter(curves.values())))
    ax.set(xscale="log", xlabel="labels", ylabel="test accuracy", ylim=(0, 1))
    ax.set_xticks(ticks, map(str, ticks))
    ax.set_xticks([], minor=True)
    legend_above(figure, ax.lines, columns=2)
    return figure


@styled
def decoupled_images(weights, dictionary, learned):
    """Draw filters with and without, ICA's, the dial and the plane in one picture.

    Parameters
    ----------
    weights, dictionary
        As for `filters`.
    learned : dict of str to Learned
        By name of the run.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = {**weights, "ICA, no network": dictionary.T}
    figure, axes = new_figure(PAGE, 4.9, rows=2, columns=len(panels),
                              gridspec_kw={"height_ratios": (1, 1.7)})  # fmt: skip
    _draw_filters(axes[0], panels)
    grid = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    below = grid[1, :].subgridspec(1, 2, width_ratios=(1, 1.5))
    first, second = (figure.add_subplot(below[0, k]) for k in range(2))
    _draw_dial(first, learned)
    legend_over(first, first.lines, points=6)
    drawn = _draw_plane(second, learned)
    figure.colorbar(drawn, ax=second, label="dense share of filters")
    return figure
