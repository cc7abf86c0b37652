"""What limits d1, and what a run without augmentation ends with, from the settings alone."""

import json

import pytest

import featlearn
from featlearn.commands import main
from featlearn.theory.claims.limit import limit_criteria, not_in_the_limit
from featlearn.theory.predictions.crossing import noise_margin
from featlearn.theory.predictions.limits import (
    off_support_floor,
    samples_needed,
    threshold,
)
from featlearn.theory.predictions.suggestion import suggest_limit


def test_a_run_of_so_many_samples_has_the_margin():
    exp = featlearn.preset("default")
    needed = samples_needed(exp, margin=noise_margin(exp))
    assert needed == pytest.approx(exp.batch_size * exp.n_steps, rel=1e-9)
    wide = exp.replace(n_inputs=64 * exp.n_inputs, dictionary="flat")
    assert samples_needed(wide) > 30 * samples_needed(exp)


@pytest.mark.statistical
def test_a_dense_neuron_dies_above_the_threshold():
    exp = featlearn.preset("default").replace(augmentation="none")
    assert threshold(exp).met and threshold(exp).ratio == pytest.approx(1.33, abs=0.01)
    assert not threshold(exp.replace(bias_cap=0.9)).met


def test_the_floors_fall_with_the_batch():
    exp = featlearn.preset("default")
    larger = exp.replace(batch_size=4 * exp.batch_size)
    assert off_support_floor(larger) == pytest.approx(off_support_floor(exp) / 2)


def test_the_suggestion_is_an_experiment_in_the_limit():
    exp, remarks = suggest_limit(featlearn.Experiment(n_features=64, n_inputs=2**33, dense="gram"))
    assert exp.is_large_batch_limit and "large-batch limit" in remarks[0]
    assert not_in_the_limit(exp) is None and len(limit_criteria(exp)) == 6
    with pytest.raises(featlearn.InvalidInput, match="n_features"):
        suggest_limit(featlearn.Experiment(n_features=4, bias_factor=0.1))
    # Rare features need more samples in a paired batch than 64 d.
    rare, _ = suggest_limit(featlearn.Experiment(n_features=8, n_inputs=2**20, density=0.02))
    assert rare.batches == "paired" and rare.batch_size == 2048 and rare.negative_groups == 8


def test_the_limit_is_asked_for_in_its_regime_only():
    limit = featlearn.preset("asymptotic")
    assert not_in_the_limit(limit) is None
    for changes in (
        {"n_inputs": 2**28},
        {"batches": "iid", "noise_inputs": None},
        {"n_neurons": 256},
    ):
        assert not_in_the_limit(limit.replace(**changes))
        assert limit_criteria(limit.replace(**changes)) == []
    plain = {c.name: c for c in limit_criteria(featlearn.preset("asymptotic-no-augmentation"))}
    assert plain["atoms with a pure neuron"].bound == 0


def test_the_command_says_it_is_the_limit(capsys):
    assert main(["plan", "--preset", "asymptotic", "--no-timing", "--limit"]) == 0
    said = capsys.readouterr().out
    for words in (
        "the large-batch limit",
        "sparse share of the twin",
        "ϱ/σ",
        "samples",
        "stage II",
    ):
        assert words in said
    assert main(["plan", "--preset", "quick", "--no-timing", "--limit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["suggestion"]["batches"] == "paired"
