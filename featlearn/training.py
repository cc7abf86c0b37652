"""Training by hand: a pure `init`, `evaluate` and `step`, beside `draw_batch`."""

import math

import numpy as np

from .batches import Batch, draw_batch, draw_latents
from .compute.streams import generator
from .compute.threads import single_threaded_blas
from .compute.workspace import Workspace, few_rows
from .dense import advance, gram_weights, noise_rows
from .errors import InvalidInput, TrainingDiverged
from .experiment import Experiment
from .gradient import Gradient
from .gram_views import noise_covariance, outer_dimensions
from .objectives import make_objective
from .parts import as_advanced, as_parameters, given_parts
from .schedule import root_mean_square
from .state import TrainingState, make_model, make_schedule, neuron_norms, require_state

__all__ = [
    "Batch",
    "TrainingState",
    "descend",
    "draw_batch",
    "evaluate",
    "init",
    "make_model",
    "make_schedule",
    "require_finite",
    "step",
]


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
    if not isinstance(experiment, Experiment):
        raise InvalidInput("experiment", experiment, "an Experiment")
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
    norms = neuron_norms(weights)
    objective = own.get("objective") or make_objective(experiment)
    parameters = objective.initial_parameters(experiment, generator(experiment.seed, "head"))
    if "objective" in own:
        parameters = as_parameters("initial_parameters", parameters, experiment.dtype)
    return TrainingState(
        experiment,
        own.get("model") or make_model(experiment),
        step=0,
        stage=1,
        weights=weights,
        biases=np.zeros(experiment.n_neurons, experiment.dtype),
        weight_norms=norms,
        initial_norm=root_mean_square(norms),
        parameters=parameters,
        own=own,
    )


@single_threaded_blas()
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
    require_state(state)
    if batch is None:
        batch = draw_batch(state, work, keep_sample=False)
    elif not isinstance(batch, Batch):
        raise InvalidInput("batch", batch, "a Batch, as draw_batch(state) returns it")
    with np.errstate(over="ignore", invalid="ignore"):
        return state.objective.gradient(state.weights, state.biases, batch, state.parameters, work)


def require_finite(state, loss):
    """Raise `TrainingDiverged` unless the loss on the state's batch is finite."""
    if not math.isfinite(loss):
        raise TrainingDiverged(state.step, "the loss", _HINT)


@single_threaded_blas()
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
    require_state(state)
    exp = state.experiment
    with np.errstate(over="ignore", invalid="ignore"):
        if gradient is None:
            gradient = evaluate(state, work=work)
        elif not isinstance(gradient, Gradient):
            raise InvalidInput("gradient", gradient, "a Gradient, as evaluate(state) returns it")
        elif gradient.weights.shape != state.weights.shape:
            found, wanted = gradient.weights.shape, state.weights.shape
            raise InvalidInput("gradient", f"one of shape {found}", f"shape {wanted}")
        require_finite(state, gradient.loss)
        work = work or Workspace()
        weights = work("gradient", state.weights.shape, state.weights.dtype)
        work.over_rows(descend, weights, state.weights, gradient.weights, **rates(exp))
        work.exchange("gradient", "weights")
        float64 = _add_outer_noise(state, weights, gradient, work) if exp.dense == "gram" else 0
        norms = neuron_norms(weights)
    return after_descent(state, gradient.parameters, weights, norms, float64)


def after_descent(state, gradients, weights, norms, float64=0):
    """Return the state that follows one, of the new weights and their norms: the rest of `step`.

    gradients are those of the objective's own arrays, float64 counts the factorisations that float32
    was not enough for.
    """
    exp, parameters = state.experiment, state.parameters
    if parameters:
        with np.errstate(over="ignore", invalid="ignore"):
            if "objective" in state.own:
                # It may write the new ones into these, which stay those of the state before.
                parameters = {name: array.copy() for name, array in parameters.items()}
            parameters = state.objective.update(
                parameters, gradients, exp.learning_rate, exp.weight_decay
            )
        if "objective" in state.own:
            parameters = as_parameters("update", parameters, exp.dtype)
            if not all(np.isfinite(array).all() for array in parameters.values()):
                raise TrainingDiverged(state.step, "an array of the objective", _HINT)
    if not np.isfinite(norms).all():
        raise TrainingDiverged(state.step, "a weight", _HINT)
    before = state.biases, state.weight_norms, norms
    if "schedule" in state.own:
        # It may write into these; the states before and after have theirs.
        before = [array.copy() for array in before]
    advanced = state.schedule.advance(state.stage, *before, state.initial_norm)
    stage, biases = as_advanced(advanced, state.biases) if "schedule" in state.own else advanced
    return state.after_update(
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


def rates(experiment):
    """Return what `descend` takes of an experiment: η, and the part 1 - ηλ of W that is kept."""
    rate = experiment.learning_rate
    return {"rate": rate, "keep": 1 - rate * experiment.weight_decay}


def descend(new, old, gradient, rate, keep):
    """W ← (1 - ηλ) W - η ∂L/∂W of some neurons, in `new`, which may be the gradient's memory."""
    np.multiply(gradient, -rate, out=new)
    # The product needs memory of its own.
    for some in few_rows(new):
        new[some] += keep * old[some]


_HINT = "lower learning_rate or initial_norm, or raise temperature"
