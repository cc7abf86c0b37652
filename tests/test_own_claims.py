"""Claims of a user's own: beside the built-in ones in table, file, report and sweep."""

import functools
import json

import numpy as np
import pytest

import featlearn
from featlearn.commands import main
from featlearn.plotting import several
from featlearn.theory import at_least, at_most, within
from featlearn.theory.claims import checking
from featlearn.theory.claims.boundaries import claim_boundaries

LEMMA = """
import numpy as np
import featlearn
from featlearn.theory import at_least

def masked(experiment):
    return None if experiment.augmentation == "random_mask" else "no mask"

@featlearn.claim("my lemma", needs=masked)
def loss_falls(observed):
    fall = [o.run["loss"][0] - o.run["loss"][-1] for o in observed]
    return at_least("my lemma", "fall of the loss", 0, fall, "it falls")
"""


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Of the built-in claims, one that is quickly judged."""
    monkeypatch.setattr(checking, "CLAIMS", (claim_boundaries,))


@pytest.fixture
def lemma(tmp_path):
    path = tmp_path / "lemmas.py"
    path.write_text(LEMMA)
    return path


@featlearn.claim("bias")
def bias_in_range(observed):
    ratio = [np.max(o.run["bias"][-1] / o.run["weight_norm"][-1]) for o in observed]
    return [
        at_most("bias", "largest b/‖w‖", 0.6, ratio, "the cap"),
        within("bias", "its value", 0.5, ratio, 0.1, "a guess"),
    ]


def test_an_own_claim_is_judged_after_the_built_in_ones(twins):
    run = featlearn.load_run(twins[0])
    plain = featlearn.check(run)
    found = featlearn.check(run, claims=[bias_in_range])
    assert found[: len(plain)] == plain and [v.claim for v in found[-2:]] == ["bias", "bias"]
    assert isinstance(found, list) and str(found) == featlearn.theory.table(found)
    assert found[-2].low is None and found[-2].high == 0.6
    assert (found[-1].low, found[-1].high) == pytest.approx((0.45, 0.55))
    assert featlearn.check(run) == plain, "nothing is registered"
    assert bias_in_range([featlearn.theory.claims.observed.Observed(run)])


def test_an_error_in_an_own_claim_shows_before_the_built_in_ones_take_their_time(
    twins, monkeypatch
):
    judged = []
    slow = featlearn.claim("slow")(lambda observed: judged.append(1) or [])
    monkeypatch.setattr(checking, "CLAIMS", (checking.claim_files, slow))
    run = featlearn.load_run(twins[0])
    with pytest.raises(ZeroDivisionError):
        featlearn.check(run, claims=featlearn.claim("wrong")(lambda observed: 1 / 0))
    assert not judged and featlearn.check(run, claims=bias_in_range)[-1].claim == "bias" and judged


def test_a_need_that_is_not_met_is_the_reason(twins):
    claim = featlearn.claim("never", needs=[lambda e: None, lambda e: f"τ = {e.temperature}"])
    run = featlearn.load_run(twins[0])
    (verdict,) = featlearn.check(run, claims=claim(lambda observed: 1 / 0))[-1:]
    assert (verdict.outcome, verdict.reason) == ("does not apply", "τ = 2.0")
    assert verdict.low is verdict.high is None


@pytest.mark.parametrize(
    "claims, match",
    (
        ([lambda observed: []], "marked"),
        ([featlearn.claim("x")(lambda observed: 3)], "claim x"),
    ),
)
def test_what_is_no_claim_is_refused(twins, claims, match):
    with pytest.raises(featlearn.InvalidInput, match=match):
        featlearn.check(featlearn.load_run(twins[0]), claims=claims)
    with pytest.raises(featlearn.InvalidInput, match="name"):
        featlearn.claim(bias_in_range)
    with pytest.raises(featlearn.InvalidInput, match="needs"):
        featlearn.claim("x", needs=["text"])


def test_the_command_takes_every_marked_function_of_a_file(twins, lemma, capsys):
    main(["check", str(twins[0]), str(twins[1]), "--claims", str(lemma), "--brief"])
    said = capsys.readouterr().out
    assert said.count("my lemma") == 2 and "no mask" in said
    for place in twins:
        kept = json.loads((place / "claims.json").read_text())["reports"][0]["verdicts"]
        assert kept[-1]["claim"] == "my lemma"
    assert {"low", "high"} <= set(kept[-1])


def test_a_claim_may_print_and_its_file_be_named_twice(twins, tmp_path, capsys):
    path = tmp_path / "loud.py"
    path.write_text(LEMMA.replace("    fall =", "    print('aloud')\n    fall ="))
    named = ["--claims", str(path), "--claims", str(path)]
    main(["check", str(twins[0]), *named, "--json", "--quiet"])
    captured = capsys.readouterr()
    [one] = json.loads(captured.out)
    assert [v["claim"] for v in one["verdicts"]].count("my lemma") == 1
    assert captured.err == "aloud\n"


def test_a_report_shows_own_claims(twins, lemma, tmp_path, monkeypatch):
    monkeypatch.setattr(several, "figures", lambda *_, **__: ())
    out = tmp_path / "report.html"
    main(["report", str(twins[0]), "--claims", str(lemma), "-o", str(out), "--quiet"])
    assert "fall of the loss" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text, match",
    (
        ("x = 1", "marked"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        (None, "No"),
    ),
)
def test_a_file_without_claims_is_refused_in_one_line(twins, tmp_path, capsys, text, match):
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    assert main(["check", str(twins[0]), "--claims", str(path)]) == 2
    assert match in capsys.readouterr().err


def test_what_is_no_file_of_python_is_not_read_for_claims(twins, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x = 1")
    for path in (tmp_path / "notes.txt", tmp_path):
        assert main(["check", str(twins[0]), "--claims", str(path)]) == 2
        said = capsys.readouterr().err
        assert "--claims: got" in said and "wants a file whose name ends in .py" in said


def test_a_claim_sees_the_states_of_a_run_on_ones_own_model(small, tmp_path):
    exp = small.replace(n_steps=10)
    model = featlearn.init(exp.replace(seed=5)).model
    featlearn.train(exp, tmp_path / "run", model=model)

    @featlearn.claim("states")
    def of_the_model(observed):
        (o,) = observed
        aligned = [s.weights @ model.dictionary - o.run["alignment"][row] for row, s in o.states]
        assert all(s.model is model for _, s in o.states)
        return at_most("states", "largest difference", 1e-5, np.abs(aligned).max(), "rounding")

    for run in (featlearn.train(exp, model=model), featlearn.load_run(tmp_path / "run", model)):
        assert featlearn.check(run, of_the_model)[-1].outcome == "holds"
    with pytest.raises(featlearn.InvalidInput, match="load_run"):
        featlearn.check(featlearn.load_run(tmp_path / "run"), of_the_model)


MISUSED = {
    "values: got 'shape (2, 3)'": lambda: within("c", "q", 1.0, np.ones((2, 3)), 0.1, "why"),
    "values: got 'shape (1, 3)'": lambda: at_most("c", "q", 1.0, [[1.0, 2, 3]], "why"),
    "values: got [1, [2, 3]]": lambda: within("c", "q", 1.0, [1, [2, 3]], 0.1, "why"),
    "values: got 'a'": lambda: at_least("c", "q", 1.0, "a", "why"),
    "values: got [1j]": lambda: within("c", "q", 1.0, [1j], 0.1, "why"),
    "values: got masked_array": lambda: at_most(
        "c", "q", 1.0, np.ma.array([1.0, 9], mask=[0, 1]), "why"
    ),
    "predicted: got None": lambda: within("c", "q", None, [1.0], 0.1, "why"),
    "predicted: got 'shape (1,)'": lambda: at_most("c", "q", 1.0, [1.0], "why", predicted=[1.0]),
    "relative: got nan": lambda: within("c", "q", 1.0, [1.0], np.nan, "why"),
    "relative: got -0.1": lambda: within("c", "q", 1.0, [1.0], -0.1, "why"),
    "absolute: got None": lambda: within("c", "q", 1.0, [1.0], 0.1, "why", absolute=None),
    "bound: got 'x'": lambda: at_most("c", "q", "x", [1.0], "why"),
    "bound: got None": lambda: at_least("c", "q", None, [1.0], "why"),
    "needs: got (None,)": lambda: featlearn.claim("c", needs=None),
    "claim c: got 5": lambda: featlearn.claim("c")(5),
    "claim c: got <class 'int'>": lambda: featlearn.claim("c")(int),
}


@pytest.mark.parametrize("said", MISUSED)
def test_a_verdict_is_of_one_number_for_every_seed_and_the_error_names_the_argument(said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        MISUSED[said]()
    assert str(caught.value).startswith(said)


def test_what_is_not_finite_is_undefined_and_one_number_may_be_an_array():
    for values in ([np.nan, 1.0], [None, 1.0], []):
        assert within("c", "q", 1.0, values, 0.1, "why").measured == "undefined"
    assert within("c", "q", np.array(1.0), np.array(1.05), 0.1, "why").outcome == "holds"


def test_a_claim_that_is_an_object_says_its_unmet_need_under_its_name(twins):
    class Lemma:
        def __call__(self, observed):
            return 1 / 0

    for function in (Lemma(), functools.partial(bias_in_range)):
        marked = featlearn.claim("mine", needs=lambda e: "never")(function)
        verdict = featlearn.check(featlearn.load_run(twins[0]), claims=marked)[-1]
        assert (verdict.claim, verdict.quantity, verdict.reason) == ("mine", "mine", "never")


@pytest.mark.parametrize(
    "options, said",
    (
        ({"claims": 5}, "claims: got (5,)"),
        ({"claims": None}, "claims: got (None,)"),
        ({"replay": -1}, "replay: got -1"),
        ({"replay": 1.5}, "replay: got 1.5"),
    ),
)
def test_what_check_does_not_understand_is_named(twins, options, said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        featlearn.check(featlearn.load_run(twins[0]), **options)
    assert str(caught.value).startswith(said)
