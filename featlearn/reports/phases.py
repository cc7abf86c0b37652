"""Two smaller runs in which every prediction applies that the default pair leaves out.

The default pair is chosen for what it ends with. Its similarities are too large at the end of stage I for
the mean field, and no plateau is reached. The preset "phases" starts from small weights and goes through
stage I, II and III; the preset "linear" keeps b = 0 and ends on the plateau.
"""

from pathlib import Path

from ..loop import train_or_resume
from ..presets import preset

PHASES = ("phases", "linear")


def train_phases(directory, seed=0, names=PHASES, progress=None):
    """Train the runs, or go on with those that were begun.

    Parameters
    ----------
    directory : path
        Holds one run directory a preset.
    seed : int
    names : sequence of str
        Presets among `PHASES`.
    progress : callable, optional
        Called with every recorded row.

    Returns
    -------
    dict of str to Run
    """
    return {
        name: train_or_resume(preset(name).replace(seed=seed), Path(directory) / name, progress)
        for name in names
    }


def check_phases(directory, seed=0, names=PHASES, progress=None):
    """Train the runs and check them: their verdicts complete those on the default pair.

    Parameters
    ----------
    directory, seed, names, progress
        As in `train_phases`.

    Returns
    -------
    list of Checked
        One for each run.
    """
    # The theory takes a while to import, which those who only train need not wait for.
    from ..theory.claims.groups import check_all
    from ..theory.claims.observed import Observed

    runs = train_phases(directory, seed, names, progress)
    return check_all([Observed(run) for run in runs.values()])
