"""Runs of several experiments: seeds are checked together, twins against each other as well."""

import contextlib
import errno
import warnings
from typing import NamedTuple

from ...errors import RunDirectoryError
from ...latents import unusual_data
from ...recording.files import write_json
from .checking import check, check_pair, kind
from .finite_data import claim_fewer_with_labels, claim_more_samples
from .no_negatives import claim_head
from .supervised import claim_third_twin

# What an objective is told or has beside the loss: the fields that a title names where they are set.
TOLD = ("n_tasks", "task", "train_head", "label_leak")
OF_OBJECTIVES = (*TOLD, "embedding_floor", "prediction_head", "head_rate")


class Checked(NamedTuple):
    """Runs that were checked together.

    Attributes
    ----------
    title : str
        What they have in common.
    runs : list of Run
    verdicts : list of Verdict
    """

    title: str
    runs: list
    verdicts: list

    def to_dict(self):
        """Return plain values that JSON can hold."""
        return {
            "title": self.title,
            "seeds": [run.experiment.seed for run in self.runs],
            "verdicts": [v.to_dict() for v in self.verdicts],
        }


def check_all(observed, progress=None, claims=(), beside=()):
    """Check every experiment among some runs, then how they relate.

    Parameters
    ----------
    observed : list of Observed
    progress : callable, optional
        Called with the title of what is checked next.
    claims : sequence of functions
        Claims of a user's own, marked by `featlearn.claim`.
    beside : sequence of Observed
        Runs that were checked before, which the others are related to.

    Returns
    -------
    list of Checked
    """
    groups, earlier = _groups(observed), _groups(beside)
    checked = []
    for group in groups:
        title = _title(group)
        if progress is not None:
            progress(title)
        checked.append(Checked(title, [one.run for one in group], check(group, claims)))
    for title, members, relate in _relations([*groups, *earlier]):
        new = [group for group in members if any(group is one for one in groups)]
        mine = [one.run for group in new for one in group]
        if mine:
            checked.append(Checked(title, mine, relate(*members)))
    return checked


def _groups(observed):
    """Runs of one experiment each, sorted by seed."""
    found = {}
    for one in observed:
        found.setdefault(kind(one.run), []).append(one)
    return [sorted(group, key=lambda one: one.experiment.seed) for group in found.values()]


def _relations(groups):
    """Yield (title, groups, function of these that returns verdicts) for all that belong together."""
    for augmented, plain in twins(groups):
        title = f"{_title(augmented)} against its twin without augmentation"
        yield title, (augmented, plain), check_pair
    for alone, coupled in heads(groups):
        yield f"{_title(coupled)} against none", (alone, coupled), claim_head
    for contrastive, told in on_same_samples(groups):
        title = f"{_title(told)} against contrastive learning on the same samples"
        yield title, (contrastive, told), claim_fewer_with_labels
    for several in by_samples(groups):
        title = f"{_title(several[0])} and more samples"
        yield title, several, lambda *parts: claim_more_samples(parts)
    for augmented, plain, told in third_twins(groups):
        title = f"{_title(told)} against its contrastive twins"
        yield title, (augmented, plain, told), claim_third_twin


def heads(groups):
    """Return the pairs (without, with) of runs without negatives that differ in the prediction head only.

    Parameters
    ----------
    groups : sequence of list of Observed
        Each of one experiment, sorted by seed.

    Returns
    -------
    list of (list of Observed, list of Observed)
    """
    return [
        (alone, coupled)
        for coupled in groups
        if coupled[0].experiment.prediction_head and not _branched_or_own(coupled)
        for alone in groups
        if not _branched_or_own(alone)
        and [one.experiment.replace(head_rate=1.0) for one in alone]
        == [one.experiment.replace(prediction_head=False, head_rate=1.0) for one in coupled]
    ]


def third_twins(groups):
    """Return the triples (augmented, plain, supervised) of runs that start from the same weights.

    Parameters
    ----------
    groups : sequence of list of Observed
        Each of one experiment, sorted by seed.

    Returns
    -------
    list of (list of Observed, list of Observed, list of Observed)
    """
    return [
        (augmented, plain, told)
        for told in groups
        if told[0].experiment.objective == "supervised" and not _branched_or_own(told)
        for augmented, plain in twins(groups)
        if plain[0].experiment.objective == "infonce" and _told_beside(told, plain)
    ]


