"""Every claim and prediction, on recorded runs."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from ...errors import InvalidInput
from ...latents import unusual_data
from ...parts import shown_name
from ...recording.trajectory import Run
from ...rules import integer, require
from .applicability import other_moments
from .boundaries import claim_boundaries
from .claim import Claim, Verdicts, as_functions, judge
from .decoupling import claim_t5
from .definitions import claim_definitions
from .dense_run import claim_dense_run
from .draws import claim_draws
from .end_state import claim_end_state
from .feature_rates import claim_feature_rates
from .finite_data import claim_finite_data
from .limit import claim_limit
from .linear import claim_t4
from .lottery import claim_lottery
from .no_negatives import claim_no_negatives
from .observed import Observed
from .other_data import claim_forgets, claim_rare_atoms, claim_spikes
from .relatives import claim_relatives
from .replay import claim_replay
from .representation import claim_t1, claim_t2, claim_t3
from .simulator import claim_simulator
from .stage_one import claim_plateau, claim_stage_one
from .stage_three import claim_stage_three
from .stage_two import claim_stage_two
from .supervised import claim_supervised
from .trajectory import READABLE, claim_files, claim_trajectory
from .twins import claim_pair
from .verdict import FAILS, Verdict, does_not_apply

CLAIMS = (
    claim_files,
    claim_trajectory,
    claim_replay,
    claim_draws,
    claim_definitions,
    claim_simulator,
    claim_stage_one,
    claim_feature_rates,
    claim_plateau,
    claim_boundaries,
    claim_stage_two,
    claim_dense_run,
    claim_lottery,
    claim_stage_three,
    claim_t1,
    claim_t2,
    claim_t3,
    claim_t4,
    claim_t5,
    claim_limit,
    claim_end_state,
    claim_supervised,
    claim_relatives,
    claim_no_negatives,
    claim_finite_data,
    claim_spikes,
    claim_rare_atoms,
    claim_forgets,
)


# Those that ask nothing of how a run began.
WHEREVER_BEGUN = (
    claim_feature_rates,
    claim_files,
    claim_trajectory,
    claim_replay,
    claim_t1,
    claim_t2,
    claim_t5,
    claim_limit,
    claim_supervised,
    claim_forgets,
)


# Those that ask no more of z than the paper's second moments.
WITH_UNCORRELATED = (claim_stage_one, claim_boundaries, claim_t1, claim_t2, claim_t3, claim_t5)
# Those that recompute what a run did from its own samples, that ask a law for its own moments, or
# say themselves which data they are derived for.
WITH_ANY_DATA = (
    claim_files,
    claim_trajectory,
    claim_replay,
    claim_feature_rates,
    claim_no_negatives,
    claim_finite_data,
    claim_spikes,
    claim_rare_atoms,
)


# Those that are left out of the table of a run of another kind.
OF_A_KIND = (
    claim_dense_run,
    claim_relatives,
    claim_no_negatives,
    claim_finite_data,
    claim_spikes,
    claim_rare_atoms,
    claim_forgets,
)


def check(
    runs: Run | Observed | Sequence[Run | Observed],
    claims: Callable | Sequence[Callable] = (),
    replay: int | None = None,
) -> list[Verdict]:
    """Check the theory, and claims of your own, on runs of one experiment.

    Parameters
    ----------
    runs : Run, Observed, or sequence of either
        With several, of different seeds, every verdict is on their mean and has a confidence
        interval.
    claims : function or sequence of functions
        Marked by `featlearn.claim`; listed after the built-in ones. They are judged before them, so that
        an error in one shows at once.
    replay : int, optional
        From how many states of each run a few updates are made again: 3 by default, 0 for none.

    Returns
    -------
    list of Verdict
        It prints as its table.

    Raises
    ------
    InvalidInput
        If the runs differ in more than the seed, or share one.

    Examples
    --------
    >>> exp = featlearn.preset("tiny").replace(n_steps=2, latents="binary")
    >>> verdicts = featlearn.check(featlearn.train(exp))
    >>> print(verdicts[1].claim, verdicts[1].outcome)
    trajectory holds
    """
    observed = _observe(runs)
    if replay is not None:
        replay = require("replay", replay, integer(0))
        observed = [dataclasses.replace(o, replays=replay) for o in observed]
    claims = as_functions("claims", claims, "functions marked by @featlearn.claim(name)")
    found, own = Verdicts(), Verdicts()
    for function in (*CLAIMS[:1], *claims, *CLAIMS[1:]):
        if function in OF_A_KIND and _of_another_kind(observed[0].run, function):
            continue
        reason = _unknown(observed, function) if function in CLAIMS else ""
        reason = reason or _damaged(found)
        judged = own if function in claims else found
        if reason and isinstance(getattr(function, "claim", None), Claim):
            judged.append(does_not_apply(function.claim.name, "all of it", reason))
        else:
            judged += judge(function, observed)
    return Verdicts(found + own)


def _damaged(verdicts):
    """Why nothing more can be said of runs of which verdicts are known, or nothing."""
    faults = [v.quantity for v in verdicts if v.quantity in READABLE and v.outcome == FAILS]
    return f"the run is damaged: {', '.join(faults)}" if faults else ""


def _of_another_kind(run, built_in):
    """Whether a claim speaks of other objectives, data or starts than a run's."""
    if built_in is claim_forgets and run.start is None:
        return True
    return any(need(run.experiment) for need in built_in.claim.needs)


