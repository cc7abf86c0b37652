"""Picture of the forces: attraction, repulsion and decay along each neuron's winning feature."""

import numpy as np

from ..alignment import alignment
from ..compute.workspace import Workspace
from ..errors import InvalidInput
from ..rules import integer, require
from ..theory.predictions.balance import forces_of
from ..training import evaluate, init, step
from .canvas import (
    BLUE,
    COLUMN,
    GREY,
    VERMILLION,
    band,
    legend_above,
    mark_stages,
    new_figure,
    styled,
)


def record_forces(experiment, n_rows=120, batches=4):
    """Train an experiment once more and record what moves each α_ij.

    A run directory holds no weights of the past; the steps are those of the experiment's seed.

    Parameters
    ----------
    experiment : Experiment
    n_rows : int
        Number of rows, evenly spread over the steps.
    batches : int
        Consecutive steps averaged in each row.

    Returns
    -------
    dict
        "step" (T,), "stage" (T,), and for j the feature neuron i ends on, "attraction", "repulsion"
        and "decay" (T, m): the three parts of dα_ij/dt divided by α_ij, per unit of learning rate,
        so that their sum is the growth rate of |α_ij|.
    """
    n_rows, batches = require("n_rows", n_rows, integer(1)), require("batches", batches, integer(1))
    n = experiment.n_steps
    if n < batches:
        raise InvalidInput("n_steps", n, f"at least {batches}")
    starts = np.unique(np.linspace(0, n - batches, n_rows).astype(int))
    wanted = set((starts[:, None] + np.arange(batches)).ravel().tolist())
    state, work, rows = init(experiment), Workspace(), {}
    dictionary = state.model.dictionary
    while state.step < n:
        gradient = evaluate(state, work=work)
        if state.step in wanted:
            rows[state.step] = (
                state.stage,
                *forces_of(gradient, dictionary),
                alignment(state.weights, dictionary),
            )
        state = step(state, gradient, work)
    winner = np.abs(alignment(state.weights, dictionary)).argmax(axis=1)
    neurons = np.arange(len(winner))
    table = {"step": starts, "stage": np.array([rows[t][0] for t in starts])}
    for name, part in (("attraction", 1), ("repulsion", 2)):
        table[name] = np.stack([
            np.mean([rows[t + k][part][neurons, winner] for k in range(batches)], axis=0)
            / np.mean([rows[t + k][3][neurons, winner] for k in range(batches)], axis=0)
            for t in starts
        ])  # fmt: skip
    table["decay"] = np.full_like(table["attraction"], -experiment.weight_decay)
    return table


@styled
def forces(table):
    """Attraction against repulsion and decay along the winning feature over time.

    Parameters
    ----------
    table : dict
        As `record_forces` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        Medians over neurons of the parts of the growth rate of |α_ij|, bands hold half of the
        neurons; repulsion and decay are drawn with their sign changed. Where the curves meet,
        |α_ij| no longer grows.
    """
    figure, axes = new_figure(COLUMN, 2.5)
    ax = axes[0, 0]
    against = -(table["repulsion"] + table["decay"])
    parts = (
        ("attraction", table["attraction"], BLUE, "-"),
        ("repulsion and decay", against, VERMILLION, "-."),
        ("decay alone", -table["decay"], GREY, ":"),
    )
    handles = []
    for name, values, color, linestyle in parts:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
        ax.fill_between(table["step"], low, high, color=color, alpha=0.2, linewidth=0)
        handles += ax.plot(table["step"], middle, color=color, linestyle=linestyle, label=name)
    mark_stages(ax, table["step"], table["stage"])
    ax.set(xlabel="step", ylabel=r"rate  $|\dot\alpha_{ij}|\,/\,|\alpha_{ij}|$")
    ax.margins(x=0)
    ax.set_ylim(bottom=0)
    legend_above(figure, [*handles, band("half of the neurons")], columns=2)
    return figure
