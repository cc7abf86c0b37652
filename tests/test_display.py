"""Objects show themselves: one line in a terminal, a table in a notebook."""

import copy
import html.parser

import numpy as np
import pytest

import featlearn
from featlearn import theory


@pytest.fixture(scope="module")
def run(twins):
    return featlearn.load_run(twins[0])


class Balanced(html.parser.HTMLParser):
    """Fails on a tag that is never closed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], 0

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.rows += tag == "tr"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_what_holds_arrays_shows_itself_in_one_short_line(run):
    state = featlearn.init(run.experiment)
    batch, gradient = featlearn.draw_batch(state), featlearn.evaluate(state)
    things = [run, state, batch, batch.sample, batch.views, gradient, gradient.contrast,
              gradient.terms[0], gradient.terms[0].activations, state.model,
              featlearn.explain_step(state)]  # fmt: skip
    for thing in things:
        said = repr(thing)
        assert said.startswith(type(thing).__name__ + "(") and "\n" not in said
        assert "array(" not in said and len(said) < 1500, said
    assert repr(run) == f"Run(random_mask, d=8, m=24, 121 rows, stage III, {run.directory})"


def test_a_run_is_a_table_of_its_quantities_and_equal_to_itself_only(run):
    assert "alignment" in run and "nonsense" not in run
    assert list(run)[:2] == ["step", "stage"] and set(run) == set(run.arrays)
    other = featlearn.load_run(run.directory)
    assert run == run and run != other and len({run, other, run}) == 2
    state = featlearn.init(run.experiment)
    assert state != copy.copy(state) and hash(state) != hash(copy.copy(state))


def test_tables_of_html(run):
    verdicts = featlearn.check([run])
    explained = featlearn.explain_step(featlearn.init(featlearn.SMALL_WORLD))
    for thing, rows in (
        (run.experiment, len(run.experiment.to_dict())),
        (run, len(list(run))),
        (verdicts, len(verdicts)),
        (featlearn.summarize(run), 10),
        (explained, 0),
    ):
        parser = Balanced()
        parser.feed(thing._repr_html_())
        assert not parser.open and parser.rows >= rows
    assert str(verdicts) == theory.table(verdicts)


def test_an_explained_step_prints_what_the_command_prints(capsys):
    from featlearn.commands import main

    assert main(["step", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert str(featlearn.explain_step(featlearn.init(featlearn.SMALL_WORLD))) == said.rstrip("\n")


def test_as_an_xarray(run):
    pytest.importorskip("xarray", reason="the extra xarray is not installed")
    data = run.to_xarray()
    assert data["alignment"].dims == ("step", "neuron", "feature")
    assert data["bias"].dims == ("step", "neuron") and data["loss"].dims == ("step",)
    np.testing.assert_array_equal(data["loss"].sel(step=7), run["loss"][7])
