"""Picture of stage I: the sparse and the dense part of the neurons beside their recursion."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..theory.claims.observed import Observed
from ..theory.claims.stage_one import linear_rows
from ..theory.predictions.linear_phase import linear_phase, measured_weights
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
        Σ_i ‖α_i‖² and Σ_i ‖β_i‖²; dashed, predicted from the same start with the softmax's
        back-reaction (derived in featlearn/theory/derivation.md, "Stage boundaries"); dotted, the
        recursion without it ("Stage I: growth with sampling noise"). Shaded, where similarities have
        halved the growth, beyond which the prediction is not checked.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(max(COLUMN, PAGE * len(runs) / 2), 2.6, 1, len(runs))
    for ax, (name, run) in zip(axes[0], runs.items()):
        _draw(ax, run)
        ax.set_title(name)
    axes[0, 0].set_ylabel("squared norm, all neurons")
    handles = [
        Line2D([], [], color=GREEN, label=r"sparse $\sum_i\|\alpha_i\|^2$"),
        Line2D([], [], color=VERMILLION, linestyle="-.", label=r"dense $\sum_i\|\beta_i\|^2$"),
        Line2D([], [], color="black", linestyle="--", label="predicted"),
        Line2D([], [], color="black", linestyle=":", label="without similarities"),
    ]
    if any(ax.patches for ax in axes[0]):
        handles.append(Patch(color="0.88", label="growth halved: not checked"))
    legend_above(figure, handles, columns=5 if len(runs) > 1 else 2)
    return figure


def _draw(ax, run):
    in_stage_one = np.flatnonzero(np.asarray(run["stage"]) == 1)
    rows = in_stage_one[thinned(len(in_stage_one))]
    steps = np.asarray(run.steps[rows])
    dense = np.sum(np.square(run["dense_norm"][rows], dtype=np.float64), axis=1)
    sparse = np.array([np.sum(np.square(a, dtype=np.float64)) for a in run["alignment"][rows]])
    start = measured_weights(run["alignment"][rows[0]], run["dense_norm"][rows[0]])
    last = int(steps[-1] - steps[0])
    path = [start, *(w for w, _ in zip(linear_phase(run.experiment, start), range(last)))]
    free = predict_stage_one(run.experiment, start.sparse, start.dense, last)
    for part, measured, color in (("sparse", sparse, GREEN), ("dense", dense, VERMILLION)):
        line = "-" if part == "sparse" else "-."
        ax.plot(steps, measured, line, color=color, linewidth=2.2, alpha=0.55)
        curve = [getattr(weights, part) for weights in path]
        ax.plot(steps[0] + free.steps, curve, color=color, linestyle="--", linewidth=1.0)
        ax.plot(
            steps[0] + free.steps, getattr(free, part), color=color, linestyle=":", linewidth=1.0
        )
    checked = linear_rows(Observed(run)).steps[-1]
    if checked < steps[-1]:
        ax.axvspan(checked, steps[-1], color="0.92", zorder=0)
    # In a run that never leaves stage I the recursion outgrows what it describes.
    everything = np.concatenate([sparse, dense])
    positive = everything[everything > 0]
    ax.set(
        yscale="log", ylim=(positive.min() / 1.5, positive.max() * 2), xlabel="step",
        xlim=(steps[0], max(steps[-1], 1)),
    )  # fmt: skip
