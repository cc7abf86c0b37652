"""T4: linear learners do not learn the features, even with the augmentation.

On span(M) all second moments of the views are multiples of the identity, so a linear learner sees
no direction in it before another: what it learns is a rotation of the features, and no linear head
on a linear representation beats the best linear head on x.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy import special

from ...compute.streams import generator
from ...latents import law_of
from ..predictions.floors import linear_floor
from ..predictions.linear_network import rotation_test
from ..predictions.moments import view_moments
from .claim import claim
from .stage_one import product_variance
from .verdict import at_least, at_most, does_not_apply, within

_STREAM, _SAMPLES, _BLOCK = 4, 16384, 2048
# Cosine from which a direction is an atom.
_ATOM = 0.9
# Matrices that the law of principal directions is drawn from, at most, and numbers in products of all.
_MATRICES, _WORK = 1000, 3e7


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


def uneven_diagonal(experiment):
    """Return how many times the variance of the rest the diagonal of a sample cross-covariance has.

    Of C + Cᵀ, C the mean of u⁺u⁺⁺ᵀ over a sample in the basis M, u⁺ = Mᵀx⁺: 4 Var(u_j⁺u_j⁺⁺) over
    2 (E u_j⁺² E u_k⁺⁺² + (E u_j⁺u_j⁺⁺)²), 2 for Gaussian views and 2 + χ₄/(s+σ²)² without augmentation.
    """
    views = view_moments(experiment)
    rest = 2 * (views.anchor.sparse * views.key.sparse + views.cross.sparse**2)
    if experiment.dictionary != "identity":
        return 4 * product_variance(views) / rest
    # An input is masked by itself, and both views are its multiples.
    s, variance = views.density, views.noise_variance
    fourth = s + 6 * s * variance + 3 * variance**2
    square = (1 + views.cross_excess) * (1 + views.anchor_excess) * (1 + views.key_excess)
    return 4 * (square * fourth - views.cross.sparse**2) / rest


class PrincipalLaw(NamedTuple):
    """Of the principal directions of a sample whose population has none.

    Attributes
    ----------
    expected, spread : float
        Mean over a frame of d directions of the best cosine with an atom, and its standard deviation.
    atoms : float
        Expected number of atoms in a frame, at most.
    """

    expected: float
    spread: float
    atoms: float


@functools.lru_cache(maxsize=32)
def principal_law(d, uneven=2.0):
    """Return the `PrincipalLaw` of the eigenvectors of a symmetric Gaussian matrix, the scatter of a sample covariance.

    The diagonal has `uneven` times the variance of the rest. At 2 the law is invariant under rotations, and
    the frame uniform; at more directions lean to the atoms, however large the sample.

    Notes
    -----
    Derived in featlearn/theory/derivation.md, "Plateau of the linear phase".
    """
    n = int(max(20, min(_MATRICES, _WORK // d**3)))
    rng = generator(0, "theory", _STREAM, 2)
    best = np.empty((n, d))
    for row in best:
        matrix = rng.standard_normal((d, d))
        matrix += matrix.T
        matrix[np.diag_indices(d)] *= math.sqrt(max(uneven, 0.0) / 2)
        row[:] = np.abs(np.linalg.eigh(matrix)[1]).max(axis=0)
    atoms = d * d * chance_beyond(d, _ATOM)
    if uneven > 2:
        # One more than were drawn, for those that so few draws may have missed.
        atoms = max(atoms, (np.sum(best >= _ATOM) + 1) / n)
    means = best.mean(axis=1)
    expected = random_best_cosine(d) if uneven == 2 else means.mean()
    return PrincipalLaw(float(expected), float(means.std()), float(atoms))


def chance_beyond(d, cosine):
    """Probability that one coordinate of a random unit vector exceeds a cosine: its square is Beta(1/2, (d-1)/2)."""
    return special.betainc((d - 1) / 2, 0.5, 1 - cosine**2) if d > 1 else 1.0


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


def most_by_chance(expected, largest, probability=1e-3):
    """The number that a Poisson count exceeds with a probability at most, no larger than the largest."""
    at_most = special.pdtr(np.arange(largest), expected)
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
    n, law = len(observed), principal_law(d, uneven_diagonal(exp))
    pca = [best_cosines_in_span(principal_directions(o)) for o in observed]
    verdicts += [
        within(
            "T4",
            "best cosine of a principal direction",
            law.expected,
            [c.mean() for c in pca],
            0.05 + 4 * law.spread / law.expected / math.sqrt(n),
            "PCA finds span(M) and no atom in it: in the population all its directions are alike, and those of a"
            " sample are random, but for a diagonal that scatters by more than the rest; 5 % for sums of"
            f" few ones in z, and four standard deviations, {100 * law.spread / law.expected:.2g} % each",
        ),
        at_most(
            "T4",
            "atoms among the principal directions",
            most_by_chance(n * law.atoms, n * d) / n,
            [int((c >= _ATOM).sum()) for c in pca],
            f"with a cosine of {_ATOM}; no more than those of such samples have once in a thousand draws",
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
