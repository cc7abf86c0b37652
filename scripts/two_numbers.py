#!/usr/bin/env python3
"""Which features win? Two numbers, known before a run, against simulated outcomes.

Trains small networks spread over both sides of both preconditions: with RandomMask over the noise margin
κn²/s, and without augmentation over the growth g that the norms have before they saturate, relative
to the growth g* at which the sparse part overtakes the dense one. Prints for each configuration the two
numbers, what they predict and what happened, and how many of the configurations that are more than
15 % away from a boundary were called right.

The sparse features win where ‖α‖² exceeds half of ‖w‖², summed over the neurons, at some step; the
share at the last step is listed beside it, because a network that lost can change later: a threshold far
out in the tail prefers heavy-tailed directions, and the repulsion prefers directions with less variance.

examples:
  python scripts/two_numbers.py
  python scripts/two_numbers.py --quick
"""

import argparse
import json
import math
import sys
from typing import NamedTuple

import numpy as np

from featlearn import Experiment, train
from featlearn.theory import crossing, noise_margin, saturation_growth

BASE = Experiment(
    n_features=16,
    n_inputs=256,
    n_neurons=64,
    batch_size=128,
    n_steps=600,
    learning_rate=0.4,
    weight_decay=0.01,
    temperature=1.0,
    density_factor=1.0,
    initial_norm=0.05,
    stage_one_growth=6.0,
    bias_factor=1.0,
    bias_growth=1.004,
    bias_cap=0.6,
    record_every=5,
)
# Part of the bound within which a configuration is too near to be called.
NEAR = 0.15

# Noise factor and initial norms of the networks without augmentation.
PLAIN = {
    0.5: (0.8, 0.4, 0.2, 0.1, 0.05),
    1.0: (0.5, 0.25, 0.1, 0.05, 0.02),
    1.5: (0.2, 0.1, 0.03, 0.003, 0.0003),
    2.0: (0.1, 0.02, 0.005, 0.0003, 0.00003),
}
# Noise factor and (batch size, learning rate) of those with RandomMask.
MASKED = {
    1.0: ((256, 0.4), (128, 0.4), (128, 0.8), (64, 0.8), (64, 1.2), (32, 1.2)),
    2.0: ((256, 0.1), (256, 0.2), (256, 0.4), (128, 0.4), (128, 0.8), (64, 0.8)),
}


class Outcome(NamedTuple):
    """One configuration: what was predicted and what happened, means over the seeds.

    Attributes
    ----------
    experiment : Experiment
    number : float
        The number that decides, relative to its bound: κn²/s, or g/g*.
    margin, growth, crossing : float
        κn²/s, g and g*.
    predicted : bool
        Whether the sparse features win.
    reached : float
        ln of the largest growth of the norms.
    peak, last : tuple of float
        Largest and last sparse share of every seed.
    """

    experiment: Experiment
    number: float
    margin: float
    growth: float
    crossing: float
    predicted: bool
    reached: float
    peak: tuple
    last: tuple

    @property
    def near(self):
        """Whether the number is within 15 % of its bound."""
        return abs(self.number - 1) <= NEAR

    def right(self, shares):
        """Number of seeds whose share lies on the predicted side of one half."""
        return sum((share > 0.5) == self.predicted for share in shares)


def configurations(quick):
    """Return the experiments: 20 without augmentation and 12 with RandomMask, 8 when quick."""
    plain = [
        BASE.replace(augmentation="none", noise_factor=factor, initial_norm=norm)
        for factor, norms in PLAIN.items()
        for norm in norms
    ]
    masked = [
        BASE.replace(
            noise_factor=factor,
            batch_size=batch,
            learning_rate=rate,
            n_steps=min(1600, int(240 / rate)),
        )
        for factor, pairs in MASKED.items()
        for batch, rate in pairs
    ]
    return plain[5:9] + masked[:1] + masked[2:5] if quick else plain + masked


