"""The derivation: what it names exists, its exercises run, and formulas no other test holds."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

import featlearn
from featlearn.network import forward
from featlearn.theory.predictions.stage_one import predict_stage_one, stage_one_matrix

ROOT = Path(__file__).parent.parent
PACKAGE = Path(featlearn.__file__).parent
TEXT = (PACKAGE / "theory" / "derivation.md").read_text(encoding="utf-8")
TITLES = re.findall(r"^## (.*)$", TEXT, re.M)
SECTIONS = [
    "Setting and symbols",
    "The gradient by hand",
    "Second moments of views",
    "Stage I: growth with sampling noise",
    "Noise margin",
    "Crossing: when the sparse part overtakes",
    "Plateau of the linear phase",
    "The decoupling dial",
    "Stage II mean field",
    "Lottery sets",
    "Probe floor",
    "Real images as M z + ξ",
    "Moments of anisotropic noise",
    "Stage I from the shared moment",
    "Exercises",
]
EXERCISES = re.findall(r"^\*\*(\d)\.\*\*.*?```python\n(.*?)```", TEXT, re.M | re.S)


def test_the_sections_are_those_that_docstrings_refer_to():
    assert [title for title in TITLES if title in SECTIONS] == SECTIONS
    for path in PACKAGE.rglob("*.py"):
        source = " ".join(path.read_text(encoding="utf-8").split())
        for title in re.findall(r'derivation\.md, "([^"]*)"', source):
            assert title in TITLES, f"{path.name} refers to {title}"


def test_every_formula_names_its_function_and_its_test():
    functions = re.findall(r"`(featlearn\.[\w.]+)`", TEXT)
    tests = re.findall(r"`(tests/\w+\.py)::(\w+)`", TEXT)
    assert len(functions) > 20 and len(tests) > 20
    for name in functions:
        assert callable(resolve(name)), name
    for path, name in tests:
        defined = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert name in defined, f"{path}::{name}"
    for section in re.split(r"^## ", TEXT, flags=re.M)[1:]:
        if not section.startswith("Exercises"):
            assert "→" in section, section.splitlines()[0]


def resolve(name):
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize(("number", "solution"), EXERCISES, ids=[n for n, _ in EXERCISES])
def test_the_solutions_run(number, solution):
    exec(compile(solution, f"exercise {number}", "exec"), {})


def test_there_are_five_exercises():
    assert [number for number, _ in EXERCISES] == list("12345")


def test_rescaled_weights_absorb_the_temperature():
    exp = featlearn.SMALL_WORLD.replace(temperature=1.0, initial_norm=0.3)
    warm = featlearn.init(exp)
    hot = featlearn.init(exp.replace(temperature=9.0, initial_norm=0.9))
    for _ in range(80):
        warm, hot = featlearn.step(warm), featlearn.step(hot)
    assert warm.stage == 2
    np.testing.assert_allclose(hot.weights, 3 * warm.weights, rtol=1e-5)
    np.testing.assert_allclose(hot.biases, 3 * warm.biases, rtol=1e-5)


def large(**changes):
    """An experiment of which only the closed forms are asked for."""
    base = featlearn.Experiment(
        n_features=32, n_inputs=32768, n_neurons=1, batch_size=64, learning_rate=0.3,
        dictionary="flat", weight_decay=0.01, noise_variance=0.002,
    )  # fmt: skip
    return base.replace(**changes)


def test_the_general_recursion_has_the_known_special_cases():
    """Both matrices of the section, where f and σ² are small beside 1."""
    exp = large()
    d, d1, B, eta, decay = 32, 32768, 64, exp.learning_rate, exp.weight_decay
    s, v, f, q = exp.resolved_density, exp.noise_variance, 32 / 32768, 1 - 1 / 64
    n = 2 * v + s * f
    c = s + n
    sparse, dense = s * q * (1 - f) - decay, -(decay + s * q * f)
    masked = np.diag([(1 + eta * sparse) ** 2, (1 + eta * dense) ** 2])
    V = np.array([c, n])
    noise = np.array([V * c * d, V * n * (d1 - d)])
    noise[:, 0] += s * (1 - 2 * s), s * (1 - s) * (1 - f)
    wanted = masked + eta**2 / B * q * noise
    found = stage_one_matrix(exp)
    np.testing.assert_allclose(found - masked, wanted - masked, rtol=0.03)
    plain = np.diag([(1 + eta * ((s + v) * q - decay)) ** 2, (1 + eta * (v * q - decay)) ** 2])
    V = np.array([s + v, v])
    noise = np.array([V * (s + v) * d, V * v * (d1 - d)])
    noise[0, 0] += (s + v) ** 2 + q * s * (1 - 3 * s)
    noise[1, 1] += v**2
    found = stage_one_matrix(large(augmentation="none"))
    np.testing.assert_allclose(found, plain + eta**2 / B * q * noise, rtol=1e-12)


def test_the_ratio_tends_to_its_limit():
    """β²/a → κcn/(s - κn²), to first order in η: the error shrinks with η at fixed η/B."""
    errors = []
    for batch, rate in ((64, 0.05), (640, 0.5)):
        exp = large(batch_size=batch, learning_rate=rate, n_inputs=4096)
        f, s = 32 / 4096, exp.resolved_density
        n = 2 * exp.noise_variance + s * f
        kappa = rate * 4096 / (2 * batch)
        limit = kappa * (s + n) * n / (s - kappa * n * n)
        values, vectors = np.linalg.eig(stage_one_matrix(exp))
        sparse, dense = vectors[:, values.argmax()]
        errors.append(abs(dense / sparse / limit - 1))
    assert errors[0] < 0.05 and errors[1] < 0.2


@pytest.mark.parametrize("correlation", [0.0, 0.2, 1.0])
def test_the_recursion_crosses_where_the_closed_form_says(correlation):
    """η t* = ln(d1/d - 1)/2s whatever ρ, and g*, without sampling noise (B → ∞) at a small η."""
    exp = large(
        augmentation="correlated_noise", noise_correlation=correlation, noise_variance=0.03,
        n_inputs=1024, batch_size=10**9, learning_rate=0.01,
    )  # fmt: skip
    s = exp.resolved_density
    run = predict_stage_one(exp, 1.0, 31.0, 20_000)
    crossing = int(np.argmax(run.sparse >= run.dense))
    time = np.log(31) / (2 * s)
    growth = 0.5 * np.log(2 * (1 - 1 / 32)) + (2 * correlation * 0.03 - 0.01) * time
    assert crossing * 0.01 == pytest.approx(time, rel=0.005)
    assert np.log(run.growth[crossing]) == pytest.approx(growth, abs=0.01)


def test_a_thresholded_neuron_has_the_mean_output_and_drift_of_the_mean_field():
    """p̄, h̄ and the two parts of the drift, against draws of a neuron with a single feature."""
    rng = np.random.default_rng(0)
    s, n, alpha, beta, b, count = 0.3, 0.4, 0.8, 0.5, 0.6, 400_000
    z = rng.choice([-1.0, 0.0, 1.0], count, p=[s / 2, 1 - s, s / 2])
    views = []
    for _ in range(2):
        noise = np.sqrt(n) * rng.standard_normal((count, 2))
        views.append(np.column_stack([z + noise[:, 0], noise[:, 1]]))
    neuron = np.array([[alpha, beta]])
    on_anchor, on_key = (forward(neuron, np.array([b]), x) for x in views)
    draws = on_key.features * on_anchor.active * views[0]
    v = n * (alpha**2 + beta**2)

    def mean_response(a):
        up, down = (a - b) / np.sqrt(v), (-a - b) / np.sqrt(v)
        density = [np.exp(-x * x / 2) / np.sqrt(2 * np.pi) for x in (up, down)]
        p, slope = ndtr(up) + ndtr(down), (density[0] - density[1]) / np.sqrt(v)
        h = np.sqrt(v) * (up * ndtr(up) + density[0] - down * ndtr(down) - density[1])
        return p, slope, h

    a = alpha * np.array([1.0, 0.0, -1.0])
    law = np.array([s / 2, 1 - s, s / 2])
    p, slope, h = mean_response(a)
    error = 5 / np.sqrt(count)
    assert np.mean(on_anchor.active) == pytest.approx(law @ p, abs=error)
    assert np.mean(on_key.features[z == 1]) == pytest.approx(h[0], abs=2 * error)
    along = law @ (h * (a / alpha * p + n * alpha * slope))
    beside = law @ (h * n * beta * slope)
    np.testing.assert_allclose(draws.mean(axis=0), [along, beside], atol=error)


def test_the_softmax_mean_of_the_keys_is_the_repulsion_to_first_order():
    """Σ_q P_pq h_q - h̄ ≈ (1/N) Σ_q h_q h_qᵀ h_p/τ less the mean's part: error of second order."""
    state = featlearn.init(featlearn.SMALL_WORLD.replace(batch_size=64))
    errors = []
    for scale in (0.1, 0.01):
        smaller = dataclasses.replace(state, weights=scale * state.weights)
        e = featlearn.explain_step(smaller)
        centred = e.key_features - e.key_features.mean(axis=0)
        first = e.anchor_features @ centred.T @ centred / (64 * state.experiment.temperature)
        shift = e.probability @ e.key_features - e.key_features.mean(axis=0)
        errors.append(np.abs(shift - first).max() / np.abs(first).max())
    assert errors[1] < 0.02 * errors[0] and errors[0] < 0.1
