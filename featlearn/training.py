"""Training by hand: a pure `init`, `draw_batch`, `evaluate` and `step`."""

import dataclasses
import functools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .alignment import alignment
from .compute.streams import generator
from .compute.workspace import Workspace, few_rows
from .data import Sample, SparseCodingModel, make_dictionary
from .dense import advance, gram_weights, noise_rows
from .display import one_line
from .errors import InvalidInput, TrainingDiverged
from .experiment import Experiment
from .gradient import Gradient
from .gram_views import gram_model, noise_covariance, outer_dimensions, view_law
from .objectives import make_objective
from .paired import negate_signal, redraw_noise, stratified_latents
from .parts import given_parts
from .schedule import BiasSchedule, root_mean_square
from .views import Views

# Rows of a batch that share one random stream. Part of what a seed means: the bits of every run
# depend on it. 64 rows of 1024 float32 stay in a core's cache.
BLOCK_ROWS = 64

# The set of samples a stream fills, as the last index of its latents' stream.
_SETS = {"batch": 0, "negatives": 1}


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
        for name in ("density", "noise_variance"):
            found, wanted = (
                getattr(self.model, name),
                getattr(self.experiment, f"resolved_{name}"),
            )
            if found != wanted:
                raise InvalidInput(
                    name,
                    wanted,
                    f"{found}, that of the model, or state.replace(...), which rebuilds it",
                )

    @functools.cached_property
    def alignment(self) -> np.ndarray:
        """α_ij = ⟨w_i, M_j⟩, ndarray of shape (m, d), computed where it is first asked for."""
        return self.align()

    def align(self, work: Workspace | None = None) -> np.ndarray:
        """Compute `alignment` in a workspace, with the threads or processes that it has.

        It holds until the workspace computes the next one.
        """
        exp = self.experiment
        leading = exp.dictionary == "identity" or exp.dense == "gram"
        if leading and "model" not in self.own:
            # W M is the first columns of W.
            found = self.weights[:, : self.model.n_features]
        else:
            found = alignment(self.weights, self.model.dictionary, work)
            # A dictionary of the user's own may be of another type.
            found = found.astype(self.weights.dtype, copy=False)
        vars(self)["alignment"] = found
        return found

    @property
    def augmentation(self) -> object:
        """What makes the views: the user's own, or the experiment's."""
        return self.own.get("augmentation") or view_law(self.experiment)

    @property
    def schedule(self) -> object:
        """What sets the biases: the user's own, or the experiment's."""
        return self.own.get("schedule") or make_schedule(self.experiment, self.step + 1)

    @property
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
                if name in _DECIDED_BY.get(role, ()):
                    raise InvalidInput(name, value, f"no change: the run has its own {role}")
        own = {role: part for role, part in self.own.items() if role not in changes}
        experiment = self.experiment.replace(**changes)
        model = self.model
        if "model" not in own and any(name in changes for name in _DECIDED_BY["model"]):
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
            old, array = getattr(self, name), np.array(value, dtype=self.experiment.dtype)
            if array.shape != old.shape:
                raise InvalidInput(name, f"shape {array.shape}", f"shape {old.shape}")
            if not np.isfinite(array).all() or (name == "biases" and not (array >= 0).all()):
                raise InvalidInput(
                    name, "an array", "finite numbers" + ", ≥ 0" * (name == "biases")
                )
            checked[name] = array
        if "weights" in checked:
            checked["weight_norms"] = _norms(checked["weights"])
        return checked


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
_DECIDED_BY = {
    "model": ("density", "density_factor", "noise_variance", "noise_factor"),
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


class Batch(NamedTuple):
    """One batch as the network sees it, with what it was made of.

    Attributes
    ----------
    views : Views
        Anchors and keys, each of shape (B, d1).
    negatives : ndarray of shape (K, d1) or None
        Key views of fresh samples; None with in-batch negatives.
    sample : Sample or None
        The samples behind the views; None where only the views were asked for.
    labels : ndarray of shape (B, K) or None
        What the objective is told about the samples.
    """

    views: Views
    negatives: np.ndarray | None
    sample: Sample | None
    labels: np.ndarray | None = None

    __repr__ = one_line


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
    return SparseCodingModel(
        matrix, experiment.resolved_density, experiment.resolved_noise_variance
    )


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


def init(
    experiment: Experiment,
    *,
    model: object = None,
    augmentation: object = None,
    schedule: object = None,
    objective: object = None,
) -> TrainingState:
    """Return the `TrainingState` at step 0.

    w_i ~ N(0, σ_0² I) with σ_0 = initial_norm/√d1, and b_i = 0 (Wen & Li 2021, setting). The weights
    depend on the seed and the sizes only, so that twins start from the same ones. The objective's own
    arrays come from a stream of their own.

    Parameters
    ----------
    experiment : Experiment
    model, augmentation, schedule, objective : optional
        Parts of your own, as in `train`.

    Examples
    --------
    >>> state = featlearn.init(featlearn.preset("tiny"))
    >>> state.step, state.stage, state.weights.shape
    (0, 1, (32, 256))
    """
    own = given_parts(
        experiment,
        model=model,
        augmentation=augmentation,
        schedule=schedule,
        objective=objective,
    )
    rng = generator(experiment.seed, "weights")
    if experiment.dense == "gram":
        weights = gram_weights(experiment, rng)
    else:
        shape = (experiment.n_neurons, experiment.n_inputs)
        weights = rng.standard_normal(shape, dtype=np.float32)
        weights = weights.astype(experiment.dtype, copy=False)
        weights *= experiment.initial_norm / math.sqrt(experiment.n_inputs)
    norms = _norms(weights)
    objective = own.get("objective") or make_objective(experiment)
    return TrainingState(
        experiment,
        own.get("model") or make_model(experiment),
        step=0,
        stage=1,
        weights=weights,
        biases=np.zeros(experiment.n_neurons, experiment.dtype),
        weight_norms=norms,
        initial_norm=root_mean_square(norms),
        parameters=objective.initial_parameters(experiment, generator(experiment.seed, "head")),
        own=own,
    )


def draw_batch(
    state: TrainingState, work: Workspace | None = None, keep_sample: bool = True
) -> Batch:
    """Return the `Batch` that the step from this state uses.

    A function of the experiment and the step number alone.

    Parameters
    ----------
    state : TrainingState
    work : Workspace, optional
        Where the arrays live, until its next use; fresh ones without.
    keep_sample : bool
        Whether the samples and masks behind the views are kept, which takes memory of its own.

    Returns
    -------
    Batch

    Examples
    --------
    >>> batch = featlearn.draw_batch(featlearn.init(featlearn.preset("tiny")))
    >>> batch.views.anchors.shape, batch.sample.latents.shape
    ((128, 256), (128, 8))
    """
    exp = state.experiment
    work = work or Workspace()
    objective = state.objective
    views, sample = _draw(state, "batch", exp.batch_size, work, keep_sample or objective.sees_noise)
    negatives = None
    if exp.negatives != "in_batch":
        negatives = _draw(state, "negatives", exp.negatives, work, False)[0].keys
    labels = objective.labels(sample)
    return Batch(views, negatives, sample if keep_sample else None, labels)


def _draw(state, stream, n, work, keep_sample):
    """Draw n samples and their views, block by block."""
    exp, model = state.experiment, state.model
    augmentation = state.augmentation
    shape, dtype = (n, exp.n_columns), np.dtype(exp.dtype)
    anchors = work(stream + " anchors", shape, dtype)
    one_view = getattr(augmentation, "identical_views", False)
    keys = anchors if one_view else work(stream + " keys", shape, dtype)
    # The views take the place of what they are made of.
    noise, masks = anchors, ()
    if keep_sample:
        noise = work(stream + " noise", shape, dtype)
        n_masks = getattr(augmentation, "n_masks", 0)
        masks = [work(f"{stream} mask {k}", shape, np.bool_) for k in range(n_masks)]
    latents = draw_latents(state, stream, n)
    # The second half of a paired batch is made from the first.
    half = n // 2 if exp.batches == "paired" else n
    first = Views(anchors[:half], keys[:half])
    if one_view:
        first = Views(first.anchors, first.anchors)
    own = not state.own.keys().isdisjoint(("model", "augmentation"))
    if own:
        of_images = getattr(model, "draws_numbers", False)
        kind = ((n,), np.intp) if of_images else ((n, exp.n_features), dtype)
        latents = _checked("model", "draw_latents", latents, *kind)

    starts = range(0, half, BLOCK_ROWS)
    # One after the other they are made in half the time.
    rngs = [generator(exp.seed, stream, state.step, start // BLOCK_ROWS) for start in starts]
    work.for_each(
        draw_own_block if own else draw_block,
        zip(starts, rngs),
        latents=latents[:half],
        noise=noise[:half],
        anchors=first.anchors,
        keys=first.keys,
        masks=masks,
        model=model,
        augmentation=augmentation,
    )
    if half < n:
        rngs = [generator(exp.seed, "pairs", state.step, start // BLOCK_ROWS) for start in starts]
        work.for_each(
            pair_block,
            zip(starts, rngs),
            first=first,
            second=Views(anchors[half:], keys[half:]),
            covariance=noise_covariance(augmentation, model, latents[:half]),
            n_features=model.n_features,
            identical_views=one_view,
        )
        if keep_sample:
            negate_signal(noise[:half], model.n_features, noise[half:])
    masks = tuple(masks)
    signal = model.signal(latents) if keep_sample else None
    sample = Sample(latents, signal, noise if keep_sample else None, masks)
    return Views(anchors, keys, masks), sample


def draw_block(start, rng, latents, noise, anchors, keys, masks, model, augmentation):
    """Draw noise and views of the `BLOCK_ROWS` samples from `start` on, into their arrays."""
    rows = slice(start, start + BLOCK_ROWS)
    signal = model.signal(latents[rows], out=None if keys is anchors else keys[rows])
    model.draw_noise(rng, len(signal), out=noise[rows])
    block = Sample(latents[rows], signal, noise[rows])
    views = augmentation.pair(rng, block, model, out=(anchors[rows], keys[rows]))
    for kept, mask in zip(masks, views.masks):
        kept[rows] = mask


def pair_block(start, rng, first, second, covariance, n_features, identical_views):
    """Write the `BLOCK_ROWS` views of a batch's second half that pair with those of the first."""
    rows = slice(start, start + BLOCK_ROWS)
    own, cross = (values[rows] for values in covariance)
    negate_signal(first.keys[rows], n_features, second.keys[rows])
    if not identical_views:
        negate_signal(first.anchors[rows], n_features, second.anchors[rows])
        redraw_noise(rng, first.keys[rows], own, cross, n_features, second.anchors[rows])


def draw_latents(state, stream, n):
    """Return the latents of the n samples that the step from this state draws from a stream."""
    rng = generator(state.experiment.seed, "latents", state.step, _SETS[stream])
    if state.experiment.batches == "iid":
        return state.model.draw_latents(rng, n)
    first = stratified_latents(state.model, rng, n // 2)
    return np.concatenate([first, -first])


def draw_own_block(start, rng, latents, noise, anchors, keys, masks, model, augmentation):
    """`draw_block` for parts of the user's own, which return arrays instead of filling these."""
    rows, dtype = slice(start, start + BLOCK_ROWS), anchors.dtype
    z, shape = latents[rows], anchors[rows].shape
    signal = _checked("model", "signal", model.signal(z), shape, dtype)
    # A model that holds its samples knows which noise is theirs.
    whose = {"latents": z} if getattr(model, "draws_numbers", False) else {}
    xi = _checked("model", "draw_noise", model.draw_noise(rng, len(z), **whose), shape, dtype)
    noise[rows] = xi
    views = augmentation.pair(rng, Sample(z, signal, xi), model)
    for k, out in enumerate((anchors, keys)):
        out[rows] = _checked("augmentation", "pair", views[k], shape, dtype)
    for kept, mask in zip(masks, getattr(views, "masks", ())):
        kept[rows] = mask


def _checked(role, method, array, shape, dtype):
    """What a part of the user's own returned, as an array of the shape it should have."""
    array = np.asarray(array, dtype)
    if array.shape != shape:
        raise InvalidInput(role, f"shape {array.shape} from {method}", f"shape {shape}")
    return array


def evaluate(
    state: TrainingState, batch: Batch | None = None, work: Workspace | None = None
) -> Gradient:
    """Return loss and gradient of a state on a batch, by default on its own next one.

    Returns
    -------
    ContrastiveGradient, or another Gradient
        The latter for an objective that does not split into attraction and repulsion.

    Examples
    --------
    >>> gradient = featlearn.evaluate(featlearn.init(featlearn.preset("tiny")))
    >>> gradient.weights.shape
    (32, 256)
    """
    if batch is None:
        batch = draw_batch(state, work, keep_sample=False)
    with np.errstate(over="ignore", invalid="ignore"):
        return state.objective.gradient(state.weights, state.biases, batch, state.parameters, work)


def require_finite(state, loss):
    """Raise `TrainingDiverged` unless the loss on the state's batch is finite."""
    if not math.isfinite(loss):
        raise TrainingDiverged(state.step, "the loss", _HINT)


def step(
    state: TrainingState, gradient: Gradient | None = None, work: Workspace | None = None
) -> TrainingState:
    """Make one update: w_i ← (1 - ηλ) w_i - η ∂L/∂w_i, then the biases by their schedule.

    Parameters
    ----------
    state : TrainingState
    gradient : Gradient, optional
        That of `evaluate(state)`; computed here without.
    work : Workspace, optional
        Without one the call is pure. With one, the new weights take the place of the gradient, and
        the next gradient takes that of this state's weights, if they live there too.

    Returns
    -------
    TrainingState

    Raises
    ------
    TrainingDiverged
        If the loss or an updated weight is not finite.

    Examples
    --------
    >>> state = featlearn.step(featlearn.init(featlearn.preset("tiny")))
    >>> state.step
    1
    """
    exp = state.experiment
    with np.errstate(over="ignore", invalid="ignore"):
        if gradient is None:
            gradient = evaluate(state, work=work)
        require_finite(state, gradient.loss)
        work = work or Workspace()
        weights = work("gradient", state.weights.shape, state.weights.dtype)
        keep = 1 - exp.learning_rate * exp.weight_decay

        work.over_rows(
            descend, weights, state.weights, gradient.weights, rate=exp.learning_rate, keep=keep
        )
        work.exchange("gradient", "weights")
        float64 = _add_outer_noise(state, weights, gradient, work) if exp.dense == "gram" else 0
        norms = _norms(weights)
        parameters = state.objective.update(
            state.parameters, gradient.parameters, exp.learning_rate, exp.weight_decay
        )
    if not np.isfinite(norms).all():
        raise TrainingDiverged(state.step, "a weight", _HINT)
    stage, biases = state.schedule.advance(
        state.stage, state.biases, state.weight_norms, norms, state.initial_norm
    )
    return dataclasses.replace(
        state,
        step=state.step + 1,
        stage=stage,
        weights=weights,
        biases=biases,
        weight_norms=norms,
        float64_factorisations=state.float64_factorisations + float64,
        parameters=parameters,
        recorded_in=None,
    )


def _add_outer_noise(state, weights, gradient, work):
    """Put the views' noise outside the row space into L; return what `advance` does."""
    exp, dof = state.experiment, outer_dimensions(state.experiment)
    if dof == 0:
        return 0
    sizes = {"batch": exp.batch_size}
    if exp.negatives != "in_batch":
        sizes["negatives"] = exp.negatives
    covariances = [
        noise_covariance(state.augmentation, state.model, draw_latents(state, stream, n))
        for stream, n in sizes.items()
    ]
    rows = noise_rows(gradient, covariances, exp.batches == "paired")
    rate, rng = exp.learning_rate / exp.batch_size, generator(exp.seed, "dense", state.step)
    return advance(weights, rows, rate, state.weight_norms, exp.n_features, dof, rng, work)


def descend(new, old, gradient, rate, keep):
    """W ← (1 - ηλ) W - η ∂L/∂W of some neurons, in `new`, which may be the gradient's memory."""
    np.multiply(gradient, -rate, out=new)
    # The product needs memory of its own.
    for some in few_rows(new):
        new[some] += keep * old[some]


_HINT = "lower learning_rate or initial_norm, or raise temperature"


def _norms(weights):
    squares = np.einsum("ij,ij->i", weights, weights)
    if not (squares.min() > 1e-30 and squares.max() < 1e30):
        # In float32 the square of a weight below 1e-23 vanishes, and that of one above 1e19 overflows.
        squares = np.einsum("ij,ij->i", weights, weights, dtype=np.float64)
    return np.sqrt(squares).astype(weights.dtype, copy=False)
