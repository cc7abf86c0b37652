"""A step split into its parts: where the time goes."""

import cProfile
import pstats

from .. import gradient, loss, network, training
from ..recording import quantities, trajectory
from .subjects import Featlearn, Reference, burst

DIVISIBLE = ("reference", "featlearn")


def of(subject, seconds):
    """Return the seconds a step of every part of a subject, over a burst of steps.

    Parameters
    ----------
    subject : Reference or Featlearn
    seconds : float
        Length of the burst.

    Returns
    -------
    dict of str to float
        For `Featlearn` the parts add up to the whole; they are taken by Python's profiler, which
        adds about a microsecond for every call of a function, a few hundred a step.
    """
    if isinstance(subject, Reference):
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

    def spent(*functions):
        """Time in some functions and in all that they call."""
        codes = [function.__code__ for function in functions]
        places = {(code.co_filename, code.co_firstlineno, code.co_name) for code in codes}
        return sum(entry[3] for place, entry in stats.items() if place in places)

    forward, contrast = spent(network.forward), spent(loss.contrast)
    coefficients, product = spent(gradient.coefficients), spent(gradient.weight_product)
    return {
        "draw batch": spent(training.draw_batch),
        "forward": forward,
        "contrast": contrast,
        "coefficients": coefficients,
        "weight product": product,
        "update": spent(training.step),
        "measuring": spent(training.TrainingState.align, quantities.measure),
        "recording": spent(trajectory.DirectoryRecorder.append, Featlearn.finish),
    }
