"""Break the simulator, and tamper with runs, in many ways; count what `featlearn check` sees.

Each sabotage changes a line of the code. It must be seen when the intact code reads a run of the broken
one, and when the broken code reads its own. Each tampering changes a recorded run, checksums aside.
All 58 and 34 are seen, both ways, on tiny and on quick.

    python scripts/sabotage.py
    python scripts/sabotage.py --preset quick --steps 800 --only schedule
"""

import argparse
import contextlib
import dataclasses
import importlib
import inspect
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

import featlearn
from featlearn.errors import FeatlearnError
from featlearn.theory import check
from featlearn.theory.claims.checking import Observed
from featlearn.theory.claims.definitions import claim_definitions
from featlearn.theory.claims.draws import claim_draws
from featlearn.theory.claims.replay import claim_replay
from featlearn.theory.claims.simulator import claim_simulator
from featlearn.theory.claims.trajectory import claim_trajectory

# The claims that say whether code and run are right, whatever the run has learned.
RECORDED = (claim_trajectory, claim_replay, claim_definitions)
CERTIFYING = (*RECORDED, claim_draws, claim_simulator)


class Sabotage(NamedTuple):
    """A line of the code, and what it becomes.

    Attributes
    ----------
    name : str
    target : str
        "module:function", below featlearn.
    old, new : str
    changes : dict
        Fields of the experiment without which the line is not used.
    """

    name: str
    target: str
    old: str
    new: str
    changes: dict = {}


