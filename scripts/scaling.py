#!/usr/bin/env python3
"""What the theorems call o(1), in the large-batch limit, as d, d1 and the batch grow.

Trains on the Gram matrix of the dense parts at d = 16, 32, 64, 128, three seeds each, until half of the neurons
are at the bias cap, where stage III starts: with RandomMask at d1 = d⁴ with two batch sizes, and without
augmentation at d1 = d² and d⁴. m = 4 d; the batch grows as d^1.25.

Off-support alignments follow √(a + c η s d/B): c and a are fitted, with errors from the residuals, and drawn
as a collapse of all sizes, beside what the balance of stage III says of each. Dense and sparse shares and the
atoms that no neuron takes are set beside their predictions, too.

Writes scaling.csv, .png and .pdf; an interrupted call goes on where it was. With one thread the four runs of a
seed take 7 s at d = 16, 20 s at 32 and 90 s at 64, times 5 to 6 for twice d: half an hour of processor time in all, and
with --long (d = 256 and 512) fifteen hours more.

examples:
  python scripts/scaling.py
  python scripts/scaling.py --quick --out /tmp/figures
"""

import argparse
import functools
import math
import sys
from pathlib import Path

import numpy as np

from featlearn import Experiment, load_run, preset, summarize
from featlearn.display import text_table
from featlearn.errors import FeatlearnError
from featlearn.plotting import limit_collapse, save
from featlearn.reports.progress import SweepProgress
from featlearn.sweeps.results import load_results, results_table
from featlearn.sweeps.sweep import sweep
from featlearn.theory.claims.observed import Observed
from featlearn.theory.predictions.balance import sustained_noise
from featlearn.theory.predictions.crossing import limiting_ratio
from featlearn.theory.predictions.dense_path import dense_run
from featlearn.theory.predictions.end_state import EndState, end_state
from featlearn.theory.predictions.limits import fit_walk, walk_of
from featlearn.theory.predictions.lottery import left_out

SIZES, LONG, QUICK = (16, 32, 64, 128), (256, 512), (8, 12)
GROUP = 128


def scaled(d, seed, power, augmentation, batches=1.0):
    """Return the experiment with d features, d1 = d^power and `batches` times the usual batch."""
    s = 0.7 * math.log(math.log(d)) / d
    variance = math.sqrt(math.log(d)) / d
    # An even number of groups, and at least 16 samples a half that hold a feature.
    wanted = max(batches * 32 * d * (d / 16) ** 0.25, 34 / s)
    batch = 2 * GROUP * math.ceil(wanted / (2 * GROUP))
    base: Experiment = preset("asymptotic")
    return base.replace(
        n_features=d,
        n_inputs=d**power,
        n_neurons=4 * d,
        noise_inputs=min(5 * d, d**power),
        batch_size=batch,
        negative_groups=batch // GROUP,
        learning_rate=0.07 / s,
        weight_decay=0.005 * variance,
        bias_factor=1.69 * variance * d / math.log(d),
        bias_cap=2.2 * math.sqrt(variance),
        # Enough for stage III to start.
        n_steps=math.ceil((45 + math.log(d ** (power - 1)) / 2) / 0.07),
        record_every=20,
        augmentation=augmentation,
        seed=seed,
    )


def one_row(run):
    """Return the row of a run in the table."""
    e = run.experiment
    power = round(math.log(e.n_inputs) / math.log(e.n_features))
    name = f"{e.augmentation}-d{e.n_features}-d1^{power}-B{e.batch_size}-seed{e.seed}"
    summary, observed = summarize(run), Observed(run)
    pure = observed.cosine.max(axis=1) >= 0.9
    outside = np.where(observed.support[pure], 0, observed.cosine[pure])
    ratio, noise = limiting_ratio(e), sustained_noise(e, e.bias_cap)
    # Seeds differ in what a prediction draws only.
    end, share = at_stage_three(e.replace(seed=0))
    measured = {
        "power": power,
        "last_step": summary.step,
        "last_stage": summary.stage,
        "walk": e.learning_rate * e.resolved_density * e.n_features / e.batch_size,
        "off_support": math.sqrt(np.mean(outside**2) * e.n_features) if pure.any() else math.nan,
        "off_support_predicted": math.sqrt(noise.off_support * e.n_features),
        "pure": summary.pure_fraction,
        "pure_predicted": end.pure_fraction,
        "atoms_fraction": summary.atoms_learned / e.n_features,
        "atoms_fraction_predicted": 1 - left_out(e).expected / e.n_features,
        "dense_share": 1 - summary.sparse_share,
        "dense_share_stage_one": 1.0 if math.isinf(ratio) else ratio / (1 + ratio),
        "dense_share_predicted": noise.dense / (1 + noise.dense),
        "sparse_share": summary.sparse_share,
        "sparse_share_predicted": share,
        "same_latents": summary.same_latents,
        "same_latents_active": summary.same_latents_active,
        "same_latents_active_predicted": end.same_latents,
        "same_latents_weighted": summary.same_latents_weighted,
        "same_noise": summary.same_noise,
        "same_noise_active": summary.same_noise_active,
        "same_noise_active_predicted": end.same_noise,
        "same_noise_weighted": summary.same_noise_weighted,
        "regression": summary.regression("features"),
        "regression_predicted": end.regression,
    }
    return {"run": name, "status": "complete", "error": "", "experiment": e.to_dict(),
            "measures": measured}  # fmt: skip


