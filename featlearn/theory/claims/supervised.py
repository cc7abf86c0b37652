"""The supervised twin: what labels teach the same network, with no augmentation at all.

A sample's own key carries the noise of the sample, and a label does not: so supervised learning needs no
augmentation. Its limits are claims, too: one task teaches one direction, and labels that leak noise
bring the dense features back (derived: featlearn/theory/derivation.md, "The supervised twin").
"""

import math

import numpy as np

from ...compute.streams import generator
from ...network import features
from ...objectives import make_objective
from ..predictions.label_noise import label_noise
from ..predictions.supervised import leaked_share, not_told, supervised_linear_phase
from ..predictions.taught import few_tasks
from .applicability import (
    few_to_pick,
    noise_not_promised,
    not_finished,
    other_moments,
    remembers_start,
)
from .claim import claim
from .criterion import Criterion, judged
from .taught import not_taught, of_many_features
from .verdict import at_least, at_most, does_not_apply, within

CLAIM = "supervised"
# Samples that the effective rank is measured on.
SAMPLES = 2048
# From this d on the bounds are those of the default twin; below the other none is claimed.
LARGE, SMALLEST = 32, 8
# Root mean square of outputs o up to which y/2 - o/4 is within o²/12, 4 %, of a sign's residual.
SMALL = 0.7
# The dense share of noise up to which labels teach neurons that are pure.
BEARABLE = 0.09
# Time in units of 1/λ after which e^-2.5, a twelfth, is left of the first noise's power.
FORGOTTEN = 1.25
# What older noise may add to a dense share, relative to that of label noise.
MOST_FADING = 0.5
# Cosine of one task's w* with an atom from which on a neuron along it is pure.
DISTANT = 0.8
# Dense share that labels' noise may leave beside M w*: with 0.15² a tenth, what a cosine of 0.95 leaves.
BESIDE = 0.07
# Sparse share of the pull of labels that leak, from which on they may still teach features.
MOSTLY_NOISE = 0.4
# Positions of this module's draws in the "theory" stream of a seed.
_STREAM, _NOISE_STREAM = 7, 10


def supervised(experiment):
    """Return why a claim about supervised learning does not apply to an experiment, or None."""
    if experiment.objective == "supervised":
        return None
    return f"the objective is {experiment.objective}"


@claim(CLAIM, supervised)
def claim_supervised(observed):
    """Hold a supervised run against its linear phase, and against what its labels can teach."""
    return [*_linear_phase(observed), *_learned(observed)]


def _linear_phase(observed):
    """‖α‖² and ‖β‖² at the last row with b = 0, against the recursion from the seed's own start."""
    exp = observed[0].experiment
    names = "‖α‖², measured over predicted, end of stage I", "‖β‖² likewise"
    reason = ""
    if exp.augmentation != "none" or exp.label_leak:
        reason = "the recursion is of un-augmented samples and labels without noise"
    elif few_tasks(exp):
        reason = few_tasks(exp)
    elif exp.dense != "explicit":
        reason = "the recursion starts from the weights of the seed"
    elif any(o.run.start for o in observed):
        reason = "the recursion starts at step 0"
    reason = reason or not_told(exp)
    rows = [0 if reason else _last_linear_row(o) for o in observed]
    if not reason and min(o.run.steps[row] for o, row in zip(observed, rows)) < 5:
        reason = "b = 0, norms at most doubled and small outputs last fewer than 5 recorded steps"
    if reason:
        return [does_not_apply(CLAIM, name, reason) for name in names]
    ratios, fewest = [], math.inf
    for o, row in zip(observed, rows):
        step = int(o.run.steps[row])
        expected = supervised_linear_phase(o.experiment, step)
        sparse = np.square(o.run["alignment"][row], dtype=np.float64).sum()
        dense = np.square(o.run["dense_norm"][row], dtype=np.float64).sum()
        ratios.append((sparse / expected.sparse[-1], dense / max(expected.dense[-1], 1e-300)))
        fewest = min(fewest, step * exp.batch_size * exp.resolved_density * exp.n_features)
    scatter = 6 / math.sqrt(fewest * len(observed))
    why = f"5 % for the expansion in outputs, and three times the scatter of {fewest:.0f} ones in z"
    sparse, dense = zip(*ratios)
    verdicts = [within(CLAIM, names[0], 1.0, sparse, 0.05 + scatter, why)]
    if exp.n_inputs == exp.n_features:
        return [*verdicts, does_not_apply(CLAIM, names[1], "d1 = d leaves no dense part")]
    why = "residuals of first order in the outputs, and noise that few neurons do not average"
    return [*verdicts, within(CLAIM, names[1], 1.0, dense, 0.1, why)]


