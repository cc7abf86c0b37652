"""The paper's headline result: the same network, with RandomMask and without any augmentation."""

import itertools
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass
from pathlib import Path

from ..loop import train_or_resume
from ..recording.rundir import last_row, load_run
from ..summary import PURE, Summary, summarize

# Statements with o(1) in them are asked for from this number of features on.
LARGE = 32
# How often the twins are looked at while they train.
WATCH_SECONDS = 0.5

TWINS = {"RandomMask": "random_mask", "no augmentation": "none"}


@dataclass(frozen=True)
class Finding:
    """One statement of the paper beside what was measured.

    Attributes
    ----------
    statement : str
        What the paper says, in our words.
    measured : dict of str to str
        What each twin shows.
    asked : str
        The finite-size form of the statement that is checked.
    holds : bool or None
        None where the statement is only shown: the finite-size form is one for d ≥ 32.
    """

    statement: str
    measured: dict
    asked: str
    holds: bool | None


def train_twins(experiment, directory, executors, progress=None):
    """Train an experiment with RandomMask and without augmentation, from the same initial weights.

    A twin that was stopped before is continued, a complete one is kept.

    Parameters
    ----------
    experiment : Experiment
        Its augmentation is replaced.
    directory : path
        Holds one run directory a twin: ``random_mask`` and ``none``.
    executors : list
        Of `OwnWorkers`; the twins take turns on them.
    progress : callable, optional
        Called about twice a second with the last recorded row of each twin, a dictionary by label;
        a row is None before the first.

    Returns
    -------
    runs : dict of str to Run
    summaries : dict of str to Summary
    """
    places = {label: Path(directory) / name for label, name in TWINS.items()}
    futures = {
        label: executor.submit(
            _train_and_summarize, experiment.replace(augmentation=name), places[label]
        )
        for (label, name), executor in zip(TWINS.items(), itertools.cycle(executors))
    }
    waiting = True
    while waiting:
        done, waiting = wait(futures.values(), WATCH_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()
        if progress is not None:
            progress({label: last_row(place) for label, place in places.items()})
    runs = {label: load_run(place) for label, place in places.items()}
    return runs, {label: future.result() for label, future in futures.items()}


def _train_and_summarize(experiment, directory):
    return summarize(train_or_resume(experiment, directory))


def findings(summaries, n_features):
    """Hold the twins against the paper's results T1, T2, T3 and T5.

    Parameters
    ----------
    summaries : dict of str to Summary
    n_features : int

    Returns
    -------
    list of Finding
    """
    with_mask, without = (summaries[label] for label in TWINS)

    def both(text):
        return {label: text(summaries[label]) for label in TWINS}

    def cosines(s: Summary):
        return f"{s.same_latents:.2f} / {s.same_noise:.2f}"

    def errors(s: Summary):
        return f"{s.regression('features'):.2f} / {s.regression('inputs'):.2f}"

    def judged(holds):
        return bool(holds) if n_features >= LARGE else None

    with_error, without_error = with_mask.regression("features"), without.regression("features")
    return [
        Finding(
            "T1 every sparse feature is learned",
            both(lambda s: f"{s.atoms_learned}/{n_features} atoms"),
            f"all, cosine ≥ {PURE}",
            judged(with_mask.atoms_learned == n_features),
        ),
        Finding(
            "T1 a neuron holds one feature",
            both(lambda s: f"{s.pure_fraction:.0%} of neurons"),
            "at least 40 %",
            judged(with_mask.pure_fraction >= 0.4),
        ),
        Finding(
            "T1 no feature takes many neurons",
            both(lambda s: f"at most {s.largest_atom_fraction:.0%}"),
            "at most 25 %",
            judged(with_mask.largest_atom_fraction <= 0.25),
        ),
        Finding(
            "T5 the sparse part wins the norm",
            both(lambda s: f"share {s.sparse_share:.2f}"),
            "share ≥ 0.85",
            judged(with_mask.sparse_share >= 0.85),
        ),
        Finding(
            "T1 f is a function of the latents",
            both(cosines),
            "same z > same ξ",
            judged(with_mask.same_latents > with_mask.same_noise),
        ),
        Finding(
            "T3 without: no feature is learned",
            both(lambda s: f"best cosine {s.best_cosine:.2f}"),
            "without: below 0.6",
            judged(without.best_cosine < 0.6),
        ),
        Finding(
            "T3 without: f is a function of the noise",
            both(cosines),
            "same ξ ≥ 0.6, > 3 × z",
            judged(without.same_noise >= 0.6 and without.same_noise > 3 * without.same_latents),
        ),
        Finding(
            "T3 although its loss is lower",
            both(lambda s: f"loss {s.loss:.2f}"),
            "without: lower",
            judged(without.loss < with_mask.loss),
        ),
        Finding(
            "T2 regression: f / raw x",
            both(errors),
            "at most 0.7 of raw x",
            judged(with_error <= 0.7 * with_mask.regression("inputs")),
        ),
        Finding(
            "T2 regression: with / without",
            both(lambda s: f"error {s.regression('features'):.2f}"),
            "at most 0.7 of without",
            judged(with_error <= 0.7 * without_error),
        ),
    ]


_WORDS = {True: "yes", False: "NO", None: f"(d < {LARGE})"}


def findings_table(found):
    """Return the findings as lines of text, at most 100 columns wide."""
    head = ("the paper says", *TWINS, "asked", "")
    rows = [
        (f.statement, *(f.measured[label] for label in TWINS), f.asked, _WORDS[f.holds])
        for f in found
    ]
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)) for row in [head, *rows]]
    lines.insert(1, "  ".join("─" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)
