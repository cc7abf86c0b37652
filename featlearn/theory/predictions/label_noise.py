"""How much dense noise the labels of a trained supervised network sustain.

What a network cannot explain of its labels, R, goes on pushing the weights about: the mean of a batch is
not 0. Labels give no drift along a dense direction but a way back, so both balance (derived:
featlearn/theory/derivation.md, "The supervised twin").
"""

import numpy as np

from ...errors import InvalidInput
from ...network import forward
from ...objectives import make_objective

# Samples that the expectations are taken over, and how many at a time.
SAMPLES, _AT_ONCE = 8192, 1024
# Width of the window about a threshold, in standard deviations of the preactivation.
_WINDOW = 0.1


def label_noise(experiment, model, weights, biases, head, steps, rng, n=SAMPLES):
    """Return E ‖β_i‖² that sampling noise leaves in the neurons of a supervised network, (m,).

    With P = AᵀR of a sample, the pull on its features, and active neurons 1_i = 1{|u_i| ≥ b_i}, the
    components of all neurons along one dense direction, a vector β of length m, follow

        β ← β - η K β + (η/√B) σ ζ,      K = λ I + σ² ( J - diag D ),      Cov ζ = V,

        V_il = E[P_i P_l 1_i 1_l],   J_il = E[1_i 1_l Σ_k r_k A_ki A_kl],   D_i = E[P_i sign(u_i) δ(|u_i| - b_i)],

    r_k = -∂R_k/∂o_k. With K = Σ_a k_a e_a e_aᵀ each of the d1 - d dense directions has after t steps

        E β βᵀ = Σ_ab e_a e_aᵀ V e_b e_bᵀ (η² σ²/B) (1 - q_ab^t)/(1 - q_ab),      q_ab = (1 - η k_a)(1 - η k_b),

    which comes to rest where all k_a > 0. So it is in proportion to η/B.

    Parameters
    ----------
    experiment : Experiment
        Supervised, without augmentation, its labels without noise.
    model : SparseCodingModel
    weights, biases, head : ndarray of shape (m, d1), (m,) and (K, m)
        W, b and A, taken as they are for all of the steps.
    steps : int
        t.
    rng : numpy.random.Generator
    n : int
        Samples.

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    InvalidInput
        For another objective, an augmentation, or labels that leak noise.
    """
    exp = experiment
    require_noiseless_labels(exp)
    m, variance = exp.n_neurons, exp.resolved_noise_variance
    V, J, D = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m)
    objective, A = make_objective(exp), np.asarray(head, np.float64)
    for start in range(0, n, _AT_ONCE):
        sample = model.sample(rng, min(_AT_ONCE, n - start))
        u, h, active = (
            np.asarray(part, np.float64) for part in forward(weights, biases, sample.inputs)
        )
        labels = objective.labels(sample).astype(np.float64)
        R, slope = residual_and_slope(labels, h @ A.T, exp.task)
        P = R @ A
        V += (P * active).T @ (P * active)
        if exp.task == "regression":
            J += A.T @ A * (active.T @ active)
        else:
            for a, r in zip(A, slope.T):
                J += (a * active * r[:, None]).T @ (a * active)
        width = _WINDOW * u.std(axis=0)
        near = np.abs(np.abs(u) - biases) < width / 2
        D += np.sum(P * np.sign(u) * near, axis=0) / np.maximum(width, 1e-300)
    rates, axes = np.linalg.eigh(exp.weight_decay * np.eye(m) + variance / n * (J - np.diag(D)))
    eta = exp.learning_rate
    kept = (1 - eta * rates)[:, None] * (1 - eta * rates)
    balance = axes.T @ (V / n) @ axes * (eta**2 * variance / exp.batch_size)
    # At q = 1 the fraction is t.
    rest = kept == 1
    balance *= np.where(rest, steps, (1 - kept**steps) / np.where(rest, 1, 1 - kept))
    return (exp.n_inputs - exp.n_features) * np.einsum("ia,ab,ib->i", axes, balance, axes)


def residual_and_slope(labels, outputs, task):
    """Return R = -∂L/∂o and r = -∂R/∂o of labels and outputs, two ndarrays of shape (B, K)."""
    if task == "regression":
        return labels - outputs, np.ones_like(outputs)
    wrong = np.exp(-np.logaddexp(0, labels * outputs))
    return labels * wrong, labels**2 * wrong * (1 - wrong)


def require_noiseless_labels(experiment):
    """Refuse what the supervised predictions are not made for."""
    exp = experiment
    if exp.objective != "supervised":
        raise InvalidInput("objective", exp.objective, "supervised")
    if exp.augmentation != "none":
        raise InvalidInput("augmentation", exp.augmentation, "none")
    if exp.label_leak:
        raise InvalidInput("label_leak", exp.label_leak, "0")
