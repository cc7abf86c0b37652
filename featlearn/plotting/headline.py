"""The one picture that tells the paper's story: trajectories, norms and final cosines of twins."""

from .atoms import cosine_label, draw_cosines
from .canvas import PAGE, as_runs, legend_over, new_figure, styled
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
