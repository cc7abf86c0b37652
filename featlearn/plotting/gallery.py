"""Every figure that runs alone support, by name, with a sentence on what to see in it."""

import itertools
from pathlib import Path

from ..compute.streams import generator
from ..latents import unusual_data
from ..objectives import OBJECTIVES
from ..probing import probe
from ..recording.rundir import load_run
from ..rules import choice, require
from ..theory.predictions.floors import bayes_floor, linear_floor
from .atoms import cosine_heatmaps, neurons_per_atom
from .canvas import as_runs, save
from .competition import competition
from .growth import stage_one_growth
from .headline import headline, regimes
from .lottery import lottery
from .probes import probe_errors
from .representation import representation
from .trajectories import alignment_trajectories, losses, sparse_and_dense

# name -> (function of a dictionary of runs, what the reader should see)
GALLERY = {
    "headline": (
        headline,
        "Neurons turn towards single atoms, and the sparse part overtakes the dense one, where the"
        " augmentation decouples the noise of the two views.",
    ),
    "alignment-trajectories": (
        alignment_trajectories,
        "Each neuron's cosine with the feature it ends on (blue) rises, and that with its strongest"
        " other feature (orange) falls, once the bias has been raised (stage II).",
    ),
    "sparse-and-dense": (
        sparse_and_dense,
        "In stage I the sparse part of the weights grows and, under RandomMask, the dense part does"
        " not.",
    ),
    "cosine-heatmaps": (
        cosine_heatmaps,
        "With neurons sorted by their atom a staircase of bright cells says that each neuron has"
        " one feature and each atom its neurons.",
    ),
    "losses": (
        losses,
        "The loss falls below that of a constant representation, where there is one (dashed); a lower"
        " loss does not mean better features.",
    ),
    "neurons-per-atom": (
        neurons_per_atom,
        "Above, how well the best neuron of each atom fits it; below, how many neurons the atom"
        " has.",
    ),
    "stage-one-growth": (
        stage_one_growth,
        "Stage I: the measured growth of the sparse and the dense part follows the derived recursion"
        " (dashed: with the softmax's back-reaction) up to the shade, where similarities have halved"
        " the growth; without similarities (dotted) only as long as they are small.",
    ),
    "lottery": (
        lottery,
        "The feature a neuron ends on led, or nearly led, among its features from the start; at the"
        " end of stage I almost every winner leads.",
    ),
    "competition": (
        competition,
        "In stage II the feature that leads pulls away from the others; dashed, the mean field that"
        " starts from the end of stage I, drawn for as long as similarities stay below τ/10.",
    ),
    "probe-errors": (
        lambda runs: probe_errors(
            {name: probe_run(run) for name, run in runs.items()}, common_floors(runs)
        ),
        "Errors of linear heads that see the features, the raw input, or ⟨M_j, x⟩ thresholded, beside"
        " what the best linear head on x and the best estimator of all leave.",
    ),
}

# Figures that hold a run against predictions from its experiment alone, and of these, those for a loss of pairs.
_PREDICTED = ("stage-one-growth", "competition", "lottery")
_OF_PAIRS = ("stage-one-growth", "competition")


def supports(name, runs):
    """Whether every run of a dictionary has what a figure draws."""
    runs = runs.values()
    if name == "probe-errors":
        return all(run.model is not None for run in runs)
    if name in _OF_PAIRS and not all(OBJECTIVES[r.experiment.objective].is_pairwise for r in runs):
        return False
    return name not in _PREDICTED or not any(run.own or run.start for run in runs)


def common_floors(runs):
    """Return the linear and the Bayes floor of the runs' data; none where these differ or are own."""
    kinds = {(not unusual_data(e), e.resolved_density, e.resolved_noise_variance) for e in
             (run.experiment for run in runs.values())}  # fmt: skip
    if len(kinds) > 1 or any(run.own for run in runs.values()):
        return ()
    (usual, density, variance) = kinds.pop()
    return (linear_floor(density, variance), bayes_floor(density, variance)) if usual else ()


def probe_run(run):
    """Return the `ProbeResult` of a run's last weights; the samples are those of `summarize`."""
    experiment = run.experiment
    return probe(
        run.weights, run.biases, run.require_model(), generator(experiment.seed, "probe", 1)
    )


def draw_gallery(runs, names=None, probes=None):
    """Yield (name, Figure) for every figure of the gallery that these runs support.

    Parameters
    ----------
    runs : Run, or dict of str to Run
    names : sequence of str, optional
        Only these.
    probes : dict of str to ProbeResult, optional
        Probe results with the labels of `runs`; probed here unless given.
    """
    runs = as_runs(runs)
    names = list(dict.fromkeys(names or ()))
    for name in names:
        require("names", name, choice(GALLERY))
    for name in names or [name for name in GALLERY if supports(name, runs)]:
        if name == "probe-errors" and probes is not None:
            yield name, probe_errors(probes, common_floors(runs))
        else:
            yield name, GALLERY[name][0](runs)


def save_twin_figures(runs, summaries, directory, names=None):
    """Draw the gallery of twins into a directory.

    Parameters
    ----------
    runs : dict of str to Run
    summaries : dict of str to Summary
        With the same labels; their probe results are drawn.
    directory : path
    names : sequence of str, optional
        Only these.

    Returns
    -------
    list of Path
        The files written.
    """
    probes = {name: summary.probe for name, summary in summaries.items()}
    written = []
    for name, figure in draw_gallery(runs, names, probes):
        written += save(figure, Path(directory) / name)
    return written


def draw_twins(runs, summaries, directory, executor):
    """Let a worker process save the figures of recorded twins; return the `Future` of their files.

    Parameters
    ----------
    runs, summaries, directory
        As for `save_twin_figures`; the runs from run directories.
    executor : Executor
    """
    return executor.submit(_draw_twins, _places(runs), summaries, directory)


def draw_regimes(runs, directory, executors):
    """Let worker processes save `regimes` and `representation` of recorded runs, a figure each.

    Returns
    -------
    list of Future
        Of the files of each.
    """
    figures = zip((representation, regimes), itertools.cycle(executors))
    return [executor.submit(_draw, f, _places(runs), directory) for f, executor in figures]


def _places(runs):
    return {label: run.directory for label, run in runs.items()}


def _draw_twins(places, summaries, directory):
    return save_twin_figures(_loaded(places), summaries, directory)


def _draw(figure, places, directory):
    return save(figure(_loaded(places)), Path(directory) / figure.__name__)


def _loaded(places):
    return {label: load_run(place) for label, place in places.items()}
