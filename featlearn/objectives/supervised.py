"""Supervised learning: the same features under a linear head that is told labels.

With features H of shape (B, m), a head A of shape (K, m), outputs O = H Aᵀ and labels Y of K tasks,

    regression       L = (1/2B) Σ (y - o)²,                        R = Y - O,
    classification   L = (1/B) Σ log(1 + e^{-yo}) over y ≠ 0,      R = Y/(1 + e^{YO}),

    -B ∂L/∂H = R A,      ∂L/∂A = -Rᵀ H/B.

A label of task k is y = ⟨w*_k, z⟩, or its sign, with w*_kj uniform in ±[1/2, 3/2] (Wen & Li 2021,
downstream tasks); derived: featlearn/theory/derivation.md, "The supervised twin".
"""

import numpy as np

from .pull import Pull

TASKS = ("classification", "regression")


def supervised(features, head, labels, task):
    """Return the `Pull` of a linear head's loss; its parameter is "head".

    Parameters
    ----------
    features : ndarray of shape (B, m)
    head : ndarray of shape (K, m)
        A.
    labels : ndarray of shape (B, K)
        Y; for classification -1, 1, or 0 where there is no label.
    task : {"classification", "regression"}

    Returns
    -------
    Pull
    """
    outputs = features @ head.T
    if task == "regression":
        residual = labels - outputs
        losses = residual**2 / 2
    else:
        margins = labels * outputs
        # log(1 + e^{-t}) without overflow; 0 where there is no label.
        losses = np.where(labels != 0, np.logaddexp(0, -margins), 0)
        residual = labels * np.exp(-np.logaddexp(0, margins))
    return Pull(
        float(np.mean(losses.sum(axis=1, dtype=np.float64))),
        residual @ head,
        parameters={"head": residual.T @ features / -len(features)},
    )


def draw_tasks(rng, n_features, n_tasks):
    """Return w* of shape (d, K), entries uniform in ±[1/2, 3/2] (Wen & Li 2021, downstream tasks)."""
    magnitude = rng.uniform(0.5, 1.5, (n_features, n_tasks))
    return magnitude * rng.choice([-1.0, 1.0], magnitude.shape)


def labels_of(values, task):
    """Return labels for the values ⟨w*_k, z⟩: the values themselves, or their signs."""
    return values if task == "regression" else np.sign(values)
