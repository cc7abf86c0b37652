"""featlearn: a theory simulator of feature learning in contrastive self-supervised learning."""

from .alignment import cosines, lottery_sets, neurons_per_atom, sparse_share, support
from .data import Sample, SparseCodingModel, make_dictionary
from .errors import (
    FeatlearnError,
    InvalidInput,
    ProcessLost,
    RunDirectoryError,
    TrainingDiverged,
    WriteFailed,
)
from .experiment import PRESETS, Experiment, preset
from .explain import SMALL_WORLD, ExplainedStep, explain_step
from .gradient import ContrastiveGradient, contrastive_gradient
from .loop import train
from .network import features, forward
from .probing import shared_cosines
from .rundir import load_run
from .summary import Summary, summarize
from .training import TrainingState, draw_batch, evaluate, init, step
from .trajectory import Run
from .views import (
    CorrelatedNoise,
    IndependentMasks,
    NoAugmentation,
    RandomMask,
    make_augmentation,
)

__version__ = "0.1.0"
