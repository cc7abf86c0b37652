"""Stage I: how the sparse and the dense part of the neurons grow while similarities are ≪ τ.

With b = 0 the network is linear, and with a nearly uniform softmax one step is w ← w + η(Ĉw - λw),
where Ĉ is the batch's cross-covariance of the views. In the mean over batches

    (a, β²) at step t+1  =  T · (a, β²) at step t,      a = ‖α‖², β² = ‖β‖²,

with a constant 2 × 2 matrix T that holds for one neuron and for the sum over neurons alike (derived
in featlearn/theory/derivation.md, "Stage I: growth with sampling noise"): on its diagonal the
squared drift factors (1 + η(q c_D - λ))², and η²/B times the sampling noise of Ĉw everywhere.
"""

from typing import NamedTuple

import numpy as np

from .moments import Split, noise_weights, uniform_attraction, view_moments


class StageOne(NamedTuple):
    """A predicted trajectory of stage I.

    Attributes
    ----------
    steps : ndarray of int, shape (T,)
    sparse, dense : ndarray of shape (T, ...)
        a = ‖α‖² and β² = ‖β‖², per neuron or summed as the start was.
    """

    steps: np.ndarray
    sparse: np.ndarray
    dense: np.ndarray

    @property
    def sparse_share(self):
        """a/(a + β²)."""
        return self.sparse / (self.sparse + self.dense)

    @property
    def growth(self):
        """√((a + β²)/(a + β²)(0)), how far the norms have grown."""
        total = self.sparse + self.dense
        return np.sqrt(total / total[0])


def stage_one_matrix(experiment):
    """Return the 2 × 2 matrix T of one step, acting on (a, β²).

    Parameters
    ----------
    experiment : Experiment
        Any augmentation, keep probability and noise correlation, in-batch or separate negatives,
        with or without stop-gradient.

    Returns
    -------
    ndarray of shape (2, 2)

    Notes
    -----
    Exact in the mean over batches for b = 0, a uniform softmax, independent latents, and a flat M, up to
    terms smaller than those kept by a factor 1/d1, or the identity. A Haar-random M adds a scatter of diag(M Mᵀ) that couples α and β at
    the relative strength f√(2/d), f = d/d1: at d1/d ≥ 16 below 1 % of a over a growth of 100 in a.
    All neurons share a batch's noise, so that a single seed scatters around the mean by percents
    however many neurons it has.
    """
    d = experiment.n_features
    eta, decay = experiment.learning_rate, experiment.weight_decay
    cross = view_moments(experiment).cross
    arguments = 1 if experiment.stop_gradient else 2
    pull = arguments * uniform_attraction(experiment)
    drift = np.diag([(1 + eta * (pull * part - decay)) ** 2 for part in cross])
    noise = sampling_noise(experiment, directions=Split(d, experiment.noise_directions))
    return drift + eta**2 / experiment.batch_size * noise


def sampling_noise(experiment, directions):
    """Return the matrix N that gives B times the variance of Ĉw on either side of span(M).

    B · (tr Cov on span(M), tr Cov on its complement) = N · (a, β²). For the anchors' part of the
    gradient, g = Ĉw with y = ⟨w, x⁺⁺⟩, it is

        B · Cov(g) = q E[y²] E[x⁺x⁺ᵀ] + q₂ E[x⁺y] E[x⁺y]ᵀ + q² cum₄(x⁺, x⁺ᵀ, y, y),

    q₂ = q with in-batch negatives, whose mean is subtracted from the keys, and q² with separate ones;
    for InfoNCE, other losses have other `noise_weights`.
    The keys' part (without stop-gradient) has the views exchanged, and there is a covariance of both.

    Parameters
    ----------
    experiment : Experiment
    directions : Split
        Number of directions on either side, d and d1 - d.

    Returns
    -------
    ndarray of shape (2, 2)
    """
    v = view_moments(experiment)
    weights = noise_weights(experiment)
    if experiment.batches == "paired":
        return _paired_noise(v, weights.pairs, directions)

    def fourth(out_excess, in_excess, out_noise, in_noise, pairs):
        if experiment.dictionary == "identity":
            masks = _fourth_cumulant_of_inputs(v)
        else:
            masks = _fourth_cumulant(v, out_excess, in_excess)
        return weights.fourth * (masks + _scale_cumulant(v, directions, out_noise, in_noise, pairs))

    anchor_noise, key_noise, shared = v.noise

    def gradient_through(view, other, excess, other_excess):
        pairs = weights.pairs * np.outer(np.multiply(directions, view), other)
        cumulant = fourth(excess, other_excess, anchor_noise, key_noise, 2 * shared**2)
        return pairs + weights.own * np.diag(np.square(v.cross)) + cumulant

    noise = gradient_through(v.anchor, v.key, v.anchor_excess, v.key_excess)
    if experiment.stop_gradient:
        return noise
    noise += gradient_through(v.key, v.anchor, v.key_excess, v.anchor_excess)
    both = weights.own * np.outer(np.multiply(directions, v.cross), v.cross)
    both += weights.pairs * np.diag(np.multiply(v.anchor, v.key))
    pairs = anchor_noise * key_noise + shared**2
    both += fourth(v.cross_excess, v.cross_excess, shared, shared, pairs)
    return noise + 2 * both


