"""The mean drift of all neurons: attraction, the softmax's repulsion to leading order, and decay.

Neuron i's attraction needs its own averages only (`neuron_moments`). Repulsion couples neurons,

    -(1/τ) Σ_l E[h_i(x') h_l(x')] E[h_l(x⁺) 1_i(x⁺) x⁺],    x' a key of another sample,

and is evaluated with outputs replaced by their part that is linear in the latents and the noise,
h_i ≈ Σ_j H_ij z_j + 1_i ⟨w_i, noise⟩ with H_ij = E[h_i | z_j = 1]; exact at b = 0, and for neurons
on one feature each.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .moments import uniform_attraction
from .neuron_moments import neuron_moments
from .view_noise import ViewNoise, view_noise


class Drift(NamedTuple):
    """What the mean field says of m neurons at one step.

    Attributes
    ----------
    alignments : ndarray of shape (m, d)
        dα/dt; a step adds η times it.
    mixing : ndarray of shape (m, m)
        L of dβ_i/dt = Σ_l L_il β_l.
    similarity : float
        E⟨f(x⁺), f(x⁺⁺)⟩, to be compared with τ.
    dense_noise : ndarray of shape (m, m)
        E[A_i A_l], what sampling noise adds to ⟨β_i, β_l⟩ in units of η² n₁ (d1-d)/B, with
        A_i = h_i(x⁺⁺) 1{i active on x⁺}.
    lead_noise : ndarray of shape (m,)
        Variance of a sample's A_i x_j, summed over the two largest |α_ij|.
    norm_noise : ndarray of shape (m,)
        Variance of a sample's A_i ⟨w_i, x⁺⟩/‖w_i‖, which moves ‖w_i‖.
    """

    alignments: np.ndarray
    mixing: np.ndarray
    similarity: float
    dense_noise: np.ndarray
    lead_noise: np.ndarray
    norm_noise: np.ndarray


@dataclass(frozen=True)
class MeanFieldLaw:
    """What the drift depends on besides the neurons.

    Attributes
    ----------
    views : ViewNoise
    factor, decay, temperature : float
        q, λ and τ.
    repulsion : bool
        Whether the negatives count; without them similarities grow for ever.
    """

    views: ViewNoise
    factor: float
    decay: float
    temperature: float
    repulsion: bool = True

    @classmethod
    def of(cls, experiment, repulsion=True):
        """Return the law of an experiment."""
        return cls(
            view_noise(experiment),
            uniform_attraction(experiment),
            experiment.weight_decay,
            experiment.temperature,
            repulsion,
        )

    def drift(self, alignments, dense_gram, biases):
        """Return the `Drift` of neurons.

        Parameters
        ----------
        alignments : ndarray of shape (m, d)
        dense_gram : ndarray of shape (m, m)
            ⟨β_i, β_l⟩.
        biases : ndarray of shape (m,)

        Notes
        -----
        Derived in featlearn/theory/derivation.md, "Stage II mean field".
        """
        views, s, q = self.views, self.views.density, self.factor
        dense_norms = np.sqrt(np.maximum(np.diag(dense_gram), 0))
        mean = neuron_moments(alignments, dense_norms, biases, views)
        rate = q * mean.noise_gain - self.decay
        change = q * s * mean.pull + rate[:, None] * alignments
        mixing = np.diag(rate)
        gram = alignments @ alignments.T + dense_gram
        together = _joint_activity(mean, s)
        if self.repulsion:
            strength = s * mean.key_output @ mean.key_output.T
            strength += views.key * gram * together
            np.fill_diagonal(strength, mean.key_power)
            strength *= q / self.temperature
            noisy = strength * together
            own = np.diag(strength)[:, None]
            change -= s * mean.activity_given * (strength @ mean.anchor_output)
            # A neuron is active whenever its own output is not 0.
            change -= s * (1 - mean.activity_given) * own * mean.anchor_output
            change -= views.anchor * noisy @ alignments
            mixing -= views.anchor * noisy
        noise = s * mean.pull @ mean.pull.T + views.key * gram * together**2
        np.fill_diagonal(noise, mean.power)
        lead_noise = s * mean.lead_power.sum(axis=1) + 2 * views.anchor * mean.power
        similarity = float(mean.similarity.sum())
        return Drift(change, mixing, similarity, noise, lead_noise, mean.norm_power)


def _joint_activity(mean, density):
    """Pr(i and l active on x⁺), with what their dependence owes to single latents."""
    excess = mean.activity_given - mean.activity[:, None]
    together = np.outer(mean.activity, mean.activity)
    if density < 1:
        together += density / (1 - density) * excess @ excess.T
    np.fill_diagonal(together, mean.activity)
    return together
