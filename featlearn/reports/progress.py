"""Progress lines on a terminal: of a run, of several at once, and of a sweep."""

import shutil
import sys
import time

from ..alignment import sparse_share

# How often lines are written anew.
SECONDS = 0.2


class StatusLines:
    """Lines on a terminal, each time in place of the last ones; nothing elsewhere, and with quiet.

    Whatever becomes of the terminal, showing them never raises.
    """

    def __init__(self, quiet=False):
        self._drawn = False
        self.shown = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def show(self, lines, last=False):
        """Show lines; after a single one the cursor stays in it until the last time."""
        if not self.shown:
            return
        several = len(lines) > 1
        up = f"\x1b[{len(lines)}A" if several and self._drawn else ""
        # A line that wraps would not be found again.
        width = max(shutil.get_terminal_size().columns - 1, 1)
        text = up + "\n".join("\r" + line[:width].ljust(width) for line in lines)
        try:
            print(text, end="\n" if several or last else "", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            self.shown = False
        self._drawn = True


class Progress:
    """The line of a run; called with its recorded rows."""

    def __init__(self, experiment, label="", quiet=False):
        self._last_step = experiment.n_steps
        self._label = label
        self._lines = StatusLines(quiet)
        self._written = 0.0
        self._started = None

    def __call__(self, row):
        if not self._lines.shown:
            return
        now, last = time.monotonic(), self.is_last(row)
        if now - self._written > SECONDS or last:
            self._written = now
            self._lines.show([self.line(row)], last)

    def is_last(self, row):
        """Whether a row ends the run."""
        return row["step"] == self._last_step

    def line(self, row):
        """Return what is shown of a row."""
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, row["step"]
        done = row["step"] - self._first
        speed = done / max(now - self._started, 1e-9)
        left = (self._last_step - row["step"]) / speed if speed else 0
        share = sparse_share(row["alignment"], row["weight_norm"]).mean()
        line = (
            f"{self._label} step {row['step']}/{self._last_step}"
            f"  stage {'I' * row['stage']}  loss {row['loss']:.3f}"
            f"  sparse {share:.2f}  {left:.0f} s left  {speed:.0f} steps/s"
        )
        return line.strip()


class SeveralProgress:
    """The lines of several runs, one below the other; called with their last rows by label.

    Parameters
    ----------
    experiments : dict of str to Experiment
        By label.
    quiet : bool
    """

    def __init__(self, experiments, quiet=False):
        width = max(map(len, experiments))
        self._runs = {label: Progress(e, f"{label:{width}}") for label, e in experiments.items()}
        self._lines = StatusLines(quiet)
        self._written = 0.0

    def __call__(self, rows):
        if not self._lines.shown:
            return
        now = time.monotonic()
        ended = all(row and self._runs[label].is_last(row) for label, row in rows.items())
        if now - self._written > SECONDS or ended:
            self._written = now
            texts = [row and self._runs[label].line(row) or label for label, row in rows.items()]
            self._lines.show(texts)


class SweepProgress:
    """The line of a sweep; called with the numbers of its runs that are done, failed, and left."""

    def __init__(self, quiet=False):
        self._lines = StatusLines(quiet)
        self._started = None

    def __call__(self, done, failed, left):
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, left
        finished = self._first - left
        line = f"{done} done, {failed} failed, {left} left"
        if finished:
            line += f", {(now - self._started) / finished * left:.0f} s to go"
        self._lines.show([line], last=not left)
