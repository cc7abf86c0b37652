"""Runs that stop early, go on later, or branch off from another."""

import dataclasses

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.recording.rundir import read_status


def same(one, other, rows=slice(None)):
    assert set(one.arrays) == set(other.arrays)
    for name in one.arrays:
        np.testing.assert_array_equal(one[name], other[name][rows], err_msg=name)


def state_at(experiment, step):
    state = featlearn.init(experiment)
    while state.step < step:
        state = featlearn.step(state)
    return state


@pytest.fixture
def short(small):
    return small.replace(n_steps=40, record_every=7)


def test_a_run_stops_at_a_stage_and_goes_on_with_the_same_bits(short, tmp_path):
    whole = featlearn.train(short)
    stopped = featlearn.train(short, tmp_path / "run", until="stage 2")
    assert read_status(tmp_path / "run")["status"] == "stopped"
    assert stopped["stage"][-1] == 2 and np.all(stopped["stage"][:-1] == 1)
    assert stopped.steps[-1] % 7 != 0, "the state that ends a run is recorded whatever its step"
    same(featlearn.train(short, until="stage 2"), stopped)
    same(featlearn.train(None, tmp_path / "run", resume=True), whole)


def test_a_run_stops_where_a_function_of_the_state_says_so(short):
    asked = []

    def until(state):
        asked.append(state.step)
        return state.step == 9

    assert list(featlearn.train(short, until=until).steps) == [0, 7, 9]
    assert asked == list(range(10))
    with pytest.raises(featlearn.InvalidInput, match="until"):
        featlearn.train(short, until="stage 4")


def test_a_complete_run_is_extended_with_the_bits_of_a_longer_one(short, tmp_path):
    place = tmp_path / "run"
    featlearn.train(short, place)
    longer = featlearn.train(None, place, resume=True, extend=60)
    same(longer, featlearn.train(short.replace(n_steps=60)))
    assert longer.experiment.n_steps == 60 and read_status(place)["status"] == "complete"
    with pytest.raises(featlearn.InvalidInput, match="extend.*60"):
        featlearn.train(None, place, resume=True, extend=50)
    with pytest.raises(featlearn.InvalidInput, match="extend"):
        featlearn.train(short, extend=60)


def test_a_branch_with_nothing_changed_is_the_rest_of_the_run(short, tmp_path):
    whole = featlearn.train(short.replace(record_every=1))
    start = state_at(short.replace(record_every=1), 16)
    rest = featlearn.train(None, tmp_path / "rest", start=start)
    same(rest, whole, slice(16, None))
    assert rest.start["step"] == 16
    branch = featlearn.train(None, tmp_path / "b", start=start.replace(record_every=7))
    assert list(branch.steps) == [16, 21, 28, 35, 40]
    longer = featlearn.train(None, tmp_path / "b", resume=True, extend=45)
    assert list(longer.steps) == [16, 21, 28, 35, 42, 45]


def test_a_branch_begins_from_what_was_changed(short):
    start = state_at(short, 10)
    weights = 2 * start.weights
    run = featlearn.train(start=start.replace(weights=weights, augmentation="none"))
    np.testing.assert_allclose(run["weight_norm"][0], np.linalg.norm(weights, axis=1), rtol=1e-6)
    assert run.experiment.augmentation == "none" and run["stage"][0] == start.stage
    with pytest.raises(featlearn.InvalidInput, match="experiment"):
        featlearn.train(short.replace(temperature=3.0), start=start)
    with pytest.raises(featlearn.InvalidInput, match="n_steps"):
        featlearn.train(start=start.replace(n_steps=9))


def test_a_changed_field_changes_what_depends_on_it(short):
    start = state_at(short, 3)
    noisy = start.replace(noise_variance=0.5, bias_cap=0.9)
    assert noisy.model.noise_variance == 0.5 and noisy.schedule.cap == 0.9
    np.testing.assert_array_equal(noisy.model.dictionary, start.model.dictionary)
    noise = featlearn.draw_batch(noisy).sample.noise
    assert np.var(noise) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    "changes",
    (
        {"n_inputs": 128}, {"n_neurons": 3}, {"dictionary": "flat"}, {"dtype": "float64"},
        {"seed": 1}, {"initial_norm": 1.0}, {"dense": "gram"}, {"no_such_field": 1},
        {"weights": np.zeros((2, 2))}, {"biases": -np.ones(24)},
    ),
)  # fmt: skip
def test_a_change_that_no_state_can_follow_is_refused_by_name(short, changes):
    with pytest.raises(featlearn.InvalidInput, match=next(iter(changes))):
        featlearn.init(short).replace(**changes)


def test_a_state_whose_model_is_not_that_of_its_experiment_is_refused(short):
    with pytest.raises(featlearn.InvalidInput, match="noise_variance.*replace"):
        dataclasses.replace(featlearn.init(short), experiment=short.replace(noise_variance=0.5))


def test_claims_about_the_start_do_not_apply_to_a_branch(short, tmp_path):
    run = featlearn.train(start=state_at(short, 10))
    verdicts = {v.claim: v for v in featlearn.check(run)}
    assert "step 10" in verdicts["stage I"].reason
    assert "began" not in verdicts["T5"].reason


