"""Check the theory's claims and predictions on recorded runs, or on fresh ones.

examples:
  featlearn check runs/default runs/no-augmentation
  featlearn check runs/a-0 runs/a-1 runs/a-2
  featlearn check --preset tiny --seeds 0 1 2
  featlearn check runs/default --claims lemmas.py
  featlearn check runs/default --replay 12

Runs of one experiment with different seeds are checked together, with a confidence interval over
the seeds; runs that differ in nothing but the augmentation are compared with each other as well. Prints
tables and writes claims.json into every run directory. The exit code is 1 if a claim fails.

claims:
  trajectory  every row is finite, whole, and what the row before leads to; files match checksums
  replay      some updates, made again from states that were kept, leave the same rows bit for bit
  draws       latents, noise, masks and views have their law, and are independent
  definitions  loss, gradient and update are those of formulas written out once more
  simulator   views, recorded loss and update are what they are defined to be
  stage I     norms of the sparse and of the dense part follow their recursion
  feature rates  in stage I each feature grows at a rate of its own, whatever the law of the latents
  plateau     a long linear run ends where repulsion and decay balance growth
  boundaries  the trajectory shows where the stages begin
  stage II    winning features and their alignments follow the mean field
  dense run   without augmentation the sparse part falls behind as saturation has it
  lottery     the sets of early winners, and who wins, follow their laws
  stage III   a network of pure neurons ends in its balance
  T1          with the augmentation neurons become single features, and cover all
  T2          with it linear heads on f solve downstream tasks
  T3          without it f is a function of the noise
  T4          linear learners cannot do that
  T5          the augmentation decouples dense features of the views, not sparse ones
  limit       at d1 = d^5 and more, in the large-batch limit, what is o(1) is small
  end state   a run ends where its settings alone said, before it began
  supervised  labels teach the same network without augmentation; and what they cannot
  relatives   other losses of pairs learn the same features; the decoupled one diverges
  no negatives  neurons that share densities do not collapse; unequal ones take the most frequent atom
  finite data  from N samples used again: how much of the signal is left above their own noise
  spikes      noise with a few strong directions survives a mask
  rare atoms  where densities differ, the rare atoms are the ones that are lost
  warm start  features that were learned are lost once the views are no longer augmented
  twins       what the augmentation changes, between runs that differ in nothing else
"""

import sys
from contextlib import redirect_stdout

from ..errors import InvalidInput
from ..recording.rundir import load_run
from ..recording.seeds import run_directories
from ..reports.progress import SeveralProgress
from ..together import train_together
from ..values import json_text
from .common import add_experiment_arguments, announcing, experiment_from, whole_number
from .own import add_claims_argument, add_part_arguments, claims_from, parts_from

# From how many states updates are made again, as in featlearn.theory.claims.observed.
REPLAYS = 3


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run directory, or one of a sweep")
    add_experiment_arguments(parser, "tiny, if no RUN is given")
    parser.set_defaults(default_preset="tiny")
    parser.add_argument(
        "--seeds", type=whole_number, nargs="+", metavar="N", help="train these seeds"
    )
    add_claims_argument(parser)
    add_part_arguments(parser, ["model"])
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--replay", type=whole_number, default=REPLAYS, metavar="N",
        help=f"make a few updates again from N states of each run ({REPLAYS})",
    )  # fmt: skip
    again.add_argument(
        "--no-replay", dest="replay", action="store_const", const=0, help="make none again"
    )
    parser.add_argument("--brief", action="store_true", help="leave out why tolerances are so")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quiet", action="store_true", help="no progress, no messages")


def main(arguments):
    """Run it."""
    # The theory takes a while to import, which the other commands need not wait for.
    from ..theory.claims.groups import check_all, written_first
    from ..theory.claims.observed import Observed
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    if arguments.replay < 0:
        raise InvalidInput("--replay", arguments.replay, "a number ≥ 0")
    observed = [Observed(run.at_checkpoint(), replays=arguments.replay) for run in _runs(arguments)]
    claims = claims_from(arguments)
    # What a claim of the user's own prints is no part of the tables or the JSON.
    with redirect_stdout(sys.stderr):
        checked = check_all(observed, announcing("checking", arguments.quiet), claims)
    with written_first(checked):
        if arguments.json:
            print(json_text([one.to_dict() for one in checked]))
        else:
            for one in checked:
                print(f"{one.title}\n\n{table(one.verdicts, not arguments.brief)}\n")
                print(f"{count_outcomes(one.verdicts)}\n")
    return int(any(v.outcome == FAILS for one in checked for v in one.verdicts))


def _runs(arguments):
    """The recorded runs that are named, or fresh ones."""
    fresh = ("preset", "config", "set", "seed", "seeds")
    if arguments.runs:
        for name in fresh:
            if getattr(arguments, name) not in (None, []):
                raise InvalidInput(f"--{name}", getattr(arguments, name), "no RUN beside it")
        own = parts_from(arguments, ["model"])
        return [load_run(place, **own) for place in run_directories(arguments.runs)]
    if all(getattr(arguments, name) in (None, []) for name in fresh):
        raise InvalidInput("RUN", None, "a run directory, or --preset or --config for a fresh run")
    experiment = experiment_from(arguments)
    if arguments.seeds and arguments.seed is not None:
        raise InvalidInput("--seeds", arguments.seeds, "no --seed beside it")
    seeds = dict.fromkeys(arguments.seeds or [experiment.seed])
    experiments = [experiment.replace(seed=seed) for seed in seeds]
    labels = [f"seed {seed}" for seed in seeds]
    shown = SeveralProgress(dict(zip(labels, experiments)), arguments.quiet)
    rows = dict.fromkeys(labels)

    def progress(k, row):
        rows[labels[k]] = row
        shown(rows)

    runs = train_together(experiments, progress=progress, **parts_from(arguments, ["model"]))
    for run in runs:
        if isinstance(run, Exception):
            raise run
    return runs
