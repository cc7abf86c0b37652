"""Where images come from: those that installed packages bring, or a user's own files."""

import functools
import importlib.util
from pathlib import Path

import numpy as np

from ..compute.streams import generator
from ..errors import InvalidInput
from ..rules import require
from .model import N_DENSE, N_SPARSE, ROWS_PER_DIRECTION, SEED, ImageModel
from .patches import centre, cut_windows, full_scale, grey, normalise, shrink

SIDE, MARGIN = 12, 2
N_WINDOWS = 20000
LAYOUTS = ("rows", "image", "stack")
# Images of a stack from this side on are cut into patches; smaller ones are patches themselves.
LARGE = 32
EXTRA = "pip install scikit-learn"
# What errors of the functions that files are handed to speak of; here the file's name stands for it.
OF_A_FILE = ("image", "patches", "rows")


def has_extra():
    """Return whether scikit-learn, which brings two photographs and digits, is installed."""
    return importlib.util.find_spec("sklearn") is not None


def photographs():
    """Return the photographs at hand, a dictionary of name to grey image (H, W).

    Two that scikit-learn brings, or without it the one that matplotlib does.
    """
    if has_extra():
        from sklearn.datasets import load_sample_image

        return {name: grey(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")}
    from matplotlib import cbook, image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return {"grace_hopper.jpg": grey(image.imread(file, format="jpg"))}


def image_model(files=None, layout=None, n_dense=20, n_sparse=54, seed=0, say=None):
    """Return the `ImageModel` of a user's files, or of the photographs at hand.

    Parameters
    ----------
    files, layout
        As for `read`; the photographs without files.
    n_dense, n_sparse, seed
        As for `ImageModel.from_rows`.
    say : callable, optional
        Is told, in a line, what was done to the images and what they lack.

    Raises
    ------
    InvalidInput
        As `read` and `ImageModel.from_rows` do.
    """
    n_dense, n_sparse = (
        require("n_dense", n_dense, N_DENSE),
        require("n_sparse", n_sparse, N_SPARSE),
    )
    kept, seed = n_dense + n_sparse, require("seed", seed, SEED)
    if files:
        rows, margin = read(files, layout, seed, kept=kept, say=say)
    else:
        rows, margin = windows_of(photographs().values(), seed), MARGIN
    source = named(files) if files else "photographs"
    d1 = centre(rows, margin).shape[1]
    if d1 <= kept:
        wanted = f"more than n_dense + n_sparse = {kept}, as the mean of each is removed"
        raise InvalidInput(source, f"rows of {d1} numbers", wanted)
    make = functools.partial(ImageModel.from_rows, margin=margin, seed=seed)
    model = _from(source, make, rows, n_dense, n_sparse)
    if say and not model.converged:
        say("FastICA still turned when it stopped: other seeds find other atoms than they need to")
    return model


def named(paths):
    """Return some paths as an error tells of them: the first, and how many more."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def windows_of(images, seed=0, n=None):
    """Cut n normalised patches with their margins from images.

    Parameters
    ----------
    images : sequence of ndarray of shape (H, W)
    seed : int
    n : int, optional
        20,000 without.

    Returns
    -------
    ndarray of shape (n, 16, 16), float32
    """
    side = SIDE + 2 * MARGIN
    cut = cut_windows(list(images), side, n or N_WINDOWS, generator(seed, "images", 2))
    return normalise(cut, MARGIN)


def read(paths, layout=None, seed=0, n=None, kept=74, say=None):
    """Read a user's images, as rows or windows for `ImageModel.from_rows`.

    Parameters
    ----------
    paths : sequence of path
        One .npy file, or image files that matplotlib reads.
    layout : {"rows", "image", "stack"}, optional
        What an array of the .npy file is; needed where its shape could be either.
    seed : int
    n : int, optional
        Patches to cut, or rows to draw of more; 20,000 without.
    kept : int
        Directions that they have to determine.
    say : callable, optional
        Is told where images are shrunk.

    Returns
    -------
    rows : ndarray of shape (n, d1) or (n, S, S)
    margin : int

    Raises
    ------
    InvalidInput
        Naming the file, what it holds, and what is wanted.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InvalidInput("--layout", layout, "one of " + ", ".join(LAYOUTS))
    paths, cut = (
        [Path(path) for path in paths],
        functools.partial(_cut, seed=seed, n=n, kept=kept, say=say),
    )
    arrays = [path.suffix.lower() == ".npy" for path in paths]
    if any(arrays) and len(paths) > 1:
        raise InvalidInput("images", f"{len(paths)} files", "one .npy file, or image files only")
    if not any(arrays):
        if layout not in (None, "image"):
            raise InvalidInput("--layout", layout, "none: image files are images")
        return cut({path: _from(path, grey, _image(path)) for path in paths})
    path = paths[0]
    array = _array(path)
    if array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    layout = layout or _guess(path, array.shape)
    if layout == "image":
        return cut({path: _from(path, grey, array)})
    if layout == "stack":
        if array.ndim not in (3, 4):
            raise InvalidInput(str(path), f"shape {array.shape}", "(n, H, W) for a stack")
        if min(array.shape[1:3]) >= LARGE:
            scale = full_scale(array)
            return cut({f"{path}[{k}]": _from(f"{path}[{k}]", grey, image, scale)
                        for k, image in enumerate(array)})  # fmt: skip
        if array.ndim == 4:
            raise InvalidInput(str(path), f"shape {array.shape}", "grey patches (n, H, W)")
        square = array.shape[1] == array.shape[2]
        rows = array if square else array.reshape(len(array), -1)
    else:
        if array.ndim != 2:
            raise InvalidInput(str(path), f"shape {array.shape}", "(n, d1) for rows")
        rows = array
    if rows.dtype.kind not in "fiub" or not np.isfinite(rows).all():
        # The model says what is wrong with them.
        return rows, 0
    most = n or N_WINDOWS
    if len(rows) > most:
        rows = rows[generator(seed, "images", 2).permutation(len(rows))[:most]]
    # In units of the largest: squares of very large or small numbers have no place in any type.
    largest = float(np.abs(rows.astype(np.float64)).max()) or 1.0
    return _from(path, normalise, rows / largest).astype(np.float32), 0


def _cut(images, seed, n, kept, say):
    """Windows of images by name, and their margin; large images are shrunk.

    Places that overlap by half at most count, as neighbours are almost one patch. Atoms of fewer may fit
    nothing else: those of 128 × 128 pixels of a portrait had a third of their kurtosis on the rest of
    it, those of 256 × 256 all of it.
    """
    side, stride, places = SIDE + 2 * MARGIN, SIDE // 2, 0
    large = {name: image.shape for name, image in images.items()}
    images = {name: shrink(image, 2 * side) for name, image in images.items()}
    for (h, w), small in dict.fromkeys((large[name], images[name].shape) for name in images):
        if say and small != (h, w):
            say(f"{w} × {h} pixels shrunk to {small[1]} × {small[0]}, so that patches have edges")
    for name, (height, width) in ((name, image.shape) for name, image in images.items()):
        if min(height, width) < side:
            raise InvalidInput(str(name), f"{height} × {width} pixels", f"at least {side} × {side}")
        places += ((height - side) // stride + 1) * ((width - side) // stride + 1)
    least = ROWS_PER_DIRECTION * kept
    if places < least:
        raise InvalidInput(
            named(list(images)), f"{places} patches of {SIDE} × {SIDE} pixels that overlap by half",
            f"at least {least}, {ROWS_PER_DIRECTION} for each of n_dense + n_sparse = {kept}"
        )  # fmt: skip
    return windows_of(images.values(), seed, n), MARGIN


def _from(source, function, *arguments):
    """What a function makes of what a file holds; its errors name the file."""
    try:
        return function(*arguments)
    except InvalidInput as problem:
        field = str(source) if problem.field in OF_A_FILE else problem.field
        raise InvalidInput(field, problem.value, problem.wanted) from None


def _guess(path, shape):
    """The layout that a shape can only have, or an error that asks for it."""
    if len(shape) == 2:
        n, d1 = shape
        can_be = {
            "rows": n >= 3 * d1,
            "image": min(shape) >= 2 * LARGE and max(shape) < 10 * min(shape),
        }
    elif len(shape) == 3 and shape[2] in (3, 4):
        can_be = {"image": True, "stack": shape[1] in (3, 4)}
    else:
        can_be = {"stack": len(shape) in (3, 4)}
    possible = [name for name, can in can_be.items() if can]
    if len(possible) != 1:
        raise InvalidInput(
            str(path), f"shape {shape}",
            "--layout rows for (n, d1), image for (H, W) or (H, W, 3), or stack for (n, H, W):"
            " its shape does not tell which"
        )  # fmt: skip
    return possible[0]


def _array(path):
    try:
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or error
        raise InvalidInput("images", str(path), f"a readable file ({reason})") from None
    except Exception:  # damaged bytes, or an archive's; whatever is no array is said to be pickled
        wanted = "an array of numbers, as numpy.save writes it"
        raise InvalidInput("images", str(path), wanted) from None
    if not isinstance(array, np.ndarray) or array.size == 0:
        found = f"shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise InvalidInput(str(path), found, "an array with numbers in it")
    return array


def _image(path):
    from matplotlib import image

    try:
        return image.imread(path)
    except OSError as error:
        raise InvalidInput("images", str(path), f"an image file ({error})") from None
    except Exception as error:  # readers of images meet damaged bytes with errors of many kinds
        raise InvalidInput("images", str(path), f"an image file ({type(error).__name__})") from None
