"""Values as people write them, on the command line and in files, and what a slip is answered with."""

import json
import math

import pytest

from featlearn import Experiment, InvalidInput
from featlearn.commands import main
from featlearn.commands.common import parse_setting
from featlearn.sweeps.sweep import load_grid
from featlearn.values import did_you_mean, json_text, parse_word

NUMBERS = {
    "temperature=.5": 0.5,
    "temperature=+1": 1,
    "temperature=1.": 1.0,
    "temperature= 2 ": 2,
    "temperature=1E-1": 0.1,
    "n_steps=1e3": 1000,
    "n_steps=1_000": 1000,
    "n_steps=20.": 20,
    "negatives=1e2": 100,
    "stop_gradient=True": True,
    "stop_gradient=FALSE": False,
    "density=None": None,
    "density=NONE": None,
    "augmentation=none": "none",
    "seed=007": 7,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_values_are_read_as_people_write_them(text):
    name, value = parse_setting(text)
    assert value == NUMBERS[text] and type(value) is type(NUMBERS[text])
    assert getattr(Experiment().replace(**{name: value}), name) == NUMBERS[text]


@pytest.mark.parametrize("word", ("n_steps=1.5", "n_steps=1e400", "n_steps=1__0", "n_steps=1,5"))
def test_what_is_no_whole_number_is_refused(word):
    name, value = parse_setting(word)
    with pytest.raises(InvalidInput, match="^n_steps: got "):
        Experiment().replace(n_steps=value)


@pytest.mark.parametrize("word", ("", ".", "+", "e3", "1e", "0x10", "null", "[1]", "nano", "1_"))
def test_words_stay_words(word):
    assert parse_word(word) == word


WINDOWS = "n_steps = 1e3\r\n# τ\r\ndensity = 'None'\r\n"
FILES = {
    "plain.toml": WINDOWS.encode(),
    "marked.toml": WINDOWS.encode("utf-8-sig"),
    "UPPER.TOML": WINDOWS.encode("utf-8-sig"),
    "wide.toml": WINDOWS.encode("utf-16"),
    "marked.json": '{"n_steps": 1e3, "density": null}'.encode("utf-8-sig"),
    "UPPER.JSON": b'{"n_steps": 1000.0, "density": "none"}',
    "no-suffix": b'{"n_steps": 1000}',
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_editors_write_them(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    assert Experiment.load(tmp_path / name) == Experiment(n_steps=1000)


@pytest.mark.parametrize("text", ("[grid]\nseed = [1e1]\n", "[grid]\r\nseed = [10]\r\n"))
def test_grids_are_read_as_experiments_are(text, tmp_path):
    (tmp_path / "GRID.TOML").write_bytes(text.encode("utf-8-sig"))
    assert load_grid(tmp_path / "GRID.TOML")[1] == {"seed": [10]}


NEARLY = {
    "lr": "learning_rate",
    "learning-rate": "learning_rate",
    "learningRate": "learning_rate",
    "weight_deacy": "weight_decay",
    "tau": "temperature",
    "lambda": "weight_decay",
    "d1": "n_inputs",
    "B": "batch_size",
    "steps": "n_steps",
}


@pytest.mark.parametrize("name", NEARLY)
def test_a_near_miss_is_answered_with_the_name(name):
    with pytest.raises(InvalidInput, match=f"did you mean .*{NEARLY[name]}"):
        Experiment().replace(**{name: 1})


def test_what_is_near_nothing_gets_no_suggestion():
    assert did_you_mean("", ["learning_rate"]) == ""
    assert did_you_mean("quux", ["learning_rate"]) == ""


MESSAGES = {
    ("run", "--config", "wrong.toml"): ["wrong.toml: n_steps: got 'many'", "featlearn run --help"],
    ("sweep", "--file", "grid.toml", "--out", "x"): ["grid.toml: experiment: got 'lr'"],
    ("run", "--config", "x.yaml"): ["got 'x.yaml', wants a .toml or .json file"],
    ("run", "--config", "."): ["got '.', wants a"],
    ("run", "--set", "augmentation=RandomMask"): ["did you mean random_mask?"],
    ("run", "--preset", "defualt"): ["did you mean default?", "featlearn run --help"],
    ("plan", "--sugest"): ["featlearn plan: ", "did you mean --suggest"],
    ("chekc",): ["did you mean check?"],
    ("plan", "--set", "\udcff=1"): ["experiment: got '\\udcff', wants a field"],
    ("run", "--config", "surrogate.json"): ["surrogate.json: experiment: got '\\ud800'"],
    ("run", "--model", "\udcff.py:Model"): ["--model: got ", "wants a Python file that runs"],
    ("run", "--config", "twice.json"): ["twice.json", "valid text ('n_steps' stands there twice)"],
    ("run", "--config", ""): ["argument --config: got '', wants FILE", "featlearn run --help"],
    ("run", "--resume", ""): ["argument --resume: got '', wants DIR"],
    ("run", "--watch", "", "--out", "x"): ["argument --watch: got '', wants PNG"],
    ("step", "--html", ""): ["argument --html: got '', wants FILE"],
    ("sweep", "--file", "", "--out", "x"): ["argument --file: got '', wants FILE"],
    ("sweep", "--grid", "seed=1", "--out", ""): ["argument --out: got '', wants DIR"],
    ("plot", ""): ["argument RUN: got '', wants RUN"],
    ("images", "--from", "a.png", ""): ["argument --from: got '', wants FILE"],
    ("plan", "--seed", "9" * 5000): ["invalid int value", "featlearn plan --help"],
    ("plan", "--" + "x" * 5000): ["unrecognized arguments", "featlearn plan --help"],
}


@pytest.mark.parametrize("words", MESSAGES, ids=lambda words: " ".join(words)[:40])
def test_messages_name_the_file_and_where_to_read_on(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text("n_steps = 'many'\n")
    (tmp_path / "twice.json").write_text('{"n_steps": 3, "seed": 1, "n_steps": 4}')
    (tmp_path / "surrogate.json").write_text(r'{"\ud800": 1}')
    (tmp_path / "grid.toml").write_text("[base]\nlr = 1\n[grid]\nseed = [1]\n")
    try:
        code = main(list(words))
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and said.count("\n") == 1 and len(said) < 500
    assert all(part in said for part in MESSAGES[words]), said


def test_json_has_null_for_what_is_not_finite():
    values = {"a": [math.nan, 1.5, (math.inf, "nan")], "b": -math.inf, "c": True, "d": None}
    assert json.loads(json_text(values)) == {
        "a": [None, 1.5, [None, "nan"]], "b": None, "c": True, "d": None,
    }  # fmt: skip
    numpy = pytest.importorskip("numpy")
    assert json.loads(json_text({"x": numpy.float32("nan"), "n": numpy.int64(3)})) == {
        "x": None, "n": 3,
    }  # fmt: skip
