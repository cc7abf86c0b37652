"""A page to look around in: every neuron over the atoms, step by step, and what pulls on it.

One HTML file that needs no network: `explorer.html` with the numbers of a run put in. Cosines and
forces are stored as whole numbers from -127 to 127, the forces relative to the largest on the same
neuron at the same step.
"""

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..explain.update import explain_step
from ..plotting.canvas import label, thinned
from ..rules import integer, require
from ..training import step
from ..views import augmentation_of

# So many cosines at the most, which is some megabytes of page, and so many steps.
CELLS, FRAMES = 600_000, 200


@dataclass(frozen=True)
class Frames:
    """What the page shows, for T steps, m neurons, and d atoms beside one dense direction.

    The last column of every (T, m, d + 1) array is the dense part: ‖β_i‖ for the size, and for a
    force its component along β_i, nan where it is not known.

    Attributes
    ----------
    title : str
    steps, stages, losses : ndarray of shape (T,)
    norms, biases : ndarray of shape (T, m)
        ‖w_i‖ and b_i.
    cosines : ndarray of shape (T, m, d + 1)
        α_ij/‖w_i‖ with its sign, and ‖β_i‖/‖w_i‖.
    forces : dict of str to ndarray of shape (T, m, d + 1)
        By what is said of them in the page.
    """

    title: str
    steps: np.ndarray
    stages: np.ndarray
    losses: np.ndarray
    norms: np.ndarray
    biases: np.ndarray
    cosines: np.ndarray
    forces: dict


def frames_of_run(run):
    """Return the `Frames` of a recorded run, at evenly spread rows.

    Attraction and repulsion are shown where the run recorded them, otherwise the change of every
    alignment to the next row, or for the last row from the one before, divided by the steps between.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Frames
    """
    _, m, d = run["alignment"].shape
    rows = thinned(len(run), max(2, min(FRAMES, CELLS // (m * (d + 1)))))
    norms = np.asarray(run["weight_norm"][rows], np.float64)
    sizes = _with_dense(run["alignment"][rows], run["dense_norm"][rows])
    if "attraction" in run.arrays and "repulsion" in run.arrays:
        forces = {
            name: _with_dense(run[name][rows], np.full((len(rows), m), np.nan))
            for name in ("attraction", "repulsion")
        }
        forces["decay"] = -run.experiment.weight_decay * sizes
    else:
        later = np.minimum(rows + 1, len(run) - 1)
        before, after = (
            _with_dense(run["alignment"][k], run["dense_norm"][k]) for k in (later - 1, later)
        )
        # A single row has nothing to be apart from.
        apart = np.maximum(run.steps[later] - run.steps[later - 1], 1)
        forces = {"change in one step": (after - before) / apart[:, None, None]}
    return Frames(
        title=f"{label(run)}, d = {d}, d1 = {run.experiment.n_inputs}, seed {run.experiment.seed}",
        steps=run.steps[rows],
        stages=run["stage"][rows],
        losses=run["loss"][rows],
        norms=norms,
        biases=run["bias"][rows],
        cosines=_relative(sizes, norms),
        forces=forces,
    )


def frames_of_steps(state, n_steps):
    """Make updates from a state on, and return their `Frames`, forces included.

    Parameters
    ----------
    state : TrainingState
    n_steps : int ≥ 0

    Returns
    -------
    Frames
    """
    n_steps = require("n_steps", n_steps, integer(0))
    m, d = state.experiment.n_neurons, state.experiment.n_features
    shown = set(thinned(n_steps + 1, max(2, min(FRAMES, CELLS // (m * (d + 1))))).tolist())
    found = []
    for k in range(n_steps + 1):
        if k in shown:
            found.append(explain_step(state))
        if k < n_steps:
            state = found[-1].after if k in shown else step(state)
    pairs = found[0].attraction is not None
    names = ("attraction", "repulsion", "decay") if pairs else ("descent", "decay")
    sizes, forces = [], {name: [] for name in names}
    for e in found:
        alignments = e.before.weights @ e.dictionary
        dense = e.before.weights - alignments @ e.dictionary.T
        size = np.linalg.norm(dense, axis=1)
        unit = np.divide(dense, size[:, None], out=np.zeros_like(dense), where=size[:, None] > 0)
        sizes.append(_with_dense(alignments, size))
        for name, several in forces.items():
            force = getattr(e, name)
            several.append(_with_dense(force.on_atoms, (force.dense * unit).sum(axis=1)))
    states = [e.before for e in found]
    norms = np.array([s.weight_norms for s in states])
    own = "augmentation" in state.own
    label = state.views if own else augmentation_of(state.experiment).label
    return Frames(
        title=f"{label}, d = {d}, {n_steps} steps",
        steps=np.array([s.step for s in states]),
        stages=np.array([s.stage for s in states]),
        losses=np.array([e.loss.before for e in found]),
        norms=norms,
        biases=np.array([s.biases for s in states]),
        cosines=_relative(np.array(sizes), norms),
        forces={name: np.array(several) for name, several in forces.items()},
    )


def make_explorer(frames):
    """Return the page of some `Frames` as the text of an HTML file, the same for the same frames."""
    _, m, columns = frames.cosines.shape
    data = {
        "neurons": m,
        "atoms": columns - 1,
        "steps": frames.steps.tolist(),
        "stages": frames.stages.tolist(),
        "losses": _rounded(frames.losses),
        "norms": [_rounded(row) for row in frames.norms],
        "biases": [_rounded(row) for row in frames.biases],
        "cosines": _packed(127 * frames.cosines),
        "forces": {name: _force(values) for name, values in frames.forces.items()},
    }
    page = (Path(__file__).parent / "explorer.html").read_text(encoding="utf-8")
    # No text of a run may end the script.
    return page.replace("{{title}}", html.escape(frames.title)).replace(
        "{{data}}", json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    )


def _with_dense(atoms, dense):
    return np.concatenate([np.asarray(atoms, np.float64), np.asarray(dense)[..., None]], axis=-1)


def _relative(sizes, norms):
    whole = norms[..., None]
    return np.divide(sizes, whole, out=np.zeros_like(sizes), where=whole > 0)


def _rounded(values):
    """Numbers of four digits, or None where they are not finite."""
    return [float(f"{x:.4g}") if np.isfinite(x) else None for x in np.asarray(values, np.float64)]


def _force(values):
    """A force as whole numbers, and the size of 127 for every step and neuron."""
    known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    largest = np.abs(known).max(axis=-1, keepdims=True)
    whole = np.divide(127 * known, largest, out=np.zeros_like(known), where=largest > 0)
    return {"values": _packed(whole), "largest": [_rounded(row) for row in largest[..., 0]],
            "dense": bool(np.isfinite(values[..., -1]).any())}  # fmt: skip


def _packed(values):
    """Whole numbers from -127 to 127 as base64 of their bytes."""
    whole = np.clip(np.rint(np.nan_to_num(values)), -127, 127).astype(np.int8)
    return base64.b64encode(whole.tobytes()).decode("ascii")
