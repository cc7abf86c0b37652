"""The tables of ``featlearn images``: what is predicted before training, and what was learned."""

import math

from ..display import text_table
from ..images import decoupling
from ..theory.predictions.cross_moment import crossover
from .images import predict_stage_one


def predictions(model, plans, experiment):
    """Return what can be said of planned runs of an experiment before any training.

    Returns
    -------
    dict
        "crossover", and "runs": a dictionary each.
    """
    runs = []
    for plan in plans:
        if not plan.linear:
            coupling = decoupling(model, plan.augmentation, seed=experiment.seed)
            step, share = predict_stage_one(model, plan.augmentation, experiment)
            runs.append({"name": plan.name, "label": plan.label, **coupling._asdict(),
                         "stage_one_ends": step, "outside_atoms": share})  # fmt: skip
    return {"crossover": crossover(model.sparse_covariance, model.dense_covariance), "runs": runs}


def prediction_table(model, plans, experiment):
    """Return `predictions` as text."""
    found = predictions(model, plans, experiment)
    rows = [("before training", "low frequencies", "edges", "stage I ends", "outside atoms")]
    for run in found["runs"]:
        step = run["stage_one_ends"]
        when = f"step {step:.0f}" if math.isfinite(step) else "never"
        numbers = (f"{run[name]:.2f}" for name in ("dense", "sparse", "outside_atoms"))
        dense, sparse, share = numbers
        rows.append((run["label"], dense, sparse, when, share))
    star = found["crossover"]
    return text_table(rows, right=True) + f"\nlow frequencies keep up from ρ = 1/λ₁ = {star:.3f} on"


def learned_table(learned):
    """Return as text what runs on images learned."""
    rows = [("learned", "dense share", "match with ICA", "same low f.", "same edges", "loss")]
    for run in learned:
        values = (run.dense_share, run.match, run.same_light, run.same_edges)
        rows.append((run.label, *(f"{value:.2f}" for value in values), f"{run.loss:.0f}"))
    return text_table(rows, right=True)


def curves_table(curves):
    """Return accuracies as text, a row a curve."""
    names = {"hybrid": "f, ρ = 0", "hybrid-0.5": "f, ρ = 0.5", "none": "f, no augmentation",
             "none, trained on": "the same, three times as long", "raw": "raw input"}  # fmt: skip
    first = next(iter(curves.values()))
    rows = [("digits: accuracy by labels", *map(str, first))]
    rows += [(names[name], *(f"{a:.2f}" for a in curve.values())) for name, curve in curves.items()]
    return text_table(rows, right=True)
