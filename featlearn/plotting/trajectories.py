"""Pictures over training steps: alignments, sparse and dense norms, loss."""

import math

import numpy as np
from matplotlib.lines import Line2D

from ..alignment import cosines, sparse_share
from ..objectives import OBJECTIVES
from .canvas import (
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PINK,
    SKY,
    VERMILLION,
    as_runs,
    band,
    legend_above,
    legend_over,
    mark_stages,
    new_figure,
    stage_starts,
    styled,
    thinned,
)

# Not the colours of the sparse and the dense part, which stand in the same figure.
_SHARE_STYLES = ((BLUE, "-"), (PINK, "-."), ("black", ":"), (SKY, "-"))


@styled
def alignment_trajectories(runs):
    """Every neuron's alignment with its final winning feature, and with its strongest other one.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        One panel each.

    Returns
    -------
    matplotlib.figure.Figure
        |α_ij|/‖w_i‖ over steps for j the feature that neuron i ends on, and the largest of the
        others; dashed the value 1/√d1 of a random direction.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(max(COLUMN, PAGE * len(runs) / 2), 2.6, 1, len(runs), sharey=True)
    for ax, (name, run) in zip(axes[0], runs.items()):
        draw_alignments(ax, run)
        ax.set_title(name, pad=11)
    axes[0, 0].set_ylabel(r"cosine  $|\alpha_{ij}|\,/\,\|w_i\|$")
    legend_above(figure, alignment_handles(), columns=2 if len(runs) == 1 else 3)
    return figure


def draw_alignments(ax, run):
    """Draw one run's alignment trajectories on one Axes."""
    rows = thinned(len(run))
    steps = run.steps[rows]
    winner = np.abs(run["alignment"][-1]).argmax(axis=1)[:, None]
    won, best_other = [], []
    for alignment, norms in zip(run["alignment"][rows], run["weight_norm"][rows]):
        cosine = cosines(alignment, norms)
        won.append(np.take_along_axis(cosine, winner, axis=1)[:, 0])
        np.put_along_axis(cosine, winner, 0, axis=1)
        best_other.append(cosine.max(axis=1))
    opacity = min(0.6, 40 / len(winner))
    style = dict(linewidth=0.6, alpha=opacity, rasterized=True)
    if cosine.shape[1] > 1:
        ax.plot(steps, best_other, color=ORANGE, **style)
    ax.plot(steps, won, color=BLUE, **style)
    ax.axhline(1 / math.sqrt(run.experiment.n_inputs), color="black", linestyle="--", linewidth=0.8)
    mark_stages(ax, run.steps, run["stage"])
    ax.set(ylim=(0, 1), xlim=(steps[0], steps[-1]), xlabel="step")


def alignment_handles():
    """Return the legend entries of `draw_alignments`."""
    return [
        Line2D([], [], color=BLUE, label="the feature a neuron ends on"),
        Line2D([], [], color=ORANGE, label="its strongest other feature"),
        Line2D([], [], color="black", linestyle="--", linewidth=0.8,
               label=r"random direction, $1/\sqrt{d_1}$"),
    ]  # fmt: skip


@styled
def sparse_and_dense(runs):
    """Norms of the sparse and the dense part of the neurons, and the sparse share.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        A panel of norms each, and one with the share of all.

    Returns
    -------
    matplotlib.figure.Figure
        Median over neurons of ‖α_i‖ and ‖β_i‖, and of ‖α_i‖²/‖w_i‖², with bands that hold 80 %.
    """
    runs = as_runs(runs)
    n = len(runs) + 1
    figure, axes = new_figure(PAGE, 2.9, 1, n)
    for ax, (name, run) in zip(axes[0], runs.items()):
        if ax is not axes[0, 0]:
            ax.sharey(axes[0, 0])
        draw_norms(ax, run)
        ax.set_title(name, pad=11)
    axes[0, 0].set_ylabel("norm")
    for k, (name, run) in enumerate(runs.items()):
        rows = thinned(len(run))
        share = np.stack([
            sparse_share(a, w) for a, w in zip(run["alignment"][rows], run["weight_norm"][rows])
        ])  # fmt: skip
        color, linestyle = _SHARE_STYLES[k % len(_SHARE_STYLES)]
        _band(axes[0, -1], run.steps[rows], share, color, linestyle, name)
    share_axes = axes[0, -1]
    share_axes.set(ylim=(0, 1), xlabel="step", ylabel=r"sparse share  $\|\alpha_i\|^2/\|w_i\|^2$")
    share_axes.margins(x=0)
    share_axes.set_title("sparse share", pad=11)
    for ax in axes[0]:
        # As many ticks at any width, so that the layout knows the last one's label.
        ax.locator_params(axis="x", nbins=5)
    for ax in axes[0, :-1]:
        legend_over(ax, norm_handles(), points=22)
    named = share_axes.lines if len(runs) > 1 else []
    legend_over(share_axes, [*named, band("80 % of the neurons")], points=22)
    return figure


