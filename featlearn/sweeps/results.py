"""The table of a sweep: text that a spreadsheet and `numpy.genfromtxt` open."""

import csv
import dataclasses
import io
import math

import numpy as np

from ..errors import InvalidInput
from ..experiment import Experiment


def results_table(rows):
    """Return the CSV text of rows: run, status, error, every field as resolved, every measure.

    Parameters
    ----------
    rows : list of dict
        As `featlearn.sweeps.sweep.sweep` returns them.
    """
    fields = [f.name for f in dataclasses.fields(Experiment)]
    found = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["run", "status", "error", *fields, *found])
    for row in rows:
        parameters = _resolved(Experiment.from_dict(row["experiment"]))
        table.writerow(
            [
                row["run"],
                row["status"],
                _plain(row["error"]) or "none",
                *(parameters[name] for name in fields),
                *(row["measures"].get(name, math.nan) for name in found),
            ]
        )
    return file.getvalue()


def _resolved(experiment):
    """The fields with the paper's formulas worked out, so that a column of numbers has no word."""
    fields = experiment.to_dict()
    for name in ("density", "noise_variance", "bias_growth", "noise_inputs", "n_tasks"):
        fields[name] = getattr(experiment, f"resolved_{name}")
    for name in ("stage_one_growth", "stage_one_steps"):
        if fields[name] is None:
            fields[name] = math.inf
    return fields


def _plain(text):
    """Text without what a reader of tables might take for a separator, a quote or a comment."""
    return " ".join(text.translate(str.maketrans(',"#', ";' ")).split())


def load_results(path):
    """Read a results.csv; return a structured ndarray of shape (n_runs,), a field a column.

    A column is empty, and so NaN, for a run that did not complete.
    """
    try:
        return np.genfromtxt(
            path, delimiter=",", names=True, dtype=None, encoding="utf-8", ndmin=1, comments=None
        )
    except (OSError, ValueError) as error:
        raise InvalidInput("results", str(path), f"a readable table ({error})") from None
