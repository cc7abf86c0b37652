"""What the theory says of the simulator itself: the views' moments, the loss, and one update.

These hold exactly, up to sampling or rounding, for every run at any step; where one fails, the
code that made or reads the run does not simulate the setting.
"""

import dataclasses
import math

import numpy as np
from scipy.special import logsumexp

from ... import training
from ...network import features
from .claim import claim
from .definitions import strong_state
from .verdict import does_not_apply, within

CLAIM = "simulator"
# Samples, and features in their views, that tell a standard deviation; batches drawn for that at most.
_SAMPLES, _FEATURES, _MOST_BATCHES = 400, 100, 2000
# Relative error to which the variance of ‖ξ‖² must be told where the scale of noise is a sample's own.
_TOLD = 0.4
# Relative change of the loss that a slope is measured from, and what is said below it.
_RESOLVED = 3e-11
# A gradient so many times its rounding r is parallel to itself up to (r/g)², below the tolerance.
_ABOVE = 50
_FLAT = "the loss does not move by more than rounding"


@claim(CLAIM)
def claim_simulator(observed):
    """Hold views, recorded loss and update against their definitions."""
    return [
        *views_against_moments(observed),
        first_update(observed),
        update_of(observed),
    ]


def views_against_moments(observed):
    """Compare second moments of the batches that training used with their closed forms.

    E⟨x⁺, Mz⟩ = E⟨x⁺⁺, Mz⟩ = s d, as the views are unbiased; and with C their cross-moment,
    E⟨Mᵀx⁺, Mᵀx⁺⁺⟩ = tr MᵀCM inside span(M), E⟨x⁺, x⁺⁺⟩ = tr C in all (derived in
    featlearn/theory/derivation.md, "Second moments of views").
    """
    found = {}
    batches, reason = _batches(observed[0])
    if reason:
        return [does_not_apply(CLAIM, "second moments of the views", reason)]
    for o in observed:
        exp, matrix = o.experiment, o.model.dictionary
        state = training.init(exp)
        per_sample = {}
        for step in range(batches):
            batch = training.draw_batch(dataclasses.replace(state, step=step))
            views, sample = batch.views, batch.sample
            inner = {
                "signal in the anchor": _inner(views.anchors, sample.signal),
                "signal in the key": _inner(views.keys, sample.signal),
                "anchor with key in span(M)": _inner(views.anchors @ matrix, views.keys @ matrix),
                "anchor with key": _inner(views.anchors, views.keys),
                "anchor with itself": _inner(views.anchors, views.anchors),
            }
            for name, values in inner.items():
                per_sample.setdefault(name, []).append(values)
        for name, values in per_sample.items():
            found.setdefault(name, []).append(np.concatenate(values))
    # A fixed data set has no more samples than it has.
    most = observed[0].experiment.n_samples or math.inf
    verdicts = []
    for name, samples in found.items():
        # The columns of M are orthonormal up to rounding, and so is what should be 0.
        expected = round(float(np.mean([_expected(o)[name] for o in observed])), 6) + 0.0
        error = max(x.std() / math.sqrt(min(len(x), most)) for x in samples)
        rounding = 1e-5 * max(abs(_expected(o)["anchor with itself"]) for o in observed)
        verdicts.append(
            within(
                CLAIM,
                f"E⟨{name}⟩".replace(" with ", ", ").replace(" in the ", ", "),
                expected,
                [x.mean() for x in samples],
                relative=0.0,
                absolute=4 * error + rounding,
                why=f"closed form; four standard errors of {len(samples[0])} samples",
            )
        )
    return verdicts


def _batches(observed):
    """Return how many batches tell the moments, and why so many as are drawn do not, or nothing.

    A sample's own standard deviation is none where hardly any of the views holds a feature, or where a few
    samples hold most of the noise: the variance of n numbers c², with ln c normal of standard deviation ς, is
    told up to √(k/n), with k = (E c⁸ - 4 E c⁶ + 6 E c⁴ - 3)/(E c⁴ - 1)² and E c^{2j} = exp(2j(j-1)ς²).
    """
    exp, density = observed.experiment, observed.model.density
    rarer = min(exp.keep_probability, 1 - exp.keep_probability)
    held = density * exp.n_features * (rarer if observed.augmentation.n_masks else 1.0)
    wanted = {
        f"fewer than {_FEATURES} features in the views of what is drawn": (
            _FEATURES / held if held > 0 else 0.0
        ),
        f"what is drawn does not tell how noise of spread {exp.noise_spread} scatters": (
            _excess(exp.noise_spread) / _TOLD**2
        ),
    }
    for reason, n in wanted.items():
        if min(_MOST_BATCHES * exp.batch_size, exp.n_samples or math.inf) < n:
            return 0, reason
    return max(4, math.ceil(max(_SAMPLES, *wanted.values()) / exp.batch_size)), ""


def _excess(spread):
    """The k of `_batches`."""
    if spread < 0.1:
        return 3.0
    eighth, sixth, fourth = (math.exp(2 * j * (j - 1) * spread**2) for j in (4, 3, 2))
    return (eighth - 4 * sixth + 6 * fourth - 3) / (fourth - 1) ** 2


