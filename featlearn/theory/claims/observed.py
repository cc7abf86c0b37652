"""A run as the claims see it: what is measured of it, each thing once."""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...alignment import best_cosine_of_neurons, cosines, sparse_share, support
from ...gram_views import view_law
from ...recording.checkpoint import kept_steps
from ...recording.load import load_state
from ...recording.trajectory import Run
from ...schedule import log_growth, root_mean_square
from ...summary import PURE, Summary, summarize
from ...training import init

# A trajectory is read at this many rows at most, so that a check never loads all of it.
ROWS = 400
REPLAYS = 3


@dataclass(frozen=True)
class Observed:
    """Measures of a recorded run.

    Attributes
    ----------
    run : Run
    known : Summary or None
        Its `summary`, where it has been made already.
    replays : int
        From how many of its states updates are made again.
    """

    run: Run
    known: Summary | None = None
    replays: int = REPLAYS

    @property
    def experiment(self):
        """The `Experiment` of the run."""
        return self.run.experiment

    @cached_property
    def model(self):
        """The `SparseCodingModel` the run was trained on."""
        return self.run.require_model()

    @cached_property
    def augmentation(self):
        """The augmentation that made the views."""
        return view_law(self.experiment)

    @cached_property
    def summary(self):
        """The `Summary` of the last recorded step."""
        return self.known or summarize(self.run)

    @cached_property
    def states(self):
        """(row, `TrainingState`) of the states that were kept at recorded rows, a list.

        A run in memory keeps its last one. Of parts of the user's own, only a model is known to a run.
        """
        run, steps = self.run, np.asarray(self.run.steps)
        own = {"model": run.require_model()} if "model" in run.own else {}
        if run.directory is None:
            states = [self._last_state(own)]
        else:
            kept = kept_steps(run.directory)
            states = [load_state(run.directory, step, **own) for step in (*kept, None)]
        rows = {int(step): row for row, step in enumerate(steps)}
        return [(rows[s.step], s) for s in states if s.step in rows]

    def _last_state(self, own):
        run = self.run
        norms = np.linalg.norm(run.weights, axis=1).astype(run.weights.dtype)
        return dataclasses.replace(
            init(run.experiment, **own),
            step=int(run.steps[-1]),
            stage=self.last_stage,
            weights=run.weights,
            biases=run.biases,
            weight_norms=norms,
            initial_norm=root_mean_square(run["weight_norm"][0]),
        )

    @cached_property
    def norms(self):
        """‖w_i‖ at the end, ndarray of shape (m,)."""
        return np.linalg.norm(self.run.weights, axis=1)

    @cached_property
    def alignments(self):
        """α_ij at the end, ndarray of shape (m, d)."""
        return self.run.weights @ self.run.dictionary

    @cached_property
    def cosine(self):
        """|α_ij|/‖w_i‖ at the end, ndarray of shape (m, d)."""
        return cosines(self.alignments, self.norms)

    @cached_property
    def support(self):
        """The sets N_i as a boolean ndarray of shape (m, d): cosines of at least 1/√d."""
        return support(self.cosine)

    @property
    def complete(self):
        """Whether every step of the experiment was made."""
        return int(self.run.steps[-1]) == self.experiment.n_steps

    @property
    def last_stage(self):
        """Stage of the schedule at the last recorded row."""
        return int(self.run["stage"][-1])

    @cached_property
    def vanished(self):
        """Why hardly anything can be said of weights that decayed out of the range of numbers, or nothing."""
        of_type, of_squares = (float(np.finfo(t).tiny) for t in (self.experiment.dtype, np.float64))
        least = float(np.abs(self.run.weights).max(axis=1).min())
        if not least < max(of_type, math.sqrt(of_squares)):
            return ""
        return f"a neuron's weights decayed to {least:.2g} at most, where numbers lose their digits"

    @cached_property
    def growth(self):
        """Largest ln of the growth of the root mean square ‖w_i‖ since the start, over the rows."""
        norms = np.square(self.run["weight_norm"], dtype=np.float64).mean(axis=1)
        return 0.5 * math.log(norms.max() / norms[0]) if norms[0] > 0 else math.nan

    @cached_property
    def late_growth(self):
        """ln of the growth of the root mean square ‖w_i‖ over the last tenth of the rows."""
        before, after = self.run["weight_norm"][[-1 - len(self.run) // 10, -1]]
        return log_growth(before, after)

    @cached_property
    def rows(self):
        """Indices of evenly spread rows, `ROWS` of them at most, the first and last included."""
        return self.rows_before(len(self.run))

    def rows_before(self, end):
        """Return evenly spread rows among the first `end`, the first and the last included."""
        return np.unique(np.linspace(0, end - 1, min(end, ROWS)).round().astype(int))

    def first_row_of(self, stage):
        """Return the index of the first row of that stage or a later one, None if none was met."""
        row = int(np.searchsorted(self.run["stage"], stage))
        return row if row < len(self.run) else None

    @property
    def support_size(self):
        """Mean of |N_i| over the neurons."""
        return float(self.support.sum(axis=1).mean())

    @property
    def off_support(self):
        """√d times the root mean square of |α_ij|/‖w_i‖ over j ∉ N_i."""
        outside = self.cosine[~self.support]
        scale = math.sqrt(self.experiment.n_features)
        return root_mean_square(outside) * scale if outside.size else 0.0

    @property
    def dense_coordinate(self):
        """√d1 times the root mean square over the neurons of ‖β_i‖/(√(d1-d) ‖w_i‖).

        ‖β_i‖/√(d1-d) is the root mean square coordinate of β_i in any orthonormal basis of
        span(M)^⊥; a random w_i has 1. 0 for d1 = d, which leaves no dense part.
        """
        d, d1 = self.experiment.n_features, self.experiment.n_inputs
        if d == d1:
            return 0.0
        dense = 1 - sparse_share(self.alignments, self.norms).mean()
        return math.sqrt(max(dense, 0.0) * d1 / (d1 - d))

    @property
    def atoms_in_some_support(self):
        """Number of atoms j with j ∈ N_i for some neuron i."""
        return int(self.support.any(axis=0).sum())

    @property
    def largest_count(self):
        """Largest number of neurons with one and the same best atom, among the pure ones."""
        pure = best_cosine_of_neurons(self.cosine) >= PURE
        best = self.cosine.argmax(axis=1)[pure]
        return int(np.bincount(best, minlength=self.experiment.n_features).max())
