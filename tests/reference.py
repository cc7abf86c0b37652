"""The loss and its gradient by plain loops over numbers: slow, and with nothing shared with featlearn.

Written from the setting alone: L_p = -τ log softmax of the similarities, whose first entry is the
anchor's own key, and the chain rule for one neuron and one coordinate at a time.
"""

import math

import numpy as np


def neuron(w, b, x):
    """Return h(x), the preactivation and whether the neuron is active."""
    u = sum(float(a) * float(c) for a, c in zip(w, x))
    sign = (u > 0) - (u < 0)
    return sign * max(abs(u) - b, 0.0), u, abs(u) >= b


def embed(weights, biases, x):
    return [neuron(w, b, x)[0] for w, b in zip(weights, biases)]


def candidates(p, keys, negatives):
    """What anchor p is compared with, its own key first."""
    others = [k for q, k in enumerate(keys) if q != p] if negatives is None else list(negatives)
    return [keys[p], *others]


def softmax(similarities):
    largest = max(similarities)
    weights = [math.exp(s - largest) for s in similarities]
    total = math.fsum(weights)
    return [w / total for w in weights], largest + math.log(total)


def loss(weights, biases, anchors, keys, temperature, negatives=None, second=None):
    """Return the mean loss; `second` holds the weights and biases of the similarity's second
    argument where they are not the same (a stopped gradient)."""
    other_weights, other_biases = second or (weights, biases)
    losses = []
    for p, anchor in enumerate(anchors):
        h = embed(weights, biases, anchor)
        similarities = [
            math.fsum(a * c for a, c in zip(h, embed(other_weights, other_biases, x))) / temperature
            for x in candidates(p, keys, negatives)
        ]
        _, log_total = softmax(similarities)
        losses.append(temperature * (log_total - similarities[0]))
    return math.fsum(losses) / len(losses)


def gradient(weights, biases, anchors, keys, temperature, negatives=None, stop_gradient=True):
    """Return the attraction and the repulsion parts of ∂L/∂W, and ∂L/∂b."""
    m, d1 = np.shape(weights)
    parts = {"positive": np.zeros((m, d1)), "negative": np.zeros((m, d1))}
    by_bias = np.zeros(m)
    n = len(anchors)
    for p, anchor in enumerate(anchors):
        compared = candidates(p, keys, negatives)
        h = embed(weights, biases, anchor)
        similarities = [
            math.fsum(a * c for a, c in zip(h, embed(weights, biases, x))) / temperature
            for x in compared
        ]
        probabilities, _ = softmax(similarities)
        for c, x in enumerate(compared):
            # ∂L_p/∂(h·h') for this candidate: τ · (P - δ) · (1/τ).
            if c == 0:
                slope, part = -math.fsum(probabilities[1:]), "positive"
            else:
                slope, part = probabilities[c], "negative"
            for i in range(m):
                first, u_first, first_active = neuron(weights[i], biases[i], anchor)
                second, u_second, second_active = neuron(weights[i], biases[i], x)
                if first_active:
                    for k in range(d1):
                        parts[part][i, k] += slope * second * anchor[k] / n
                    by_bias[i] -= slope * second * np.sign(u_first) / n
                if second_active and not stop_gradient:
                    for k in range(d1):
                        parts[part][i, k] += slope * first * x[k] / n
                    by_bias[i] -= slope * first * np.sign(u_second) / n
    return parts["positive"], parts["negative"], by_bias
