"""The trajectory against itself: every row finite, whole, and what the rows before it lead to.

Nothing here shares code with the training loop or with the bias schedule, whose formulas are
written out once more.
"""

import math

import numpy as np

from ... import training
from ...recording.load import verify
from .claim import claim
from .verdict import FAILS, at_most, does_not_apply, within

CLAIM = "trajectory"
# Rows of the alignments that are read at a time.
_BLOCK = 256
# Relative rounding of norms and products, in units of that of the type.
_ROUNDING = 2000


FILES = "files unlike their checksums"
# What nothing else can be said of a run without.
READABLE = (
    FILES,
    "rows with a number that is not finite",
    "rows at other steps than the experiment's",
)


@claim(CLAIM)
def claim_files(observed):
    """Hold the files of runs against their checksums, whatever was trained."""
    found = [verify(o.run.directory) for o in observed if o.run.directory is not None]
    if not any(found):
        return [does_not_apply(CLAIM, FILES, "the run is not in files, or has no checksums")]
    wrong = [[fault for fault in files.values() if fault] for files in found]
    why = f"of {sum(map(len, found))} files"
    reason = "; ".join(fault for faults in wrong for fault in faults)
    counts = [len(faults) for faults in wrong]
    return [at_most(CLAIM, FILES, 0, counts, why, predicted="none", reason=reason)]


@claim(CLAIM)
def claim_trajectory(observed):
    """Hold every recorded row against the experiment, the schedule, and the states that were kept."""
    readable = [
        _all(READABLE[1], observed, not_finite, "none"),
        _all(READABLE[2], observed, out_of_step, "none"),
    ]
    if any(v.outcome == FAILS for v in readable):
        return readable
    return [
        *readable,
        _all(
            "rows with ‖w‖² ≠ ‖α‖² + ‖β‖²",
            observed,
            torn_apart,
            "w = Mα + β, orthogonal; rounding",
        ),
        _all(
            "rows with a fraction beyond 0 and 1, or a loss below -τ log P",
            observed,
            impossible,
            "log is concave: the mean of -log P_pp is at least -log of its mean; and without"
            " thresholds every neuron is active",
        ),
        _scheduled(observed),
        _first(observed),
        *_drawn(observed),
        _kept(observed),
    ]


def _all(name, observed, count, why):
    return at_most(CLAIM, name, 0, [count(o.run) for o in observed], why, predicted="none")


def not_finite(run):
    """Return the number of rows in which a built-in quantity is not finite."""
    bad = np.zeros(len(run), bool)
    for name in _built_in(run):
        array = run[name]
        for start in range(0, len(run), _BLOCK):
            block = np.asarray(array[start : start + _BLOCK])
            finite = np.isfinite(block.reshape(len(block), -1)).all(axis=1)
            bad[start : start + _BLOCK] |= ~finite
    return int(bad.sum())


def _built_in(run):
    """The quantities that must be finite; an objective may have no probability of a positive."""
    names = ["loss", "alignment", "weight_norm", "dense_norm", "bias", "active_fraction"]
    if np.isfinite(run["positive_probability"]).any() or _is_infonce(run):
        names.append("positive_probability")
    return names


def _is_infonce(run):
    return "objective" not in run.own and run.experiment.objective == "infonce"


