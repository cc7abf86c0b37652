"""The public names of featlearn as one HTML page with search, made from their docstrings."""

import html
import importlib
import inspect
import re

# Packages whose exported names belong to the page, the core first.
PACKAGES = ("featlearn", "featlearn.theory", "featlearn.plotting")

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 54rem; margin: 0 auto;
       padding: 1rem; }
input { font: inherit; width: 100%; padding: .4rem; box-sizing: border-box; }
section { border-top: 1px solid #ddd; padding: .6rem 0; } h3 { margin: .3rem 0; }
h3 code { font-size: .95rem; overflow-wrap: anywhere; } h4 { margin: .6rem 0 .2rem; font-size: .95rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 .2rem 1rem; font-size: .875rem; }
.kind { color: #555; font-size: .875rem; } [hidden] { display: none; }
"""

SCRIPT = """
const field = document.querySelector("input"), parts = [...document.querySelectorAll("section")];
const texts = parts.map(part => part.textContent.toLowerCase());
const count = document.querySelector("#count");
function search() {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  parts.forEach((part, k) => { part.hidden = !words.every(word => texts[k].includes(word)); });
  count.textContent = `${parts.filter(part => !part.hidden).length} of ${parts.length} names`;
}
field.addEventListener("input", search);
search();
"""


def public_names():
    """Return the public names, a dictionary of dotted name to object."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
        for name in names:
            thing = getattr(module, name)
            own = getattr(thing, "__module__", "").startswith("featlearn")
            if own and (inspect.isfunction(thing) or inspect.isclass(thing)):
                found.setdefault(f"{package}.{name}", thing)
    return found


def make_api():
    """Return the page as the text of an HTML file."""
    sections = "\n".join(_section(name, thing) for name, thing in public_names().items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>featlearn: the API</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>featlearn: the API</h1>\n"
        '<p><input type="search" aria-label="search" placeholder="search names and descriptions"></p>\n'
        f'<p id="count" role="status"></p>\n{sections}\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def _section(name, thing):
    kind = "class" if inspect.isclass(thing) else "function"
    parts = [
        f'<section id="{html.escape(name)}">',
        f"<h3><code>{html.escape(name + _signature(thing))}</code></h3>",
        f'<p class="kind">{kind}</p>',
        _documentation(thing),
    ]
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            function = (
                value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            )
            if member[0] != "_" and inspect.isfunction(function) and function.__doc__:
                call = "" if isinstance(value, property) else _signature(function)
                parts.append(f"<h4><code>.{html.escape(member + call)}</code></h4>")
                parts.append(_documentation(function))
    return "\n".join([*parts, "</section>"])


def _signature(thing):
    """The arguments; those of an exception or without a signature are left out."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return ""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    return str(found.replace(return_annotation=inspect.Signature.empty))


def _documentation(thing):
    """A docstring as HTML: its sections get headings, the rest stays as it is written."""
    text = html.escape(inspect.getdoc(thing) or "")
    pieces = re.split(r"^(.+)\n-{3,}$", text, flags=re.M)
    shown = [f"<pre>{pieces[0].strip()}</pre>"]
    for heading, body in zip(pieces[1::2], pieces[2::2]):
        shown.append(f"<h4>{heading}</h4>\n<pre>{body.strip()}</pre>")
    return "\n".join(shown)
