"""The state of a training run: everything that its next step depends on."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .alignment import alignment
from .compute.streams import generator
from .compute.threads import single_threaded_blas
from .compute.workspace import Workspace
from .data import SparseCodingModel, make_dictionary, make_spikes
from .display import one_line
from .errors import InvalidInput
from .experiment import Experiment
from .gram_views import gram_model, view_law
from .latents import law_of
from .objectives import make_objective
from .parts import require_fit
from .rules import as_numbers
from .schedule import BiasSchedule


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that the next step depends on.

    Attributes
    ----------
    experiment : Experiment
    model : SparseCodingModel
        Fixed for the whole run, drawn from the experiment's seed.
    step : int
        Number of updates made.
    stage : {1, 2, 3}
        Of the bias schedule.
    weights : ndarray of shape (m, d1)
        With the dense part as a Gram matrix [α | L] of shape (m, d + r), see `featlearn.dense`.
    biases : ndarray of shape (m,)
    weight_norms : ndarray of shape (m,)
        ‖w_i‖.
    initial_norm : float
        Root mean square of the ‖w_i‖ at step 0.
    float64_factorisations : int
        With the dense part as a Gram matrix, how often float32 was not enough to factorise it.
    parameters : dict of str to ndarray
        What the objective learns beside the weights; empty for most.
    own : dict of str to object
        The parts that the user brought in place of the experiment's, by role: "model",
        "augmentation", "schedule" or "objective".
    recorded_in : Path or None
        The run directory that it was loaded from.

    Raises
    ------
    InvalidInput
        If the model is not the one of the experiment, nor the user's own.
    """

    __repr__ = one_line

    experiment: Experiment
    model: SparseCodingModel
    step: int
    stage: int
    weights: np.ndarray
    biases: np.ndarray
    weight_norms: np.ndarray
    initial_norm: float
    float64_factorisations: int = 0
    parameters: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)
    recorded_in: Path | None = None

    def __post_init__(self):
        if "model" in self.own:
            return
        exp, model = self.experiment, self.model
        pairs = {
            "density": (model.density, exp.resolved_density),
            "noise_variance": (model.noise_variance, exp.resolved_noise_variance),
            "latents": (model.law.name, exp.latents),
            "noise_spread": (model.noise_spread, exp.noise_spread),
            "n_samples": (model.data and len(model.data.latents), exp.n_samples),
        }
        for name, (found, wanted) in pairs.items():
            if found != wanted:
                raise InvalidInput(
                    name,
                    wanted,
                    f"{found}, that of the model, or state.replace(...), which rebuilds it",
                )

    def after_update(self, **fields) -> "TrainingState":
        """Return the state that an update leads to, with these fields in place of its own.

        What the experiment decides was checked and made before, and stays.
        """
        new = object.__new__(TrainingState)
        vars(new).update(vars(self), **fields)
        vars(new).pop("alignment", None)
        # Another one at the step that ends stage I, where a step does.
        if self.experiment.stage_one_steps is not None:
            vars(new).pop("schedule", None)
        return new

    @contextlib.contextmanager
    def held(self, gradient: object = None) -> Iterator[None]:
        """Keep a function of a user's own from writing into what the next step starts from."""
        arrays = [self.weights, self.biases, self.weight_norms, *self.parameters.values()]
        arrays += [] if gradient is None else [gradient.weights]
        arrays += [vars(self)["alignment"]] if "alignment" in vars(self) else []
        writable = [array for array in arrays if array.flags.writeable]
        for array in writable:
            array.flags.writeable = False
        try:
            yield
        finally:
            for array in writable:
                array.flags.writeable = True

    @property
    def leading_columns(self) -> bool:
        """Whether W M is the first columns of W."""
        exp = self.experiment
        leading = exp.dictionary == "identity" or exp.dense == "gram"
        return leading and "model" not in self.own

    @functools.cached_property
    def alignment(self) -> np.ndarray:
        """α_ij = ⟨w_i, M_j⟩, ndarray of shape (m, d), computed where it is first asked for."""
        return self.align()

    @single_threaded_blas()
    def align(self, work: Workspace | None = None) -> np.ndarray:
        """Compute `alignment` in a workspace, with the threads or processes that it has.

        It holds until the workspace computes the next one.
        """
        if self.leading_columns:
            found = self.weights[:, : self.model.n_features]
        else:
            found = alignment(self.weights, self.model.dictionary, work)
            # A dictionary of the user's own may be of another type.
            found = found.astype(self.weights.dtype, copy=False)
        vars(self)["alignment"] = found
        return found

    @functools.cached_property
    def augmentation(self) -> object:
        """What makes the views: the user's own, or the experiment's."""
        return self.own.get("augmentation") or view_law(self.experiment)

    @property
    def views(self) -> str:
        """What the augmentation is called: the experiment's by its name, the user's own by its label."""
        own = self.own.get("augmentation")
        if own is None:
            return self.experiment.augmentation
        return getattr(own, "label", "") or type(own).__name__

    @functools.cached_property
    def schedule(self) -> object:
        """What sets the biases: the user's own, or the experiment's."""
        return self.own.get("schedule") or make_schedule(self.experiment, self.step + 1)

    @functools.cached_property
    def objective(self) -> object:
        """What is minimised: the user's own, or the experiment's."""
        return self.own.get("objective") or make_objective(self.experiment)

    def replace(self, **changes) -> "TrainingState":
        """Return a state with other fields of its experiment, or other weights or biases.

        What depends on a field is rebuilt: the model, with the same dictionary, the augmentation,
        the schedule, and the objective with its own arrays, where it is another. Step and stage stay.

        Parameters
        ----------
        **changes
            Fields of an `Experiment`; ``weights``, ndarray of shape (m, d1); ``biases``, ndarray of
            shape (m,), ≥ 0.

        Raises
        ------
        InvalidInput
            For a field that cannot change in mid-run, one that a part of the user's own replaces,
            or arrays that do not fit.
        """
        arrays = {name: changes.pop(name) for name in ("weights", "biases") if name in changes}
        for name, value in changes.items():
            if name in FIXED:
                raise InvalidInput(name, value, "no change in mid-run")
            for role in self.own:
                if name in DECIDED_BY.get(role, ()):
                    raise InvalidInput(name, value, f"no change: the run has its own {role}")
        own = {role: part for role, part in self.own.items() if role not in changes}
        experiment = self.experiment.replace(**changes)
        require_fit(experiment, own)
        model = self.model
        if "model" not in own and any(name in changes for name in DECIDED_BY["model"]):
            model = make_model(experiment, self.model.dictionary)
        parameters = self.parameters
        if "objective" not in own and any(name in changes for name in _HEADS):
            rng = generator(experiment.seed, "head")
            parameters = make_objective(experiment).initial_parameters(experiment, rng)
        return dataclasses.replace(
            self,
            experiment=experiment,
            model=model,
            parameters=parameters,
            own=own,
            **self._checked(arrays),
        )

    def _checked(self, arrays):
        checked = {}
        for name, value in arrays.items():
            old = getattr(self, name)
            array = as_numbers(name, value).astype(self.experiment.dtype)
            if array.shape != old.shape:
                raise InvalidInput(name, f"shape {array.shape}", f"shape {old.shape}")
            if not np.isfinite(array).all() or (name == "biases" and not (array >= 0).all()):
                raise InvalidInput(
                    name, "an array", "finite numbers" + ", ≥ 0" * (name == "biases")
                )
            checked[name] = array
        if "weights" in checked:
            checked["weight_norms"] = neuron_norms(checked["weights"])
        return checked


