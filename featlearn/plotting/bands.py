"""Runs of several seeds: the mean over the seeds and its 95 % confidence, as lines with bands."""

import math

import numpy as np

from ..alignment import best_cosine_of_neurons, cosines, sparse_share
from ..recording.seeds import SeedRuns, half_width
from ..summary import PURE
from .canvas import (
    BLUE,
    GREEN,
    ORANGE,
    PAGE,
    PINK,
    SKY,
    VERMILLION,
    band,
    legend_above,
    new_figure,
    styled,
    thinned,
)

STYLES = [
    (color, line) for line in ("-", "--", ":", "-.") for color in (BLUE, VERMILLION, GREEN, PINK,
                                                                   ORANGE, SKY)
]  # fmt: skip


@styled
def seed_bands(groups):
    """Loss, growth, sparse share, pure neurons and a user's own numbers, over the steps.

    Parameters
    ----------
    groups : dict of str to SeedRuns

    Returns
    -------
    matplotlib.figure.Figure
        A line a group, the mean over its seeds, in a band of its 95 % confidence interval.
    """
    panels = {
        "loss": lambda run, rows: run["loss"][rows],
        r"growth of $\|w\|$": _growth,
        "median sparse share": _share,
        f"neurons with a cosine ≥ {PURE}": _pure,
    }
    for name in own_numbers([run for group in groups.values() for run in group]):
        panels[name] = lambda run, rows, name=name: run[name][rows]
    n_rows = math.ceil(len(panels) / 2)
    figure, axes = new_figure(PAGE, 1.9 * n_rows + 0.3, n_rows, 2, sharex=True)
    lines = []
    for ax, (title, values) in zip(axes.flat, panels.items()):
        lines = [
            _draw(ax, group, values, *style)
            for group, style in zip(groups.values(), _styles(len(groups)))
        ]
        ax.set_title(title)
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_axis_off()
    # The lowest panel of each column, which one without steps may lie below.
    for ax in list(axes.flat)[: len(panels)][-2:]:
        ax.set_xlabel("step")
        ax.tick_params(labelbottom=True)
    names = [f"{label} ({len(group)} seeds)" for label, group in groups.items()]
    for line, label in zip(lines, names):
        line.set_label(label)
    legend_above(figure, [*lines, band("95 % confidence of the mean")])
    return figure


def own_numbers(runs):
    """Return the names of the numbers that all runs were asked to record at every recorded step."""
    common = [{q.name for q in run.asked if q.shape == () and q.every == 1} for run in runs]
    return [q.name for q in runs[0].asked if all(q.name in names for names in common)]


def _styles(n):
    return (STYLES * math.ceil(n / len(STYLES)))[:n]


def _draw(ax, group: SeedRuns, values, color, line):
    rows = thinned(len(group.steps), 200)
    each = np.array([values(run, rows) for run in group])
    mean, spread = each.mean(axis=0), half_width(each)
    (drawn,) = ax.plot(group.steps[rows], mean, color=color, linestyle=line, linewidth=1.2)
    if len(group) > 1:
        ax.fill_between(
            group.steps[rows], mean - spread, mean + spread, color=color, alpha=0.2, linewidth=0
        )
    return drawn


def _growth(run, rows):
    squares = np.square(run["weight_norm"][rows], dtype=np.float64).mean(axis=1)
    return np.sqrt(squares / squares[0])


def _share(run, rows):
    return np.array(
        [np.median(sparse_share(run["alignment"][k], run["weight_norm"][k])) for k in rows]
    )


def _pure(run, rows):
    best = [
        best_cosine_of_neurons(cosines(run["alignment"][k], run["weight_norm"][k])) for k in rows
    ]
    return np.mean(np.array(best) >= PURE, axis=1)
