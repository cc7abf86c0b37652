"""How time and memory grow with the sizes: fitted exponents."""

import numpy as np

FIELDS = {"d": "n_features", "d1": "n_inputs", "m": "n_neurons", "B": "batch_size"}


def ladder(experiment, symbol, factors):
    """Return experiments in which one size is multiplied by each of some factors.

    Parameters
    ----------
    experiment : Experiment
    symbol : {"d", "d1", "m", "B"}
    factors : sequence of float

    Returns
    -------
    dict of int to Experiment
        By the value of that size.
    """
    field = FIELDS[symbol]
    values = [int(getattr(experiment, field) * factor) for factor in factors]
    return {value: experiment.replace(**{field: value}) for value in values}


def exponent(sizes, values):
    """Return the slope of log values against log sizes, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
