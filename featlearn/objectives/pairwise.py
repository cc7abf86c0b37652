"""Losses that compare an anchor with its key and with negatives, beside the paper's own.

Each is given by how strongly an anchor is pulled to its key, a_p, and pushed away from each negative,
R_pn, so that -B ∂L/∂h(x_p⁺) = a_p h(x_p⁺⁺) - Σ_n R_pn h(x_n). With S = ⟨h, h'⟩/τ and N negatives:

    InfoNCE     L_p = -τ log [ e^{S_p0} / (e^{S_p0} + Σ_n e^{S_pn}) ]     a = 1 - P_p0,  R = P_pn
    decoupled   L_p = -τ log [ e^{S_p0} / Σ_n e^{S_pn} ]                  a = 1,         R = softmax over n
    spectral    L_p = τ ( -S_p0 + (1/2N) Σ_n S_pn² )                      a = 1,         R = S_pn/N

InfoNCE is Wen & Li 2021, setting (`featlearn.loss`); decoupled: Yeh et al. 2022; spectral: HaoChen et al.
2021, whose loss for f/√τ is 2/τ times this one. Where E S = 0 the spectral loss is the second-order
expansion of the decoupled one (derived: featlearn/theory/derivation.md, "Other objectives").
"""

import numpy as np

from ..compute.workspace import Workspace
from ..errors import InvalidInput
from ..loss import Contrast, over_anchors, row_maxima


def decoupled(
    anchor_features,
    key_features,
    temperature,
    negative_features=None,
    work=None,
    spare=None,
    groups=1,
):
    """Evaluate the decoupled loss, whose denominator holds the negatives only.

    Takes what `featlearn.loss.contrast` does and returns its `Contrast`; there is no P_p0.

    Raises
    ------
    InvalidInput
        If an anchor has no negative.
    """
    P, positive, log_total, _ = _over_anchors(
        softmax_of_negatives,
        anchor_features,
        key_features,
        temperature,
        negative_features,
        work,
        spare,
        groups,
    )
    loss = (temperature * np.mean(log_total - positive, axis=-1)).tolist()
    return Contrast(loss, np.ones_like(positive), P, None)


def spectral(
    anchor_features,
    key_features,
    temperature,
    negative_features=None,
    work=None,
    spare=None,
    groups=1,
):
    """Evaluate the spectral contrastive loss; see `decoupled`."""
    R, positive, squares, count = _over_anchors(
        similarities_and_squares,
        anchor_features,
        key_features,
        temperature,
        negative_features,
        work,
        spare,
        groups,
    )
    loss = (temperature * np.mean(squares / (2 * count) - positive, axis=-1)).tolist()
    return Contrast(loss, np.ones_like(positive), R, None)


def softmax_of_negatives(
    h, h_key, scaled, P, index, positive, log_total, others, temperature, in_batch
):
    """P_pn = exp S_pn / Σ_n exp S_pn of some anchors, in `P`; S_p0 and log of the sum beside it."""
    similarities(h, h_key, scaled, P, index, positive, others, temperature, in_batch, -np.inf)
    largest = row_maxima(P)
    P -= largest[..., None]
    np.exp(P, out=P)
    total = P.sum(axis=-1)
    P /= total[..., None]
    log_total[:] = np.log(total, dtype=np.float64) + largest


def similarities_and_squares(
    h, h_key, scaled, R, index, positive, squares, others, temperature, in_batch
):
    """R_pn = S_pn/N of some anchors, in `R`; S_p0 and Σ_n S_pn² beside it."""
    similarities(h, h_key, scaled, R, index, positive, others, temperature, in_batch, 0)
    np.einsum("...pn,...pn->...p", R, R, out=squares, dtype=np.float64)
    R /= R.shape[-1] - in_batch


def similarities(h, h_key, scaled, S, index, positive, others, temperature, in_batch, own):
    """S = H H_nᵀ/τ of some anchors, in `S`, with `own` in the place of the anchor's own key."""
    np.divide(h, temperature, out=scaled)
    np.matmul(scaled, others.swapaxes(-2, -1), out=S)
    np.einsum("...pi,...pi->...p", scaled, h_key, out=positive)
    if in_batch:
        S[..., np.arange(len(index)), index] = own


def _over_anchors(kernel, anchors, keys, temperature, negatives, work, spare, groups):
    """The kernel's matrix, S_p0 and statistic, and the number of an anchor's negatives."""
    work = work or Workspace()
    in_batch = negatives is None
    count = (keys if in_batch else negatives).shape[-2] // groups - in_batch
    if count < 1:
        raise InvalidInput(
            "anchors", anchors.shape[-2], f"at least {2 * groups} with in-batch negatives"
        )
    statistic = work("row statistic", anchors.shape[:-1], np.float64)
    matrix, positive = over_anchors(
        kernel, statistic, anchors, keys, temperature, negatives, work, spare, groups
    )
    return matrix, positive, statistic, count
