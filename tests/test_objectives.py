"""Every objective's loss against plain loops, and its pulls against central differences, in float64."""

import itertools
import math

import numpy as np
import pytest

from featlearn import InvalidInput
from featlearn.loss import contrast
from featlearn.objectives.no_negatives import no_negatives
from featlearn.objectives.nt_xent import nt_xent
from featlearn.objectives.pairwise import decoupled, spectral
from featlearn.objectives.supervised import draw_tasks, labels_of, supervised

B, M, K, TAU, FLOOR = 6, 4, 3, 0.7, 0.3
CONTRASTS = {"infonce": contrast, "decoupled": decoupled, "spectral": spectral}


def features(seed=0, rows=(B, B, K)):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal((n, M)) for n in rows)


def differences(function, at, h=1e-5):
    """Central differences of a number with respect to every entry of an array."""
    result = np.empty_like(at)
    for index in np.ndindex(at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * h
            ends.append(function(moved))
        result[index] = (ends[0] - ends[1]) / (2 * h)
    return result


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b))


def pair_loss(kind, anchors, keys, negatives):
    """The definitions, one anchor and one negative at a time."""
    total = 0.0
    for p, h in enumerate(anchors):
        others = [k for q, k in enumerate(keys) if q != p] if negatives is None else negatives
        own, rest = dot(h, keys[p]) / TAU, [dot(h, k) / TAU for k in others]
        if kind == "spectral":
            total += TAU * (-own + sum(s * s for s in rest) / (2 * len(rest)))
        else:
            denominator = sum(math.exp(s) for s in rest)
            denominator += math.exp(own) if kind == "infonce" else 0.0
            total += -TAU * math.log(math.exp(own) / denominator)
    return total / len(anchors)


@pytest.mark.parametrize("kind, separate", list(itertools.product(CONTRASTS, (False, True))))
def test_pairwise_losses_and_their_pulls(kind, separate, seed):
    anchors, keys, negatives = features(seed)
    negatives = negatives if separate else None
    found = CONTRASTS[kind](anchors, keys, TAU, negatives)
    assert found.loss == pytest.approx(pair_loss(kind, anchors, keys, negatives), rel=1e-12)
    others = keys if negatives is None else negatives
    pulls = {
        "anchors": found.attraction[:, None] * keys - found.repulsion @ others,
        "keys": found.attraction[:, None] * anchors,
        "negatives": -found.repulsion.T @ anchors,
    }
    if negatives is None:
        pulls["keys"] += pulls.pop("negatives")
    parts = {"anchors": anchors, "keys": keys, "negatives": negatives}
    for name, pull in pulls.items():
        by_hand = -pull / B
        numeric = differences(
            lambda moved, name=name: pair_loss(kind, *{**parts, name: moved}.values()), parts[name]
        )
        np.testing.assert_allclose(by_hand, numeric, rtol=1e-6, atol=1e-9)


def test_known_values_of_equal_embeddings():
    h = np.zeros((B, M))
    assert decoupled(h, h, TAU).loss == pytest.approx(TAU * math.log(B - 1))
    assert spectral(h, h, TAU).loss == 0
    assert nt_xent(h, h, TAU, FLOOR).loss == pytest.approx(TAU * math.log(2 * B - 1))


def test_decoupled_is_infonce_without_the_positive_in_the_denominator():
    anchors, keys, _ = features()
    with_it, without = contrast(anchors, keys, TAU), decoupled(anchors, keys, TAU)
    np.testing.assert_allclose(
        without.repulsion, with_it.repulsion / with_it.attraction[:, None], rtol=1e-12
    )


def test_spectral_is_the_loss_of_haochen_et_al_rescaled():
    anchors, keys, _ = features()
    g, k = anchors / math.sqrt(TAU), keys / math.sqrt(TAU)
    similarity = g @ k.T
    apart = similarity[~np.eye(B, dtype=bool)]
    theirs = -2 * np.mean(np.diag(similarity)) + np.mean(apart**2)
    assert spectral(anchors, keys, TAU).loss == pytest.approx(TAU / 2 * theirs, rel=1e-12)


def test_spectral_is_the_second_order_of_decoupled():
    """With negatives in pairs ±h, so that the mean similarity is 0 and no odd order is left."""
    anchors, keys, negatives = features()
    negatives = np.concatenate([negatives, -negatives])
    gaps = []
    for scale in (0.1, 0.05):
        a, k, n = (scale * h for h in (anchors, keys, negatives))
        exact = decoupled(a, k, TAU, n).loss - TAU * math.log(len(n))
        gaps.append(abs(exact - spectral(a, k, TAU, n).loss))
    assert gaps[0] > 0 and math.log2(gaps[0] / gaps[1]) == pytest.approx(8, abs=0.2)


def test_losses_without_a_negative_are_refused():
    h = np.ones((1, M))
    for loss in (decoupled, spectral):
        with pytest.raises(InvalidInput, match="at least 2 with in-batch negatives"):
            loss(h, h, TAU)


def nt_xent_loss(anchors, keys, held=None):
    return nt_xent_loss_of(anchors, keys, held, TAU, FLOOR)


def nt_xent_loss_of(anchors, keys, held, tau, floor):
    """The definition, one view at a time; `held` are the features of the second argument."""
    views = [*anchors, *keys]
    second = views if held is None else [*held[0], *held[1]]

    def unit(h):
        return [x / math.sqrt(dot(h, h) + floor**2) for x in h]

    total = 0.0
    for r, h in enumerate(views):
        s = {q: dot(unit(h), unit(k)) / tau for q, k in enumerate(second) if q != r}
        partner = (r + len(anchors)) % len(views)
        total -= tau * math.log(math.exp(s[partner]) / sum(map(math.exp, s.values())))
    return total / len(views)


