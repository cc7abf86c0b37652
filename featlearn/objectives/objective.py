"""What every objective tells of itself, and the gradient that follows from its pulls on features."""

from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from ..compute.workspace import Workspace
from ..data import Sample
from ..errors import InvalidInput
from ..gradient import Gradient, Term, contrastive_gradient, weight_product
from ..network import forward
from .pull import Pull, as_pull


class Objective:
    """What is minimised; one of your own inherits this and adds `pull`.

    An objective is a pure function of its arguments: the processes that share a run each ask it the
    same things.

    Attributes
    ----------
    name : str
        In an experiment, in files, and on the command line.
    label : str
        In figures and tables.
    formula : str
        The loss of one anchor or sample, in one line.
    sees_keys : bool
        Whether it looks at the second view.
    sees_noise : bool
        Whether its labels depend on the noise of a sample.
    stop_gradient : bool
        Whether the second argument of its similarities is held where the gradient is taken.
    is_pairwise : bool
        Whether it is a loss of pairs, with what the gradient of one is.
    takes_several : bool
        Whether `gradient` takes several runs at once, along a first axis.
    symmetric : bool
        Whether keys are anchors, too, so that the gradient passes through them in any case.
    fades : bool
        Whether attraction ends where an anchor tells its key from the negatives.
    has_softmax : bool
        Whether negatives repel by a softmax, and not in proportion to their similarities.
    """

    name = label = formula = ""
    sees_keys, sees_noise, is_pairwise, stop_gradient, symmetric = True, False, False, False, False
    fades, has_softmax, takes_several = False, True, False

    @classmethod
    def of(cls, experiment: object) -> Self:
        """Return the one of this class that has an experiment's values."""
        return cls(**{f.name: getattr(experiment, f.name) for f in fields(cls)})

    @classmethod
    def check(cls, experiment: object) -> None:
        """Raise `InvalidInput` for an experiment that it is not defined for."""

    def initial_parameters(
        self, experiment: object, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return the objective's own arrays at step 0, a dictionary; none by default.

        Parameters
        ----------
        experiment : Experiment
        rng : numpy.random.Generator
            The experiment's stream "head".
        """
        return {}

    @classmethod
    def parameter_axes(cls, experiment: object) -> dict[str, tuple[str, ...]]:
        """Return the axes of its own arrays by their names; of each axis the field that it is as long as."""
        return {}

    @classmethod
    def working_bytes(cls, experiment: object) -> dict[tuple[str, ...], int]:
        """Return what it holds at the peak of a step beside its parameters, in bytes for each entry.

        By axes, as those of `parameter_axes`.
        """
        return {}

    @classmethod
    def constant_loss(cls, experiment: object) -> float | None:
        """Return the loss where f is one vector for every input; None where that depends on its length."""
        return None

    def labels(self, sample: Sample) -> np.ndarray | None:
        """Return what the objective is told of a `Sample`, ndarray of shape (B, K), or None."""
        return None

    def pull(
        self,
        anchor_features: np.ndarray,
        key_features: np.ndarray,
        parameters: dict[str, np.ndarray],
        labels: np.ndarray | None,
    ) -> Pull:
        """Return the `Pull` on features of shape (B, m) each."""
        raise NotImplementedError

    def loss(
        self,
        first: tuple,
        second: tuple,
        parameters: dict[str, np.ndarray],
        labels: np.ndarray | None,
    ) -> float:
        """Return the loss of features, each set of them seen in one of two places.

        Parameters
        ----------
        first, second : tuple of (ndarray of shape (B, m), ndarray of shape (B, m), ndarray or None)
            Features of anchors, keys and separate negatives, as first argument of a similarity and as
            the second one, which `stop_gradient` holds.
        parameters : dict of str to ndarray
        labels : ndarray of shape (B, K) or None

        Returns
        -------
        float
        """
        return self.pull(first[0], second[1], parameters, labels).loss

    def gradient(
        self,
        weights: np.ndarray,
        biases: np.ndarray,
        batch: NamedTuple,
        parameters: dict[str, np.ndarray],
        work: Workspace | None = None,
    ) -> Gradient:
        """Return loss and gradient on a batch.

        Parameters
        ----------
        weights : ndarray of shape (m, d1)
        biases : ndarray of shape (m,), ≥ 0
        batch : Batch
        parameters : dict of str to ndarray
            The objective's own.
        work : Workspace, optional
            The result then lives there until the workspace's next use.

        Returns
        -------
        Gradient
        """
        work = work or Workspace()
        anchors, keys = batch.views.anchors, batch.views.keys
        h_anchor = h_key = forward(weights, biases, anchors, work, "anchor ")
        if self.sees_keys and keys is not anchors:
            h_key = forward(weights, biases, keys, work, "key ")
        pull = self.pull(h_anchor.features, h_key.features, parameters, batch.labels)
        pull = as_pull(pull, h_anchor.features, parameters)
        pulled = [(anchors, h_anchor, pull.anchors, "coefficients")]
        if pull.keys is not None:
            pulled.append((keys, h_key, pull.keys, "key coefficients"))
        terms = []
        for inputs, activations, on_features, name in pulled:
            A = work(name, on_features.shape, weights.dtype)
            work.over_rows(through_active, A, on_features, activations.active)
            terms.append(Term(inputs, activations, None, None, A))
        gradient = work("gradient", weights.shape, weights.dtype)
        more = None if pull.keys is None else work("more gradient", weights.shape, weights.dtype)
        transposed = [term.coefficients.T for term in terms]
        inputs = [term.inputs for term in terms]
        work.over_rows(weight_product, gradient, more, *transposed, inputs=inputs)
        return FeatureGradient(
            pull.loss,
            gradient,
            tuple(terms),
            pull.parameters,
            pull.positive_probability,
            self.name,
        )

    def update(
        self,
        parameters: dict[str, np.ndarray],
        gradients: dict[str, np.ndarray],
        learning_rate: float,
        weight_decay: float,
    ) -> dict[str, np.ndarray]:
        """Return the objective's own arrays after a step: p ← (1 - ηλ) p - η ∂L/∂p.

        Parameters
        ----------
        parameters, gradients : dict of str to ndarray
            One gradient for each parameter that is trained.
        learning_rate, weight_decay : float
            η and λ.

        Returns
        -------
        dict of str to ndarray
        """
        keep = 1 - learning_rate * weight_decay
        return {
            name: keep * p - learning_rate * gradients[name] if name in gradients else p
            for name, p in parameters.items()
        }


def through_active(A, pull, active):
    """A = G ⊙ active of some samples, in `A`."""
    np.multiply(pull, active, out=A)


@dataclass(frozen=True, eq=False)
class FeatureGradient(Gradient):
    """Loss and gradient of an objective that does not split into attraction and repulsion.

    Attributes
    ----------
    loss : float
    weights : ndarray of shape (m, d1)
        Exactly ∂L/∂W.
    terms : tuple of Term
        What the gradient passes through, the anchors first; without partners.
    parameters : dict of str to ndarray
        Exactly ∂L/∂p of the objective's own arrays.
    positive_probability : ndarray of shape (B,) or None
    objective : str
        Its name.
    """

    loss: float
    weights: np.ndarray
    terms: tuple
    parameters: dict
    positive_probability: np.ndarray | None
    objective: str

    @property
    def positive(self):
        """Not defined: raises `InvalidInput`."""
        return self._split()

    @property
    def negative(self):
        """Not defined: raises `InvalidInput`."""
        return self._split()

    def _split(self):
        raise InvalidInput(
            "objective",
            self.objective,
            "a loss of pairs: this one does not split into attraction and repulsion",
        )


class PairwiseObjective(Objective):
    """A loss of pairs, given by its `contrast` alone.

    contrast(anchor_features, key_features, temperature, negative_features=None, work=None, spare=None,
    groups=1) returns a `featlearn.loss.Contrast`.
    """

    contrast = None
    negative_groups = 1
    is_pairwise = takes_several = True

    @classmethod
    def check(cls, experiment):
        """Refuse a single sample where its negatives are the others of the batch."""
        if experiment.negatives == "in_batch":
            at_least_two(experiment, "with in-batch negatives: one has none")

    def loss(self, first, second, parameters, labels):
        """Return the loss of features; see `Objective.loss`."""
        _, keys, negatives = second
        groups = self.negative_groups
        return self.contrast(first[0], keys, self.temperature, negatives, groups=groups).loss

    def gradient(self, weights, biases, batch, parameters, work=None):
        """Return the `ContrastiveGradient` on a batch; see `Objective.gradient`."""
        return contrastive_gradient(
            weights,
            biases,
            batch.views.anchors,
            batch.views.keys,
            self.temperature,
            batch.negatives,
            self.stop_gradient,
            work,
            self.negative_groups,
            self.contrast,
        )


def n_negatives(experiment):
    """Return the number of an anchor's negatives: the others of its group, or K separate ones."""
    if experiment.negatives == "in_batch":
        return experiment.group_size - 1
    return experiment.negatives


def at_least_two(experiment, reason):
    """Refuse a batch of one sample, for the reason that follows "at least 2"."""
    if experiment.batch_size < 2:
        raise InvalidInput("batch_size", experiment.batch_size, f"at least 2 {reason}")


def without_negatives(experiment, objective):
    """Refuse separate negatives, and groups of them, for an objective that has none of that kind."""
    if experiment.negatives != "in_batch":
        raise InvalidInput("negatives", experiment.negatives, f"in_batch with {objective}")
    if experiment.negative_groups != 1:
        raise InvalidInput("negative_groups", experiment.negative_groups, f"1 with {objective}")
