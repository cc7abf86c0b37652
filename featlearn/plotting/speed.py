"""Picture of the benchmark: time of a step by subject, by part, and as the sizes grow."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from ..errors import InvalidInput
from .canvas import BLUE, GREEN, PAGE, SKY, VERMILLION, legend_over, new_figure, styled

# Name in the table: colour, and hatching for print without colours.
_LOOKS = {
    "reference": ("0.45", ""),
    "featlearn": (BLUE, ""),
    "featlearn, not recording": (SKY, "////"),
    "torch": (VERMILLION, "...."),
    "jax": (GREEN, "xxxx"),
}


def _look(name):
    color, hatch = _LOOKS[name]
    return dict(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0)


@styled
def speed(rows):
    """Time of a training step beside its reference and other frameworks, by part, and by size.

    Parameters
    ----------
    rows : sequence of featlearn.speed.table.Row
        Of a benchmark; sections "time", "part" and "growth" are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Left: time a step of every subject relative to the reference, a group for each size and
        number of threads; bars are medians, lines span the quartiles. Middle: parts of a step at
        the first size. Right: time against each size, relative to the time at the middle of its
        range; left out where it was not measured.
    """
    rows = list(rows)
    times = [row for row in rows if row.section == "time"]
    if not times:
        raise InvalidInput("rows", f"{len(rows)} rows", "at least one of the section time")
    growth = [row for row in rows if row.section == "growth"]
    groups = {(row.size, row.threads) for row in times}
    height = 1.1 + 0.5 * max(len(groups), 4)
    figure, axes = new_figure(PAGE, height, 1, 3 if growth else 2)
    legend_over(axes[0, 0], _times(axes[0, 0], times), columns=2)
    _parts(axes[0, 1], [row for row in rows if row.section == "part"])
    names = ("reference", "featlearn")
    legend_over(axes[0, 1], [Patch(**_look(name), label=name) for name in names], columns=2)
    if growth:
        legend_over(axes[0, 2], _growth(axes[0, 2], growth), columns=2)
    return figure


def _times(ax, times):
    groups = list(dict.fromkeys((row.size, row.threads) for row in times))
    names = [name for name in _LOOKS if any(row.name == name for row in times)]
    unit = {(row.size, row.threads): row.value for row in times if row.name == "reference"}
    height = 0.8 / len(names)
    for row in times:
        group = (row.size, row.threads)
        y = groups.index(group) + (names.index(row.name) + 0.5) * height - 0.4
        value, low, high = (number / unit[group] for number in (row.value, row.low, row.high))
        ax.barh(y, value, 0.9 * height, **_look(row.name))
        ax.plot([low, high], [y, y], color="black", linewidth=0.8)
        ax.text(high, y, f" {row.value:.3g}", va="center", fontsize=5)
    labels = [f"{size}\n{n} thread{'s' if n > 1 else ''}" for size, n in groups]
    ax.set_yticks(range(len(groups)), labels)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlim=(0, None), xlabel="time of a step / reference", title="$d/d_1/m/B$; numbers are ms")
    ax.grid(False, axis="y")
    return [Patch(**_look(name), label=name) for name in names]


def _parts(ax, parts):
    parts = [row for row in parts if (row.size, row.threads) == (parts[0].size, parts[0].threads)]
    split = [row.name.split(": ") for row in parts]
    names = list(dict.fromkeys(part for _, part in split))
    for (who, part), row in zip(split, parts):
        y = names.index(part) + (-0.2 if who == "reference" else 0.2)
        ax.barh(y, row.value, 0.36, **_look(who))
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="milliseconds a step", title="parts at the first size")
    ax.grid(False, axis="y")


def _growth(ax, growth):
    handles = []
    curves = {}
    for row in growth:
        symbol, value = row.name.split(" = ")
        curves.setdefault(symbol, []).append((int(value), row.value))
    for k, (symbol, points) in enumerate(curves.items()):
        x, y = np.array(sorted(points)).T
        x, y = x / np.exp(np.log(x).mean()), y / np.exp(np.log(y).mean())
        label = {"d1": "$d_1$"}.get(symbol, f"${symbol}$")
        handles += ax.plot(x, y, "o-", color=f"C{k + 3}", label=label)
    handles.append(Line2D([], [], color="0.6", linestyle="--", label="in proportion"))
    ends = np.array([0.4, 2.5])
    ax.plot(ends, ends, "--", color="0.6", zorder=1)
    ax.set(
        xscale="log", yscale="log", xlabel="size, relative to the middle",
        ylabel="time, relative to the middle", title="growth",
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator([0.125, 0.25, 0.5, 1, 2, 4, 8]))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    return handles
