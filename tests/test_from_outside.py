"""One more augmentation, law, objective, quantity and claim, each one class or function, in every command."""

from dataclasses import dataclass

import numpy as np
import pytest

import featlearn
from featlearn import latents, objectives, views
from featlearn.commands import main
from featlearn.objectives.pull import Pull
from featlearn.recording import quantities
from featlearn.speed import memory, parts, subjects
from featlearn.theory.claims import checking


@dataclass(frozen=True)
class Swap(views.Augmentation):
    """One view keeps the first half of the inputs, the other one the rest."""

    name, label, formula = "swap", "swapped halves", "x⁺ = (x₁, 0),  x⁺⁺ = (0, x₂)"
    remark = "no input is in both views."

    def pair(self, rng, sample, model, out=None):
        anchors, keys = sample.inputs, sample.inputs
        half = anchors.shape[1] // 2
        anchors[:, half:], keys[:, :half] = 0, 0
        if out is not None:
            out[0][...], out[1][...] = anchors, keys
            anchors, keys = out
        return views.Views(anchors, keys)

    def moments(self, density, noise_variance):
        return views.Moments(
            cross=views.Moment(density / 4, 0.0, 0.0),
            anchor=views.Moment(density / 4, 0.0, noise_variance / 2),
            key=views.Moment(density / 4, 0.0, noise_variance / 2),
        )


class Positive(latents.Law):
    """z_j = 1 where it is not 0: signs never differ."""

    name = "positive"

    def draw(self, rng, n):
        return (rng.random((n, self.n_features)) < self.densities).astype(np.float32)


@dataclass(frozen=True)
class Squared(objectives.Objective):
    """Half the squared distance of the two views' features, and of their norm from one."""

    name, label = "squared", "squared distance"
    formula = "|h⁺ - h⁺⁺|²/2 + (|h⁺|² - 1)²/4"

    def pull(self, anchor_features, key_features, parameters, labels):
        apart = anchor_features - key_features
        excess = np.sum(anchor_features**2, axis=1, keepdims=True) - 1
        loss = np.mean(np.sum(apart**2, axis=1) / 2 + excess[:, 0] ** 2 / 4)
        return Pull(float(loss), -apart - excess * anchor_features, apart)


@featlearn.claim("from outside")
def biases_are_not_negative(observed):
    lowest = [o.run["bias"].min() for o in observed]
    return featlearn.theory.at_least("from outside", "lowest bias", 0, lowest, "a schedule")


REGISTERS = {
    "augmentation": (views.AUGMENTATIONS, Swap),
    "latents": (latents.LAWS, Positive),
    "objective": (objectives.OBJECTIVES, Squared),
}


@pytest.fixture
def added(monkeypatch):
    """Add one of each; return the fields of an experiment that asks for them."""
    for register, cls in REGISTERS.values():
        monkeypatch.setitem(register, cls.name, cls)

    def largest_weight(state, batch, gradient):
        """largest weight in size"""
        return np.abs(state.weights).max()

    quantity = quantities.Quantity(
        "largest_weight", largest_weight.__doc__, largest_weight, (), "float64"
    )
    monkeypatch.setitem(quantities.QUANTITIES, quantity.name, quantity)
    monkeypatch.setattr(checking, "CLAIMS", (*checking.CLAIMS, biases_are_not_negative))
    return {field: cls.name for field, (_, cls) in REGISTERS.items()}


def test_every_command_takes_it(added, small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.replace(n_steps=12).save(tmp_path / "small.toml")
    words = ["--config", "small.toml"]
    for field, name in added.items():
        words += ["--set", f"{field}={name}"]
    assert main(["plan", *words, "--no-timing"]) == 0
    assert main(["run", *words, "--out", "run", "--quiet"]) == 0
    assert main(["step", *words, "--plot", "step.png"]) == 0
    assert main(["plot", "run", "--out", "figures", "--format", "png", "--quiet"]) == 0
    assert main(["check", "run", "--no-replay"]) in (0, 1)
    assert main(["report", "run", "-o", "report.html", "--quiet"]) == 0
    assert "Traceback" not in "".join(capsys.readouterr())
    assert "from outside" in (tmp_path / "report.html").read_text(encoding="utf-8")
    run = featlearn.load_run(tmp_path / "run")
    assert all(getattr(run.experiment, field) == name for field, name in added.items())
    assert run["largest_weight"].shape == run.steps.shape


def test_the_benchmark_times_it(added, small, tmp_path):
    experiment = small.replace(n_steps=8, **added)
    subject = subjects.Featlearn(experiment, tmp_path / "timed")
    split = parts.of(subject, 1)
    assert split["forward"] > 0
    assert memory.needed_bytes(experiment) > 0
