"""One update taken apart: every intermediate value of a training step, by name.

The batch is that of `draw_batch`, the gradient and the softmax are those of `evaluate`, the update is
that of `step`: this module names what they return and projects it on the dictionary. What `evaluate`
does not keep, the features of keys and negatives and the similarities, is computed from the same batch
again. `featlearn.explain.text` and `featlearn.plotting.update` are views of it.
"""

from dataclasses import dataclass

import numpy as np

from ..alignment import alignment, cosines
from ..batches import draw_batch
from ..display import escape, one_line
from ..errors import InvalidInput
from ..experiment import Experiment
from ..gradient import ContrastiveGradient
from ..loss import split_rows
from ..network import features, forward
from ..state import TrainingState, require_state
from ..training import evaluate, step
from .gradient_check import LossChange, check_gradient, loss_changes
from .text import render

# A world small enough to read every number of, where each neuron picks a feature within some
# hundred steps. Its atoms are flat, because a mask must not be able to hide a whole atom; its
# density and noise are given, because the paper's formulas are for large d; and its seed is one
# where the three neurons pick three different features, which at m < d most seeds do not.
SMALL_WORLD = Experiment(
    n_features=4,
    n_inputs=12,
    n_neurons=3,
    batch_size=4,
    n_steps=400,
    learning_rate=0.2,
    weight_decay=0.03,
    temperature=4.0,
    density=0.25,
    noise_variance=0.01,
    dictionary="flat",
    initial_norm=0.6,
    stage_one_growth=1.5,
    bias_factor=0.1,
    bias_growth=1.002,
    bias_cap=0.5,
    seed=8,
    dtype="float64",
)


@dataclass(frozen=True, eq=False)
class Force:
    """What pulls on the weights: one part of the direction of descent.

    Attributes
    ----------
    total : ndarray of shape (m, d1)
        Row i acts on w_i; equals on_atoms · Mᵀ + dense.
    on_atoms : ndarray of shape (m, d)
        Its projection ⟨total_i, M_j⟩ on every atom.
    dense : ndarray of shape (m, d1)
        What is left in span(M)^⊥.
    """

    __repr__ = one_line

    total: np.ndarray
    on_atoms: np.ndarray
    dense: np.ndarray


