"""Picture of the downstream tasks: errors of linear heads beside chance and what can be reached."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..errors import InvalidInput
from ..probing import ProbeResult
from .atoms import HATCHES
from .canvas import PAGE, legend_above, new_figure, styled

_ON = {
    "features": "features $f(x)$",
    "inputs": "input $x$",
    "best_on_inputs": "input $x$,\nbest head",
    # Known as the oracle to tables and files.
    "oracle": "thresholded\nmatched filter",
}


def _look(k):
    hatch = HATCHES[k % len(HATCHES)]
    return dict(facecolor=f"C{k}", alpha=0.75, hatch=hatch, edgecolor="white", linewidth=0)


@styled
def probe_errors(results, floors=()):
    """Errors of linear heads on the features, on the raw inputs, and on thresholded ⟨M_j, x⟩.

    Parameters
    ----------
    results : ProbeResult, or dict of str to ProbeResult
        One for each run.
    floors : pair of float, optional
        The regression errors that no linear head on x and no estimator at all gets below, with as
        many labels as one likes: `linear_floor` and `bayes_floor` of the data.

    Returns
    -------
    matplotlib.figure.Figure
        Bars are means over the draws of w*, dots single draws; dashed what a constant or a coin
        achieves.
    """
    if isinstance(results, ProbeResult):
        results = {"run": results}
    if not isinstance(results, dict) or not results:
        raise InvalidInput("results", type(results).__name__, "a dictionary of ProbeResults")
    figure, axes = new_figure(PAGE, 2.5, 1, 2)
    panels = {
        "regression": (r"squared error / variance of $\langle w^*, z\rangle$", 1.0),
        "classification": (r"error rate of sign $\langle w^*, z\rangle$", 0.5),
    }
    width = 0.8 / len(results)
    shown = {
        on: name for on, name in _ON.items() if any(on in r.regression for r in results.values())
    }
    for ax, (task, (name, chance)) in zip(axes[0], panels.items()):
        for k, result in enumerate(results.values()):
            errors = getattr(result, task)
            for place, on in enumerate(shown):
                if on not in errors:
                    continue
                x = place + (k - (len(results) - 1) / 2) * width
                ax.bar(x, np.mean(errors[on]), 0.9 * width, **_look(k))
                ax.plot(np.full(len(errors[on]), x), errors[on], ".", color="black", markersize=2.5)
        ax.axhline(chance, color="black", linestyle="--", linewidth=0.8)
        for floor, linestyle in zip(floors if task == "regression" else (), ("-.", ":")):
            ax.axhline(floor, color="black", linestyle=linestyle, linewidth=0.8)
        ax.set_xticks(range(len(shown)), shown.values())
        ax.set(ylabel=name, title=task)
        ax.grid(False, axis="x")
    handles = [Patch(**_look(k), label=name) for k, name in enumerate(results)]
    draw = dict(color="black", marker=".", linestyle="")
    handles.append(Line2D([], [], **draw, label="one draw of $w^*$"))
    handles.append(Line2D([], [], color="black", linestyle="--", linewidth=0.8, label="chance"))
    for name, linestyle in list(zip(("linear floor", "Bayes floor"), ("-.", ":")))[: len(floors)]:
        handles.append(
            Line2D([], [], color="black", linestyle=linestyle, linewidth=0.8, label=name)
        )
    legend_above(figure, handles)
    return figure
