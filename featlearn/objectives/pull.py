"""What an objective says about features: a loss, and how it pulls on the features of each sample.

An objective sees features only, never weights or inputs. From its pulls G = -B ∂L/∂H on the features
H of some inputs X the chain rule makes the gradient of the network,

    ∂L/∂W = -(1/B) Σ (G ⊙ active)ᵀ X,

the sum being over the sets of inputs that the gradient passes through (derived:
featlearn/theory/derivation.md, "Other objectives").
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Pull:
    """A loss, and its gradient with respect to features and to the objective's own parameters.

    Attributes
    ----------
    loss : float
    anchors : ndarray of shape (B, m)
        -B ∂L/∂H of the anchors' features.
    keys : ndarray of shape (B, m) or None
        That of the keys' features; None where the gradient does not pass through them.
    parameters : dict of str to ndarray
        Exactly ∂L/∂p of each parameter of the objective.
    positive_probability : ndarray of shape (B,) or None
        P_p0, where the loss has a softmax that holds the positive.
    """

    loss: float
    anchors: np.ndarray
    keys: np.ndarray | None = None
    parameters: dict = field(default_factory=dict)
    positive_probability: np.ndarray | None = None


def unit_rows(features, floor):
    """Return h/n and n = √(‖h‖² + ε²) for every row h; shapes (B, m) and (B, 1).

    The floor ε keeps a sample on which no neuron is active where it is, at 0.
    """
    norms = np.sqrt(np.sum(features**2, axis=1, keepdims=True) + features.dtype.type(floor) ** 2)
    return features / norms, norms


def pull_before_unit_rows(pull, unit, norms):
    """Return the pull on h from the pull G on h/n: (G - u ⟨u, G⟩)/n with u = h/n."""
    along = np.sum(unit * pull, axis=1, keepdims=True)
    return (pull - unit * along) / norms


def unit_neurons(features, floor):
    """Return h_i/r_i and r_i = √(mean over the batch of h_i² + ε²) for every neuron i; (B, m), (m,)."""
    sizes = np.sqrt(np.mean(features**2, axis=0) + features.dtype.type(floor) ** 2)
    return features / sizes, sizes


def pull_before_unit_neurons(pull, unit, sizes):
    """Return the pull on h from the pull G on u = h/r: (G - u · mean over the batch of u G)/r."""
    return (pull - unit * np.mean(unit * pull, axis=0)) / sizes
