"""Where are the features recovered, and where does the theory say so?

Sweeps the correlation of the two views' noise against the noise level, then the mask's keep
probability, d1/d and the temperature, each run until it saturates, with a spot check at d = 32,
d1 = 1024. Writes phase_diagram.csv, .png and .pdf. About ten minutes on two cores; the rows are kept,
so that an interrupted call, or one with more seeds, goes on where it was.

    python scripts/phase_diagram.py
    python scripts/phase_diagram.py --quick --out /tmp/figures
"""

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np

from featlearn import Experiment
from featlearn.compute.interrupts import interruptible
from featlearn.errors import exit_code
from featlearn.plotting import decoupling_diagram, save
from featlearn.reports.progress import SweepProgress
from featlearn.sweeps.results import load_results
from featlearn.sweeps.sweep import grid, sweep
from featlearn.theory.predictions.crossing import crossing, noise_margin
from featlearn.theory.predictions.saturation import saturation_growth

SEEDS = (0, 1, 2)
# Long enough for the norms to saturate and the biases to reach their cap at every point.
BASE = Experiment(
    n_features=16,
    n_inputs=256,
    n_neurons=64,
    batch_size=192,
    n_steps=300,
    learning_rate=1.2,
    weight_decay=0.005,
    temperature=1.0,
    initial_norm=0.08,
    augmentation="correlated_noise",
    dictionary="orthonormal",
    density_factor=1.0,
    stage_one_growth=4.0,
    bias_factor=1.0,
    bias_growth=1.006,
    bias_cap=0.6,
    record_every=15,
)
MASKED = BASE.replace(augmentation="random_mask", noise_factor=0.7)
SHARED = BASE.replace(noise_correlation=0.7, noise_factor=0.7, n_steps=420)
# The same noise margin as BASE at the same noise factor, the same time η·steps·s and growths.
LARGE = BASE.replace(
    n_features=32,
    n_inputs=1024,
    n_neurons=128,
    batch_size=384,
    n_steps=490,
    learning_rate=1.18,
    weight_decay=0.003,
    bias_growth=1.0037,
    record_every=35,
)
QUICK = dict(n_features=8, n_inputs=64, n_neurons=16, batch_size=64, n_steps=60, record_every=6)

FIELDS = (
    "n_features",
    "n_inputs",
    "noise_factor",
    "noise_correlation",
    "keep_probability",
    "temperature",
    "initial_norm",
    "seed",
)
MEASURES = (
    "sparse_share",
    "sparse_share_drift",
    "atoms_learned",
    "pure_fraction",
    "regression_features",
    "growth",
)
PREDICTIONS = {
    "noise_margin": noise_margin,
    "crossing_growth": lambda experiment: crossing(experiment).growth,
    "available_growth": saturation_growth,
}


def panels(quick=False):
    """Return {panel: experiments}; quick ones show that everything runs, and nothing else."""
    seed = {"seed": SEEDS[:1] if quick else SEEDS}
    n = 3 if quick else 12
    noise = np.geomspace(0.15, 2.4, n).round(4).tolist()
    correlation = np.linspace(0, 1, n).round(4).tolist()
    few = slice(0, 2) if quick else slice(None)
    keep = [0.06, 0.5, 0.03, 0.12, 0.25, 0.75, 0.88, 0.94, 0.97][few]
    inputs = [32, 64, 128, 256, 512, 1024, 2048][few]
    temperature = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0][few]
    large = [(0.3, 0.0), (0.3, 1.0), (0.7, 0.0), (0.7, 0.4), (0.7, 0.8), (1.0, 0.3), (1.2, 0.0),
             (1.8, 0.0)][few]  # fmt: skip
    found = {
        "noise": grid(BASE, {"noise_factor": noise, "noise_correlation": correlation, **seed}),
        "keep": grid(MASKED, {"keep_probability": keep, **seed}),
        "inputs": grid(MASKED, {"n_inputs": inputs, **seed}),
        "temperature": grid(
            SHARED, {"initial_norm": [0.08, 0.24], "temperature": temperature, **seed}
        ),
        "large": [LARGE.replace(noise_factor=level, noise_correlation=rho) for level, rho in large],
    }
    if quick:
        found = {name: [_shrunk(e, name) for e in group] for name, group in found.items()}
    return found


def _shrunk(experiment, panel):
    sizes = {k: v for k, v in QUICK.items() if (panel, k) != ("inputs", "n_inputs")}
    return experiment.replace(**sizes)


def write_table(path, groups, rows):
    """Write the table of all panels: swept fields, measures and predictions, to four digits."""
    found = {Experiment.from_dict(row["experiment"]): row for row in rows}
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["panel", *FIELDS, "status", "atoms_fraction", *MEASURES, *PREDICTIONS])
        for panel, group in groups.items():
            for experiment in group:
                row = found[experiment]
                measured = row["measures"].get
                values = [measured("atoms_learned", math.nan) / experiment.n_features]
                values += [measured(name, math.nan) for name in MEASURES]
                values += [predict(experiment) for predict in PREDICTIONS.values()]
                table.writerow(
                    [
                        panel,
                        *(getattr(experiment, name) for name in FIELDS),
                        row["status"],
                        *(f"{value:.4g}" for value in values),
                    ]
                )


def main(argv=None):
    """Run the sweep, or what is left of it, and write the table and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few small runs, to try it out")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="where the files go")
    parser.add_argument("--rows", type=Path, help="directory of the sweep (sweeps/phase)")
    parser.add_argument("--workers", type=int, help="runs at a time (the processors)")
    arguments = parser.parse_args(argv)
    groups = panels(arguments.quick)
    with interruptible():
        rows = sweep(
            # The long runs first, so that no worker is left alone with them.
            [experiment for panel in reversed(groups) for experiment in groups[panel]],
            arguments.rows or Path("sweeps") / ("phase-quick" if arguments.quick else "phase"),
            workers=arguments.workers,
            trajectories=False,
            check=False,
            progress=SweepProgress(),
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "phase_diagram.csv"
    write_table(path, groups, rows)
    for file in (path, *save(decoupling_diagram(load_results(path)), path.with_suffix(""))):
        print(file)
    return 0 if all(row["status"] == "complete" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(exit_code(main, "phase_diagram"))
