"""The objectives an experiment can name."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..compute.streams import generator
from ..data import make_dictionary, make_spikes
from ..errors import InvalidInput
from ..latents import law_of
from ..loss import contrast
from .no_negatives import no_negatives
from .nt_xent import nt_xent, nt_xent_loss
from .objective import Objective, PairwiseObjective, at_least_two, n_negatives, without_negatives
from .pairwise import decoupled, spectral
from .supervised import draw_tasks, labels_of, supervised


@dataclass(frozen=True)
class InfoNCE(PairwiseObjective):
    """The paper's loss (Wen & Li 2021, setting)."""

    name, label = "infonce", "InfoNCE"
    formula = "-τ log [ e^{S₀} / (e^{S₀} + Σ e^{Sₙ}) ]"
    contrast, fades = staticmethod(contrast), True
    temperature: float = 1.0
    stop_gradient: bool = True
    negative_groups: int = 1

    @classmethod
    def constant_loss(cls, experiment):
        """τ log(1 + N) of N negatives: all similarities are equal."""
        return experiment.temperature * math.log(1 + n_negatives(experiment))


@dataclass(frozen=True)
class Decoupled(PairwiseObjective):
    """Decoupled contrastive learning: the positive is not in the denominator."""

    name, label = "decoupled", "decoupled"
    formula = "-τ log [ e^{S₀} / Σ e^{Sₙ} ]"
    contrast = staticmethod(decoupled)
    temperature: float = 1.0
    stop_gradient: bool = True
    negative_groups: int = 1

    @classmethod
    def constant_loss(cls, experiment):
        """τ log N of N negatives: the positive is not in the denominator."""
        return experiment.temperature * math.log(n_negatives(experiment))


@dataclass(frozen=True)
class Spectral(PairwiseObjective):
    """The spectral contrastive loss."""

    name, label = "spectral", "spectral"
    formula = "τ ( -S₀ + mean of Sₙ²/2 )"
    contrast, has_softmax = staticmethod(spectral), False
    temperature: float = 1.0
    stop_gradient: bool = True
    negative_groups: int = 1


@dataclass(frozen=True)
class NTXent(Objective):
    """Contrast on the unit sphere among all 2B views."""

    name, label, symmetric = "nt_xent", "NT-Xent", True
    formula = "-τ log [ e^{S₀} / Σ e^{Sₙ} ] of unit vectors, over all other views"
    temperature: float = 1.0
    embedding_floor: float = 0.3
    stop_gradient: bool = True

    @classmethod
    def check(cls, experiment):
        without_negatives(experiment, "nt_xent, whose negatives are all other views of the batch")
        at_least_two(experiment, "with nt_xent: the views of one sample have no negatives")

    @classmethod
    def working_bytes(cls, experiment):
        item = np.dtype(experiment.dtype).itemsize
        # Logits, what they exceed their largest by, and its exponential; features of both views.
        return {
            ("batch_size", "batch_size"): 4 * 3 * item,
            ("batch_size", "n_neurons"): 2 * 3 * item,
        }

    @classmethod
    def constant_loss(cls, experiment):
        """τ log(2B - 1): a view's partner and 2B - 2 negatives are equally near."""
        return experiment.temperature * math.log(2 * experiment.batch_size - 1)

    def pull(self, anchor_features, key_features, parameters, labels):
        return nt_xent(
            anchor_features,
            key_features,
            self.temperature,
            self.embedding_floor,
            self.stop_gradient,
        )

    def loss(self, first, second, parameters, labels):
        return nt_xent_loss(first[:2], second[:2], self.temperature, self.embedding_floor)


