"""Neurons on their way to the atoms, as a picture and as a film."""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.lines import Line2D

from ..alignment import cosines
from ..errors import InvalidInput
from ..recording.files import write_aside, writing
from ..rules import integer, require
from ..summary import PURE
from .atoms import MOST_NUMBERED
from .canvas import BLUE, GREY, ORANGE, as_runs, in_style, legend_above, new_figure, styled


def neuron_positions(alignments, norms):
    """Return where `neuron_map` puts the neurons, ndarray of shape (m, 2).

    Atoms stand on the unit circle and pull each neuron with the share α_ij²/‖w_i‖² of its squared
    norm that they hold; what is dense pulls to the centre.
    """
    weights = np.square(cosines(alignments, norms), dtype=np.float64)
    return weights @ atom_positions(weights.shape[1])


def atom_positions(n_features):
    """Return the places of the atoms on the unit circle, ndarray of shape (d, 2)."""
    angle = 2 * np.pi * np.arange(n_features) / n_features
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@styled
def neuron_map(run, row=-1):
    """Where the neurons are among the atoms at one recorded row.

    Parameters
    ----------
    run : Run
    row : int

    Returns
    -------
    matplotlib.figure.Figure
        Atoms on a circle; a neuron at an atom is that atom, one at the centre is all dense or an
        even mixture of many.
    """
    [(_, run)] = as_runs(run).items()
    require("row", row, integer(-len(run), len(run) - 1))
    figure, axes = new_figure(3.4, 3.8)
    ax = axes[0, 0]
    atoms = atom_positions(run.experiment.n_features)
    ax.plot(*atoms.T, "o", color=GREY, markersize=7, markerfacecolor="white", zorder=1)
    for j, place in enumerate(1.1 * atoms if len(atoms) <= MOST_NUMBERED else ()):
        ax.text(*place, str(j), fontsize=6, color="0.35", ha="center", va="center")
    ax.plot([], [], "o", color=BLUE, alpha=0.7, markeredgewidth=0, markersize=4, gid="neurons")
    ax.plot([], [], "D", color=ORANGE, alpha=0.9, markeredgewidth=0, markersize=4, gid="pure")
    ax.set(xlim=(-1.18, 1.18), ylim=(-1.18, 1.18), aspect="equal", xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    handles = [
        Line2D([], [], color=GREY, marker="o", markerfacecolor="white", markersize=6, linestyle="",
               label="atom $j$"),
        Line2D([], [], color=BLUE, marker="o", linestyle="", label="neuron"),
        Line2D([], [], color=ORANGE, marker="D", linestyle="", label=f"with a cosine ≥ {PURE}"),
    ]  # fmt: skip
    legend_above(figure, handles)
    _place(ax, run, row)
    return figure


def _place(ax, run, row):
    """Move the neurons of a `neuron_map` to where they are at a row."""
    alignments, norms = np.asarray(run["alignment"][row]), np.asarray(run["weight_norm"][row])
    place = neuron_positions(alignments, norms)
    pure = cosines(alignments, norms).max(axis=1) >= PURE
    for line in ax.lines:
        if line.get_gid() == "neurons":
            line.set_data(*place[~pure].T)
        elif line.get_gid() == "pure":
            line.set_data(*place[pure].T)
    ax.set_title(f"step {run.steps[row]}, stage {'I' * int(run['stage'][row])}")


def animate(run, path, n_frames=80, fps=12, dpi=110):
    """Write a film of `neuron_map` over the steps of a run as a GIF.

    Parameters
    ----------
    run : Run
    path : path
        Ends in ``.gif``.
    n_frames : int
        Early steps, where most happens, get more of them.
    fps : int
        Frames a second; the last one stays for two seconds.
    dpi : int

    Raises
    ------
    InvalidInput
        If the name does not end in .gif, there is no frame, or the run has fewer than two rows.
    RunDirectoryError
        If the file cannot be written.
    """
    n_frames, fps = require("n_frames", n_frames, integer(1)), require("fps", fps, integer(1))
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise InvalidInput("film", str(path), "a name ending in .gif")
    figure = neuron_map(run, 0)
    last = len(run) - 1
    rows = np.unique((last * np.linspace(0, 1, n_frames) ** 2).round().astype(int))
    writer = PillowWriter(fps=fps)
    with in_style(), writing(path), tempfile.TemporaryDirectory() as folder:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        film = Path(folder) / "film.gif"
        with writer.saving(figure, str(film), dpi):
            for row in [*rows, *[last] * (2 * fps)]:
                _place(figure.axes[0], run, row)
                writer.grab_frame()
        write_aside(path, film.read_bytes())
