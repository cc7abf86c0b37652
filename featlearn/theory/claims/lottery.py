"""The lottery of a run: the sets it started with, what stage I left of them, and who won."""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from ...alignment import lottery_sets
from ..predictions.lottery import expected_sets, leading_probability, memory
from ..predictions.moments import uniform_attraction
from .applicability import contrastive, features_not_promised, few_anchors
from .claim import claim
from .verdict import at_least, does_not_apply, within

CLAIM = "lottery"
# Part of 1 - P_pp that is left where similarities still are well below τ.
LEAST_MASS = 0.9
# Sure pairs that a fraction of them is judged from, and numbers of noise that a cosine is.
FEWEST, FEWEST_NOISE = 10, 20
SIZES = ("potential winners a feature has at the start", "sure winners a feature has at the start")
KEPT = (
    "cosine of α_i after stage I with its start",
    "sure pairs of the start that lead after stage I",
)
WON = ("sure pairs of the start that win", "sure pairs after stage I that win")


@claim(CLAIM, needs=(contrastive, few_anchors))
def claim_lottery(observed):
    """Compare the lottery sets of a run, and the winners drawn from them, with their laws.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Lottery sets".
    """
    return [*_sizes(observed), *_drawn(observed)]


def _sizes(observed):
    exp = observed[0].experiment
    d, m = exp.n_features, exp.n_neurons
    if d < 3:
        return [does_not_apply(CLAIM, name, "fewer than three features compete") for name in SIZES]
    expected = expected_sets(m, d)
    found = [lottery_sets(np.asarray(o.run["alignment"][0])) for o in observed]
    # A neuron has one sure feature at most, and its potential ones are nearly independent.
    scatter_potential = 3 * math.sqrt(expected.potential / d / len(observed))
    scatter_sure = 3 * math.sqrt(expected.sure / d / len(observed))
    potential, sure = ([float(sets[k].sum()) / d for sets in found] for k in range(2))
    empty = np.mean([np.mean(~sets[1].any(axis=0)) for sets in found])
    return [
        within(
            CLAIM,
            SIZES[0],
            expected.potential,
            potential,
            0.0,
            "Beta law of the shares q_ij; three standard deviations of a count",
            absolute=scatter_potential,
        ),
        within(
            CLAIM,
            SIZES[1],
            expected.sure,
            sure,
            0.0,
            "three standard deviations of a count; 8 % for a neuron's shares taken as independent",
            absolute=scatter_sure + 0.08 * expected.sure,
            reason=f"features without: {100 * empty:.3g} %, expected {100 * expected.empty:.3g} %",
        ),
    ]


class Draw(NamedTuple):
    """What became of the sure pairs of one run.

    Attributes
    ----------
    memory, cosine : float
        Mean over the neurons of ϱ_i, and of what it predicts.
    expected, variance : float
        Fraction of the start's sure pairs that lead after stage I, predicted from how much of the
        start is left, and its variance.
    pairs, later : int
        Number of sure pairs at the start and after stage I.
    led, won : float
        Fraction of the start's sure pairs that lead after stage I, and in the end.
    won_later : float
        Fraction of the sure pairs after stage I that lead in the end.
    """

    memory: float
    cosine: float
    expected: float
    variance: float
    pairs: int
    later: int
    led: float
    won: float
    won_later: float


def draw(observed):
    """Return the `Draw` of one run that left stage I, None where there is no sure pair.

    Parameters
    ----------
    observed : Observed
    """
    run, rows = observed.run, observed.rows_before(observed.first_row_of(2))
    alignments = np.asarray(run["alignment"][rows], np.float64)
    sparse = np.square(alignments).sum(axis=2)
    dense = np.square(run["dense_norm"][rows], dtype=np.float64)
    start, end = alignments[0], alignments[-1]
    steps, mass = np.asarray(run.steps[rows]), negative_mass(observed, rows)
    memories = memory(observed.experiment, steps, sparse, dense, mass, start)
    cosine = np.sum(start * end, axis=1) / np.sqrt(sparse[0] * sparse[-1])
    neurons, features = np.nonzero(lottery_sets(start).sure)
    later, later_features = np.nonzero(lottery_sets(end).sure)
    if not len(neurons) or not len(later):
        return None
    # Noise that all neurons share makes the memory of all of them more or less than predicted.
    left = np.minimum(memories * (cosine.mean() / memories.mean()), 1)
    chance = leading_probability(start[neurons], left[neurons])
    chance = chance[np.arange(len(neurons)), features]
    leader, winner = np.abs(end).argmax(axis=1), observed.cosine.argmax(axis=1)
    return Draw(
        float(memories.mean()),
        float(cosine.mean()),
        float(chance.mean()),
        float(np.mean(chance * (1 - chance)) / len(neurons)),
        len(neurons),
        len(later),
        float(np.mean(leader[neurons] == features)),
        float(np.mean(winner[neurons] == features)),
        float(np.mean(winner[later] == later_features)),
    )


