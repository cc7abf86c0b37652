"""A deliberately broken simulator is caught: by the code it runs, and by the runs it leaves behind."""

import dataclasses

import pytest

import featlearn
from featlearn.gradient import contrastive_gradient
from featlearn.objectives import objective
from featlearn.theory import check
from featlearn.views import RandomMask

EXPERIMENT = featlearn.Experiment(
    n_features=8,
    n_inputs=128,
    n_neurons=32,
    batch_size=64,
    n_steps=60,
    learning_rate=0.2,
    temperature=1.0,
    density=0.15,
    noise_variance=0.05,
    initial_norm=0.1,
    dictionary="flat",
    stage_one_growth=1.3,
    bias_factor=0.5,
    bias_growth=1.05,
    bias_cap=0.55,
    weight_decay=0.0055,
    # Of a network as small as this, one seed in three leaves an atom without a pure neuron.
    seed=1,
    dtype="float64",
)

original_pair = RandomMask.pair


def flip_the_negative_term(*arguments, **options):
    g = contrastive_gradient(*arguments, **options)
    return dataclasses.replace(g, weights=2 * g.positive - g.weights)


def leave_out_the_mean_over_the_batch(*arguments, **options):
    g = contrastive_gradient(*arguments, **options)
    return dataclasses.replace(g, weights=g.weights * len(g.terms[0].inputs))


def detach_the_first_argument(*arguments, **options):
    g = contrastive_gradient(*arguments, **{**options, "stop_gradient": False})
    keys = g.terms[1]
    return dataclasses.replace(g, weights=-keys.coefficients.T @ keys.inputs / len(keys.inputs))


def drop_the_factor_two(self, *arguments, **options):
    views = original_pair(self, *arguments, **options)
    views.anchors[...] *= 0.5
    views.keys[...] *= 0.5
    return views


def mask_both_views_alike(self, *arguments, **options):
    views = original_pair(self, *arguments, **options)
    views.keys[...] = views.anchors
    return views


GRADIENTS = [
    flip_the_negative_term,
    leave_out_the_mean_over_the_batch,
    detach_the_first_argument,
]
VIEWS = [drop_the_factor_two, mask_both_views_alike]


def broken(monkeypatch, change):
    if change in VIEWS:
        monkeypatch.setattr(RandomMask, "pair", change)
    else:
        # The objective gives stop_gradient by place, and the workspace, groups and loss after it.
        def gradient(*arguments):
            *rest, stop_gradient, work, groups, loss = arguments
            options = {"work": work, "negative_groups": groups, "contrast": loss}
            return change(*rest, stop_gradient=stop_gradient, **options)

        monkeypatch.setattr(objective, "contrastive_gradient", gradient)


def failures(run):
    return {v.quantity for v in check(run) if v.outcome == "fails"}


@pytest.mark.parametrize("n_steps", [4, 60])
def test_the_simulator_as_it_is_passes(n_steps):
    assert failures(featlearn.train(EXPERIMENT.replace(n_steps=n_steps))) == set()


@pytest.mark.parametrize("change", GRADIENTS + VIEWS)
def test_a_broken_simulator_is_caught(change, monkeypatch):
    broken(monkeypatch, change)
    run = featlearn.train(EXPERIMENT.replace(n_steps=4))
    assert failures(run)


@pytest.mark.parametrize("change", GRADIENTS + VIEWS)
def test_a_run_of_a_broken_simulator_is_caught_by_an_intact_one(change, monkeypatch):
    with monkeypatch.context() as patch:
        broken(patch, change)
        run = featlearn.train(EXPERIMENT.replace(n_steps=4))
    assert failures(run)


def test_each_fault_shows_where_it_should(monkeypatch):
    shown = {}
    for change in GRADIENTS + VIEWS:
        with monkeypatch.context() as patch:
            broken(patch, change)
            shown[change] = failures(featlearn.train(EXPERIMENT.replace(n_steps=4)))
    for change in GRADIENTS:
        assert "slope of the loss along an update" in shown[change]
    assert "E⟨signal, anchor⟩" in shown[drop_the_factor_two]
    assert "E⟨anchor, key⟩" in shown[mask_both_views_alike]
    assert "f across views, x = ξ" in shown[mask_both_views_alike]