def _inner(a, b):
    return np.einsum("pk,pk->p", a, b, dtype=np.float64)


def _expected(observed):
    """The expectations that `views_against_moments` measures."""
    model, matrix = observed.model, np.asarray(observed.model.dictionary, np.float64)
    d1, d = matrix.shape
    moments = observed.augmentation.moments(model.density, model.noise_variance)
    squares = np.sum(matrix**2, axis=1)

    def trace(moment):
        return moment.shared * d + moment.diagonal * squares.sum() + moment.isotropic * d1

    inside = moments.cross.shared * d + moments.cross.diagonal * np.sum(squares**2)
    return {
        "signal in the anchor": model.density * d,
        "signal in the key": model.density * d,
        "anchor with key in span(M)": inside + moments.cross.isotropic * d,
        "anchor with key": trace(moments.cross),
        "anchor with itself": trace(moments.anchor),
    }


def reference_loss(state, weights, batch, frozen=None):
    """The loss by its definition: for InfoNCE -τ log softmax of the positive, mean over the anchors.

    Parameters
    ----------
    state : TrainingState
    weights : ndarray of shape (m, d1)
        In the place of the state's.
    batch : Batch
    frozen : ndarray of shape (m, d1), optional
        Weights of the second argument of the similarity, where the gradient is stopped.

    Returns
    -------
    float
    """
    second, biases, exp = weights if frozen is None else frozen, state.biases, state.experiment
    if exp.objective != "infonce":
        seen = [
            [
                None if x is None else features(w, biases, x)
                for x in (*batch.views[:2], batch.negatives)
            ]
            for w in (weights, second)
        ]
        return state.objective.loss(*seen, state.parameters, batch.labels)
    h = features(weights, biases, batch.views.anchors)
    keys = features(second, biases, batch.views.keys)
    positive = np.einsum("pi,pi->p", h, keys)
    if batch.negatives is None:
        groups = (np.split(x, exp.negative_groups) for x in (h, keys))
        similarities = np.concatenate([a @ k.T for a, k in zip(*groups)])
    else:
        others = h @ features(second, biases, batch.negatives).T
        similarities = np.column_stack([positive, others])
    tau = exp.temperature
    return float(np.mean(tau * logsumexp(similarities / tau, axis=1) - positive))


def first_update(observed):
    """Compare the first recorded update of the alignments with the loss's slope at the start.

    The weights at step 0 follow from the seed. With G = ((1 - ηλ) α(0) - α(1))/η from the first two
    rows, the loss has the slope ‖G‖² along G Mᵀ if G is the gradient's part on span(M).
    """
    name = "slope along the first recorded update"
    if any(o.experiment.record_every > 1 or len(o.run) < 2 for o in observed):
        return does_not_apply(CLAIM, name, "the row of step 1 is not recorded")
    ratios = []
    for o in observed:
        state = training.init(o.experiment.replace(dtype="float64"))
        exp, matrix = state.experiment, state.model.dictionary
        before, after = np.asarray(o.run["alignment"][:2], np.float64)
        gradient = ((1 - exp.learning_rate * exp.weight_decay) * before - after) / exp.learning_rate
        ratios.append(_slope(state, training.draw_batch(state), gradient @ matrix.T))
        rounding = np.finfo(o.experiment.dtype).eps * np.linalg.norm(before) / exp.learning_rate
        if np.linalg.norm(gradient) < _ABOVE * rounding:
            ratios.append(None)
    if None in ratios:
        return does_not_apply(CLAIM, name, _FLAT)
    why = "central difference of the loss at the weights that the seed gives; rounding"
    return within(CLAIM, name, 1.0, ratios, 1e-3, why)


def _slope(state, batch, direction):
    """The loss's slope along a direction, over the direction's squared length.

    None where the loss does not move by more than rounding.
    """
    frozen = state.weights if state.objective.stop_gradient else None
    size = np.linalg.norm(direction)
    if size == 0:
        return None
    eps = 1e-6 * np.linalg.norm(state.weights) / size
    up, down = (
        reference_loss(state, state.weights + step * direction, batch, frozen)
        for step in (eps, -eps)
    )
    if 2 * eps * size**2 < _RESOLVED * abs(up):
        return None
    return (up - down) / (2 * eps * size**2)


def update_of(observed):
    """Compare one update with the central difference of the loss along it.

    With U = ((1 - ηλ) W - W')/η from the update W → W', the loss has the slope ‖U‖² along U if U is
    its gradient. The weights are the run's last, scaled so that the mean similarity of positives is
    2τ and all terms of the gradient count.
    """
    name, ratios = "slope of the loss along an update", []
    for o in observed:
        state = strong_state(o)
        batch, exp = training.draw_batch(state), state.experiment
        new = training.step(state).weights
        decayed = (1 - exp.learning_rate * exp.weight_decay) * state.weights
        update = (decayed - new) / exp.learning_rate
        ratios.append(_slope(state, batch, update))
    if None in ratios:
        return does_not_apply(CLAIM, name, _FLAT)
    why = "central difference of the loss, stopped where training stops it; kinks and rounding"
    return within(CLAIM, name, 1.0, ratios, 1e-3, why)
