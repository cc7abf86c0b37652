#!/usr/bin/env python3
"""Why does contrastive learning need stronger augmentations than supervised learning? Tables and a figure.

Trains small networks and prints, section by section: the contrastive twins beside the same network told
labels; what labels cannot do; the dial from decoupled to shared noise; what survives under other losses;
learning without negatives; data sets of N samples; warm starts; and what plain sparse coding recovers from as many samples.
Writes figures/dial.png and .pdf and figures/twins.csv.

examples:
  python scripts/twins.py
  python scripts/twins.py --quick --out /tmp/figures
  python scripts/twins.py --only dial relatives
"""

import argparse
import csv
import sys
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from featlearn import init, preset
from featlearn.compute.streams import generator
from featlearn.compute.workers import OwnWorkers
from featlearn.display import text_table
from featlearn.reports.measured import MEASURES, trained, warm_start
from featlearn.yardstick import learn_components, learn_dictionary, match_one_to_one

TINY, QUICK = preset("tiny"), preset("quick")
TOLD = dict(objective="supervised", augmentation="none")
CORRELATIONS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def third_twin(quick):
    base = TINY if quick else QUICK
    half = base.n_steps // 2
    return {
        "contrastive, RandomMask": base,
        "contrastive, no augmentation": base.replace(augmentation="none"),
        "supervised classification": base.replace(**TOLD, n_steps=half),
        "supervised regression": base.replace(**TOLD, n_steps=half, task="regression"),
    }


def limits(quick):
    told = TINY.replace(**TOLD, n_steps=1500)
    return {
        "one task, b = 0": told.replace(
            n_tasks=1, task="regression", stage_one_growth=None, initial_norm=0.02
        ),
        "2 tasks": told.replace(n_tasks=2),
        "4 tasks": told.replace(n_tasks=4),
        "8 tasks": told,
        "8 tasks, fixed head": told.replace(train_head=False),
        "8 tasks, RandomMask": told.replace(augmentation="random_mask"),
        "labels leak 0.3": told.replace(label_leak=0.3),
        "labels leak 0.3, RandomMask": told.replace(label_leak=0.3, augmentation="random_mask"),
    }


def dial(quick):
    rows = {
        f"contrastive, ρ = {rho}": TINY.replace(
            augmentation="correlated_noise", noise_correlation=rho
        )
        for rho in (CORRELATIONS[::3] if quick else CORRELATIONS)
    }
    return {**rows, "supervised, no augmentation": TINY.replace(**TOLD)}


def relatives(quick):
    names = {"InfoNCE": "tiny" if quick else "quick"}
    names |= {} if quick else {n: n for n in ("spectral", "decoupled", "nt-xent")}
    found = {}
    for name, of in names.items():
        for views in ("random_mask", "none"):
            found[f"{name}, {views}"] = preset(of).replace(augmentation=views)
    if quick:
        for views in ("random_mask", "none"):
            found[f"spectral, {views}"] = TINY.replace(objective="spectral", augmentation=views)
    return found


def no_negatives(quick):
    told = preset("no-negatives").replace(density_power=0.5)
    names = {"no negatives, prediction head": told}
    names["no negatives, no head"] = told.replace(prediction_head=False)
    return {**names, "InfoNCE": QUICK.replace(density_power=0.5)}


def finite_data(quick):
    found = {}
    for n in (8192, 32768) if quick else (4096, 8192, 32768):
        found[f"contrastive, RandomMask, {n} samples"] = TINY.replace(n_samples=n)
        found[f"supervised, {n} samples"] = TINY.replace(**TOLD, n_samples=n)
    return found


SECTIONS = {
    "third twin": third_twin,
    "limits": limits,
    "dial": dial,
    "relatives": relatives,
    "no negatives": no_negatives,
    "finite data": finite_data,
}


def yardstick(seed, n):
    """Atoms of one data set that plain sparse coding and ICA match one to one, {label: cosines}."""
    model = init(TINY.replace(seed=seed)).model
    rng = generator(seed, "theory", 9)
    x = model.sample(rng, n).inputs
    return {
        name: match_one_to_one(np.abs(learn(x, model.n_features, rng).T @ model.dictionary))
        for name, learn in (("dictionary learner", learn_dictionary), ("ICA", learn_components))
    }


