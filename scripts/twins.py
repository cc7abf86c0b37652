#!/usr/bin/env python3
"""Why does contrastive learning need stronger augmentations than supervised learning? Tables and figures.

Trains small networks and prints, section by section: the contrastive twins beside the same network told
labels; what labels cannot do; the dial from decoupled to shared noise; what survives under other losses, and
with the gradient through both arguments; learning without negatives; data sets of N samples; other data and
warm starts; and what plain sparse coding recovers from as many samples. Writes figures/twins.csv and, from it,
the figures dial, breaks and recovery.

examples:
  python scripts/twins.py
  python scripts/twins.py --quick --out /tmp/figures
  python scripts/twins.py --only dial relatives
"""

import argparse
import itertools
import sys
from pathlib import Path

from featlearn import preset
from featlearn.compute.workers import OwnWorkers
from featlearn.display import text_table
from featlearn.reports.measured import (
    MEASURES,
    coherent,
    read_rows,
    trained,
    warm_start,
    write_rows,
    yardstick,
)

TINY, QUICK = preset("tiny"), preset("quick")
TOLD = dict(objective="supervised", augmentation="none")
SAMPLES = (4096, 8192, 32768)
# |⟨M_j, M_k⟩| at most.
COHERENCE = 0.3
CORRELATIONS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def third_twin(quick):
    base = TINY if quick else QUICK
    half = base.n_steps // 2
    return {
        "contrastive, RandomMask": base,
        "contrastive, no augmentation": base.replace(augmentation="none"),
        "supervised classification": base.replace(**TOLD, n_steps=half),
        "supervised regression": base.replace(**TOLD, n_steps=half, task="regression"),
        "supervised regression, η/3": base.replace(
            **TOLD, n_steps=half, task="regression", learning_rate=base.learning_rate / 3
        ),
    }