FREE = {"stop_gradient": False}
SEPARATE = {"negatives": 60}
WARM = {"temperature": 1.5}
SABOTAGES = [
    Sabotage("gradient ignores which neurons are off", "gradient:coefficients", "A *= active", "pass"),
    Sabotage("repulsion attracts", "gradient:coefficients", "np.subtract(strength", "np.add(strength"),
    Sabotage("attraction without 1 - P", "gradient:coefficients",
             "strength[some][..., None] * partners", "partners"),
    Sabotage("repulsion 3 % too strong", "gradient:coefficients",
             "np.matmul(probabilities, others, out=A)",
             "np.matmul(1.03 * probabilities, others, out=A)"),
    Sabotage("gradient 3 % too small", "gradient:weight_product",
             "gradient /= -inputs[0].shape[-2]", "gradient /= -1.03 * inputs[0].shape[-2]"),
    Sabotage("gradient summed over the batch", "gradient:weight_product",
             "gradient /= -inputs[0].shape[-2]", "gradient /= -1"),
    Sabotage("gradient ascends", "gradient:weight_product",
             "gradient /= -inputs[0].shape[-2]", "gradient /= inputs[0].shape[-2]"),
    Sabotage("keys' part subtracted", "gradient:weight_product",
             "gradient += more", "gradient -= more", FREE),
    Sabotage("separate negatives attract", "gradient:coefficients",
             "np.negative(A, out=A)", "pass", {**FREE, **SEPARATE}),
    Sabotage("similarities not divided by τ", "loss:softmax",
             "np.divide(h, temperature, out=scaled)", "np.copyto(scaled, h)", WARM),
    Sabotage("positive among its own negatives", "loss:softmax", "P[own] = -np.inf", "pass"),
    Sabotage("positive not in the denominator", "loss:softmax",
             "negative_weight + np.exp(positive - largest)", "negative_weight"),
    Sabotage("positive similarity 3 % too large", "loss:softmax",
             "positive[:] = P[own]", "positive[:] = 1.03 * P[own]"),
    Sabotage("another sample's key as the positive", "loss:softmax",
             "own = ..., np.arange(len(index)), index", "own = ..., np.arange(len(index)), index - 1"),
    Sabotage("separate negatives left out of the sum", "loss:softmax",
             "negative_weight = P.sum(axis=-1)", "negative_weight = P[..., 1:].sum(axis=-1)", SEPARATE),
    Sabotage("loss not times τ", "loss:contrast", "temperature * ((largest", "1.0 * ((largest", WARM),
    Sabotage("median of the losses", "loss:contrast", "losses.mean(axis=-1)", "np.median(losses, axis=-1)"),
    Sabotage("strength squared", "loss:contrast",
             "attraction=negative_weight / total", "attraction=(negative_weight / total) ** 2"),
    Sabotage("neurons active on one side only", "network:respond",
             "np.greater_equal(h, biases", "np.greater_equal(u, biases"),
    Sabotage("threshold on one side only", "network:respond",
             "np.maximum(h, -biases, out=h)", "np.maximum(h, 0 * biases, out=h)"),
    Sabotage("threshold 3 % too low", "network:respond",
             "np.minimum(u, biases, out=h)", "np.minimum(u, 0.97 * biases, out=h)"),
    Sabotage("no weight decay", "training:descend", "keep * old[some]", "old[some]"),
    Sabotage("learning rate 3 % too large", "training:descend", "-rate", "-1.03 * rate"),
    Sabotage("weight decay 3 % too large", "training:rates",
             "1 - rate * experiment", "1 - 1.03 * rate * experiment"),
    Sabotage("first neuron never moves", "training:descend",
             "np.multiply(gradient, -rate, out=new)",
             "np.multiply(gradient, -rate, out=new); new[0] = 0"),
    Sabotage("the same noise and masks at every step", "batches:_draw",
             "generator(exp.seed, stream, state.step,", "generator(exp.seed, stream, 0,"),
    Sabotage("the same noise and masks in every block", "batches:_draw",
             "generator(exp.seed, stream, state.step, start // BLOCK_ROWS)",
             "generator(exp.seed, stream, state.step, 0)"),
    Sabotage("keys of other samples", "batches:draw_block",
             "for kept, mask in zip(masks, views.masks):",
             "keys[rows] = keys[rows][::-1].copy()\n    for kept, mask in zip(masks, views.masks):"),
    Sabotage("3 % of the keys exchanged", "batches:draw_block",
             "for kept, mask in zip(masks, views.masks):",
             "keys[rows][:2] = keys[rows][:2][::-1].copy()\n"
             "    for kept, mask in zip(masks, views.masks):"),
    Sabotage("views without the factor 1/k", "views:RandomMask.pair", "x *= 1 / keep", "pass"),
    Sabotage("both views alike", "views:RandomMask.pair",
             "np.subtract(x, anchors, out=keys)", "np.copyto(keys, anchors)"),
    Sabotage("one mask a block of samples", "views:RandomMask.pair",
             "_bernoulli(rng, sample.signal.shape, keep)",
             "np.repeat(_bernoulli(rng, (1, sample.signal.shape[1]), keep), len(sample.signal), 0)"),
    Sabotage("masks keep 3 % more", "views:RandomMask.pair",
             "_bernoulli(rng, sample.signal.shape, keep)",
             "rng.random(sample.signal.shape) < 1.03 * keep"),
    Sabotage("masks keep inputs in pairs", "views:RandomMask.pair",
             "_bernoulli(rng, sample.signal.shape, keep)",
             "np.repeat(rng.random((len(sample.signal), sample.signal.shape[1] // 2)) < keep, 2, 1)"),
    Sabotage("the mask keeps the noise whole", "views:RandomMask.pair",
             "np.multiply(x, mask, out=anchors)", "np.copyto(anchors, x * mask + 0.03 * x)"),
    Sabotage("density 3 % too low", "latents:Bernoulli.draw",
             "rng.random((n, self.n_features))", "rng.random((n, self.n_features)) * 1.03"),
    Sabotage("no negative latents", "latents:Bernoulli.draw",
             "latents -= ", "latents += "),
    Sabotage("3 % more positive latents", "latents:Bernoulli.draw",
             "(uniform < s / 2)", "(uniform < 1.03 * s / 2)"),
    Sabotage("features come in pairs", "latents:Bernoulli.draw",
             "rng.random((n, self.n_features))",
             "np.repeat(rng.random((n, -(-self.n_features // 2))), 2, 1)[:, : self.n_features]"),
    Sabotage("samples come in pairs", "latents:Bernoulli.draw",
             "rng.random((n, self.n_features))",
             "np.repeat(rng.random((-(-n // 2), self.n_features)), 2, 0)[:n]"),
    Sabotage("noise variance 3 % too large", "data:SparseCodingModel.draw_noise",
             "math.sqrt(self.noise_variance)", "math.sqrt(1.03 * self.noise_variance)"),
    Sabotage("noise of two values", "data:SparseCodingModel.draw_noise",
             "if noise is not out:",
             "noise[...] = np.sign(noise) * math.sqrt(self.noise_variance)\n    if noise is not out:"),
    Sabotage("noise of samples in pairs", "data:SparseCodingModel.draw_noise",
             "if noise is not out:", "noise[1::2] = noise[::2][: len(noise[1::2])]\n    if noise is not out:"),
    Sabotage("signal 3 % too large", "data:SparseCodingModel.signal",
             "np.matmul(latents, atoms, out=out)", "np.matmul(1.03 * latents, atoms, out=out)"),
    Sabotage("jump of the biases 20 % too high", "schedule:BiasSchedule.advance",
             "self.jump * new_norms", "1.2 * self.jump * new_norms"),
    Sabotage("cap of the biases 10 % too high", "schedule:BiasSchedule.advance",
             "cap = self.cap", "cap = 1.1 * self.cap"),
    Sabotage("growth of the biases squared", "schedule:BiasSchedule.advance",
             "np.maximum(self.growth, ratio)", "np.maximum(self.growth**2, ratio)"),
    Sabotage("biases do not follow the norms", "schedule:BiasSchedule.advance",
             "np.maximum(self.growth, ratio)", "self.growth", {"bias_growth": 1.0}),
    Sabotage("stage I 1.4 times as long", "schedule:BiasSchedule.advance",
             "self.stage_one_growth * initial_norm", "1.4 * self.stage_one_growth * initial_norm"),
    Sabotage("stage III when nine of ten are at the cap", "schedule:BiasSchedule.advance",
             ">= 0.5", ">= 0.9"),
    Sabotage("weights start 10 % too large", "training:init",
             "experiment.initial_norm / math",
             "1.1 * experiment.initial_norm / math"),
    Sabotage("weights start in equal pairs", "training:init",
             "norms = neuron_norms(weights)", "weights[1::2] = weights[::2][: len(weights[1::2])]\n"
             "    norms = neuron_norms(weights)"),
    Sabotage("recorded loss 3 % too large", "recording.quantities:loss",
             "return gradient.loss", "return 1.03 * gradient.loss"),
    Sabotage("recorded P_pp of the most certain anchor", "recording.quantities:positive_probability",
             ".mean(axis=-1, dtype=np.float64)", ".max()"),
    Sabotage("recorded alignments 3 % too large", "recording.quantities:alignment",
             "return state.alignment", "return 1.03 * state.alignment"),
    Sabotage("recorded alignments of the last step", "recording.quantities:alignment",
             "return state.alignment", "return np.roll(state.alignment, 1, axis=1)"),
    Sabotage("recorded activity of half of the batch", "recording.quantities:active_fraction",
             "/ active.shape[-2]", "/ (len(active) + 3)"),
    Sabotage("recorded biases 3 % too small", "recording.quantities:bias",
             "return state.biases", "return 0.97 * state.biases"),
]  # fmt: skip


