"""What the theory says about an experiment before anything runs."""

import dataclasses
import math
import time
from dataclasses import dataclass

from ...compute.workspace import Workspace
from ...errors import InvalidInput
from ...latents import unusual_data
from ...recording.resources import check_memory
from ...training import init, step
from .crossing import Crossing, crossing, limiting_ratio
from .fixed_data import fixed_data
from .plateau import Plateau
from .preconditions import Precondition, preconditions, unmet
from .saturation import saturation_growth
from .softmax_plateau import softmax_plateau
from .stages import Stages, predict_stages

# The noise margin that a suggestion aims for: sampling noise then leaves the sparse part about three
# quarters of the weights, and errors of the estimates do not matter.
TARGET_MARGIN = 0.25
# A suggestion raises the batch size by this factor at most, and lowers the learning rate for the rest.
MOST_BATCH = 4


@dataclass(frozen=True)
class Plan:
    """Predictions for one experiment; steps and growths are infinite where they are never reached.

    Attributes
    ----------
    preconditions : tuple of Precondition
        Of T1 and of T3.
    warnings : tuple of str
        What the experiment's own augmentation does not promise.
    stages : Stages
        Steps at which stages II and III start.
    crossing : Crossing
        Where the sparse part overtakes the dense one.
    growth : float
        ln of the growth that the norms have before they saturate or the run ends.
    plateau : Plateau or None
        Of the linear phase, for views that share no dense noise.
    noise_floor : float
        Part of ‖w‖² that sampling noise keeps in the dense directions during stage I.
    """

    preconditions: tuple[Precondition, ...]
    warnings: tuple[str, ...]
    stages: Stages
    crossing: Crossing
    growth: float
    plateau: Plateau | None
    noise_floor: float

    def to_dict(self):
        """Return plain values; infinite ones as None, which JSON can hold."""

        def plain(value):
            if dataclasses.is_dataclass(value):
                return {k: plain(v) for k, v in dataclasses.asdict(value).items()}
            if hasattr(value, "_asdict"):
                return {k: plain(v) for k, v in value._asdict().items()}
            if isinstance(value, tuple):
                return [plain(v) for v in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}


def plan(experiment):
    """Return the `Plan` of an experiment.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    Plan
    """
    try:
        level = softmax_plateau(experiment, finite_batch=False)
    except InvalidInput:
        level = None
    ratio, stages = limiting_ratio(experiment), predict_stages(experiment)
    return Plan(
        preconditions=preconditions(experiment),
        warnings=tuple(unmet(experiment) + _too_short(experiment, stages) + _data(experiment)),
        stages=stages,
        crossing=crossing(experiment),
        growth=saturation_growth(experiment),
        plateau=level,
        noise_floor=1.0 if math.isinf(ratio) else ratio / (1 + ratio),
    )


def _too_short(experiment, stages):
    if experiment.stays_linear:
        return []
    for name, start in zip(("II", "III"), stages[:2]):
        if start > experiment.n_steps:
            when = (
                f"starts at about {start:.0f}"
                if math.isfinite(start)
                else "is not predicted to start"
            )
            return [f"stage {name} {when}: the run has {experiment.n_steps} steps"]
    return []


def _data(experiment):
    """What the data's difference from the paper's means for all of the above."""
    warnings = [
        f"{word}: predicted as for the paper's data, with the same density and noise"
        for word in unusual_data(experiment)
    ]
    if experiment.n_samples is not None and experiment.resolved_density > 0:
        needed = fixed_data(experiment).samples_needed
        if experiment.n_samples <= needed:
            warnings.append(
                f"n_samples = {experiment.n_samples} is below d1(σ²/s)² = {needed:.0f}: the signal"
                " drowns in the noise of the samples, whatever the mask"
            )
    return warnings


def seconds_per_step(experiment, n_steps=3):
    """Time a few steps of the experiment itself, after one that warms up.

    Raises
    ------
    InvalidInput
        Where it does not fit in memory.
    """
    check_memory(experiment)
    state, work = init(experiment.replace(n_steps=n_steps + 1)), Workspace()
    state = step(state, work=work)
    started = time.perf_counter()
    for _ in range(n_steps):
        state = step(state, work=work)
    return (time.perf_counter() - started) / n_steps


def suggest(experiment):
    """Return (experiment, remarks): batch size and learning rate that meet both preconditions.

    The noise margin is in proportion to η/B. The batch size is raised up to fourfold, the learning
    rate pays for the rest, and the number of steps grows as it falls. What these two cannot change is
    said: the crossing depends on the noise and on d1/d, and hardly on η and B.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    experiment : Experiment
        The same where the noise margin is at most `TARGET_MARGIN`.
    remarks : list of str
        What holds, and which precondition cannot be met this way.
    """
    margin = preconditions(experiment)[0].value
    remarks, new = [], experiment
    if math.isinf(margin):
        remarks.append(
            "no batch size or learning rate helps T1: the views share no more along an atom than"
            " along a dense direction"
        )
    elif margin > TARGET_MARGIN:
        excess = margin / TARGET_MARGIN
        batch = min(2 ** math.ceil(math.log2(experiment.batch_size * excess)),
                    MOST_BATCH * experiment.batch_size)  # fmt: skip
        rate = experiment.learning_rate * min(1.0, batch / (experiment.batch_size * excess))
        rate = float(f"{rate:.1e}") if rate < experiment.learning_rate else rate
        steps = math.ceil(experiment.n_steps * experiment.learning_rate / rate)
        new = experiment.replace(batch_size=batch, learning_rate=rate, n_steps=steps)
    features, noise = preconditions(new)
    if features.met:
        remarks.append(f"T1: {features.text}")
    if noise.met:
        remarks.append(f"T3: {noise.text}")
    else:
        remarks.append(
            f"T3 cannot be met by batch_size and learning_rate: {noise.text}. g* depends on the noise"
            " and on n_inputs/n_features"
        )
    return new, remarks
