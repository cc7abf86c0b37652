"""The end of a run as it was predicted from the settings alone, against the end it has."""

from ..predictions.end_state import end_state, not_predicted
from .applicability import not_finished
from .claim import claim
from .verdict import does_not_apply, within

CLAIM = "end state"
TOLERANCE = 0.1


@claim(CLAIM, needs=not_predicted)
def claim_end_state(observed):
    """Compare where runs end with what the settings alone said, before anything ran.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "The end of a run".
    """
    unmet, exp = not_finished(observed), observed[0].experiment
    predicted = None if unmet else end_state(exp)
    if predicted is None:
        return [does_not_apply(CLAIM, "all of it", unmet or "norms do not saturate in time")]
    d = exp.n_features
    rows = [
        ("pure neurons, share of all", predicted.pure_fraction, lambda s: s.pure_fraction),
        (
            "atoms without a pure neuron, share of all",
            predicted.atoms_left_out / d,
            lambda s: 1 - s.atoms_learned / d,
        ),
        ("dense share ‖β_i‖²/‖w_i‖², median", predicted.dense_share, lambda s: 1 - s.sparse_share),
        (
            "cosine of f at the same z, given z ≠ 0",
            predicted.same_latents,
            lambda s: s.same_latents_active,
        ),
        (
            "cosine of f at the same ξ, given z ≠ 0",
            predicted.same_noise,
            lambda s: s.same_noise_active,
        ),
        ("regression error on f", predicted.regression, lambda s: s.regression("features")),
    ]
    why = "from the settings alone, before the run; a tenth of the whole range of each"
    return [
        within(
            CLAIM, name, value, [measure(o.summary) for o in observed], 0.0, why, absolute=TOLERANCE
        )
        for name, value, measure in rows
    ]
