"""Malformed command lines, files and run directories: one line, exit code 2, nothing written."""

import io
import json
import pickle
import shutil
import signal
import zipfile

import numpy as np
import pytest
from test_experiment import BAD_FILES

import featlearn
from featlearn.commands import main
from featlearn.explain.gradient_check import check_gradient
from featlearn.probing import probe
from featlearn.recording.rows import HEADER_BYTES
from featlearn.reports.explorer import frames_of_run, frames_of_steps, make_explorer
from featlearn.yardstick import learn_components

SMALL = featlearn.Experiment(
    n_features=4, n_inputs=16, n_neurons=6, batch_size=8, n_steps=20, bias_cap=0.7, seed=4
)


def snapshot(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Run a command line that must be refused; return what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = snapshot(tmp_path)
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
        out, said = capfd.readouterr()
        assert code == 2, (code, said)
        assert said.count("\n") == 1 and said.startswith("featlearn"), said
        assert out == "" and "Traceback" not in said
        assert len(said) < 500
        assert snapshot(tmp_path) == before
        return said

    return run


SETTINGS = {
    "n_features=0": "n_features: got 0, wants",
    "n_features=-3": "n_features: got -3",
    "n_features=1.5": "n_features: got 1.5",
    "n_features=many": "n_features: got 'many'",
    "n_features=": "n_features: got ''",
    "n_features=17": "n_features: got 17, wants at most n_inputs",
    "n_inputs=0": "n_inputs: got 0",
    "n_inputs=1.55e1": "n_inputs: got 15.5",
    "n_neurons=true": "n_neurons: got True",
    "n_neurons=99999999999": "n_neurons: got 99999999999, wants a whole number ≥ 1 and ≤ 2147483647",
    "batch_size=1": "batch_size: got 1, wants at least 2",
    "batch_size=null": "batch_size: got 'null'",
    "n_steps=-1": "n_steps: got -1",
    "n_steps=inf": "n_steps: got 'inf'",
    "learning_rate=0": "learning_rate: got 0",
    "learning_rate=nan": "learning_rate: got 'nan'",
    "learning_rate=NaN": "learning_rate: got nan",
    "learning_rate=1e999": "learning_rate: got inf",
    "learning_rate=[1]": "learning_rate: got '[1]'",
    "learning_rate=1e-60": "learning_rate: got 1e-60",
    "weight_decay=-0.1": "weight_decay: got -0.1",
    "temperature=0": "temperature: got 0",
    "temperature=-2": "temperature: got -2",
    "temperature=none": "temperature: got 'none'",
    "density=1.5": "density: got 1.5",
    "density=dense": "density: got 'dense'",
    "density_factor=1e6": "density_factor: got 1000000.0, wants at most",
    "noise_variance=-1": "noise_variance: got -1",
    "noise_factor=Infinity": "noise_factor: got inf",
    "augmentation=crop": "augmentation: got 'crop', wants one of random_mask",
    "augmentation=3": "augmentation: got 3",
    "keep_probability=0": "keep_probability: got 0",
    "keep_probability=1": "keep_probability: got 1",
    "noise_correlation=2": "noise_correlation: got 2",
    "dictionary=fourier": "dictionary: got 'fourier'",
    "initial_norm=0": "initial_norm: got 0",
    "negatives=all": "negatives: got 'all'",
    "negatives=0": "negatives: got 0",
    "stop_gradient=yes": "stop_gradient: got 'yes', wants true or false",
    "stop_gradient=1": "stop_gradient: got 1",
    "stage_one_growth=0.5": "stage_one_growth: got 0.5",
    "bias_factor=-1": "bias_factor: got -1",
    "bias_growth=0.9": "bias_growth: got 0.9",
    "bias_cap=0.01": "bias_cap: got 0.01, wants at least",
    "seed=-1": "seed: got -1",
    "n_steps=1e300": "n_steps: got 1e+300, wants a whole number ≥ 0 and ≤ 2147483647",
    "seed=0x10": "seed: got '0x10'",
    "dtype=float16": "dtype: got 'float16'",
    "record_every=0": "record_every: got 0",
    "tau=1": "experiment: got 'tau', wants a field among",
    "__class__=1": "experiment: got '__class__'",
    "self=1": "experiment: got 'self'",
    "temperature": "--set: got 'temperature', wants name=value",
    "=1": "--set: got '=1', wants name=value",
    "": "--set: got '', wants NAME=VALUE",
    "seed=" + "9" * 6000: "seed: got '9999",
    "seed=" + "[" * 6000: "seed: got '[[[",
}


@pytest.mark.parametrize("setting", SETTINGS, ids=[f"{k[:40]}" for k in SETTINGS])
def test_settings(refused, tmp_path, setting):
    SMALL.save(tmp_path / "small.json")
    assert SETTINGS[setting] in refused("run", "--config", "small.json", "--set", setting)


TOO_LARGE = {
    ("n_inputs=2000000000", "n_features=2000000000"): "n_inputs, n_features: got ",
    ("n_neurons=2000000000",): "n_neurons",
    ("n_inputs=1000000000",): "n_inputs",
    ("batch_size=2000000000",): "batch_size",
    ("negatives=2000000000",): "negatives",
    ("objective=supervised", "n_tasks=2147483647"): "batch_size, n_tasks: got (",
    ("objective=supervised", "label_leak=.3", "n_tasks=1000000000"): "n_inputs, n_tasks: got (",
    (
        "objective=nt_xent",
        "stop_gradient=false",
        "batch_size=3000000",
    ): "batch_size: got (3000000,)",
    ("n_samples=2000000000",): "n_samples, n_inputs: got (",
    ("n_steps=2000000000", "record_every=1"): "n_steps, record_every, n_neurons, n_features",
}


@pytest.mark.parametrize("settings", TOO_LARGE, ids="-".join)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_allocated(
    refused, tmp_path, settings
):
    SMALL.save(tmp_path / "small.json")
    arguments = [word for setting in settings for word in ("--set", setting)]
    said = refused("run", "--config", "small.json", *arguments, "--out", "large")
    assert TOO_LARGE[settings] in said and " bytes " in said and " are available" in said
    if not any(setting.startswith("n_steps") for setting in settings):
        assert " bytes " in refused("step", "--config", "small.json", *arguments)


COMMAND_LINES = {
    "": "the following arguments are required: COMMAND",
    "fly": "invalid choice: 'fly'",
    "--fly": "required: COMMAND",
    "run --fly": "unrecognized arguments: --fly",
    "run something": "unrecognized arguments: something",
    "run --preset": "--preset: expected one argument",
    "run --preset huge": "--preset: invalid choice: 'huge'",
    "run --seed one": "--seed: invalid int value: 'one'",
    "run --seed 1.5": "--seed: invalid int value",
    "run --seed -1": "seed: got -1",
    "run --set": "--set: expected one argument",
    "run --config absent.toml": "experiment file: got 'absent.toml'",
    "run --config .": "experiment file: got '.'",
    "run --config absent.toml --preset tiny": "--config: got 'absent.toml', wants no --preset",
    "run --resume absent": "absent: is not a run directory, config.json is missing",
    "run --resume empty": "empty: is not a run directory",
    "run --resume a-file": "a-file: is not a run directory",
    "run --resume absent --seed 1": "--seed: got 1, wants nothing, beside --resume",
    "run --resume absent --out x": "--out: got 'x'",
    "run --resume absent --set seed=1": "--set: got ['seed=1']",
    "run --resume absent --preset tiny": "--preset: got 'tiny'",
    "run --out full": "full: exists and is not an empty directory",
    "run --out a-file": "a-file: exists and is not an empty directory",
    "run --out a-file/x": "a-file/x: cannot be written (Not a directory)",
    "run --out /proc/x/y": "/proc/x/y: cannot be written",
    "run --out " + "x" * 300: "cannot be written (File name too long)",
    "plot": "required: RUN",
    "plot absent": "absent: is not a run directory",
    "plot empty": "empty: is not a run directory",
    "plot empty --only nothing": "--only: got 'nothing'",
    "check": "RUN: got None",
    "check absent": "absent: is not a run directory",
    "reproduce --preset huge": "--preset: invalid choice",
    "sweep --out x": "--grid: got None",
    "sweep --grid seed": "required: --out",
    "sweep --grid seed --out x": "--grid: got 'seed'",
    "sweep --grid sead=1,2 --out x": "sead",
    "sweep --grid seed=1,b --out x": "seed: got 'b'",
    "sweep --grid seed=0..99999 --grid n_steps=1..9 --out x": "--grid: got '900000 experiments'",
}


@pytest.mark.parametrize("line", COMMAND_LINES, ids=[c[:50] or "nothing" for c in COMMAND_LINES])
def test_command_lines(refused, tmp_path, line):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "a-file").write_text("mine")
    assert COMMAND_LINES[line] in refused(*line.split())


