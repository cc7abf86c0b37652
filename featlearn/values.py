"""Values as people write them: words of a command line, tables in files, names with a slip in them."""

import codecs
import difflib
import json
import math
import os
import re
import stat
import tomllib
import unicodedata
from pathlib import Path

from .errors import InvalidInput

LARGEST_FILE = 1 << 20
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")


def parse_word(word):
    """Return the number, True or False that a word means, or the word itself.

    Numbers may be written as ``.5``, ``+1``, ``1.``, ``1e3`` or ``1_000``, and truth in any case.
    """
    text = word.strip()
    try:
        if _NUMBER.fullmatch(text):
            return float(text) if re.search("[.eE]", text) else int(text)
        value = json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except (ValueError, RecursionError):
        return word
    return value if isinstance(value, (str, int, float)) else word


def json_text(value):
    """Return a value as JSON; numbers that are not finite, for which JSON has no word, as null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if hasattr(value, "tolist"):  # of NumPy
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_table(path, name):
    """Read a table from a .toml or .json file.

    Parameters
    ----------
    path : path
        Without a suffix it is taken for JSON. A byte-order mark does no harm.
    name : str
        What the file holds, for the message.

    Returns
    -------
    dict

    Raises
    ------
    InvalidInput
        If the file cannot be read or parsed, or holds no table.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".toml", ".json", ""):
        raise InvalidInput(name, str(path), "a .toml or .json file")
    try:
        text = _read_text(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(name, str(path), f"a readable file ({error})") from None
    try:
        table = (
            tomllib.loads(text) if kind == ".toml" else json.loads(text, object_pairs_hook=_once)
        )
    except (ValueError, RecursionError) as error:
        raise InvalidInput(name, str(path), f"valid text ({error})") from None
    if not isinstance(table, dict):
        raise InvalidInput(name, str(path), "a table of fields")
    return table


def _once(pairs):
    """The table of some pairs, as TOML has it: of a name that stands there twice one value would be lost."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} stands there twice")
    return table


def _read_text(path):
    mode = os.stat(path).st_mode
    # A shell's <(...) and its standard input lie under /dev; a pipe elsewhere may never be written to.
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(path).startswith("/dev/")):
        raise OSError("it is no regular file")
    with open(path, "rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise OSError("it has more than 1 MB")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # As the decoder of files does; in TOML a lone carriage return is an error.
    return data.decode("utf-16" if wide else "utf-8-sig").replace("\r\n", "\n")


def did_you_mean(word, names, symbols=None):
    """Return "; did you mean …?" for a word that nearly names something, otherwise "".

    Parameters
    ----------
    word : str
    names : iterable of str
    symbols : dict of str to str, optional
        Short ones for some of the names, such as ``{"τ": "temperature"}``; Greek letters may be
        spelled out in the word.
    """
    word, names, symbols = str(word), list(names), symbols or {}
    plain = _plain(word)
    exactly = [n for n in names if _plain(n) == plain]
    by_symbol = [n for s, n in symbols.items() if len(s) <= 3 and s in (word, _greek(word))]
    initials = [n for n in names if "".join(part[:1] for part in re.split("[-_]", n)) == plain]
    within = [n for n in names if len(plain) > 2 and plain in _plain(n)]
    similar = difflib.get_close_matches(word.lower(), names, 2)
    for found in (exactly, by_symbol, initials, similar, within):
        if found and plain:
            return f"; did you mean {' or '.join(found[:2])}?"
    return ""


def _plain(word):
    return "".join(letter for letter in word.lower() if letter.isalnum())


def _greek(word):
    """The Greek letter of that name, or None."""
    name = {"lambda": "lamda"}.get(word.lower(), word).upper()
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {name}")
    except (KeyError, UnicodeError):  # bytes of a command line that are no text are no name either
        return None
