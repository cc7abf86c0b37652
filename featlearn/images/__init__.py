"""Real images as x = M z + ξ: the model, its augmentations, and what is measured of them."""

from ..views import NoAugmentation
from .fastica import fast_ica
from .hybrids import Hybrid, RandomLight, SharedLight
from .measures import Decoupling, cross_moment, decoupling, dense_share, views_of
from .model import ImageModel
from .patches import cut_windows, grey, normalise
from .pixels import Blur, ContrastJitter, Crop, Cutout, PixelMask, PixelNoise

AUGMENTATIONS = {
    cls.name: cls
    for cls in (NoAugmentation, Hybrid, RandomLight, SharedLight, PixelMask, Crop, Blur, Cutout,
                PixelNoise, ContrastJitter)
}  # fmt: skip

__all__ = [
    "AUGMENTATIONS",
    "Blur",
    "ContrastJitter",
    "Crop",
    "Cutout",
    "Decoupling",
    "Hybrid",
    "ImageModel",
    "PixelMask",
    "PixelNoise",
    "RandomLight",
    "SharedLight",
    "cross_moment",
    "cut_windows",
    "decoupling",
    "dense_share",
    "fast_ica",
    "grey",
    "normalise",
    "views_of",
]