def _last_linear_row(observed):
    """The row that ends b = 0, norms at most doubled and outputs of a root mean square up to `SMALL`.

    E o_k² = (s + σ²) ‖Σ_i A_ki α_i‖² + σ² Σ_i A_ki² ‖β_i‖², the β_i of two neurons being orthogonal.
    """
    run, exp = observed.run, observed.experiment
    norms = np.square(run["weight_norm"], dtype=np.float64).sum(axis=1)
    good = (np.asarray(run["stage"]) == 1) & (norms <= 4 * norms[0])
    row = int(np.argmin(good)) - 1 if not good.all() else len(run) - 1
    head = np.asarray(run["head"][: row + 1], np.float64)
    sparse = np.square(head @ run["alignment"][: row + 1]).sum(axis=2)
    dense = np.einsum("tki,ti->tk", head**2, np.square(run["dense_norm"][: row + 1]))
    variance = exp.resolved_noise_variance
    outputs = ((exp.resolved_density + variance) * sparse + variance * dense).mean(axis=1)
    large = np.flatnonzero(outputs > SMALL**2)
    return max(int(large[0]) - 1, 0) if large.size else row


def _learned(observed):
    exp = observed[0].experiment
    if exp.label_leak:
        return _leaked(observed)
    if exp.resolved_n_tasks == 1:
        return _one_task(observed)
    no_balance = not_told(exp) or not_finished(observed) or _no_balance(exp)
    shares = [] if no_balance else [label_noise_share(o) for o in observed]
    noise = _noise(observed, no_balance or _restless(observed), shares)
    unmet = not_taught(observed) or _drowned(shares)
    spread = "" if unmet else of_many_features(observed)
    return [*noise, *judged(CLAIM, observed, unmet, _atoms(observed, spread))]


def _atoms(observed, spread):
    """What d tasks teach, or half as many; a list of `Criterion`. `spread` is why others live beside pure neurons."""
    experiment = observed[0].experiment
    d = experiment.n_features
    few, small = few_to_pick(experiment), ""
    start = observed[0].run.start
    if start:
        small = f"the run began at step {start['step']}, with neurons of several features already"
    if d < SMALLEST:
        small = f"d = {d}: signs and sums of so few features are told without single ones"
    pure = 0.5 if experiment.resolved_n_tasks < d else 0.85 if d >= LARGE else 0.75
    return [
        Criterion(
            "atoms with a pure neuron",
            "all",
            at_least,
            d,
            lambda o: o.summary.atoms_learned,
            "half as many tasks as features tell all atoms apart, though w* mixes them; pure: cosine"
            " ≥ 0.9",
            few or spread,
        ),
        Criterion(
            "pure neurons",
            "1 - o(1)",
            at_least,
            pure,
            lambda o: o.summary.pure_fraction,
            f"at one d 0.85 from d = {LARGE} on, three quarters below, half with fewer than d tasks",
            few or small or spread,
        ),
        Criterion(
            "median sparse share",
            "1 - o(1)",
            at_least,
            0.9,
            lambda o: o.summary.sparse_share,
            "the dense part has no drift but decay, and sampling noise",
        ),
    ]