@functools.lru_cache
def at_stage_three(experiment):
    """Return the predicted `EndState` where stage III starts, nan where there is none, and sparse share without."""
    share, unknown = dense_run(experiment), EndState(*6 * [math.nan])
    three = share.stage_three
    if experiment.augmentation != "none":
        three = (end_state(experiment, anyway=True) or unknown).stage_three
    if three < experiment.n_steps:
        experiment = experiment.replace(n_steps=math.ceil(three))
    return end_state(experiment, anyway=True) or unknown, dense_run(experiment).share


def experiments(sizes, seeds):
    """Yield every experiment of the study."""
    for d in sizes:
        for seed in range(seeds):
            for batches in (1.0, 2.0):
                yield scaled(d, seed, 4, "random_mask", batches)
            for power in (2, 4):
                yield scaled(d, seed, power, "none")


def text(table):
    """Return the lines of the table of means, and the fit."""
    both = ("same_latents", "same_latents_active", "same_latents_active_predicted",
            "same_latents_weighted", "same_noise", "same_noise_active", "same_noise_active_predicted",
            "same_noise_weighted", "regression", "regression_predicted")  # fmt: skip
    of_kind = {
        "random_mask": ("pure", "pure_predicted", "atoms_fraction", "atoms_fraction_predicted", "dense_share",
                        "dense_share_predicted", "dense_share_stage_one", "off_support",
                        "off_support_predicted"),
        "none": ("pure", "sparse_share", "sparse_share_predicted"),
    }  # fmt: skip
    lines = []
    for kind, own in of_kind.items():
        shown = ("last_stage", "last_step", *own, *both)
        for power in np.unique(table["power"][table["augmentation"] == kind]):
            some = table[(table["augmentation"] == kind) & (table["power"] == power)]
            sizes = np.unique(some["n_features"])
            rows = [(f"{kind}, d1 = d^{power:g}", *(f"d={d}" for d in sizes))]
            for name in shown:
                cells = []
                for d in sizes:
                    x = some[name][some["n_features"] == d]
                    error = np.std(x, ddof=1) / math.sqrt(len(x)) if len(x) > 1 else math.nan
                    cells.append("-" if np.isnan(x).all() else f"{np.mean(x):.3g} ± {error:.1g}")
                rows.append((f"  {name}", *cells))
            lines.append(text_table(rows, right=True))
    a, c, error = fit_walk(*walk_of(table))
    masked = table[table["augmentation"] == "random_mask"]
    derived = np.square(masked["off_support_predicted"]) / masked["walk"]
    lines.append(f"off-support² d = {a:.3g} + ({c:.3g} ± {error:.2g}) η s d/B; by the balance"
                 f" ({derived.min():.3g} to {derived.max():.3g}) η s d/B")  # fmt: skip
    return "\n".join(lines)


def main(argv=None):
    """Run what is left, write the table and the figure, print both."""
    first, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="d = 8 and 12, to try it")
    parser.add_argument("--long", action="store_true", help="d = 256 and 512 too")
    parser.add_argument("--seeds", type=int, help="seeds of each size (3, quick: 1)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="where the files go")
    parser.add_argument("--runs", type=Path, help="where runs are kept (runs/scaling)")
    arguments = parser.parse_args(argv)
    sizes = QUICK if arguments.quick else SIZES + (LONG if arguments.long else ())
    seeds = arguments.seeds or (1 if arguments.quick else 3)
    place = arguments.runs or Path("runs/scaling" + ("-quick" if arguments.quick else ""))
    # The longest first, so that no worker is left alone with one.
    found = sweep(
        list(experiments(sizes, seeds))[::-1],
        place,
        check=False,
        progress=SweepProgress(),
        until="stage 3",
    )
    for row in found:
        if row["status"] != "complete":
            raise FeatlearnError(f"{row['run']}: {row['error']}")
    rows = [one_row(load_run(place / "runs" / row["run"])) for row in found[::-1]]
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "scaling.csv"
    path.write_text(results_table(rows), encoding="utf-8")
    table = load_results(path)
    print(text(table))
    for file in (
        path,
        *save(limit_collapse(table, fit_walk(*walk_of(table))), path.with_suffix("")),
    ):
        print(file)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
    except FeatlearnError as error:
        print(f"scaling: {error}", file=sys.stderr)
        sys.exit(2)
