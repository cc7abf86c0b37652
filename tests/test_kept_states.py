"""States kept on the way, and checksums that tell a damaged file."""

import shutil
import signal
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.recording import checkpoint, rows
from featlearn.recording.resources import disk_needed
from featlearn.recording.rundir import load_state, verify

EVEN = [20, 40, 60, 80, 100, 120, 140, 160, 180]


@pytest.fixture(scope="module")
def exp():
    return featlearn.Experiment(
        n_features=4,
        n_inputs=16,
        n_neurons=6,
        batch_size=70,
        n_steps=200,
        learning_rate=1.0,
        stage_one_growth=1.2,
        bias_growth=1.02,
        bias_cap=0.6,
    )


@pytest.fixture(scope="module")
def recorded(exp, tmp_path_factory):
    place = tmp_path_factory.mktemp("recorded") / "run"
    return featlearn.train(exp, place, checkpoint_at=[7, 33]).directory


@pytest.fixture
def run(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "run")
    return featlearn.load_run(tmp_path / "run")


def test_states_are_kept_at_stages_evenly_and_where_asked(exp, run):
    starts = [int(run.steps[np.argmax(run["stage"] == stage)]) for stage in (2, 3)]
    assert set(checkpoint.kept_steps(run.directory)) == {7, 33, *starts, *EVEN}
    for step in (7, 33, 100, 200, *starts):
        state = featlearn.load_state(run.directory, step)
        assert state.step == step and state.stage == run["stage"][step]
        np.testing.assert_array_equal(state.alignment, run["alignment"][step])
        np.testing.assert_array_equal(state.biases, run["bias"][step])
    assert 0 < starts[0] < starts[1]
    state = featlearn.load_state(run.directory, 100)
    for _ in range(3):
        state = featlearn.step(state)
    np.testing.assert_array_equal(state.alignment, run["alignment"][103])
    assert featlearn.load_state(run.directory).step == 200
    with pytest.raises(featlearn.InvalidInput, match="step: got 1, wants one of those kept: .*120"):
        featlearn.load_state(run.directory, 1)


@pytest.mark.parametrize("n_steps", (0, 1, 3, 10, 11, 37))
def test_evenly_spread_steps_are_inside_the_run(n_steps):
    steps = checkpoint.evenly_spread(n_steps)
    assert all(0 < t < n_steps for t in steps) and len(steps) == min(9, max(n_steps - 1, 0))


def test_a_stopped_run_keeps_the_states_that_a_whole_one_does(exp, run, tmp_path):
    def stop(row):
        if row["step"] in (33, 150):
            signal.raise_signal(signal.SIGINT)

    directory, options = tmp_path / "parts", {"checkpoint_at": [7, 33]}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            featlearn.train(exp, directory, progress=stop, resume=directory.exists(), **options)
        options = {}
    featlearn.train(exp, directory, resume=True)
    for name in ("checkpoints", "trajectory"):
        ours, whole = (sorted((d / name).iterdir()) for d in (directory, run.directory))
        assert [p.name for p in ours] == [p.name for p in whole]
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(ours, whole))


def test_the_disk_that_states_take_is_counted(exp, run):
    taken = sum(p.stat().st_size for p in run.directory.rglob("*.*"))
    said = disk_needed(exp, kept=2)
    # One more checkpoint than there is at the end, and a little for headers.
    assert taken < said < taken + 2 * checkpoint.state_bytes(exp) + (1 << 14)


@pytest.mark.parametrize("n_steps", (0, 1, 40))
def test_the_smallest_run_takes_no_more_of_the_disk_than_was_said(n_steps, tmp_path):
    sizes = dict(n_features=2, n_inputs=64, n_neurons=1, batch_size=2, stage_one_steps=9)
    exp = featlearn.preset("tiny").replace(**sizes, n_steps=n_steps, record_every=100)
    featlearn.train(exp, tmp_path / "run")
    taken = sum(p.stat().st_size for p in (tmp_path / "run").rglob("*.*"))
    assert taken < disk_needed(exp) < 2 * taken + (1 << 14)


def test_the_command_keeps_states_where_it_is_asked_to(tmp_path, capsys):
    words = ["run", "--preset", "tiny", "--set", "n_steps=15", "--out", str(tmp_path / "run")]
    assert main([*words, "--quiet", "--checkpoint-at", "0.5e1,11"]) == 0
    assert {5, 11} <= set(checkpoint.kept_steps(tmp_path / "run"))
    assert main([*words, "--quiet", "--checkpoint-at", "5,x"]) == 2
    assert "--checkpoint-at: got '5,x'" in capsys.readouterr().err


@pytest.mark.parametrize("steps", ([-1], [1.5], ["3"], 7))
def test_no_states_are_kept_at_what_is_no_step(small, steps, tmp_path):
    with pytest.raises(featlearn.InvalidInput, match="^checkpoint_at: got"):
        featlearn.train(small, tmp_path / "run", checkpoint_at=steps)


@pytest.mark.parametrize("steps", ([4], [13], [10**30]))
def test_no_states_are_kept_at_steps_that_the_run_never_comes_to(small, steps, tmp_path):
    start = featlearn.init(small.replace(n_steps=12))
    for _ in range(5):
        start = featlearn.step(start)
    with pytest.raises(featlearn.InvalidInput, match="steps of the run, from 5 to 12"):
        featlearn.train(start=start, directory=tmp_path / "run", checkpoint_at=steps)
    with pytest.raises(featlearn.InvalidInput, match="^checkpoint_at: got .*wants a directory"):
        featlearn.train(start=start, checkpoint_at=[7])
    whole = featlearn.train(start=start, directory=tmp_path / "whole", checkpoint_at=[7])
    # The same call again asks for no more than there is.
    featlearn.train(directory=whole.directory, experiment=None, resume=True, checkpoint_at=[7])


