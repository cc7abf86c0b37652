"""Experiments: what they refuse, the paper's formulas, files that give back what was saved."""

import dataclasses
import json
import math

import numpy as np
import pytest

from featlearn import PRESETS, Experiment, InvalidInput, preset

BASE = Experiment(n_features=16, n_inputs=64, n_neurons=32, batch_size=64, n_steps=10)
SIZES = ("n_features", "n_inputs", "n_neurons", "batch_size", "record_every")
POSITIVE = ("learning_rate", "temperature", "initial_norm", "embedding_floor")
NOT_NEGATIVE = (
    "weight_decay", "density_factor", "noise_variance", "noise_factor", "bias_factor", "bias_cap",
    "label_leak", "head_rate", "density_power", "spike_variance", "noise_spread",
)  # fmt: skip
NUMBERS = (*POSITIVE, *NOT_NEGATIVE, "density", "keep_probability", "noise_correlation",
           "stage_one_growth", "bias_growth")  # fmt: skip
OPTIONAL = ("density", "noise_variance", "stage_one_growth", "bias_growth")
CHOICES = ("augmentation", "dictionary", "dtype", "dense", "batches", "objective", "task",
           "latents")  # fmt: skip
FLAGS = ("stop_gradient", "train_head", "prediction_head")
COUNTS = ("n_tasks", "stage_one_steps", "n_samples")

BAD = (
    [(name, value) for name in SIZES for value in (0, -1, 1.0, "8", None, True, [8], 2**31)]
    + [("n_active", value) for value in (0, -1, 1.0, "8", None, True, 2**31)]
    + [("noise_spikes", value) for value in (-1, 1.0, "8", None, True, 2**31)]
    + [("n_steps", value) for value in (-1, 1.5, "ten", None, math.nan, False, 10**4000)]
    + [("seed", value) for value in (-1, 0.0, "zero", None, 2**63, True)]
    + [(name, value) for name in NUMBERS for value in (math.nan, math.inf, -math.inf, "1", True)]
    + [(name, value) for name in NUMBERS for value in ([1.0], {}, 1j, 10**400, -(10**400))]
    + [(name, None) for name in NUMBERS if name not in OPTIONAL]
    + [(name, value) for name in POSITIVE for value in (0, 0.0, -1e-9)]
    + [(name, -1e-9) for name in NOT_NEGATIVE]
    + [("density", value) for value in (-0.1, 1.0001)]
    + [("keep_probability", value) for value in (0, 1, -0.5, 1.5)]
    + [("noise_correlation", value) for value in (-0.1, 1.1)]
    + [(name, value) for name in ("stage_one_growth", "bias_growth") for value in (0.999, 0, -1)]
    + [(name, value) for name in CHOICES for value in ("", "NONE", None, 1, ["none"], True)]
    + [("negative_groups", value) for value in (0, -1, 2.0, None, True, "8")]
    + [("noise_inputs", value) for value in (0, -1, 2.0, True, "8")]
    + [(name, value) for name in FLAGS for value in (1, 0, "true", None)]
    + [(name, value) for name in COUNTS for value in (0, -1, 1.5, "2", True, math.nan, 2**31)]
    + [("negatives", value) for value in (0, -1, 2.0, "in batch", None, True, "8")]
    + [("temperature", 1e-300), ("learning_rate", 1e300), ("initial_norm", 1e-40)]
)


