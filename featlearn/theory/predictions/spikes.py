"""Noise with a few directions of extra variance, beside features: who holds the weights of a linear network at rest.

A mask leaves such a direction in both views, so that it has a plateau as an atom has (derived:
featlearn/theory/derivation.md, "Other laws of the latents").
"""

import math
from typing import NamedTuple

from .moments import negative_count, scatter_of_negatives, uniform_attraction, view_moments


class SpikedPlateau(NamedTuple):
    """Squared weights on the plateau of the linear phase, and shares of them.

    Attributes
    ----------
    features : float
        Σ‖α_i‖² over it and what the spikes hold; sampling noise left out.
    spikes : float
        What the spikes hold over Σ‖β_i‖², with what sampling noise sustains.
    sparse, dense : float
        Σ‖α_i‖², without what noise sustains, and Σ‖β_i‖².
    """

    features: float
    spikes: float
    sparse: float
    dense: float


def spiked_plateau(experiment):
    """Return the `SpikedPlateau` of an experiment with InfoNCE and noise_spikes."""
    exp, views = experiment, view_moments(experiment)
    v, arguments = exp.spike_variance, 1 if exp.stop_gradient else 2
    kinds = (
        (exp.n_features, views.cross.sparse, views.anchor.sparse, views.key.sparse),
        (exp.noise_spikes, *(v + m.dense for m in (views.cross, views.anchor, views.key))),
    )
    noise = exp.learning_rate / exp.batch_size * scatter_of_negatives(exp) * views.anchor.dense
    noise *= max(exp.n_inputs - exp.n_features - exp.noise_spikes, 0)

    def at_rest(attraction):
        """Of either kind the number of directions, what one holds, and the noise beside it."""
        pull, held = arguments * attraction, []
        for count, cross, anchor, key in kinds:
            h = max(cross - exp.weight_decay / pull, 0.0) / anchor
            kept = exp.weight_decay + pull * (h * views.anchor.dense - views.cross.dense)
            beside = noise * pull * attraction * h / (2 * kept) if h > 0 else 0.0
            held.append((count, h / key, beside))
        return held

    def attraction_at(held):
        """1 - P of the mean similarity, the keys' other similarities being Gaussian."""
        similarity = sum(n * cross * a for (n, a, _), (_, cross, _, _) in zip(held, kinds))
        spread = sum(n * c1 * c2 * a**2 for (n, a, _), (_, _, c1, c2) in zip(held, kinds))
        return 1 / (1 + math.exp(min(similarity - spread / 2, 700.0)) / negative_count(exp))

    low, high = 0.0, uniform_attraction(exp)
    for _ in range(60):
        middle = (low + high) / 2
        if attraction_at(at_rest(middle)) < middle:
            high = middle
        else:
            low = middle
    (d, a, beside), (k, c, more) = at_rest(high)
    rest = d * beside + k * more
    return SpikedPlateau(
        d * a / (d * a + k * c) if d * a + k * c > 0 else 0.0,
        k * c / (k * c + rest) if c > 0 else 0.0,
        exp.temperature * d * a,
        exp.temperature * (k * c + rest),
    )


def spikes_grow(experiment, steps):
    """Return ln of the growth of weights along a spike in that many steps, thresholds and similarities aside."""
    exp = experiment
    pull = (1 if exp.stop_gradient else 2) * uniform_attraction(exp)
    pull *= exp.spike_variance + view_moments(exp).cross.dense
    return exp.learning_rate * (pull - exp.weight_decay) * steps
