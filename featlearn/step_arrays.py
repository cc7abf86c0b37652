"""The arrays of one step: their names in a workspace, their shapes, and so the memory they take."""

import math

import numpy as np

from .gram_views import outer_dimensions
from .views import augmentation_of


def arrays_of_a_step(experiment):
    """Return the arrays that a recorded step keeps in its `Workspace`.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    dict of str to (tuple, numpy.dtype)
        By name: the length of each axis, a number or the name of the experiment's field or property
        that says it, and the type.
    """
    number, truth = np.dtype(experiment.dtype), np.dtype(np.bool_)
    both = not augmentation_of(experiment).identical_views
    separate = experiment.negatives != "in_batch"
    gram = experiment.dense == "gram"
    inputs = "n_columns" if gram else "n_inputs"
    weights = "n_neurons", inputs
    samples, responses = ("batch_size", inputs), ("batch_size", "n_neurons")
    extra, extra_responses = ("negatives", inputs), ("negatives", "n_neurons")
    group = "batch_size" if experiment.negative_groups == 1 else "group_size"
    alignments, row_space = ("n_neurons", "n_features"), ("n_neurons", "row_space")
    through_keys = not experiment.stop_gradient
    wanted = [
        ("weights", True, weights, number),
        ("gradient", True, weights, number),
        ("more gradient", through_keys, weights, number),
        ("batch anchors", True, samples, number),
        ("batch keys", both, samples, number),
        ("anchor preactivations", True, responses, number),
        ("anchor features", True, responses, number),
        ("anchor active", True, responses, truth),
        ("key preactivations", both and through_keys, responses, number),
        ("key features", both, responses, number),
        ("key active", both and through_keys, responses, truth),
        ("coefficients", True, responses, number),
        ("key coefficients", through_keys, responses, number),
        ("negatives anchors", separate, extra, number),
        ("negatives keys", separate and both, extra, number),
        ("negative preactivations", separate, extra_responses, number),
        ("negative features", separate, extra_responses, number),
        ("negative active", separate, extra_responses, truth),
        ("negative coefficients", separate and through_keys, extra_responses, number),
        ("logits", True, ("batch_size", "negatives" if separate else group), number),
        ("positive", True, ("batch_size",), number),
        ("statistics", True, ("batch_size", 3), number),
        ("alignment", not gram and experiment.dictionary != "identity", alignments, number),
        ("dense part", gram and outer_dimensions(experiment) > 0, row_space, number),
    ]
    return {name: (axes, dtype) for name, present, axes, dtype in wanted if present}


def shape_of(experiment, axes):
    """Return the shape that the axes of `arrays_of_a_step` have in an experiment."""
    return tuple(getattr(experiment, n) if isinstance(n, str) else n for n in axes)


def bytes_by_fields(experiment):
    """Return the bytes of the arrays of a step by the fields that they are the product of."""
    found = {}
    for axes, dtype in arrays_of_a_step(experiment).values():
        # A batch by a batch is told by one field, said once.
        fields = tuple(dict.fromkeys(axis for axis in axes if isinstance(axis, str)))
        size = math.prod(shape_of(experiment, axes)) * dtype.itemsize
        found[fields] = found.get(fields, 0) + size
    return found
