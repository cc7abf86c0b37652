"""Pictures of scripts/twins.py: the dial, what breaks the theorem, and recovery beside sparse coding."""

import numpy as np
from matplotlib.lines import Line2D

from ..errors import InvalidInput
from ..presets import PRESETS
from ..theory.predictions.fixed_data import fixed_data, labelled_data
from ..yardstick import RECOVERY, THRESHOLDS
from .canvas import BLUE, GREEN, GREY, ORANGE, PAGE, VERMILLION, legend_above, new_figure, styled
from .dial import dial

_VIEWS = {"random_mask": (BLUE, "o", "RandomMask"), "none": (VERMILLION, "s", "no augmentation")}
_TOLD = {"objective": "supervised", "augmentation": "none"}


def dial_of(rows):
    """Draw the dial from the rows of its section."""
    parts = {"infonce": [], "supervised": []}
    for row in _section(rows, "dial"):
        found = {"noise_correlation": row["noise_correlation"], "sparse_share": row["share"]}
        found["atoms_fraction"] = row["atoms"] / row["n_features"]
        parts[row["objective"]].append(found)
    return dial(parts["infonce"], parts["supervised"])


@styled
def breaks(rows):
    """What breaks the theorem: other data, another augmentation later, and data sets of N samples.

    Parameters
    ----------
    rows : list of dict
        As `featlearn.reports.measured.read_rows` returns them, with the sections "other data", "warm
        start" and "finite data".

    Returns
    -------
    matplotlib.figure.Figure
        Above, sparse share and learned atoms for other laws of data; below, the same share along chains
        of views, and over the number of samples with what is predicted of the first pull.
    """
    figure, axes = new_figure(PAGE, 5.2, 2, 2)
    _other_data(axes[0], _section(rows, "other data"))
    _warm_start(axes[1, 0], _section(rows, "warm start"))
    _finite_data(axes[1, 1], _section(rows, "finite data"))
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", label=label)
        for color, marker, label in _VIEWS.values()
    ]
    legend_above(figure, handles)
    return figure


def _other_data(axes, rows):
    names = list(dict.fromkeys(row["run"].rpartition(", ")[0] for row in rows))
    for row in rows:
        color, marker, _ = _VIEWS[row["augmentation"]]
        y = names.index(row["run"].rpartition(", ")[0])
        for ax, x in zip(axes, (row["share"], row["atoms"] / row["n_features"])):
            ax.plot(x, y, marker, color=color, markersize=4)
    for ax, label in zip(axes, ("sparse share, median", "fraction of atoms learned")):
        ax.set(xlim=(-0.03, 1.03), xlabel=label, ylim=(len(names) - 0.5, -0.5))
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
        ax.grid(axis="y", linewidth=0.4)


def _warm_start(ax, rows):
    names = list(dict.fromkeys(row["run"] for row in rows))
    for row in rows:
        color, marker, _ = _VIEWS[row["augmentation"]]
        ax.plot(row["share"], names.index(row["run"]), marker, color=color, markersize=4)
    short = [name.replace("random_mask", "mask") for name in names]
    ax.set_yticks(range(len(names)), short)
    ax.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5))
    ax.set(xlabel="sparse share after the last views of a chain")
    ax.grid(axis="y", linewidth=0.4)


def _finite_data(ax, rows):
    kinds = {
        "infonce": (BLUE, "o", "contrastive, RandomMask"),
        "supervised": (GREEN, "^", "labels"),
    }
    handles = []
    for objective, (color, marker, label) in kinds.items():
        points = {}
        for row in rows:
            if row["objective"] == objective:
                points.setdefault(row["n_samples"], []).append(row["share"])
        counts = sorted(points)
        for n in counts:
            ax.plot([n] * len(points[n]), points[n], marker, color=color, markersize=4)
        handles += ax.plot(
            counts, [np.mean(points[n]) for n in counts], color=color, marker=marker,
            markersize=4, label=label,
        )  # fmt: skip
        grid = np.geomspace(min(counts) / 4, 2 * max(counts), 60)
        base = PRESETS["tiny"] if objective == "infonce" else PRESETS["tiny"].replace(**_TOLD)
        predict = fixed_data if objective == "infonce" else labelled_data
        share = [predict(base.replace(n_samples=int(n))).sparse_share for n in grid]
        ax.plot(grid, share, "--", color=color, linewidth=1)
    handles.append(Line2D([], [], color=GREY, linestyle="--", label="predicted of the first pull"))
    ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="samples N, used again and again",
           ylabel="sparse share, median")  # fmt: skip
    ax.set_xticks(counts, [f"{n:.0f}" for n in counts])
    ax.set_xticks([], minor=True)
    ax.legend(handles=handles, loc="lower right", fontsize=6)


@styled
def recovery(rows):
    """Atoms matched one to one over the cosine asked for, beside plain sparse coding on the same samples.

    Parameters
    ----------
    rows : list of dict
        With the sections "finite data" and "yardstick".

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each number of samples; lines are means over seeds.
    """
    learners = {
        "contrastive": (BLUE, "-"), "supervised": (GREEN, "-"),
        "dictionary learner": (ORANGE, "--"), "ICA": (VERMILLION, ":"),
    }  # fmt: skip
    rows = [*_section(rows, "finite data"), *_section(rows, "yardstick")]
    counts = sorted({row["n_samples"] for row in rows})
    figure, axes = new_figure(PAGE, 2.5, 1, len(counts), sharey=True)
    handles = {}
    for ax, n in zip(axes[0], counts):
        for name, (color, style) in learners.items():
            found = [
                [row[column] for column in RECOVERY]
                for row in rows
                if row["n_samples"] == n and row["run"].split(",")[0] == name
            ]
            if found:
                (handles[name],) = ax.plot(
                    THRESHOLDS, np.mean(found, axis=0), style, color=color, label=name
                )
        ax.set(xlabel="cosine asked for", ylim=(-0.03, 1.03), title=f"{n:.0f} samples")
    axes[0, 0].set(ylabel="fraction of atoms matched")
    legend_above(figure, list(handles.values()), columns=len(handles))
    return figure


def _section(rows, name):
    found = [row for row in rows if row["section"] == name]
    if not found:
        raise InvalidInput("rows", "none", f"the section {name!r} of scripts/twins.py")
    return found


# name -> (sections of the table it is drawn from, function of the rows that returns a Figure)
FIGURES = {
    "dial": ({"dial"}, dial_of),
    "breaks": ({"other data", "warm start", "finite data"}, breaks),
    "recovery": ({"finite data", "yardstick"}, recovery),
}
