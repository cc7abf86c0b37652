"""Picture of the lottery: where a neuron's final feature stood among all at the start."""

import math

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..alignment import lottery_sets
from .atoms import final_cosines
from .canvas import BLUE, GREY, ORANGE, PAGE, as_runs, legend_above, new_figure, styled, thinned


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
def lottery(run, threshold=0.9):
    """Initial rank against final winner.

    Parameters
    ----------
    run : Run
    threshold : float
        Final cosine from which a neuron counts as pure.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the fraction of pure neurons whose final feature had each rank among the d of the
        neuron, at initialisation and at the end of stage I; dashed, what blind chance gives. Right,
        every pair (i, j): its share q_ij of the sparse part at initialisation against its final
        cosine; dashed, the bound 1.5 log d/d of the lottery sets, beyond which a pair is a potential
        winner.
    """
    [(name, run)] = as_runs(run).items()
    cosine = final_cosines(run)
    winners, pure = cosine.argmax(axis=1), cosine.max(axis=1) >= threshold
    # Before any neuron is pure, the picture shows all of them.
    counted = pure if pure.any() else np.ones_like(pure)
    end = np.flatnonzero(np.asarray(run["stage"]) == 1)[-1]
    m, d = cosine.shape
    figure, axes = new_figure(PAGE, 2.6, 1, 2)
    left, right = axes[0]
    for row, color, shift in ((0, GREY, -0.2), (end, BLUE, 0.2)):
        ranks = initial_ranks(np.asarray(run["alignment"][row]), winners)[counted]
        share = np.bincount(ranks, minlength=d + 1)[1:] / counted.sum()
        left.bar(np.arange(1, d + 1) + shift, share, 0.4, color=color)
    left.axhline(1 / d, color="black", linestyle="--", linewidth=0.8)
    shown = min(d, 12)
    left.set(
        xlabel="rank of the final feature", ylabel="fraction of neurons", xlim=(0.4, shown + 0.6)
    )
    left.set_xticks(range(1, shown + 1, 1 if shown <= 8 else 2))
    which = f"final cosine ≥ {threshold}" if pure.any() else "no pure one yet"
    left.set_title(f"{counted.sum()} of {m} neurons, {which}")

    start = np.asarray(run["alignment"][0], np.float64)
    q = start**2 / np.maximum(np.sum(start**2, axis=1, keepdims=True), 1e-300)
    _, sure = lottery_sets(start)
    others = ~sure
    rows = thinned(others.sum(), 6000)
    style = dict(linestyle="", markeredgewidth=0, rasterized=True)
    right.plot(q[others][rows], cosine[others][rows], ".", color=GREY, alpha=0.4, markersize=3, **style)
    right.plot(q[sure], cosine[sure], "o", color=ORANGE, markersize=3.5, **style)
    right.axvline(1.5 * math.log(d) / d, color="black", linestyle="--", linewidth=0.8)
    right.set(xlabel=r"initial $q_{ij}$", ylabel="final cosine", ylim=(0, 1), xlim=(0, None))
    right.set_title(f"{np.mean(cosine[sure] >= threshold):.0%} of {sure.sum()} sure pairs win")
    handles = [
        Patch(color=GREY, label="rank at initialisation"),
        Patch(color=BLUE, label="rank at the end of stage I"),
        Line2D([], [], color="black", linestyle="--", linewidth=0.8,
               label=r"chance $1/d$;  bound $1.5\,\log d/d$"),
        Line2D([], [], color=ORANGE, marker="o", linestyle="", label=r"sure pair"),
    ]  # fmt: skip
    legend_above(figure, handles)
    return figure
