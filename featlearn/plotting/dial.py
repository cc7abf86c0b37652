"""Picture of the dial: what is learned as the views share more noise, beside what labels teach."""

from ..errors import InvalidInput
from .canvas import BLUE, PAGE, VERMILLION, legend_above, new_figure, styled

COLUMNS = ("noise_correlation", "sparse_share", "atoms_fraction")


@styled
def dial(contrastive, supervised):
    """Sparse share and recovered atoms over ρ, with the level of the supervised twin.

    Parameters
    ----------
    contrastive : sequence of dict
        A row a run: "noise_correlation" ρ, "sparse_share" and "atoms_fraction".
    supervised : sequence of dict
        Rows of supervised runs without augmentation, without the first of these.

    Returns
    -------
    matplotlib.figure.Figure
        Dots are runs, lines their means; a supervised network sees the sample itself, that is ρ = 1.
    """
    if not contrastive or not supervised:
        raise InvalidInput("rows", "none", "contrastive and supervised runs")
    figure, axes = new_figure(PAGE, 2.5, 1, 2)
    by_rho = {}
    for row in contrastive:
        by_rho.setdefault(row["noise_correlation"], []).append(row)
    rhos = sorted(by_rho)
    names = "sparse share, median", "fraction of atoms learned"
    for ax, measure, name in zip(axes[0], COLUMNS[1:], names):
        points = [(rho, row[measure]) for rho in rhos for row in by_rho[rho]]
        ax.plot(*zip(*points), ".", color=BLUE, markersize=4)
        means = [sum(row[measure] for row in by_rho[rho]) / len(by_rho[rho]) for rho in rhos]
        (line,) = ax.plot(rhos, means, "-", color=BLUE, label="contrastive")
        level = sum(row[measure] for row in supervised) / len(supervised)
        told = ax.axhline(
            level, color=VERMILLION, linestyle="--", label="supervised, no augmentation"
        )
        ax.set(xlabel="ρ, noise correlation of the two views", ylabel=name, ylim=(-0.03, 1.05))
    legend_above(figure, [line, told])
    return figure