def _paired_noise(v, q, directions):
    """Return `sampling_noise` of a paired batch: what its halves do not cancel.

    The halves' updates of α by y⊥ = ⟨β, x⁺⁺⟩ cancel, and those of β by α·x⁺⁺ as far as they share the
    anchors' noise, of relative covariance ϱ = (c/v)², c being the views' covariance beside span(M).
    What is even in both has B/2 independent pairs, and stratified latents have no scatter of z_j².
    """
    shared = v.dense_correlation**2
    along = directions.sparse * v.anchor.sparse * v.key.sparse - v.density**2
    beside = directions.dense * v.anchor.dense * np.array([v.key.sparse, v.key.dense])
    beside *= [1 - shared, 1 + shared]
    beside[1] += (1 + shared) * v.cross.dense**2
    return q * np.array([[2 * along, 0.0], beside])


def _fourth_cumulant(v, out_excess, in_excess):
    """Trace of the fourth cumulant on either side of span(M), as a matrix acting on (a, β²).

    Two ways make views non-Gaussian together. The z_j are, χ₄ = s(1-3s). And a mask's noise has the
    size of the input it masks: given z its variance is excess · (signal energy), so that the energy
    of one view moves with the signal and the energy of the other, as Var(z_j²) = s(1-s) says.

    `out_excess` belongs to the pair of views that is traced over, `in_excess` to the pair that is
    projected on w.
    """
    s, variance, f = v.density, v.noise_variance, v.diagonal.sparse
    signal, energy = np.array([s * (1 - 3 * s), 0.0]), s * (1 - s)
    seen = in_excess * energy * np.array(v.diagonal)
    inside = signal + seen + out_excess * f * (np.array([energy, 0.0]) + seen)
    noise = 2 * np.square([s + variance, variance])
    return np.array([inside, out_excess * ((1 - f) * (signal + seen) + noise)])


def _fourth_cumulant_of_inputs(v):
    """The same where every atom is one input: a mask leaves the inputs independent, each with its own.

    Whichever two of the four views are projected, μ and ν come twice each, and with μ, ν of two values,
    0 and another, E μ²ν² = E μν E μ² E ν².
    """
    s, variance = v.density, v.noise_variance
    anchor, key, both = 1 + v.anchor_excess, 1 + v.key_excess, 1 + v.cross_excess
    square = np.array([s + variance, variance])
    fourth = np.array([s + 6 * s * variance, 0.0]) + 3 * variance**2
    return np.diag(both * anchor * key * fourth - (anchor * key + 2 * both**2) * square**2)


def _scale_cumulant(v, directions, out_noise, in_noise, pairs):
    """Trace of the fourth cumulant that a scale c of each sample's noise makes, acting on (a, β²).

    Given c the noise is Gaussian, so that each way of pairing the four has E c⁴ in the place of (E c²)² = 1:
    out with out and in with in, in every direction, and the two others, `pairs`, along w alone.
    """
    every = np.outer(directions, [out_noise * in_noise] * 2)
    return v.scale_excess * (every + pairs * np.eye(2))


def predict_stage_one(experiment, sparse, dense, n_steps):
    """Iterate the recursion of stage I from a start.

    Parameters
    ----------
    experiment : Experiment
    sparse, dense : array_like of the same shape
        a = ‖α‖² and β² = ‖β‖² at step 0, per neuron or summed.
    n_steps : int ≥ 0

    Returns
    -------
    StageOne
        At steps 0 … n_steps.
    """
    matrix = stage_one_matrix(experiment)
    states = np.empty((n_steps + 1, 2, *np.shape(sparse)))
    states[0] = sparse, dense
    for t in range(n_steps):
        states[t + 1] = np.tensordot(matrix, states[t], 1)
    return StageOne(np.arange(n_steps + 1), states[:, 0], states[:, 1])


def initial_split(experiment):
    """Return the expected (a, β²) of one neuron at initialisation, a `Split`."""
    total, share = experiment.initial_norm**2, experiment.n_features / experiment.n_inputs
    return Split(total * share, total * (1 - share))
