"""Augmentations that act on the pixels of a patch, before the linear filter that makes samples.

They are what is usual for images. None of them decouples the low frequencies of the two views without
the edges, as `featlearn.images.decoupling` measures.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import InvalidInput
from ..rules import checked, integer, number
from ..views import Augmentation, Views
from .hybrids import output
from .model import require_images
from .patches import centre


class OnPatches(Augmentation):
    """An augmentation that acts on the patch itself; a subclass says how, in `patches`.

    Attributes
    ----------
    dense_coupling : None
        Its moments are measured: they have no closed form.
    needs_squares : bool
        Whether it has to know which pixels are neighbours.
    """

    color, line_style = "#8A8A8A", ":"
    dense_coupling = None
    needs_squares = False

    def check_model(self, model):
        """Refuse a model without its images, or with images of another kind than this needs."""
        require_images(model)
        windows = model.windows
        if windows is None:
            raise InvalidInput("augmentation", self.name, "a model with its images' pixels")
        square = windows.ndim == 3 and windows.shape[1] == windows.shape[2]
        if self.needs_squares and not square:
            raise InvalidInput("augmentation", self.name, "square images: rows of shape (n, S, S)")

    def pair(self, rng, sample, model, out=None):
        """Return the `Views` of a `Sample` of an `ImageModel` that has its images."""
        windows = model.windows[sample.latents]
        views = output(out, sample)
        for view, patches in zip(views, self.patches(rng, windows, model.margin)):
            view[...] = model.filtered(patches)
        return Views(*views)


@dataclass(frozen=True)
class PixelMask(OnPatches):
    """The paper's RandomMask on pixels: p⁺ = 2 D p, p⁺⁺ = 2 (I - D) p, D fair coins.

    Neighbouring pixels are alike, so that either half still shows the low frequencies.
    """

    name, label = "pixel_mask", "pixel mask"
    formula = "p⁺ = 2 D p,  p⁺⁺ = 2 (I-D) p"
    remark = "no pixel is in both views, but its neighbours, which are alike."

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        p = centre(windows, margin)
        kept = rng.random(p.shape, dtype=np.float32) < 0.5
        return 2 * p * kept, 2 * p * ~kept


@dataclass(frozen=True)
class Crop(OnPatches):
    """Two crops, each up to r pixels off in either direction.

    Attributes
    ----------
    radius : int
        r, at most the model's margin.
    """

    radius: int = checked(2, integer(0), "r")
    name = "crop"
    formula = "p± = p shifted by up to r pixels"
    remark = "low frequencies hardly move, edges do."
    needs_squares = True

    @property
    def label(self):
        """What figures call it."""
        return f"crop ± {self.radius} px"

    def check_model(self, model):
        """Refuse a model whose images have a smaller margin."""
        super().check_model(model)
        if self.radius > model.margin:
            raise InvalidInput("radius", self.radius, f"at most the images' margin, {model.margin}")

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        n, side = len(windows), windows.shape[1] - 2 * margin
        within = np.arange(side)
        views = []
        for _ in range(2):
            down, right = rng.integers(margin - self.radius, margin + self.radius + 1, (2, n, 1))
            rows, columns = (down + within)[:, :, None], (right + within)[:, None, :]
            views.append(windows[np.arange(n)[:, None, None], rows, columns].reshape(n, -1))
        return tuple(views)


@dataclass(frozen=True)
class Blur(OnPatches):
    """A patch and its Gaussian blur.

    Attributes
    ----------
    width : float > 0
        Standard deviation in pixels.
    """

    width: float = checked(1.0, number(0, open_low=True), "standard deviation")
    name = "blur"
    formula = "p⁺ = p,  p⁺⁺ = G p"
    remark = "the blurred view keeps just the low frequencies."
    needs_squares = True

    @property
    def label(self):
        """What figures call it."""
        return f"blur {self.width:g} px"

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        blurred = gaussian_filter(windows, (0, self.width, self.width))
        return centre(windows, margin), centre(blurred, margin)


@dataclass(frozen=True)
class Cutout(OnPatches):
    """A square of half the side is blank, elsewhere in each view."""

    name = label = "cutout"
    formula = "p± = p outside a square"
    remark = "outside both squares everything is shared."
    needs_squares = True

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        p = centre(windows, margin)
        side = windows.shape[1] - 2 * margin
        hole = side // 2
        within = np.arange(side)
        views = []
        for _ in range(2):
            corner = rng.integers(0, side - hole + 1, (2, len(p), 1))
            rows, columns = (within >= corner) & (within < corner + hole)
            blank = rows[:, :, None] & columns[:, None, :]
            views.append(p * ~blank.reshape(len(p), -1))
        return tuple(views)


@dataclass(frozen=True)
class PixelNoise(OnPatches):
    """Independent normal noise on every pixel of each view.

    Attributes
    ----------
    deviation : float ≥ 0
        Standard deviation; a patch has about 1.
    """

    deviation: float = checked(1.0, number(0), "standard deviation")
    name = "pixel_noise"
    formula = "p± = p + σ ε±"
    remark = "low frequencies stand above the noise, edges do not."

    @property
    def label(self):
        """What figures call it."""
        return f"pixel noise {self.deviation:g}"

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        p = centre(windows, margin)
        sigma = np.float32(self.deviation)
        return tuple(p + sigma * rng.standard_normal(p.shape, dtype=np.float32) for _ in range(2))


@dataclass(frozen=True)
class ContrastJitter(OnPatches):
    """Each view times a factor uniform in [1 - r, 1 + r].

    Attributes
    ----------
    radius : float in [0, 1]
        r.
    """

    radius: float = checked(0.5, number(0, 1), "r")
    name = "contrast_jitter"
    formula = "p± = u± p"
    remark = "everything is shared, but for its strength."

    @property
    def label(self):
        """What figures call it."""
        return f"contrast ± {100 * self.radius:.0f} %"

    def patches(self, rng, windows, margin):
        """Return two views of patches, each of shape (n, d1)."""
        p = centre(windows, margin)
        low, high = 1 - self.radius, 1 + self.radius
        return tuple(p * rng.uniform(low, high, (len(p), 1)).astype(p.dtype) for _ in range(2))