@pytest.mark.parametrize("stop_gradient", (False, True))
def test_nt_xent_and_its_pulls(stop_gradient, seed):
    anchors, keys, _ = features(seed)
    found = nt_xent(anchors, keys, TAU, FLOOR, stop_gradient)
    assert found.loss == pytest.approx(nt_xent_loss(anchors, keys), rel=1e-12)
    held = (anchors, keys) if stop_gradient else None
    numeric = differences(lambda h: nt_xent_loss(h, keys, held), anchors)
    np.testing.assert_allclose(-found.anchors / B, numeric, rtol=1e-6, atol=1e-9)
    numeric = differences(lambda h: nt_xent_loss(anchors, h, held), keys)
    np.testing.assert_allclose(-found.keys / B, numeric, rtol=1e-6, atol=1e-9)


def test_a_large_floor_undoes_the_normalisation():
    """ε → ∞ at τ ε² = const: the softmax over the other views of plain inner products."""
    anchors, keys, _ = features()
    floor = 1e4
    found = nt_xent(anchors, keys, TAU / floor**2, floor, stop_gradient=True)
    others = np.concatenate([keys, np.delete(anchors, 0, axis=0)])
    s = others @ anchors[0] / TAU
    p = np.exp(s - s.max())
    p /= p.sum()
    np.testing.assert_allclose(
        found.anchors[0] * floor**2, (keys[0] - p @ others) / 2, rtol=1e-6, atol=1e-8
    )


def supervised_loss(h, head, labels, task):
    total = 0.0
    for p in range(len(h)):
        for k in range(len(head)):
            y, o = labels[p, k], dot(h[p], head[k])
            if task == "regression":
                total += (y - o) ** 2 / 2
            elif y != 0:
                total += math.log(1 + math.exp(-y * o))
    return total / len(h)


@pytest.mark.parametrize("task", ("classification", "regression"))
def test_supervised_and_its_pulls(task, seed):
    h, _, head = features(seed)
    rng = np.random.default_rng(seed)
    z = rng.choice([-1.0, 0.0, 0.0, 1.0], (B, 2))
    z[0] = 0
    labels = labels_of(z @ draw_tasks(rng, 2, K), task)
    found = supervised(h, head, labels, task)
    assert found.loss == pytest.approx(supervised_loss(h, head, labels, task), rel=1e-12)
    numeric = differences(lambda moved: supervised_loss(moved, head, labels, task), h)
    np.testing.assert_allclose(-found.anchors / B, numeric, rtol=1e-6, atol=1e-9)
    numeric = differences(lambda moved: supervised_loss(h, moved, labels, task), head)
    np.testing.assert_allclose(found.parameters["head"], numeric, rtol=1e-6, atol=1e-9)
    if task == "classification":
        assert not found.anchors[0].any(), "a sample without a label does not pull"


def test_a_confident_head_overflows_nowhere():
    h, head = np.full((2, M), 1e3, np.float32), np.full((1, M), 1e3, np.float32)
    found = supervised(h, head, np.array([[1.0], [-1.0]], np.float32), "classification")
    assert found.loss == pytest.approx(M * 1e6 / 2)
    assert np.isfinite(found.anchors).all() and found.anchors.dtype == np.float32


def no_negatives_loss(anchors, keys, head, floor):
    n, m = anchors.shape

    def normalised(h):
        sizes = [math.sqrt(sum(h[p][i] ** 2 for p in range(n)) / n + floor**2) for i in range(m)]
        return [[h[p][i] / sizes[i] for i in range(m)] for p in range(n)]

    a, k = normalised(anchors), normalised(keys)
    if head is not None:
        a = [[dot(row, e) for e in head] for row in a]
    return -sum(dot(x, y) for x, y in zip(normalised(a), k)) / (n * m)


@pytest.mark.parametrize("with_head", (False, True))
def test_no_negatives_and_its_pulls(with_head, seed):
    anchors, keys, _ = features(seed)
    head = None
    if with_head:
        head = np.eye(M) + 0.3 * np.random.default_rng(seed).standard_normal((M, M))
    found = no_negatives(anchors, keys, head, FLOOR)
    assert found.loss == pytest.approx(no_negatives_loss(anchors, keys, head, FLOOR), rel=1e-12)
    numeric = differences(lambda h: no_negatives_loss(h, keys, head, FLOOR), anchors)
    np.testing.assert_allclose(-found.anchors / B, numeric, rtol=1e-6, atol=1e-9)
    assert found.keys is None
    if with_head:
        numeric = differences(lambda e: no_negatives_loss(anchors, keys, e, FLOOR), head)
        np.fill_diagonal(numeric, 0)
        np.testing.assert_allclose(
            found.parameters["prediction_head"], numeric, rtol=1e-6, atol=1e-9
        )
    else:
        assert found.parameters == {}
        np.testing.assert_allclose(
            found.anchors, no_negatives(anchors, keys, np.eye(M), FLOOR).anchors, rtol=1e-12
        )


def test_no_negatives_does_not_see_the_size_of_a_neuron():
    anchors, keys, _ = features()
    scale = np.array([0.1, 1.0, 3.0, 10.0])
    one, other = no_negatives(anchors, keys), no_negatives(anchors * scale, keys * scale)
    assert other.loss == pytest.approx(one.loss, abs=1e-4)
    np.testing.assert_allclose(other.anchors * scale, one.anchors, atol=2e-4)
