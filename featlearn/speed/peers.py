"""The same training step in other frameworks, from a user's pen: torch autograd, and JAX under jit.

Each makes its own data with its own generators, differentiates the loss by itself, updates weights
and biases, and records nothing. Neither framework is imported before its step is made.
"""

import importlib.util
import math
import os

import numpy as np

from ..batches import draw_batch
from ..compute.threads import thread_count
from ..gradient import contrastive_gradient
from ..training import init
from .subjects import Subject


class TorchStep(Subject):
    """A training step of RandomMask with in-batch negatives, by torch autograd."""

    def __init__(self, experiment, place=None):
        import torch

        torch.set_num_threads(thread_count())
        self.torch, self.exp = torch, experiment
        self.rng = torch.Generator().manual_seed(experiment.seed)
        self.dtype = getattr(torch, experiment.dtype)
        state = init(experiment)
        self.dictionary = torch.from_numpy(np.ascontiguousarray(state.model.dictionary.T))
        self.weights = torch.from_numpy(state.weights).requires_grad_()
        self.biases = torch.from_numpy(state.biases)
        self.own = torch.arange(experiment.batch_size)

    def views(self):
        """Draw a batch and return its two views."""
        torch, exp, rng = self.torch, self.exp, self.rng
        s, sigma = exp.resolved_density, math.sqrt(exp.resolved_noise_variance)
        uniform = torch.rand(exp.batch_size, exp.n_features, generator=rng)
        latents = (uniform < s / 2).to(self.dtype) - (uniform >= 1 - s / 2).to(self.dtype)
        shape = (exp.batch_size, exp.n_inputs)
        x = latents @ self.dictionary
        x += sigma * torch.randn(shape, generator=rng, dtype=self.dtype)
        mask = torch.empty(shape, dtype=self.dtype).bernoulli_(0.5, generator=rng)
        x *= 2
        anchors = x * mask
        return anchors, x - anchors

    def loss(self, weights, biases, anchors, keys):
        """The contrastive loss, with the gradient through the anchors only."""
        torch, tau = self.torch, self.exp.temperature

        def features(x):
            u = x @ weights.T
            return torch.relu(u - biases) - torch.relu(-u - biases)

        with torch.no_grad():
            h_key = features(keys)
        logits = features(anchors) @ h_key.T / tau
        return tau * torch.nn.functional.cross_entropy(logits, self.own)

    def gradient(self, weights, biases, anchors, keys):
        """Return ∂L/∂W for arrays of numpy."""
        W, *others = map(self.torch.from_numpy, (weights, biases, anchors, keys))
        W.requires_grad_()
        self.loss(W, *others).backward()
        return W.grad.numpy()

    def __call__(self):
        torch, exp = self.torch, self.exp
        with torch.no_grad():
            anchors, keys = self.views()
        self.weights.grad = None
        self.loss(self.weights, self.biases, anchors, keys).backward()
        with torch.no_grad():
            self.weights *= 1 - exp.learning_rate * exp.weight_decay
            self.weights -= exp.learning_rate * self.weights.grad
            self.biases = exp.bias_jump * self.weights.norm(dim=1)


class JaxStep(Subject):
    """A training step of RandomMask with in-batch negatives, by JAX's grad under one jit."""

    def __init__(self, experiment, place=None):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        if experiment.dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        self.jax, self.exp = jax, experiment
        self.dtype = np.dtype(experiment.dtype)
        state = init(experiment)
        self.dictionary = jax.numpy.asarray(np.ascontiguousarray(state.model.dictionary.T))
        self.state = (
            jax.numpy.asarray(state.weights),
            jax.numpy.asarray(state.biases),
            jax.random.key(experiment.seed),
        )
        self.step = jax.jit(self._step, donate_argnums=(0, 1, 2))

    def views(self, key):
        """Draw a batch and return its two views."""
        random, exp = self.jax.random, self.exp
        s, sigma = exp.resolved_density, math.sqrt(exp.resolved_noise_variance)
        one, two, three = random.split(key, 3)
        uniform = random.uniform(one, (exp.batch_size, exp.n_features))
        latents = (uniform < s / 2).astype(self.dtype) - (uniform >= 1 - s / 2).astype(self.dtype)
        shape = (exp.batch_size, exp.n_inputs)
        x = latents @ self.dictionary + sigma * random.normal(two, shape, self.dtype)
        anchors = 2 * x * random.bernoulli(three, 0.5, shape)
        return anchors, 2 * x - anchors

    def loss(self, weights, biases, anchors, keys):
        """The contrastive loss, with the gradient through the anchors only."""
        jnp, tau = self.jax.numpy, self.exp.temperature

        def features(x):
            u = x @ weights.T
            return jnp.maximum(u - biases, 0) - jnp.maximum(-u - biases, 0)

        h_key = self.jax.lax.stop_gradient(features(keys))
        logits = features(anchors) @ h_key.T / tau
        log_total = self.jax.scipy.special.logsumexp(logits, axis=1)
        return tau * jnp.mean(log_total - jnp.diagonal(logits))

    def gradient(self, weights, biases, anchors, keys):
        """Return ∂L/∂W for arrays of numpy."""
        return np.asarray(self.jax.jit(self.jax.grad(self.loss))(weights, biases, anchors, keys))

    def _step(self, weights, biases, key):
        exp = self.exp
        key, now = self.jax.random.split(key)
        gradient = self.jax.grad(self.loss)(weights, biases, *self.views(now))
        weights = (1 - exp.learning_rate * exp.weight_decay) * weights
        weights = weights - exp.learning_rate * gradient
        return weights, exp.bias_jump * self.jax.numpy.linalg.norm(weights, axis=1), key

    def __call__(self):
        self.state = self.step(*self.state)
        self.state[0].block_until_ready()


class JaxTogether(JaxStep):
    """Sixteen seeds of `JaxStep` under one vmap, with one dictionary for all."""

    runs = 16

    def __init__(self, experiment, place=None):
        super().__init__(experiment)
        jnp = self.jax.numpy
        states = [init(experiment.replace(seed=k)) for k in range(self.runs)]
        self.state = (
            jnp.stack([state.weights for state in states]),
            jnp.stack([state.biases for state in states]),
            self.jax.random.split(self.jax.random.key(experiment.seed), self.runs),
        )
        self.step = self.jax.jit(self.jax.vmap(self._step), donate_argnums=(0, 1, 2))


PEERS = {"torch": TorchStep, "jax": JaxStep}


def installed():
    """Names of the peers that can be imported."""
    return [name for name in PEERS if importlib.util.find_spec(name)]


def gradient_error(peer, experiment, threshold=0.5):
    """Return how far the gradient of a peer is from featlearn's, max |difference| / max |gradient|.

    Parameters
    ----------
    peer : {"torch", "jax"}
    experiment : Experiment
        Of the weights and the batch, at step 0.
    threshold : float
        Biases relative to the typical preactivation, so that a part of the units is inactive.
    """
    state = init(experiment)
    anchors, keys, _ = draw_batch(state).views
    # Similarities of the order of the temperature, and a part of the units inactive.
    typical = math.sqrt(experiment.temperature / experiment.n_neurons)
    scale = typical / np.std(anchors @ state.weights.T)
    weights = (scale * state.weights).astype(anchors.dtype)
    biases = np.full_like(state.biases, threshold * typical)
    ours = contrastive_gradient(weights, biases, anchors, keys, experiment.temperature).weights
    theirs = PEERS[peer](experiment).gradient(weights.copy(), biases, anchors, keys)
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())
