"""The large-batch limit: how off-support alignments of all sizes collapse, and what d changes."""

import numpy as np

from .canvas import BLUE, GREEN, ORANGE, PAGE, VERMILLION, legend_above, new_figure, styled

_SHOWN = {
    "same_latents_active": ("same z", BLUE, "v"),
    "same_noise_active": (r"same $\xi$", ORANGE, "P"),
    "regression": ("regression error", GREEN, "X"),
}


@styled
def limit_collapse(table, fit):
    """Off-support alignments over √(η s d/B), and what f is a function of over d.

    Parameters
    ----------
    table : structured ndarray
        A row a run, as scripts/scaling.py writes it.
    fit : tuple of float
        a, c and the error of c, of off-support² d = a + c η s d/B.

    Returns
    -------
    matplotlib.figure.Figure
        Left, runs with RandomMask, a colour a size, beside the fitted curve; dotted, what the balance
        of stage III says of each size. Right, means over seeds at
        the largest power of d1; full lines with RandomMask, dashed without, dotted as predicted.
    """
    figure, axes = new_figure(PAGE, 2.8, 1, 2)
    left, right = axes[0]
    masked = table[table["augmentation"] == "random_mask"]
    for k, d in enumerate(np.unique(masked["n_features"])):
        some = np.sort(masked[masked["n_features"] == d], order="walk")
        walk, color = np.sqrt(some["walk"]), f"C{k}"
        left.plot(walk, some["off_support"], "os^Dv"[k % 5], color=color, label=f"$d={d}$")
        predicted = np.append(0, some["off_support_predicted"])
        left.plot(np.append(0, walk), predicted, ":", color=color, linewidth=1)
    a, c, error = fit
    x = np.linspace(0, 1.1 * np.sqrt(masked["walk"].max()), 100)
    left.plot(x, np.sqrt(np.maximum(a + c * x**2, 0)), color="black", linewidth=1)
    left.set(xlabel=r"$\sqrt{\eta s d/B}$", ylabel=r"off-support cosine $\cdot\,\sqrt{d}$")
    left.set_title(rf"$c = {c:.2g} \pm {error:.2g}$, dotted: balance")
    for kind, style in (("random_mask", "-"), ("none", "--")):
        of_kind = table[(table["augmentation"] == kind) & (table["power"] == table["power"].max())]
        sizes = np.unique(of_kind["n_features"])
        for name, (label, color, marker) in _SHOWN.items():
            means, predicted = (
                [np.mean(of_kind[column][of_kind["n_features"] == d]) for d in sizes]
                for column in (name, f"{name}_predicted")
            )
            label = label if kind == "random_mask" else None
            right.plot(sizes, means, style, marker=marker, color=color, label=label)
            right.plot(sizes, predicted, ":", marker=".", color=color, linewidth=1)
    right.axhline(1, color=VERMILLION, linewidth=0.6)
    right.set(
        xscale="log",
        xlabel="number of features $d$",
        title="full: RandomMask, dashed: none, dotted: predicted",
    )
    right.set_xticks(sizes, [str(d) for d in sizes])
    right.minorticks_off()
    handles = left.get_legend_handles_labels()[0] + right.get_legend_handles_labels()[0]
    legend_above(figure, handles)
    return figure
