"""NT-Xent before a run: the rate at which normalised embeddings move weights, and how far norms grow without views.

Derived in featlearn/theory/derivation.md, "Other objectives", "On the unit sphere".
"""

import math

from .moments import view_moments
from .stage_one import initial_split


def as_pairs(experiment, square):
    """Return the experiment whose plain inner products move weights as normalised ones do, n² = `square`."""
    return experiment.replace(
        objective="infonce",
        learning_rate=experiment.learning_rate / square,
        weight_decay=experiment.weight_decay * square,
    )


def square_at_start(experiment):
    """Return E n² = ε² + E‖h‖² of the views at the start."""
    views, start = view_moments(experiment), initial_split(experiment)
    each = views.anchor.sparse * start.sparse + views.anchor.dense * start.dense
    return experiment.embedding_floor**2 + experiment.n_neurons * each


def rated(experiment):
    """Return `as_pairs` of an experiment at its start, or itself where embeddings are not normalised."""
    if experiment.objective != "nt_xent":
        return experiment
    return as_pairs(experiment, square_at_start(experiment))


def growth_on_sphere(experiment):
    """Return g = ln of the growth of the norms of an un-augmented network by the last step, at b = 0.

    Where both views are one input u·u⁺ = ‖h‖²/n² comes near 1, and of the pull on u a part ε²/n² is left on h, which
    moves weights at 2(1 - P) ε²/n⁴ of the rate η. An estimate: all samples are alike and negatives have no similarity.
    """
    exp, views, split = experiment, view_moments(experiment), initial_split(experiment)
    floor, negatives = exp.embedding_floor**2, 2 * exp.batch_size - 2
    arguments = 1 if exp.stop_gradient else 2
    sparse, dense = split
    for _ in range(exp.n_steps):
        power = exp.n_neurons * (views.anchor.sparse * sparse + views.anchor.dense * dense)
        square = floor + power
        own = math.exp(min(power / square / exp.temperature, 500.0))
        pull = arguments * negatives / (own + negatives) * floor / square**2
        sparse *= (1 + exp.learning_rate * (pull * views.cross.sparse - exp.weight_decay)) ** 2
        dense *= (1 + exp.learning_rate * (pull * views.cross.dense - exp.weight_decay)) ** 2
    return 0.5 * math.log(max(sparse + dense, 1e-300) / (split.sparse + split.dense))