def _unknown(observed, built_in):
    """What a built-in claim does not know of runs, or nothing."""
    run = observed[0].run
    if built_in is claim_files:
        return ""
    if vanished := next(filter(None, (o.vanished for o in observed)), ""):
        return vanished
    if run.own:
        return ", ".join(f"own {role}" for role in run.own)
    unusual = unusual_data(run.experiment)
    if unusual and built_in not in WITH_ANY_DATA:
        if built_in not in WITH_UNCORRELATED or other_moments(run.experiment):
            return "it is derived for the paper's data, not for " + ", ".join(unusual)
    if run.start is not None and built_in not in WHEREVER_BEGUN:
        source = run.start["run"] or "a state"
        return f"the run began at step {run.start['step']} of {source}"
    return ""


def check_pair(augmented, plain):
    """Check the theory on twins, runs that differ in nothing but the augmentation.

    Parameters
    ----------
    augmented, plain : Run, Observed, or sequence of either
        With several of each, twins have the same place and the same seed.

    Returns
    -------
    list of Verdict
        On how the two relate; `check` says what each does by itself.

    Raises
    ------
    InvalidInput
        If they are not twins.
    """
    first, second = _observe(augmented), _observe(plain)
    if len(first) != len(second):
        raise InvalidInput("runs", f"{len(first)} and {len(second)}", "one twin for each run")
    for a, b in zip(first, second):
        if a.augmentation.identical_views or not b.augmentation.identical_views:
            raise InvalidInput(
                "augmentation",
                f"{a.experiment.augmentation}, {b.experiment.augmentation}",
                "twins with an augmentation and with none",
            )
        if a.experiment != b.experiment.replace(augmentation=a.experiment.augmentation):
            raise InvalidInput("runs", _name(b.run), f"a twin of {_name(a.run)}")
    return claim_pair(first, second)


def _observe(runs):
    one = isinstance(runs, (str, Run)) or not isinstance(runs, Iterable)
    runs = [runs] if one else list(runs)
    if not runs:
        raise InvalidInput("runs", runs, "at least one run")
    for run in runs:
        if not isinstance(run, (Run, Observed)):
            raise InvalidInput("runs", run, "runs, as train and load_run return them")
    # Of a run that is going on or was killed, what its last checkpoint counts is judged.
    observed = [o if isinstance(o, Observed) else Observed(o.at_checkpoint()) for o in runs]
    runs = [one.run for one in observed]
    for run in runs:
        if len(run) == 0:
            raise InvalidInput("run", _name(run), "one with at least one recorded row")
        if kind(run) != kind(runs[0]):
            raise InvalidInput("runs", _name(run), f"only the seed different from {_name(runs[0])}")
    by_seed = {}
    for run in runs:
        seed = run.experiment.seed
        if seed in by_seed:
            shared = f"{_name(by_seed[seed])} and {_name(run)}, both of seed {seed}"
            raise InvalidInput("runs", shared, "a different seed for each run")
        by_seed[seed] = run
    return observed


def kind(run):
    """What runs that are checked together have in common: everything but seed and arrays."""
    own = tuple((role, part["name"], shown_name(part)) for role, part in sorted(run.own.items()))
    return run.experiment.replace(seed=0), own, run.start and run.start["step"]


def _name(run):
    return str(run.directory or f"seed {run.experiment.seed}")