def require_state(state):
    """Refuse what is no state, such as the experiment that one is made of."""
    if not isinstance(state, TrainingState):
        raise InvalidInput("state", state, "a TrainingState, as init(experiment) returns it")


# Fields of an experiment that are what they were when a run began.
FIXED = (
    "n_features",
    "n_inputs",
    "n_neurons",
    "dictionary",
    "dense",
    "dtype",
    "seed",
    "initial_norm",
)
# Fields that a part of the user's own takes the place of.
DECIDED_BY = {
    "model": (
        *("density", "density_factor", "noise_variance", "noise_factor", "latents", "n_active"),
        *("density_power", "noise_spikes", "spike_variance", "noise_spread", "n_samples"),
    ),
    "augmentation": ("keep_probability", "noise_correlation"),
    "schedule": ("stage_one_growth", "stage_one_steps", "bias_factor", "bias_growth", "bias_cap"),
    "objective": (
        "n_tasks",
        "task",
        "label_leak",
        "train_head",
        "embedding_floor",
        "prediction_head",
        "head_rate",
    ),  # fmt: skip
}
# Fields that decide what arrays an objective has.
_HEADS = ("objective", "n_tasks", "prediction_head")


def make_model(experiment, matrix=None):
    """Return the `SparseCodingModel` of an experiment, drawn from its seed.

    A dictionary that is known already may be given as `matrix`.
    """
    if experiment.dense == "gram":
        return gram_model(experiment)
    if matrix is None:
        matrix = make_dictionary(
            experiment.dictionary,
            experiment.n_inputs,
            experiment.n_features,
            generator(experiment.seed, "dictionary"),
        )
    # Column-major, so that Mᵀ is contiguous where samples are composed.
    matrix = np.asarray(matrix, dtype=experiment.dtype, order="F")
    spikes = None
    if experiment.noise_spikes:
        rng = generator(experiment.seed, "spikes")
        spikes = make_spikes(matrix, experiment.noise_spikes, experiment.spike_variance, rng)
    model = SparseCodingModel(
        matrix,
        experiment.resolved_density,
        experiment.resolved_noise_variance,
        law_of(experiment),
        spikes,
        noise_spread=experiment.noise_spread,
    )
    if experiment.n_samples is None:
        return model
    data = model.sample(generator(experiment.seed, "data"), experiment.n_samples)
    return dataclasses.replace(model, data=data)


def make_schedule(experiment, step=0):
    """Return the `BiasSchedule` of an experiment that leads to the state of a step.

    Where stage I ends at a step that is given, no growth ends it before, and any growth does then.
    """
    growth = experiment.stage_one_growth
    if experiment.stage_one_steps is not None:
        growth = 0.0 if step >= experiment.stage_one_steps else None
    return BiasSchedule(
        growth,
        experiment.bias_jump,
        experiment.resolved_bias_growth,
        experiment.bias_cap,
    )


def neuron_norms(weights):
    """Return ‖w_i‖, ndarray of shape (..., m), also where its square is out of the type's range."""
    squares = np.einsum("...j,...j->...", weights, weights)
    if not (squares.min() > 1e-30 and squares.max() < 1e30):
        if weights.ndim > 2:
            # Of several runs only those that need it.
            return np.stack([neuron_norms(w) for w in weights])
        # In float32 the square of a weight below 1e-23 vanishes, and that of one above 1e19 overflows.
        squares = np.einsum("...j,...j->...", weights, weights, dtype=np.float64)
    return np.sqrt(squares).astype(weights.dtype, copy=False)
