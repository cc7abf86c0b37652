"""Exponents in d: o(1) is a statement about growth, so sizes are compared and not one size judged."""

import math
from typing import NamedTuple

import numpy as np

from ...errors import InvalidInput


class Exponent(NamedTuple):
    """The power prefactor · d^value that fits a quantity.

    Attributes
    ----------
    value, error : float
        Mean over the seeds, and the larger of two standard errors: over the seeds, and of a straight
        line through the means at each size, from what these leave of it.
    prefactor : float
    wanted : str
        "falls", where the theory says that the quantity vanishes, or "".
    predicted : float or None
        The exponent that the theory's own closed forms have at the same sizes.
    """

    value: float
    error: float
    prefactor: float
    wanted: str = ""
    predicted: float | None = None

    @property
    def remark(self):
        """What the table says where a quantity that should vanish does not fall with d."""
        if math.isnan(self.value):
            return "0 or undefined at some size"
        if self.wanted != "falls":
            return ""
        if self.value + 2 * self.error < 0:
            return "falls"
        return "does not fall" if self.value > 0 else "falls by less than two standard errors"


def fit_exponent(n_features, values, seeds, **more):
    """Fit ln values against ln d, a line for each seed; return an `Exponent`.

    Parameters
    ----------
    n_features, values, seeds : array_like of shape (n_runs,)
        Every seed at two sizes at least. No power of d is 0 or undefined: with such values the
        exponent is nan.
    more
        Further attributes of the `Exponent`.
    """
    x, y = np.log(np.asarray(n_features, np.float64)), np.asarray(values, np.float64)
    seeds = np.asarray(seeds)
    if not np.all(y > 0):
        return Exponent(math.nan, math.nan, math.nan, **more)
    lines = []
    for seed in np.unique(seeds):
        one = seeds == seed
        if len(np.unique(x[one])) < 2:
            raise InvalidInput("n_features", np.exp(x[one]).tolist(), "two sizes for every seed")
        lines.append(np.polyfit(x[one], np.log(y[one]), 1))
    slopes, heights = np.transpose(lines)
    sizes = np.unique(x)
    means = np.array([np.log(y[x == size]).mean() for size in sizes])
    residual = means - np.polyval(np.polyfit(sizes, means, 1), sizes)
    freedom = max(len(sizes) - 2, 1)
    error = math.sqrt(residual @ residual / freedom / np.sum((sizes - sizes.mean()) ** 2))
    if len(lines) > 1:
        error = max(error, float(slopes.std(ddof=1) / math.sqrt(len(lines))))
    return Exponent(float(slopes.mean()), error, math.exp(heights.mean()), **more)


# Column of the table -> (label, what the theory wants of it, column of the predicted values)
QUANTITIES = {
    "dense_share": (r"dense share $\Vert\beta\Vert^2/\Vert w\Vert^2$", "falls", None),
    "dense_coordinate": (r"dense coordinate $\cdot\,\sqrt{d_1}$", "falls", None),
    "off_support": (r"off-support cosine $\cdot\,\sqrt{d}$", "falls", None),
    "off_support_pure": (r"off-support, pure neurons $\cdot\,\sqrt{d}$", "falls", None),
    "stage_one_length": (r"steps of stage I", "", "stage_one_predicted"),
    "coverage": ("part of the atoms learned", "", None),
}


def scaling_exponents(table):
    """Return {column: Exponent} of the columns `QUANTITIES` of scripts/finite_scaling.py's table.

    Parameters
    ----------
    table : structured ndarray
        A row a run, as `featlearn.sweeps.results.load_results` returns it.
    """
    missing = [name for name in QUANTITIES if name not in (table.dtype.names or ())]
    if missing:
        raise InvalidInput("scaling table", missing, "a column of every quantity")
    found = {}
    for name, (_, wanted, predicted) in QUANTITIES.items():
        d, seeds = table["n_features"], table["seed"]
        expected = fit_exponent(d, table[predicted], seeds).value if predicted else None
        found[name] = fit_exponent(d, table[name], seeds, wanted=wanted, predicted=expected)
    return found


def scaling_panels(table):
    """Return the argument of `featlearn.plotting.scaling_fits` for a table of scripts/finite_scaling.py."""
    return {
        QUANTITIES[name][0]: {
            "n_features": table["n_features"],
            "values": table[name],
            "exponent": fit.value,
            "error": fit.error,
            "prefactor": fit.prefactor,
            "predicted": fit.predicted,
        }
        for name, fit in scaling_exponents(table).items()
        if not math.isnan(fit.value)
    }
