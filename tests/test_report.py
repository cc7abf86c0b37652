"""The report: one file, complete, that asks for nothing else."""

import re
import shlex
import shutil
from html.parser import HTMLParser

import browser
import pytest

import featlearn
from featlearn import plotting
from featlearn.commands import build_parser, main
from featlearn.commands.common import experiment_from
from featlearn.reports.html import commands


@pytest.fixture
def few_figures(monkeypatch):
    for name in set(plotting.GALLERY) - {"losses", "neurons-per-atom"}:
        monkeypatch.delitem(plotting.GALLERY, name)


class Tags(HTMLParser):
    """Collects tags with their attributes, and refuses what does not nest."""

    def __init__(self):
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_report_is_whole_and_needs_nothing_else(twins, tmp_path, few_figures, capsys):
    out = tmp_path / "new" / "report.html"
    assert main(["report", *map(str, twins), "-o", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    names = [tag for tag, _ in tags.seen]
    assert not {"script", "link", "iframe"} & set(names)
    sources = [attrs["src"] for tag, attrs in tags.seen if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert "http" not in re.sub(r'base64,[^"]*"', "", text)
    for said in ("random_mask", "no augmentation", "T1", "T3", "numpy", "--set n_features=8"):
        assert said in text
    # No date: the same runs give the same file.
    assert main(["report", *map(str, twins), "-o", str(tmp_path / "b.html"), "--quiet"]) == 0
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == text


def test_the_commands_of_a_report_make_the_same_experiments(twins):
    runs = plotting.label_runs([featlearn.load_run(directory) for directory in twins])
    lines = commands(runs).splitlines()
    for line, run in zip(lines, runs.values()):
        arguments = build_parser().parse_args(shlex.split(line)[1:])
        assert experiment_from(arguments) == run.experiment
    assert lines[-1] == "featlearn report runs/random_mask runs/none -o report.html"


def test_bad_input_is_refused_in_one_line(twins, tmp_path, capsys):
    for arguments in (
        [str(twins[0]), "-o", str(tmp_path / "report.pdf")],
        [str(tmp_path)],
    ):
        assert main(["report", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_may_lie_where_a_name_is_no_text(twins, tmp_path, few_figures, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(twins[0], "\udcff")
    assert main(["report", "\udcff", "-o", "REPORT.HTML", "--quiet"]) == 0
    assert "featlearn run" in open("REPORT.HTML", encoding="utf-8").read()


@pytest.mark.skipif(browser.find() is None, reason="no Chromium is installed")
def test_contents_lead_to_every_section_and_figures_fit_a_narrow_screen(
    twins, tmp_path, few_figures
):
    out = tmp_path / "report.html"
    assert main(["report", *map(str, twins), "-o", str(out), "--quiet"]) == 0
    with browser.Browser(tmp_path / "profile", (390, 800)) as page:
        page.open(out)
        assert page.run("document.documentElement.scrollWidth") <= 390
        widths = page.run("[...document.images].map(i => [i.clientWidth, i.naturalWidth])")
        assert len(widths) == 2 and all(300 < shown <= 390 < own for shown, own in widths)
        links = page.run("[...document.querySelectorAll('nav a')].map(a => a.hash)")
        places = page.run("[...document.querySelectorAll('h2, figure')].map(e => '#' + e.id)")
        assert links == places and len(set(links)) == 8
        page.run("document.querySelectorAll('nav a')[4].click()")
        assert page.run("document.querySelectorAll('h2')[3].getBoundingClientRect().top") < 800