def _noise(observed, unmet, shares):
    """The dense share against what the noise of labels sustains."""
    name = "median dense share, measured over that of label noise"
    if not unmet:
        fading = max(_fading(o, share) for o, share in zip(observed, shares))
        if fading > MOST_FADING:
            unmet = (
                "half-way dense parts were so much larger than what label noise now sustains that"
                f" the measured ones may be {100 * fading:.0f} % more"
            )
    if unmet:
        return [does_not_apply(CLAIM, name, unmet)]
    ratios = [(1 - o.summary.sparse_share) / share for o, share in zip(observed, shares)]
    exp = observed[0].experiment
    # Neurons of one atom share its noise; 1.25 standard errors of a mean are one of a median.
    alone = min(exp.n_features, exp.resolved_n_tasks) * (exp.n_inputs - exp.n_features)
    scatter = 3 * 1.25 * math.sqrt(2 / (alone * len(observed)))
    why = (
        "10 % for first order in β, with W, b and A as they are at the end;"
        f" {100 * fading:.2g} % for noise that was larger before; {100 * scatter:.2g} %, three standard"
        " deviations of the median"
    )
    return [within(CLAIM, name, 1.0, ratios, 0.1 + fading + scatter, why)]


def _fading(observed, share):
    """What noise older than the last is to a dense share, relative to what the last sustains.

    Noise counts for 1/(2ηλ) steps. Half-way, at step T/2 of T, the median ‖β_i‖² was k times what label
    noise now sustains, so that (k - 1)/(ηλT) of it has gone since noise as old as what is left.
    """
    run, exp = observed.run, observed.experiment
    length = float(run.steps[-1] - run.steps[0])
    half = np.searchsorted(run.steps, run.steps[0] + length / 2)
    parts = np.square(run["dense_norm"][half] / observed.norms, dtype=np.float64)
    k = float(np.median(parts)) / share
    return max(k - 1, 0.0) / (exp.learning_rate * exp.weight_decay * length)


def _restless(observed):
    """Return why older noise may still be there, or nothing."""
    exp = observed[0].experiment
    steps = min(float(o.run.steps[-1] - o.run.steps[0]) for o in observed)
    lasted = exp.learning_rate * exp.weight_decay * steps
    if lasted < FORGOTTEN:
        return f"{lasted:.2g}/λ steps: noise of the beginning takes {FORGOTTEN}/λ to fade"
    return ""


def _drowned(shares, bearable=BEARABLE):
    """Return why labels leave more noise than a claim allows, or nothing."""
    if max(shares, default=0) <= bearable:
        return ""
    return (
        f"what the network cannot explain of its labels sustains a dense share of {max(shares):.2g},"
        f" in proportion to η/B; needs {bearable}: lower η or raise B"
    )


def _no_balance(experiment):
    """Return why `label_noise` says nothing of an experiment, or nothing."""
    if experiment.augmentation != "none":
        return "the balance is of un-augmented samples"
    if experiment.dense != "explicit":
        return "the balance is of explicit weights"
    if experiment.n_inputs == experiment.n_features:
        return "d1 = d leaves no dense part"
    return ""


def label_noise_share(observed):
    """Return the median over the neurons of the dense share that sampling noise of labels sustains."""
    run = observed.run
    dense = label_noise(
        observed.experiment,
        observed.model,
        run.weights,
        run.biases,
        run.parameters["head"],
        int(run.steps[-1]),
        generator(observed.experiment.seed, "theory", _NOISE_STREAM),
    )
    sparse = np.square(observed.alignments, dtype=np.float64).sum(axis=1)
    return float(np.median(dense / (dense + sparse)))


def _one_task(observed):
    """One linear task teaches its direction, and no atom."""
    exp = observed[0].experiment
    unmet = not_told(exp) or _no_balance(exp)
    if exp.task != "regression" and not exp.stays_linear:
        unmet = "the signs of one task teach more than a direction once thresholds are up"
    unmet = unmet or remembers_start(observed)
    if not unmet:
        unmet = _drowned([label_noise_share(o) for o in observed], BESIDE)
    tasks = [make_objective(o.experiment).tasks[:, 0] for o in observed]
    closest = max(float(np.abs(w).max() / np.linalg.norm(w)) for w in tasks)
    if closest > DISTANT:
        unmet = f"w* itself has a cosine of {closest:.2g} with an atom"
    return judged(
        CLAIM,
        observed,
        unmet,
        [
            Criterion(
                "cosine of neurons with M w*, median",
                "1",
                at_least,
                0.95,
                direction_cosine,
                "the drift is Aᵀ (s w*ᵀMᵀ) with one row; what it leaves is the initial dense part",
            ),
            Criterion(
                "effective rank of f",
                "1",
                at_most,
                1.1,
                effective_rank,
                "exp of the entropy of the covariance's spectrum",
            ),
            Criterion(
                "atoms with a pure neuron",
                "none",
                at_most,
                0,
                lambda o: o.summary.atoms_learned,
                "w* is spread over all features",
            ),
        ],
    )


