"""The decoupling principle on real images: the runs, what is measured of each, in worker processes."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..alignment import best_cosine_of_neurons, cosines
from ..compute.streams import generator
from ..errors import InvalidInput
from ..experiment import Experiment
from ..images import (
    Blur,
    ContrastJitter,
    Crop,
    Cutout,
    Hybrid,
    PixelMask,
    PixelNoise,
    RandomLight,
    SharedLight,
    cross_moment,
    decoupling,
    dense_share,
)
from ..images.digits import label_curve, network_of
from ..loop import train, train_or_resume
from ..probing import shared_cosines
from ..theory.predictions.cross_moment import crossover, predict_growth
from ..training import init
from ..views import NoAugmentation

DIAL = (0.0, 0.25, 0.5, 0.75)
# Correlations around the predicted crossover, as multiples of it.
AROUND = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
# Learning rate at speed 1.
RATE = 0.02
# Largest η λ_1 of a run, and λ_1 from which on runs are refused: at 300 they are 4 times as long
# (derived: featlearn/theory/derivation.md, "How fast images can be learned").
FASTEST_GROWTH, MOST_CONTRAST = 1.5, 300
# Largest η tr Σ_d²/(2B) where the end of stage I is compared with its prediction: from 1 on the noise of
# batches outgrows the edges (derived: the same section).
MOST_NOISE = 0.2
# Steps to wait for the end of stage I, as a multiple of those predicted.
PATIENCE = 2


@dataclass(frozen=True)
class Planned:
    """One run on images.

    Attributes
    ----------
    name : str
        Of its run directory and its row of the table.
    label : str
    augmentation : Augmentation
    linear : bool
        Whether the network stays linear, without thresholds.
    """

    name: str
    label: str
    augmentation: object
    linear: bool = False


def planned(augmentation):
    """Return the `Planned` run of an augmentation, named by it and its values."""
    values = [f"{getattr(augmentation, f.name):g}" for f in dataclasses.fields(augmentation)]
    return Planned("-".join([augmentation.name, *values]), augmentation.label, augmentation)


def photograph_runs(model, quick=False):
    """Return the runs on a model of images: the dial, its controls, and what acts on pixels."""
    dial = [planned(Hybrid(rho)) for rho in (DIAL[::2] if quick else DIAL)]
    runs = [*dial, planned(NoAugmentation()), planned(SharedLight())]
    pixels = [PixelMask(), Crop(), Blur(), Cutout(), PixelNoise(), ContrastJitter()]
    if quick:
        return runs + [planned(PixelMask())]
    for augmentation in pixels:
        flat = model.windows.ndim != 3
        if not (augmentation.needs_squares and flat) and not (
            augmentation.name == "crop" and model.margin < augmentation.radius
        ):
            runs.append(planned(augmentation))
    linear = Planned("linear", "hybrid, ρ = 0, linear network", Hybrid(0.0), linear=True)
    return [*runs, planned(RandomLight()), linear]


@dataclass(frozen=True)
class Pace:
    """How long the runs are, and how fast: `speed` multiplies learning rate and bias growth - 1.

    Attributes
    ----------
    photographs, digits : int
        Steps.
    speed : float
    """

    photographs: int = 6000
    digits: int = 4000
    speed: float = 1.0

    def bounded(self, model):
        """Return a pace as slow as the strongest dense direction of a model asks for.

        Above η λ_1 = 2 the network can leave every bound; as much slower, so many more steps.

        Raises
        ------
        InvalidInput
            Where that would take too long.
        """
        strongest = strongest_dense(model)
        if strongest > MOST_CONTRAST:
            raise InvalidInput(
                "images", f"light of {strongest:.0f} times the variance of edges",
                f"at most {MOST_CONTRAST} times: shrink them, or take less smooth ones"
            )  # fmt: skip
        speed = min(self.speed, FASTEST_GROWTH / (RATE * strongest))
        longer = self.speed / speed
        return Pace(math.ceil(self.photographs * longer), math.ceil(self.digits * longer), speed)


QUICK = Pace(3000, 2000, 2.0)


def strongest_dense(model):
    """Return λ_1, the largest variance of a dense direction over that of the sparse ones."""
    return float(np.linalg.eigvalsh(model.dense_covariance)[-1])


def photograph_experiment(model, seed=0, pace=None, linear=False):
    """Return the experiment of the runs on a model of images, at a pace that its light allows."""
    pace = (pace or Pace()).bounded(model)
    d = model.n_features
    return Experiment(
        n_features=d,
        n_inputs=model.n_inputs,
        n_neurons=64,
        batch_size=256,
        n_steps=pace.photographs,
        learning_rate=RATE * pace.speed,
        weight_decay=0.12,
        temperature=30.0,
        density=1.0,
        noise_variance=1.0,
        initial_norm=0.001,
        stage_one_growth=None if linear else 6.0,
        # Stage II starts at b_i = ‖w_i‖.
        bias_factor=d / math.log(d),
        bias_growth=1 + 0.002 * pace.speed,
        bias_cap=2.5,
        seed=seed,
        record_every=20,
    )


def digit_experiment(model, seed=0, pace=None, times=1):
    """Return the experiment of the runs on digits, `times` as long."""
    start = photograph_experiment(model, seed, pace)
    steps = times * (pace or Pace()).bounded(model).digits
    return start.replace(n_neurons=200, bias_cap=1.5, n_steps=steps)


@dataclass(frozen=True)
class Learned:
    """What is measured of one run on images.

    Attributes
    ----------
    name, label : str
        Of the `Planned` run.
    coupling : Decoupling
        Correlation of the two views, before training.
    dense_share : float
        Median over the neurons of ‖Dᵀw_i‖²/‖w_i‖².
    match : float
        Median over the neurons of the best |cosine| with an ICA atom.
    same_light, same_edges : float
        Cosine of f between images that share their low frequencies, or their edges; pairs with an f
        of 0 count as 0.
    loss : float
        Mean over the last tenth of the run.
    predicted, measured : tuple of (float, float)
        Where stage I ends, in steps of η = 0.02, and the part of ‖W‖² outside of the atoms then, as
        the shared moment says and as a run from the same weights has it; nan where stage I has no
        end.
    """

    name: str
    label: str
    coupling: tuple
    dense_share: float
    match: float
    same_light: float
    same_edges: float
    loss: float
    predicted: tuple
    measured: tuple


def learn(plan, model, experiment, directory):
    """Train one planned run in a directory, or go on with it, and return what it `Learned`."""
    run = train_or_resume(experiment, directory, model=model, augmentation=plan.augmentation)
    norms = np.linalg.norm(run.weights, axis=1)
    cosine = cosines(run.weights @ run.dictionary, norms)
    rng = generator(experiment.seed, "images", 6)
    shared = shared_cosines(run.weights, run.biases, run.model, rng)
    tail = max(len(run) // 10, 1)
    predicted = measured = (math.nan, math.nan)
    if not plan.linear:
        predicted, measured = stage_one(model, plan.augmentation, experiment)
    return Learned(
        plan.name,
        plan.label,
        tuple(decoupling(model, plan.augmentation, seed=experiment.seed)),
        float(np.median(dense_share(run.weights, model))),
        float(np.median(best_cosine_of_neurons(cosine))),
        float(np.nan_to_num(shared.same_noise) * shared.defined),
        float(np.nan_to_num(shared.same_latents) * shared.defined),
        float(np.mean(run["loss"][-tail:])),
        predicted,
        measured,
    )


def predict_stage_one(model, augmentation, experiment):
    """Return (step, part of ‖W‖² outside of the atoms) at the end of stage I, before any training."""
    found = predict_growth(
        cross_moment(model, augmentation), model.dictionary, init(experiment).weights, experiment
    )
    return found.step, 1 - found.sparse_share


def stage_one(model, augmentation, experiment):
    """Return both numbers of `predict_stage_one`, and a run's own, with steps of η = 0.02 as unit.

    The run is as slow as it takes for the noise of batches to be small, which the prediction leaves out.
    """
    energy = float(np.sum(np.square(model.dense_covariance)))
    quiet = 2 * experiment.batch_size * MOST_NOISE / energy
    rate = min(RATE, quiet, FASTEST_GROWTH / strongest_dense(model))
    experiment = experiment.replace(learning_rate=rate)
    step, share = predict_stage_one(model, augmentation, experiment)
    predicted, unknown = (step * rate / RATE, share), (math.nan, math.nan)
    if not math.isfinite(step):
        return predicted, unknown
    experiment = experiment.replace(record_every=1, n_steps=int(PATIENCE * step) + 10)
    run = train(experiment, model=model, augmentation=augmentation, until="stage 2")
    if run["stage"][-1] == 1:
        return predicted, unknown
    total = np.sum(np.square(run["weight_norm"][-1], dtype=np.float64))
    sparse = np.sum(np.square(run["alignment"][-1], dtype=np.float64))
    return predicted, (float(run.steps[-1] * rate / RATE), float(1 - sparse / total))


def crossover_scan(model, experiment):
    """Return how stage I ends at correlations around the predicted crossover.

    Returns
    -------
    star : float
        ρ* of `crossover`.
    rows : list of (ρ, predicted, measured)
        As `stage_one` returns the two.
    """
    star = crossover(model.sparse_covariance, model.dense_covariance)
    rhos = [factor * star for factor in AROUND if factor * star <= 1]
    return star, [(rho, *stage_one(model, Hybrid(rho), experiment)) for rho in rhos]


def half_way(rows, which):
    """Return the correlation at which the part outside of the atoms is 1/2, nan where it never is.

    Linear in log ρ between the rows of `crossover_scan`; `which` is 1 for predicted, 2 for measured.
    """
    rho = np.log([row[0] for row in rows])
    share = np.array([row[which][1] for row in rows])
    above = np.flatnonzero(share >= 0.5)
    if len(above) == 0 or above[0] == 0 or not np.isfinite(share).all():
        return math.nan
    k = above[0]
    part = (0.5 - share[k - 1]) / (share[k] - share[k - 1])
    return float(np.exp(rho[k - 1] + part * (rho[k] - rho[k - 1])))


def photograph_jobs(plans, model, seed, pace, directory):
    """Return the runs on a model of images as `Job`, by name, and the scan of the crossover.

    Parameters
    ----------
    plans : sequence of Planned
    model : ImageModel
    seed : int
    pace : Pace
    directory : path
        Holds a run directory each.
    """
    # Each run stores the arrays of its model; the pixels only where they are needed.
    slim = dataclasses.replace(model, windows=None)
    jobs = {}
    for plan in plans:
        held = model if hasattr(plan.augmentation, "patches") else slim
        experiment = photograph_experiment(model, seed, pace, plan.linear)
        place = Path(directory) / plan.name
        jobs[plan.name] = Job(pace.photographs, learn, (plan, held, experiment, place))
    experiment = photograph_experiment(model, seed, pace)
    jobs["crossover"] = Job(1000, crossover_scan, (slim, experiment))
    return jobs


def digit_jobs(data, seed, pace, directory):
    """Return the runs on digits as `Job`, by "digits: " and the name of their curve."""
    runs = {"hybrid": (Hybrid(0.0), 1), "none": (NoAugmentation(), 1)}
    if pace != QUICK:
        runs |= {"hybrid-0.5": (Hybrid(0.5), 1), "none, trained on": (NoAugmentation(), 3)}
    jobs = {}
    for name, (augmentation, times) in runs.items():
        experiment = digit_experiment(data.model, seed, pace, times)
        place = Path(directory) / name.replace(", ", "-").replace(" ", "-")
        # A step with 200 neurons takes about twice that with 64.
        cost = 2 * times * pace.digits
        jobs["digits: " + name] = Job(cost, learn_digits, (data, augmentation, experiment, place))
    return jobs


class Job(NamedTuple):
    """Work for a worker process: about how long it takes, and what to call.

    Attributes
    ----------
    cost : float
        In any unit.
    function : callable
    arguments : tuple
    """

    cost: float
    function: Callable
    arguments: tuple


def submit(jobs, executors):
    """Hand jobs to worker processes, long ones first, each to the one with the least to do.

    Parameters
    ----------
    jobs : dict of str to Job
    executors : list
        Of `OwnWorkers`.

    Returns
    -------
    dict of str to Future
    """
    load, futures = [0.0] * len(executors), {}
    for name, job in sorted(jobs.items(), key=lambda item: -item[1].cost):
        k = load.index(min(load))
        load[k] += job.cost
        futures[name] = executors[k].submit(job.function, *job.arguments)
    return futures


def learn_digits(data, augmentation, experiment, directory):
    """Train on digits in a directory, or go on there; return test accuracies by number of labels.

    Parameters
    ----------
    data : Digits
    augmentation : Augmentation
    experiment : Experiment
    directory : path

    Returns
    -------
    dict of int to float
    """
    run = train_or_resume(experiment, directory, model=data.model, augmentation=augmentation)
    return label_curve(data, network_of(run), experiment.seed)
