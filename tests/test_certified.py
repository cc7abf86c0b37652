"""What certifies a run sees broken code and tampered runs, and lets intact ones pass."""

import dataclasses
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.theory import check
from featlearn.theory.claims import draws, replay
from featlearn.theory.claims.definitions import naive
from featlearn.theory.claims.draws import claim_draws
from featlearn.theory.claims.observed import Observed
from featlearn.theory.claims.simulator import _excess, claim_simulator
from featlearn.theory.claims.verdict import DOES_NOT_APPLY as SKIPPED

SCRIPT = Path(__file__).parent.parent / "scripts" / "sabotage.py"
_spec = importlib.util.spec_from_file_location("sabotage", SCRIPT)
sabotage = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sabotage)

# Through all stages in 80 steps.
EXPERIMENT = featlearn.Experiment(
    n_features=8,
    n_inputs=128,
    n_neurons=32,
    batch_size=128,
    n_steps=80,
    learning_rate=0.2,
    temperature=1.0,
    density=0.15,
    noise_variance=0.05,
    initial_norm=0.1,
    dictionary="flat",
    stage_one_growth=1.3,
    bias_factor=0.5,
    bias_growth=1.15,
    bias_cap=0.5,
    weight_decay=0.0055,
    seed=1,
)
# Every kind of place, and those that need the newest checks; scripts/sabotage.py has them all.
REDUCED = (
    "weight decay 3 % too large",
    "the same noise and masks at every step",
    "3 % of the keys exchanged",
    "density 3 % too low",
    "jump of the biases 20 % too high",
    "weights start 10 % too large",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return featlearn.train(EXPERIMENT, tmp_path_factory.mktemp("certified") / "run")


def test_an_intact_run_passes(run):
    assert set(run["stage"]) == {1, 2, 3}
    assert sabotage.failures(run) == []
    assert sabotage.failures(featlearn.train(EXPERIMENT)) == []


@pytest.mark.parametrize("name", REDUCED)
def test_broken_code_is_seen_by_the_intact_and_by_itself(name, tmp_path):
    (each,) = [s for s in sabotage.SABOTAGES if s.name == name]
    intact, own = sabotage.judge(each, EXPERIMENT, tmp_path / "run")
    assert intact and own


def test_every_sabotage_changes_a_line_that_is_there():
    assert len(sabotage.SABOTAGES) >= 40
    for each in sabotage.SABOTAGES:
        with sabotage.applied(each):
            pass


def test_tampered_runs_are_seen(run):
    states = Observed(run).states
    found = {
        name: sabotage.failures(changed, sabotage.RECORDED, states)
        for name, changed in sabotage.tampered(run)
    }
    assert len(found) >= 20
    missed = {name for name, quantities in found.items() if not quantities}
    assert missed <= set(sabotage.SURVIVORS)


@pytest.mark.filterwarnings("error")
def test_a_flipped_byte_is_said_to_be_in_its_file_and_nothing_else_is_judged(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.directory, copy)
    for path in sorted((copy / "trajectory").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))
        first, *others = check(featlearn.load_run(copy))
        assert first.outcome == "fails" and path.name in first.reason
        assert {v.outcome for v in others} == {"does not apply"}
        path.write_bytes(whole)


def test_a_row_at_another_step_is_said_and_nothing_else_is_judged(run):
    name, changed = next(pair for pair in sabotage.tampered(run) if "shifted" in pair[0])
    changed = dataclasses.replace(changed, directory=None, counted=None)
    found = [v for v in check(changed) if v.outcome != SKIPPED]
    assert [v.quantity for v in found if v.outcome == "fails"] == [
        "rows at other steps than the experiment's"
    ]
    assert {v.claim for v in found} == {"trajectory"}


@pytest.mark.parametrize(
    "changes", [{"latents": "k_sparse"}, {"n_samples": 300}, {"objective": "spectral"}]
)
def test_rows_and_updates_are_certified_whatever_the_data(changes, tmp_path):
    run = featlearn.train(EXPERIMENT.replace(n_steps=20, **changes), tmp_path / "run")
    outcomes = {(v.claim, v.outcome) for v in check(run) if v.claim in ("trajectory", "replay")}
    assert outcomes == {("trajectory", "holds"), ("replay", "holds")}


