"""How sparse features must be: s*, and what is said of runs beyond a part of it."""

import numpy as np
import pytest

from featlearn import preset, train
from featlearn.theory import check, plan, unmet
from featlearn.theory.predictions.neuron_moments import neuron_moments
from featlearn.theory.predictions.sparsity import MOST_TOGETHER, largest_density, together
from featlearn.theory.predictions.view_noise import view_noise

pytestmark = pytest.mark.usefixtures("one_blas_thread")

TINY = preset("tiny")


@pytest.mark.parametrize("noise, cap", [(0.03, 0.35), (0.1, 0.5), (0.2, 0.9)])
def test_a_feature_that_lost_a_neuron_gains_as_fast_as_its_own_at_the_largest_density(noise, cap):
    views = TINY.replace(
        augmentation="correlated_noise", noise_correlation=0.0, noise_variance=noise, bias_cap=cap
    )
    densest = largest_density(views)

    def lead(density):
        alignments = np.array([[1.0, 1e-3, 0.0, 0.0]])
        law = view_noise(views.replace(density=density))
        pull = density * neuron_moments(alignments, [0.0], [cap], law).pull[0]
        return (pull[0] - pull[1] / 1e-3) / density

    sparse = lead(1e-6)
    assert lead(densest) == pytest.approx(0, abs=1e-3 * sparse)
    assert lead(densest / 4) == pytest.approx(0.75 * sparse, rel=1e-3)
    assert lead(1.1 * densest) < 0


def test_the_largest_density_is_that_of_a_gaussian_kurtosis_or_of_the_threshold():
    flat = TINY.replace(dictionary="flat", augmentation="correlated_noise", noise_correlation=0.0)
    faint = flat.replace(noise_variance=20.0, bias_cap=5.0)
    assert largest_density(faint) == pytest.approx(1 / 3, abs=0.01)
    assert largest_density(flat.replace(noise_variance=1e-5)) == pytest.approx(1 - 0.47, abs=1e-3)


def test_neurons_of_dense_features_stay_mixtures_and_nothing_is_promised_of_them():
    dense = TINY.replace(density=0.5, temperature=4.0, n_steps=1500, record_every=5)
    planned = plan(dense)
    unmet_ones = [p for p in planned.preconditions if p.claim == "T1" and not p.met]
    assert [p.bound for p in unmet_ones] == [MOST_TOGETHER]
    assert "not sparse" in unmet(dense)[0] and together(dense) > 1
    run = train(dense)
    cosine = np.abs(run.weights @ run.dictionary) / np.linalg.norm(run.weights, axis=1)[:, None]
    assert np.median(cosine.max(axis=1)) < 0.6
    found = check(run, replay=0)
    assert [(v.claim, v.quantity) for v in found if v.outcome == "fails"] == []
    reasons = {v.claim: v.reason for v in found if v.claim in ("T1", "T2")}
    assert all("not sparse" in reason for reason in reasons.values()) and len(reasons) == 2


def test_presets_are_sparse_and_one_feature_a_sample_has_no_others():
    for name in ("tiny", "quick", "default", "spectral", "asymptotic", "phases"):
        assert together(preset(name)) < 0.8 * MOST_TOGETHER
    assert together(TINY.replace(latents="one_of_d")) == 0
    two = TINY.replace(latents="k_sparse", n_active=2)
    assert together(two) == pytest.approx(1 / 7 / largest_density(two))
    assert "not sparse" in unmet(two)[0]