def flipped(path, position, bit=0x40):
    data = bytearray(path.read_bytes())
    data[position] ^= bit
    path.write_bytes(data)


def test_every_flipped_byte_of_a_row_is_found_and_its_file_named(run):
    assert set(verify(run.directory).values()) == {None}
    rng = np.random.default_rng(0)
    for path in sorted((run.directory / "trajectory").iterdir()):
        whole = path.read_bytes()
        inside = int(rng.integers(rows.HEADER_BYTES, len(whole)))
        for position in (rows.HEADER_BYTES, len(whole) - 1, inside):
            flipped(path, position, 1 << int(rng.integers(8)))
            found = {name for name, fault in verify(run.directory).items() if fault}
            assert found == {f"trajectory/{path.name}"}
        with pytest.raises(featlearn.RunDirectoryError, match=f"{path.name}: is damaged"):
            featlearn.load_run(run.directory, verify=True)
        path.write_bytes(whole)


def test_a_flipped_byte_of_a_kept_state_is_found_or_harmless(run):
    path = checkpoint.kept_path(run.directory, 100)
    whole, state = path.read_bytes(), load_state(run.directory, 100)
    for position in range(5, len(whole), 223):
        flipped(path, position)
        if verify(run.directory)["checkpoints/100.npz"] is None:
            np.testing.assert_array_equal(load_state(run.directory, 100).weights, state.weights)
        path.write_bytes(whole)


def test_a_kept_state_under_another_name_is_found(run):
    shutil.copy(checkpoint.kept_path(run.directory, 100), checkpoint.kept_path(run.directory, 120))
    assert "holds the state at step 100" in verify(run.directory)["checkpoints/120.npz"]
    with pytest.raises(featlearn.RunDirectoryError, match="holds the state at step 100"):
        load_state(run.directory, 120)


def test_a_killed_run_is_judged_by_the_rows_its_checkpoint_counts(exp, tmp_path, monkeypatch):
    """Its later rows may be torn, and a byte of those is nobody's loss."""

    class Killed(BaseException):
        pass

    def kill(row):
        if row["step"] == 150:
            raise Killed

    times = iter(range(0, 10**6, 1))
    monkeypatch.setattr(featlearn.loop, "CHECKPOINT_SECONDS", 60)
    monkeypatch.setattr(featlearn.loop.time, "monotonic", lambda: next(times))
    with pytest.raises(Killed):
        featlearn.train(exp, tmp_path / "run", progress=kill)
    monkeypatch.undo()
    all_rows = featlearn.load_run(tmp_path / "run")
    judged = featlearn.load_run(tmp_path / "run", verify=True)
    counted = judged.counted["loss"]
    assert 0 < len(judged) == counted == load_state(tmp_path / "run").step < len(all_rows)
    path = tmp_path / "run/trajectory/loss.npy"
    flipped(path, rows.HEADER_BYTES + 8 * counted)
    assert len(featlearn.load_run(tmp_path / "run", verify=True)) == counted
    flipped(path, rows.HEADER_BYTES + 8 * counted - 1)
    with pytest.raises(featlearn.RunDirectoryError, match="loss.npy: is damaged"):
        featlearn.load_run(tmp_path / "run", verify=True)


def test_a_checksum_is_carried_on_and_never_reads_a_row_again(exp, tmp_path, monkeypatch):
    fed = []

    def crc32(data, value=0):
        fed.append(memoryview(data).nbytes)
        return zlib.crc32(data, value)

    monkeypatch.setattr(rows, "zlib", SimpleNamespace(crc32=crc32))
    monkeypatch.setattr(featlearn.loop, "CHECKPOINT_SECONDS", 0.02)

    def stop(row):
        if row["step"] == 120:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(exp, tmp_path / "run", progress=stop)
    run = featlearn.train(exp, tmp_path / "run", resume=True)
    written = sum(array.nbytes for array in run.arrays.values())
    assert sum(fed) == written
    for name, (n, value) in checkpoint.read_checkpoint(
        run.directory / "checkpoint.npz", exp
    ).counted.items():
        assert (n, value) == (201, zlib.crc32(np.ascontiguousarray(run[name])))


def test_a_run_that_is_no_more_complete_than_its_status_says(run):
    loss = run.directory / "trajectory/loss.npy"
    whole = loss.read_bytes()
    loss.write_bytes(whole.replace(b"(201,)", b"(200,)", 1))
    with pytest.raises(featlearn.RunDirectoryError, match="200 of 201 rows are there"):
        featlearn.load_run(run.directory)
    loss.write_bytes(whole)
    shutil.copy(checkpoint.kept_path(run.directory, 180), run.directory / "checkpoint.npz")
    with pytest.raises(featlearn.RunDirectoryError, match="checkpoint is at step 180 of 200"):
        featlearn.load_run(run.directory)


def test_an_extended_run_has_the_checksums_of_one_in_one_go(exp, tmp_path):
    every = exp.replace(record_every=7)
    featlearn.train(every, tmp_path / "long")
    featlearn.train(every.replace(n_steps=120), tmp_path / "run")
    run = featlearn.train(None, tmp_path / "run", resume=True, extend=200)
    assert set(verify(tmp_path / "run").values()) == {None}
    sums = [
        checkpoint.read_checkpoint(tmp_path / name / "checkpoint.npz", every).counted
        for name in ("run", "long")
    ]
    assert sums[0] == sums[1] and len(run) == 30
