"""How objects show themselves: in one line, arrays by their shapes; and as a table of HTML."""

import dataclasses
import html

import numpy as np

# Texts of nested objects longer than this are left out of a line.
LONGEST = 60


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
