"""The twins of `featlearn reproduce`: processes, what a second call costs, and how it ends early."""

import copy
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from featlearn import InvalidInput, RunDirectoryError, TrainingDiverged, WriteFailed
from featlearn.compute.workers import OwnWorkers
from featlearn.recording.files import read_json
from featlearn.recording.rundir import last_row, load_run, read_status
from featlearn.reports.comparison import comparison
from featlearn.reports.progress import SeveralProgress
from featlearn.reports.reproduction import train_columns, twin_columns
from featlearn.summary import summarize
from featlearn.theory.claims.groups import Checked, check_all
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.verdict import at_most

pytestmark = pytest.mark.usefixtures("one_blas_thread")

LABELS = ["RandomMask", "no augmentation"]


@pytest.fixture
def base(small):
    return small.replace(n_steps=40)


def test_twins_start_alike_and_a_second_call_keeps_them(base, tmp_path):
    seen = []
    with ThreadPoolExecutor(1) as executor:
        runs, summaries = train_columns(twin_columns(base), tmp_path, [executor], seen.append)
        files = [p for p in tmp_path.rglob("*") if p.is_file()]
        times = [p.stat().st_mtime_ns for p in files]
        again, same = train_columns(twin_columns(base), tmp_path, [executor])
    assert list(runs) == LABELS == list(seen[-1])
    with_mask, without = (runs[label] for label in LABELS)
    np.testing.assert_array_equal(with_mask["alignment"][0], without["alignment"][0])
    assert with_mask.experiment.replace(augmentation="none") == without.experiment
    assert not np.array_equal(with_mask["alignment"][-1], without["alignment"][-1])
    assert all(row["step"] == 40 for row in seen[-1].values())
    assert [p.stat().st_mtime_ns for p in files] == times
    for label, run in again.items():
        expected = summarize(run).to_dict()
        assert same[label].to_dict() == summaries[label].to_dict() == expected


def test_worker_processes_use_one_thread_each(base, tmp_path):
    with OwnWorkers(2) as own:
        runs, _ = train_columns(twin_columns(base), tmp_path, own.executors)
    for run in runs.values():
        assert read_json(run.directory / "config.json")["blas_threads"] == 1
        assert read_status(run.directory)["status"] == "complete"


def test_a_directory_of_other_twins_is_refused(base, tmp_path):
    with ThreadPoolExecutor(1) as executor:
        train_columns(twin_columns(base), tmp_path, [executor])
        with pytest.raises(RunDirectoryError, match="another experiment"):
            train_columns(twin_columns(base.replace(seed=1)), tmp_path, [executor])


def test_the_last_row_is_that_of_the_run(base, tmp_path):
    assert last_row(tmp_path) is None
    with ThreadPoolExecutor(1) as executor:
        runs, _ = train_columns(twin_columns(base), tmp_path, [executor])
    for run in runs.values():
        row = last_row(run.directory)
        assert row.keys() == run.arrays.keys()
        np.testing.assert_array_equal(row["alignment"], run["alignment"][-1])


def test_progress_lines_stay_within_the_terminal(base, tmp_path, monkeypatch, capsys):
    with ThreadPoolExecutor(1) as executor:
        runs, _ = train_columns(twin_columns(base), tmp_path, [executor])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    show = SeveralProgress({c.label: c.experiment for c in twin_columns(base)})
    show(dict.fromkeys(LABELS))
    show({label: last_row(run.directory) for label, run in runs.items()})
    first, second, third, fourth, end = capsys.readouterr().err.split("\n")
    assert (first.strip(), second.strip(), end) == (*LABELS, "")
    assert third.startswith("\x1b[2A\r") and "step 40/40  stage II" in third
    assert all(len(line.lstrip("\x1b[2A\r")) < 60 for line in (first, second, third, fourth))
    SeveralProgress({c.label: c.experiment for c in twin_columns(base)}, quiet=True)(
        dict.fromkeys(LABELS)
    )
    assert capsys.readouterr().err == ""


