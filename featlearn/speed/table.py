"""The benchmark's table, a row a number: as a CSV file, and as text that says which goals are met."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes
    ----------
    section : str
        "time", "part", "ratio", "memory", "gradient", "growth", "exponent", "sparse" or "reduced".
    size : str
        "d/d1/m/B".
    threads : int
    name : str
        What was measured.
    value, low, high : float
        Median and quartiles over rounds; all three equal where there is one number.
    unit : str
    goal : float or None
        The largest value that is good enough.
    """

    section: str
    size: str
    threads: int
    name: str
    value: float
    low: float
    high: float
    unit: str
    goal: float | None = None

    @property
    def met(self):
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None else self.value <= self.goal


def write(path, rows):
    """Write rows as a CSV file with a header."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        table.writeheader()
        for row in rows:
            values = asdict(row)
            for name in ("value", "low", "high"):
                values[name] = f"{values[name]:.6g}"
            table.writerow(values)


def read(path):
    """Return the rows of a CSV file of `write`."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Row(
                **{
                    **values,
                    "threads": int(values["threads"]),
                    "value": float(values["value"]),
                    "low": float(values["low"]),
                    "high": float(values["high"]),
                    "goal": float(values["goal"]) if values["goal"] else None,
                }
            )
            for values in csv.DictReader(file)
        ]


def line(row):
    """Return a row as a line of text, with its verdict."""
    spread = "" if row.low == row.high else f" [{_short(row.low)} … {_short(row.high)}]"
    text = f"  {row.name:36} {_short(row.value):>8} {row.unit}{spread}"
    if row.goal is None:
        return text
    return f"{text:72}  goal ≤ {row.goal:g}: {'met' if row.met else 'MISSED'}"


def _short(number):
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"


def verdict(rows):
    """Return lines that count the goals and name every one that is missed."""
    judged = [row for row in rows if row.goal is not None]
    missed = [row for row in judged if not row.met]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} goals met"]
    for row in missed:
        where = f"{row.size}, {row.threads} thread{'s' if row.threads > 1 else ''}"
        found = f"{row.name} {_short(row.value)} > {row.goal:g} {row.unit}"
        lines.append(f"  missed at {where}: {found.rstrip()}")
    return lines