def test_the_command_stops_extends_and_branches(short, tmp_path, capsys):
    short.save(tmp_path / "exp.toml")
    place, branch = str(tmp_path / "run"), str(tmp_path / "branch")
    asked = ["run", "--config", str(tmp_path / "exp.toml"), "--out", place, "--checkpoint-at", "3"]
    assert main([*asked, "--until", "stage 2", "--record", "off_support_maximum"]) == 0
    run = featlearn.load_run(place)
    assert run["stage"][-1] == 2 and len(run["off_support_maximum"]) == len(run)
    assert main(["run", "--resume", place, "--extend", "50"]) == 0
    assert featlearn.load_run(place).steps[-1] == 50
    start = ["--from", place, "--at-step", "3", "--set", "augmentation=none", "--out", branch]
    assert main(["run", *start]) == 0
    run = featlearn.load_run(branch)
    assert run.steps[0] == 3 and run.start["run"] == place
    assert run.start["changed"]["augmentation"] == ["random_mask", "none"]
    for words, option in (
        (["--extend", "60"], "--extend"),
        (["--at-step", "3"], "--at-step"),
        (["--from", place], "--out"),
        (["--from", place, "--out", branch, "--seed", "1"], "--seed"),
        (["--resume", place, "--from", place], "--from"),
        (["--record", "no.py:f"], "--record"),
    ):
        capsys.readouterr()
        assert main(["run", *words]) == 2
        assert option in capsys.readouterr().err


def test_a_branch_that_was_killed_before_its_first_state_is_begun_again(short, tmp_path):
    featlearn.train(short, tmp_path / "run")
    start = featlearn.load_state(tmp_path / "run", step=short.n_steps).replace(n_steps=60)
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:

        def killed(*_, **__):
            raise KeyboardInterrupt

        patch.setattr("featlearn.recording.checkpoint.write_checkpoint", killed)
        featlearn.train(start=start, directory=tmp_path / "branch")
    with pytest.raises(featlearn.RunDirectoryError, match="begin it again"):
        featlearn.train(directory=tmp_path / "branch", resume=True)
    same(
        featlearn.train(start=start, directory=tmp_path / "branch"),
        featlearn.train(start=start),
    )


def test_weights_and_biases_take_the_place_of_a_states_own(short):
    state = featlearn.init(short)
    weights, biases = -2 * state.weights, np.linspace(0, 0.1, short.n_neurons, dtype=np.float32)
    changed = state.replace(weights=weights, biases=biases)
    np.testing.assert_array_equal(changed.weights, weights)
    np.testing.assert_array_equal(changed.biases, biases)
    np.testing.assert_allclose(changed.weight_norms, 2 * state.weight_norms, rtol=1e-6)
    biases[3] = -0.1
    for wrong in ({"biases": biases}, {"weights": weights * np.inf}, {"weights": weights[1:]}):
        with pytest.raises(featlearn.InvalidInput, match=next(iter(wrong))):
            state.replace(**wrong)


def test_a_head_is_kept_unless_it_is_another_ones(short):
    exp = short.replace(objective="supervised", augmentation="none")
    state = featlearn.step(featlearn.init(exp))
    head = state.parameters["head"]
    assert state.replace(temperature=2.0).parameters["head"] is head
    assert state.replace(n_tasks=3).parameters["head"].shape == (3, short.n_neurons)


@pytest.mark.parametrize(
    "biases", (np.ones(24) + 1j, np.ma.array(np.ones(24), mask=np.eye(24)[0]), ["1"] * 24)
)
def test_a_state_is_changed_to_real_numbers_only(short, biases):
    with pytest.raises(featlearn.InvalidInput, match="^biases: got"):
        featlearn.init(short).replace(biases=biases)


def test_a_slip_in_the_name_of_a_part_is_named(short, tmp_path):
    featlearn.train(short, tmp_path)
    with pytest.raises(featlearn.InvalidInput, match="^part: got 'modell', wants .*mean model"):
        featlearn.load_state(tmp_path, modell=None)


SLIPS = {
    "state": lambda e: featlearn.draw_batch(e),
    "state: got": lambda e: featlearn.step(e),
    "state: got E": lambda e: featlearn.evaluate(e),
    "state: got Ex": lambda e: featlearn.explain_step(e),
    "directory: got 5": lambda e: featlearn.train(e, 5),
    "directory: got 6": lambda e: featlearn.load_state(6),
    "directory: got 7": lambda e: featlearn.load_run(7),
    "directory: got 'a": lambda e: featlearn.train(e, "a\0b"),
    "progress: got 5": lambda e: featlearn.train(e, progress=5),
    "progress: got 6": lambda e: featlearn.train_together([e], progress=6),
    "record: got 5": lambda e: featlearn.train(e, record=5),
    "experiments: got": lambda e: featlearn.train_together(e),
    "experiments: got 'tiny'": lambda e: featlearn.train_together(["tiny"]),
    "experiments: got None": lambda e: featlearn.train_together(None),
}


@pytest.mark.parametrize("said", SLIPS)
def test_what_training_is_not_made_for_is_named(short, said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        SLIPS[said](short)
    assert str(caught.value).startswith(said)
