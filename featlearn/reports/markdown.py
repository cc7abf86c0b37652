"""The Markdown of featlearn's own documents as HTML: headings, tables, lists, formulas.

A formula is a block indented by four blanks, in Unicode; its indices are set as such.
"""

import html
import re

FORMULA_STYLE = """
body { font: 17px/1.55 Georgia, serif; color: #1a1a1a; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3, nav { font-family: system-ui, sans-serif; line-height: 1.25; }
h2 { margin-top: 2.2rem; border-top: 1px solid #ddd; padding-top: 1rem; }
pre { overflow-x: auto; background: #f4f4f4; padding: .6rem; font-size: .85rem; }
code { font-size: .85em; } .source { color: #555; font-size: .9rem; overflow-wrap: anywhere; }
.formula { overflow-x: auto; white-space: pre; margin: .8rem 0 .8rem 1.2rem; font-size: 1.08rem;
           font-family: "STIX Two Math", "Cambria Math", "DejaVu Serif", Georgia, serif; }
sub, sup { font-size: .72em; line-height: 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
         border-bottom: 1px solid #ddd; }
"""


def to_html(text, title):
    """Return a Markdown text as a whole HTML page with a table of contents.

    Parameters
    ----------
    text : str
    title : str

    Returns
    -------
    str
    """
    headings = re.findall(r"^## (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    links = "".join(f'<li><a href="#{anchor(h)}">{_inline(h)}</a></li>' for h in headings)
    body = "\n".join(_block(block) for block in _blocks(text))
    body = body.replace("</h1>", f"</h1>\n<nav><ol>{links}</ol></nav>", 1)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{FORMULA_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def anchor(heading):
    """Return the name by which a heading is linked."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def formula(text):
    """Return a formula in Unicode as HTML: what follows ``_``, letters and digits or what is in braces, is an index."""
    text = html.escape(text, quote=False)
    return re.sub(
        r"_(?:\{([^{}]*)\}|([A-Za-z0-9α-ωΑ-Ω]+))", lambda m: f"<sub>{m[1] or m[2]}</sub>", text
    )


def _blocks(text):
    """Split a text at blank lines, but not inside a fence."""
    block, fenced = [], False
    for line in [*text.splitlines(), ""]:
        fence = line.startswith("```")
        if not fenced and (not line.strip() or line.startswith("#") or fence or line[0] == "→"):
            if block:
                yield block
            block = []
        fenced ^= fence
        if line.strip() or fenced:
            block.append(line)
        if not fenced and (line.startswith("#") or fence):
            yield block
            block = []


def _block(lines):
    first = lines[0]
    if first.startswith("```"):
        code = "\n".join(lines[1:-1])
        return f"<pre><code>{html.escape(code, quote=False)}</code></pre>"
    if match := re.match(r"(#+) (.*)", first):
        level, words = len(match[1]), match[2]
        return f'<h{level} id="{anchor(words)}">{_inline(words)}</h{level}>'
    if first.startswith("    "):
        return f'<div class="formula">{formula(chr(10).join(x[4:] for x in lines))}</div>'
    if first.startswith("|"):
        return _table(lines)
    if re.match(r"([-*]|\d+\.) ", first):
        return _list(lines)
    if first.startswith("→"):
        return f'<p class="source">{_inline(" ".join(x.strip() for x in lines))}</p>'
    return f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines):
    rows = [[_inline(cell) for cell in re.split(r"(?<!\\)\|", x.strip()[1:-1])] for x in lines]
    parts = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in rows[0]) + "</tr>"]
    parts += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[2:]]
    return '<div class="wide"><table>' + "\n".join(parts) + "</table></div>"


def _list(lines):
    items = []
    for line in lines:
        if match := re.match(r"(?:[-*]|\d+\.) (.*)", line):
            items.append(match[1])
        else:
            items[-1] += " " + line.strip()
    kind = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{kind}>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + f"</{kind}>"


def _inline(text):
    """Emphasis, code and links of a line; indices of the formulas in it."""
    pieces = re.split(r"(`[^`]*`)", text.strip())
    for k, piece in enumerate(pieces):
        if piece.startswith("`"):
            pieces[k] = f"<code>{html.escape(piece[1:-1], quote=False)}</code>"
            continue
        piece = formula(piece)
        piece = re.sub(r"\[([^\]]+)\]\((https?://[^)]+|[\w./#-]+)\)", r'<a href="\2">\1</a>', piece)
        piece = re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"<strong>\1</strong>", piece)
        pieces[k] = re.sub(r"(?<![\w*])\*(\S(?:[^*]*?\S)?)\*(?![\w*])", r"<em>\1</em>", piece)
    return "".join(pieces)
