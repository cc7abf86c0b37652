"""What f is a function of, as training goes on: the latents, or the noise."""

import numpy as np

from ..compute.streams import generator
from ..errors import InvalidInput
from ..probing import probe, shared_cosines
from ..recording.checkpoint import kept_steps
from ..recording.load import load_weights
from ..views import NoAugmentation
from .canvas import PAGE, as_runs, label, legend_above, new_figure, styled

_PANELS = {
    "same z": "cosine of $f$ at the same $z$,\ngiven $z \\neq 0$",
    "same noise": "cosine of $f$ at the same $\\xi$,\ngiven $z \\neq 0$",
    "regression": "regression error on $f$\n/ variance",
}


def representation_of(run):
    """Return η s times the kept steps of a recorded run, and the three measures there.

    Returns
    -------
    times : ndarray of shape (n,)
    measures : dict of str to ndarray of shape (n,)
        "same z", "same noise" and "regression".

    Raises
    ------
    InvalidInput
        If the run was not recorded in a directory, or kept no state.
    """
    steps = [] if run.directory is None else kept_steps(run.directory)
    if not steps:
        raise InvalidInput("runs", run.directory, "runs recorded in a directory, with states kept")
    rows = []
    for step in sorted(steps):
        weights, biases = load_weights(run.directory, step)
        seed, arguments = run.experiment.seed, (weights, biases, run.require_model())
        cosines = shared_cosines(*arguments, generator(seed, "probe", 0), 1024)
        errors = probe(*arguments, generator(seed, "probe", 1), 2048, 1024, only="features")
        regression = errors.regression["features"].mean()
        rows.append([cosines.latents.active, cosines.noise.active, regression])
    e = run.experiment
    times = e.learning_rate * e.resolved_density * np.array(sorted(steps))
    return times, dict(zip(_PANELS, np.transpose(rows)))


@styled
def representation(runs):
    """Cosines of f at the same latents and at the same noise, and the regression error, over η s t.

    Parameters
    ----------
    runs : Run, or dict of str to Run
        From run directories, whose kept states are measured.

    Returns
    -------
    matplotlib.figure.Figure
        A panel a measure; dashed, runs without augmentation.
    """
    runs = as_runs(runs)
    figure, axes = new_figure(PAGE, 2.7, 1, 3)
    for k, (name, run) in enumerate(runs.items()):
        times, measures = representation_of(run)
        style = "--" if label(run) == NoAugmentation.label else "-"
        for ax, measure in zip(axes[0], _PANELS):
            ax.plot(
                times, measures[measure], style, marker="o^sD"[k % 4], color=f"C{k}", label=name
            )
    for ax, title in zip(axes[0], _PANELS.values()):
        ax.set(xlabel=r"time $\eta s t$", ylabel=title, ylim=(-0.05, 1.1))
    legend_above(figure, axes[0, 0].get_legend_handles_labels()[0], columns=2)
    return figure
