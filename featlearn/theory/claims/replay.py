"""Some of a run's updates made again, from states that it kept, and compared bit for bit.

The same experiment and seed, versions, kind of processor and number of threads give the same bytes;
so the updates are made in a process with the run's own number of threads. Elsewhere the last digits
differ. What rounding makes of a few updates is measured by ``scripts/precision.py --updates``: from every
kept state of the presets the rows of float32 and of float64 are at most 5.3e-6 of a row's largest number
apart after 10 updates and 1.2e-5 after 30 (‖β‖, a difference of squares, most of all), and no neuron is
active on another sample. From there on neurons that compete make more of it, 7e-3 after 100. Another
machine is allowed four times that, and one sample a neuron.
"""

import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np

from ...compute.streams import generator
from ...compute.threads import BLAS_THREADS, thread_count
from ...compute.workspace import Workspace
from ...recording.config import made_with
from ...recording.load import load_run
from ...recording.quantities import measure
from ...training import draw_batch, evaluate, init, step
from .claim import claim
from .observed import Observed
from .verdict import at_most, does_not_apply

CLAIM = "replay"
NAME = "updates made again, largest difference"
UPDATES = 3
# Relative difference, in roundings of a number, that so many updates may make on another machine.
_DRIFT = {10: 180, 30: 400}


@claim(CLAIM)
def claim_replay(observed):
    """Make some updates again and compare the rows that they leave with the recorded ones.

    Parameters
    ----------
    observed : list of Observed
        Runs of one experiment, of different seeds.

    Returns
    -------
    list of Verdict
        Which updates is decided by the run's own digest, and said.
    """
    if min(o.replays for o in observed) == 0:
        return [does_not_apply(CLAIM, NAME, "not asked for (--no-replay)")]
    if not all(starts_of(o) for o in observed):
        return [does_not_apply(CLAIM, NAME, "no state before a recorded row is kept")]
    exp = observed[0].experiment
    same = all(o.run.directory is None or made_with(o.run.directory)[1] for o in observed)
    bound = 0.0 if same else drift(exp)
    if bound is None:
        reason = (
            f"made elsewhere, and {length(exp)} updates from a state to a recorded row make more of"
            " rounding than can be told from a fault"
        )
        return [does_not_apply(CLAIM, NAME, reason)]
    apart, told = [], []
    for o in observed:
        made, all_starts = chosen(o), starts_of(o)
        rows = _rows_again(o, made)
        apart.append(max((row_difference(o.run, row, not same) for row in rows), default=0.0))
        steps = ", ".join(f"{at} to {at + length(o.experiment)}" for at in made)
        told.append(
            f"seed {o.experiment.seed}: steps {steps}, from {len(made)} of {len(all_starts)}"
            " states, chosen by the run's digest"
        )
    why = (
        "same versions, processor and threads give the same bits"
        if same
        else "made with other versions, or on another processor: four times the rounding of"
        f" {length(exp)} updates"
    )
    return [at_most(CLAIM, NAME, bound, apart, why, reason="; ".join(told))]


def starts_of(observed):
    """Return the steps from which a run can be made again, in order."""
    run = observed.run
    steps = {state.step for _, state in observed.states} if run.directory is not None else set()
    if run.start is None:
        steps.add(0)
    return sorted(at for at in steps if at < int(run.steps[-1]))


