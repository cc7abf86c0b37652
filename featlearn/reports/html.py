"""A report to send: one HTML file with the figures inside, readable without network or script."""

import base64
import dataclasses
import io
import math
import re
import shlex

from ..display import escape, html_table
from ..experiment import Experiment
from ..presets import preset
from ..recording.config import versions
from ..recording.files import read_json
from ..recording.rundir import read_status
from ..state import DECIDED_BY
from ..summary import MEASURES, measures_of_weights
from ..theory.claims.verdict import FAILS, count_outcomes, number, verdict_html
from ..theory.predictions.crossing import crossing, noise_margin
from .markdown import anchor

MOST_IN_A_FIGURE = 3
# Stands for the contents until all is written.
CONTENTS = "<!-- contents -->"

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { margin-top: 2.2rem; font-size: 1.25rem; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid #ddd; }
td:first-child { min-width: 7rem; } .why { display: block; min-width: 15rem; color: #555; }
.differs td { font-weight: 600; }
.holds { color: #00694d; } .fails { color: #a33c00; font-weight: 700; } .none { color: #666; }
figure { margin: 1.2rem 0; } figure img { width: 100%; height: auto; }
nav ul { columns: 14rem; padding-left: 1.1rem; }
figcaption { color: #333; max-width: 46rem; }
pre { overflow-x: auto; background: #f4f4f4; padding: .7rem; font-size: .8125rem; }
"""


def make_report(observed, verdicts, figures):
    """Return the report as the text of an HTML file.

    Parameters
    ----------
    observed : dict of str to Observed
        By label.
    verdicts : sequence of (str, list of Verdict)
        What was checked, and what became of it.
    figures : iterable of (str, str, matplotlib.figure.Figure)
        Name, sentence and picture.

    Returns
    -------
    str
        The same for the same runs: it holds no date.
    """
    runs = {label: one.run for label, one in observed.items()}
    title = "Feature learning in contrastive learning: " + ", ".join(runs)
    limit = [label for label, run in runs.items() if run.experiment.is_large_batch_limit]
    note = f" In the large-batch limit: {', '.join(limit)}." if limit else ""
    pictures = [(name, sentence + note, figure) for name, sentence, figure in figures]
    every = [verdict for _, several in verdicts for verdict in several]
    sections = [
        f"<h1>{escape(title)}</h1>",
        "<p>Simulated with featlearn after Wen &amp; Li, <cite>Toward Understanding the Feature"
        " Learning Process of Self-supervised Contrastive Learning</cite>, ICML 2021.</p>",
        CONTENTS,
        f"<p><strong>{escape(count_outcomes(every))}</strong> of {len(every)} checks.</p>",
        _failures(verdicts),
        _progress(runs),
        *(_figure(*entry) for entry in pictures[:1]),
        _heading("The experiment"),
        _experiment_table(runs),
        _heading("What the theory predicts"),
        _prediction_table(observed),
        _heading("What was measured"),
        _measured_table(observed),
        _heading("Verdicts"),
        *(_verdict_table(name, several) for name, several in verdicts),
        _heading("Figures"),
        *(_figure(*entry) for entry in pictures[1:]),
        _heading("How to make this again"),
        f"<pre>{escape(commands(runs))}</pre>",
        _origin(runs),
    ]
    body = "\n".join(section for section in sections if section)
    # After the heading and the two lines that say what it is.
    body = body.replace(CONTENTS, _contents(body))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _heading(title):
    return f'<h2 id="{anchor(title)}">{title}</h2>'


def _contents(body):
    """The headings of a page, and its figures, as links."""
    places = re.findall(r'<(?:h2|figure) id="([^"]*)">(?:([^<]*)</h2>)?', body)
    links = [f'<li><a href="#{place}">{title or place}</a></li>' for place, title in places]
    return "\n".join(['<nav aria-label="Contents">', "<ul>", *links, "</ul>", "</nav>"])


def commands(runs):
    """Return the commands that train these runs again and report on them."""
    lines, places = [], []
    base = preset("default").to_dict()
    for k, run in enumerate(runs.values()):
        place = run.directory.name if run.directory else f"run-{k}"
        place = place if f"runs/{place}" not in places else f"{place}-{k}"
        places.append(f"runs/{place}")
        words = ["featlearn", "run", "--preset", "default"]
        for name, value in run.experiment.to_dict().items():
            if value != base[name]:
                words += ["--set", f"{name}={_plain(value)}"]
        lines.append(shlex.join([*words, "--out", places[-1]]))
        lines += [f"#   with its own {role}, {part['name']}" for role, part in run.own.items()]
        if run.start is not None:
            lines.append(f"#   from step {run.start['step']} of {run.start['run'] or 'a state'}")
    lines.append(shlex.join(["featlearn", "report", *places, "-o", "report.html"]))
    return "\n".join(lines)


def _plain(value):
    """A field's value as --set reads it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _failures(verdicts):
    """A list of the checks that fail, so that nobody has to look for them."""
    lines = [
        f"<li>{escape(title)}: {escape(v.claim)}, {escape(v.quantity)}: {escape(number(v.measured))},"
        f" wanted {escape(v.tolerance)}</li>"
        for title, several in verdicts
        for v in several
        if v.outcome == FAILS
    ]
    return "\n".join(['<p class="fails">What fails:</p>', "<ul>", *lines, "</ul>"]) if lines else ""


def _progress(runs):
    """A warning for every run that has not reached its end."""
    lines = []
    for name, run in runs.items():
        done, planned = int(run.steps[-1]), run.experiment.n_steps
        if done < planned:
            word = read_status(run.directory).get("status", "") if run.directory else ""
            lines.append(f"<p>{escape(name)}: step {done} of {planned} {escape(word)}.</p>")
    return "\n".join(lines)


def _experiment_table(runs):
    rows, classes = [], []
    for field in dataclasses.fields(Experiment):
        values = [_value(run, field.name) for run in runs.values()]
        said = escape(field.metadata["doc"])
        rows.append([f"<code>{field.name}</code>", said, *map(escape, values)])
        classes.append("differs" if len(set(values)) > 1 else "")
    return html_table(["field", "meaning", *map(escape, runs)], rows, classes)


def _value(run, name):
    """A field's value; of one that a part of the user's own decides, that part."""
    if name == "augmentation":
        return run.views
    decided = [f"own {role}" for role in run.own if name in DECIDED_BY.get(role, ())]
    return ", ".join(decided) or _plain(getattr(run.experiment, name))


def _prediction_table(observed):
    def overtakes(experiment):
        growth = crossing(experiment).growth
        return number(growth) if math.isfinite(growth) else "never"

    of_experiment = {
        "density of the latents s": lambda e: number(e.resolved_density),
        "variance of the dense noise σ²": lambda e: number(e.resolved_noise_variance),
        "noise margin κ n²/s: sparse features can be learned below 1":
            lambda e: number(noise_margin(e)),
        "g*, ln of the growth at which the sparse part overtakes the dense one": overtakes,
    }  # fmt: skip
    # It predicts nothing of a run with parts of the user's own.
    own = [", ".join(f"own {role}" for role in one.run.own) for one in observed.values()]
    rows = [
        [said, *(parts or of(one.experiment) for parts, one in zip(own, observed.values()))]
        for said, of in of_experiment.items()
    ]
    grown = (number(one.growth) for one in observed.values())
    rows.append(["g, ln of the growth that was reached", *grown])
    return html_table(["prediction", *map(escape, observed)], rows)


def _measured_table(observed):
    measured = [
        one.summary.to_dict() if one.run.model is not None else measures_of_weights(one.run)
        for one in observed.values()
    ]
    rows = [
        [escape(said), *(number(values[name]) if name in values else "" for values in measured)]
        for name, said in MEASURES
        if any(name in values for values in measured)
    ]
    return html_table(["measure", *map(escape, observed)], rows)


def _verdict_table(title, verdicts):
    table = verdict_html(verdicts)
    return f"<h3>{escape(title)}</h3>\n<p>{escape(count_outcomes(verdicts))}</p>\n{table}"


def _figure(name, sentence, figure):
    from ..plotting.canvas import write

    buffer = io.BytesIO()
    write(figure, buffer, "png", dpi=200)
    # As wide on a screen as its letters ask for, and never wider than the screen.
    size = f"max-width: {7.6 * figure.get_size_inches()[0]:.1f}rem"
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure id="{escape(name)}">\n'
        f'<img style="{size}" src="data:image/png;base64,{data}" alt="{escape(sentence)}">\n'
        f"<figcaption>{escape(sentence)}</figcaption>\n</figure>"
    )


def _origin(runs):
    """Versions, threads and seeds of the runs."""
    rows = []
    for name, run in runs.items():
        config = read_json(run.directory / "config.json") if run.directory else {}
        used = config.get("versions", versions())
        said = ", ".join(f"{what} {version}" for what, version in used.items())
        threads = config.get("blas_threads", "")
        rows.append([escape(name), run.experiment.seed, escape(said), escape(threads)])
    return html_table(["run", "seed", "versions", "threads"], rows)