def _leaked(observed):
    """Labels that leak more noise than signal teach the noise."""
    exp = observed[0].experiment
    unmet = not_told(exp) or not_finished(observed) or few_to_pick(exp)
    if not exp.train_head or exp.resolved_n_tasks < exp.n_features / 2:
        unmet = "few tasks, or a head that is fixed, mix features as they mix noise"
    if not unmet:
        share = max(leaked_share(o.experiment) for o in observed)
        if share > MOSTLY_NOISE:
            unmet = (
                f"{share:.2g} of what labels pull on, E[y xᵀ], is sparse; they bring the dense"
                f" features back from {MOSTLY_NOISE} down"
            )
    return judged(
        CLAIM,
        observed,
        unmet,
        [
            Criterion(
                "median sparse share, labels that leak",
                "small",
                at_most,
                0.5,
                lambda o: o.summary.sparse_share,
                "a dense direction is part of every label, whatever the augmentation of x",
            )
        ],
    )


def claim_masked_labels(augmented, plain):
    """Relate a supervised run with an augmentation to its twin without.

    Parameters
    ----------
    augmented, plain : list of Observed
        The k-th of each of one seed.

    Returns
    -------
    list of Verdict
    """
    exp = plain[0].experiment
    unmet = not_told(exp) or not_finished(plain) or not_finished(augmented)
    return judged(
        CLAIM,
        list(zip(augmented, plain)),
        unmet,
        [
            Criterion(
                "sparse share, augmented - none",
                "at most 0",
                at_most,
                0.1,
                lambda pair: pair[0].summary.sparse_share - pair[1].summary.sparse_share,
                "E[y xᵀ] is the same with views of mean x: labels without noise need no augmentation,"
                " and in labels that leak it stays; a tenth for sampling noise",
            )
        ],
    )


def direction_cosine(observed):
    """Return the median over the neurons of |⟨α_i, w*⟩|/(‖w_i‖ ‖w*‖), of a run's first task."""
    task = make_objective(observed.experiment).tasks[:, 0]
    cosine = np.abs(observed.alignments @ task) / (observed.norms * np.linalg.norm(task))
    return float(np.median(cosine))


def effective_rank(observed, n=SAMPLES):
    """Return exp of the entropy of the eigenvalues of Cov f, normalised to add up to 1."""
    run = observed.run
    rng = generator(observed.experiment.seed, "theory", _STREAM)
    x = observed.model.sample(rng, n).inputs
    values = np.linalg.eigvalsh(np.cov(features(run.weights, run.biases, x).T))
    share = np.maximum(values, 0) / max(values.sum(), 1e-300)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def claim_third_twin(augmented, plain, told):
    """Relate a supervised run to its contrastive twins, all from the same initial weights.

    Parameters
    ----------
    augmented, plain, told : list of Observed
        Contrastive runs with an augmentation and without, and supervised ones without; the k-th of
        each share a seed.

    Returns
    -------
    list of Verdict
    """
    unmet = other_moments(told[0].experiment) or not_taught(told)
    return judged(
        CLAIM,
        list(zip(augmented, plain, told)),
        unmet,
        [
            Criterion(
                "sparse share, supervised - contrastive, both un-augmented",
                "→ 1",
                at_least,
                0.5,
                lambda t: t[2].summary.sparse_share - t[1].summary.sparse_share,
                "a key carries the sample's noise, a label does not",
                noise_not_promised(plain),
            ),
            Criterion(
                "regression error on new w*, supervised - contrastive augmented",
                "→ 0",
                at_most,
                0.05,
                lambda t: t[2].summary.regression("features") - t[0].summary.regression("features"),
                "labels without augmentation teach as good features as RandomMask without labels",
            ),
            Criterion(
                "classification error on new w*, supervised - contrastive augmented",
                "→ 0",
                at_most,
                0.05,
                lambda t: (
                    t[2].summary.classification("features")
                    - t[0].summary.classification("features")
                ),
                "likewise",
            ),
        ],
    )