@dataclass(frozen=True, eq=False)
class ExplainedStep:
    """Every intermediate value of one update, for B anchors, N candidates a row and m neurons.

    With in-batch negatives N = B, candidate q is the key of anchor q and the positive of anchor p
    is candidate p. With K separate negatives N = 1 + K, and candidate 0 is every anchor's own key.

    Attributes
    ----------
    before, after : TrainingState
        The state explained and the one that `step` makes of it: weights (m, d1), biases (m,).
    neuron, anchor : int
        The term i, p that is followed.
    latents, signal, noise, inputs : ndarray of shape (B, d), (B, d1), (B, d1), (B, d1)
        z, M z, ξ and x = M z + ξ.
    masks : tuple of ndarray of bool, shape (B, d1)
        D of the masking augmentations; empty for the others.
    anchors, keys : ndarray of shape (B, d1)
        The views x⁺ and x⁺⁺.
    negatives : ndarray of shape (K, d1) or None
        Separate negatives.
    anchor_preactivations, key_preactivations : ndarray of shape (B, m)
        U = X Wᵀ.
    anchor_active, key_active : ndarray of bool, shape (B, m)
        |U| ≥ b.
    anchor_features, key_features : ndarray of shape (B, m)
        H = sign(U) max(|U| - b, 0).
    candidate_features : ndarray of shape (B, m), or (K, m) with separate negatives
        Features of what an anchor is contrasted with: the keys, or the separate negatives.
    similarity : ndarray of shape (B, N) or None
        S, the logits; None for an objective that is no loss of pairs.
    probability, residual : ndarray of shape (B, N) or None
        P, the softmax of a row of S, and δ - P with δ = 1 for the positive. For another loss of pairs
        how strongly negatives repel, and that with the opposite sign beside the attraction. 0 for keys
        of another group, which are no negatives.
    labels : ndarray of shape (B, K) or None
        What a supervised objective is told.
    coefficients : tuple of ndarray of shape (n, m)
        A of every argument the gradient passes through: the anchors, without stop-gradient also
        the keys and the separate negatives. -∂L/∂W = Σ Aᵀ X / B.
    pulls, pushes : ndarray of shape (B, m) or None
        The two parts of coefficients[0]: (1 - P_p0) h_i(x_p⁺⁺) and -Σ P_pq h_i(x_q), both zero
        where the neuron is not active on the anchor.
    descent, decay : Force
        -∂L/∂W and -λ W.
    attraction, repulsion : Force or None
        The positive and the negative term of a loss of pairs; they add up to `descent`.
    update : Force
        ΔW = η (descent + decay).
    loss : LossChange
        Of the new weights with everything else in place: both views re-evaluated, biases as before;
        predicted by the gradient through both views.
    held_loss : LossChange
        The same with the features of keys and negatives held, as the stop-gradient means it;
        predicted by the gradient that training used. None without stop-gradient, where `loss` says
        it all.
    next_loss : float
        On the same batch after the whole update, biases included.
    """

    __repr__ = one_line

    before: TrainingState
    after: TrainingState
    neuron: int
    anchor: int
    latents: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    inputs: np.ndarray
    masks: tuple
    anchors: np.ndarray
    keys: np.ndarray
    negatives: np.ndarray | None
    anchor_preactivations: np.ndarray
    key_preactivations: np.ndarray
    anchor_active: np.ndarray
    key_active: np.ndarray
    anchor_features: np.ndarray
    key_features: np.ndarray
    candidate_features: np.ndarray
    similarity: np.ndarray | None
    probability: np.ndarray | None
    residual: np.ndarray | None
    labels: np.ndarray | None
    coefficients: tuple
    pulls: np.ndarray | None
    pushes: np.ndarray | None
    descent: Force
    attraction: Force | None
    repulsion: Force | None
    decay: Force
    update: Force
    loss: LossChange
    held_loss: LossChange | None
    next_loss: float

    def __str__(self):
        return render(self, check_gradient(self.before))

    def _repr_html_(self):
        return f"<pre>{escape(self)}</pre>"

    @property
    def dictionary(self) -> np.ndarray:
        """M, ndarray of shape (d1, d)."""
        return self.before.model.dictionary

    @property
    def cosines(self) -> np.ndarray:
        """|α_ij|/‖w_i‖ before the update, ndarray of shape (m, d)."""
        return cosines(alignment(self.before.weights, self.dictionary), self.before.weight_norms)

    @property
    def positive_column(self) -> np.ndarray:
        """Column of every anchor's positive in `similarity`, ndarray of int, shape (B,)."""
        rows = np.arange(len(self.anchors))
        return rows if self.negatives is None else np.zeros_like(rows)

    def contrasted_with(self, anchor: int) -> np.ndarray:
        """Columns of `similarity` that an anchor is contrasted with, its own key among them, ndarray of int."""
        _check_index("anchor", anchor, len(self.anchors))
        if self.negatives is not None:
            return np.arange(self.similarity.shape[1])
        size = self.before.experiment.group_size
        return anchor // size * size + np.arange(size)


