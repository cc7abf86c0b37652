"""What the theory says about an experiment before anything runs."""

import dataclasses
import math
import time
from dataclasses import dataclass

from ...compute.workspace import Workspace
from ...errors import InvalidInput
from ...latents import unusual_data
from ...objectives import OBJECTIVES
from ...recording.resources import check_memory
from ...rules import MOST
from ...training import init, step
from .crossing import Crossing, crossing, limiting_ratio
from .dense_path import DenseRun, dense_run
from .end_state import EndState, end_state, not_predicted
from .fixed_data import FixedData, LabelledData, fixed_data, labelled_data, not_masked
from .limits import (
    NEEDED_GROWTH,
    Threshold,
    off_support_floor,
    samples_needed,
    selection_growth,
    threshold,
)
from .lottery import LeftOut, left_out
from .moments import negative_count
from .plateau import Plateau
from .preconditions import NOISE_MARGIN, Precondition, masked_twin, preconditions, unmet
from .saturation import saturation_growth
from .softmax_plateau import softmax_plateau
from .stages import Stages, predict_stages
from .supervised import not_told
from .taught import Taught, not_taught, taught, too_many_tasks

# The noise margin that a suggestion aims for: sampling noise then leaves the sparse part about three
# quarters of the weights, and errors of the estimates do not matter.
TARGET_MARGIN = 0.25
# A suggestion raises the batch size by this factor at most, and lowers the learning rate for the rest.
MOST_BATCH = 4
# Negatives from which on a plateau is that of their law.
_FEW = 100


