"""What limits d1, and what a run at a large d1 ends with: known from the settings alone.

Derived in featlearn/theory/derivation.md, "What limits d1".
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from .crossing import noise_power, stage_one_growth
from .moments import uniform_attraction, view_moments
from .saturation import saturation_growth

# In units of η s d/B: what a pure neuron's alignments with other atoms keep of the batches' noise.
# Fitted (scripts/scaling.py); `balance.sustained_noise` derives it for pure neurons at rest.
WALK = 6.5
# Growth of the norms in stage II that a selection of single atoms needs.
NEEDED_GROWTH = 6.0


def off_support_floor(experiment):
    """Return √d times the off-support cosine of pure neurons that the batches' noise sustains.

    √(c η s d/B) with c = 6.5, measured.
    """
    rate = experiment.learning_rate * experiment.resolved_density
    return math.sqrt(WALK * rate * experiment.n_features / experiment.batch_size)


class Threshold(NamedTuple):
    """How the largest bias compares with the noise of a dense neuron.

    Attributes
    ----------
    ratio : float
        ϱ/σ, ϱ the cap of b/‖w‖.
    activity : float
        2Q(ϱ/σ), the fraction of samples on which a dense neuron of an un-augmented run is active.
    needed : float
        λ/(q σ²), half of it without stop-gradient: below it decay outdoes what is left of the attraction, and
        dense neurons die.
    """

    ratio: float
    activity: float
    needed: float

    @property
    def met(self):
        """Whether dense neurons live."""
        return self.activity > self.needed


def threshold(experiment):
    """Return the `Threshold` of an experiment: 2Q(ϱ/σ) > λ/σ² before saturation."""
    sigma = math.sqrt(experiment.resolved_noise_variance)
    if sigma == 0:
        return Threshold(math.inf, 0.0, math.inf)
    ratio = experiment.bias_cap / sigma
    pull = (1 if experiment.stop_gradient else 2) * uniform_attraction(experiment) * sigma**2
    return Threshold(ratio, 2 * float(ndtr(-ratio)), experiment.weight_decay / pull)


def samples_needed(experiment, margin=0.25):
    """Return how many samples a run of independent batches needs at a noise margin.

    T d1 n²/(2µs²), T = η s · steps units of 1/s and µ the margin. The batch size is free: η/B is not.
    """
    views = view_moments(experiment)
    lead = views.cross.sparse - views.cross.dense
    if lead <= 0:
        return math.inf
    noise = noise_power(experiment)
    time = experiment.learning_rate * lead * experiment.n_steps
    return time * experiment.n_inputs * noise / (2 * margin * lead**2)


def selection_growth(experiment):
    """Return ln of the growth of the norms between the start of stage II and saturation."""
    if experiment.stays_linear:
        return 0.0
    if experiment.stage_one_steps is not None:
        reached = stage_one_growth(experiment, experiment.stage_one_steps)
    else:
        reached = math.log(experiment.stage_one_growth)
    return saturation_growth(experiment) - reached


def walk_of(table):
    """Return η s d/B and the off-support alignment of a table's runs that have pure neurons.

    Parameters
    ----------
    table : structured ndarray
        A row a run, as scripts/scaling.py writes it.

    Returns
    -------
    walk, off_support : ndarray of shape (n,)
    """
    masked = table[(table["augmentation"] == "random_mask") & np.isfinite(table["off_support"])]
    return masked["walk"], masked["off_support"]


def fit_walk(walk, off_support):
    """Fit off-support² d = a + c η s d/B by least squares.

    Parameters
    ----------
    walk, off_support : ndarray of shape (n,)
        η s d/B, and √d times the off-support cosine, of every run.

    Returns
    -------
    a, c, error : float
        `error` is the standard error of c, from the residuals; nan for fewer than three runs, and
        all are for fewer than two.
    """
    if len(walk) < 2:
        return math.nan, math.nan, math.nan
    x, y = np.asarray(walk, float), np.square(np.asarray(off_support, float))
    design = np.column_stack([np.ones_like(x), x])
    (a, c), *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(x) - 2
    if freedom < 1 or np.ptp(x) == 0:
        return float(a), float(c), math.nan
    residual = y - a - c * x
    error = math.sqrt(residual @ residual / freedom / np.sum((x - x.mean()) ** 2))
    return float(a), float(c), error
