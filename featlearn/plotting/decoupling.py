"""The decoupling picture: what each augmentation leaves in common between the two views."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..batches import draw_batch
from ..compute.streams import generator
from ..errors import InvalidInput
from ..theory.predictions.moments import view_moments
from ..training import init
from ..views import AUGMENTATIONS
from .canvas import COLUMN, GREEN, VERMILLION, legend_above, new_figure, styled

N_DIRECTIONS = 64
# Hatched, as the colours alone look the same in print without colours.
_LOOKS = {
    "sparse": dict(facecolor=GREEN, alpha=0.75),
    "dense": dict(facecolor=VERMILLION, alpha=0.75, hatch="////", edgecolor="white", linewidth=0),
}


def cross_view_correlations(experiment, n_samples=4096, augmentations=tuple(AUGMENTATIONS)):
    """Measure the correlation of the two views along sparse and along dense directions.

    Parameters
    ----------
    experiment : Experiment
        Its data model is used, with every augmentation in turn; needs d1 > d.
    n_samples : int
    augmentations : sequence of str

    Returns
    -------
    dict of str to dict
        By augmentation: "sparse" and "dense", the correlations pooled over the M_j, and over random
        unit directions orthogonal to them; "sparse_predicted" and "dense_predicted", the closed
        forms (derived in featlearn/theory/derivation.md, "Second moments of views").
    """
    d, d1 = experiment.n_features, experiment.n_inputs
    if d1 == d:
        raise InvalidInput("n_inputs", d1, f"more than n_features = {d}: dense directions")
    table = {}
    for name in augmentations:
        chosen = experiment.replace(
            augmentation=name, batch_size=n_samples, n_neurons=1, negatives="in_batch"
        )
        state = init(chosen)
        views, dictionary = draw_batch(state).views, state.model.dictionary
        dense = generator(experiment.seed, "probe", 2).standard_normal((d1, N_DIRECTIONS))
        dense -= dictionary @ (dictionary.T @ dense)
        predicted = view_moments(chosen)
        table[name] = {
            "sparse": _correlation(views, dictionary),
            "dense": _correlation(views, dense),
            "sparse_predicted": predicted.sparse_correlation,
            "dense_predicted": predicted.dense_correlation,
        }
    return table


def _correlation(views, directions):
    """Correlation of ⟨v, x⁺⟩ with ⟨v, x⁺⁺⟩, pooled over the columns v of `directions`."""
    directions = directions / np.linalg.norm(directions, axis=0)
    anchor, key = (np.asarray(view @ directions, np.float64) for view in views[:2])
    return float(np.sum(anchor * key) / np.sqrt(np.sum(anchor**2) * np.sum(key**2)))


@styled
def decoupling(table):
    """Correlation across the views of sparse and dense features under each augmentation.

    Parameters
    ----------
    table : dict
        As `cross_view_correlations` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        Bars measured, dashes predicted. RandomMask alone of the masks has no dense bar.
    """
    figure, axes = new_figure(COLUMN, 2.6)
    ax = axes[0, 0]
    for k, part in enumerate(_LOOKS):
        for place, row in enumerate(table.values()):
            x = place + 0.4 * k - 0.2
            ax.bar(x, row[part], 0.36, **_LOOKS[part])
            closed_form = [row[part + "_predicted"]] * 2
            ax.plot([x - 0.19, x + 0.19], closed_form, color="black", linestyle=(0, (2, 1)))
    ax.axhline(0, color="black", linewidth=0.6)
    names = [AUGMENTATIONS[name].label.replace(" ", "\n") for name in table]
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="correlation of the two views", ylim=(min(0, ax.get_ylim()[0]), 1.05))
    ax.grid(False, axis="x")
    handles = [
        Patch(**_LOOKS["sparse"], label="along the atoms $M_j$"),
        Patch(**_LOOKS["dense"], label="orthogonal to them"),
        Line2D([], [], color="black", linestyle="--", label="closed form"),
    ]
    legend_above(figure, handles, columns=2)
    return figure
