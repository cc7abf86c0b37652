"""Picture of stage II: the features of one neuron compete, with the mean field beside them."""

import numpy as np
from matplotlib.lines import Line2D

from ..rules import integer, require
from ..theory.predictions.mean_field import predict
from .atoms import final_cosines
from .canvas import (
    BLUE,
    COLUMN,
    GREY,
    ORANGE,
    PAGE,
    as_runs,
    legend_above,
    new_figure,
    styled,
    thinned,
)


@styled
def competition(runs, neuron=None):
    """Alignments of one neuron with all features from the end of stage I on.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        One panel each.
    neuron : int, optional
        By default the purest one at the end of each run.

    Returns
    -------
    matplotlib.figure.Figure
        |α_ij| over the steps, for the feature the neuron ends on, the strongest other one at the
        start, and the rest; dashed, the mean field (derived in featlearn/theory/derivation.md,
        "Stage II mean field") from the first row of stage II to where similarities reach τ/10. A run
        that never leaves stage I is drawn from its start, without a prediction.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(max(COLUMN, PAGE * len(runs) / 2), 2.7, 1, len(runs))
    for ax, (name, run) in zip(axes[0], runs.items()):
        chosen = final_cosines(run).max(axis=1).argmax() if neuron is None else neuron
        require("neuron", chosen, integer(0, run.experiment.n_neurons - 1))
        _draw(ax, run, int(chosen))
        ax.set_title(f"{name}, neuron {chosen}")
    axes[0, 0].set_ylabel(r"$|\alpha_{ij}|$")
    handles = [
        Line2D([], [], color=BLUE, label="feature it ends on"),
        Line2D([], [], color=ORANGE, label="strongest other at the start"),
        Line2D([], [], color=GREY, label="the rest"),
        Line2D([], [], color="black", linestyle="--", label="mean field"),
    ]
    legend_above(figure, handles, columns=4 if len(runs) > 1 else 2)
    return figure


def _draw(ax, run, neuron):
    second = np.flatnonzero(np.asarray(run["stage"]) >= 2)
    first = int(second[0]) if len(second) else 0
    rows = first + thinned(len(run) - first)
    measured = np.abs([run["alignment"][row][neuron] for row in rows])
    winner = int(measured[-1].argmax())
    rival = int(np.where(np.arange(measured.shape[1]) == winner, -1, measured[0]).argmax())
    # A single feature has no rival.
    colors = {rival: ORANGE, winner: BLUE}
    ordered = sorted(range(measured.shape[1]), key=lambda j: j in colors)
    for j in ordered:
        width = 2.2 if j in colors else 0.6
        ax.plot(
            run.steps[rows], measured[:, j], color=colors.get(j, GREY), linewidth=width, alpha=0.55
        )
    # Losers fall through 0, which a logarithmic scale cannot show.
    top = max(float(measured.max()), 1e-12)
    ax.set(xlabel="step", yscale="log", ylim=(1e-3 * top, 1.5 * top))
    if not len(second) or not run.experiment.stop_gradient:
        return
    _, prediction = predict(run, first, include=neuron)
    valid, place = prediction.valid, np.searchsorted(prediction.neurons, neuron)
    for j in ordered:
        style = dict(
            color=colors.get(j, GREY), linewidth=1.0 if j in colors else 0.5, linestyle="--"
        )
        ax.plot(prediction.steps[valid], np.abs(prediction.alignment[valid, place, j]), **style)
