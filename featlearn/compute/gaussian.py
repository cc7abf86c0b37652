"""Normal numbers by the Box-Muller transform.

Half of a plain training step would go into drawing noise by rejection. This transform has no
branches, so that NumPy's vectorised functions take half that time.
"""

import math

import numpy as np

from ..errors import InvalidInput


def fill_normal(rng, out, scale=1.0):
    """Fill an array with independent draws from N(0, scale²).

    From 32-bit integers k and l, uniform on [0, 2³²) and [-2³¹, 2³¹),

        r = √(-2 ln((k + ½)/2³²)),   φ = 2π l/2³²,   and the draws are r cos φ and r sin φ.

    Parameters
    ----------
    rng : numpy.random.Generator
    out : ndarray of float32, contiguous
    scale : float ≥ 0
        Standard deviation.

    Raises
    ------
    InvalidInput
        If `out` is of another type or not contiguous.

    Notes
    -----
    The transform is exact for continuous k and l; the largest draw is 6.8 scale, beyond which a
    normal number lies once in 10¹¹ draws.
    """
    if not out.flags.c_contiguous or out.dtype != np.float32:
        raise InvalidInput("out", f"an array of {out.dtype}", "a contiguous one of float32")
    flat = out.reshape(-1)
    half = (flat.size + 1) // 2
    r, rest = flat[:half], flat[half:]
    np.copyto(r, _integers(rng, half), casting="unsafe")
    r += np.float32(0.5)
    r *= np.float32(2.0**-32)
    np.log(r, out=r)
    r *= np.float32(-2)
    np.sqrt(r, out=r)
    r *= np.float32(scale)
    angles = _integers(rng, half).view(np.int32)
    # Angles take the place of the integers they are made from.
    phi = angles.view(np.float32)
    np.copyto(phi, angles, casting="unsafe")
    phi *= np.float32(2 * math.pi / 2**32)
    np.sin(phi[: rest.size], out=rest)
    rest *= r[: rest.size]
    np.cos(phi, out=phi)
    r *= phi


def _integers(rng, n):
    """Draw n integers uniform on [0, 2³²), two from every word of the generator."""
    return rng.bit_generator.random_raw((n + 1) // 2).view(np.uint32)[:n]