def test_a_twin_that_diverges_ends_the_command(base, tmp_path):
    base.replace(learning_rate=1e30, bias_growth=None).save(tmp_path / "hot.json")
    command = [sys.executable, "-m", "featlearn", "reproduce", "--quiet"]
    command += ["--config", tmp_path / "hot.json", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("featlearn: training diverged at step 1")
    assert done.stderr.count("\n") == 1


def test_an_interrupted_reproduction_goes_on(base, tmp_path):
    long = base.replace(n_steps=100_000, record_every=100)
    long.save(tmp_path / "long.json")
    command = [sys.executable, "-m", "featlearn", "reproduce", "--config", tmp_path / "long.json"]
    command += ["--out", tmp_path]
    places = [tmp_path / name for name in ("random_mask", "none")]
    steps = [0, 0]
    for _ in range(2):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        rows = [None, None]
        while not all(row and row["step"] > step for row, step in zip(rows, steps)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
            rows = [last_row(place) for place in places]
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 130 and said == ""
        assert complained.endswith("continues the reproduction\nfeatlearn: interrupted\n")
        status = [read_status(place) for place in places]
        assert [s["status"] for s in status] == ["interrupted"] * 2
        assert all(s["step"] > step for s, step in zip(status, steps))
        steps = [s["step"] for s in status]
    for place in places:
        assert (np.diff(load_run(place).steps) == 100).all()


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("width", 3, "more"),
        TrainingDiverged(7, "the loss", "less"),
        RunDirectoryError("here"),
        WriteFailed("full"),
    ],
)
def test_an_error_can_be_sent_from_a_worker(error):
    # A copy is rebuilt as a process at the other end rebuilds it.
    other = copy.copy(error)
    assert type(other) is type(error) and str(other) == str(error)
    assert vars(other) == vars(error)


def test_the_comparison_shows_the_claims_and_their_verdicts(twins, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    observed = {label: Observed(load_run(place)) for label, place in zip(LABELS, twins)}
    checked = check_all(observed.values())
    lines = comparison(observed, checked).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split()[-2:] == ["bound", "verdict"] and all(
        label in lines[0] for label in LABELS
    )
    with_mask, without = observed.values()
    shown = [f"{o.summary.same_latents:.4g}" for o in (with_mask, without)]
    # What fails anywhere fails in the table; the value of a pair stands in the column of its twin.
    failing = [
        at_most("T3", "cosine of f at the same z", 0.5, [0.7], ""),
        at_most("twins", "final loss, none over augmented", 1.0, [2.0], ""),
    ]
    lines = comparison(observed, [Checked("both", [], failing)]).splitlines()
    rows = {line[2:].split("  ")[0]: line.split() for line in lines}
    ratio = without.summary.loss / with_mask.summary.loss
    assert rows["cosine of f at the same z"][-5:] == [*shown, "≤", "0.5", "fails"]
    assert rows["final loss, none over augmented"][-5:] == ["-", f"{ratio:.4g}", "≤", "1", "fails"]
    assert rows["mean |N_i|"][-3:] == ["does", "not", "apply"]


def test_later_parts_follow_the_finite_twins(base, tmp_path, monkeypatch, capsys):
    """The limit's twins, and a network that is told labels; then all beside each other."""
    from featlearn.commands import main
    from featlearn.reports import reproduction
    from featlearn.theory.claims import checking

    limit = base.replace(
        dense="gram", n_inputs=128, noise_inputs=40, batches="paired", negative_groups=4,
        batch_size=128, density=0.3,
    )  # fmt: skip
    shortest = {
        "asymptotic": limit,
        "supervised": base.replace(objective="supervised"),
        "phases": base.replace(n_steps=30),
        "linear": base.replace(stage_one_growth=None),
    }
    monkeypatch.setattr(reproduction, "preset", shortest.__getitem__)
    parts = reproduction.all_parts(base, tmp_path)
    assert [part.directory for part in parts] == [tmp_path, tmp_path / "limit", tmp_path, tmp_path]
    monkeypatch.setattr("featlearn.commands.reproduce.all_parts", lambda *_: parts)
    # Each replay starts a process.
    without = [claim for claim in checking.CLAIMS if claim.claim.name != "replay"]
    monkeypatch.setattr(checking, "CLAIMS", without)
    assert main(["reproduce", "--out", str(tmp_path), "--quiet"]) in (0, 1)
    said = capsys.readouterr().out
    places = [said.index(part.title) for part in parts]
    assert places == sorted(places)
    assert "phases" not in said[said.index("All beside each other") :]
    assert "against its contrastive twins" in said
    columns = [name for part in parts for name in part.columns]
    for column, part in ((c, p) for p in parts for c in p.columns):
        assert read_status(part.directory / column.name)["status"] == "complete"
    assert len(columns) == 7 and not parts[-1].compared
    for name in ("regimes", "representation"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 10_000