@dataclass(frozen=True, eq=False)
class Supervised(Objective):
    """A linear head that is told labels of K tasks.

    Attributes
    ----------
    tasks : ndarray of shape (d, K)
        w*_k in its columns.
    dense_tasks : ndarray of shape (d1, K) or None
        What labels leak: y_k = ⟨w*_k, z⟩ + ⟨v_k, ξ⟩, or its sign, with v_k orthogonal to all atoms.
    task : {"classification", "regression"}
    train_head : bool
    """

    name, label = "supervised", "supervised"
    formula = "Σ log(1 + e^{-yo}), or Σ (y - o)²/2, of a linear head's outputs"
    sees_keys = False
    tasks: np.ndarray
    task: str = "classification"
    train_head: bool = True
    dense_tasks: np.ndarray | None = None

    @classmethod
    def of(cls, experiment):
        rng = generator(experiment.seed, "tasks")
        n_tasks = experiment.resolved_n_tasks
        tasks = draw_tasks(rng, experiment.n_features, n_tasks).astype(experiment.dtype)
        dense = None
        if experiment.label_leak:
            dense = _leaks(experiment, tasks, rng)
        return cls(tasks, experiment.task, experiment.train_head, dense)

    @classmethod
    def check(cls, experiment):
        without_negatives(experiment, "supervised, which has no negatives")
        if not experiment.stop_gradient:
            raise InvalidInput(
                "stop_gradient",
                False,
                "true with supervised: labels are no function of the weights",
            )
        if experiment.label_leak:
            leak, wanted = (
                experiment.label_leak,
                "0 with supervised where there is no dense noise: ",
            )
            if experiment.resolved_noise_variance == 0:
                raise InvalidInput("label_leak", leak, f"{wanted}noise_variance is 0")
            if experiment.n_inputs == experiment.n_features:
                raise InvalidInput("label_leak", leak, f"{wanted}n_inputs is n_features")

    @classmethod
    def parameter_axes(cls, experiment):
        return {"head": ("resolved_n_tasks", "n_neurons")}

    @classmethod
    def working_bytes(cls, experiment):
        item = np.dtype(experiment.dtype).itemsize
        found = {
            # Drawn in float64.
            ("n_features", "resolved_n_tasks"): 20 + item,
            # Labels, outputs, margins, losses and residuals.
            ("batch_size", "resolved_n_tasks"): 5 * item,
        }
        if experiment.label_leak:
            found["n_inputs", "resolved_n_tasks"] = 16
            # The noise of a batch is kept for them, and their values of it.
            found["batch_size", "n_inputs"] = item
        return found

    @property
    def sees_noise(self):
        return self.dense_tasks is not None

    def initial_parameters(self, experiment, rng):
        """The head, entries N(0, 1/m)."""
        m, n_tasks = experiment.n_neurons, self.tasks.shape[1]
        head = rng.standard_normal((n_tasks, m)) / math.sqrt(m)
        return {"head": head.astype(experiment.dtype)}

    def labels(self, sample):
        values = sample.latents @ self.tasks
        if self.dense_tasks is not None:
            values = values + sample.noise @ self.dense_tasks
        return labels_of(values, self.task)

    def pull(self, anchor_features, key_features, parameters, labels):
        return supervised(anchor_features, parameters["head"], labels, self.task)

    def update(self, parameters, gradients, learning_rate, weight_decay):
        if not self.train_head:
            return parameters
        return super().update(parameters, gradients, learning_rate, weight_decay)


def _leaks(experiment, tasks, rng):
    """Dense directions v_k whose part of a label has label_leak² times the variance of the rest."""
    exp = experiment
    matrix = make_dictionary(
        exp.dictionary, exp.n_inputs, exp.n_features, generator(exp.seed, "dictionary")
    )
    dense = rng.standard_normal((exp.n_inputs, tasks.shape[1]))
    dense -= matrix @ (matrix.T @ dense)
    signal = law_of(exp).variances @ tasks**2
    noise = exp.resolved_noise_variance * np.sum(dense**2, axis=0)
    if exp.noise_spikes:
        spikes = make_spikes(
            matrix, exp.noise_spikes, exp.spike_variance, generator(exp.seed, "spikes")
        )
        noise += np.sum((spikes.T @ dense) ** 2, axis=0)
    return (dense * (exp.label_leak * np.sqrt(signal / noise))).astype(exp.dtype)


@dataclass(frozen=True)
class NoNegatives(Objective):
    """Positives alone, every neuron normalised over the batch."""

    name, label = "no_negatives", "no negatives"
    formula = "-mean over neurons of p̃ k̃, each normalised over the batch"
    stop_gradient = True
    prediction_head: bool = False
    head_rate: float = 1.0

    @classmethod
    def check(cls, experiment):
        without_negatives(experiment, "no_negatives")
        at_least_two(experiment, "with no_negatives: neurons are normalised over the batch")
        if not experiment.stop_gradient:
            raise InvalidInput(
                "stop_gradient", False, "true with no_negatives: the keys are targets"
            )

    def initial_parameters(self, experiment, rng):
        """The prediction head, the identity."""
        if not self.prediction_head:
            return {}
        return {"prediction_head": np.eye(experiment.n_neurons, dtype=experiment.dtype)}

    @classmethod
    def parameter_axes(cls, experiment):
        return {"prediction_head": ("n_neurons", "n_neurons")} if experiment.prediction_head else {}

    @classmethod
    def working_bytes(cls, experiment):
        return {("batch_size", "n_neurons"): 7 * np.dtype(experiment.dtype).itemsize}

    def pull(self, anchor_features, key_features, parameters, labels):
        return no_negatives(anchor_features, key_features, parameters.get("prediction_head"))

    def update(self, parameters, gradients, learning_rate, weight_decay):
        """p ← p - head_rate · η ∂L/∂p, without decay."""
        return super().update(parameters, gradients, self.head_rate * learning_rate, 0.0)


OBJECTIVES = {
    cls.name: cls for cls in (InfoNCE, Spectral, Decoupled, NTXent, Supervised, NoNegatives)
}


@lru_cache(maxsize=8)
def make_objective(experiment):
    """Return the objective of an experiment."""
    return OBJECTIVES[experiment.objective].of(experiment)
