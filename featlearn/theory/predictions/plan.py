"""What the theory says about an experiment before anything runs."""

import dataclasses
import itertools
import math
import time
from dataclasses import dataclass

from ...compute.workspace import Workspace
from ...errors import InvalidInput
from ...latents import unusual_data
from ...objectives import OBJECTIVES
from ...recording.resources import check_memory
from ...training import init, step
from ...views import augmentation_of
from .crossing import Crossing, crossing, limiting_ratio
from .dense_path import MOST_SPARSE, DenseRun, dense_run, not_followed
from .end_state import EndState, end_state, not_predicted
from .fixed_data import FixedData, LabelledData, fixed_data, labelled_data, not_masked
from .limits import Threshold, off_support_floor, samples_needed, selection_growth, threshold
from .linear_phase import initial_weights, linear_phase
from .lottery import LeftOut, left_out, scatter_after
from .moments import negative_count
from .plateau import Plateau
from .preconditions import Precondition, preconditions, unmet
from .saturation import saturation_growth
from .softmax_plateau import softmax_plateau
from .stages import BEYOND, MOST_STEPS, Stages, predict_stages, unknown_steps
from .suggestion import TARGET_MARGIN, suggest, suggest_limit
from .supervised import not_told
from .taught import Taught, not_taught, taught, too_many_tasks

__all__ = ["Plan", "plan", "seconds_per_step", "suggest", "suggest_limit"]

# Negatives from which on a plateau is that of their law.
_FEW = 100


@dataclass(frozen=True)
class Plan:
    """Predictions for one experiment; steps and growths are infinite where they are never reached.

    What theory does not say of the experiment's objective is None, or nan.

    Attributes
    ----------
    stages : Stages
        Steps at which stages II and III start; nan where that is not predicted.
    warnings : tuple of str
        What the experiment's own augmentation does not promise.
    preconditions : tuple of Precondition
        Of T1 and of T3.
    crossing : Crossing
        Where the sparse part overtakes the dense one if similarities stay small and biases 0.
    overtakes : float
        Step of stage I in which it does so with the similarities that there are; infinite if in none.
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
    overtakes: float | None = None
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
    if kind.fades and kind.is_pairwise and (end is None or not math.isfinite(end.stage_three)):
        values["stages"] = values["stages"]._replace(
            three=_stage_three(experiment, values["stages"])
        )
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
        "overtakes": _overtakes(experiment, stages),
        "growth": saturation_growth(experiment),
        "plateau": level,
        "noise_floor": 1.0 if math.isinf(ratio) else ratio / (1 + ratio),
        "samples": samples_needed(experiment, TARGET_MARGIN),
        "left_out": left_out(experiment, scatter_after(experiment, stages.two)),
        "threshold": threshold(experiment),
    }


def _overtakes(experiment, stages):
    """Return the first step of stage I after which the sparse part is the larger one; infinite if none is."""
    last = stages.two if math.isfinite(stages.two) else experiment.n_steps
    if initial_weights(experiment).sparse_share >= 0.5:
        return 0.0
    path = itertools.islice(linear_phase(experiment), min(int(last), MOST_STEPS))
    for before, weights in enumerate(path):
        if weights.sparse_share >= 0.5:
            return before + 1.0
    return math.inf


def _stage_three(experiment, stages):
    """Return the start of stage III of a run whose end is not predicted; nan where the norms decide it."""
    exp = experiment
    if augmentation_of(exp).identical_views and not unusual_data(exp) and not not_followed(exp):
        # Its norms are known while the dense part stays the larger.
        if dense_run(exp).share > MOST_SPARSE:
            return math.nan
        last = max(exp.n_steps, min(BEYOND * exp.n_steps, MOST_STEPS))
        return dense_run(exp.replace(n_steps=last)).stage_three
    length = stages.three - stages.two
    if math.isfinite(stages.two) and unknown_steps(exp, stages) >= 0.5 * length:
        return math.nan
    return stages.three


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
