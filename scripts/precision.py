"""Where does a float32 run part from the same run in float64?

Trains an experiment in both precisions, which see the same samples and start from the same weights,
and compares the alignments at every recorded step: ‖α₃₂ - α₆₄‖ / ‖α₆₄‖. Rounding is noise that
training amplifies while neurons compete, so two precisions part; what each has learned is compared
next to it.

    python scripts/precision.py
    python scripts/precision.py --preset quick --set temperature=1 --seed 3
"""

import argparse
import sys

import numpy as np

from featlearn import FeatlearnError, cosines, summarize, train
from featlearn.commands.common import add_experiment_arguments, experiment_from

LEVELS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def differences(single, double):
    """Return ‖α₃₂ - α₆₄‖/‖α₆₄‖ at every recorded step of two runs, ndarray of shape (T,)."""
    one, two = (np.asarray(run["alignment"], np.float64) for run in (single, double))
    return np.linalg.norm(one - two, axis=(1, 2)) / np.linalg.norm(two, axis=(1, 2))


def partings(steps, difference, levels=LEVELS):
    """Return the first step beyond each level, None where it is never reached."""
    return {
        level: int(steps[np.argmax(difference > level)]) if (difference > level).any() else None
        for level in levels
    }


def lines(single, double):
    """Return the lines that tell where two runs part and what each has learned."""
    difference = differences(single, double)
    last = double.experiment.n_steps
    lines = [f"{'relative difference of the alignments above':45} first at step"]
    for level, step in partings(double.steps, difference).items():
        lines.append(f"{level:45.0e} {'never' if step is None else step}")
    lines.append(f"{f'difference at step {last}':45} {difference[-1]:.2e}")
    loss = np.abs(single["loss"] - double["loss"]) / np.maximum(np.abs(double["loss"]), 1e-300)
    lines.append(f"{'largest relative difference of the loss':45} {loss.max():.2e}")
    winners = [
        cosines(r["alignment"][-1], r["weight_norm"][-1]).argmax(axis=1) for r in (single, double)
    ]
    same = np.mean(winners[0] == winners[1])
    lines.append(f"{'neurons whose best atom is the same':45} {same:.1%}")
    lines.append(f"\n{'learned':25} {'float32':>10} {'float64':>10}")
    one, two = (summarize(run).to_dict() for run in (single, double))
    for name in ("atoms_learned", "pure_fraction", "sparse_share", "same_noise", "same_latents",
                 "regression_features"):  # fmt: skip
        lines.append(f"{name:25} {one[name]:10.4g} {two[name]:10.4g}")
    return lines


def main(argv=None):
    """Train both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_experiment_arguments(parser, "tiny")
    try:
        experiment = experiment_from(parser.parse_args(argv))
        single, double = (train(experiment.replace(dtype=d)) for d in ("float32", "float64"))
    except FeatlearnError as error:
        print(f"precision: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(single, double)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
