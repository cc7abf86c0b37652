"""When the claims apply: the preconditions of T1-T3, each a sentence where it is not met."""

import math

from ..views import make_augmentation


def moments(experiment):
    """Return the second `Moments` of an experiment's views."""
    views = make_augmentation(
        experiment.augmentation, experiment.keep_probability, experiment.noise_correlation
    )
    return views.moments(experiment.resolved_density, experiment.resolved_noise_variance)


def noise_margin(experiment):
    """Return κ n₁n₂/s with κ = η d1/(2B): sampling noise against signal.

    n₁ and n₂ are the noise variances of anchor and key along a unit direction. Above 1 the sampling
    noise in the dense directions outgrows the sparse features, and none is learned (derived in
    featlearn/theory/derivation.md, "Stage I").
    """
    m, exp = moments(experiment), experiment
    f = exp.n_features / exp.n_inputs
    n1, n2 = (moment.isotropic + moment.diagonal * f for moment in (m.anchor, m.key))
    if exp.resolved_density == 0:
        return math.inf
    kappa = exp.learning_rate * exp.n_inputs / (2 * exp.batch_size)
    return kappa * n1 * n2 / exp.resolved_density


def crossing_growth(experiment):
    """Return g*, ln of the growth of ‖w‖ at which the sparse part overtakes the dense one.

        g* = ½ ln(2(1 - d/d1)) + (c_D - λ) ln(d1/d - 1)/(2s),

    c_D being the dense cross-moment of the views (derived in featlearn/theory/derivation.md, "The
    decoupling dial"). -∞ where the sparse part leads from the start, d1 ≤ 2d.
    """
    exp = experiment
    ratio = exp.n_inputs / exp.n_features
    if ratio <= 2:
        return -math.inf
    if exp.resolved_density == 0:
        return math.inf
    excess = moments(exp).cross.isotropic - exp.weight_decay
    return 0.5 * math.log(2 * (1 - 1 / ratio)) + excess * math.log(ratio - 1) / (
        2 * exp.resolved_density
    )


def not_finished(observed):
    """Return why a claim about the end of training does not apply to these runs, or nothing.

    Parameters
    ----------
    observed : list of Observed

    Returns
    -------
    str
    """
    for o in observed:
        if not o.complete:
            return f"the run stopped at step {o.run.steps[-1]} of {o.experiment.n_steps}"
    if observed[0].experiment.stage_one_growth is None:
        return "the network is linear: its biases stay at 0"
    stage = min(o.last_stage for o in observed)
    if stage < 3:
        return f"training ended in stage {'I' * stage}"
    return ""


def features_not_promised(observed):
    """Return the unmet precondition of T1 and T2, or nothing; see `not_finished`."""
    exp = observed[0].experiment
    shared = moments(exp).cross.isotropic
    if shared != 0:
        return (
            f"the views share dense noise, of covariance {shared:.3g} per coordinate"
            f" ({exp.augmentation})"
        )
    margin = noise_margin(exp)
    if margin >= 1:
        return f"noise margin κn²/s = {margin:.3g} is not below 1: raise B or lower η"
    return not_finished(observed)


def noise_not_promised(observed):
    """Return the unmet precondition of T3, or nothing; see `not_finished`."""
    exp = observed[0].experiment
    if exp.augmentation != "none":
        return f"the views are augmented ({exp.augmentation})"
    growth, needed = max(o.growth for o in observed), crossing_growth(exp)
    if growth >= needed:
        return (
            f"growth g = {growth:.3g} reached g* = {needed:.3g}, where the sparse part overtakes"
            " the dense one: raise d1/d or the noise, or lower τ"
        )
    return not_finished(observed)
