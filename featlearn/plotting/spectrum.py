"""Picture of the linear phase: it equalises the spectrum of WM and singles out no atom."""

import numpy as np
from matplotlib.lines import Line2D

from ..theory.predictions.softmax_plateau import softmax_plateau
from .canvas import GREEN, PAGE, VERMILLION, as_runs, legend_above, new_figure, styled, thinned


@styled
def spectrum_and_plateau(run):
    """Singular values of WM and the dense norm on their way to the plateau, with the prediction.

    Parameters
    ----------
    run : Run
        Drawn as far as b = 0, that is in stage I; one with stage_one_growth None stays there. Its
        views must share the sparse features only.

    Returns
    -------
    matplotlib.figure.Figure
        Left, every squared singular value of WM, their mean, and ‖β‖² of a left singular direction,
        over steps; right, the distribution of the squared singular values around their mean in the
        last quarter; dashed, plateau and semicircle law (derived in featlearn/theory/derivation.md,
        "Plateau of the linear phase").
    """
    [(name, run)] = as_runs(run).items()
    expected = softmax_plateau(run.experiment)
    in_stage_one = np.flatnonzero(np.asarray(run["stage"]) == 1)
    rows = in_stage_one[thinned(len(in_stage_one))]
    steps = np.asarray(run.steps[rows])
    squares = np.stack([
        np.linalg.svd(a.astype(np.float64), compute_uv=False) ** 2 for a in run["alignment"][rows]
    ])  # fmt: skip
    d = run.experiment.n_features
    dense = np.sum(np.square(run["dense_norm"][rows], dtype=np.float64), axis=1) / d

    figure, axes = new_figure(PAGE, 2.6, 1, 2)
    left, right = axes[0]
    left.plot(steps, squares, color=GREEN, linewidth=0.4, alpha=0.4, rasterized=True)
    left.plot(steps, squares.mean(axis=1), color=GREEN, linewidth=1.6)
    left.plot(steps, dense, color=VERMILLION, linewidth=1.6, linestyle="-.")
    left.axhline(expected.singular_value_squared, color=GREEN, linestyle="--", linewidth=1)
    left.axhline(expected.dense_squared, color=VERMILLION, linestyle="--", linewidth=1)
    left.set(xlabel="step", ylabel="squared norm", xlim=(steps[0], max(steps[-1], 1)))
    left.set_ylim(bottom=0)
    left.set_title(name)

    late = squares[steps >= 0.75 * steps[-1]]
    # A network that decayed away has no spread.
    late = late[late.any(axis=1)]
    relative = (late / late.mean(axis=1, keepdims=True)).ravel()
    if relative.size:
        right.hist(relative, bins=30, density=True, color=GREEN, alpha=0.5)
    x, density = semicircle(expected.half_width)
    right.plot(x, density, color="black", linestyle="--", linewidth=1)
    right.set(xlabel="squared singular value / mean", ylabel="density")
    right.set_title("spread at the end")
    handles = [
        Line2D([], [], color=GREEN, label=r"squared singular values of $WM$, and their mean"),
        Line2D([], [], color=VERMILLION, linestyle="-.",
               label=r"dense part $\|\beta\|^2$ per direction"),
        Line2D([], [], color="black", linestyle="--", label="predicted plateau and semicircle law"),
    ]  # fmt: skip
    legend_above(figure, handles, columns=2)
    return figure


def semicircle(half_width, n=200):
    """Return points of the semicircle density of mean 1, 2√(h² - (x-1)²)/(π h²)."""
    x = np.linspace(1 - half_width, 1 + half_width, n)
    below_edge = np.maximum(half_width**2 - (x - 1) ** 2, 0)
    return x, 2 * np.sqrt(below_edge) / (np.pi * max(half_width, 1e-12) ** 2)
