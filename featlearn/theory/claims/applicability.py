"""When the claims apply to recorded runs: each unmet precondition is a sentence.

What an experiment decides before anything runs is in `preconditions`.
"""

import numpy as np

from ...latents import unusual_data
from ...schedule import log_growth
from ..predictions.crossing import crossing
from ..predictions.limits import threshold
from ..predictions.lottery import left_out
from ..predictions.moments import view_moments
from ..predictions.on_sphere import rated
from ..predictions.preconditions import features_unmet
from .normalised import dense_on_sphere, not_selected_on_sphere

FEWEST_ANCHORS = 16
# d1/d of masked views from which terms beyond d/d1 are lost in the tolerances. Measured on a random M: Σα²/τ came
# out 11-15 % low at 2 to 4, 8 % at 6 and 8, 1 % at 32.
FEWEST_INPUTS = 6
# ln of the growth over the last tenth of a run from which norms have not come to rest.
AT_REST = 0.02
# Laws of z with the paper's second moments.
UNCORRELATED = ("latents = one_of_d", "latents = k_sparse")
# Part of a neuron that its start may still be.
STARTED = 0.15
# And of a pure one, whose cosine of 0.9 leaves 0.44 for all else.
IMPURE = 0.4
# ln of the growth in stages II and III by which losing features fall behind, and the time in which those
# of norms at rest do, in units of 1/λ.
_SELECTS, _DECAYS = 2.0, 0.9


def contrastive(experiment):
    """Return why a claim about the paper's own loss does not apply to an experiment, or None.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    str or None
    """
    if experiment.objective == "infonce":
        return None
    return f"it speaks of InfoNCE, the paper's loss; the objective is {experiment.objective}"


def other_moments(experiment):
    """Return why what is derived for the paper's law of z does not apply to an experiment, or nothing.

    Laws with the paper's second moments will do.
    """
    unusual = unusual_data(experiment)
    if set(unusual) <= set(UNCORRELATED):
        return ""
    return "it is derived for the paper's data, not for " + ", ".join(unusual)


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
    if observed[0].experiment.stays_linear:
        return "the network is linear: its biases stay at 0"
    stage = min(o.last_stage for o in observed)
    if stage < 3:
        return f"training ended in stage {'I' * stage}"
    return ""


def features_not_promised(observed):
    """Return the unmet precondition of T1 and T2, or nothing; see `not_finished`."""
    exp = observed[0].experiment
    unmet = features_unmet(exp) or not_finished(observed)
    if not unmet and any(o.run.start for o in observed):
        unmet = remembers_start(observed, "dense_norm", IMPURE)
    if unmet or exp.objective != "nt_xent":
        return unmet or not_selected(observed)
    found = [not_selected_on_sphere(o) or dense_on_sphere(o) for o in observed]
    return next(filter(None, found), "")


def remembers_start(observed, part="weight_norm", most=STARTED):
    """Return why a part of the weights that a run began with may still be seen, or nothing."""
    exp, left = observed[0].experiment, []
    for o in observed:
        kept = (1 - exp.learning_rate * exp.weight_decay) ** float(o.run.steps[-1] - o.run.steps[0])
        left.append(float(np.median(o.run[part][0] / o.norms)) * kept)
    if max(left) <= most:
        return ""
    return (
        f"the {part.replace('_', ' ')} of the start, once decayed, may be {max(left):.2g} of a neuron's"
        f" norm; needs {most}"
    )


def not_selected(observed):
    """Return why features that lost a neuron may still be in it, or nothing.

    They fall behind by the growth of the winner, and once the norms rest decay at the rate λ: without decay
    growth is all there is.
    """
    exp = observed[0].experiment
    for o in observed:
        rows = [o.first_row_of(stage) for stage in (2, 3)]
        before, after = o.run["weight_norm"][[rows[0], -1]]
        budget = log_growth(before, after)
        rest = exp.learning_rate * exp.weight_decay * float(o.run.steps[-1] - o.run.steps[rows[1]])
        if budget < _SELECTS and rest < _DECAYS:
            if exp.weight_decay == 0:
                return (
                    f"norms grew by e^{budget:.2g} in stages II and III; without weight decay losing features take a"
                    " growth of e² to fall behind"
                )
            return (
                f"stage III lasted {rest:.2g}/λ and norms grew by e^{budget:.2g} in stages II and"
                f" III: losing features take {_DECAYS}/λ, or a growth of e², to fall behind"
            )
    return ""


def dying(experiment):
    """Return why the dense neurons of an un-augmented network die of decay, or nothing."""
    limit = threshold(rated(experiment))
    if experiment.stays_linear or limit.met:
        return ""
    return (
        f"dense neurons die: at the cap of b/‖w‖ they are active on {100 * limit.activity:.3g} % of the"
        f" samples, and decay asks for λ/σ² = {100 * limit.needed:.3g} %"
    )


def no_competition(experiment):
    """Return why noise and features do not compete in an un-augmented network, or nothing."""
    exp = experiment
    if exp.resolved_density == 0 or exp.resolved_noise_variance == 0:
        return "the samples lack latents or noise, one of the two that compete"
    return dying(exp)


def noise_not_promised(observed):
    """Return the unmet precondition of T3, or nothing; see `not_finished`."""
    exp = observed[0].experiment
    if not observed[0].augmentation.identical_views:
        return f"the views are augmented ({exp.augmentation})"
    unmet = no_competition(exp)
    if unmet:
        return unmet
    if max(o.norms.max() for o in observed) ** 2 < np.finfo(exp.dtype).tiny:
        return "products of two outputs are below the smallest number of their type"
    growth, needed = max(o.growth for o in observed), crossing(rated(exp)).growth
    if growth >= needed:
        return (
            f"growth g = {growth:.3g} reached g* = {needed:.3g}, where the sparse part overtakes"
            f" the dense one: raise d1/d or the noise{'' if exp.objective == 'nt_xent' else ', or lower τ'}"
        )
    return not_finished(observed)


def few_to_pick(experiment):
    """Return why some atom may lead no neuron, or nothing: m neurons that pick atoms at random."""
    lost = left_out(experiment, 0.0).expected
    if round(lost) == 0:
        return ""
    return (
        f"n_neurons = {experiment.n_neurons} that pick among {experiment.n_features} atoms at random"
        f" are expected to leave {lost:.2g} out"
    )


def few_anchors(experiment):
    """Return why an expansion in 1/B does not apply to an experiment, or nothing."""
    if experiment.batch_size < FEWEST_ANCHORS:
        return f"batches of fewer than {FEWEST_ANCHORS}: an expansion in 1/B"
    return ""


def few_inputs(experiment):
    """Return why an expansion in d/d1 does not apply to an experiment, or nothing: few inputs to mask."""
    d1, d = experiment.n_inputs, experiment.n_features
    if d1 >= FEWEST_INPUTS * d or view_moments(experiment).anchor_excess == 0:
        return ""
    return (
        f"n_inputs is {d1 / d:.2g} n_features, fewer than {FEWEST_INPUTS}: what a mask leaves of few inputs is"
        " derived to the order of d/d1 only"
    )
