"""Settings for which the theory promises features, for a user's own d and d1."""

import math

from ...errors import InvalidInput
from ...objectives import OBJECTIVES
from ...paired import PAIRED_PRESENCE
from ...rules import MOST
from .end_state import end_state
from .limits import NEEDED_GROWTH, selection_growth
from .preconditions import NOISE_MARGIN, masked_twin, preconditions

# The noise margin that a suggestion aims for: sampling noise then leaves the sparse part about three
# quarters of the weights, and errors of the estimates do not matter.
TARGET_MARGIN = 0.25
# A suggestion raises the batch size by this factor at most, and lowers the learning rate for the rest.
MOST_BATCH = 4


def suggest_limit(experiment):
    """Return (experiment, remarks): settings for its d, d1, views and seed in the large-batch limit.

    The recipe of the preset "asymptotic", scaled with d: m = 10 d, B = 64 d, or what paired batches need,
    in groups of 256, η s = 0.07, λ = 0.005 σ², biases from 1.3 σ to 2.2 σ, no outer noise, and so small a
    start that the norms grow 60-fold in stage I and by e^6 or more in stage II.

    Raises
    ------
    InvalidInput
        Where d is too small for it, or the experiment's other fields do not go with it.
    """
    _require_pairs(experiment)
    d, d1 = experiment.n_features, experiment.n_inputs
    if d < 8:
        raise InvalidInput("n_features", d, "at least 8 for groups of 256 negatives")
    # Where features are rarer than in the recipe, a paired batch has to hold more samples.
    least = 2 * PAIRED_PRESENCE / experiment.resolved_density
    batch = max(64 * d // 512, math.ceil(least / 512)) * 512
    new = experiment.replace(dense="gram", n_neurons=10 * d, batch_size=batch)
    s, variance = new.resolved_density, new.resolved_noise_variance
    sigma, rate = math.sqrt(variance), float(f"{0.07 / s:.3g}")
    new = new.replace(
        learning_rate=rate,
        weight_decay=float(f"{0.005 * variance:.3g}"),
        temperature=1.0,
        initial_norm=5e-6,
        stage_one_growth=60.0,
        bias_factor=float(f"{(1.3 * sigma) ** 2 * d / math.log(d):.3g}"),
        bias_growth=1.006,
        bias_cap=float(f"{2.2 * sigma:.3g}"),
        n_steps=math.ceil((28 + math.log(d1 / d) / 2) / 0.07),
        noise_inputs=min(new.n_columns, d1),
        batches="paired",
        negative_groups=batch // 256,
    )
    remarks = [
        "in the large-batch limit: the gradient of the population loss, not that of one batch"
    ]
    for one in preconditions(new):
        remarks.append(f"{one.claim}: {one.text}")
    masked = masked_twin(new)
    if masked is None:
        return new, remarks
    growth = selection_growth(masked)
    if growth < NEEDED_GROWTH:
        remarks.append(f"norms grow by e^{growth:.2g} in stage II: lower initial_norm")
        return new, remarks
    # Small d come to the cap a little later than the recipe has it.
    end = end_state(masked, anyway=True)
    if end is not None and new.n_steps < end.stage_three < MOST / 2:
        new = new.replace(n_steps=math.ceil(1.02 * end.stage_three))
    return new, remarks


def suggest(experiment):
    """Return (experiment, remarks): batch size and learning rate that meet both preconditions.

    The noise margin is in proportion to η/B. The batch size is raised up to fourfold, the learning
    rate pays for the rest, and the number of steps grows as it falls. What these two cannot change is
    said: the crossing depends on the noise and on d1/d, and hardly on η and B. A batch is never larger than
    the data set.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    experiment : Experiment
        The same where the noise margin is at most `TARGET_MARGIN`.
    remarks : list of str
        What holds, and which precondition cannot be met this way.

    Raises
    ------
    InvalidInput
        For an objective that is no loss of pairs: it has no such preconditions.
    """
    _require_pairs(experiment)
    margins = [one.value for one in preconditions(experiment) if one.name == NOISE_MARGIN]
    margin = margins[0] if margins else 0.0
    remarks, new = [], experiment
    if math.isinf(margin):
        remarks.append(
            "no batch size or learning rate helps T1: the views share no more along an atom than"
            " along a dense direction"
        )
    elif margin > TARGET_MARGIN:
        excess = margin / TARGET_MARGIN
        batch = _larger_batch(experiment, excess)
        if batch < min(excess, MOST_BATCH) * experiment.batch_size:
            remarks.append(
                f"n_samples = {experiment.n_samples} allows batches of {batch} at most: the learning"
                " rate pays for the rest"
            )
        rate = experiment.learning_rate * min(1.0, batch / (experiment.batch_size * excess))
        rate = float(f"{rate:.1e}") if rate < experiment.learning_rate else rate
        steps = math.ceil(experiment.n_steps * experiment.learning_rate / rate)
        if steps <= MOST:
            new = experiment.replace(batch_size=batch, learning_rate=rate, n_steps=steps)
        else:
            remarks.append(
                f"T1 would take {steps:.2g} steps with batches of {batch}: see the large-batch limit"
            )
    features = [one for one in preconditions(new) if one.claim == "T1"]
    beyond = [one for one in features if not one.met and one.name != NOISE_MARGIN]
    for one in beyond:
        remarks.append(f"T1 cannot be met by batch_size and learning_rate: {one.text}")
    if features and all(one.met for one in features):
        remarks.append(f"T1: {features[0].text}")
    (noise,) = (one for one in preconditions(new) if one.claim == "T3")
    if noise.met:
        remarks.append(f"T3: {noise.text}")
    else:
        remarks.append(
            f"T3 cannot be met by batch_size and learning_rate: {noise.text}. g* depends on the noise"
            " and on n_inputs/n_features"
        )
    return new, remarks


def _larger_batch(experiment, excess):
    """Return a batch size that is larger by a factor, as far as `suggest` raises it and samples suffice."""
    size = experiment.batch_size
    batch = min(2 ** math.ceil(math.log2(size * excess)), MOST_BATCH * size)
    if experiment.n_samples is not None and batch > experiment.n_samples:
        batch = 2 ** math.floor(math.log2(experiment.n_samples))
    # Groups stay of one size.
    return max(size, batch - batch % experiment.negative_groups)


def _require_pairs(experiment):
    if not OBJECTIVES[experiment.objective].is_pairwise:
        wanted = "a loss of pairs: others have no noise margin to suggest settings by"
        raise InvalidInput("objective", experiment.objective, wanted)