def test_rows_and_updates_of_a_branch_are_certified(run, tmp_path):
    state = featlearn.load_state(run.directory, 40).replace(weight_decay=0.01)
    branch = featlearn.train(start=state, directory=tmp_path / "branch")
    held = [v.quantity for v in check(branch) if v.outcome == "holds"]
    assert "updates made again, largest difference" in held
    assert "rows at kept states, how far from them" in held


def test_updates_are_made_again_in_the_number_of_threads_of_the_run(run, monkeypatch):
    seen = Observed(run)
    monkeypatch.setattr(replay, "thread_count", lambda: 7)
    served = []
    monkeypatch.setattr(
        replay.subprocess,
        "run",
        lambda *a, original=replay.subprocess.run, **k: (
            served.append(k["env"]) or original(*a, **k)
        ),
    )
    (verdict,) = replay.claim_replay([seen])
    assert verdict.outcome == "holds" and verdict.measured == 0
    assert len(served) == 1 and served[0]["OPENBLAS_NUM_THREADS"] != "7"
    starts = replay.chosen(seen)
    assert 0 in starts and len(starts) == 3 and replay.chosen(Observed(run)) == starts
    assert {state.stage for _, state in seen.states if state.step in starts} >= {2, 3}
    assert "chosen by the run's digest" in verdict.reason


def test_the_command_says_how_much_is_made_again(run, capsys):
    for options, wanted in ((["--no-replay"], "not asked for"), (["--replay", "1"], "from 1 of")):
        main(["check", str(run.directory), "--quiet", *options])
        assert wanted in capsys.readouterr().out
    assert main(["check", str(run.directory), "--replay", "-1"]) == 2
    assert "--replay" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{}, {"stop_gradient": False}, {"negatives": 20}])
def test_the_definitions_have_the_gradient_of_their_loss(changes):
    exp = EXPERIMENT.replace(batch_size=8, temperature=0.5, dtype="float64", **changes)
    state = featlearn.init(exp.replace(stop_gradient=False))
    batch, biases = featlearn.draw_batch(state), 0.02 * state.weight_norms
    weights = 20 * state.weights
    by = naive(weights, biases, batch, 0.5, False)
    direction = np.random.default_rng(0).standard_normal(weights.shape)
    up, down = (
        naive(weights + e * direction, biases, batch, 0.5, False).loss for e in (1e-6, -1e-6)
    )
    assert np.sum(by.gradient * direction) == pytest.approx((up - down) / 2e-6, rel=1e-5)
    evaluated = featlearn.evaluate(
        featlearn.init(exp).replace(weights=weights, biases=biases), batch
    )
    by = naive(weights, biases, batch, 0.5, exp.stop_gradient)
    np.testing.assert_allclose(evaluated.weights, by.gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_variance": 0.0},
        {"density": 0.0, "noise_variance": 0.0},
        {"initial_norm": 1e-30},
        {"n_inputs": 8},
        {"n_inputs": 8, "augmentation": "none"},
        {"noise_variance": 0.0, "augmentation": "none"},
        {"density": 0.0, "augmentation": "none"},
        {"density": 1.0, "augmentation": "none"},
        {"initial_norm": 1e-30, "augmentation": "none"},
        {"batch_size": 2},
        {"dense": "gram", "n_inputs": 2048},
        {"n_steps": 0},
    ],
)
@pytest.mark.filterwarnings("error")
def test_degenerate_experiments_are_judged_without_a_failure(changes):
    exp = EXPERIMENT.replace(dictionary="orthonormal", batch_size=64, n_steps=12)
    found = check(featlearn.train(exp.replace(**changes)))
    assert [v.quantity for v in found if v.outcome == "fails"] == []
    assert all(v.to_dict()["predicted"] == v.to_dict()["predicted"] for v in found)


def test_few_coincidences_do_not_come_with_too_small_an_error():
    """Four of 4,000 draws that coincide with a chance of 1 in 400 are 1.9 errors too few, not 3."""
    chance, n = 1 / 400, 4000
    values = np.zeros(n)
    values[:4] = 1
    found = {}
    for variance in (0.0, chance * (1 - chance)):
        tally = draws.Tally()
        tally.add("coincidences", values, chance, variance)
        [(_, mean, error, expected)] = tally
        found[variance] = abs(mean - expected) / error
    assert found[0.0] == pytest.approx(3.0, abs=0.01)
    assert found[chance * (1 - chance)] == pytest.approx(1.9, abs=0.01)


