#!/usr/bin/env python3
"""Do the Gram matrix of the dense parts and the large-batch limit agree with what they stand for?

engine   Trains experiments explicitly and by their Gram matrices, other seeds each, and compares what
         both end with, in standard errors of the difference. RandomMask is compared at several d1 with
         everything else equal: its remainder is O(1/d1).
batches  Trains paired batches of B samples in the large-batch limit, and independent ones of B, 4 B and
         16 B samples without outer noise, with as many negatives an anchor.

An hour and more on two cores; --quick shows both in a minute, at sizes that prove nothing.

examples:
  python scripts/agreement.py engine --seeds 10
  python scripts/agreement.py batches --seeds 3
  python scripts/agreement.py engine --quick
"""

import argparse
import sys

import numpy as np

from featlearn import preset, summarize, train
from featlearn.errors import FeatlearnError

MEASURES = ("‖α‖²", "‖β‖²", "loss", "pure", "atoms", "share", "same z", "same ξ", "regression")


def measures(experiment):
    """Train, and return what the run ends with, an ndarray of the `MEASURES`."""
    run = train(experiment.replace(record_every=max(1, experiment.n_steps // 200)))
    s = summarize(run)
    sparse = np.sum(np.square(run["alignment"][-1], dtype=float))
    dense = np.sum(np.square(run["dense_norm"][-1], dtype=float))
    return np.array([
        sparse, dense, s.loss, s.pure_fraction, s.atoms_learned, s.sparse_share,
        s.same_latents_active, s.same_noise_active, s.regression("features"),
    ])  # fmt: skip


def seeds_of(experiment, n, first=0):
    """Return the measures of n seeds, ndarray of shape (n, 9)."""
    return np.array([measures(experiment.replace(seed=first + k)) for k in range(n)])


def compare(first, second):
    """Return means, their standard errors, and the difference of the means in standard errors."""
    means = [x.mean(axis=0) for x in (first, second)]
    errors = [x.std(axis=0, ddof=1) / np.sqrt(len(x)) for x in (first, second)]
    both = np.hypot(*errors)
    difference = means[1] - means[0]
    z = np.divide(difference, both, out=np.zeros_like(both), where=both > 0)
    return means, errors, z


def print_comparison(title, names, first, second):
    """Print a table of two sets of runs beside each other."""
    means, errors, z = compare(first, second)
    print(f"\n{title}\n\n{'':12}{names[0]:>22}{names[1]:>22}{'difference':>14}")
    for k, name in enumerate(MEASURES):
        cells = [f"{means[j][k]:.4g} ± {errors[j][k]:.2g}" for j in (0, 1)]
        percent = 100 * (means[1][k] / means[0][k] - 1) if means[0][k] else 0.0
        print(
            f"{name:12}{cells[0]:>22}{cells[1]:>22}{z[k]:8.1f} s.e. ({percent:+.1f} %)", flush=True
        )


def engine(seeds, quick):
    """Explicit runs beside those of Gram matrices."""
    tiny, few = preset("tiny"), preset("quick")
    if quick:
        tiny = few = tiny.replace(n_steps=60, stage_one_growth=1.3)
    wide = few.replace(n_inputs=64 * few.n_features, batch_size=2 * few.batch_size)
    cases = [(f"{name}, {kind}", base.replace(augmentation=kind))
             for name, base in (("tiny", tiny), ("quick", few), ("d1 = 64 d", wide))
             for kind in ("random_mask", "none")]  # fmt: skip
    # Sampling noise grows with d1: the batch grows with it.
    for factor in (0.5, 2, 4):
        d1, batch = int(factor * tiny.n_inputs), max(int(factor * tiny.batch_size), 64)
        experiment = tiny.replace(n_inputs=d1, batch_size=batch)
        cases.append((f"tiny at d1 = {d1}, B = {batch}, random_mask", experiment))
    for title, experiment in cases:
        first = seeds_of(experiment, seeds)
        second = seeds_of(experiment.replace(dense="gram"), seeds, first=1000)
        print_comparison(title, ("explicit", "Gram matrix"), first, second)


def batches(seeds, quick):
    """Paired batches beside ever larger independent ones."""
    d, negatives = 16, 128
    s = 0.7 * np.log(np.log(d)) / d
    variance = np.sqrt(np.log(d)) / d
    base = preset("asymptotic").replace(
        n_features=d, n_inputs=d**5, n_neurons=8 * d, noise_inputs=9 * d, batch_size=1024,
        negative_groups=1024 // negatives, learning_rate=0.07 / s, weight_decay=0.005 * variance,
        bias_factor=1.69 * variance * d / np.log(d), bias_cap=2.2 * np.sqrt(variance),
        initial_norm=1e-4, n_steps=60 if quick else 560,
    )  # fmt: skip
    for kind in ("random_mask", "none"):
        paired = seeds_of(base.replace(augmentation=kind), seeds)
        for factor in (1,) if quick else (1, 4, 16):
            batch = factor * base.batch_size
            larger = base.replace(
                augmentation=kind, batches="iid", batch_size=batch,
                negative_groups=batch // negatives,
            )  # fmt: skip
            independent = seeds_of(larger, seeds, first=1000)
            title = f"d = {d}, {kind}: the large-batch limit beside B = {batch}"
            print_comparison(title, ("paired", "independent"), paired, independent)


def main(argv=None):
    """Run a study and print its tables."""
    first, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=("engine", "batches"))
    parser.add_argument("--seeds", type=int, help="of each kind (engine 10, batches 3, quick 2)")
    parser.add_argument("--quick", action="store_true", help="two seeds, few steps")
    arguments = parser.parse_args(argv)
    study, usual = {"engine": (engine, 10), "batches": (batches, 3)}[arguments.study]
    study(arguments.seeds or (2 if arguments.quick else usual), arguments.quick)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FeatlearnError as error:
        print(f"agreement: {error}", file=sys.stderr)
        sys.exit(2)
