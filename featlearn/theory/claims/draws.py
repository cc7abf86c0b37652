"""What training draws, held against its law: latents, noise, masks, views and negatives.

Enough samples are drawn that 3 % in a density or a variance are four standard errors; and the draws of
two features, rows, blocks of rows and steps must have nothing to do with each other.
"""

import dataclasses
import math

import numpy as np

from ... import training
from .claim import claim
from .verdict import at_most, does_not_apply, within

CLAIM = "draws"
# Non-zero latents that tell the density to half a percent; rows drawn for that at most.
_NONZERO, _MOST_ROWS = 40_000, 200_000
# Batches and rows of which everything is looked at, and batches of which latents are at most.
_BATCHES, _ROWS, _MOST_BATCHES = 8, 512, 2000
# Standard errors: a Gaussian is beyond 4.2 once in forty thousand.
_FAR = 4.2
# Rows of a batch that come from one random stream: two of them are in different blocks.
_BLOCK_ROWS = 64


class Tally:
    """Mean and standard error of statistics that have one value for each row drawn.

    The error is that of the values drawn, and at least that of the law where it is known: where
    coincidences are rare, few of them come with too small an error of their own.
    """

    def __init__(self):
        self._sums = {}

    def add(self, name, values, expected=0.0, variance=0.0):
        """Add the values of some rows, of that mean and that variance at least, to a statistic."""
        values = np.asarray(values, np.float64)
        if len(values) == 0:
            return
        sums = np.array([len(values), values.sum(), np.square(values).sum()])
        old = self._sums.get(name, (0.0, expected, variance))
        self._sums[name] = (old[0] + sums, expected, variance)

    def __iter__(self):
        """Yield (name, mean, standard error, expected)."""
        for name, ((n, total, squares), expected, variance) in self._sums.items():
            mean = total / n
            yield name, mean, math.sqrt(max(squares / n - mean**2, variance, 0.0) / n), expected


@claim(CLAIM)
def claim_draws(observed):
    """Hold the batches that training used against the law that the experiment states."""
    exp = observed[0].experiment
    unmet = _another_law(exp)
    if unmet:
        return [does_not_apply(CLAIM, "all of it", unmet)]
    tallies = [tally_draws(o.experiment) for o in observed]
    verdicts = []
    for found in zip(*(t[0] for t in tallies)):
        name, error = found[0][0], max(row[2] for row in found)
        verdicts.append(
            within(
                CLAIM,
                name,
                found[0][3],
                [row[1] for row in found],
                relative=0.0,
                absolute=_FAR * error + 1e-6 * abs(found[0][3]),
                why=f"its law; {_FAR:g} standard errors of what was drawn",
            )
        )
    verdicts.append(_independence(exp, [t[1] for t in tallies]))
    verdicts.append(_views(exp, [t[2] for t in tallies]))
    return verdicts


def _another_law(experiment):
    """Why the law written out here is not that of an experiment, or nothing."""
    fields = {"latents": "bernoulli", "density_power": 0, "n_samples": None}
    fields |= {"noise_spikes": 0, "noise_spread": 0}
    for name, plain in fields.items():
        if getattr(experiment, name, plain) != plain:
            return f"another law of the samples, {name} = {getattr(experiment, name)}"
    if experiment.batches != "iid":
        return f"{experiment.batches} batches depend on each other by design"
    return ""


def _independence(exp, tallies):
    name = "features, rows, blocks and steps, dependence"
    worst, where = [], []
    for tally in tallies:
        far = {name: _errors(*row) for name, *row in tally}
        if not far:
            return does_not_apply(CLAIM, name, "nothing random is drawn")
        most = max(far, key=far.get)
        worst.append(far[most])
        where.append(most)
    return at_most(
        CLAIM,
        name,
        _FAR,
        worst,
        f"the largest deviation from independence, in standard errors, of {len(far)} statistics",
        reason=f"largest: {where[int(np.argmax(worst))]}",
        predicted="0",
    )


