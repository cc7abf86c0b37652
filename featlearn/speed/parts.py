"""A step split into its parts: where the time goes."""

import cProfile
import pstats

from .. import gradient, loop, loss, network, training
from ..recording import trajectory
from . import subjects
from .subjects import Floor, burst

DIVISIBLE = ("floor", "featlearn")


def of(subject, seconds):
    """Return the seconds a step of every part of a subject, over a burst of steps.

    Parameters
    ----------
    subject : Floor or Featlearn
    seconds : float
        Length of the burst.

    Returns
    -------
    dict of str to float
        For `Featlearn` the parts add up to the whole; they are taken by Python's profiler, which
        adds about a microsecond for every call of a function, a few hundred a step.
    """
    if isinstance(subject, Floor):
        before = dict(subject.seconds)
        n, _ = burst(subject, seconds)
        return {part: (subject.seconds[part] - before[part]) / n for part in before}
    profile = cProfile.Profile()
    n, whole = profile.runcall(burst, subject, seconds)
    parts = {part: total / n for part, total in _split(pstats.Stats(profile).stats).items()}
    parts["other"] = whole - sum(parts.values())
    return parts


def _split(stats):
    """Return the seconds of the parts of `Featlearn` from a profile of it."""

    def spent(module, name):
        """Time in a function of a module and in all that it calls."""
        return sum(
            entry[3]
            for (file, _, function), entry in stats.items()
            if function == name and file == module.__file__
        )

    forward, contrast = spent(network, "forward"), spent(loss, "contrast")
    coefficients, checks = spent(gradient, "term"), spent(gradient, "_checked")
    whole = spent(gradient, "contrastive_gradient")
    return {
        "draw batch": spent(training, "draw_batch"),
        "forward": forward,
        "contrast": contrast,
        "coefficients": coefficients,
        "weight product": whole - forward - contrast - coefficients - checks,
        "update": spent(training, "step"),
        "measuring": spent(loop, "measure"),
        "recording": spent(trajectory, "append") + spent(subjects, "finish"),
    }