@contextlib.contextmanager
def applied(sabotage):
    """Run a block with one line of the code changed, for whoever has imported it already."""
    module, _, path = sabotage.target.partition(":")
    owner = importlib.import_module(f"featlearn.{module}")
    for name in path.split("."):
        owner = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(owner))
    if source.count(sabotage.old) != 1:
        raise ValueError(f"{sabotage.target} has not one {sabotage.old!r}: {sabotage.name}")
    source = source.replace(sabotage.old, sabotage.new)
    # Decorators register the function: they have done so.
    source = source[source.index("def ") :]
    namespace = {}
    exec(compile(source, owner.__code__.co_filename, "exec"), owner.__globals__, namespace)
    intact, owner.__code__ = owner.__code__, namespace[owner.__name__].__code__
    try:
        yield
    finally:
        owner.__code__ = intact


def failures(run, claims=CERTIFYING, states=None):
    """Return the quantities that fail, or the error that tells of a run that cannot be judged."""
    try:
        observed = [Observed(run)]
        if states is not None:
            # Those of the run before it was tampered with, read once.
            rows = {int(step): row for row, step in enumerate(run.steps)}
            kept = [(rows[state.step], state) for _, state in states if state.step in rows]
            vars(observed[0])["states"] = kept
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [v for function in claims for v in function(observed)]
    except FeatlearnError as error:
        return [str(error)]
    return [v.quantity for v in found if v.outcome == "fails"]