def limits(quick):
    told = TINY.replace(**TOLD, n_steps=1500)
    long = told.replace(n_steps=3000)
    return {
        "one task, b = 0": told.replace(
            n_tasks=1, task="regression", stage_one_growth=None, initial_norm=0.02
        ),
        "2 tasks": long.replace(n_tasks=2),
        "4 tasks": long.replace(n_tasks=4),
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
    names = {"InfoNCE": "quick", **{n: n for n in ("spectral", "decoupled", "nt-xent")}}
    if quick:
        return _both_views({"spectral": TINY.replace(objective="spectral"), "InfoNCE": TINY})
    return _both_views({name: preset(of) for name, of in names.items()})


def other_gradient(quick):
    """Without the stop-gradient, or for NT-Xent with it, at the same first drift."""
    on_sphere = dict(temperature=0.5, weight_decay=0.004, stage_one_steps=1000, learning_rate=0.06)
    both = dict(stop_gradient=False, learning_rate=TINY.learning_rate / 2)
    found = {"spectral": TINY.replace(objective="spectral", **both)}
    if not quick:
        found["InfoNCE"] = TINY.replace(**both)
        found["decoupled"] = TINY.replace(objective="decoupled", **both)
        found["NT-Xent"] = TINY.replace(objective="nt_xent", n_steps=4000, **on_sphere)
    return _both_views(found)


def no_negatives(quick):
    told = preset("no-negatives")
    names = {"no negatives, prediction head": told}
    names["no negatives, no head"] = told.replace(prediction_head=False)
    names["no negatives, no head, equal densities"] = told.replace(
        prediction_head=False, density_power=0.0
    )
    return {**names, "InfoNCE": QUICK.replace(density_power=0.5)}


def finite_data(quick):
    found = {}
    for n in SAMPLES[1:] if quick else SAMPLES:
        found[f"contrastive, RandomMask, {n} samples"] = TINY.replace(n_samples=n)
        found[f"supervised, {n} samples"] = TINY.replace(**TOLD, n_samples=n)
    return found


def other_data(quick):
    found = {
        "as in the paper": TINY,
        "one feature a sample": TINY.replace(latents="one_of_d"),
        "two features a sample": TINY.replace(latents="k_sparse", n_active=2),
        "z in {0, 1}": TINY.replace(latents="binary"),
        "z of real size": TINY.replace(latents="amplitudes"),
        "noise of uneven scale": TINY.replace(noise_spread=0.5),
        "densities ∝ 1/j": TINY.replace(density_power=1.0),
        "4 spikes of 4 σ²": TINY.replace(
            noise_spikes=4, spike_variance=4 * TINY.resolved_noise_variance
        ),
    }
    return _both_views(dict(list(found.items())[6:]) if quick else found)


def _both_views(experiments):
    kinds = {"RandomMask": "random_mask", "none": "none"}
    return {
        f"{name}, {label}": exp.replace(augmentation=views)
        for name, exp in experiments.items()
        for label, views in kinds.items()
    }


SECTIONS = {
    "third twin": third_twin,
    "limits": limits,
    "dial": dial,
    "relatives": relatives,
    "other gradient": other_gradient,
    "no negatives": no_negatives,
    "finite data": finite_data,
    "other data": other_data,
}


def table(rows):
    """Return as text {label: list of measures, one for each seed} with the spread of the seeds."""
    told = [n for n in MEASURES if any(n in one for seeds in rows.values() for one in seeds)]
    lines = [("", *told)]
    for label, seeds in rows.items():
        lines.append((label, *(_cell(n, [one.get(n) for one in seeds]) for n in told)))
    return text_table(lines, right=True)


def _cell(name, values):
    if None in values:
        return ""
    low, high = min(values), max(values)
    if low != low or high != high:
        return "diverged"
    if name in ("atoms", "stage", "matched"):
        return f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
    return f"{low:.2f}" if high - low < 0.005 else f"{low:.2f}-{high:.2f}"


def draw(rows, out):
    """Draw the figures that rows of the table are enough for, and yield their files."""
    from featlearn.plotting.canvas import save
    from featlearn.plotting.twins import FIGURES

    sections = {row["section"] for row in rows}
    for name, (needed, function) in FIGURES.items():
        if needed <= sections:
            yield from save(function(rows), out / name)


def main(argv=None):
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = [*SECTIONS, "warm start", "yardstick"]
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, one seed")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each (1)")
    parser.add_argument("--steps", type=float, default=1.0, help="factor of all numbers of steps")
    parser.add_argument("--only", nargs="+", choices=every, default=every, help="these sections")
    parser.add_argument("--out", default="figures", metavar="DIR", help="where figures go")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.seeds)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    steps = arguments.steps * (0.3 if arguments.quick else 1)
    experiments = {
        section: {label: _shorter(exp, steps) for label, exp in make(arguments.quick).items()}
        for section, make in SECTIONS.items()
        if section in arguments.only
    }
    asked = dict.fromkeys(
        exp.replace(seed=seed)
        for part in experiments.values()
        for exp in part.values()
        for seed in seeds
    )
    with OwnWorkers(OwnWorkers.default()) as workers:
        executors = itertools.cycle(workers.executors)
        warm, learned = {}, {}
        if "warm start" in arguments.only:
            warm = {
                seed: next(executors).submit(warm_start, _shorter(TINY.replace(seed=seed), steps))
                for seed in seeds
            }
        if "yardstick" in arguments.only:
            learned = {
                (n, seed): next(executors).submit(yardstick, TINY.replace(n_samples=n, seed=seed))
                for n in SAMPLES
                for seed in seeds
            }
        oblique = {}
        if "other data" in arguments.only:
            oblique = {
                f"atoms of coherence {COHERENCE}{label}": [
                    next(executors).submit(
                        coherent, _shorter(exp.replace(seed=seed), steps), COHERENCE
                    )
                    for seed in seeds
                ]
                for label, exp in _both_views({"": TINY}).items()
            }
        # Sections share some of their networks; long ones first.
        for exp in sorted(asked, key=lambda e: -e.n_steps * e.batch_size * e.n_neurons):
            asked[exp] = next(executors).submit(trained, exp)
        rows = []
        for section, part in experiments.items():
            found = {
                label: [asked[exp.replace(seed=seed)].result() for seed in seeds]
                for label, exp in part.items()
            }
            if section == "other data":
                found |= {label: [one.result() for one in runs] for label, runs in oblique.items()}
            print(f"\n{section}\n{table(found)}", flush=True)
            rows += _rows(section, found)
        if warm:
            chains = [future.result() for future in warm.values()]
            found = {label: [chain[label] for chain in chains] for label in chains[0]}
            print(f"\nwarm start\n{table(found)}", flush=True)
            rows += _rows("warm start", found)
        if learned:
            found = {}
            for (n, _), future in learned.items():
                for name, one in future.result().items():
                    found.setdefault(f"{name}, {n} samples", []).append(one)
            print(f"\nyardstick, matched one to one\n{table(found)}", flush=True)
            rows += _rows("yardstick", found)
    write_rows(rows, out / "twins.csv")
    for path in draw(read_rows(out / "twins.csv"), out):
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _rows(section, found):
    return [
        {"section": section, "run": label, **one} for label, seeds in found.items() for one in seeds
    ]


def _shorter(experiment, factor):
    if factor == 1:
        return experiment
    first = experiment.stage_one_steps
    return experiment.replace(
        n_steps=max(int(factor * experiment.n_steps), 2),
        stage_one_steps=None if first is None else max(int(factor * first), 1),
    )


if __name__ == "__main__":
    sys.exit(main())
