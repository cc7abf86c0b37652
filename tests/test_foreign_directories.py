"""Run directories from anybody, on any file system: one line where they are refused, and nothing outside."""

import errno
import json
import os
import resource
import shutil
import signal

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.recording import files, lock
from featlearn.recording.rundir import load_state, verify

SMALL = featlearn.Experiment(
    n_features=4, n_inputs=16, n_neurons=6, batch_size=20, n_steps=30, bias_cap=0.6
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A complete run and one that was stopped."""
    place = tmp_path_factory.mktemp("recorded")
    featlearn.train(SMALL, place / "complete")

    def stop(row):
        if row["step"] == 17:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(SMALL, place / "stopped", progress=stop)
    return place


@pytest.fixture
def place(recorded, tmp_path, monkeypatch):
    shutil.copytree(recorded, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def no_hang():
    """What waits for a pipe is interrupted by this alarm, and fails."""

    def hangs(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refused(capsys, *words):
    """Run a command that is refused; return the line it says so in."""
    assert main(list(words)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


# Links


@pytest.mark.parametrize("name", ("checkpoint.npz", "status.json", "config.json"))
def test_a_link_in_place_of_a_temporary_file_is_not_followed(place, name):
    victim = place.parent / "victim"
    victim.write_text("precious")
    (place / "stopped" / f"{name}.new").symlink_to(victim)
    run = featlearn.train(None, "stopped", resume=True)
    assert len(run) == 31 and victim.read_text() == "precious"


@pytest.mark.parametrize("name", ("checkpoint.npz", "status.json", "claims.json"))
def test_a_link_in_place_of_a_file_is_replaced_or_read_never_written_through(place, name):
    victim = place.parent / "victim"
    file = place / "stopped" / name
    victim.write_bytes(file.read_bytes() if file.exists() else b"precious")
    before = victim.read_bytes()
    file.unlink(missing_ok=True)
    file.symlink_to(victim)
    featlearn.train(None, "stopped", resume=True)
    assert main(["check", "stopped", "--brief", "--quiet"]) in (0, 1)
    assert victim.read_bytes() == before and not file.is_symlink()


@pytest.mark.parametrize("name", ("trajectory", "trajectory/loss.npy", "lock", "checkpoints"))
def test_nothing_is_written_through_a_link(place, name, capsys):
    outside = place.parent / "outside"
    file = place / "stopped" / name
    file.rename(outside)
    file.symlink_to(outside)
    before = {p: p.read_bytes() for p in (outside, *outside.glob("*")) if p.is_file()}
    assert f"{name}: is a symbolic link" in refused(capsys, "run", "--resume", "stopped")
    assert before == {p: p.read_bytes() for p in (outside, *outside.glob("*")) if p.is_file()}


def test_figures_are_not_drawn_through_a_link(place, capsys):
    victim = place.parent / "victim"
    victim.write_text("precious")
    words = ["plot", "complete", "--only", "losses", "--format", "png"]
    (place / "complete/figures").mkdir()
    (place / "complete/figures/losses.png").symlink_to(victim)
    assert main(words) == 0
    assert victim.read_text() == "precious"
    assert not (place / "complete/figures/losses.png").is_symlink()
    capsys.readouterr()
    outside = place.parent / "outside"
    (place / "complete/figures").rename(outside)
    (outside / "losses.png").unlink()
    (place / "complete/figures").symlink_to(outside)
    assert "complete/figures: is a symbolic link" in refused(capsys, *words)
    assert not list(outside.iterdir())
    assert main([*words, "--out", "complete/figures"]) == 0, "where it is named it is meant"


def test_a_name_that_cannot_be_taken_is_taken_from_nobody(tmp_path, monkeypatch):
    (tmp_path / "file.00000000.new").write_text("of another process")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)
    with pytest.raises(FileExistsError):
        files.write_aside(tmp_path / "file", b"x")
    assert (tmp_path / "file.00000000.new").read_text() == "of another process"


# Pipes and devices


@pytest.mark.parametrize("kind", ("pipe", "device", "directory"))
@pytest.mark.parametrize(
    "name", ("config.json", "status.json", "checkpoint.npz", "trajectory/loss.npy")
)
def test_what_is_no_file_is_refused_and_not_waited_for(place, name, kind, capsys):
    for run in ("complete", "stopped"):
        file = place / run / name
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "device":
            file.symlink_to("/dev/zero")
        else:
            file.mkdir()
    for words in (("check", "complete"), ("run", "--resume", "stopped")):
        said = refused(capsys, *words)
        assert f"{name}: is not a regular file" in said or "is a symbolic link" in said


def test_a_pipe_in_place_of_a_kept_state_or_the_lock(place, capsys):
    kept = place / "complete/checkpoints/15.npz"
    kept.unlink()
    os.mkfifo(kept)
    assert "not a regular file" in verify("complete")["checkpoints/15.npz"]
    with pytest.raises(featlearn.RunDirectoryError, match="not a regular file"):
        load_state("complete", 15)
    (place / "stopped/lock").unlink()
    os.mkfifo(place / "stopped/lock")
    assert "lock: is not a regular file" in refused(capsys, "run", "--resume", "stopped")


# Contents


CONTENTS = {
    "no weights": ({"weights": None}, "weights is missing"),
    "no step": ({"step": None}, "step is missing"),
    "no experiment": ({"experiment": None}, "damaged ('experiment')"),
    "narrow weights": ({"weights": np.ones((6, 9), np.float32)}, "shape (6, 9)"),
    "double weights": ({"weights": np.ones((6, 16))}, "type float64"),
    "text weights": ({"weights": np.full((6, 16), "x")}, "type <U1"),
    "nan weights": ({"weights": np.full((6, 16), np.nan, np.float32)}, "not finite"),
    "text biases": ({"biases": np.array(["x"] * 6)}, "type <U1"),
    "step -5": ({"step": np.int64(-5)}, "step -5"),
    "step 10^12": ({"step": np.int64(10**12)}, "step 1000000000000"),
    "steps": ({"step": np.arange(3)}, "step is no number"),
    "step in words": ({"step": np.array("three")}, "step is no number"),
    "stage 7": ({"stage": np.int64(7)}, "stage 7"),
    "norm nan": ({"initial_norm": np.float64("nan")}, "initial_norm nan"),
    "experiment 3": ({"experiment": np.int64(3)}, "is damaged"),
    "experiment in words": ({"experiment": np.frombuffer(b"[1]", np.uint8)}, "is damaged"),
    "counts": ({"counted": np.frombuffer(b'{"loss": [1]}', np.uint8)}, "is damaged"),
    "counts in words": ({"counted": np.frombuffer(b'{"loss": "x"}', np.uint8)}, "is damaged"),
    "negative counts": ({"counted": np.frombuffer(b'{"loss": [-1, 2]}', np.uint8)}, "is damaged"),
    "a head in words": ({"objective head": np.array("x")}, "objective head is not finite"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_checkpoint_with_a_right_checksum_and_wrong_contents(place, name, capsys):
    changes, wanted = CONTENTS[name]
    path = place / "stopped/checkpoint.npz"
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "checksum"}
    arrays = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
    files.write_archive(path, arrays)
    for words in (("check", "stopped"), ("run", "--resume", "stopped")):
        said = refused(capsys, *words)
        assert "checkpoint.npz: is damaged" in said and wanted in said


@pytest.mark.parametrize("number", range(6))
def test_random_damage_is_refused_in_a_line_or_harmless(place, number):
    """Bits and bytes turned, ends cut and added, in every kind of file of a run."""
    rng = np.random.default_rng(number)
    kept = featlearn.load_run("complete")
    before = {name: np.array(array) for name, array in kept.arrays.items()}
    paths = [p for p in sorted((place / "complete").rglob("*")) if p.is_file() and p.name != "lock"]
    for path in rng.permutation(paths)[:8]:
        whole = path.read_bytes()
        at, some = int(rng.integers(len(whole))), rng.bytes(int(rng.integers(1, 20)))
        path.write_bytes(
            (
                whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :],
                whole[:at] + some + whole[at + len(some) :],
                whole[:at],
                whole + some,
            )[rng.integers(4)]
        )
        try:
            run = featlearn.load_run("complete", verify=True)
        except featlearn.RunDirectoryError as error:
            assert "\n" not in str(error)
        else:
            assert run.experiment == SMALL
            for name, array in before.items():
                np.testing.assert_array_equal(run[name], array)
        path.write_bytes(whole)


def edited(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


CONFIGS = {
    "versions": ({"versions": "x"}, "versions are no table"),
    "list of versions": ({"versions": [1]}, "versions are no table"),
    "steps to keep": ({"checkpoint_at": "x"}, "checkpoint_at is no list"),
    "texts to keep": ({"checkpoint_at": ["3"]}, "checkpoint_at is no list"),
    "lengths": ({"earlier_n_steps": {"a": 1}}, "earlier_n_steps is no list"),
    "own": ({"own": 3}, "table of own parts is damaged"),
    "own model": ({"own": {"model": "x"}}, "table of own parts is damaged"),
    "own name": ({"own": {"model": {"name": 3, "digest": "x"}}}, "table of own parts is damaged"),
    "start": ({"start": 3}, "where it began is damaged"),
    "start step": ({"start": {"step": -1}}, "where it began is damaged"),
    "start in words": ({"start": {"step": "x"}}, "where it began is damaged"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_with_wrong_contents(place, name, capsys):
    changes, wanted = CONFIGS[name]
    for run in ("complete", "stopped"):
        edited(place / run / "config.json", **changes)
    assert wanted in refused(capsys, "run", "--resume", "stopped")
    if name not in ("steps to keep", "texts to keep"):
        assert wanted in refused(capsys, "check", "complete")


def test_a_status_with_wrong_contents(place, capsys):
    edited(place / "stopped/status.json", step="x")
    assert "its step is no whole number" in refused(capsys, "run", "--resume", "stopped")
    edited(place / "stopped/status.json", status="complete")
    assert "is not complete as its status.json says" in refused(capsys, "check", "stopped")
    edited(place / "stopped/status.json", status=["complete"], step=17)
    assert len(featlearn.train(None, "stopped", resume=True)) == 31


@pytest.mark.parametrize(
    "row",
    (
        "{}",
        '{"run": "x", "status": "complete", "measures": {"a": null}, "experiment": {}}',
        '{"run": "../x", "status": "complete", "error": "", "measures": {}, "experiment": {}}',
        "null",
        "[]",
    ),
)
def test_a_row_of_a_sweep_with_wrong_contents(tmp_path, row, capsys):
    (tmp_path / "sweep/rows").mkdir(parents=True)
    (tmp_path / "sweep/rows/x.json").write_text(row)
    words = ["sweep", "--preset", "tiny", "--set", "n_steps=2", "--grid", "seed=0", "--quiet"]
    assert "rows/x.json: " in refused(capsys, *words, "--out", str(tmp_path / "sweep"))


@pytest.mark.parametrize("name", ("a\nb", "a\r\nb", "a\x1b[31mb", "a\udcffb"))
def test_an_error_is_one_line_whatever_a_file_is_called(name, capsys):
    said = refused(capsys, "check", name)
    assert "a" in said and "\x1b" not in said


# File systems


def fails(code):
    def function(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return function


@pytest.mark.parametrize("code", (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, None))
def test_without_locks_a_file_says_who_writes(tmp_path, monkeypatch, code):
    if code is None:
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", fails(code))
    with pytest.warns(UserWarning, match="cannot be locked here"):
        run = featlearn.train(SMALL, tmp_path / "run")
    assert len(run) == 31 and not (tmp_path / "run/lock.owner").exists()
    with pytest.warns(UserWarning), lock_of(tmp_path / "run"):
        owner = json.loads((tmp_path / "run/lock.owner").read_text())
        assert owner["process"] == os.getpid()
        with pytest.raises(featlearn.RunDirectoryError, match="another process is writing .*owner"):
            featlearn.train(None, tmp_path / "run", resume=True, extend=31)
    dead = {**owner, "process": dead_process()}
    (tmp_path / "run/lock.owner").write_text(json.dumps(dead))
    with pytest.warns(UserWarning):
        assert len(featlearn.train(None, tmp_path / "run", resume=True, extend=31)) == 32
    (tmp_path / "run/lock.owner").write_text(json.dumps({**dead, "host": "elsewhere"}))
    with pytest.warns(UserWarning), pytest.raises(featlearn.RunDirectoryError, match="lock.owner"):
        featlearn.train(None, tmp_path / "run", resume=True, extend=32)


class lock_of:
    def __init__(self, directory):
        self._held = lock.Lock(directory)

    def __enter__(self):
        return self._held

    def __exit__(self, *exception):
        self._held.close()


def dead_process():
    process = os.fork()
    if not process:
        os._exit(0)
    os.waitpid(process, 0)
    return process


@pytest.mark.parametrize("code", (errno.ENODEV, errno.ENOSYS, errno.EMFILE))
def test_without_maps_rows_are_read(place, monkeypatch, code):
    mapped = featlearn.load_run("complete", verify=True)
    expected = {name: np.array(array) for name, array in mapped.arrays.items()}
    monkeypatch.setattr(np, "memmap", fails(code))
    run = featlearn.load_run("complete", verify=True)
    for name, array in expected.items():
        np.testing.assert_array_equal(run[name], array)
        assert run[name].dtype == array.dtype
    assert len(featlearn.train(None, "stopped", resume=True)) == 31


@pytest.fixture
def few_files():
    """A function that lets this process open so many files more, until the test ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(more):
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + more, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_runs_take_few_files(place, few_files):
    for k in range(40):
        shutil.copytree(place / "complete", place / str(k))
    few_files(12)
    assert main(["check", "0", "--brief", "--quiet"]) in (0, 1)
    runs = [featlearn.load_run(str(k)) for k in range(40)]
    norms = [float(run["weight_norm"][-1].max()) for run in runs]
    assert len(set(norms)) == 1 and all(len(run["alignment"]) == 31 for run in runs)
    few_files(0)
    with pytest.raises(featlearn.RunDirectoryError, match="cannot be read .Too many open files"):
        featlearn.load_run("complete")


def test_what_may_not_be_read_is_not_called_damaged(place, monkeypatch, capsys):
    real = os.open

    def guarded(path, *arguments, **options):
        if str(path).endswith(hidden):
            fails(errno.EACCES)()
        return real(path, *arguments, **options)

    monkeypatch.setattr(files.os, "open", guarded)
    for hidden in ("config.json", "status.json", "checkpoint.npz", "loss.npy"):
        said = refused(capsys, "check", "complete")
        assert f"{hidden}: cannot be read (Permission denied)" in said


def test_a_directory_that_may_only_be_read_is_checked_all_the_same(place, monkeypatch, capsys):
    expected = main(["check", "complete", "--json", "--quiet"]), capsys.readouterr().out
    real = os.open

    def guarded(path, flags, *arguments, **options):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            fails(errno.EROFS)()
        return real(path, flags, *arguments, **options)

    (place / "complete/claims.json").unlink()
    monkeypatch.setattr(files.os, "open", guarded)
    with pytest.warns(UserWarning, match="may only be read"):
        found = main(["check", "complete", "--json", "--quiet"]), capsys.readouterr().out
    assert found == expected and not (place / "complete/claims.json").exists()
