"""What an objective says about features: a loss, and how it pulls on the features of each sample.

An objective sees features only, never weights or inputs. From its pulls G = -B ∂L/∂H on the features
H of some inputs X the chain rule makes the gradient of the network,

    ∂L/∂W = -(1/B) Σ (G ⊙ active)ᵀ X,

the sum being over the sets of inputs that the gradient passes through (derived:
featlearn/theory/derivation.md, "Other objectives").
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import InvalidInput
from ..rules import as_array


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


def as_pull(found, features, parameters):
    """Return the `Pull` that an objective made of features as one of arrays that fit them.

    Raises
    ------
    InvalidInput
        For what is no `Pull`, or numbers of another shape or kind.
    """
    if not isinstance(found, Pull):
        raise InvalidInput("objective", f"{type(found).__name__} from pull", "a Pull")

    def of(name, array, shape):
        return as_array("objective", f"{name} of pull", array, shape)

    gradients = found.parameters or {}
    if unknown := gradients.keys() - parameters.keys():
        wanted = f"gradients of its own arrays, {', '.join(parameters) or 'of which it has none'}"
        raise InvalidInput("objective", f"{unknown} from pull", wanted)
    keys, probability = found.keys, found.positive_probability
    return Pull(
        float(of("loss", found.loss, ())),
        of("anchors", found.anchors, features.shape),
        None if keys is None else of("keys", keys, features.shape),
        {name: of(name, g, np.shape(parameters[name])) for name, g in gradients.items()},
        None if probability is None else of("probability", probability, features.shape[:1]),
    )


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
