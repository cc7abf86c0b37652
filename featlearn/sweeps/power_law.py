"""How a quantity of a sweep depends on a field: a power, its error, and whether it is one at all."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..experiment import Experiment
from ..recording.files import read_json
from ..rules import as_numbers

# Below this probability of so bad a fit by chance, several sizes follow no single power.
LACK_OF_FIT = 0.01


class PowerLaw(NamedTuple):
    """The power prefactor · x^exponent that fits a quantity.

    Attributes
    ----------
    exponent : float
        Of the straight line through the mean ln y at each ln x.
    error : float
        Its standard error: the larger of what the scatter over seeds and what the residuals of the
        line make of it; nan where neither says.
    prefactor : float
    sizes : ndarray of shape (n,)
        The values of x.
    means : ndarray of shape (n,)
        Geometric means of y at each.
    slopes : ndarray of shape (n - 1,)
        d ln y / d ln x from each size to the next.
    probability : float
        Of residuals this large if it were one power, by the F test of lack of fit; nan where there
        are no two runs at a size, or fewer than three sizes.
    """

    exponent: float
    error: float
    prefactor: float
    sizes: np.ndarray
    means: np.ndarray
    slopes: np.ndarray
    probability: float

    @property
    def single(self):
        """Whether one power fits, as far as the runs can tell."""
        return not self.probability < LACK_OF_FIT

    def __str__(self):
        said = [f"exponent {self.exponent:.3f} ± {self.error:.3f}"]
        if not self.single:
            said = [f"no single power (p = {self.probability:.1g}); the best: {said[0]}"]
        local = ", ".join(
            f"{a:g} to {b:g}: {slope:.2f}"
            for a, b, slope in zip(self.sizes, self.sizes[1:], self.slopes)
        )
        return "\n".join([*said, f"local slopes  {local}"])


def fit_power(x, y):
    """Fit y = C x^p to runs, several of which may share an x.

    Parameters
    ----------
    x, y : array_like of shape (n_runs,)
        All > 0.

    Returns
    -------
    PowerLaw

    Raises
    ------
    InvalidInput
        If a value is not positive, there are fewer than two sizes, or not as many of one as of the
        other.
    """
    x, y = (as_numbers(name, v).astype(np.float64) for name, v in (("x", x), ("y", y)))
    if x.ndim != 1 or x.shape != y.shape:
        raise InvalidInput("x, y", f"shapes {x.shape}, {y.shape}", "one x and one y for each run")
    for name, values in (("x", x), ("y", y)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise InvalidInput(name, values.tolist(), "finite numbers > 0: others follow no power")
    sizes, at = np.unique(x, return_inverse=True)
    n_sizes, n_runs = len(sizes), len(x)
    if n_sizes < 2:
        raise InvalidInput("x", sizes.tolist(), "two sizes at least")
    log_y, counts = np.log(y), np.bincount(at)
    means = np.bincount(at, log_y) / counts
    # One vote for each run, so a size with more runs counts more.
    log_x = np.log(sizes)
    centre = np.average(log_x, weights=counts)
    spread = np.sum(counts * (log_x - centre) ** 2)
    slope = float(np.sum(counts * (log_x - centre) * means) / spread)
    height = np.average(means, weights=counts) - slope * centre
    residual = means - slope * log_x - height
    lack, pure = np.sum(counts * residual**2), np.sum((log_y - means[at]) ** 2)
    lack_freedom, pure_freedom = n_sizes - 2, n_runs - n_sizes
    variances = [pure / pure_freedom] if pure_freedom else []
    variances += [lack / lack_freedom] if lack_freedom else []
    error = math.sqrt(max(variances) / spread) if variances else math.nan
    probability = math.nan
    if lack_freedom and pure_freedom and pure > 0:
        from scipy.special import fdtrc

        ratio = (lack / lack_freedom) / (pure / pure_freedom)
        probability = float(fdtrc(lack_freedom, pure_freedom, ratio))
    slopes = np.diff(means) / np.diff(log_x)
    return PowerLaw(slope, error, math.exp(height), sizes, np.exp(means), slopes, probability)


def fit_sweep(directory, quantity, against="n_features"):
    """Fit a quantity of a sweep's complete runs against a field.

    Parameters
    ----------
    directory : path
    quantity : str
        A measure of the sweep's rows, or a number that its runs recorded, at the last row.
    against : str
        A field of the experiments.

    Returns
    -------
    dict of str to PowerLaw
        One for each combination of the other fields that were varied by themselves: those with more
        than one value at some value of the field. The seed aside, their values are the label.

    Raises
    ------
    InvalidInput
        If there is no such quantity or field, or a value that follows no power.
    """
    place = Path(directory)
    rows = [read_json(path) for path in sorted((place / "rows").glob("*.json"))]
    rows = [row for row in rows if row["status"] == "complete"]
    if not rows:
        raise InvalidInput("sweep", str(directory), "a directory of a sweep with complete runs")
    if against not in rows[0]["experiment"]:
        raise InvalidInput("against", against, "a field of an experiment")
    points = [_resolved(Experiment.from_dict(row["experiment"])) for row in rows]
    values = [_value(place, row, quantity) for row in rows]
    for size in (point[against] for point in points):
        if isinstance(size, bool) or not isinstance(size, (int, float)) or not size > 0:
            raise InvalidInput("against", against, f"a field of numbers > 0, not {size!r}")
    varied = [
        name
        for name in points[0]
        if name not in (against, "seed") and _varies_by_itself(points, name, against)
    ]
    groups = {}
    for point, value in zip(points, values):
        label = ", ".join(f"{name}={point[name]}" for name in varied)
        groups.setdefault(label, []).append((point[against], value))
    return {
        label: fit_power(*zip(*pairs))
        for label, pairs in groups.items()
        if len({x for x, _ in pairs}) > 1
    }


def _varies_by_itself(points, name, against):
    seen = {}
    for point in points:
        seen.setdefault(point[against], set()).add(point[name])
    return any(len(values) > 1 for values in seen.values())


def _value(place, row, quantity):
    if quantity in row["measures"]:
        return float(row["measures"][quantity])
    run = place / "runs" / row["run"]
    if (run / "config.json").exists():
        from ..recording.rundir import load_run

        recorded = load_run(run).arrays
        if quantity in recorded and recorded[quantity].ndim == 1:
            return float(recorded[quantity][-1])
    raise InvalidInput("quantity", quantity, "one of " + ", ".join(row["measures"]))


def _resolved(experiment):
    """The fields with the paper's formulas worked out."""
    values = experiment.to_dict()
    for name in ("density", "noise_variance", "bias_growth"):
        values[name] = getattr(experiment, f"resolved_{name}")
    return values