@dataclass(frozen=True)
class Plan:
    """Predictions for one experiment; steps and growths are infinite where they are never reached.

    What theory does not say of the experiment's objective is None, or nan.

    Attributes
    ----------
    stages : Stages
        Steps at which stages II and III start.
    warnings : tuple of str
        What the experiment's own augmentation does not promise.
    preconditions : tuple of Precondition
        Of T1 and of T3.
    crossing : Crossing
        Where the sparse part overtakes the dense one.
    growth : float
        ln of the growth that the norms have before they saturate or the run ends.
    plateau : Plateau or None
        Of the linear phase, for views that share no dense noise.
    noise_floor : float
        Part of ‖w‖² that sampling noise keeps in the dense directions during stage I.
    samples : float
        That a run of independent batches needs at the noise margin `TARGET_MARGIN`.
    left_out : LeftOut
        Atoms that no neuron takes, with features to be learned.
    threshold : Threshold
        ϱ/σ, and whether dense neurons live at it.
    dense_run : DenseRun
        Sparse share of the twin without augmentation, and its floor.
    off_support : float
        √d times the off-support cosine of pure neurons that the batches' noise sustains.
    selection_growth : float
        ln of the growth of the norms from the start of stage II to saturation.
    data_set : FixedData, LabelledData or None
        What the noise of a fixed data set does to stage I, with RandomMask or with labels.
    labelled : LabelledData or None
        The same with labels, beside a `FixedData`.
    taught : Taught or None
        The course of a supervised run.
    end : EndState or None
        Where the run ends.
    end_remark : str
        Why that is not predicted.
    """

    stages: Stages
    warnings: tuple[str, ...]
    preconditions: tuple[Precondition, ...] = ()
    crossing: Crossing | None = None
    growth: float | None = None
    plateau: Plateau | None = None
    noise_floor: float | None = None
    samples: float | None = None
    left_out: LeftOut | None = None
    threshold: Threshold | None = None
    dense_run: DenseRun | None = None
    off_support: float | None = None
    selection_growth: float | None = None
    data_set: FixedData | LabelledData | None = None
    labelled: LabelledData | None = None
    taught: Taught | None = None
    end: EndState | None = None
    end_remark: str = ""

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
        For InfoNCE all of it. Other losses of pairs share stage I; labels have a theory of their own; of
        what is left only a given length of stage I is known.
    """
    kind, values = OBJECTIVES[experiment.objective], {}
    remark = not_predicted(experiment) or ""
    if kind.is_pairwise:
        values = _stage_one(experiment)
        if kind.fades:
            values |= _afterwards(experiment)
        else:
            values["stages"] = values["stages"]._replace(three=math.nan)
    elif experiment.objective == "nt_xent":
        values["preconditions"] = preconditions(experiment)
    elif experiment.objective == "supervised":
        values["taught"] = taught(experiment)
        remark = not_taught(experiment) or remark
    # Its start of stage III holds for small and for long runs, too.
    end = end_state(experiment, anyway=True)
    if end is None:
        remark = remark or "norms do not saturate by the last step"
    elif math.isfinite(end.stage_three):
        # The mean field of single features, instead of one that counts all neurons as one.
        values["stages"] = values["stages"]._replace(three=end.stage_three)
    if "stages" not in values:
        two = experiment.stage_one_steps or math.nan
        if values.get("taught"):
            two = values["taught"].stage_two
        values["stages"] = Stages(two, math.nan, ())
    found = _data_set(experiment)
    warnings = unmet(experiment) + _too_short(experiment, values["stages"])
    return Plan(
        warnings=tuple(warnings + _data(experiment, found)),
        data_set=found,
        labelled=_labels_instead(experiment) if isinstance(found, FixedData) else None,
        end=None if remark else end,
        end_remark=remark,
        **values,
    )


def _stage_one(experiment):
    """What follows from the drift W(qC - λ) of small similarities, which all losses of pairs share."""
    try:
        level = softmax_plateau(experiment, finite_batch=negative_count(experiment) < _FEW)
    except InvalidInput:
        level = None
    ratio, stages = limiting_ratio(experiment), predict_stages(experiment)
    return {
        "preconditions": preconditions(experiment),
        "stages": stages,
        "crossing": crossing(experiment),
        "growth": saturation_growth(experiment),
        "plateau": level,
        "noise_floor": 1.0 if math.isinf(ratio) else ratio / (1 + ratio),
        "samples": samples_needed(experiment, TARGET_MARGIN),
        "left_out": left_out(experiment, stages.two),
        "threshold": threshold(experiment),
    }


def _afterwards(experiment):
    """What is derived, or was measured, for InfoNCE alone."""
    return {
        "dense_run": dense_run(experiment),
        "off_support": off_support_floor(experiment),
        "selection_growth": selection_growth(experiment),
    }


def _data_set(experiment):
    """What its own noise does to a fixed data set, or None where it is not predicted."""
    exp = experiment
    if exp.n_samples is None or exp.resolved_density == 0:
        return None
    if exp.objective == "supervised":
        return None if exp.label_leak else _labels_instead(exp)
    return None if not_masked(exp) else fixed_data(exp)


def _labels_instead(experiment):
    """The `LabelledData` of an experiment, or of its supervised twin; None where that takes too long."""
    twin = experiment.replace(
        objective="supervised",
        negatives="in_batch",
        negative_groups=1,
        stop_gradient=True,
        label_leak=0.0,
    )
    return None if too_many_tasks(twin) or not_told(twin) else labelled_data(twin)


def _too_short(experiment, stages):
    if experiment.stays_linear:
        return []
    for name, start in zip(("II", "III"), stages[:2]):
        # Nothing is said of a stage that has no theory.
        if start > experiment.n_steps:
            when = (
                f"starts at about {start:.0f}"
                if math.isfinite(start)
                else "is not predicted to start"
            )
            return [f"stage {name} {when}: the run has {experiment.n_steps} steps"]
    return []


def _data(experiment, found):
    """What the data's difference from the paper's means for all of the above, and a data set that drowns."""
    usual = "predicted as for the paper's data, with the same density and noise"
    told = {
        "noise_spread": f"after stage I {usual}",
        "n_samples": "stages and claims are predicted as for fresh samples, whose noise does not come back",
    }
    warnings = [f"{word}: {told.get(word.split()[0], usual)}" for word in unusual_data(experiment)]
    if found is not None and experiment.n_samples <= found.samples_needed:
        needed = f"{found.samples_needed:.0f}"
        warnings.append(
            f"n_samples = {experiment.n_samples} is below N_sup = {needed}: at first labels pull more"
            " along the noise of the samples than along M"
            if isinstance(found, LabelledData)
            else f"n_samples = {experiment.n_samples} is below d1(σ²/s)² = {needed}: the signal"
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


def suggest_limit(experiment):
    """Return (experiment, remarks): settings for its d, d1, views and seed in the large-batch limit.

    The recipe of the preset "asymptotic", scaled with d: m = 10 d, B = 64 d in groups of 256, η s = 0.07,
    λ = 0.005 σ², biases from 1.3 σ to 2.2 σ, no outer noise, and so small a start that the norms grow
    60-fold in stage I and by e^6 or more in stage II.

    Raises
    ------
    InvalidInput
        Where d is too small for it, or the experiment's other fields do not go with it.
    """
    _require_pairs(experiment)
    d, d1 = experiment.n_features, experiment.n_inputs
    batch = 64 * d - 64 * d % 512
    if batch == 0:
        raise InvalidInput("n_features", d, "at least 8 for groups of 256 negatives")
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
