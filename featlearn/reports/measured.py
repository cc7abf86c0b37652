"""A network trained and measured by a worker process, which finds these functions by name."""

import tempfile
from pathlib import Path

from ..errors import TrainingDiverged
from ..loop import train
from ..recording.load import load_state
from ..summary import summarize
from ..theory.claims.observed import Observed
from ..theory.claims.supervised import effective_rank
from ..training import init

MEASURES = ("atoms", "weakest", "pure", "share", "same z", "same ξ", "regression", "rank", "stage")


def trained(experiment):
    """Train one network and return its measures, a dictionary; NaN where it diverged."""
    try:
        run = train(experiment.replace(record_every=max(experiment.n_steps // 20, 1)))
    except TrainingDiverged:
        return dict.fromkeys(MEASURES, float("nan"))
    return measured(run)


def measured(run):
    """Return the measures of a run."""
    s = summarize(run)
    values = (
        s.atoms_learned,
        s.weakest_atom,
        s.pure_fraction,
        s.sparse_share,
        s.same_latents,
        s.same_noise,
        s.regression("features"),
        effective_rank(Observed(run, s)),
        s.stage,
    )
    return dict(zip(MEASURES, values))


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
