"""Progress lines on a terminal: of a run, of several at once, and of a sweep."""

import shutil
import sys
import time

from ..alignment import sparse_share


class Progress:
    """A line on a terminal that says how far a run is; silent elsewhere, and with quiet."""

    def __init__(self, experiment, label="", quiet=False):
        self._last_step = experiment.n_steps
        self._label = label
        self._show = sys.stderr.isatty() and not quiet
        self._shown = 0.0
        self._started = None

    def __call__(self, row):
        if not self._show:
            return
        now, last = time.monotonic(), row["step"] == self._last_step
        if now - self._shown > 0.2 or last:
            self._shown = now
            end = "\n" if last else ""
            print(f"\r{self.line(row):79}", end=end, file=sys.stderr, flush=True)

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
    """The progress lines of several runs, one below the other; silent where `Progress` is.

    Parameters
    ----------
    experiments : dict of str to Experiment
        By label.
    quiet : bool
    """

    def __init__(self, experiments, quiet=False):
        width = max(map(len, experiments))
        self._lines = {label: Progress(e, f"{label:{width}}") for label, e in experiments.items()}
        self._show = sys.stderr.isatty() and not quiet
        self._drawn = False

    def __call__(self, rows):
        if not self._show:
            return
        up = f"\x1b[{len(rows)}A" if self._drawn else ""
        text = [row and self._lines[label].line(row) or label for label, row in rows.items()]
        # A line that wraps would not be found again.
        width = shutil.get_terminal_size().columns - 1
        lines = [f"\r{line[:width]:{width}}" for line in text]
        print(up + "\n".join(lines), file=sys.stderr, flush=True)
        self._drawn = True


class SweepProgress:
    """A line on a terminal that says how far a sweep is; silent elsewhere, and with quiet."""

    def __init__(self, quiet=False):
        self._show = sys.stderr.isatty() and not quiet
        self._started = None

    def __call__(self, done, failed, left):
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, left
        finished = self._first - left
        line = f"{done} done, {failed} failed, {left} left"
        if finished:
            line += f", {(now - self._started) / finished * left:.0f} s to go"
        if self._show:
            print(f"\r{line:60}", end="" if left else "\n", file=sys.stderr, flush=True)
