"""The one picture that tells the paper's story: trajectories, norms and final cosines of twins."""

import textwrap

from .atoms import cosine_label, draw_cosines
from .canvas import PAGE, as_runs, legend_above, legend_over, new_figure, styled
from .trajectories import alignment_handles, draw_alignments, draw_norms, norm_handles


@styled
def headline(runs):
    """Alignments, sparse and dense norms, and final cosines; a row for each run.

    Parameters
    ----------
    runs : Run, or dict of str to Run

    Returns
    -------
    matplotlib.figure.Figure
    """
    runs = as_runs(runs)
    figure, axes = new_figure(PAGE, 0.8 + 1.9 * len(runs), len(runs), 3)
    for (left, middle, right), (name, run) in zip(axes, runs.items()):
        draw_alignments(left, run)
        if middle is not axes[0, 1]:
            middle.sharey(axes[0, 1])
        draw_norms(middle, run)
        image = draw_cosines(right, run)
        left.set_ylabel(f"{name}\n" + r"cosine  $|\alpha_{ij}|\,/\,\|w_i\|$")
        middle.set_ylabel("norm")
        figure.colorbar(image, ax=right, label=cosine_label(), pad=0.02, aspect=25)
        right.set_ylabel("neuron $i$, by its atom")
        if left is not axes[-1, 0]:
            for ax in (left, middle, right):
                ax.set_xlabel("")
    legend_over(axes[0, 0], alignment_handles(), points=13)
    legend_over(axes[0, 1], norm_handles(), points=13)
    return figure


@styled
def regimes(runs):
    """Alignments, sparse and dense norms, and final cosines; a column for each run.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        Such as the finite twins and those of the limit: the scale of the norms is a run's own.

    Returns
    -------
    matplotlib.figure.Figure
    """
    runs = as_runs(runs)
    figure, axes = new_figure(PAGE, 6.0, 3, len(runs))
    for (above, middle, below), (name, run) in zip(axes.T, runs.items()):
        title = "\n".join(textwrap.fill(part, 24) for part in name.split(": "))
        above.set_title(title, pad=12, fontsize=8)
        draw_alignments(above, run)
        draw_norms(middle, run)
        image = draw_cosines(below, run)
        above.set_xlabel("")
        below.set_ylabel("")
    for ax, label in zip(axes[:, 0], (cosine_label(), "norm", "neuron $i$, by its atom")):
        ax.set_ylabel(label)
    for ax in axes[0, 1:]:
        ax.tick_params(labelleft=False)
    figure.colorbar(image, ax=axes[2].tolist(), label=cosine_label(), pad=0.02, aspect=20)
    thin = alignment_handles()
    for handle in thin[:2]:
        handle.set_linewidth(0.8)
    legend_above(figure, thin + norm_handles(), columns=3)
    return figure