def out_of_step(run):
    """Return the number of rows at other steps than those which the experiment records."""
    exp, steps = run.experiment, np.asarray(run.steps)
    first = 0 if run.start is None else run.start["step"]
    wanted = {first, *range(-(-first // exp.record_every) * exp.record_every, exp.n_steps + 1,
                            exp.record_every), exp.n_steps}  # fmt: skip
    wanted = np.array(sorted(wanted))[: len(steps)]
    # The last row of a run that was stopped may lie between.
    differ = steps[: len(wanted)] != wanted
    differ[-1:] &= not (len(steps) > 1 and steps[-2] < steps[-1] < wanted[-1])
    return int(differ.sum()) + len(steps) - len(wanted)


def torn_apart(run):
    """Return the number of rows in which ‖w‖² is not ‖α‖² + ‖β‖² for all neurons."""
    bad = 0
    tolerance = _ROUNDING * float(np.finfo(run.experiment.dtype).eps)
    for start in range(0, len(run), _BLOCK):
        rows = slice(start, start + _BLOCK)
        alpha = np.square(run["alignment"][rows], dtype=np.float64).sum(axis=2)
        norms, dense = (
            np.square(run[name][rows], dtype=np.float64) for name in ("weight_norm", "dense_norm")
        )
        # Where β is 0 by rounding, ‖α‖ may exceed ‖w‖ by as much.
        bad += int(np.any(~(np.abs(alpha + dense - norms) <= tolerance * norms), axis=1).sum())
    return bad


def impossible(run):
    """Return the number of rows whose probability, activity or loss no network can have."""
    exp = run.experiment
    active = np.asarray(run["active_fraction"], np.float64)
    bad = ~np.all((active >= 0) & (active <= 1), axis=1)
    bad |= np.any((np.asarray(run["bias"]) == 0) & (active != 1), axis=1)
    if _is_infonce(run):
        p = np.asarray(run["positive_probability"], np.float64)
        possible = (p >= 0) & (p <= 1)
        # A probability below the smallest normal number is recorded as 0, or as a rough number.
        least = -exp.temperature * np.log(np.where(possible, p, 1.0) + np.finfo(exp.dtype).tiny)
        small = 1e-4 * (exp.temperature + np.abs(least))
        bad |= ~(possible & (np.asarray(run["loss"]) >= least - small))
    return int(bad.sum())


def scheduled(experiment, stage, bias, norms, new_norms, initial_norm):
    """Return (stage, bias) that the schedule makes of a row and the norms of the next.

    Stage II starts when the root mean square of the norms has grown by `stage_one_growth`, with
    b = √(c_b log d / d) ‖w‖. From then on b ← max(b · growth, b ‖w'‖/‖w‖), at most `bias_cap` ‖w'‖, and stage
    III starts when half of the neurons are there (Wen & Li 2021, setting).
    """
    exp = experiment
    if stage == 1:
        if exp.stage_one_growth is None:
            return 1, np.zeros_like(bias)
        if math.sqrt(np.mean(new_norms**2)) < exp.stage_one_growth * initial_norm:
            return 1, np.zeros_like(bias)
        return 2, math.sqrt(exp.bias_factor * math.log(exp.n_features) / exp.n_features) * new_norms
    growth = exp.bias_growth
    if growth is None:
        growth = 1 + exp.learning_rate / exp.n_features
    ratio = np.divide(new_norms, norms, out=np.zeros_like(norms), where=norms > 0)
    return stage, np.minimum(bias * np.maximum(growth, ratio), exp.bias_cap * new_norms)


def off_schedule(run):
    """Return the number of rows whose stage or bias is not what the row before leads to."""
    exp = run.experiment
    stages, bias, norms = (
        np.asarray(run[name], np.float64) for name in ("stage", "bias", "weight_norm")
    )
    rounding = 20 * float(np.finfo(exp.dtype).eps)
    initial = math.sqrt(np.mean(norms[0] ** 2))
    bad = int(stages[0] != 1 or bool(bias[0].any()))
    for k in range(1, len(run)):
        stage, expected = scheduled(
            exp, stages[k - 1], bias[k - 1], norms[k - 1], norms[k], initial
        )
        if stage == 2 and stages[k - 1] == 2:
            capped = bias[k] >= exp.bias_cap * norms[k] * (1 - 1e-6)
            stage = 3 if capped.mean() >= 0.5 else 2
        near = np.abs(bias[k] - expected) <= rounding * np.abs(expected)
        bad += not (near.all() and stage == stages[k])
    return bad


def _scheduled(observed):
    name = "rows whose stage or bias the schedule does not give"
    run = observed[0].run
    if run.experiment.record_every > 1:
        return does_not_apply(CLAIM, name, "not every step is recorded")
    if "schedule" in run.own or run.experiment.stage_one_steps is not None:
        return does_not_apply(CLAIM, name, "the schedule is not the one by norms")
    if run.start is not None:
        return does_not_apply(CLAIM, name, "the norms at step 0 are not recorded")
    why = "from the recorded norms of a row and of the next one; rounding"
    return _all(name, observed, off_schedule, why)


def difference(run, row, state):
    """Return how far a recorded row is from the W M, norms and biases of a state, relative to ‖w‖."""
    matrix = np.asarray(state.model.dictionary, np.float64)
    weights = np.asarray(state.weights, np.float64)
    alignments, norms = weights @ matrix, np.linalg.norm(weights, axis=1)
    scale = max(float(norms.max()), np.finfo(np.float64).tiny)
    dense = np.linalg.norm(weights - alignments @ matrix.T, axis=1)
    pairs = (
        ("alignment", alignments),
        ("weight_norm", norms),
        ("bias", state.biases),
    )
    apart = max(np.abs(np.asarray(run[n][row], np.float64) - value).max() for n, value in pairs)
    # A small β is the root of a difference of squares.
    apart_dense = np.abs(np.asarray(run["dense_norm"][row], np.float64) ** 2 - dense**2).max()
    far = max(apart / scale, apart_dense / scale**2)
    return float(far) if int(run["stage"][row]) == state.stage else math.inf


def _first(observed):
    name = "first row, how far from init"
    if observed[0].run.start is not None:
        return does_not_apply(CLAIM, name, "the run began from another state")
    apart = [difference(o.run, 0, training.init(o.experiment)) for o in observed]
    return at_most(CLAIM, name, 1e-4, apart, "relative to the largest ‖w_i‖; rounding")


def _drawn(observed):
    """Hold the first row against w_i ~ N(0, σ_0² I), independent, σ_0 = initial_norm/√d1."""
    exp = observed[0].experiment
    names = (
        "rms ‖w_i‖ of the first row over initial_norm",
        "neurons of the first row, correlation",
    )
    if observed[0].run.start is not None:
        return [does_not_apply(CLAIM, name, "the run began from another state") for name in names]
    m, d = exp.n_neurons, exp.n_features
    norms = [
        math.sqrt(np.mean(np.square(o.run["weight_norm"][0], dtype=np.float64))) for o in observed
    ]
    spread = 4 / math.sqrt(2 * m * exp.n_inputs) + 1e-3
    verdicts = [
        within(
            CLAIM,
            names[0],
            1.0,
            [norm / exp.initial_norm for norm in norms],
            spread,
            "drawn from N(0, initial_norm²/d1); four standard deviations of m d1 numbers",
        )
    ]
    if m < 2:
        return [*verdicts, does_not_apply(CLAIM, names[1], "there is one neuron")]
    scaled = [np.asarray(o.run["alignment"][0], np.float64) for o in observed]
    scaled = [a / math.sqrt(np.mean(a**2)) for a in scaled]
    # α_i and α_(i+1) are independent: the mean of products over m-1 pairs and d features.
    found = [float(np.mean(a[1:] * a[:-1])) for a in scaled]
    why = "drawn independently; four standard errors"
    error = 4 / math.sqrt((m - 1) * d)
    return [*verdicts, within(CLAIM, names[1], 0.0, found, 0.0, why, error)]


def _kept(observed):
    name = "rows at kept states, how far from them"
    apart, seen = [], 0
    for o in observed:
        found = [difference(o.run, row, state) for row, state in o.states]
        apart.append(max(found, default=0.0))
        seen += len(found)
    if not seen:
        return does_not_apply(CLAIM, name, "no state is kept at a recorded row")
    why = f"of W M, ‖w‖, ‖β‖ and b of {seen} states, relative to the largest ‖w_i‖; rounding"
    return at_most(CLAIM, name, 1e-4, apart, why)
