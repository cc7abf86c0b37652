"""Patches of photographs: grey, in logarithms, cut at random, of mean 0 and about unit contrast."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import InvalidInput
from ..rules import integer, require

# Luminance of red, green and blue (ITU-R BT.601).
LUMINANCE = np.array([0.299, 0.587, 0.114])
# Added to intensities in [0, 1] before the logarithm: what counts as black.
BLACK = 0.05
# Added to the variance of a patch, as a part of the mean variance, before it is divided by: a patch
# of sky stays a weak one.
CONTRAST_FLOOR = 0.25
# Pixels of the largest photograph that is cut as it is: patches of larger ones are smooth, and light is
# all of them.
MOST_PIXELS = 400_000


def full_scale(array):
    """Return what the numbers of an image, or of several, are divided by: 1 for floats, 255 for bytes.

    Types of more bits hold images of 8, 10 or 12: whole numbers of theirs have the bits that their
    largest one needs.
    """
    if array.dtype.kind not in "iu" or array.size == 0:
        return 1.0
    bits = 8 if array.dtype == np.uint8 else max(int(array.max()).bit_length(), 1)
    return float(2**bits - 1)


def grey(image, scale=None):
    """Return an image as a float64 ndarray of shape (H, W), intensities in [0, 1].

    Parameters
    ----------
    image : ndarray of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
    scale : float, optional
        What its numbers are divided by; its `full_scale` without. Those outside [0, 1] then are brought
        there.

    Raises
    ------
    InvalidInput
        For other shapes or types, values that are not finite, or an image of one value.
    """
    image = np.asarray(image)
    colours = image.shape[2] if image.ndim == 3 else 1
    if (
        image.dtype.kind not in "fiub"
        or image.size == 0
        or (image.ndim != 2 and not (image.ndim == 3 and colours in (1, 3, 4)))
    ):
        found = f"an array of shape {image.shape} and type {image.dtype}"
        raise InvalidInput("image", found, "real numbers of shape (H, W), or (H, W, 3)")
    scale = full_scale(image) if scale is None else scale
    if image.ndim == 3:
        image = image[..., :3] @ LUMINANCE if colours > 1 else image[..., 0]
    image = np.asarray(image / scale, np.float64)
    if not np.isfinite(image).all():
        raise InvalidInput("image", "values that are not finite", "finite intensities")
    low, high = image.min(), image.max()
    if low == high:
        raise InvalidInput("image", f"{low + 0.0:g} everywhere", "an image that is not constant")
    if low >= 0 and high <= 1:
        return image
    # Of halves, as the difference of the ends may be larger than any number.
    return (image / 2 - low / 2) / (high / 2 - low / 2)


def shrink(image, least=1):
    """Return means over squares of pixels, as few a side as leave at most 400,000 of them.

    Parameters
    ----------
    image : ndarray of shape (H, W)
    least : int
        Pixels of the shorter side that stay.

    Returns
    -------
    ndarray of shape (h, w)
        The image itself where it is small enough.
    """
    k = math.ceil(math.sqrt(image.size / MOST_PIXELS))
    k = min(k, min(image.shape) // least)
    if k <= 1:
        return image
    h, w = (side // k for side in image.shape)
    return image[: h * k, : w * k].reshape(h, k, w, k).mean(axis=(1, 3))


def cut_windows(images, side, n, rng):
    """Cut n square windows at random places, each image as often as its area says.

    Parameters
    ----------
    images : sequence of ndarray of shape (H, W)
        Intensities in [0, 1]; the windows are log(intensity + 0.05).
    side, n : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n, side, side), float32, in random order

    Raises
    ------
    InvalidInput
        Without an image, or for one that is no such matrix or too small.
    """
    side, n = require("side", side, integer(1)), require("n", n, integer(0))
    images = [np.asarray(image) for image in images]
    if not images:
        raise InvalidInput("images", images, "at least one")
    for image in images:
        if image.ndim != 2 or image.dtype.kind not in "fiub" or image.size == 0:
            found = f"an array of shape {image.shape} and type {image.dtype}"
            raise InvalidInput("image", found, "numbers of shape (H, W), as grey returns them")
        if not (image.min() >= 0 and image.max() <= 1):
            found = f"numbers from {image.min():.4g} to {image.max():.4g}"
            raise InvalidInput("image", found, "intensities in [0, 1], as grey returns them")
        if min(image.shape) < side:
            raise InvalidInput("image", f"{image.shape[0]} × {image.shape[1]} pixels",
                               f"at least {side} × {side}")  # fmt: skip
    area = np.array([image.size for image in images], np.float64)
    counts = rng.multinomial(n, area / area.sum())
    windows = np.empty((n, side, side), np.float32)
    order, start = rng.permutation(n), 0
    for image, count in zip(images, counts):
        places = sliding_window_view(np.log(image + BLACK), (side, side))
        rows, columns = (rng.integers(size, size=count) for size in places.shape[:2])
        windows[order[start : start + count]] = places[rows, columns]
        start += count
    return windows


def normalise(windows, margin=0):
    """Bring the central part of each window to mean 0 and about unit variance.

    p ← (p - mean)/√(variance + v̄/4), v̄ the mean variance of all: both of the window without its
    margin, and applied to all of it.

    Parameters
    ----------
    windows : ndarray of shape (n, S, S), or (n, d1) with margin 0
    margin : int

    Returns
    -------
    ndarray of the same shape

    Raises
    ------
    InvalidInput
        If every window is constant or has numbers that are not finite, or the margin is all of it.
    """
    windows, margin = np.asarray(windows), require("margin", margin, integer(0))
    if margin and (windows.ndim != 3 or min(windows.shape[1:]) <= 2 * margin):
        raise InvalidInput("margin", margin, "0, or windows (n, S, S) with S > 2 margin")
    if not np.isfinite(windows).all():
        raise InvalidInput("patches", "nan or infinite numbers", "finite numbers")
    flat = centre(windows, margin)
    mean, variance = flat.mean(axis=1), flat.var(axis=1)
    if not variance.any():
        raise InvalidInput("patches", "constant ones", "patches with some contrast")
    scale = np.sqrt(variance + CONTRAST_FLOOR * variance.mean())
    axes = (slice(None), *[None] * (windows.ndim - 1))
    return (windows - mean[axes]) / scale[axes]


def centre(windows, margin=0):
    """Return windows (n, S, S) without their margin, as rows of shape (n, d1); rows as they are."""
    if margin:
        windows = windows[:, margin:-margin, margin:-margin]
    return windows.reshape(len(windows), -1)
