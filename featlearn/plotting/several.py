"""Figures of any number of runs: some stand for the rest, and seeds are averaged."""

from ..recording.seeds import group_runs
from .asked import asked_quantities
from .bands import seed_bands
from .canvas import label_runs
from .gallery import GALLERY, draw_gallery

BANDS, ASKED = "seed-bands", "asked-quantities"
# Beside the gallery: what only some runs have.
SENTENCES = {
    BANDS: "The mean over the seeds, in a band of its 95 % confidence interval.",
    ASKED: "What these runs were asked to record beside the quantities of every run: numbers, or the"
    " median of an array with a band that holds 80 % of its entries.",
}
# More panels in a row than this are too small to read.
MOST_SHOWN = 4


def shown_runs(runs, most=MOST_SHOWN):
    """Return {label: Run}, the first seed of each of the first groups, to be drawn one by one."""
    groups = group_runs(runs)
    first = [group.runs[0] for group in groups.values()]
    if any(len(group) > 1 for group in groups.values()):
        return dict(list(zip(groups, first))[:most])
    return dict(list(label_runs(first).items())[:most])


def figures(runs, names=None, probes=None, most=MOST_SHOWN):
    """Yield (name, Figure) for some runs, however many.

    Parameters
    ----------
    runs : sequence of Run
    names : sequence of str, optional
        Only these, of `GALLERY` and `SENTENCES`.
    probes : dict of str to ProbeResult, optional
        With the labels of `shown_runs`.
    most : int
        Panels in a row at most.
    """
    # One that is named twice is drawn once.
    names = list(dict.fromkeys(names or ()))
    groups = group_runs(runs)
    several = any(len(group) > 1 for group in groups.values()) or len(groups) > most
    if BANDS in names if names else several:
        yield BANDS, seed_bands(groups)
    shown = shown_runs(runs, most)
    if ASKED in names if names else any(run.asked for run in shown.values()):
        yield ASKED, asked_quantities(shown)
    one_by_one = [name for name in names if name in GALLERY] if names else None
    if one_by_one != []:
        yield from draw_gallery(shown, one_by_one, probes)
