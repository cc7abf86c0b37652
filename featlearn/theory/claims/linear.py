"""T4: linear learners do not learn the features, even with the augmentation.

On span(M) all second moments of the views are multiples of the identity, so a linear learner sees
no direction in it before another: what it learns is a rotation of the features, and no linear head
on a linear representation beats the best linear head on x.
"""

import math

import numpy as np
from scipy import special

from ...compute.streams import generator
from ...latents import law_of
from ..predictions.floors import linear_floor
from ..predictions.linear_network import rotation_test
from .claim import claim
from .verdict import at_least, at_most, does_not_apply, within

_STREAM, _SAMPLES, _BLOCK = 4, 16384, 2048


def random_best_cosine(d):
    """Return E max_j |g_j|/‖g‖ for g uniform on the sphere in R^d: E max|g_j| / E‖g‖.

    Direction and length of a Gaussian vector are independent, hence the quotient;
    E max|g_j| = ∫ (1 - erf(t/√2)^d) dt.
    """
    t, step = np.linspace(0, 12, 4001, retstep=True)
    beyond = 1 - special.erf(t / math.sqrt(2)) ** d
    largest = step * (beyond.sum() - beyond[0] / 2)
    length = math.sqrt(2) * math.exp(special.gammaln((d + 1) / 2) - special.gammaln(d / 2))
    return float(largest / length)


def spread_of_best_cosines(d, n=100):
    """Return the standard deviation over Haar-random rotations of their rows' mean best cosine."""
    rng = generator(0, "theory", _STREAM, 2)
    rotations = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(n))
    return float(np.std([np.abs(rotation).max(axis=1).mean() for rotation in rotations]))


def best_cosines_in_span(alignments):
    """Return max_j |α_ij|/‖α_i‖, ndarray of shape (m,), for alignments of shape (m, d)."""
    absolute = np.abs(np.asarray(alignments, np.float64))
    lengths = np.linalg.norm(absolute, axis=1)
    return absolute[lengths > 0].max(axis=1) / lengths[lengths > 0]


def principal_directions(observed, n=_SAMPLES):
    """Return the eigenvectors of the views' cross-covariance in span(M), as rows in the basis M.

    A linear learner with a head start: it is told span(M), and has only the rotation to find.
    """
    model, d = observed.model, observed.experiment.n_features
    rng = generator(observed.experiment.seed, "theory", _STREAM)
    total = np.zeros((d, d))
    for start in range(0, n, _BLOCK):
        sample = model.sample(rng, min(_BLOCK, n - start))
        anchors, keys = observed.augmentation.pair(rng, sample, model)[:2]
        total += (anchors @ model.dictionary).T @ (keys @ model.dictionary)
    return np.linalg.eigh(total + total.T)[1].T


def atoms_by_chance(d, cosine=0.9, probability=1e-3):
    """Return the number of atoms that d random directions exceed with that probability at most.

    The square of a random unit vector's coordinate is Beta(1/2, (d-1)/2) distributed, at most one
    coordinate passes a cosine above 1/√2, and the count of rare events is nearly Poisson.
    """
    if d == 1:
        return 1
    share = special.betainc((d - 1) / 2, 0.5, 1 - cosine**2)
    at_most = special.pdtr(np.arange(d), d * d * share)
    return int(np.searchsorted(at_most, 1 - probability))


@claim("T4")
def claim_t4(observed):
    """T4: what linear learners make of the same data; stage I of a run is one of them."""
    exp, d = observed[0].experiment, observed[0].experiment.n_features
    if exp.resolved_density == 0:
        return [does_not_apply("T4", "all of it", "there is no feature to learn")]
    if exp.resolved_noise_variance == 0:
        reason = "without noise, features stand out of a finite sample by their own scatter"
        return [does_not_apply("T4", "all of it", reason)]
    # With unequal densities what a head leaves depends on w*; of none is it less.
    floor = linear_floor(law_of(exp).variances.max(), exp.resolved_noise_variance)
    verdicts = [
        at_least(
            "T4",
            "regression error of a head on x",
            0.95 * floor,
            [o.summary.regression(o.summary.input_head) for o in observed],
            f"no linear head on x gets below σ²/(v+σ²) = {floor:.3g}, v the largest Var z_j; 5 % for the test"
            " sample",
        )
    ]
    if exp.stays_linear:
        verdicts.append(
            at_least(
                "T4",
                "regression error on a linear f",
                0.95 * floor,
                [o.summary.regression("features") for o in observed],
                "a linear head on a linear network is a linear head on x; 5 % for the test sample",
            )
        )
    expected, spread = random_best_cosine(d), spread_of_best_cosines(d)
    pca = [best_cosines_in_span(principal_directions(o)) for o in observed]
    verdicts += [
        within(
            "T4",
            "best cosine of a principal direction",
            expected,
            [c.mean() for c in pca],
            0.05 + 4 * spread / expected / math.sqrt(len(observed)),
            "that of random directions in span(M): PCA finds the span and no atom in it; 5 % as the"
            " diagonal of a sample covariance scatters by more than the rest, and four standard"
            f" deviations, {100 * spread / expected:.2g} % each, of d random directions",
        ),
        at_most(
            "T4",
            "atoms among the principal directions",
            atoms_by_chance(d),
            [int((c >= 0.9).sum()) for c in pca],
            "with a cosine of 0.9; no more than d random directions have once in a thousand draws",
        ),
    ]
    verdicts.append(_end_of_stage_one(observed))
    return verdicts


def _end_of_stage_one(observed):
    """Whether the linear phase has singled out atoms: the neurons against rotations of them."""
    name = "best cosine in span(M), end of stage I"
    exp = observed[0].experiment
    if exp.objective == "supervised" and exp.resolved_n_tasks < exp.n_features:
        reason = "fewer tasks than features leave fewer directions than rotations turn"
        return does_not_apply("T4", name, reason)
    rows = [(o.first_row_of(2) or len(o.run)) - 1 for o in observed]
    if min(rows) < 1:
        return does_not_apply("T4", name, "stage I is shorter than the recorded rows")
    tests = [
        rotation_test(o.run["alignment"][row], generator(o.experiment.seed, "theory", _STREAM, 1))
        for o, row in zip(observed, rows)
    ]
    expected = float(np.mean([t.expected for t in tests]))
    shifted = [expected + t.measured - t.expected for t in tests]
    why = "that of the same neurons rotated at random, within four standard deviations of it"
    absolute = 4 * max(t.spread for t in tests) + 1e-6
    return within("T4", name, expected, shifted, 0.0, why, absolute)
