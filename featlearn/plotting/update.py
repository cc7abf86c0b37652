"""One update on one page: views, active sets, similarities, softmax, and what moves a neuron."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..errors import InvalidInput
from .canvas import BLUE, FORMATS, GREEN, GREY, PAGE, VERMILLION, save_as, styled

ROWS_SHOWN, COLUMNS_SHOWN, ATOMS_SHOWN = 8, 64, 6
_LABELLED = 24


@styled
def update(explained):
    """Draw an `ExplainedStep`.

    Top: the latents and the two views. Middle: the features with the active sets, the similarities
    S and the softmax P. Bottom: the positive term, the negative term and the decay of the followed
    neuron, and their sum, projected on the atoms, next to the norms of their dense parts.

    Parameters
    ----------
    explained : ExplainedStep

    Returns
    -------
    matplotlib.figure.Figure
    """
    e = explained
    figure = Figure(figsize=(PAGE, 8.6))
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1.0, 1.25, 1.0])
    exp, state = e.before.experiment, e.before
    figure.suptitle(
        f"Update {state.step} → {state.step + 1}, stage {'I' * state.stage};"
        f" followed: neuron w{e.neuron}, anchor p{e.anchor}\n"
        f"d = {exp.n_features}, d1 = {exp.n_inputs}, m = {exp.n_neurons}, B = {exp.batch_size},"
        f" views: {state.views}"
    )
    _views(top, e)
    _softmax(middle, e)
    _terms(bottom, e)
    return figure


def save_update(explained, path):
    """Draw an `ExplainedStep` into one .png or .pdf file and return its path.

    Raises
    ------
    InvalidInput
        If the name ends in neither.
    RunDirectoryError
        If the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in FORMATS:
        raise InvalidInput("path", str(path), "a name ending in .png or .pdf")
    save_as(update(explained), path, kind)
    return path


def _views(figure, e):
    axes = figure.subplots(1, 3, width_ratios=[min(max(e.latents.shape[1] / 12, 0.35), 1), 1, 1])
    largest = max(np.abs(e.anchors[:ROWS_SHOWN]).max(), np.abs(e.keys[:ROWS_SHOWN]).max())
    _heat(axes[0], "z: which atoms", e.latents, 1.0, "M", e.anchor)
    for ax, name, view in ((axes[1], "x⁺: anchors", e.anchors), (axes[2], "x⁺⁺: keys", e.keys)):
        image = _heat(ax, name, _hidden(view), largest, "", e.anchor)
        ax.set_xlabel("input coordinate" + (" (white: masked)" if e.masks else ""))
    figure.colorbar(image, ax=axes[2], shrink=0.8, label="value")
    axes[0].set_ylabel("sample")


def _hidden(view):
    """Masked coordinates are exact zeros; they are drawn white."""
    return np.where(view == 0, np.nan, view)


def _softmax(figure, e):
    axes = figure.subplots(2, 2)
    for ax, name, values, active in (
        (axes[0, 0], "h⁺", e.anchor_features, e.anchor_active),
        (axes[1, 0], "h⁺⁺", e.key_features, e.key_active),
    ):
        largest = max(np.abs(e.anchor_features).max(), np.abs(e.key_features).max()) or 1.0
        shown = np.where(active, values, np.nan)
        title = f"{name}: features (hatched: not active, |u| < b)"
        _heat(ax, title, shown, largest, "w", e.anchor, mark_column=e.neuron)
        ax.patch.set(hatch="////", edgecolor="0.75")
    if e.similarity is None:
        _objective(axes[:, 1], e)
        return
    largest = np.abs(e.similarity[:ROWS_SHOWN, :COLUMNS_SHOWN]).max() or 1.0
    _heat(axes[0, 1], "S = ⟨h⁺, h⟩/τ (framed: the own key)", e.similarity, largest, "q", e.anchor)
    P, chance = e.probability, 1 / len(e.contrasted_with(0))
    largest = np.abs(P[:ROWS_SHOWN, :COLUMNS_SHOWN] - chance).max() or 1.0
    title = "P = softmax of each row of S (white: chance)"
    if e.before.experiment.objective != "infonce":
        title, chance = "R: how strongly each negative repels", 0.0
        largest = np.abs(P[:ROWS_SHOWN, :COLUMNS_SHOWN]).max() or 1.0
    _heat(axes[1, 1], title, P, largest, "q", e.anchor, centre=chance)
    if e.negatives is not None:
        axes[1, 1].set_xlabel("q0: the own key; the others: the negatives")
    for p, q in enumerate(e.positive_column[:ROWS_SHOWN]):
        if q < COLUMNS_SHOWN:
            for ax in axes[:, 1]:
                ax.add_patch(_frame(q, p))


