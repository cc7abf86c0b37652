"""The network: one hidden layer of symmetric-ReLU neurons, f(x) = (h_1(x), …, h_m(x))."""

from typing import NamedTuple

import numpy as np

from .compute.workspace import Workspace
from .display import one_line
from .errors import InvalidInput
from .rules import as_numbers, repeats


class Activations(NamedTuple):
    """What the network computes on n inputs.

    Attributes
    ----------
    preactivations : ndarray of shape (n, m) or None
        u_i = ⟨w_i, x⟩; None, as `active`, where only features were asked for.
    features : ndarray of shape (n, m)
        h_i(x).
    active : ndarray of bool, shape (n, m), or None
        |u_i| ≥ b_i.
    """

    preactivations: np.ndarray | None
    features: np.ndarray
    active: np.ndarray | None

    __repr__ = one_line


def forward(
    weights: np.ndarray,
    biases: np.ndarray,
    inputs: np.ndarray,
    work: Workspace | None = None,
    name: str = "",
    features_only: bool = False,
    spare: np.ndarray | None = None,
) -> Activations:
    """Apply the network.

    h_i(x) = ReLU(⟨w_i,x⟩ - b_i) - ReLU(-⟨w_i,x⟩ - b_i) = sign(u_i) max(|u_i| - b_i, 0); the second
    form is computed as u - clip(u, -b, b), and equals the first for b ≥ 0 only.

    Parameters
    ----------
    weights : ndarray of shape (m, d1)
    biases : ndarray of shape (m,), ≥ 0
    inputs : ndarray of shape (n, d1)
    work : Workspace, optional
        Where the results live; fresh arrays without.
    name : str
        Tells several sets of inputs apart in the workspace.
    features_only : bool
        Whether preactivations and activity are of no use later.
    spare : ndarray of shape (n, m), optional
        Memory for the preactivations where only features are wanted; it is overwritten.

    Returns
    -------
    Activations

    Raises
    ------
    InvalidInput
        Without a workspace, as by hand: if shapes do not fit, or a bias is negative or not a number.

    Notes
    -----
    Wen & Li 2021, setting. At |u| = b a neuron counts as active, though its output is 0.

    Examples
    --------
    >>> import numpy as np
    >>> found = featlearn.forward(np.eye(2), np.array([0.5, 0.5]), np.array([[2.0, 0.3]]))
    >>> found.active
    array([[ True, False]])
    """
    if work is None:
        weights, biases, inputs = _by_hand(weights, biases, inputs)
    work = work or Workspace()
    shape, dtype = (*inputs.shape[:-1], weights.shape[-2]), weights.dtype
    u = work(name + "preactivations", shape, dtype) if spare is None else spare
    h = work(name + "features", shape, dtype)
    active = None if features_only else work(name + "active", shape, np.bool_)
    work.over_rows(respond, inputs, u, h, active, weights=weights, biases=biases)
    return Activations(None if features_only else u, h, active)


def _by_hand(weights, biases, inputs):
    """Return what a user gives as arrays that fit each other, as those of a step are known to."""
    weights, biases = as_numbers("weights", weights), as_numbers("biases", biases)
    inputs = as_numbers("inputs", inputs)
    if weights.dtype not in (np.float32, np.float64):
        weights = weights.astype(np.float64)
    if weights.ndim < 2:
        raise InvalidInput("weights", f"shape {weights.shape}", "shape (m, d1)")
    if not (biases.ndim and repeats(biases.shape, weights.shape[:-1])):
        wanted = f"shape {weights.shape[:-1]}, one for each neuron"
        raise InvalidInput("biases", f"shape {biases.shape}", wanted)
    require_thresholds(biases)
    if inputs.ndim < 2 or inputs.shape[-1] != weights.shape[-1]:
        wanted = f"shape (n, {weights.shape[-1]}), rows as long as those of the weights"
        raise InvalidInput("inputs", f"shape {inputs.shape}", wanted)
    if not repeats(weights.shape[:-2], inputs.shape[:-2]):
        wanted = f"shape {weights.shape[:-2]} before its rows, as that of the networks"
        raise InvalidInput("inputs", f"shape {inputs.shape}", wanted)
    return weights, biases, inputs


def require_thresholds(biases):
    """Refuse biases, an ndarray, that are negative or not numbers: as thresholds of |u| they have no meaning."""
    if not (biases >= 0).all():
        raise InvalidInput("biases", float(biases[~(biases >= 0)][0]), "numbers ≥ 0")


def respond(x, u, h, active, weights, biases):
    """u = X Wᵀ, |u| ≥ b and h = u - clip(u, -b, b) of some inputs, each into its array."""
    np.matmul(x, weights.swapaxes(-2, -1), out=u)
    biases = biases[..., None, :]
    if active is not None:
        np.abs(u, out=h)
        np.greater_equal(h, biases, out=active)
    np.minimum(u, biases, out=h)
    np.maximum(h, -biases, out=h)
    np.subtract(u, h, out=h)


def features(weights: np.ndarray, biases: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return f(x) of shape (n, m) for inputs of shape (n, d1); see `forward`.

    Examples
    --------
    >>> import numpy as np
    >>> featlearn.features(np.eye(2), np.array([0.5, 0.5]), np.array([[2.0, -1.0], [0.3, 0.0]]))
    array([[ 1.5, -0.5],
           [ 0. ,  0. ]])
    """
    return forward(weights, biases, inputs, features_only=True).features
