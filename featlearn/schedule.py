"""The bias schedule: the thresholds are not trained, they follow the norms through three stages.

Stage I    b_i = 0, until the root mean square of the ‖w_i‖ has grown by a set factor.
Stage II   b_i = √(c_b log d / d) ‖w_i‖ at its start; afterwards
           b_i ← max( b_i · growth, b_i ‖w_i^{t+1}‖/‖w_i^t‖ ), at most cap · ‖w_i^{t+1}‖.
Stage III  from when at least half of the neurons are at that cap; the same rule.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BiasSchedule:
    """The schedule of one experiment (Wen & Li 2021, setting; its constants are parameters here).

    Attributes
    ----------
    stage_one_growth : float ≥ 1 or None
        Growth of the norms that ends stage I; None never ends it, and the network stays linear.
    jump : float ≥ 0
        √(c_b log d / d), the ratio b_i/‖w_i‖ at the start of stage II.
    growth : float ≥ 1
        Factor by which a bias grows in one step.
    cap : float ≥ jump
        Largest ratio b_i/‖w_i‖.
    """

    stage_one_growth: float | None
    jump: float
    growth: float
    cap: float

    def advance(self, stage, biases, norms, new_norms, initial_norm):
        """Return stage and biases after an update of the weights.

        Parameters
        ----------
        stage : {1, 2, 3}
        biases : ndarray of shape (m,)
        norms, new_norms : ndarray of shape (m,)
            ‖w_i‖ before and after the update.
        initial_norm : float
            Root mean square of the norms at initialisation.

        Returns
        -------
        stage : int
        biases : ndarray of shape (m,)
        """
        if stage == 1:
            if self.stage_one_growth is None:
                return 1, biases
            if root_mean_square(new_norms) < self.stage_one_growth * initial_norm:
                return 1, biases
            return 2, (self.jump * new_norms).astype(biases.dtype)
        cap = self.cap * new_norms
        ratio = np.divide(new_norms, norms, out=np.zeros_like(new_norms), where=norms > 0)
        grown = np.minimum(biases * np.maximum(self.growth, ratio), cap)
        grown = grown.astype(biases.dtype, copy=False)
        if stage == 2 and np.mean(grown >= cap * (1 - 1e-6)) >= 0.5:
            stage = 3
        return stage, grown


def root_mean_square(norms):
    """Return √(mean of squares) as a float."""
    squares = np.square(norms, dtype=np.float64)
    return math.sqrt(squares.sum() / squares.size)


def log_growth(before, after):
    """Return ln of the growth of the root mean square; -inf where norms vanish, nan from none on."""
    first, last = root_mean_square(before), root_mean_square(after)
    if first == 0 or last == 0:
        return -math.inf if first > 0 else math.nan
    return math.log(last / first)
