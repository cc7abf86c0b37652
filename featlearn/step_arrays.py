"""The arrays of one step: their names in a workspace, their shapes, and so the memory they take."""

import math

import numpy as np

from .gram_views import outer_dimensions
from .objectives import OBJECTIVES
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
    objective = OBJECTIVES[experiment.objective]
    pairs, through_keys = objective.is_pairwise, not experiment.stop_gradient
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
        ("logits", pairs, ("batch_size", "negatives" if separate else group), number),
        ("positive", pairs, ("batch_size",), number),
        ("statistics", pairs, ("batch_size", 3), number),
        ("alignment", not gram and experiment.dictionary != "identity", alignments, number),
        ("dense part", gram and outer_dimensions(experiment) > 0, row_space, number),
    ]
    return {name: (axes, dtype) for name, present, axes, dtype in wanted if present}


def shape_of(experiment, axes):
    """Return the shape that the axes of `arrays_of_a_step` have in an experiment."""
    return tuple(getattr(experiment, n) if isinstance(n, str) else n for n in axes)


def bytes_by_fields(experiment):
    """Return the bytes of the arrays of a step, and of the objective's, by the fields that they are the product of."""
    item, objective = np.dtype(experiment.dtype).itemsize, OBJECTIVES[experiment.objective]
    arrays = [(axes, dtype.itemsize) for axes, dtype in arrays_of_a_step(experiment).values()]
    # As they were and as they will be, their gradient, and their decay.
    arrays += [(axes, 4 * item) for axes in objective.parameter_axes(experiment).values()]
    arrays += objective.working_bytes(experiment).items()
    found = {}
    for axes, size in arrays:
        fields = fields_of(experiment, axes)
        size *= math.prod(shape_of(experiment, axes))
        found[fields] = found.get(fields, 0) + size
    return found


def fields_of(experiment, axes):
    """Return the fields that say the lengths of axes, each once, by the names that a user gave."""
    words = [axis for axis in axes if isinstance(axis, str)]
    tasks = "n_features" if experiment.n_tasks is None else "n_tasks"
    # A batch by a batch is told by one field.
    return tuple(dict.fromkeys(tasks if word == "resolved_n_tasks" else word for word in words))