def table(rows):
    """Return as text {label: list of measures, one for each seed} with the spread of the seeds."""
    lines = [("", *MEASURES)]
    for label, seeds in rows.items():
        lines.append((label, *(_cell(name, [one[name] for one in seeds]) for name in MEASURES)))
    return text_table(lines, right=True)


def _cell(name, values):
    low, high = min(values), max(values)
    if low != low or high != high:
        return "diverged"
    if name in ("atoms", "stage"):
        return f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
    return f"{low:.2f}" if high - low < 0.005 else f"{low:.2f}-{high:.2f}"


def save_dial(rows, experiments, out):
    """Draw the dial from the rows of its section."""
    from featlearn.plotting.canvas import save
    from featlearn.plotting.dial import dial as draw

    contrastive, supervised = [], []
    for label, seeds in rows.items():
        exp = experiments[label]
        for one in seeds:
            row = {
                "noise_correlation": exp.noise_correlation,
                "sparse_share": one["share"],
                "atoms_fraction": one["atoms"] / exp.n_features,
            }
            (supervised if exp.objective == "supervised" else contrastive).append(row)
    return save(draw(contrastive, supervised), out / "dial")


def main(argv=None):
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = [*SECTIONS, "warm start", "yardstick"]
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, one seed")
    parser.add_argument("--seeds", type=int, help="seeds of each (2, quick: 1)")
    parser.add_argument("--steps", type=float, default=1.0, help="factor of all numbers of steps")
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="these sections")
    parser.add_argument("--out", default="figures", metavar="DIR", help="where figures go")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.seeds or (1 if arguments.quick else 2))
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    steps = arguments.steps * (0.2 if arguments.quick else 1)
    experiments = {
        section: {label: _shorter(exp, steps) for label, exp in make(arguments.quick).items()}
        for section, make in SECTIONS.items()
        if section in arguments.only
    }
    with OwnWorkers(OwnWorkers.default()) as workers:
        jobs = {}
        flat = [
            (section, label, exp.replace(seed=seed))
            for section, part in experiments.items()
            for label, exp in part.items()
            for seed in seeds
        ]
        for k, (section, label, exp) in enumerate(flat):
            executor = workers.executors[k % len(workers.executors)]
            jobs[executor.submit(trained, exp)] = section, label
        warm = None
        if "warm start" in arguments.only:
            warm = workers.executors[0].submit(warm_start, _shorter(TINY, steps))
        results = {s: {label: [] for label in part} for s, part in experiments.items()}
        for done in as_completed(jobs):
            section, label = jobs[done]
            results[section][label].append(done.result())
        for section, rows in results.items():
            print(f"\n{section}\n{table(rows)}", flush=True)
        if warm is not None:
            rows = table({label: [one] for label, one in warm.result().items()})
            print(f"\nwarm start\n{rows}", flush=True)
    if "dial" in results:
        for path in save_dial(results["dial"], experiments["dial"], out):
            print(f"wrote {path}", file=sys.stderr)
    if "yardstick" in arguments.only:
        print("\nyardstick: atoms with a one-to-one match of cosine ≥ 0.9, and the weakest match")
        for n in (4096, 16384) if arguments.quick else (4096, 8192, 16384, 32768):
            for name, matched in yardstick(0, n).items():
                learned = int(np.sum(matched >= 0.9))
                print(f"{n:6d} samples, {name:18} {learned} of {len(matched)}, {matched[-1]:.2f}")
    write_csv(results, out / "twins.csv")
    return 0


def _shorter(experiment, factor):
    if factor == 1:
        return experiment
    first = experiment.stage_one_steps
    return experiment.replace(
        n_steps=max(int(factor * experiment.n_steps), 2),
        stage_one_steps=None if first is None else max(int(factor * first), 1),
    )


def write_csv(results, path):
    """Write a row a run."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["section", "run", *MEASURES])
        for section, part in results.items():
            for label, seeds in part.items():
                for one in seeds:
                    rows.writerow([section, label, *(f"{one[name]:.4g}" for name in MEASURES)])


if __name__ == "__main__":
    sys.exit(main())
