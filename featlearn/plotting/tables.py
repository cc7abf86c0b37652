"""Figures of tables that many runs make: the phase diagram and scaling fits."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ..errors import InvalidInput
from .canvas import BLUE, COLUMN, GREY, ORANGE, PAGE, legend_above, new_figure, styled

_BOUNDARY_STYLES = (("white", "--"), (ORANGE, "--"), ("#F0F0F0", ":"))


def grid_means(table, x, y, value):
    """Return the values of two columns and the mean of a third on their grid, over seeds.

    Parameters
    ----------
    table : structured ndarray
        A row a run, as `featlearn.sweeps.results.load_results` reads it.
    x, y, value : str
        Names of columns.

    Returns
    -------
    xs, ys : ndarray of shape (nx,) and (ny,)
        Sorted.
    means : ndarray of shape (ny, nx)
        NaN where no run has a finite value.
    """
    for name in (x, y, value):
        if name not in (table.dtype.names or ()):
            raise InvalidInput("column", name, "one of " + ", ".join(table.dtype.names or ()))
    xs, column = np.unique(table[x], return_inverse=True)
    ys, row = np.unique(table[y], return_inverse=True)
    total, count = np.zeros((len(ys), len(xs))), np.zeros((len(ys), len(xs)))
    finite = np.isfinite(table[value])
    np.add.at(total, (row[finite], column[finite]), table[value][finite])
    np.add.at(count, (row[finite], column[finite]), 1)
    return xs, ys, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def cell_edges(values, logarithmic=False):
    """Return the edges of cells around sorted values, half-way between neighbours."""
    values = np.log(values) if logarithmic else np.asarray(values, np.float64)
    if len(values) < 2:
        raise InvalidInput("grid", f"{len(values)} value", "at least 2 along each axis")
    middle = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.exp(edges) if logarithmic else edges


@styled
def phase_diagram(
    table, x, y, value="sparse_share", boundaries=None, labels=None, logarithmic=(), level=0.5
):
    """A measure of feature recovery over two parameters, with predicted boundaries.

    Parameters
    ----------
    table : structured ndarray
        A row a run; columns `x`, `y`, `value`, and more.
    x, y, value : str
        Names of columns; `value` lies between 0 and 1.
    boundaries : dict of str to (xs, ys), optional
        Predicted curves by name, drawn dashed; NaN leaves a gap.
    labels : dict of str to str, optional
        What the axes say instead of a column's name.
    logarithmic : sequence of str
        Those of `x` and `y` with a logarithmic axis.
    level : float
        The measured contour that is drawn solid.

    Returns
    -------
    matplotlib.figure.Figure
        Cells are means over the runs at a point; hatched where there is none.
    """
    labels = {x: x, y: y, value: value} | (labels or {})
    xs, ys, means = grid_means(table, x, y, value)
    figure, axes = new_figure(COLUMN, 3.0)
    ax = axes[0, 0]
    ax.grid(False)
    ax.patch.set(hatch="////", facecolor="0.92", edgecolor="0.7")
    x_edges, y_edges = cell_edges(xs, x in logarithmic), cell_edges(ys, y in logarithmic)
    image = ax.pcolormesh(
        x_edges, y_edges, np.ma.masked_invalid(means), vmin=0, vmax=1, rasterized=True
    )
    figure.colorbar(image, ax=ax, label=labels[value], aspect=25)
    handles = []
    if min(means.shape) >= 2 and np.nanmin(means) < level < np.nanmax(means):
        ax.contour(xs, ys, means, levels=[level], colors="black", linewidths=1.2)
        handles.append(Line2D([], [], color="black", label=f"measured {level:g}"))
    for (name, curve), (color, linestyle) in zip((boundaries or {}).items(), _BOUNDARY_STYLES):
        # A dark line below makes a light dash visible on light cells too.
        ax.plot(*curve, color="0.25", linewidth=2.6, zorder=3)
        ax.plot(*curve, color=color, linestyle=linestyle, linewidth=1.6, zorder=4)
        shown = color if color == ORANGE else GREY
        handles.append(Line2D([], [], color=shown, linestyle=linestyle, label=name))
    ax.set(
        xlabel=labels[x], ylabel=labels[y],
        xscale="log" if x in logarithmic else "linear",
        yscale="log" if y in logarithmic else "linear",
        xlim=(x_edges[0], x_edges[-1]), ylim=(y_edges[0], y_edges[-1]),
    )  # fmt: skip
    if handles:
        legend_above(figure, handles, columns=1)
    return figure


def local_slopes(sizes, values):
    """Return the slopes of the mean ln(value) over ln(size) between neighbouring sizes, a list.

    Empty where a value is not positive.
    """
    sizes, values = np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    if not (values > 0).all():
        return []
    each = np.unique(sizes)
    means = [np.log(values[sizes == size]).mean() for size in each]
    return (np.diff(means) / np.diff(np.log(each))).tolist()


@styled
def scaling_fits(fits):
    """How quantities change with the number of features, with fitted and predicted powers.

    Parameters
    ----------
    fits : dict of str to dict
        By the quantity's label: "n_features" and "values", ndarrays with an entry a run;
        "exponent", "error" and "prefactor" of the fit prefactor · d^exponent; and, where theory
        gives one, "predicted", its exponent.

    Returns
    -------
    matplotlib.figure.Figure
        One panel each, both axes logarithmic; dots are runs, the line is the fit, dashed the
        predicted power through the fit's middle. The slopes between neighbouring sizes say whether
        one power describes them.
    """
    if not fits:
        raise InvalidInput("fits", fits, "at least one quantity")
    columns = min(len(fits), 3)
    rows = -(-len(fits) // columns)
    width = max(COLUMN, PAGE * columns / 3)
    figure, axes = new_figure(width, 0.5 + 2.25 * rows, rows, columns)
    for ax in axes.ravel()[len(fits) :]:
        ax.remove()
    any_predicted = False
    for ax, (name, fit) in zip(axes.ravel(), fits.items()):
        d = np.asarray(fit["n_features"], np.float64)
        ends = np.array([d.min(), d.max()])
        middle = np.exp(np.mean(np.log(ends)))
        line = fit["prefactor"] * ends ** fit["exponent"]
        ax.plot(d, fit["values"], "o", color=GREY, markersize=2.5)
        ax.plot(ends, line, color=BLUE)
        title = f"fit $d^{{{fit['exponent']:.2f} \\pm {fit['error']:.2f}}}$"
        if fit.get("predicted") is not None:
            any_predicted = True
            at_middle = fit["prefactor"] * middle ** fit["exponent"]
            ax.plot(ends, at_middle * (ends / middle) ** fit["predicted"], "--", color="black",
                    linewidth=1)  # fmt: skip
            title += f", theory $d^{{{fit['predicted']:.2f}}}$"
        ax.set(xscale="log", yscale="log", xlabel="number of features $d$", ylabel=name)
        slopes = local_slopes(d, fit["values"])
        if len(slopes) > 1:
            title += "\n" + ", ".join(f"${slope:.2f}$" for slope in slopes)
        ax.set_title(title)
        ticks = np.unique(d)
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
    handles = [
        Line2D([], [], color=GREY, marker="o", linestyle="", label="a run"),
        Line2D([], [], color=BLUE, label="fit"),
    ]
    if any_predicted:
        handles.append(Line2D([], [], color="black", linestyle="--", label="theory"))
    if any("\n" in ax.get_title() for ax in axes.flat):
        words = "below the fit, slopes from size to size"
        handles.append(Line2D([], [], linestyle="", label=words))
    legend_above(figure, handles, columns=len(handles))
    return figure
