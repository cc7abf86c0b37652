"""How objects show themselves: in one line, arrays by their shapes; tables in a terminal and in HTML."""

import dataclasses
import html
import shutil
import textwrap

import numpy as np

# Texts of nested objects longer than this are left out of a line.
LONGEST = 60
# Columns of a terminal: what is assumed where there is none, and what is counted on everywhere.
USUAL_WIDTH, LEAST_WIDTH = 100, 80
# So far columns of a table are narrowed before it is cut into blocks: that of names, one with a head, and the others.
LEAST_NAME, LEAST_HEAD, LEAST_CELL = 24, 16, 12
GAP = "  "


def one_line(thing):
    """Return a dataclass or named tuple in one line, for its ``__repr__``."""
    if dataclasses.is_dataclass(thing):
        names = [f.name for f in dataclasses.fields(thing)]
    else:
        names = thing._fields
    parts = [f"{name}={_short(getattr(thing, name))}" for name in names]
    return f"{type(thing).__name__}({', '.join(parts)})"


def _short(value):
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}" if value.ndim else f"{value:.4g}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(map(str, value)) + "}"
    if isinstance(value, tuple) and value and not isinstance(value[0], (int, float, str)):
        return f"{len(value)} {type(value[0]).__name__}s"
    text = repr(value)
    return text if len(text) <= LONGEST else f"{type(value).__name__}(…)"


def escape(value):
    """Return a value as text that HTML shows as it is."""
    return html.escape(str(value))


def html_table(head, rows, classes=None):
    """Return a table of HTML in a box that scrolls by itself on a narrow screen.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
        Cells are HTML; see `escape`.
    classes : sequence of str, optional
        One for each row, or nothing.
    """
    lines = ['<div class="wide"><table>', "<tr>" + "".join(f"<th>{h}</th>" for h in head) + "</tr>"]
    for k, row in enumerate(rows):
        name = f' class="{classes[k]}"' if classes and classes[k] else ""
        lines.append(f"<tr{name}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    return "\n".join([*lines, "</table></div>"])


def terminal_width():
    """Return how many columns a table may take: those of the terminal, or as COLUMNS says."""
    return max(shutil.get_terminal_size((USUAL_WIDTH, 24)).columns, LEAST_WIDTH)


def text_table(rows, right=False, rule=False, width=None):
    """Return a table as text that fits the terminal.

    Long cells are wrapped, where that adds the fewest lines. Columns that do not fit even so are
    shown in blocks below each other, each with the first column again.

    Parameters
    ----------
    rows : sequence of (sequence of str, or str)
        The first is the head. A row that is one string goes across the table, in every block.
    right : bool
        Columns after the first to the right, as numbers are.
    rule : bool
        A line below the head.
    width : int, optional
        `terminal_width` unless given.

    Returns
    -------
    str
    """
    width = terminal_width() if width is None else width
    cells = [row for row in rows if not _across(row)]
    lengths = np.array([[max(len(cell), 1) for cell in row] for row in cells])
    least = np.array([max(map(_longest_word, column)) for column in zip(*cells)])
    least = np.maximum(np.minimum(least, LEAST_CELL), np.minimum(lengths[0], LEAST_HEAD))
    least[0] = min(lengths[:, 0].max(), LEAST_NAME)
    blocks = [[]]
    for k in range(1, len(least)):
        if blocks[-1] and _total(least[[0, *blocks[-1], k]]) > width:
            blocks.append([])
        blocks[-1].append(k)
    texts = []
    for block in blocks:
        columns = [0, *block]
        widths = _narrowed(lengths[:, columns], least[columns], width)
        lines = []
        for row in rows:
            if _across(row):
                lines += wrapped(row, width) or [""]
            else:
                lines += _row_lines([row[k] for k in columns], widths, right)
            if rule and row is rows[0]:
                lines.append("-" * _total(widths))
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def wrapped(text, width=None):
    """Return a text as lines no longer than the terminal is wide, all indented as it is."""
    indent = " " * (len(text) - len(text.lstrip()))
    width = terminal_width() if width is None else width
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _across(row):
    return isinstance(row, str)


def _total(widths):
    return int(sum(widths)) + len(GAP) * (len(widths) - 1)


def _longest_word(cell):
    return max(map(len, cell.split()), default=1)


def _narrowed(lengths, least, width):
    """Take columns off one at a time until the table fits, where it adds the fewest lines."""
    widths = lengths.max(axis=0)
    while _total(widths) > width:
        wide = np.flatnonzero(widths > least)
        if not len(wide):
            break
        narrower = [widths - (np.arange(len(widths)) == k) for k in wide]
        heights = [np.ceil(lengths / each).max(axis=1).sum() for each in narrower]
        widths = min(zip(heights, -widths[wide], wide, narrower), key=lambda one: one[:3])[-1]
    return [int(each) for each in widths]


def _row_lines(row, widths, right):
    cells = [wrapped(cell, w) or [""] for cell, w in zip(row, widths)]
    height = max(map(len, cells))
    columns = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        GAP.join(
            cell.rjust(w) if right and k else cell.ljust(w)
            for k, (cell, w) in enumerate(zip(line, widths))
        ).rstrip()
        for line in zip(*columns)
    ]