def judge(sabotage, experiment, directory):
    """Return what the intact code says of the run of the broken one, and what that says itself."""
    experiment = experiment.replace(**sabotage.changes)
    try:
        with applied(sabotage):
            run = featlearn.train(experiment, directory)
            own = failures(run)
    except FeatlearnError as error:
        return [str(error)], [str(error)]
    return failures(featlearn.load_run(directory)), own


def tampered(run):
    """Yield (name, run) for a run with its arrays or its experiment changed."""
    rng, n = np.random.default_rng(0), len(run)
    arrays = {name: np.array(run[name]) for name in run.arrays}
    later = np.asarray(run["stage"]) >= 2
    middle = slice(n // 2, None)

    def with_arrays(name, **changed):
        return name, dataclasses.replace(run, arrays={**arrays, **changed})

    def edited(name, where, value):
        array = arrays[name].copy()
        array[where] = value(array[where]) if callable(value) else value
        return {name: array}

    def with_field(**changed):
        words = ", ".join(f"{name} = {value:.4g}" for name, value in changed.items())
        return f"experiment with {words}", dataclasses.replace(
            run, experiment=run.experiment.replace(**changed)
        )

    noise = {
        name: np.where(later[:, None], rng.random(arrays[name].shape[:2]), arrays[name])
        for name in ("weight_norm", "dense_norm", "bias", "active_fraction")
    }
    noise["alignment"] = np.where(
        later[:, None, None], rng.standard_normal(arrays["alignment"].shape), arrays["alignment"]
    )
    noise = {name: array.astype(arrays[name].dtype) for name, array in noise.items()}
    exp = run.experiment
    yield with_arrays("a quarter of the rows zeros", **{
        name: edited(name, slice(n // 4, n // 2), 0)[name] for name in arrays if name != "step"
    })  # fmt: skip
    yield with_arrays(
        "a quarter of the rows no numbers", **edited("alignment", slice(n // 4, n // 2), np.nan)
    )
    yield with_arrays("one loss that is not a number", **edited("loss", 7, np.nan))
    yield with_arrays(
        "losses × 1.5 but the last", **edited("loss", slice(None, -1), lambda x: 1.5 * x)
    )
    yield with_arrays("losses in another order", loss=rng.permutation(arrays["loss"]))
    yield with_arrays("P_pp = 0", **edited("positive_probability", slice(None), 0))
    yield with_arrays("P_pp = 1", **edited("positive_probability", slice(None), 1))
    yield with_arrays("biases = 0", **edited("bias", slice(None), 0))
    yield with_arrays("biases of the neuron beside", bias=np.roll(arrays["bias"], 1, axis=1))
    yield with_arrays("norms × 2", **edited("weight_norm", slice(None), lambda x: 2 * x))
    yield with_arrays("‖β‖ + 1 %", **edited("dense_norm", slice(None), lambda x: 1.01 * x))
    yield with_arrays("alignments a step late", alignment=np.roll(arrays["alignment"], 1, axis=0))
    yield with_arrays("every row a step late", **{
        name: np.concatenate([array[:1], array[:-1]])
        for name, array in arrays.items() if name != "step"
    })  # fmt: skip
    yield with_arrays("stages II and III of random numbers", **noise)
    yield with_arrays("two neurons exchanged", **{
        name: array[:, [1, 0, *range(2, array.shape[1])]]
        for name, array in arrays.items() if array.ndim > 1
    })  # fmt: skip
    yield with_arrays("two features exchanged half way",
                      **edited("alignment", middle, lambda a: a[:, :, [1, 0, *range(2, a.shape[2])]]))  # fmt: skip
    yield with_arrays("signs turned half way", **edited("alignment", middle, lambda a: -a))
    yield with_arrays(
        "one alignment of one row", **edited("alignment", (50, 0, 0), lambda a: a + 0.1)
    )
    yield with_arrays("half as active", **edited("active_fraction", slice(None), lambda a: a / 2))
    yield with_arrays("activity above 1", **edited("active_fraction", 3, 1.5))
    yield with_arrays("stage III a row early",
                      stage=np.append(arrays["stage"][1:], arrays["stage"][-1]))  # fmt: skip
    yield with_arrays("steps shifted by one", step=arrays["step"] + 1)
    yield with_arrays(
        "a row left out", **{k: np.delete(a, n // 3, axis=0) for k, a in arrays.items()}
    )
    yield with_arrays("a row twice", **{
        k: np.insert(a, n // 3, a[n // 3], axis=0) for k, a in arrays.items()
    })  # fmt: skip
    yield with_field(learning_rate=1.03 * exp.learning_rate)
    yield with_field(weight_decay=1.03 * exp.weight_decay)
    yield with_field(density=1.03 * exp.resolved_density)
    yield with_field(noise_variance=1.03 * exp.resolved_noise_variance)
    yield with_field(temperature=1.03 * exp.temperature)
    yield with_field(keep_probability=0.515)
    yield with_field(seed=exp.seed + 1)
    yield with_field(bias_cap=1.1 * exp.bias_cap)
    yield with_field(bias_growth=exp.resolved_bias_growth**2)
    yield with_field(stage_one_growth=1.2 * exp.stage_one_growth)


# What is not seen, and why.
SURVIVORS = {}


def main(arguments=None):
    """Run every sabotage and tampering, print what saw it, and return 1 if one survives unexplained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--only", default="", help="part of a name or target")
    options = parser.parse_args(arguments)
    experiment = featlearn.preset(options.preset).replace(n_steps=options.steps)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for k, sabotage in enumerate(SABOTAGES):
            if options.only in sabotage.name + sabotage.target:
                intact, own = judge(sabotage, experiment, Path(place) / str(k))
                rows.append((sabotage.name, len(intact), len(own)))
                print(f"{rows[-1][0]:45} intact code {len(intact):2}, broken code {len(own):2}"
                      f"  {own[:1]}", flush=True)  # fmt: skip
        run = featlearn.train(experiment, Path(place) / "run")
        false = failures(run) + [v.quantity for v in check(run) if v.outcome == "fails"]
        print(f"{'nothing':45} {false}")
        states = Observed(run).states
        for name, changed in tampered(run):
            if options.only in name:
                found = failures(changed, RECORDED, states)
                rows.append((name, len(found), len(found)))
                print(f"{name:45} {len(found):2}  {found[:1]}", flush=True)
    for kind, column in (("by the intact code", 1), ("by the code itself", 2)):
        seen = sum(row[column] > 0 for row in rows)
        print(f"seen {kind}: {seen} of {len(rows)}")
    missed = [row[0] for row in rows if not min(row[1:]) and row[0] not in SURVIVORS]
    return int(bool(missed or false))


if __name__ == "__main__":
    sys.exit(main())
