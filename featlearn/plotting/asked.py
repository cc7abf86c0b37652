"""What a run was asked to record beside the quantities of every run."""

import math

import numpy as np
from matplotlib.lines import Line2D

from .canvas import (
    BLUE,
    PAGE,
    as_runs,
    band,
    legend_above,
    mark_stages,
    new_figure,
    styled,
    thinned,
)


@styled
def asked_quantities(runs):
    """Every quantity that was asked for, over the steps.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        Only those that recorded more than the built-in quantities are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each quantity of each run: a number as a line, an array by its median, with a
        band that holds 80 % of its entries.
    """
    panels = [(name, run, q) for name, run in as_runs(runs).items() for q in run.asked]
    n_rows = max(math.ceil(len(panels) / 2), 1)
    figure, axes = new_figure(PAGE, 1.9 * n_rows + 0.3, n_rows, 2)
    for ax, (name, run, quantity) in zip(axes.flat, panels):
        _draw(ax, run, quantity)
        title = quantity.name if len({p[0] for p in panels}) == 1 else f"{quantity.name}: {name}"
        ax.set_title(title, pad=11)
        ax.set_xlabel("step")
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_axis_off()
    if any(np.size(run[quantity.name][0]) > 1 for _, run, quantity in panels):
        median = Line2D([], [], color=BLUE, label="median of an array, or the number itself")
        legend_above(figure, [median, band("80 % of its entries")])
    return figure


def _draw(ax, run, quantity):
    steps = run.steps_of(quantity.name)
    rows = thinned(len(steps), 400)
    values = np.array([run[quantity.name][k].ravel().real for k in rows], np.float64)
    if values.shape[1] == 1:
        ax.plot(steps[rows], values[:, 0], color=BLUE)
    elif (found := ~np.isnan(values).all(axis=1)).any() and values.shape[1]:
        low, middle, high = np.nanpercentile(values[found], (10, 50, 90), axis=1)
        ax.fill_between(steps[rows][found], low, high, color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(steps[rows][found], middle, color=BLUE)
    mark_stages(ax, run.steps, run["stage"])