def negative_mass(observed, rows):
    """Return the recorded mean of 1 - P_pp, relative to 1 - 1/N, at some rows."""
    positive = np.asarray(observed.run["positive_probability"][rows], np.float64)
    return (1 - positive) / uniform_attraction(observed.experiment)


def most_missed(pairs, expected):
    """Return how far a fraction of n pairs may fall below its mean p: the 0.1 % point of Binomial(n, p)."""
    missed = np.arange(pairs + 1)
    most = int(np.argmax(special.bdtrc(missed, pairs, 1 - expected) <= 1e-3))
    return most / pairs - (1 - expected)


def _drawn(observed):
    def inapplicable(reason, names):
        return [does_not_apply(CLAIM, name, reason) for name in names]

    if any((o.first_row_of(2) or 0) < 3 for o in observed):
        return inapplicable("the run has no recorded stage I that it left", (*KEPT, *WON))
    if not all(np.asarray(o.run["alignment"][0]).any(axis=1).all() for o in observed):
        return inapplicable("neurons start without any sparse part", (*KEPT, *WON))
    left = min(float(negative_mass(o, [o.first_row_of(2) - 1])[0]) for o in observed)
    if left < LEAST_MASS:
        reason = (
            f"1 - P_pp fell to {left:.2g} of its start in stage I: similarities are of order τ, and"
            " repulsion is not that of small ones"
        )
        return inapplicable(reason, (*KEPT, *WON))
    draws = [draw(o) for o in observed]
    if None in draws:
        return inapplicable("a run has no sure pair", (*KEPT, *WON))
    n = len(draws)
    kept = float(np.mean([d.memory for d in draws]))
    expected = float(np.mean([d.expected for d in draws]))
    pairs = sum(d.pairs for d in draws)
    scatter = max(3 * math.sqrt(sum(d.variance for d in draws)) / n, most_missed(pairs, expected))
    # Of a cosine c = (1 + v)^(-1/2), where v is the mean square of Gaussian numbers: d² that neurons
    # share, of which m < d neurons see m d.
    d, m = observed[0].experiment.n_features, observed[0].experiment.n_neurons
    numbers = d * min(d, m)
    shared = (1 - kept**2) / math.sqrt(2 * n * numbers)
    allowed = 0.05 + 3 * shared
    why = (
        "what sampling noise and repulsion leave of the start; 5 %, and three standard deviations,"
        f" {100 * shared:.2g} % each, by the {numbers} numbers of noise that all neurons share"
    )
    cosines = [d.cosine for d in draws]
    if numbers < FEWEST_NOISE:
        reason = f"{numbers} numbers of noise, fewer than {FEWEST_NOISE}, say little of their mean square"
        of_start = does_not_apply(CLAIM, KEPT[0], reason)
    elif observed[0].experiment.batches == "paired":
        why += "; at least that, since paired batches have less noise than this law of independent ones"
        of_start = at_least(CLAIM, KEPT[0], (1 - allowed) * kept, cosines, why, predicted=kept)
    else:
        of_start = within(CLAIM, KEPT[0], kept, cosines, allowed, why)
    verdicts = [
        of_start,
        within(
            CLAIM,
            KEPT[1],
            expected,
            [d.led for d in draws],
            0.0,
            f"by the measured cosine; three standard deviations of a fraction of {pairs} pairs, or the 99.9 %"
            " point of those that miss",
            absolute=scatter,
        ),
    ]
    unmet = features_not_promised(observed)
    if unmet:
        return verdicts + inapplicable(unmet, WON)
    return verdicts + [
        within(
            CLAIM,
            WON[0],
            expected,
            [d.won for d in draws],
            0.0,
            "as many as lead after stage I; three standard deviations, and 0.1 for what stage II's"
            " own noise may overturn",
            absolute=scatter + 0.1,
        ),
        _later(draws),
    ]


def _later(draws):
    """Whether sure pairs after stage I win, of runs that have enough of them to tell."""
    fewest = min(d.later for d in draws)
    if fewest < FEWEST:
        reason = (
            f"{fewest} sure pairs after stage I: a fraction of fewer than {FEWEST} tells little"
        )
        return does_not_apply(CLAIM, WON[1], reason)
    return at_least(
        CLAIM,
        WON[1],
        0.8,
        [d.won_later for d in draws],
        "all but o(1); at one d four of five, stage II having some noise of its own. A feature"
        " picked at random wins once in d",
        predicted="1 - o(1)",
    )
