"""Twelve questions that a theorist may come with: each in ten lines at most, recorded like any run.

A snippet has `exp`, a small experiment, and `place`, a new directory, and leaves its runs under it.
"""

import json

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.theory.claims import checking

TASKS = {
    "own quantity": """
def overlap(state, batch, gradient):
    q = state.alignment / np.linalg.norm(state.alignment, axis=1, keepdims=True)
    return np.abs(np.triu(q @ q.T, 1)).max()

run = featlearn.train(exp, place / "run", record={"overlap": overlap})
assert 0 < run["overlap"][-1] <= 1.001
""",
    "until": """
def grown(state):
    return np.mean(state.weight_norms) > 1.1 * state.initial_norm

run = featlearn.train(exp, place / "run", until=grown)
assert 0 < run.steps[-1] < 60
""",
    "branch": """
featlearn.train(exp, place / "mask", checkpoint_at=[20])
state = featlearn.load_state(place / "mask", step=20)
run = featlearn.train(None, place / "none", start=state.replace(augmentation="none"))
assert run.steps[0] == 20 and run["loss"][-1] < featlearn.load_run(place / "mask")["loss"][-1]
""",
    "own schedule": """
class Ramp:
    def advance(self, stage, biases, norms, new_norms, initial_norm):
        cap = 0.4 * new_norms
        grown = np.minimum(biases + 0.01 * new_norms, cap).astype(biases.dtype)
        return (3 if np.all(grown == cap) else 2), grown

run = featlearn.train(exp, place / "run", schedule=Ramp)
ratio = run["bias"][:, 0] / run["weight_norm"][:, 0]
assert 0 == ratio[0] < ratio[10] < ratio[20] < ratio[-1] <= 0.4001
""",
    "own latents": """
class Laplace(featlearn.latents.Law):
    def draw(self, rng, n):
        size = rng.laplace(size=(n, self.n_features)) / np.sqrt(2)
        return size * (rng.random(size.shape) < self.densities)

model = dataclasses.replace(featlearn.init(exp).model, law=Laplace(np.full(8, 0.1)))
run = featlearn.train(exp, place / "run", model=model)
assert abs(np.mean(model.sample(np.random.default_rng(0), 20000).latents ** 2) - 0.1) < 0.01
""",
    "own dictionary": """
from scipy.linalg import hadamard

matrix = hadamard(64)[:, 1:9] / 8
model = featlearn.SparseCodingModel(matrix, exp.resolved_density, exp.resolved_noise_variance)
run = featlearn.train(exp, place / "run", model=model)
assert np.allclose(run["alignment"][-1], run.weights @ matrix, atol=1e-5)
assert featlearn.summarize(run).same_latents > 0
""",
    "own noise covariance": """
class Coloured(featlearn.SparseCodingModel):
    def draw_noise(self, rng, n, out=None, latents=None):
        return super().draw_noise(rng, n) * np.linspace(0.5, 1.5, self.n_inputs)

base = featlearn.init(exp).model
model = Coloured(base.dictionary, base.density, base.noise_variance)
run = featlearn.train(exp, place / "run", model=model)
""",
    "own augmentation": """
class Halves(featlearn.views.Augmentation):
    name = label = "halves"
    def pair(self, rng, sample, model, out=None):
        x, mask = sample.inputs, np.arange(model.n_inputs) % 2
        return featlearn.views.Views(2 * mask * x, 2 * (1 - mask) * x)

run = featlearn.train(exp, place / "run", augmentation=Halves)
""",
    "own claim from the command line": '''
(place / "lemmas.py").write_text("""
import featlearn
@featlearn.claim("cap")
def below_cap(observed):
    worst = [(o.run["bias"][-1] / o.run["weight_norm"][-1]).max() for o in observed]
    return featlearn.theory.at_most("cap", "largest b/w", 0.6001, worst, "the cap")
""")
featlearn.train(exp, place / "run")
assert main(["check", str(place / "run"), "--claims", str(place / "lemmas.py")]) == 0
assert "cap" in (place / "run/claims.json").read_text()
''',
    "ten seeds with a band": """
for seed in range(10):
    featlearn.train(exp.replace(seed=seed, n_steps=20), place / f"runs/{seed}")
runs = featlearn.load_runs(place)
assert runs["loss"].shape == (10, 21) and np.all(runs.confidence("loss") > 0)
assert main(["plot", str(place), "--only", "seed-bands", "--format", "png"]) == 0
assert (place / "figures/seed-bands.png").exists()
""",
    "linked sizes with an exponent": """
command = ["sweep", "--config", "exp.toml", "--grid", "n_features=8,16,32", "--grid", "seed=0..1"]
command += ["--link", "n_inputs=8*n_features", "--link", "n_neurons=n_features"]
command += ["--set", "n_steps=10", "--set", "bias_cap=0.7", "--out", str(place)]
assert main(command) == 0
fit = ["fit", str(place), "--quantity", "same_noise", "--against", "n_features", "--json"]
assert main(fit) == 0
""",
    "full batch on fixed samples": """
run = featlearn.train(exp.replace(n_samples=400, batch_size=400), place / "run")
expected = fixed_data(exp.replace(n_samples=400, n_inputs=64))
assert expected.noise_edge > 0 and run["loss"][-1] < run["loss"][0]
""",
}


@pytest.mark.parametrize("task", TASKS)
def test_a_question_takes_ten_lines_and_is_recorded_like_any_run(
    task, tmp_path, monkeypatch, small, capsys
):
    monkeypatch.setattr(checking, "CLAIMS", ())
    monkeypatch.chdir(tmp_path)
    exp = small.replace(n_steps=60)
    exp.save("exp.toml")
    place = tmp_path / "place"
    place.mkdir()
    lines = [line for line in TASKS[task].splitlines() if line.strip()]
    assert len(lines) <= 10
    space = {
        "__name__": "typed_in",
        **{"exp": exp, "place": place, "np": np, "featlearn": featlearn, "main": main},
        "dataclasses": __import__("dataclasses"),
        "fixed_data": __import__(
            "featlearn.theory.predictions.fixed_data", fromlist=["x"]
        ).fixed_data,
    }
    exec(compile(TASKS[task], task, "exec"), space)
    found = sorted(place.glob("**/config.json"))
    assert found
    for config in found:
        run = featlearn.load_run(config.parent)
        status = json.loads((config.parent / "status.json").read_text())["status"]
        assert status in ("complete", "stopped")
        assert len(run["loss"]) == len(run) and run.steps[-1] <= run.experiment.n_steps
