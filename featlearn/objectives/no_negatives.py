"""Positives only: every neuron normalised over the batch, nothing pushed apart.

With h̃_i = h_i/r_i, r_i² = mean over the batch of h_i² + ε², a prediction head E, p = h̃⁺ Eᵀ
normalised in the same way, and keys k̃ that the gradient does not pass through,

    L = -(1/Bm) Σ_pi p̃_pi k̃_pi.

Without a head (E = I) every neuron ascends wᵀCw/wᵀC₁w on its own. The head starts at the identity and
only its off-diagonal entries are trained. The loss resembles BYOL (Grill et al. 2020) and SimSiam (Chen &
He 2021); derived: featlearn/theory/derivation.md, "Other objectives".
"""

import numpy as np

from .pull import Pull, pull_before_unit_neurons, unit_neurons

# ε: far below the features of any trained network.
NEURON_FLOOR = 1e-3


def no_negatives(anchor_features, key_features, head=None, floor=NEURON_FLOOR):
    """Return the `Pull` of positives alone; its parameter is "prediction_head", where there is one.

    Parameters
    ----------
    anchor_features, key_features : ndarray of shape (B, m)
    head : ndarray of shape (m, m), optional
        E; the identity, and not trained, without.
    floor : float > 0
        ε.

    Returns
    -------
    Pull
        Its gradient of the head has a diagonal of 0.
    """
    n, m = anchor_features.shape
    anchors, sizes = unit_neurons(anchor_features, floor)
    keys, _ = unit_neurons(key_features, floor)
    predictions = anchors if head is None else anchors @ head.T
    unit, again = unit_neurons(predictions, floor)
    loss = -float(np.mean(np.sum(unit * keys, axis=1, dtype=np.float64))) / m
    pull = pull_before_unit_neurons(keys / m, unit, again)
    parameters = {}
    if head is not None:
        of_head = pull.T @ anchors / -n
        np.fill_diagonal(of_head, 0)
        parameters["prediction_head"] = of_head
        pull = pull @ head
    return Pull(loss, pull_before_unit_neurons(pull, anchors, sizes), parameters=parameters)
