"""The derivation and the API as pages, and the examples in docstrings."""

import dataclasses
import doctest
import html.parser
import inspect
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import browser
import pytest

import featlearn
from featlearn.commands import main
from featlearn.reports.api import make_api, public_names
from featlearn.reports.markdown import anchor, formula, to_html

DERIVATION = (resources.files("featlearn.theory") / "derivation.md").read_text(encoding="utf-8")
VOID = {"meta", "input", "br", "img"}


class Balanced(html.parser.HTMLParser):
    """Fails where tags are not nested; collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.ids, self.links = [], [], set(), set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given.get("id")}
        self.links |= {given.get("href")} if tag == "a" else set()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    return parser


def test_the_derivation_as_a_page_loses_nothing():
    page = parsed(to_html(DERIVATION, "derivations"))
    words = re.findall(r"[^\W_]{4,}", re.sub(r"[`*_{}]", " ", DERIVATION))
    shown = set(re.findall(r"[^\W_]+", " ".join(page.text)))
    lost = {word for word in words if word not in shown}
    assert len(lost) < 0.01 * len(set(words)), sorted(lost)[:20]
    headings = re.findall(r"^## (.*)$", DERIVATION, re.M)
    assert {"#" + anchor(h) for h in headings} <= page.links
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids


def test_indices_of_formulas():
    assert formula("α_ij² + Σ_{q≠p} P_pq") == "α<sub>ij</sub>² + Σ<sub>q≠p</sub> P<sub>pq</sub>"
    assert formula("a < b") == "a &lt; b"


def test_the_api_page_has_every_public_name():
    page = parsed(make_api())
    names = public_names()
    assert {"featlearn.train", "featlearn.contrastive_gradient", "featlearn.Run"} <= set(names)
    assert set(names) <= page.ids


def test_the_commands(tmp_path, capsys):
    for words in (["derivation", "-o"], ["api", "-o"]):
        place = tmp_path / f"{words[0]}.html"
        assert main([*words, str(place)]) == 0 and place.stat().st_size > 10_000
        assert capsys.readouterr().out.strip() == str(place)
        assert main([*words, "page.txt"]) == 2
        assert "a name ending in .html" in capsys.readouterr().err
    assert main(["derivation"]) == 0
    assert capsys.readouterr().out == DERIVATION


@pytest.mark.skipif(browser.find() is None, reason="no Chromium here: the page was not searched")
def test_the_api_page_is_searched(tmp_path):
    (tmp_path / "api.html").write_text(make_api(), encoding="utf-8")
    with browser.Browser(tmp_path / "profile") as page:
        page.open(tmp_path / "api.html")
        page.run("document.querySelector('input').focus()")
        for letter in "lottery_sets":
            page.press(letter)
        shown = page.run("[...document.querySelectorAll('section:not([hidden])')].map(s => s.id)")
        assert "featlearn.lottery_sets" in shown and len(shown) < 10


def test_help_says_what_the_fields_of_an_experiment_mean():
    text = inspect.getdoc(featlearn.Experiment)
    for f in dataclasses.fields(featlearn.Experiment):
        line = f"{f.name} : {getattr(f.type, '__name__', f.type)}, default {f.default!r}\n"
        place = text.index(line) if isinstance(f.type, type) else text.index(f"{f.name} : {f.type}")
        meaning = " ".join(text[place:].split("\n", 1)[1][:400].split())
        assert meaning.startswith(f.metadata["doc"])


def test_packages_can_be_had_by_their_names_and_the_command_can_be_imported():
    code = (
        "import featlearn\n"
        "assert featlearn.sweep.sweep and featlearn.theory.check and featlearn.plotting.save\n"
        "import featlearn.__main__\n"
        "print('still here')\n"
    )
    found = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert found.stdout == "still here\n", found.stderr


def test_every_exported_function_has_an_example_that_runs():
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    without = []
    for name, thing in public_names().items():
        if name.count(".") == 1 and not isinstance(thing, type):
            tests = finder.find(thing, name, globs={"featlearn": featlearn})
            if not any(test.examples for test in tests):
                without.append(name)
            for test in tests:
                runner.run(test)
    assert not without
    assert runner.summarize(verbose=False).failed == 0


def test_examples_of_what_is_not_exported_name_what_there_is():
    for path in Path(featlearn.__file__).parent.rglob("*.py"):
        for line in re.findall(r"^ *(?:>>>|\.\.\.) (.*)$", path.read_text(encoding="utf-8"), re.M):
            for name in re.findall(r"\bfeatlearn\.(\w+)", line):
                assert hasattr(featlearn, name), f"{path.name}: {line}"
