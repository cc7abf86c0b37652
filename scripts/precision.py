"""Where does a float32 run part from the same run in float64, and how far do a few updates?

Trains an experiment in both precisions, which see the same samples and start from the same weights,
and compares the alignments at every recorded step: ‖α₃₂ - α₆₄‖ / ‖α₆₄‖. Rounding is noise that
training amplifies while neurons compete, so two precisions part; what each has learned is compared
next to it.

With --updates N every state that the run keeps is updated N times again, in float64 and with one and two
threads of BLAS, and the rows are compared quantity by quantity: what rounding alone makes of a few updates,
from which the tolerance of the claim "replay" on another machine is derived.

    python scripts/precision.py
    python scripts/precision.py --preset quick --set temperature=1 --seed 3
    python scripts/precision.py --preset default --set n_steps=800 --updates 30
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from featlearn import FeatlearnError, cosines, init, load_run, summarize, train
from featlearn.commands.common import add_experiment_arguments, experiment_from
from featlearn.compute.threads import BLAS_THREADS
from featlearn.compute.workspace import Workspace
from featlearn.recording.quantities import measure
from featlearn.state import make_model
from featlearn.theory.claims.observed import Observed
from featlearn.training import draw_batch, evaluate
from featlearn.training import step as update

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


def rows_after(run, updates, double=False):
    """Return the rows of that many updates from step 0 and from every kept state that has so many.

    Parameters
    ----------
    run : Run
        In a directory.
    updates : int
    double : bool
        Take the states to float64 first.

    Returns
    -------
    dict of str to ndarray of shape (n_states, updates + 1, …)
    """
    rows = {}
    for state in [init(run.experiment), *(state for _, state in Observed(run).states)]:
        if state.step + updates <= run.experiment.n_steps:
            for row in _rows(_in_double(state) if double else state, updates):
                for name, value in row.items():
                    rows.setdefault(name, []).append(value)
    return {
        name: np.reshape(values, (-1, updates + 1, *np.shape(values[0])))
        for name, values in rows.items()
    }


def _in_double(state):
    exp, weights = state.experiment.replace(dtype="float64"), np.asarray(state.weights, np.float64)
    return dataclasses.replace(
        state,
        experiment=exp,
        model=make_model(exp),
        weights=weights,
        biases=np.asarray(state.biases, np.float64),
        weight_norms=np.linalg.norm(weights, axis=1),
    )


def _rows(state, updates):
    work = Workspace()
    for _ in range(updates + 1):
        batch = draw_batch(state, work, keep_sample=False)
        gradient = evaluate(state, batch, work)
        state.align(work)
        yield {name: np.array(value) for name, value in measure(state, batch, gradient).items()}
        state = update(state, gradient, work)


def in_threads(directory, updates, threads):
    """Return the rows of `rows_after`, made by a process with that many threads of BLAS."""
    environment = {**os.environ, **dict.fromkeys(BLAS_THREADS, str(threads))}
    environment["PYTHONPATH"] = os.pathsep.join(path or "." for path in sys.path)
    place = Path(directory).parent / f"rows-{threads}.npz"
    command = [sys.executable, __file__, "--rows", str(directory), str(updates), str(place)]
    subprocess.run(command, env=environment, check=True)
    with np.load(place) as file:
        return dict(file)


def apart(some, others, batch_size):
    """Return how far rows are apart after each update: {quantity: ndarray of shape (updates + 1,)}.

    The largest difference relative to the largest number of the row, over the states; of the active
    fraction the largest number of samples by which a neuron differs.
    """
    found = {}
    for name, a in some.items():
        if name in ("step", "stage"):
            continue
        a, b = (np.asarray(x, np.float64).reshape(*x.shape[:2], -1) for x in (a, others[name]))
        far = np.abs(a - b).max(axis=2)
        if name == "active_fraction":
            far *= batch_size
        else:
            far /= np.maximum(np.abs(b).max(axis=2), np.finfo(np.float64).tiny)
        found[name] = far.max(axis=0)
    return found


def update_lines(experiment, updates):
    """Return the lines that tell how far a few updates part."""
    shown = [k for k in (1, 3, 10, 30, 100, 300) if k <= updates] or [updates]
    with tempfile.TemporaryDirectory() as place:
        run = train(experiment, Path(place) / "run")
        one, two = (in_threads(run.directory, updates, n) for n in (1, 2))
        kinds = {
            "1 and 2 threads": (one, two),
            "float64": (one, rows_after(run, updates, double=True)),
        }
    lines = []
    for kind, pair in kinds.items():
        heading = f"against {kind}" if kind == "float64" else kind
        lines.append(f"{heading:35}" + "".join(f"{f'{k} updates':>13}" for k in shown))
        for name, far in apart(*pair, experiment.batch_size).items():
            unit = "samples, " if name == "active_fraction" else ""
            lines.append(f"  {unit + name:33}" + "".join(f"{far[k]:13.2g}" for k in shown))
    return lines


def main(argv=None):
    """Train both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_experiment_arguments(parser, "tiny")
    parser.add_argument("--updates", type=int, metavar="N", help="compare so many updates instead")
    parser.add_argument("--rows", nargs=3, metavar="X", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        if arguments.rows:
            directory, updates, place = arguments.rows
            np.savez(place, **rows_after(load_run(directory), int(updates)))
            return 0
        experiment = experiment_from(arguments)
        if arguments.updates:
            print("\n".join(update_lines(experiment, arguments.updates)))
            return 0
        single, double = (train(experiment.replace(dtype=d)) for d in ("float32", "float64"))
    except FeatlearnError as error:
        print(f"precision: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(single, double)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
