"""Augmentations of an image's two parts: other low frequencies, or a random gain on them.

What their views have in common is known in closed form (derived: featlearn/theory/derivation.md,
"Moments of anisotropic noise"):

    E[x⁺⁺ x⁺ᵀ] = Σ_s + c Σ_d,      E[x⁺x⁺ᵀ] = E[x⁺⁺x⁺⁺ᵀ] = Σ_s + Σ_d.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..rules import checked, number
from ..views import Augmentation, Views
from .model import require_images


def output(out, sample):
    """Return the arrays the views are written to; fresh ones unless given."""
    return out or (np.empty_like(sample.noise), np.empty_like(sample.noise))


@dataclass(frozen=True)
class Hybrid(Augmentation):
    """Hybrid images: x^± = M z + √ρ ξ + √(1-ρ) ξ^±, ξ^± the low frequencies of other images.

    The sparse part, edges, stays whole. The second moments of one view are those of the image, and
    ρ = 1 is no augmentation.

    Attributes
    ----------
    correlation : float in [0, 1]
        ρ.
    """

    correlation: float = checked(0.0, number(0, 1), "ρ")
    name, n_normals = "hybrid", 3
    formula = "x± = M z + √ρ ξ + √(1-ρ) ξ±"
    remark = "both views hold all edges, and share a part ρ of the low frequencies."
    color, line_style = "#009E73", "--"

    @property
    def label(self):
        """What figures call it."""
        return f"hybrid, ρ = {self.correlation:g}"

    @property
    def dense_coupling(self):
        """c of E[x⁺⁺x⁺ᵀ] = Σ_s + c Σ_d."""
        return self.correlation

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; see `Augmentation.pair`."""
        views = output(out, sample)
        rho = self.correlation
        common = sample.signal + math.sqrt(rho) * sample.noise
        for view in views:
            model.draw_noise(rng, len(view), out=view)
            view *= math.sqrt(1 - rho)
            view += common
        return Views(*views)


@dataclass(frozen=True)
class RandomLight(Augmentation):
    """A random gain on every low-frequency component, fresh in each view: c_k ← g_k c_k.

    g_k ~ N(µ, 1-µ²), so that E g² = 1 and second moments of a view stay; it needs no other image.

    Attributes
    ----------
    gain : float in [0, 1]
        µ, the mean; the views' dense parts have correlation µ².
    """

    gain: float = checked(0.0, number(0, 1), "µ")
    name = "random_light"
    formula = "x± = M z + D (g± ⊙ Dᵀξ), g± ~ N(µ, 1-µ²)"
    remark = "both views hold all edges; the low frequencies share µ² of their variance."
    color, line_style = "#56B4E9", "--"

    @property
    def label(self):
        """What figures call it."""
        return f"random light, µ = {self.gain:g}"

    @property
    def dense_coupling(self):
        """c of E[x⁺⁺x⁺ᵀ] = Σ_s + c Σ_d."""
        return self.gain**2

    def check_model(self, model):
        """Refuse a model whose dense part has no components."""
        require_images(model)

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample` of an `ImageModel`."""
        signal = sample.signal.copy()
        loadings = sample.noise @ model.components
        views = output(out, sample)
        for view in views:
            gains = rng.standard_normal(loadings.shape, dtype=np.float32)
            gains *= math.sqrt(1 - self.gain**2)
            gains += self.gain
            np.matmul(gains * loadings, model.components.T, out=view)
            view += signal
        return Views(*views)


@dataclass(frozen=True)
class SharedLight(Augmentation):
    """Another image's low frequencies, the same in both views: x⁺ = x⁺⁺ = M z + ξ'.

    The control of `Hybrid`: it breaks what edges and light of one image have to do with each other,
    and leaves the two views as coupled as they were.
    """

    name = "shared_light"
    label = "another's light, the same in both"
    formula = "x⁺ = x⁺⁺ = M z + ξ'"
    remark = "both views are one hybrid image: they share all of it."
    color, line_style = "#E69F00", "-."
    identical_views = True
    dense_coupling = 1.0

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample`; anchors and keys are one array."""
        anchors, _ = output(out, sample)
        signal = sample.signal.copy()
        model.draw_noise(rng, len(anchors), out=anchors)
        anchors += signal
        return Views(anchors, anchors)
