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
from ..predictions.supervised import supervised_linear_phase
from .applicability import not_finished
from .claim import claim
from .criterion import Criterion, judged
from .verdict import at_least, at_most, does_not_apply, within

CLAIM = "supervised"
# Samples that the effective rank is measured on.
SAMPLES = 2048
# From this d on the bounds are those of the default twin.
LARGE = 32
# The dense share of noise up to which labels teach neurons that are pure.
BEARABLE = 0.09
# Time in units of 1/λ after which e^-2.5, a twelfth, is left of the first noise's power.
FORGOTTEN = 1.25
# Positions of this module's draws in the "theory" stream of a seed.
_STREAM, _NOISE_STREAM = 6, 10


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
    elif exp.resolved_n_tasks < exp.n_features:
        reason = "the few directions of fewer tasks than features do not average the batches' noise"
    elif exp.dense != "explicit":
        reason = "the recursion starts from the weights of the seed"
    rows = [_last_linear_row(o) for o in observed]
    if not reason and min(o.run.steps[row] for o, row in zip(observed, rows)) < 5:
        reason = "stage I is shorter than 5 recorded steps"
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
    return [
        within(CLAIM, names[0], 1.0, sparse, 0.05 + scatter, why),
        within(CLAIM, names[1], 1.0, dense, 0.1, "labels of two tasks are taken as uncorrelated"),
    ]


def _last_linear_row(observed):
    """The row whose outputs are still small: b = 0 and the norms at most doubled."""
    run = observed.run
    norms = np.square(run["weight_norm"], dtype=np.float64).sum(axis=1)
    good = (np.asarray(run["stage"]) == 1) & (norms <= 4 * norms[0])
    return int(np.argmin(good)) - 1 if not good.all() else len(run) - 1


def _learned(observed):
    exp = observed[0].experiment
    if exp.label_leak:
        return _leaked(observed)
    if exp.resolved_n_tasks == 1:
        return _one_task(observed)
    unmet = not_finished(observed)
    if not unmet and exp.resolved_n_tasks < exp.n_features / 2:
        unmet = f"{exp.n_tasks} tasks for {exp.n_features} features: half as many suffice"
    no_balance = unmet or _no_balance(exp)
    shares = [] if no_balance else [label_noise_share(o) for o in observed]
    return [
        *_noise(observed, no_balance or _restless(observed), shares),
        *judged(CLAIM, observed, unmet or _drowned(shares), _atoms(exp)),
    ]


def _atoms(experiment):
    """What d tasks teach, or half as many; a list of `Criterion`."""
    d = experiment.n_features
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
        ),
        Criterion(
            "pure neurons",
            "1 - o(1)",
            at_least,
            pure,
            lambda o: o.summary.pure_fraction,
            f"at one d 0.85 from d = {LARGE} on, three quarters below, half with fewer than d tasks",
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
    if unmet:
        return [does_not_apply(CLAIM, name, unmet)]
    ratios = [(1 - o.summary.sparse_share) / share for o, share in zip(observed, shares)]
    why = "first order in β, with W, b and A as they are at the end; slow neurons keep older noise"
    return [within(CLAIM, name, 1.0, ratios, 0.2, why)]


def _restless(observed):
    """Return why older noise may still be there, or nothing."""
    exp = observed[0].experiment
    steps = min(float(o.run.steps[-1]) for o in observed)
    lasted = exp.learning_rate * exp.weight_decay * steps
    if lasted < FORGOTTEN:
        return f"{lasted:.2g}/λ steps: noise of the beginning takes {FORGOTTEN}/λ to fade"
    return ""


def _drowned(shares):
    """Return why labels leave more noise than a share of 0.9 allows, or nothing."""
    if max(shares, default=0) <= BEARABLE:
        return ""
    return (
        f"what the network cannot explain of its labels sustains a dense share of {max(shares):.2g},"
        f" in proportion to η/B; needs {BEARABLE}: lower η or raise B"
    )


def _no_balance(experiment):
    """Return why `label_noise` says nothing of an experiment, or nothing."""
    if experiment.augmentation != "none":
        return "the balance is of un-augmented samples"
    if experiment.dense != "explicit":
        return "the balance is of explicit weights"
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
    unmet = ""
    if observed[0].experiment.task != "regression" and not observed[0].experiment.stays_linear:
        unmet = "the signs of one task teach more than a direction once thresholds are up"
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
    exp = observed[0].experiment
    unmet = not_finished(observed)
    if not unmet and exp.label_leak < 0.3:
        unmet = "labels leak less than 0.3 of their size"
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
    unmet = "" if told[0].experiment.augmentation == "none" else "the supervised twin is augmented"
    return judged(
        CLAIM,
        list(zip(augmented, plain, told)),
        unmet or not_finished(told),
        [
            Criterion(
                "sparse share, supervised - contrastive, both un-augmented",
                "→ 1",
                at_least,
                0.5,
                lambda t: t[2].summary.sparse_share - t[1].summary.sparse_share,
                "a key carries the sample's noise, a label does not",
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
