"""The tables of ``featlearn images``: what is predicted before training, and what was learned."""

import math

from ..display import text_table
from ..images import decoupling
from ..theory.predictions.cross_moment import crossover
from .images import predict_stage_one


def prediction_table(model, plans, experiment):
    """Return as text what can be said of planned runs of an experiment before any training."""
    rows = [("before training", "low frequencies", "edges", "stage I ends", "outside atoms")]
    for plan in plans:
        if plan.linear:
            continue
        coupling = decoupling(model, plan.augmentation, seed=experiment.seed)
        step, share = predict_stage_one(model, plan.augmentation, experiment)
        when = f"step {step:.0f}" if math.isfinite(step) else "never"
        rows.append((plan.label, f"{coupling.dense:.2f}", f"{coupling.sparse:.2f}", when,
                     f"{share:.2f}"))  # fmt: skip
    star = crossover(model.sparse_covariance, model.dense_covariance)
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
