"""Pictures of what was learned: cosines of neurons with atoms, and neurons per atom."""

import numpy as np
from matplotlib.patches import Patch

from ..alignment import best_cosine_of_atoms, cosines
from ..alignment import neurons_per_atom as count_neurons
from .canvas import COLUMN, PAGE, as_runs, legend_above, new_figure, styled

HATCHES = ("", "////", "....", "xxxx")
# The numbers of so many atoms fit below the bars.
MOST_NUMBERED = 40


def final_cosines(run):
    """Return |α_ij|/‖w_i‖ at the last recorded step, ndarray of shape (m, d)."""
    return cosines(np.asarray(run["alignment"][-1]), np.asarray(run["weight_norm"][-1]))


@styled
def cosine_heatmaps(runs):
    """Final cosines of all neurons with all atoms, neurons sorted by the atom they are closest to.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        One panel each.

    Returns
    -------
    matplotlib.figure.Figure
    """
    runs = as_runs(runs)
    width = max(COLUMN, PAGE * len(runs) / 2)
    figure, axes = new_figure(width, 3.0, 1, len(runs), sharey=False)
    for ax, (name, run) in zip(axes[0], runs.items()):
        image = draw_cosines(ax, run)
        ax.set_title(name)
    figure.colorbar(image, ax=axes[0].tolist(), label=cosine_label(), pad=0.02, aspect=30)
    return figure


def draw_cosines(ax, run):
    """Draw one run's final cosines on one Axes; return the image, for a colour bar."""
    cosine = final_cosines(run)
    winner, best = cosine.argmax(axis=1), cosine.max(axis=1)
    order = np.lexsort((-best, winner))
    image = ax.imshow(cosine[order], vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(xlabel="atom $j$", ylabel="neuron $i$, sorted by its atom")
    ax.locator_params(integer=True, min_n_ticks=1)
    ax.grid(False)
    return image


def cosine_label():
    """Return the label of a colour bar of cosines."""
    return r"$|\alpha_{ij}|\,/\,\|w_i\|$"


@styled
def neurons_per_atom(runs, threshold=0.9):
    """How well the best neuron of each atom fits it, and how many neurons each atom took.

    Parameters
    ----------
    runs : Run, or dict of str to Run
    threshold : float
        A neuron belongs to the atom of its best cosine where that is at least this.

    Returns
    -------
    matplotlib.figure.Figure
        Atoms are sorted by the first run's counts, in both panels.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(COLUMN, 3.4, 2, 1, sharex=True)
    top, bottom = axes[:, 0]
    # Atoms are compared within one data model only; other runs' atoms keep their own order.
    first = final_cosines(next(iter(runs.values())))
    order = np.lexsort((-best_cosine_of_atoms(first), -count_neurons(first, threshold)))
    width, handles = 0.8 / len(runs), []
    for k, (name, run) in enumerate(runs.items()):
        cosine = final_cosines(run)
        if cosine.shape[1] == len(order):
            cosine = cosine[:, order]
        counts, best = count_neurons(cosine, threshold), best_cosine_of_atoms(cosine)
        place = np.arange(len(counts)) + (k - (len(runs) - 1) / 2) * width
        top.plot(np.arange(len(best)), best, "os^Dv"[k % 5], color=f"C{k}")
        # Hatched, as the colours alone look the same in print without colours.
        look = dict(facecolor=f"C{k}", edgecolor="white", linewidth=0, hatch=HATCHES[k % 4])
        bottom.bar(place, counts, width, **look)
        total = int(counts.sum())
        handles.append(
            Patch(**look, label=f"{name}: {total} of {len(cosine)} neurons ≥ {threshold}")
        )
    top.axhline(threshold, color="black", linestyle="--", linewidth=0.8)
    top.set(ylim=(0, 1.03), ylabel="best cosine")
    bottom.set(
        xlabel="atom $j$, by number of neurons",
        ylabel="neurons",
        xlim=(-0.7, cosine.shape[1] - 0.3),
    )
    if len(order) <= MOST_NUMBERED:
        bottom.set_xticks(range(len(order)), order, fontsize=5, rotation=90)
    else:
        bottom.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    bottom.set_ylim(0, max(1, bottom.get_ylim()[1]))
    bottom.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    legend_above(figure, handles, columns=1)
    return figure
