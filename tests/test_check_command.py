"""The command `featlearn check`."""

import json
import shutil

import numpy as np
import pytest

import featlearn
from featlearn.commands import main

SHORT = {
    "n_features": 8,
    "n_inputs": 64,
    "n_neurons": 24,
    "batch_size": 64,
    "n_steps": 40,
    "stage_one_growth": None,
}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    paths = {}
    for augmentation in ("random_mask", "none"):
        for seed in (0, 1):
            path = place / f"{augmentation}-{seed}"
            experiment = featlearn.Experiment(**SHORT, augmentation=augmentation, seed=seed)
            featlearn.train(experiment, path)
            paths[augmentation, seed] = str(path)
    return paths


def test_checks_seeds_together_and_twins_against_each_other(directories, capsys):
    code = main(["check", *directories.values(), "--quiet"])
    out = capsys.readouterr().out
    assert "random_mask, d = 8, d1 = 64, seeds 0, 1\n" in out
    assert "against its twin" in out and " ± " in out
    assert max(map(len, out.splitlines())) <= 100
    reports = []
    for path in directories.values():
        with open(f"{path}/claims.json", encoding="utf-8") as file:
            reports.append(json.load(file)["reports"])
    assert [len(r) for r in reports] == [2] * 4
    verdicts = [v for report in reports[0] for v in report["verdicts"]]
    assert {"T1", "T2", "T3", "T4", "T5", "simulator", "twins"} <= {v["claim"] for v in verdicts}
    found = [v["outcome"] for mine in reports for report in mine for v in report["verdicts"]]
    assert code == int("fails" in found)
    featlearn.load_run(directories["none", 0])


def test_summarizes_a_run_once(directories, monkeypatch):
    """Probes take most of a check's time; the run and its pair share them, and what is known."""
    from featlearn.theory.claims import observed
    from featlearn.theory.claims.groups import check_all

    runs = [featlearn.load_run(directories[name, 0]) for name in ("random_mask", "none")]
    known = featlearn.summarize(runs[0])
    summarized = []
    monkeypatch.setattr(
        observed, "summarize", lambda run: summarized.append(run) or featlearn.summarize(run)
    )
    seen = [observed.Observed(runs[0], known), observed.Observed(runs[1])]
    again, fresh = (
        check_all(seen),
        check_all(map(observed.Observed, runs)),
    )
    assert [run is runs[k] for run, k in zip(summarized, (1, 0, 1), strict=True)] == [True] * 3
    assert [r.to_dict() for r in again] == [r.to_dict() for r in fresh]
    assert len(again) == 3 and seen[0].summary is known


def test_exits_1_where_a_claim_fails(directories, capsys, monkeypatch):
    from featlearn.theory import at_most

    for value, code in ((0.5, 0), (1.5, 1)):
        verdict = at_most("T1", "a share", 1.0, value, "")
        monkeypatch.setattr(
            "featlearn.theory.claims.groups.check", lambda runs, claims, verdict=verdict: [verdict]
        )
        assert main(["check", directories["none", 0], "--json", "--quiet"]) == code
        shown = json.loads(capsys.readouterr().out)
        assert shown[0]["verdicts"] == [verdict.to_dict()]


def test_trains_fresh_seeds(capsys):
    settings = [f"--set={k}={'none' if v is None else v}" for k, v in SHORT.items()]
    code = main(["check", "--preset", "tiny", *settings, "--seeds", "3", "4", "--brief", "--quiet"])
    out = capsys.readouterr().out
    assert "seeds 3, 4\n" in out and "four standard errors" not in out
    assert code in (0, 1)


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        ([], "RUN"),
        (["nowhere"], "config.json is missing"),
        (["nowhere", "--seeds", "1"], "--seeds"),
        (["--preset", "tiny", "--seed", "1", "--seeds", "2"], "--seeds"),
        (["--preset", "tiny", "--seeds", "-1"], "seed"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, wanted, capsys):
    assert main(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and wanted in captured.err and captured.err.count("\n") == 1


def test_verdicts_are_printed_where_a_file_of_them_cannot_be_written(directories, tmp_path, capsys):
    places = []
    for seed in (0, 1):
        places.append(tmp_path / f"run-{seed}")
        shutil.copytree(directories["none", seed], places[-1])
        (places[-1] / "claims.json").unlink(missing_ok=True)
    (places[0] / "claims.json").mkdir()
    assert main(["check", *map(str, places), "--quiet", "--no-replay"]) == 2
    captured = capsys.readouterr()
    assert "hold, " in captured.out and captured.err.count("\n") == 1
    assert f"{places[0]}/claims.json: cannot be written" in captured.err
    assert (places[1] / "claims.json").is_file()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_run_that_diverged_is_checked_without_a_warning_of_numpy(tmp_path, capsys):
    place = tmp_path / "run"
    exp = featlearn.Experiment(**SHORT, learning_rate=1e4, initial_norm=1.0)
    with pytest.raises(featlearn.errors.TrainingDiverged):
        featlearn.train(exp, place)
    weights = featlearn.load_run(place).weights
    assert np.abs(weights).max() > 1e18
    for command in (["check", str(place)], ["report", str(place), "-o", str(tmp_path / "r.html")]):
        assert main([*command, "--quiet"]) in (0, 1)