@pytest.mark.parametrize("name", BAD_FILES)
def test_experiment_files(refused, tmp_path, name):
    (tmp_path / name).write_text(BAD_FILES[name])
    refused("run", "--config", name, "--out", "run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A complete run, and one that was interrupted."""
    folder = tmp_path_factory.mktemp("recorded")
    featlearn.train(SMALL, folder / "complete")

    def stop(row):
        if row["step"] == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(SMALL, folder / "stopped", progress=stop)
    # Stopped without a last checkpoint, as by kill -9; then once more in the usual way.

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(
            None,
            folder / "stopped",
            resume=True,
            progress=lambda row: row["step"] == 12 and signal.raise_signal(signal.SIGINT),
        )
    return folder


class Bomb:
    """What a pickle may do to whoever loads it."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


def edit(change):
    def apply(run):
        path = run / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    return apply


def write(name, content):
    def apply(run):
        if isinstance(content, np.ndarray):
            np.save(run / name, content)
        else:
            (run / name).write_bytes(content)

    return apply


def cut(name, length):
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:length])


def remove(name):
    return lambda run: (run / name).unlink()


def turn_a_byte(name, position):
    def apply(run):
        data = bytearray((run / name).read_bytes())
        data[position] ^= 0x55
        (run / name).write_bytes(data)

    return apply


def bomb_in_the_checkpoint(run):
    np.savez(run / "checkpoint.npz", weights=np.array([Bomb()], object), checksum=np.zeros(32))


def bomb_in_the_trajectory(run):
    with open(run / "trajectory" / "loss.npy", "wb") as file:
        np.save(file, np.array([Bomb()], object), allow_pickle=True)


def an_archive_as_a_trajectory(run):
    with open(run / "trajectory" / "loss.npy", "wb") as file:
        np.savez(file, loss=np.zeros(3))


def a_checkpoint_without_its_checksum(run):
    np.savez(run / "checkpoint.npz", weights=np.zeros((6, 16)))


def a_checkpoint_of_another_run(run):
    other = featlearn.train(SMALL.replace(seed=5, n_steps=1), run.parent / "other").directory
    shutil.copy(other / "checkpoint.npz", run)
    shutil.rmtree(other)


def encrypted(run):
    data = bytearray((run / "checkpoint.npz").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    (run / "checkpoint.npz").write_bytes(data)


def lines_of_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", "hello")
    return buffer.getvalue()


def header(text):
    """A .npy file with a header of one's own."""
    body = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


LOSS, ALPHA = "trajectory/loss.npy", "trajectory/alignment.npy"
DAMAGES = {
    "config: missing": (remove("config.json"), "config.json is missing"),
    "config: empty": (write("config.json", b""), "config.json: is not valid JSON"),
    "config: cut": (cut("config.json", 100), "config.json: is not valid JSON"),
    "config: bytes": (write("config.json", b"\xff\x00"), "config.json: is not valid JSON"),
    "config: list": (write("config.json", b"[1]"), "config.json: holds no table"),
    "config: deep": (write("config.json", b"[" * 100000), "config.json: is not valid JSON"),
    "config: newer": (edit(lambda c: c.update(format=2)), "format 2, this version reads 1"),
    "config: no format": (edit(lambda c: c.pop("format")), "format None"),
    "config: format list": (edit(lambda c: c.update(format=[1])), "format [1]"),
    "config: no experiment": (edit(lambda c: c.pop("experiment")), "experiment: got None"),
    "config: text": (edit(lambda c: c.update(experiment="tiny")), "experiment: got 'tiny'"),
    "config: unknown": (edit(lambda c: c["experiment"].update(tau=1)), "experiment: got 'tau'"),
    "config: type": (edit(lambda c: c["experiment"].update(seed="4")), "seed: got '4'"),
    "config: nan": (edit(lambda c: c["experiment"].update(density=float("nan"))), "density: got"),
    "config: edited rate": (
        edit(lambda c: c["experiment"].update(learning_rate=0.5)),
        "another experiment than config.json",
    ),
    "config: edited seed": (
        edit(lambda c: c["experiment"].update(seed=5)),
        "another experiment than config.json",
    ),
    "config: edited steps": (
        edit(lambda c: c["experiment"].update(n_steps=2000)),
        "another experiment than config.json",
    ),
    "config: edited size": (edit(lambda c: c["experiment"].update(n_neurons=7)), ""),
    "config: huge": (edit(lambda c: c["experiment"].update(n_neurons=2**31 - 1)), ""),
    "checkpoint: empty": (write("checkpoint.npz", b""), "checkpoint.npz: is damaged"),
    "checkpoint: cut": (cut("checkpoint.npz", 700), "checkpoint.npz: is damaged"),
    "checkpoint: text": (write("checkpoint.npz", b"hello"), "checkpoint.npz: is damaged"),
    "checkpoint: zip": (write("checkpoint.npz", lines_of_zip()), "checkpoint.npz: is damaged"),
    "checkpoint: npy": (
        lambda run: write("checkpoint.npz", (run / LOSS).read_bytes())(run),
        "checkpoint.npz: is damaged",
    ),
    "checkpoint: pickle": (write("checkpoint.npz", pickle.dumps(Bomb())), "is damaged"),
    "checkpoint: bomb": (bomb_in_the_checkpoint, "checkpoint.npz: is damaged"),
    "checkpoint: unsigned": (a_checkpoint_without_its_checksum, "checkpoint.npz: is damaged"),
    "checkpoint: other run": (a_checkpoint_of_another_run, "another experiment"),
    "checkpoint: encrypted": (encrypted, "checkpoint.npz: is damaged"),
    "loss: missing": (remove(LOSS), "loss.npy: is missing"),
    "loss: empty": (write(LOSS, b""), "loss.npy: is damaged"),
    "loss: header only": (cut(LOSS, HEADER_BYTES), "loss.npy: is damaged"),
    "loss: half a header": (cut(LOSS, 60), "loss.npy: is damaged"),
    "loss: cut": (cut(LOSS, HEADER_BYTES + 30), "loss.npy: is damaged"),
    "loss: text": (write(LOSS, b"0.1 0.2 0.3"), "loss.npy: is damaged"),
    "loss: pickle": (write(LOSS, pickle.dumps(Bomb())), "loss.npy: is damaged"),
    "loss: bomb": (bomb_in_the_trajectory, "loss.npy: is damaged"),
    "loss: archive": (an_archive_as_a_trajectory, "loss.npy: is damaged"),
    "loss: one number": (write(LOSS, np.array(1.0)), "loss.npy: holds an array of shape ()"),
    "loss: float32": (write(LOSS, np.zeros(21, np.float32)), "loss.npy: holds"),
    "loss: matrix": (write(LOSS, np.zeros((21, 2))), "loss.npy: holds"),
    "loss: code": (write(LOSS, header("open('exploded', 'w')")), "loss.npy: is damaged"),
    "loss: negative": (
        write(LOSS, header("{'descr': '<f8', 'fortran_order': False, 'shape': (-5,)}")),
        "loss.npy: is damaged",
    ),
    "loss: endless": (
        write(
            LOSS, header("{'descr': '<f8', 'fortran_order': False, 'shape': (9" + "9" * 25 + ",)}")
        ),
        "loss.npy: is damaged",
    ),
    "loss: unclosed": (write(LOSS, header("{'descr': (((")), "loss.npy: is damaged"),
    "alignment: foreign": (write(ALPHA, np.zeros((21, 4, 6), np.float32)), "alignment.npy: holds"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_run_directories(refused, recorded, tmp_path, name):
    """Neither loaded, nor plotted, nor resumed."""
    damage, wanted = DAMAGES[name]
    for kind in ("complete", "stopped"):
        shutil.copytree(recorded / kind, tmp_path / kind)
        damage(tmp_path / kind)
    with pytest.raises(featlearn.RunDirectoryError) as caught:
        featlearn.load_run(tmp_path / "complete")
    assert wanted in str(caught.value) and "\n" not in str(caught.value)
    assert wanted in refused("plot", "complete")
    assert wanted in refused("run", "--resume", "complete")
    assert wanted in refused("run", "--resume", "stopped")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("position", range(0, 2000, 97))
def test_a_turned_byte_of_a_checkpoint_is_noticed_or_harmless(recorded, tmp_path, position):
    shutil.copytree(recorded / "complete", tmp_path / "run")
    turn_a_byte("checkpoint.npz", position)(tmp_path / "run")
    whole = featlearn.load_run(recorded / "complete")
    try:
        run = featlearn.load_run(tmp_path / "run")
    except featlearn.RunDirectoryError as error:
        assert "checkpoint.npz: is damaged" in str(error)
    else:
        np.testing.assert_array_equal(run.weights, whole.weights)


@pytest.mark.parametrize("position", range(0, HEADER_BYTES, 11))
def test_a_turned_byte_of_a_header_is_noticed_or_harmless(recorded, tmp_path, position):
    shutil.copytree(recorded / "complete", tmp_path / "run")
    turn_a_byte(LOSS, position)(tmp_path / "run")
    try:
        run = featlearn.load_run(tmp_path / "run")
    except featlearn.RunDirectoryError as error:
        assert "loss.npy: " in str(error) and "\n" not in str(error)
    else:
        assert run["loss"].dtype == np.float64


def test_a_run_of_another_experiment_is_not_continued(recorded, tmp_path):
    for kind in ("complete", "stopped"):
        with pytest.raises(featlearn.RunDirectoryError, match="run of another experiment"):
            featlearn.train(SMALL.replace(seed=5), recorded / kind, resume=True)


@pytest.mark.parametrize("value", (None, "tiny", {}, 3))
def test_what_is_no_experiment_is_not_trained(value, tmp_path):
    for directory in (None, tmp_path / "run"):
        with pytest.raises(featlearn.InvalidInput, match="^experiment: got "):
            featlearn.train(value, directory)
    assert not (tmp_path / "run").exists()


def test_quantities_are_asked_for_by_name(recorded):
    with pytest.raises(featlearn.InvalidInput, match="^run quantity: got 'losses', wants one of"):
        featlearn.load_run(recorded / "complete")["losses"]


def gradient(**changes):
    """The gradient of two weights on four views."""
    rng = np.random.default_rng(0)
    arrays = {"weights": (2, 3), "anchors": (4, 3), "keys": (4, 3)}
    given = {name: rng.standard_normal(shape) for name, shape in arrays.items()}
    return featlearn.contrastive_gradient(
        **given, **{"biases": np.zeros(2), "temperature": 1.0, **changes}
    )


def check_step(**options):
    return check_gradient(featlearn.init(SMALL), **options)


DRAWS = {
    "make_dictionary": lambda rng: featlearn.make_dictionary("flat", 9, 4, rng),
    "sample": lambda rng: featlearn.init(SMALL).model.sample(rng, 3),
    "draw_latents": lambda rng: featlearn.init(SMALL).model.draw_latents(rng, 3),
    "draw_noise": lambda rng: featlearn.init(SMALL).model.draw_noise(rng, 3),
    "learn_dictionary": lambda rng: featlearn.learn_dictionary(np.eye(5), 2, rng),
    "learn_components": lambda rng: learn_components(np.eye(5), 2, rng),
    "shared_cosines": lambda rng: featlearn.shared_cosines(*_network(), rng),
    "probe": lambda rng: probe(*_network(), rng),
}


def _network():
    state = featlearn.init(SMALL)
    return state.weights, state.biases, state.model


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("rng", (0, None, np.random.RandomState(0), np.random.SFC64(0)))
def test_what_draws_no_random_numbers_is_refused_as_rng(name, rng):
    with pytest.raises(featlearn.InvalidInput, match="rng: got .*, wants a numpy.random.Generator"):
        DRAWS[name](rng)


def test_no_fewer_samples_than_none_are_drawn():
    with pytest.raises(featlearn.InvalidInput, match="n: got -1, wants a whole number ≥ 0"):
        featlearn.init(SMALL).model.draw_noise(np.random.default_rng(0), -1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gradient(negative_groups=0), "negative_groups: got 0, wants a whole number ≥ 1"),
        (lambda: gradient(negative_groups=-2), "negative_groups: got -2"),
        (lambda: gradient(negative_groups=1.5), "negative_groups: got 1.5"),
        (lambda: gradient(temperature="1"), "temperature: got '1', wants a finite number > 0"),
        (lambda: gradient(temperature=float("nan")), "temperature: got nan"),
        (lambda: gradient(temperature=None), "temperature: got None"),
        (lambda: check_step(coordinates=0), "coordinates: got 0, wants a whole number ≥ 1"),
        (lambda: check_step(coordinates=2.5), "coordinates: got 2.5"),
        (lambda: check_step(step_size="small"), "step_size: got 'small'"),
        (lambda: check_step(step_size=float("inf")), "step_size: got inf"),
        (lambda: featlearn.SparseCodingModel([[1.0], [0.0]], 0.1, 0.1), "dictionary: got 'list'"),
        (
            lambda: featlearn.SparseCodingModel(np.eye(3, dtype=int), 0.1, 0.1),
            "dictionary: got 'int64', wants an ndarray of float32 or float64",
        ),
        (lambda: featlearn.evaluate(featlearn.init(SMALL), "x"), "batch: got 'x', wants a Batch"),
        (lambda: featlearn.step(featlearn.init(SMALL), 5), "gradient: got 5, wants a Gradient"),
        (
            lambda: featlearn.step(
                featlearn.init(SMALL),
                featlearn.evaluate(featlearn.init(SMALL.replace(n_neurons=7))),
            ),
            "gradient: got 'one of shape",
        ),
        (lambda: featlearn.train_together([SMALL], resume=True), "resume: got True, wants no such"),
        (lambda: featlearn.train_together([SMALL], start=None), "start: got None, wants no such"),
    ],
)
def test_arguments_of_the_package_are_refused_by_name(call, said):
    with pytest.raises(featlearn.InvalidInput, match=said):
        call()


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    place = tmp_path_factory.mktemp("recorded") / "run"
    featlearn.train(SMALL, place)
    return place


NO_RUNS = {
    "check a path": (lambda place: featlearn.check(place), "runs"),
    "check a word": (lambda place: featlearn.check(str(place)), "runs"),
    "check nothing": (lambda place: featlearn.check(None), "runs"),
    "summarize a path": (lambda place: featlearn.summarize(place), "run"),
    "load an experiment": (lambda place: featlearn.load_runs([SMALL]), "directories"),
    "load nothing": (lambda place: featlearn.group_runs(None), "directories"),
    "a step that is no whole number": (
        lambda place: featlearn.load_state(place, step=10.0),
        "step",
    ),
    "a flag for a step": (lambda place: featlearn.load_state(place, step=True), "step"),
    "rows of a run": (lambda place: featlearn.load_run(place)[1:3], "run quantity"),
    "an experiment's name": (lambda place: featlearn.init("tiny"), "experiment"),
    "words for weights": (lambda place: featlearn.init(SMALL).replace(weights="a"), "weights"),
    "uneven rows": (lambda place: featlearn.init(SMALL).replace(biases=[[1], [1, 2]]), "biases"),
    "an anchor of no batch": (
        lambda place: featlearn.explain_step(featlearn.init(SMALL)).contrasted_with(99),
        "anchor",
    ),
    "fewer than no steps": (lambda place: frames_of_steps(featlearn.init(SMALL), -1), "n_steps"),
}


@pytest.mark.parametrize("case", NO_RUNS)
def test_arguments_of_functions_on_runs_are_refused_by_name(a_run, case):
    call, field = NO_RUNS[case]
    with pytest.raises(featlearn.InvalidInput, match=f"^{field}: got"):
        call(a_run)


def test_one_run_and_runs_of_seeds_stand_where_several_runs_do(a_run):
    run = featlearn.load_run(a_run)
    assert featlearn.load_runs(run).seeds == [4]
    assert featlearn.check(featlearn.load_runs(run), replay=0)[0].claim == "trajectory"
    assert [] not in run and 3 not in run


def test_a_record_counts_in_whole_numbers_of_numpy_too():
    assert featlearn.Record(np.mean, every=np.int64(3)) == featlearn.Record(np.mean, every=3)


@pytest.mark.filterwarnings("error")
def test_the_page_of_a_single_row_is_made():
    page = make_explorer(frames_of_run(featlearn.train(SMALL.replace(n_steps=0))))
    assert "change in one step" in page
