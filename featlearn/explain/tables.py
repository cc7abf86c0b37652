"""Blocks of numbers for a terminal of 80 columns: matrices, masks, bars."""

import math

import numpy as np

WIDTH = 80
CELL = 6
LABEL = 4
MAX_ROWS = 6
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "·▁▂▃▄▅▆▇█"


def matrix(
    name,
    values,
    rows="p",
    columns=None,
    keep=(),
    places=2,
    label=LABEL,
    width=CELL,
    note="",
):
    """Return the lines of a matrix: a header, then one line a row.

    Parameters
    ----------
    name : str
        Shown in the header, with the shape.
    values : ndarray of shape (n, k)
        Exact zeros are shown as a dot. Where all are small, a power of ten is taken out.
    rows : str or sequence of str
        Row labels, or the letter that numbered labels begin with.
    columns : sequence of str, optional
        Column labels, shown on a line of their own.
    keep : sequence of int
        Rows shown even where others are left out.
    places : int
        Decimals.
    label : int
        Width of the row labels; 0 for none.
    width : int
        Width of a cell; no more cells are shown than the page is wide.
    note : str
        What it is, in a few words, after the header.
    """
    values = np.asarray(values, np.float64)
    if isinstance(rows, str):
        rows = [f"{rows}{k}" for k in range(len(values))]
    shown_rows = shown(len(values), keep)
    fits = (WIDTH - label) // width
    n_columns = values.shape[1] if values.shape[1] <= fits else fits - 1
    cut = n_columns < values.shape[1]
    power = _power(values)
    shape = " × ".join(map(str, values.shape))
    lines = [f"{name}  ({shape})" + (f"  in 1e{power}" if power else "") + f"  {note}".rstrip()]
    if columns is not None:
        lines.append(" " * label + "".join(f"{c:>{width}}" for c in columns[:n_columns]))
    for k in shown_rows:
        cells = "".join(cell(v / 10.0**power, places, width) for v in values[k, :n_columns])
        lines.append((f"{rows[k]:<{label}}"[:label] + cells + ("     …" if cut else "")).rstrip())
    if len(shown_rows) < len(values):
        lines.append(" " * label + f"… {len(values) - len(shown_rows)} more rows")
    return lines


def shown(n, keep=()):
    """Return the row numbers shown of n: the first ones, and those to keep."""
    if n <= MAX_ROWS:
        return list(range(n))
    first = [k for k in range(n) if k not in keep][: max(MAX_ROWS - len(keep), 0)]
    return sorted({*first, *keep})


def cell(value, places=2, width=CELL):
    """Return one number in a cell; an exact zero is a dot, a rounded one has no sign."""
    if value == 0:
        return "·".rjust(width - places) + " " * places
    text = f"{value:.{places}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.rjust(width)


def _power(values):
    """The power of ten taken out of a block so that its largest number has a leading digit."""
    finite = np.abs(values[np.isfinite(values)])
    largest = finite.max() if finite.size else 0.0
    if largest == 0 or 0.1 <= largest < 100:
        return 0
    return math.floor(math.log10(largest))


def masks(name, mask, keep=(), note=""):
    """Return the lines of a boolean matrix: 1 kept, · hidden."""
    lines = [f"{name}  ({mask.shape[0]} × {mask.shape[1]})  {note}".rstrip()]
    fits = (WIDTH - LABEL) // CELL
    cut = mask.shape[1] > fits
    for k in shown(len(mask), keep):
        kept = mask[k, : fits - 1 if cut else fits]
        cells = "".join("1".rjust(CELL - 2) + "  " if v else cell(0) for v in kept)
        lines.append((f"{f'p{k}':<{LABEL}}" + cells + ("     …" if cut else "")).rstrip())
    return lines


def beside(*blocks, gap=2):
    """Set blocks next to each other where they fit on the page, otherwise below each other."""
    widths = [max(map(len, block)) for block in blocks]
    if sum(widths) + gap * (len(blocks) - 1) > WIDTH:
        return [line for block in blocks for line in block]
    lines = []
    for k in range(max(map(len, blocks))):
        parts = [(block[k] if k < len(block) else "").ljust(w) for block, w in zip(blocks, widths)]
        lines.append((" " * gap).join(parts).rstrip())
    return lines


def bar(fraction, width):
    """Return a horizontal bar of that many cells, filled to a fraction between 0 and 1."""
    eighths = round(min(max(float(fraction), 0.0), 1.0) * 8 * width)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "·")


def spark(fraction):
    """Return one character whose height is a fraction between 0 and 1."""
    return _LEVELS[round(min(max(float(fraction), 0.0), 1.0) * 8)]