def _errors(mean, error, expected):
    """How many standard errors a mean is from what is expected."""
    if error > 0:
        return abs(mean - expected) / error
    # Up to rounding, what does not vary is what it should be.
    return 0.0 if math.isclose(mean, expected, rel_tol=1e-6, abs_tol=1e-12) else math.inf


def _views(exp, apart):
    name = "views, how far from their definition"
    if None in apart:
        return does_not_apply(CLAIM, name, f"no formula for {exp.augmentation} is written here")
    why = "made again from latents, noise and masks, relative to the largest number; rounding"
    return at_most(CLAIM, name, 1e-5 if exp.dtype == "float32" else 1e-12, apart, why)


def tally_draws(experiment):
    """Draw the batches of the first steps of an experiment.

    Returns
    -------
    moments : Tally
        Of what has a stated value: density, noise variance, keep probability.
    independence : Tally
        Of what is 0, or a product of the moments, for independent draws.
    apart : float or None
        How far the views are from their definition; None without one.
    """
    exp, s = experiment, experiment.resolved_density
    moments, independence, apart, before = Tally(), Tally(), 0.0, None
    # The latents of a step do not depend on the number of inputs: with few they are drawn sooner.
    thin = training.init(
        exp.replace(
            n_inputs=exp.n_features,
            n_neurons=1,
            dense="explicit",
            noise_inputs=None,
            dictionary="orthonormal",
            objective="infonce",
            negatives=1,
            negative_groups=1,
        )
    )
    rows = min(_NONZERO / max(exp.n_features * s, 1e-3), _MOST_ROWS)
    for step in range(min(max(math.ceil(rows / exp.batch_size), _BATCHES), _MOST_BATCHES)):
        batch = training.draw_batch(dataclasses.replace(thin, step=step))
        moments.add("density of the latents", (batch.sample.latents != 0).mean(axis=1), s)
        if s > 0:
            _add_features(independence, np.asarray(batch.sample.latents, np.float64), s)
    state = training.init(exp)
    for step in range(max(_BATCHES, math.ceil(_ROWS / exp.batch_size))):
        batch = training.draw_batch(dataclasses.replace(state, step=step))
        _add_noise(exp, moments, independence, batch)
        drawn = _drawn(exp, batch)
        for name, values, mean, variance in drawn:
            lags = {"rows": (values[:-1], values[1:])}
            if len(values) > _BLOCK_ROWS:
                lags["blocks"] = (values[:-_BLOCK_ROWS], values[_BLOCK_ROWS:])
            if before is not None:
                lags["steps"] = (before[name], values)
            for lag, (a, b) in lags.items():
                independence.add(f"{name} of two {lag}", _inner(a, b), mean, variance)
        before = {name: values for name, values, *_ in drawn}
        error = view_error(exp, state.model, batch)
        apart = None if error is None or apart is None else max(apart, error)
    return moments, independence, apart


def _inner(a, b):
    """Mean of a b over the columns."""
    return np.einsum("pk,pk->p", a, b, dtype=np.float64) / a.shape[1]


def _drawn(experiment, batch):
    """Return (name, values of shape (n, k), mean and least variance of two rows' mean product).

    For independent rows; of centred values the variance is that of a value, squared, over k.
    """
    sample, found = batch.sample, []
    s, variance = experiment.resolved_density, experiment.resolved_noise_variance
    if s > 0:
        latents = np.asarray(sample.latents, np.float64)
        d = latents.shape[1]
        found.append(("latents", latents, 0.0, s**2 / d))
        found.append(("presences", np.abs(latents) - s, 0.0, (s * (1 - s)) ** 2 / d))
    if variance > 0:
        found.append(("noise", sample.noise, 0.0, variance**2 / sample.noise.shape[1]))
        found.append(("dense parts of keys", batch.views.keys, 0.0, 0.0))
    keep = experiment.keep_probability
    for k, mask in enumerate(batch.views.masks):
        least = (keep * (1 - keep)) ** 2 / mask.shape[1]
        found.append((f"mask {k + 1}", mask.astype(np.float32), keep**2, least))
    if batch.negatives is not None and found:
        n = min(len(batch.negatives), len(batch.views.keys))
        found.append(("negatives", batch.negatives[:n], 0.0, 0.0))
    return found


