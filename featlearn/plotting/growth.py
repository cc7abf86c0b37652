"""Picture of stage I: the sparse and the dense part of the neurons beside their recursion."""

import numpy as np
from matplotlib.lines import Line2D

from ..theory.predictions.stage_one import predict_stage_one
from .canvas import (
    COLUMN,
    GREEN,
    PAGE,
    VERMILLION,
    as_runs,
    legend_above,
    new_figure,
    styled,
    thinned,
)


@styled
def stage_one_growth(runs):
    """Growth of the sparse and the dense part in stage I, with the predicted curves.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        One panel each, over the steps of its stage I.

    Returns
    -------
    matplotlib.figure.Figure
        Σ_i ‖α_i‖² and Σ_i ‖β_i‖²; dashed, the recursion of stage I from the same start (derived in
        featlearn/theory/derivation.md, "Stage I: growth with sampling noise").
    """
    runs = as_runs(runs)
    figure, axes = new_figure(max(COLUMN, PAGE * len(runs) / 2), 2.6, 1, len(runs))
    for ax, (name, run) in zip(axes[0], runs.items()):
        _draw(ax, run)
        ax.set_title(name)
    axes[0, 0].set_ylabel("squared norm, all neurons")
    handles = [
        Line2D([], [], color=GREEN, label=r"sparse $\sum_i\|\alpha_i\|^2$"),
        Line2D([], [], color=VERMILLION, label=r"dense $\sum_i\|\beta_i\|^2$"),
        Line2D([], [], color="black", linestyle="--", label="stage I recursion"),
    ]
    legend_above(figure, handles, columns=3 if len(runs) > 1 else 2)
    return figure


def _draw(ax, run):
    in_stage_one = np.flatnonzero(np.asarray(run["stage"]) == 1)
    rows = in_stage_one[thinned(len(in_stage_one))]
    steps = np.asarray(run.steps[rows])
    dense = np.sum(np.square(run["dense_norm"][rows], dtype=np.float64), axis=1)
    sparse = np.array([np.sum(np.square(a, dtype=np.float64)) for a in run["alignment"][rows]])
    predicted = predict_stage_one(run.experiment, sparse[0], dense[0], int(steps[-1]))
    for measured, curve, color in (
        (sparse, predicted.sparse, GREEN),
        (dense, predicted.dense, VERMILLION),
    ):
        ax.plot(steps, measured, color=color, linewidth=2.2, alpha=0.55)
        ax.plot(predicted.steps, curve, color=color, linestyle="--", linewidth=1.0)
    # In a run that never leaves stage I the recursion outgrows what it describes.
    everything = np.concatenate([sparse, dense])
    positive = everything[everything > 0]
    ax.set(
        yscale="log", ylim=(positive.min() / 1.5, positive.max() * 2), xlabel="step",
        xlim=(steps[0], max(steps[-1], 1)),
    )  # fmt: skip
