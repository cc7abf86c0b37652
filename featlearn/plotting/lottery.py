"""Picture of the lottery: where a neuron's final feature stood among all at the start."""

import math

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..alignment import lottery_sets
from .atoms import final_cosines
from .canvas import BLUE, GREY, ORANGE, PAGE, as_runs, legend_over, new_figure, styled, thinned

# As many bars can be read.
MOST_RANKS = 12


def initial_ranks(alignments, winners):
    """Return the rank, 1 for the largest |α_ij|, of each neuron's winner among its features.

    Parameters
    ----------
    alignments : ndarray of shape (m, d)
    winners : ndarray of int, shape (m,)

    Returns
    -------
    ndarray of int, shape (m,)
    """
    size = np.abs(alignments)
    own = np.take_along_axis(size, winners[:, None], axis=1)
    return 1 + np.sum(size > own, axis=1)


@styled
def lottery(runs, threshold=0.9):
    """Initial rank against final winner.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        A row each.
    threshold : float
        Final cosine from which a neuron counts as pure.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the fraction of pure neurons whose final feature had each rank among the d of the
        neuron, at initialisation and at the end of stage I; dashed, what blind chance gives. With
        more than 12 features the last bar holds all the ranks that are left. Right,
        every pair (i, j): its share q_ij of the sparse part at initialisation against its final
        cosine; dashed, the bound 1.5 log d/d of the lottery sets, beyond which a pair is a
        potential winner.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(PAGE, 0.5 + 2.1 * len(runs), len(runs), 2)
    for (left, right), (name, run) in zip(axes, runs.items()):
        cosine = final_cosines(run)
        _draw_ranks(left, run, cosine, threshold)
        _draw_pairs(right, run, cosine, threshold)
        if len(runs) > 1:
            left.set_ylabel(f"{name}\n{left.get_ylabel()}")
        if left is not axes[-1, 0]:
            left.set_xlabel("")
            right.set_xlabel("")
    chance, bound = (
        Line2D([], [], color="black", linestyle="--", linewidth=0.8, label=label)
        for label in (r"chance, $1/d$", r"bound, $1.5\,\log d/d$")
    )
    ranks = [Patch(color=GREY, label="rank at initialisation"),
             Patch(color=BLUE, label="at the end of stage I"), chance]  # fmt: skip
    pairs = [Line2D([], [], color=ORANGE, marker="o", linestyle="", label="sure pair"),
             Line2D([], [], color=GREY, marker=".", linestyle="", label="other pair"),
             bound]  # fmt: skip
    for ax, handles in zip(axes[0], (ranks, pairs)):
        legend_over(ax, handles, columns=2)
    return figure


def _draw_ranks(ax, run, cosine, threshold):
    winners, pure = cosine.argmax(axis=1), cosine.max(axis=1) >= threshold
    # Before any neuron is pure, the picture shows all of them.
    counted = pure if pure.any() else np.ones_like(pure)
    end = np.flatnonzero(np.asarray(run["stage"]) == 1)[-1]
    m, d = cosine.shape
    shown = min(d, MOST_RANKS)
    for row, color, shift in ((0, GREY, -0.2), (end, BLUE, 0.2)):
        ranks = initial_ranks(np.asarray(run["alignment"][row]), winners)[counted]
        share = np.bincount(np.minimum(ranks, shown), minlength=shown + 1)[1:] / counted.sum()
        ax.bar(np.arange(1, shown + 1) + shift, share, 0.4, color=color)
    # Of one rank: not where the last bar holds several.
    edge = shown + (0.6 if d == shown else -0.5)
    ax.plot([0.4, edge], [1 / d, 1 / d], color="black", linestyle="--", linewidth=0.8)
    ax.set(xlabel="rank of the final feature", ylabel="fraction of neurons")
    ax.set_xlim(0.4, shown + 0.6)
    ticks = range(1, shown + 1, 1 if shown <= 8 else 2)
    if d > shown:
        ax.set_xticks([*ticks[:-1], shown], [*map(str, ticks[:-1]), f"≥ {shown}"])
    else:
        ax.set_xticks(ticks)
    some = f"{counted.sum()} of {m} neurons, cosine ≥ {threshold}"
    ax.set_title(some if pure.any() else f"all {m} neurons, none ≥ {threshold}")


def _draw_pairs(ax, run, cosine, threshold):
    start = np.asarray(run["alignment"][0], np.float64)
    q = start**2 / np.maximum(np.sum(start**2, axis=1, keepdims=True), 1e-300)
    sure = lottery_sets(start).sure
    d = cosine.shape[1]
    rows = thinned((~sure).sum(), 6000)
    style = dict(linestyle="", markeredgewidth=0, rasterized=True)
    ax.plot(q[~sure][rows], cosine[~sure][rows], ".", color=GREY, alpha=0.4, markersize=3, **style)
    ax.plot(q[sure], cosine[sure], "o", color=ORANGE, markersize=3.5, **style)
    ax.axvline(1.5 * math.log(d) / d, color="black", linestyle="--", linewidth=0.8)
    ax.set(xlabel=r"initial $q_{ij}$", ylabel="final cosine", ylim=(0, 1), xlim=(0, None))
    won = int(np.sum(cosine[sure] >= threshold))
    ax.set_title(f"{won} of {sure.sum()} sure pairs win")