def test_the_stated_variances_are_those_of_the_draws():
    exp = featlearn.preset("tiny").replace(batch_size=512)
    _, independence, _ = draws.tally_draws(exp)
    stated = {name: variance for name, (*_, variance) in independence._sums.items() if variance}
    assert {"presences of two blocks", "latents of two rows", "noise of two steps"} <= set(stated)
    for name, variance in stated.items():
        n, total, squares = independence._sums[name][0]
        measured = squares / n - (total / n) ** 2
        # Of masks, which are not centred, the stated variance is a part only.
        assert variance < (1.0 if "mask" in name else 1.25) * measured
        assert "mask" in name or variance > 0.8 * measured


def test_on_another_machine_rounding_is_allowed_and_no_more(run, monkeypatch):
    monkeypatch.setattr(replay, "made_with", lambda directory: (None, False))
    (verdict,) = replay.claim_replay([Observed(run)])
    assert verdict.outcome == "holds" and verdict.high == replay.drift(EXPERIMENT) < 5e-5
    assert "four times the rounding of 3 updates" in verdict.why
    assert replay.drift(EXPERIMENT.replace(record_every=31)) is None
    assert replay.drift(EXPERIMENT.replace(dtype="float64")) < 1e-12
    (row, *_) = replay.updates_again(Observed(run), [40])
    flipped = {**row, "active_fraction": row["active_fraction"] - 1 / EXPERIMENT.batch_size}
    assert replay.row_difference(run, flipped, elsewhere=True) == 0
    assert replay.row_difference(run, flipped) > 1e-3
    moved = {**row, "alignment": row["alignment"] * (1 + 1e-4)}
    assert replay.row_difference(run, moved, elsewhere=True) > replay.drift(EXPERIMENT)


TINY = featlearn.preset("tiny").replace(n_steps=2)
RARE = TINY.replace(batch_size=2, density=0.02, augmentation="none", seed=1)


@pytest.mark.parametrize(
    "small, claim",
    [(RARE, claim_simulator), (TINY.replace(batch_size=4, seed=1), claim_simulator),
     (TINY.replace(batch_size=4, seed=4), claim_draws)],
)  # fmt: skip
def test_small_batches_are_certified_by_many_of_them(small, claim):
    found = claim([Observed(featlearn.train(small))])
    assert not [v for v in found if v.outcome == "fails"] and len(found) > 3


def test_a_law_that_hardly_any_sample_shows_is_not_judged():
    unseen = featlearn.train(RARE.replace(density=1e-4))
    (first, *_) = claim_simulator([Observed(unseen)])
    assert first.outcome == SKIPPED and "fewer than" in first.reason


def test_noise_of_uneven_scale_is_judged_as_far_as_samples_tell_its_scatter():
    rng = np.random.default_rng(0)
    for spread in (0.3, 0.5):
        squares = np.exp(2 * spread * (rng.standard_normal(10**6) - spread))
        deviations = (squares - squares.mean()) / squares.std()
        assert _excess(spread) == pytest.approx(np.mean(deviations**4), rel=0.3)
    # By a standard error from so few samples these seeds would fail.
    for seed in (4, 8, 9):
        uneven = TINY.replace(noise_spread=1.5, seed=seed)
        (first, *_) = found = claim_simulator([Observed(featlearn.train(uneven))])
        assert first.outcome == SKIPPED and "spread 1.5" in first.reason
        assert not [v for v in found if v.outcome == "fails"]
    told = claim_simulator([Observed(featlearn.train(TINY.replace(noise_spread=0.6)))])
    assert len(told) == 7 and {v.outcome for v in told} == {"holds"}


def test_a_wrong_law_of_small_batches_is_seen():
    run = featlearn.train(RARE)
    wrong = dataclasses.replace(Observed(run).model, density=0.06)
    found = claim_simulator([Observed(dataclasses.replace(run, model=wrong))])
    assert {"E⟨signal, anchor⟩", "E⟨signal, key⟩"} <= {
        v.quantity for v in found if v.outcome == "fails"
    }