def _add_features(tally, z, s):
    d, count = z.shape[1], np.abs(z).sum(axis=1)
    tally.add("signs of the latents", z.mean(axis=1))
    tally.add("sizes of the latents", np.square(z).mean(axis=1) - np.abs(z).mean(axis=1))
    if d > 1:
        tally.add("signs of two features", z.sum(axis=1) ** 2 - count, 0.0, 2 * d * (d - 1) * s**2)
        # A binomial number's, whose fourth central moment is v + 3 v² - 6 v²/d.
        v = d * s * (1 - s)
        scatter = v + 2 * v**2 - 6 * v**2 / d
        tally.add("presences of two features", (count - d * s) ** 2, v, scatter)


def _add_noise(experiment, moments, tally, batch):
    exp, noise = experiment, batch.sample.noise
    keep, variance, masks = exp.keep_probability, exp.resolved_noise_variance, batch.views.masks
    moments.add("variance of the noise", _inner(noise, noise), variance)
    if variance > 0:
        squares = np.square(noise)
        tally.add("mean of the noise", noise.mean(axis=1, dtype=np.float64))
        tally.add("kurtosis of the noise", _inner(squares, squares), 3 * variance**2)
        if noise.shape[1] > 1:
            tally.add("noise of two inputs", _inner(noise[:, 1:], noise[:, :-1]))
            both = _inner(squares[:, 1:], squares[:, :-1])
            tally.add("strength of the noise of two inputs", both, variance**2)
        tally.add("noise with the signal", _inner(noise, batch.sample.signal))
    for k, mask in enumerate(masks):
        moments.add(f"kept by mask {k + 1}", mask.mean(axis=1, dtype=np.float64), keep)
        if mask.shape[1] > 1:
            both = (mask[:, 1:] & mask[:, :-1]).mean(axis=1)
            tally.add(f"mask {k + 1} of two inputs", both, keep**2)
        if variance > 0:
            tally.add(f"mask {k + 1} with the noise", _inner(mask.astype(noise.dtype), noise))
    if len(masks) == 2:
        tally.add("the two masks", (masks[0] & masks[1]).mean(axis=1), keep**2)
    if batch.negatives is not None and (variance > 0 or exp.resolved_density > 0):
        n = min(len(batch.negatives), len(batch.views.keys))
        tally.add("negatives with keys", _inner(batch.negatives[:n], batch.views.keys[:n]))


def view_error(experiment, model, batch):
    """Return how far views are from their definition, relative to their largest number.

    Parameters
    ----------
    experiment : Experiment
    model : SparseCodingModel
    batch : Batch
        With its sample and masks.

    Returns
    -------
    float or None
        None for an augmentation whose definition is not written out here.
    """
    sample, keep = batch.sample, experiment.keep_probability
    matrix = np.asarray(model.dictionary, np.float64)
    signal = np.asarray(sample.latents, np.float64) @ matrix.T
    x = signal + np.asarray(sample.noise, np.float64)
    masks = batch.views.masks
    if experiment.augmentation == "none":
        wanted = [x, x]
    elif experiment.augmentation == "random_mask" and len(masks) == 1:
        wanted = [x * masks[0] / keep, x * ~masks[0] / (1 - keep)]
    elif experiment.augmentation == "independent_masks" and len(masks) == 2:
        wanted = [x * mask / keep for mask in masks]
    else:
        return None
    scale = max(np.abs(x).max(), np.finfo(np.float64).tiny)
    pairs = zip((batch.views.anchors, batch.views.keys), wanted)
    return float(max(np.abs(view - w).max() for view, w in pairs) / scale)