def chosen(observed):
    """Return the steps that are made again: step 0, one in each later stage, others at random.

    The run's digest decides, so that a check says the same from call to call.
    """
    run, steps = observed.run, starts_of(observed)
    digest = hashlib.sha256(json.dumps(run.experiment.to_dict(), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(run.weights).tobytes())
    rng = generator(int.from_bytes(digest.digest()[:4], "little"), "theory")
    stages = {state.step: state.stage for _, state in observed.states}
    order = [int(step) for step in rng.permutation(steps)]
    first = [steps[0]]
    for stage in (2, 3):
        first += [step for step in order if stages.get(step) == stage][:1]
    return sorted(list(dict.fromkeys([*first, *order]))[: observed.replays])


def length(experiment):
    """Return how many updates are made from a state: as many as reach a recorded row."""
    return max(UPDATES, experiment.record_every)


def drift(experiment):
    """Return the relative difference that rounding may make on another machine, None beyond telling."""
    n, eps = length(experiment), float(np.finfo(experiment.dtype).eps)
    return next((roundings * eps for most, roundings in _DRIFT.items() if n <= most), None)


def updates_again(observed, starts):
    """Return the rows that updates from some states leave, in this process.

    Parameters
    ----------
    observed : Observed
    starts : sequence of int

    Returns
    -------
    list of dict of str to ndarray
        Rows of the built-in quantities, those at recorded steps.
    """
    run, kept = observed.run, {state.step: state for _, state in observed.states}
    recorded, rows = {int(k) for k in run.steps}, []
    for at in starts:
        # A directory knows the state of its first step by the seed.
        state = kept[at] if run.directory is not None and at in kept else init(run.experiment)
        work = Workspace()
        for _ in range(length(run.experiment) + 1):
            batch = draw_batch(state, work, keep_sample=False)
            gradient = evaluate(state, batch, work)
            if state.step in recorded:
                state.align(work)
                row = measure(state, batch, gradient)
                rows.append({name: np.array(value) for name, value in row.items()})
            if state.step == int(run.steps[-1]):
                break
            state = step(state, gradient, work)
    return rows


def row_difference(run, row, elsewhere=False):
    """Return the largest difference of a row from the recorded one, relative to its largest number.

    Elsewhere a neuron may be active on one more sample or one less: the threshold may lie between.
    """
    at, far = int(np.searchsorted(run.steps, int(row["step"]))), 0.0
    for name, value in row.items():
        recorded = np.asarray(run[name][at])
        if recorded.tobytes() == np.asarray(value, recorded.dtype).tobytes():
            continue
        recorded, value = recorded.astype(np.float64), value.astype(np.float64)
        if not np.isfinite(recorded).all() or recorded.dtype.kind != "f" or name == "stage":
            return np.inf
        scale = max(np.abs(value).max(), np.finfo(np.float64).tiny)
        apart = float(np.abs(recorded - value).max())
        if elsewhere and name == "active_fraction":
            # Up to the rounding of the fraction.
            apart = max(apart - (1 + 1e-5) / run.experiment.batch_size, 0.0)
        far = max(far, apart / scale)
    return far


def _rows_again(observed, starts):
    """The rows of `updates_again`, made with the run's own number of threads."""
    run = observed.run
    if run.directory is None:
        return updates_again(observed, starts)
    threads, _ = made_with(run.directory)
    if threads in (None, thread_count()):
        return updates_again(observed, starts)
    environment = {**os.environ, **dict.fromkeys(BLAS_THREADS, str(threads))}
    environment["PYTHONPATH"] = os.pathsep.join(path or "." for path in sys.path)
    command = [sys.executable, "-c", "from featlearn.theory.claims.replay import _serve; _serve()"]
    asked = json.dumps({"directory": str(run.directory), "starts": starts})
    made = subprocess.run(command, input=asked.encode(), env=environment, capture_output=True)
    if made.returncode:
        raise RuntimeError(made.stderr.decode(errors="replace"))
    with np.load(io.BytesIO(made.stdout)) as file:
        names = sorted({name.split(" ")[0] for name in file.files})
        n = len(file.files) // max(len(names), 1)
        return [{name: file[f"{name} {k}"] for name in names} for k in range(n)]


def _serve():
    """Make the rows that another process asks for on stdin, and write them to stdout."""
    asked = json.load(sys.stdin)
    rows = updates_again(Observed(load_run(asked["directory"])), asked["starts"])
    buffer = io.BytesIO()
    arrays = {f"{name} {k}": value for k, row in enumerate(rows) for name, value in row.items()}
    np.savez(buffer, **arrays)
    sys.stdout.buffer.write(buffer.getvalue())
