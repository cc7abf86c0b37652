"""When atoms are promised of what labels teach: each unmet precondition is a sentence."""

from ..predictions.supervised import largest_pull, not_told, spread_pull
from ..predictions.taught import too_many_tasks
from .applicability import not_finished, not_selected, remembers_start

# Times decay that the pull on the weakest atom must be at least: outputs take a part of it.
OUTDOES_DECAY = 1.25
# And times the pull on neurons of all features that decay must be at least, for these to fade.
DECAY_OUTDOES = 1.25
# ln of the growth that the first pull of labels could give pure neurons in the part of stage III in which features that
# lost fall behind. Measured: what labels still pull with falls as outputs explain them.
FIRST_PULL = 15


def not_taught(observed):
    """Return why labels need not teach all atoms, or nothing."""
    exp = observed[0].experiment
    unmet = not_told(exp)
    if exp.augmentation != "none":
        unmet = (
            f"the views are augmented ({exp.augmentation}), which adds noise to what labels teach"
        )
    elif exp.label_leak:
        unmet = f"labels leak noise, {exp.label_leak:.3g} of their signal"
    elif not exp.train_head:
        unmet = "the head is fixed, and cannot turn to the features that neurons have"
    elif exp.resolved_n_tasks < exp.n_features / 2:
        unmet = f"{exp.n_tasks} tasks for {exp.n_features} features: half as many suffice"
    unmet = unmet or not_finished(observed) or _faded(observed) or _not_selected(observed)
    return unmet or remembers_start(observed, "dense_norm")


def _faded(observed):
    """Return why decay may take atoms that labels teach, or nothing."""
    if too_many_tasks(observed[0].experiment):
        return ""
    weakest = min(float(largest_pull(o.experiment).min()) for o in observed)
    decay = observed[0].experiment.weight_decay
    if weakest >= OUTDOES_DECAY * decay:
        return ""
    return (
        f"at the cap of b/‖w‖ labels pull on a pure neuron of the weakest atom at {weakest:.2g} at most, and decay"
        f" at λ = {decay:.2g}: needs {OUTDOES_DECAY:g} times that"
    )


def _not_selected(observed):
    """Return why features that lost a neuron may still be in it, or nothing.

    Labels pull at rates of their own, whatever norms do: with thresholds at the cap selection takes time in units of
    1/`largest_pull`.
    """
    exp = observed[0].experiment
    if too_many_tasks(exp):
        return not_selected(observed)
    for o in observed:
        since = float(o.run.steps[-1] - o.run.steps[o.first_row_of(3)])
        pulled = exp.learning_rate * since * float(largest_pull(o.experiment).mean())
        if pulled < FIRST_PULL:
            return (
                f"in stage III labels that nothing explains could pull pure neurons up by e^{pulled:.3g}: losing"
                f" features take e^{FIRST_PULL} to fall behind"
            )
    return ""


def of_many_features(observed):
    """Return why neurons of many features may live beside those of one, or nothing."""
    exp = observed[0].experiment
    if too_many_tasks(exp):
        return ""
    strongest = max(spread_pull(o.experiment) for o in observed)
    if DECAY_OUTDOES * strongest <= exp.weight_decay:
        return ""
    return (
        f"what pure neurons at the cap of b/‖w‖ leave of labels pulls on neurons of all features at {strongest:.2g},"
        f" and decay at λ = {exp.weight_decay:.2g}: they fade where it is {DECAY_OUTDOES:g} times that"
    )
