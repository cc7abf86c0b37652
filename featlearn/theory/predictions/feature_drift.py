"""The drift of every feature in stage I, for any law of the latents whose signs or values are uncorrelated.

With b = 0 and few or no similarities of order τ (derived: featlearn/theory/derivation.md, "Other laws of
the latents"),

    E g M_j = (1 - P̄) [ c_j α_·j - (V α_·j) c¹_j / τ ],    V = α C² αᵀ + c²_D diag ‖β_i‖²,

c_j, c¹_j and c²_j being the moments of the two views, of anchors and of keys along M_j; in all of them
Var z_j has the place of s, in what a mask scatters as far as feature j scatters into itself.
"""

import numpy as np

from ...latents import law_of
from .moments import own_part, view_moments


def feature_moments(experiment):
    """Return c_j, c¹_j and c²_j of every feature: three ndarrays of shape (d,)."""
    views = view_moments(experiment)
    more = law_of(experiment).variances - views.density
    own = own_part(experiment.dictionary, experiment.n_inputs)
    return [
        split.sparse + more * (1 + excess * own)
        for split, excess in (
            (views.cross, views.cross_excess),
            (views.anchor, views.anchor_excess),
            (views.key, views.key_excess),
        )
    ]


def feature_drift(experiment, alignments, dense_norms, attraction):
    """Return the mean change of α by one update, but for the decay -ηλα, and what similarities take.

    Parameters
    ----------
    experiment : Experiment
    alignments : ndarray of shape (m, d)
        α.
    dense_norms : ndarray of shape (m,)
        ‖β_i‖.
    attraction : float
        1 - P̄, the mean of 1 - P_pp over the anchors.

    Returns
    -------
    change, taken : ndarray of shape (m, d)
        The mean change; what it would have more without the similarities' term.
    """
    exp, views = experiment, view_moments(experiment)
    cross, anchor, key = feature_moments(exp)
    orders = [(anchor, key, views.key.dense)]
    if not exp.stop_gradient:
        # Through the keys the two views change places.
        orders.append((key, anchor, views.anchor.dense))
    pull = taken = 0.0
    for first, second, dense in orders:
        similar = alignments * second @ alignments.T
        similar[np.diag_indices_from(similar)] += dense * np.square(dense_norms)
        pull = pull + alignments * cross
        taken = taken + similar @ (alignments * first) / exp.temperature
    rate = exp.learning_rate * attraction
    return rate * (pull - taken), rate * taken