def on_same_samples(groups):
    """Return the pairs (contrastive with RandomMask, supervised) of one data set and start.

    Parameters
    ----------
    groups : sequence of list of Observed
        Each of one experiment, sorted by seed.

    Returns
    -------
    list of (list of Observed, list of Observed)
    """
    return [
        (contrastive, told)
        for told in groups
        if _finite(told, "supervised", "none")
        for contrastive in groups
        if _finite(contrastive, "infonce", "random_mask")
        if _told_beside(told, contrastive)
    ]


def by_samples(groups):
    """Return the lists of groups that differ in the size of their data set only, ascending in it."""
    found = {}
    for group in groups:
        if _finite(group, "supervised", "none") or _finite(group, "infonce", "random_mask"):
            alike = tuple(one.experiment.replace(n_samples=None) for one in group)
            found.setdefault(alike, []).append(group)
    for several in found.values():
        several.sort(key=lambda group: group[0].experiment.n_samples)
    return [several for several in found.values() if len(several) > 1]


def _finite(group, objective, augmentation):
    exp = group[0].experiment
    kind = exp.objective, exp.augmentation
    return (
        exp.n_samples is not None
        and kind == (objective, augmentation)
        and not _branched_or_own(group)
    )


def _told_beside(told, contrastive):
    """Whether supervised runs differ from contrastive ones in what they are told, views and steps only."""
    other = contrastive[0].experiment
    fields = ("objective", *TOLD, "n_steps", "augmentation")
    same = {name: getattr(other, name) for name in fields}
    return [one.experiment.replace(**same) for one in told] == [
        one.experiment for one in contrastive
    ]


def twins(groups):
    """Return the pairs (augmented, plain) that differ in nothing but the augmentation.

    Parameters
    ----------
    groups : sequence of list of Observed
        Each of one experiment, sorted by seed.

    Returns
    -------
    list of (list of Observed, list of Observed)
    """
    return [
        (augmented, plain)
        for plain in groups
        if plain[0].experiment.augmentation == "none" and not _branched_or_own(plain)
        for augmented in groups
        if augmented is not plain
        and not _branched_or_own(augmented)
        and _without_augmentation(augmented) == _without_augmentation(plain)
    ]


def _branched_or_own(group):
    return any(one.run.own or one.run.start for one in group)


def _without_augmentation(group):
    return [one.experiment.replace(augmentation="none") for one in group]


def _title(group):
    exp, run = group[0].experiment, group[0].run
    seeds = ", ".join(str(one.experiment.seed) for one in group)
    word = "seed" if len(group) == 1 else "seeds"
    made = [f"own {role}" for role in run.own if role != "augmentation"]
    if run.start is not None:
        made.append(f"from step {run.start['step']}")
    told = [] if exp.objective == "infonce" else [exp.objective]
    set_ = exp.identity()
    made += [f"{name} = {set_[name]}" for name in OF_OBJECTIVES if name in set_]
    made += [word for word in unusual_data(exp) if "n_samples" not in word]
    if exp.n_samples is not None:
        made.append(f"{exp.n_samples} samples")
    limit = ["in the large-batch limit"] if exp.is_large_batch_limit else []
    made = ", ".join([*told, run.views, *made, *limit])
    return f"{made}, d = {exp.n_features}, d1 = {exp.n_inputs}, {word} {seeds}"


def write_claims(checked):
    """Write claims.json, all that a run was checked in, into every run directory.

    Parameters
    ----------
    checked : list of Checked

    Raises
    ------
    RunDirectoryError
        If a file cannot be written, once the others are; of a directory that may only be read it
        warns.
    """
    failed = []
    for run in {id(run): run for one in checked for run in one.runs}.values():
        if run.directory is None:
            continue
        mine = [one.to_dict() for one in checked if any(run is other for other in one.runs)]
        try:
            write_json(run.directory / "claims.json", {"reports": mine})
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                text = f"{run.directory}: may only be read: its claims.json is not written"
                warnings.warn(text, stacklevel=2)
                continue
            failed.append(f"{run.directory}/claims.json: cannot be written ({error.strerror})")
    if failed:
        raise RunDirectoryError("; ".join(failed))


@contextlib.contextmanager
def written_first(checked):
    """Write claims.json before the body prints; a file that cannot be written is told of after it."""
    failed = None
    try:
        write_claims(checked)
    except RunDirectoryError as error:
        failed = error
    yield
    if failed is not None:
        raise failed