@pytest.mark.parametrize("name, value", BAD, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BAD)])
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(InvalidInput) as caught:
        BASE.replace(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: got ") and ", wants " in message
    assert "\n" not in message and len(message) < 300
    assert caught.value.field == name


def test_every_field_is_in_the_table_of_bad_values():
    assert {name for name, _ in BAD} == {f.name for f in dataclasses.fields(Experiment)}


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"n_features": 65}, "n_features"),
        ({"n_inputs": 15}, "n_features"),
        ({"n_features": 2}, "density"),
        ({"n_features": 1}, "density"),
        ({"n_features": 2, "latents": "amplitudes"}, "density"),
        ({"density_factor": 16.0}, "density_factor"),
        ({"density_factor": 16.0, "latents": "amplitudes"}, "density_factor"),
        ({"batch_size": 1}, "batch_size"),
        ({"bias_cap": 0.1}, "bias_cap"),
        ({"bias_factor": 3.0}, "bias_cap"),
        ({"temprature": 1.0}, "experiment"),
        ({"self": 1.0}, "experiment"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(changes, field):
    with pytest.raises(InvalidInput) as caught:
        BASE.replace(**changes)
    assert caught.value.field == field


def test_the_edges_of_every_range_are_allowed():
    for changes in (
        {"n_features": 64},
        {"n_steps": 0},
        {"density": 0.0},
        {"density": 1},
        {"noise_variance": 0.0},
        {"weight_decay": 0},
        {"noise_correlation": 1},
        {"negatives": 1, "batch_size": 1},
        {"stage_one_growth": 1},
        {"bias_growth": 1},
        {"bias_factor": 0, "bias_cap": 0},
        {"stage_one_growth": None, "bias_cap": 0},
        {"n_features": 2, "density": 0.1, "bias_cap": 0.6},
        {"n_features": 1, "density": 0.1},
        {"n_features": 2, "latents": "one_of_d", "bias_cap": 0.6},
        {"n_features": 2, "latents": "k_sparse", "n_active": 2, "bias_cap": 0.6},
        {"seed": 2**63 - 1},
        {"temperature": 1e-300, "dtype": "float64"},
    ):
        changed = BASE.replace(**changes)
        for name, value in changes.items():
            assert getattr(changed, name) == value


def test_values_are_kept_as_plain_numbers():
    e = BASE.replace(n_features=np.int64(8), temperature=np.float32(0.5), learning_rate=1)
    assert type(e.n_features) is int and type(e.temperature) is float
    assert type(e.learning_rate) is float
    json.dumps(e.to_dict())


def test_an_experiment_is_frozen_and_compares_by_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.seed = 3
    assert BASE.replace(seed=1) != BASE and BASE.replace(seed=BASE.seed) == BASE


def test_the_papers_formulas():
    by_formula = dict(density=None, noise_variance=None, bias_growth=None)
    e = BASE.replace(density_factor=1.5, noise_factor=0.7, learning_rate=0.4, bias_factor=0.8)
    e = e.replace(**by_formula)
    assert e.resolved_density == pytest.approx(1.5 * math.log(math.log(16)) / 16, rel=1e-15)
    assert e.resolved_noise_variance == pytest.approx(0.7 * math.sqrt(math.log(16)) / 16, rel=1e-15)
    assert e.resolved_bias_growth == pytest.approx(1 + 0.4 / 16, rel=1e-15)
    assert e.bias_jump == pytest.approx(math.sqrt(0.8 * math.log(16) / 16), rel=1e-15)
    given = e.replace(density=0.25, noise_variance=0.5, bias_growth=1.25)
    assert given.resolved_density == 0.25 and given.resolved_noise_variance == 0.5
    assert given.resolved_bias_growth == 1.25


SAVED = [
    BASE,
    BASE.replace(density=None, stage_one_growth=None, bias_growth=1.01, seed=2**62),
    BASE.replace(negatives=7, stop_gradient=False, augmentation="none", dtype="float64"),
    BASE.replace(density=0.1, noise_variance=0.0, augmentation="correlated_noise"),
    BASE.replace(learning_rate=0.1 + 0.2, temperature=1 / 3),
]


@pytest.mark.parametrize("suffix", (".json", ".toml"))
@pytest.mark.parametrize("experiment", SAVED)
def test_a_file_gives_back_what_was_saved(experiment, suffix, tmp_path):
    path = tmp_path / f"experiment{suffix}"
    experiment.save(path)
    assert Experiment.load(path) == experiment


def test_a_dictionary_gives_back_what_it_came_from():
    for experiment in (*SAVED, *PRESETS.values()):
        assert Experiment.from_dict(experiment.to_dict()) == experiment


def test_missing_fields_take_their_defaults(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text("seed = 5\n")
    assert Experiment.load(path) == Experiment(seed=5)


BAD_FILES = {
    "syntax.toml": "seed = ",
    "nested.toml": "[data]\nn_features = 8",
    "unknown.toml": "sead = 3",
    "type.toml": 'seed = "3"',
    "nan.toml": "temperature = nan",
    "date.toml": "temperature = 2024-01-01",
    "hex.toml": "seed = 0x" + "f" * 5000,
    "long.toml": "seed = " + "9" * 5000,
    "twice.toml": "seed = 1\nseed = 2",
    "none.toml": 'seed = "none"',
    "syntax.json": "{",
    "empty.json": "",
    "list.json": "[]",
    "number.json": "3",
    "null.json": "null",
    "unknown.json": '{"sead": 3}',
    "self.json": '{"self": 3}',
    "type.json": '{"seed": "3"}',
    "nan.json": '{"temperature": NaN}',
    "inf.json": '{"temperature": 1e999}',
    "huge.json": '{"temperature": 1' + "0" * 400 + "}",
    "deep.json": "[" * 100000,
    "null-field.json": '{"seed": null}',
    "name.yaml": "seed: 3",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_malformed_file_is_refused_in_one_line(name, tmp_path):
    path = tmp_path / name
    path.write_text(BAD_FILES[name])
    with pytest.raises(InvalidInput) as caught:
        Experiment.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.toml", tmp_path, tmp_path / "bytes.toml", tmp_path / "x" / "y"):
        with pytest.raises(InvalidInput, match="^experiment file: got "):
            Experiment.load(path)
    with pytest.raises(InvalidInput, match="^experiment file: got .*\\.yaml"):
        BASE.save(tmp_path / "x.yaml")


def test_presets():
    assert set(PRESETS) >= {"tiny", "quick", "default", "no-augmentation"}
    assert preset("default").replace(augmentation="none") == preset("no-augmentation")
    with pytest.raises(InvalidInput, match="^preset: got 'huge'"):
        preset("huge")


def test_fields_added_later_leave_the_identity_of_older_runs_alone():
    exp = Experiment()
    assert "dense" not in exp.identity() and exp.identity()["n_inputs"] == 1024
    assert exp.replace(dense="gram").identity()["dense"] == "gram"
    assert Experiment.from_dict(exp.identity()) == exp
