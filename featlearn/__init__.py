"""featlearn: a theory simulator of feature learning in contrastive self-supervised learning."""

import importlib

from . import moved
from .alignment import cosines, lottery_sets, neurons_per_atom, sparse_share, support
from .batches import draw_batch
from .data import Sample, SparseCodingModel, make_dictionary
from .errors import (
    FeatlearnError,
    InvalidInput,
    ProcessLost,
    RunDirectoryError,
    TrainingDiverged,
    WriteFailed,
)
from .experiment import Experiment
from .explain.update import SMALL_WORLD, ExplainedStep, explain_step
from .gradient import ContrastiveGradient, contrastive_gradient
from .loop import train
from .network import features, forward
from .objectives import OBJECTIVES, Objective, Pull
from .presets import PRESETS, preset
from .probing import shared_cosines
from .recording.record import Record
from .recording.rundir import load_run, load_state
from .recording.seeds import SeedRuns, group_runs, load_runs
from .recording.trajectory import Run
from .state import TrainingState
from .summary import Summary, summarize
from .together import train_together
from .training import evaluate, init, step
from .views import (
    CorrelatedNoise,
    IndependentMasks,
    NoAugmentation,
    RandomMask,
    make_augmentation,
)
from .yardstick import learn_dictionary, match_one_to_one, recovery_curve

__version__ = "0.1.0"
__all__ = [
    "OBJECTIVES",
    "PRESETS",
    "SMALL_WORLD",
    "ContrastiveGradient",
    "CorrelatedNoise",
    "Experiment",
    "ExplainedStep",
    "FeatlearnError",
    "IndependentMasks",
    "InvalidInput",
    "NoAugmentation",
    "Objective",
    "ProcessLost",
    "Pull",
    "RandomMask",
    "Record",
    "Run",
    "RunDirectoryError",
    "Sample",
    "SeedRuns",
    "SparseCodingModel",
    "Summary",
    "TrainingDiverged",
    "TrainingState",
    "WriteFailed",
    "check",
    "claim",
    "contrastive_gradient",
    "cosines",
    "draw_batch",
    "evaluate",
    "explain_step",
    "features",
    "forward",
    "group_runs",
    "init",
    "learn_dictionary",
    "load_run",
    "load_runs",
    "load_state",
    "lottery_sets",
    "make_augmentation",
    "make_dictionary",
    "match_one_to_one",
    "neurons_per_atom",
    "preset",
    "recovery_curve",
    "shared_cosines",
    "sparse_share",
    "step",
    "summarize",
    "support",
    "train",
    "train_together",
]


def __getattr__(name):
    """Load a subpackage where it is first used: ``featlearn.theory``, ``featlearn.sweep``, …"""
    if name in _OF_THEORY:
        return getattr(importlib.import_module(f"{__name__}.theory"), name)
    if name in _SUBPACKAGES or f"{__name__}.{name}" in moved.MOVED:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_OF_THEORY, *_SUBPACKAGES})


# Loaded where first used, as the theory takes a while.
_OF_THEORY = ("check", "claim")
_SUBPACKAGES = (
    "compute",
    "explain",
    "images",
    "plotting",
    "recording",
    "reports",
    "speed",
    "sweeps",
    "theory",
)