def explain_step(state: TrainingState, neuron: int = 0, anchor: int = 0) -> ExplainedStep:
    """Take the update that follows a state apart.

    Parameters
    ----------
    state : TrainingState
        From `init` or `step`.
    neuron, anchor : int
        The neuron i and the anchor p that the views of the result follow.

    Returns
    -------
    ExplainedStep

    Raises
    ------
    InvalidInput
        If there is no such neuron or anchor.
    TrainingDiverged
        If the update is not finite.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The gradient by hand".

    Examples
    --------
    >>> update = featlearn.explain_step(featlearn.init(featlearn.SMALL_WORLD))
    >>> update.attraction.on_atoms.shape
    (3, 4)
    """
    require_state(state)
    _check_index("neuron", neuron, state.experiment.n_neurons)
    _check_index("anchor", anchor, state.experiment.batch_size)
    batch = draw_batch(state)
    gradient = evaluate(state, batch)
    after = step(state, gradient)
    anchor_part = gradient.terms[0].activations
    key_part = forward(state.weights, state.biases, batch.views.keys)
    candidates = key_part.features
    if batch.negatives is not None:
        candidates = features(state.weights, state.biases, batch.negatives)
    sample, exp, model = batch.sample, state.experiment, state.model
    # A model that holds its samples knows them by their numbers.
    numbered = getattr(model, "draws_numbers", False)
    latents = model.coefficients[sample.latents] if numbered else sample.latents
    loss, held_loss, next_loss = loss_changes(state, after, batch, gradient)

    def force(total):
        on_atoms = alignment(total, state.model.dictionary)
        return Force(total, on_atoms, total - on_atoms @ state.model.dictionary.T)

    parts = dict.fromkeys(
        ("similarity", "probability", "residual", "pulls", "pushes", "attraction", "repulsion")
    )
    if isinstance(gradient, ContrastiveGradient):
        parts |= _softmax_arrays(
            anchor_part.features, key_part.features, candidates, batch, gradient, exp
        )
        pulls = gradient.terms[0].attraction
        parts |= {
            "pulls": pulls,
            "pushes": gradient.terms[0].coefficients - pulls,
            "attraction": force(-gradient.positive),
            "repulsion": force(-gradient.negative),
        }

    return ExplainedStep(
        before=state,
        after=after,
        neuron=int(neuron),
        anchor=int(anchor),
        latents=latents,
        signal=sample.signal,
        noise=sample.noise,
        inputs=sample.inputs,
        masks=batch.views.masks,
        anchors=batch.views.anchors,
        keys=batch.views.keys,
        negatives=batch.negatives,
        anchor_preactivations=anchor_part.preactivations,
        key_preactivations=key_part.preactivations,
        anchor_active=anchor_part.active,
        key_active=key_part.active,
        anchor_features=anchor_part.features,
        key_features=key_part.features,
        candidate_features=candidates,
        labels=batch.labels,
        coefficients=tuple(term.coefficients for term in gradient.terms),
        descent=force(-gradient.weights),
        **parts,
        decay=force(-exp.weight_decay * state.weights),
        update=force(after.weights - state.weights),
        loss=loss,
        held_loss=held_loss,
        next_loss=next_loss,
    )


def _softmax_arrays(h_anchor, h_key, candidates, batch, gradient, exp):
    """S, P and δ - P with the positive in its column; P is the softmax that training used."""
    found = gradient.contrast
    own_probability = found.positive_probability
    if own_probability is None:
        own_probability = np.zeros_like(found.attraction)
    similarity = h_anchor @ candidates.T / exp.temperature
    if batch.negatives is None:
        # Keys of other groups are no negatives.
        probability = np.zeros_like(similarity)
        for rows in split_rows(len(similarity), exp.negative_groups):
            probability[rows, rows] = found.repulsion[rows]
        residual = -probability
        np.fill_diagonal(probability, own_probability)
        np.fill_diagonal(residual, found.attraction)
    else:
        own = np.einsum("pi,pi->p", h_anchor, h_key) / exp.temperature
        similarity = np.column_stack([own, similarity])
        probability = np.column_stack([own_probability, found.repulsion])
        residual = np.column_stack([found.attraction, -found.repulsion])
    return {"similarity": similarity, "probability": probability, "residual": residual}


def _check_index(name, value, size):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < size:
        raise InvalidInput(name, value, f"a whole number from 0 to {size - 1}")
