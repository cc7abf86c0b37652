"""How often does `featlearn check` say "fails" of a correct run?

Trains a preset at many seeds, or experiments drawn at random, checks each run by itself with updates made
again, and counts the runs with a verdict that fails. Every run adds a line of JSON to a file, and a call
that finds its runs there goes on after them.

    python scripts/false_alarms.py tiny --runs 40 --out tiny.jsonl
    python scripts/false_alarms.py random --runs 60 --out random.jsonl
    python scripts/false_alarms.py objectives --runs 40 --out objectives.jsonl

At most three runs of a hundred may fail. Of 60 random experiments, 40 seeds of tiny and 20 of quick none
had a verdict that fails.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

import featlearn
from featlearn.errors import FeatlearnError, InvalidInput
from featlearn.theory import check
from featlearn.theory.predictions.crossing import noise_margin

RANDOM, OBJECTIVES = "random", "objectives"
# Largest share of the runs that may have a verdict that fails.
SHARE = 0.03


def random_experiment(number, scale=1.0):
    """Return an experiment drawn at random: the same one for the same number.

    Sizes, views, negatives, gradient, dictionary and schedule vary together; the learning rate is
    a random part of what the noise margin of RandomMask allows, so that most runs learn something.

    Parameters
    ----------
    number : int ≥ 0
    scale : float
        Of the number of steps.
    """
    rng = np.random.default_rng([number, 19])

    def one_of(*values):
        return values[rng.integers(len(values))]

    def between(low, high):
        return float(low * (high / low) ** rng.random())

    d = int(rng.integers(8, 61))
    d1 = d * int(rng.integers(8, 41))
    batch = one_of(64, 128, 256, 512)
    experiment = featlearn.Experiment(
        n_features=d,
        n_inputs=d1,
        n_neurons=d * int(rng.integers(2, 7)),
        batch_size=batch,
        n_steps=max(1, round(scale * between(150, 2000))),
        weight_decay=between(0.002, 0.015),
        temperature=between(0.5, 4),
        density_factor=between(0.6, 1.6),
        noise_factor=between(0.5, 2),
        augmentation=one_of(*3 * ["random_mask"], "none", "independent_masks", "correlated_noise"),
        keep_probability=float(rng.uniform(0.2, 0.8)),
        noise_correlation=float(rng.uniform(0, 0.5)),
        dictionary=one_of("orthonormal", "flat"),
        initial_norm=between(0.02, 0.3),
        negatives=one_of("in_batch", "in_batch", int(rng.integers(20, 301))),
        stop_gradient=one_of(True, True, False),
        stage_one_growth=one_of(None, *3 * [between(1.5, 6)]),
        bias_factor=between(0.2, 0.8),
        bias_growth=between(1.001, 1.006),
        bias_cap=0.8,
        seed=number,
    )
    jump = experiment.bias_jump
    margin = noise_margin(experiment.replace(augmentation="random_mask", keep_probability=0.5))
    rate = experiment.learning_rate * between(0.05, 0.6) / margin
    return experiment.replace(
        learning_rate=float(np.clip(rate, 0.01, 0.6)), bias_cap=jump * float(rng.uniform(1.1, 1.8))
    )


def objective_experiment(number, scale=1.0):
    """Return "tiny" with another objective, and sizes, rate and length drawn at random, as `random_experiment`."""
    rng = np.random.default_rng([number, 23])

    def one_of(*values):
        return values[rng.integers(len(values))]

    tiny, rate = featlearn.preset("tiny"), float(0.5 + rng.random())
    changes = {
        "supervised": dict(
            augmentation=one_of("none", "none", "none", "random_mask"),
            task=one_of("classification", "regression"),
            n_tasks=one_of(None, None, 1, 5, 24),
            train_head=one_of(True, True, True, False),
            label_leak=one_of(0.0, 0.0, 0.0, 0.3),
        ),
        "nt_xent": dict(
            stop_gradient=False, temperature=0.5, learning_rate=0.03, stage_one_steps=1000
        ),
        "no_negatives": dict(
            density_power=one_of(0.0, 0.5), prediction_head=one_of(True, False), head_rate=20.0
        ),
    }
    name = one_of(
        "infonce", "spectral", "decoupled", *2 * ["supervised"], "nt_xent", "no_negatives"
    )
    exp = tiny.replace(objective=name, augmentation=one_of("random_mask", "none"))
    exp = exp.replace(**changes.get(name, {}))
    return exp.replace(
        n_neurons=one_of(6, 12, 32, 32, 64),
        batch_size=one_of(16, 64, 128, 128, 256),
        n_steps=max(1, round(scale * exp.n_steps * (0.2 + rng.random()))),
        learning_rate=rate * exp.learning_rate,
        weight_decay=one_of(0.001, 0.004, 0.004, 0.02),
        seed=number,
    )


def experiments(source, runs, scale=1.0):
    """Yield that many experiments of a preset, one for each seed, or drawn at random."""
    for number in range(runs):
        if source in (RANDOM, OBJECTIVES):
            draw = random_experiment if source == RANDOM else objective_experiment
            yield draw(number, scale)
        else:
            base = featlearn.preset(source)
            steps = max(1, round(scale * base.n_steps))
            yield base.replace(seed=number, n_steps=steps)


def judged(experiment):
    """Return what `check` says of a run of that experiment, as plain values."""
    with tempfile.TemporaryDirectory() as place:
        verdicts = check(featlearn.train(experiment, Path(place) / "run"))
    return {
        "experiment": experiment.to_dict(),
        "outcomes": Counter(v.outcome for v in verdicts),
        "fails": [v.to_dict() for v in verdicts if v.outcome == "fails"],
        "applies": [[v.claim, v.quantity] for v in verdicts if v.outcome != "does not apply"],
    }


def summary(rows):
    """Return the lines that count runs with a verdict that fails, and the verdicts by quantity."""
    failing = [row for row in rows if row["fails"]]
    lines = [f"{len(failing)} of {len(rows)} runs have a verdict that fails"]
    applied = Counter(tuple(pair) for row in rows for pair in row["applies"])
    failed = Counter((v["claim"], v["quantity"]) for row in rows for v in row["fails"])
    for (claim, quantity), count in failed.most_common():
        lines.append(f"  {count} of {applied[claim, quantity]} {claim}: {quantity}")
    for row in failing:
        for v in row["fails"]:
            seed = row["experiment"]["seed"]
            lines.append(
                f"  seed {seed}, {v['claim']}: {v['quantity']}: predicted {v['predicted']},"
                f" measured {v['measured']}, {v['tolerance']}"
            )
    return lines


def main(arguments=None):
    """Train, check and count; return 1 if more runs fail than may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a preset, random, or objectives")
    parser.add_argument("--runs", type=int, default=40, help="seeds, or experiments (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of steps")
    parser.add_argument("--out", type=Path, help="file of one line of JSON for each run")
    options = parser.parse_args(arguments)
    rows = []
    if options.out is not None and options.out.exists():
        rows = [json.loads(line) for line in options.out.read_text().splitlines()]
    try:
        chosen = list(experiments(options.source, options.runs, options.scale))
        if [row["experiment"] for row in rows] != [e.to_dict() for e in chosen[: len(rows)]]:
            raise InvalidInput("out", str(options.out), "a file of the same experiments")
        for experiment in chosen[len(rows) :]:
            rows.append(judged(experiment))
            if options.out is not None:
                with options.out.open("a") as file:
                    print(json.dumps(rows[-1]), file=file)
            names = [v["quantity"] for v in rows[-1]["fails"]]
            print(f"{experiment.seed:4} {dict(rows[-1]['outcomes'])} {names}", flush=True)
    except FeatlearnError as error:
        print(f"false_alarms: {error}", file=sys.stderr)
        return 2
    print("\n".join(summary(rows)))
    return int(sum(bool(row["fails"]) for row in rows) > SHARE * len(rows))


if __name__ == "__main__":
    sys.exit(main())
