#!/usr/bin/env python3
"""How do the quantities that the theory calls o(1) change with d?

Trains with RandomMask at d = 16, 32, 64, 128 (with --long 256 too), three seeds each, everything else
scaled with d, and fits the power of d that each quantity follows, with its standard error over seeds:

  d1 = 16 d, m = 4 d, B = 4 d       so that the noise margin κn²/s falls as log d/(d log log d)
  τ = log d/log 16                  polylog(d)
  λ = 0.01 (d/16)^-1.25             between d^-1.499 and d^-1.01
  bias_cap ∝ log d/√d               polylog(d)/√d
  n_steps = 20/(η s)                the time scale of the signal

Norms start at an eighth of the plateau and stage I ends at half of it. Writes finite-scaling.csv, .png and
.pdf. About fifteen minutes on one core; an interrupted call goes on where it was.

examples:
  python scripts/finite_scaling.py
  python scripts/finite_scaling.py --quick --out /tmp/figures
"""

import argparse
import math
import shutil
import sys
from pathlib import Path

import numpy as np

from featlearn import Experiment, train
from featlearn.alignment import best_cosine_of_atoms, cosines
from featlearn.display import text_table
from featlearn.errors import exit_code
from featlearn.plotting import save, scaling_fits
from featlearn.reports.progress import Progress
from featlearn.summary import PURE
from featlearn.sweeps.results import load_results, results_table
from featlearn.theory.predictions.exponents import scaling_exponents, scaling_panels
from featlearn.theory.predictions.softmax_plateau import softmax_plateau
from featlearn.theory.predictions.stages import predict_stages

SIZES, LONG, QUICK = (16, 32, 64, 128), (256,), (8, 12, 16)
RATE, STAGE_ONE = 1.0, 4.0
# An alignment belongs to N_i above this part of the neuron's largest.
SUPPORT = 0.5


def scaled(d, seed, steps=20.0):
    """Return the experiment with d features; `steps` is η s n_steps."""
    experiment = Experiment(
        n_features=d,
        n_inputs=16 * d,
        n_neurons=4 * d,
        batch_size=4 * d,
        learning_rate=RATE,
        weight_decay=0.01 * (d / 16) ** -1.25,
        temperature=math.log(d) / math.log(16),
        density_factor=1.0,
        noise_factor=0.5,
        stage_one_growth=STAGE_ONE,
        bias_factor=1.0,
        bias_growth=1 + 0.25 * RATE / d,
        bias_cap=0.6 * math.log(d) / math.log(16) * (d / 16) ** -0.5,
        seed=seed,
    )
    n_steps = int(steps / (RATE * experiment.resolved_density))
    level = softmax_plateau(experiment, finite_batch=False)
    return experiment.replace(
        n_steps=n_steps,
        record_every=max(1, n_steps // 200),
        initial_norm=level.weight_norm / (2 * STAGE_ONE),
    )


def measures(run):
    """Return the measures of a finished run, {name: number}, as medians over the neurons.

    T1 speaks of every neuron, but many have not settled when a run ends: off-support alignments are
    measured over all of them and over the pure ones.
    """
    exp, norms = run.experiment, np.asarray(run["weight_norm"][-1], np.float64)
    cosine = cosines(run["alignment"][-1], norms)
    dense = run["dense_norm"][-1] / norms
    outside = cosine < SUPPORT * cosine.max(axis=1, keepdims=True)
    rms = np.sqrt(np.sum(cosine**2 * outside, axis=1) / np.maximum(outside.sum(axis=1), 1))
    rms *= math.sqrt(exp.n_features)
    pure = cosine.max(axis=1) >= PURE
    return {
        "dense_share": float(np.median(dense**2)),
        "dense_coordinate": float(
            np.median(dense) * math.sqrt(exp.n_inputs / (exp.n_inputs - exp.n_features))
        ),
        "off_support": float(np.median(rms)),
        "off_support_pure": float(np.median(rms[pure])) if pure.any() else math.nan,
        "stage_one_length": stage_one_length(run),
        "stage_one_predicted": predict_stages(exp).two,
        "coverage": float(np.mean(best_cosine_of_atoms(cosine) >= PURE)),
        "pure_neurons": float(np.mean(pure)),
    }


def stage_one_length(run):
    """Return the step at which the norms had grown enough, between recorded rows; nan if never."""
    norms = np.sqrt(np.mean(np.square(run["weight_norm"], dtype=np.float64), axis=1))
    growth = np.log(norms / norms[0]) - math.log(run.experiment.stage_one_growth)
    if growth.max() < 0:
        return math.nan
    after = int(np.argmax(growth >= 0))
    part = -growth[after - 1] / (growth[after] - growth[after - 1])
    return float(run.steps[after - 1] + part * (run.steps[after] - run.steps[after - 1]))


def one_row(experiment, place, quiet):
    """Train one experiment, or load it, and return its row of the table."""
    name = f"d{experiment.n_features}-seed{experiment.seed}"
    directory = place / name
    progress = Progress(experiment, name, quiet)
    if (directory / "config.json").exists():
        run = train(experiment, directory, resume=True, progress=progress)
    else:
        shutil.rmtree(directory, ignore_errors=True)
        run = train(experiment, directory, progress=progress)
    return {
        "run": name,
        "status": "complete",
        "error": "",
        "experiment": experiment.to_dict(),
        "measures": measures(run),
    }


def exponent_table(table):
    """Return the lines of the table of exponents, with the means at each size."""
    sizes = np.unique(table["n_features"])
    lines = [("quantity", *(f"d={d}" for d in sizes), "exponent", "theory", "")]
    for name, fit in scaling_exponents(table).items():
        means = [np.mean(table[name][table["n_features"] == d]) for d in sizes]
        theory = "" if fit.predicted is None else f"{fit.predicted:.2f}"
        exponent = f"{fit.value:.2f} ± {fit.error:.2f}"
        lines.append((name, *(f"{mean:.3g}" for mean in means), exponent, theory, fit.remark))
    return text_table(lines, right=True)


def main(argv=None):
    """Run what is left, write the table and the figure, print the exponents."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="d = 8, 12, 16 and short, to try it")
    parser.add_argument("--long", action="store_true", help="d = 256 too: an hour or more")
    parser.add_argument("--seeds", type=int, help="seeds of each size (3, quick: 2)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="where the files go")
    parser.add_argument("--runs", type=Path, help="where runs are kept (runs/finite-scaling)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    arguments = parser.parse_args(argv)
    sizes = QUICK if arguments.quick else SIZES + (LONG if arguments.long else ())
    seeds = arguments.seeds or (2 if arguments.quick else 3)
    place = arguments.runs or Path("runs/finite-scaling" + "-quick" * arguments.quick)
    rows = [
        one_row(scaled(d, seed, 5.0 if arguments.quick else 20.0), place, arguments.quiet)
        for d in sizes
        for seed in range(seeds)
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "finite-scaling.csv"
    path.write_text(results_table(rows), encoding="utf-8")
    table = load_results(path)
    files = save(scaling_fits(scaling_panels(table)), path.with_suffix(""))
    print(exponent_table(table))
    for file in (path, *files):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main, "finite_scaling"))
