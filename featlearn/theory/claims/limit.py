"""The theorem in its own regime: d1 a power of d, in the large-batch limit.

Where d1 = d^5 or more and batches leave no more noise than a far larger one would, what the theorems
call o(1) is small already at d = 64. The bounds are those of this regime, and far below those that
`representation` has for finite d and d1.
"""

from .applicability import not_finished
from .claim import claim
from .criterion import Criterion, judged
from .representation import atoms_to_learn
from .verdict import at_least, at_most

LEAST_FEATURES, LEAST_POWER, LEAST_NEURONS = 64, 5, 8


def not_in_the_limit(experiment):
    """Return why the limit's bounds do not apply to an experiment, or None."""
    d = experiment.n_features
    if not experiment.is_large_batch_limit:
        return "batches of independent samples: their noise is not that of the large-batch limit"
    if d < LEAST_FEATURES:
        return f"d = {d}: what is o(1) is small from d = {LEAST_FEATURES} on"
    if experiment.n_inputs < d**LEAST_POWER:
        return f"d1 is below d^{LEAST_POWER}"
    if experiment.n_neurons < LEAST_NEURONS * d:
        return f"m is below {LEAST_NEURONS} d: atoms are left without a neuron"
    return None


@claim("limit", needs=not_in_the_limit)
def claim_limit(observed):
    """The limit: at d1 = d^5 and more, in the large-batch limit, what is o(1) is small."""
    exp = observed[0].experiment
    if exp.augmentation not in ("random_mask", "none"):
        unmet = f"stated with RandomMask or without augmentation, not for {exp.augmentation}"
        return judged("limit", observed, unmet, [])
    unmet = "" if all(o.complete for o in observed) else not_finished(observed)
    return judged("limit", observed, unmet, limit_criteria(exp))


def limit_criteria(experiment):
    """Return what the limit is judged by, a list of `Criterion`; none outside of it."""
    if not_in_the_limit(experiment):
        return []
    learned, remark = atoms_to_learn(experiment)
    shared = [
        ("atoms with a pure neuron", lambda o: o.summary.atoms_learned),
        ("pure neurons, share of all", lambda o: o.summary.pure_fraction),
        ("dense share ‖β_i‖²/‖w_i‖², median", lambda o: 1 - o.summary.sparse_share),
        ("cosine of f at the same z, given z ≠ 0", lambda o: o.summary.same_latents_active),
        ("cosine of f at the same ξ, given z ≠ 0", lambda o: o.summary.same_noise_active),
        ("regression error on f", lambda o: o.summary.regression("features")),
    ]
    masked = [
        ("d", at_least, learned, "every atom that leads a neuron after stage I" + remark),
        ("1 - o(1)", at_least, 0.95, "cosine ≥ 0.9; the others still hold two atoms"),
        ("o(1)", at_most, 0.03, "what the noise inside the row space of L sustains, in proportion"
         " to η m/B"),
        ("1 - o(1)", at_least, 0.9, "noise that fires other neurons takes the rest"),
        ("o(1)", at_most, 0.06, "only that noise is left to share"),
        ("o(1)", at_most, 0.15, "falls about as 1/d"),
    ]  # fmt: skip
    plain = [
        ("none", at_most, 0, "a function of the noise"),
        ("0", at_most, 0.0, "likewise"),
        ("1 - o(1)", at_least, 0.98, "of d1 - d dense directions against d"),
        ("o(1)", at_most, 0.02, "the latents are d of d1 directions"),
        ("1 - o(1)", at_least, 0.97, "f is a function of the noise"),
        ("Ω(1)", at_least, 0.98, "no head on f beats chance by more than 2 %"),
    ]
    bounds = masked if experiment.augmentation == "random_mask" else plain
    return [
        Criterion(name, predicted, judge, bound, value, why)
        for (name, value), (predicted, judge, bound, why) in zip(shared, bounds)
    ]