def draw_norms(ax, run):
    """Draw ‖α_i‖ and ‖β_i‖ of one run on one Axes with a logarithmic scale."""
    rows = thinned(len(run))
    steps, dense = run.steps[rows], run["dense_norm"][rows]
    sparse = np.stack([np.linalg.norm(a, axis=1) for a in run["alignment"][rows]])
    _band(ax, steps, sparse, GREEN, "-")
    if run.experiment.n_inputs > run.experiment.n_features:
        _band(ax, steps, dense, VERMILLION, "-.")
    mark_stages(ax, run.steps, run["stage"])
    ax.set(yscale="log", xlabel="step", xlim=(steps[0], steps[-1]))


def norm_handles():
    """Return the legend entries of `draw_norms`."""
    return [
        Line2D([], [], color=GREEN, label=r"sparse part $\|\alpha_i\|$"),
        Line2D([], [], color=VERMILLION, linestyle="-.", label=r"dense part $\|\beta_i\|$"),
        band("80 % of the neurons"),
    ]


def _band(ax, steps, values, color, linestyle, name=None):
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=1)
    ax.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(steps, middle, color=color, linestyle=linestyle, label=name)


@styled
def losses(runs):
    """The contrastive loss over steps.

    Parameters
    ----------
    runs : Run, or dict of str to Run

    Returns
    -------
    matplotlib.figure.Figure
        Light, the loss on each step's batch; strong, its running mean; dots where stages begin;
        dashed, where the objective has one, the loss of a constant representation.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(COLUMN, 2.4)
    ax = axes[0, 0]
    handles = []
    for k, (name, run) in enumerate(runs.items()):
        loss, steps = np.asarray(run["loss"]), np.asarray(run.steps)
        rows = thinned(len(run), 1000)
        window = max(1, len(run) // 100)
        # A mean over the window's recorded part only, so that the ends are not pulled down.
        count = np.convolve(np.ones(len(loss)), np.ones(window), "same")
        mean = np.convolve(loss, np.ones(window), "same") / count
        ax.plot(steps[rows], loss[rows], color=f"C{k}", alpha=0.25, linewidth=0.5)
        linestyle = "-" if k % 2 == 0 else "-."
        handles += ax.plot(steps[rows], mean[rows], color=f"C{k}", linestyle=linestyle, label=name)
        for start in list(stage_starts(steps, run["stage"]).values())[1:]:
            row = np.searchsorted(steps, start)
            ax.plot(start, mean[row], "o", color=f"C{k}", markeredgecolor="white", zorder=3)
    constant = {_constant_loss(run) for run in runs.values()} - {None}
    for value in constant:
        line = ax.axhline(value, color="black", linestyle="--", linewidth=0.8)
    if constant:
        line.set_label("constant representation")
        handles.append(line)
    if any(run["stage"][-1] > run["stage"][0] for run in runs.values()):
        handles.append(Line2D([], [], color=GREY, marker="o", linestyle="", label="a stage begins"))
    ax.set(xlabel="step", ylabel="loss $L$")
    ax.margins(x=0)
    legend_above(figure, handles, columns=2 if len(runs) < 3 else None)
    return figure


def _constant_loss(run):
    """The loss of a constant representation, rounded so that equal ones are one line; or None."""
    if "objective" in run.own:
        return None
    loss = OBJECTIVES[run.experiment.objective].constant_loss(run.experiment)
    return None if loss is None else round(loss, 9)