class Prediction(NamedTuple):
    """What is known before a run; see `Outcome`."""

    number: float
    margin: float
    growth: float
    crossing: float
    predicted: bool


def predict(experiment):
    """Return the `Prediction` for an experiment with RandomMask or without augmentation."""
    margin, needed = noise_margin(experiment), crossing(experiment).growth
    growth = saturation_growth(experiment)
    if experiment.augmentation == "none":
        return Prediction(growth / needed, margin, growth, needed, growth > needed)
    return Prediction(margin, margin, growth, needed, margin < 1)


def evaluate(experiment, seeds):
    """Predict one configuration and train it with every seed; return its `Outcome`."""
    peak, last, reached = [], [], []
    for seed in range(seeds):
        run = train(experiment.replace(seed=seed))
        total = np.square(run["weight_norm"], dtype=np.float64).sum(axis=1)
        share = np.square(run["alignment"], dtype=np.float64).sum(axis=(1, 2)) / total
        peak.append(float(share.max()))
        last.append(float(share[-1]))
        reached.append(0.5 * math.log(total.max() / total[0]))
    known = predict(experiment)
    return Outcome(experiment, *known, float(np.mean(reached)), tuple(peak), tuple(last))


HEADER = (
    f"{'augmentation':12} {'C_ξ':>4} {'B':>4} {'η':>4} {'‖w_0‖':>7} {'κn²/s':>6} {'g*':>5} {'g':>5}"
    f" {'reached':>7} {'predicted':>9} {'peak':>5} {'last':>5}  called"
)


def row(outcome):
    """Return one line of the table."""
    o, exp = outcome, outcome.experiment
    called = "near" if o.near else f"{o.right(o.peak)}/{len(o.peak)}"
    return (
        f"{exp.augmentation:12} {exp.noise_factor:4.1f} {exp.batch_size:4d} {exp.learning_rate:4.1f}"
        f" {exp.initial_norm:7.2g} {o.margin:6.2f} {o.crossing:5.2f} {o.growth:5.2f}"
        f" {o.reached:7.2f} {'sparse' if o.predicted else 'dense':>9} {np.mean(o.peak):5.2f}"
        f" {np.mean(o.last):5.2f}  {called}"
    )


def score(outcomes, shares):
    """Return (right, all) over the seeds of the configurations that are not near a boundary."""
    far = [o for o in outcomes if not o.near]
    return sum(o.right(getattr(o, shares)) for o in far), sum(len(o.peak) for o in far)


def main(argv=None):
    """Run it; the exit code is 1 where fewer than 90 % are called right."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="8 configurations, one seed")
    parser.add_argument("--seeds", type=int, help="seeds of each (3, quick: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    arguments = parser.parse_args(argv)
    seeds = arguments.seeds or (1 if arguments.quick else 3)
    experiments = configurations(arguments.quick)
    outcomes = []
    print(HEADER)
    for k, experiment in enumerate(experiments):
        if sys.stderr.isatty():
            print(f"\r{k + 1}/{len(experiments)}", end="\r", file=sys.stderr, flush=True)
        outcomes.append(evaluate(experiment, seeds))
        print(row(outcomes[-1]), flush=True)
    print(f"\n{len(outcomes)} configurations, {sum(o.near for o in outcomes)} near a boundary")
    for shares, said in (("peak", "at some step"), ("last", "at the last step")):
        right, total = score(outcomes, shares)
        print(f"sparse share above one half {said}: {right} of {total} runs called right"
              f" ({100 * right / max(total, 1):.0f} %)")  # fmt: skip
    if arguments.json:
        rows = [{**o._asdict(), "experiment": o.experiment.to_dict()} for o in outcomes]
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1, default=str)
    right, total = score(outcomes, "peak")
    return 0 if right >= 0.9 * total else 1


if __name__ == "__main__":
    sys.exit(main())
