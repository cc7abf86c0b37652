"""Who wins a neuron: the feature that the mean field predicts against the one it ends on."""

from typing import NamedTuple

import numpy as np

from ...alignment import cosines


class Winners(NamedTuple):
    """The outcome of stage II, predicted and simulated, for the m neurons that were followed.

    Attributes
    ----------
    predicted, final : ndarray of int, shape (m,)
        Feature with the largest |α_ij|, at the end of the prediction and of the run.
    pure : ndarray of bool, shape (m,)
        Whether the neuron's best cosine at the end of the run reaches the threshold.
    certain : ndarray of bool, shape (m,)
        Whether its lead at the start exceeds the sampling noise that adds to the lead.
    ratio : ndarray of shape (T, m)
        Predicted over simulated |α| of the final feature, at the rows where the prediction is valid.
    """

    predicted: np.ndarray
    final: np.ndarray
    pure: np.ndarray
    certain: np.ndarray
    ratio: np.ndarray

    @property
    def agreement(self):
        """Share of the pure and certain neurons whose winner was predicted; nan without any."""
        return self._share(self.pure & self.certain)

    @property
    def agreement_uncertain(self):
        """The same for pure neurons whose lead is within the noise."""
        return self._share(self.pure & ~self.certain)

    @property
    def worst_ratio(self):
        """The median ratio of pure and certain neurons where it is furthest from 1."""
        ratios = self.ratio[:, self.pure & self.certain]
        if ratios.size == 0:
            return float("nan")
        medians = np.median(ratios, axis=1)
        return float(medians[np.abs(medians - 1).argmax()])

    def _share(self, neurons):
        if not neurons.any():
            return float("nan")
        return float(np.mean(self.predicted[neurons] == self.final[neurons]))


def compare_winners(run, rows, prediction, threshold=0.9):
    """Compare the winners of a run with those of its mean field.

    Parameters
    ----------
    run : Run
    rows : ndarray of int, shape (T,)
        Rows of the run that the prediction is about.
    prediction : MeanField
        Both as `mean_field.predict` returns them.
    threshold : float
        The best cosine from which a neuron counts as pure.

    Returns
    -------
    Winners
    """
    of_run = prediction.neurons
    cosine = cosines(run["alignment"][-1][of_run], run["weight_norm"][-1][of_run])
    final = cosine.argmax(axis=1)
    neurons = np.arange(len(final))
    valid = np.flatnonzero(prediction.valid)
    simulated = np.abs(np.array([run["alignment"][rows[k]][of_run, final] for k in valid]))
    predicted = np.abs(prediction.alignment[valid][:, neurons, final])
    with np.errstate(divide="ignore", invalid="ignore"):
        # A neuron may have decayed away.
        ratio = predicted / simulated.reshape(predicted.shape)
    return Winners(
        prediction.winner,
        final,
        cosine.max(axis=1) >= threshold,
        prediction.lead[0] > prediction.lead_noise,
        ratio,
    )