def _objective(axes, e):
    """In the place of similarities: the labels, where there are any, and A."""
    shown = [] if e.labels is None else [("Y: labels", e.labels, "y")]
    shown.append(("A = active · (−B ∂L/∂h)", e.coefficients[0], "w"))
    for ax, (title, values, letter) in zip(axes, shown):
        largest = np.abs(values[:ROWS_SHOWN, :COLUMNS_SHOWN]).max() or 1.0
        _heat(ax, title, values, largest, letter, e.anchor)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()


def _frame(column, row):
    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=1.0, clip_on=False)


def _heat(ax, title, values, largest, letter, anchor, mark_column=None, centre=0.0):
    """A heat map with the numbers in it where they fit, and the followed row marked."""
    values = values[:ROWS_SHOWN, :COLUMNS_SHOWN]
    limits = {"vmin": centre - largest, "vmax": centre + largest}
    image = ax.imshow(values, cmap="RdBu_r", aspect="auto", **limits)
    ax.set_title(title)
    ax.grid(False)
    n, k = values.shape
    marked = {"color": VERMILLION, "fontweight": "bold"}
    step = 1 if k <= 12 else -(-k // 6)
    ax.set_xticks(range(0, k, step), [f"{letter}{c}" for c in range(0, k, step)])
    ax.set_yticks(range(n), [f"p{p}" for p in range(n)])
    if anchor < n:
        ax.get_yticklabels()[anchor].set(**marked)
    if mark_column is not None and mark_column < k and mark_column % step == 0:
        ax.get_xticklabels()[mark_column // step].set(**marked)
    if n * k <= _LABELLED:
        whole = np.all(values == np.round(values))
        for (p, c), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = abs(value - centre) > 0.6 * largest
                text = f"{value + 0.0:.0f}" if whole else f"{round(value, 2) + 0.0:.2f}"
                ax.text(c, p, text, ha="center", va="center", size=6.5, color="w" if dark else "k")
    return image


def _terms(figure, e):
    left, right = figure.subplots(1, 2, width_ratios=[4, 1])
    i = e.neuron
    order = np.sort(np.argsort(-e.cosines[i], kind="stable")[:ATOMS_SHOWN])
    rate = e.before.experiment.learning_rate
    total = [e.update.on_atoms[i] / rate, np.linalg.norm(e.update.dense[i]) / rate]
    forces = [("decay −λw", GREEN, e.decay)]
    if e.attraction is None:
        forces.insert(0, ("−∂L/∂w", BLUE, e.descent))
    else:
        terms = ("positive term", BLUE, e.attraction), ("negative term", VERMILLION, e.repulsion)
        forces[:0] = terms
    parts = [(name, c, f.on_atoms[i], np.linalg.norm(f.dense[i])) for name, c, f in forces]
    parts.append(("their sum, Δw/η", GREY, *total))
    at = np.arange(len(order))
    for k, (name, color, on_atoms, dense) in enumerate(parts):
        left.bar(at + (k - 1.5) * 0.2, on_atoms[order], 0.2, color=color, label=name)
        right.bar((k - 1.5) * 0.2, dense, 0.2, color=color)
    cosine = e.cosines[i]
    alpha = e.before.weights[i] @ e.dictionary
    names = [f"M{j}\nα = {alpha[j]:+.2f}\ncos {cosine[j]:.2f}" for j in order]
    left.set_xticks(at, names)
    left.axhline(0, color="k", linewidth=0.6)
    title = f"what moves w{i} along each atom"
    if len(order) < len(cosine):
        title += f" (the {len(order)} it is closest to)"
    left.set_title(title)
    left.set_ylabel("⟨term, $M_j$⟩")
    left.legend(loc="best", ncols=2)
    right.set_xticks([])
    right.set_title("off the atoms")
    right.set_ylabel("‖dense part of the term‖")
