"""A network trained and measured by a worker process, which finds these functions by name."""

import csv
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from ..alignment import cosines
from ..compute.streams import generator
from ..errors import InvalidInput, TrainingDiverged
from ..latents import Coherent, mixing_of
from ..loop import train
from ..objectives import OBJECTIVES
from ..recording.load import load_state
from ..summary import PURE, summarize
from ..theory.claims.finite_data import seen_minus_fresh
from ..theory.claims.observed import Observed
from ..theory.claims.supervised import effective_rank
from ..theory.predictions.crossing import crossing
from ..training import init
from ..yardstick import RECOVERY, THRESHOLDS, learn_components, learn_dictionary, match_one_to_one

MEASURES = (
    "atoms", "weakest", "pure", "share", "same z", "same ξ", "regression", "rank", "stage",
    "growth", "g/g*", "seen ξ", "matched", "weakest match",
)  # fmt: skip
# What tells the rows of a table apart, beside section and run.
SETTINGS = ("seed", "augmentation", "objective", "n_features", "n_samples", "noise_correlation")


def trained(experiment):
    """Train one network and return its measures, a dictionary; NaN where it diverged."""
    try:
        run = train(experiment.replace(record_every=max(experiment.n_steps // 20, 1)))
    except TrainingDiverged:
        return dict.fromkeys(MEASURES[:10], float("nan")) | _settings(experiment)
    return measured(run)


def measured(run):
    """Return the measures of a run, and its settings.

    "growth" is ln of that of the norms, and "g/g*", of a loss of pairs without augmentation, how it compares
    with what the sparse part needs to overtake the dense one.

    "seen ξ", of a run on a fixed data set, is how much larger the cosine at the same noise is for noise
    that it was trained on.
    """
    s, observed = summarize(run), Observed(run)
    values = (
        s.atoms_learned,
        s.weakest_atom,
        s.pure_fraction,
        s.sparse_share,
        s.same_latents,
        s.same_noise,
        s.regression("features"),
        effective_rank(observed),
        s.stage,
        observed.growth,
    )
    found = dict(zip(MEASURES, values)) | _settings(run.experiment) | _recovery(observed.cosine)
    if OBJECTIVES[run.experiment.objective].is_pairwise and observed.augmentation.identical_views:
        found["g/g*"] = observed.growth / crossing(run.experiment).growth
    if run.experiment.n_samples is not None:
        found["seen ξ"] = seen_minus_fresh(observed)
    return found


def coherent(experiment, coherence):
    """Train on atoms that are not orthogonal, of a coherence; return what `trained` does, of these atoms."""
    plain = init(experiment).model
    mixing = mixing_of(plain.n_features, coherence, generator(experiment.seed, "theory", 12))
    law = Coherent(plain.law.densities, mixing)
    model = dataclasses.replace(plain, law=law)
    run = train(experiment.replace(record_every=max(experiment.n_steps // 20, 1)), model=model)
    observed = Observed(run)
    cosine = cosines(observed.alignments @ mixing, observed.norms)
    atoms = cosine.max(axis=0)
    of_atoms = {
        "atoms": int(np.sum(atoms >= PURE)),
        "weakest": float(atoms.min()),
        "pure": float(np.mean(cosine.max(axis=1) >= PURE)),
    }
    return measured(run) | of_atoms | _recovery(cosine)


def warm_start(experiment):
    """Train on with other views: {chain of views: measures at its end}."""
    found, n = {}, experiment.n_steps
    for chain in (("none", "random_mask"), ("random_mask", "none", "random_mask")):
        state = init(experiment.replace(record_every=n))
        with tempfile.TemporaryDirectory() as place:
            for k, views in enumerate(chain):
                state = state.replace(augmentation=views, n_steps=(k + 1) * n)
                run = train(None, Path(place) / str(k), start=state)
                found[" → ".join(chain[: k + 1])] = measured(run)
                state = load_state(Path(place) / str(k))
    return found


def yardstick(experiment):
    """Return what plain sparse coding and ICA recover from an experiment's data set, by their names."""
    model = init(experiment).model
    rng = generator(experiment.seed, "theory", 9)
    learners = {"dictionary learner": learn_dictionary, "ICA": learn_components}
    found = {}
    for name, learn in learners.items():
        cosine = np.abs(learn(model.data.inputs, model.n_features, rng).T @ model.dictionary)
        match = match_one_to_one(cosine)
        measures = {"matched": int(np.sum(match >= PURE)), "weakest match": float(match[-1])}
        found[name] = measures | _settings(experiment) | _recovery(cosine)
    return found


def _settings(experiment):
    return {name: getattr(experiment, name) for name in SETTINGS}


def _recovery(cosine):
    match = match_one_to_one(cosine)
    return {name: float(np.mean(match >= t)) for name, t in zip(RECOVERY, THRESHOLDS)}


def write_rows(rows, path):
    """Write a table of rows, each a dictionary with "section", "run", settings and measures."""
    names = ["section", "run", *SETTINGS, *MEASURES, *RECOVERY]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})


def read_rows(path):
    """Read what `write_rows` wrote: a list of dictionaries, numbers as numbers, without empty cells."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "section" not in rows[0]:
        raise InvalidInput("rows", str(path), "a table of scripts/twins.py")
    return [{k: _number(v) for k, v in row.items() if v} for row in rows]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
