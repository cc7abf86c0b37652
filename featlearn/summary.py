"""What a run learned, in a dozen numbers."""

from dataclasses import asdict, dataclass

import numpy as np

from .alignment import (
    best_cosine_of_atoms,
    best_cosine_of_neurons,
    cosines,
    neurons_per_atom,
    sparse_share,
)
from .compute.streams import generator
from .display import html_table
from .errors import InvalidInput
from .probing import ProbeResult, SharedCosines, probe, shared_cosines
from .recording.trajectory import Run
from .schedule import log_growth

# What is shown of a `Summary`, and how it is said.
MEASURES = (
    ("loss", "loss at the end"),
    ("growth", "ln of the growth of the norms, g"),
    ("sparse_share", "median sparse share ‖α_i‖²/‖w_i‖²"),
    ("atoms_learned", "atoms with a neuron of cosine ≥ 0.9"),
    ("weakest_atom", "best cosine of the weakest atom"),
    ("best_cosine", "largest cosine of any neuron"),
    ("pure_fraction", "fraction of neurons with a cosine ≥ 0.9"),
    ("largest_atom_fraction", "largest fraction of neurons on one atom"),
    ("same_latents", "cosine of f under the same latents z"),
    ("same_latents_active", "  given z ≠ 0"),
    ("same_latents_weighted", "  weighted by energy"),
    ("same_noise", "cosine of f under the same noise ξ"),
    ("same_noise_active", "  given z ≠ 0"),
    ("same_noise_weighted", "  weighted by energy"),
    ("regression_features", "regression error on f / variance"),
    ("regression_inputs", "regression error on x / variance"),
    ("regression_best_on_inputs", "regression error of the best head on x / variance"),
    ("regression_oracle", "regression error on the oracle / variance"),
    ("classification_features", "classification error on f"),
    ("classification_inputs", "classification error on x"),
    ("classification_best_on_inputs", "classification error of the best head on x"),
)
# A neuron is pure, and an atom learned, from this cosine on.
PURE = 0.9


@dataclass(frozen=True)
class Summary:
    """Measures of a network at one step.

    Attributes
    ----------
    step, stage : int
    loss : float
        Mean over the last recorded rows, a tenth of the run or 100 rows at most.
    growth : float
        ln of the growth of the root mean square ‖w_i‖ since the start; -inf of weights that decayed
        to nothing.
    atoms_learned : int
        Atoms that some neuron has a cosine of at least 0.9 with.
    weakest_atom : float
        Best cosine of the atom whose best cosine is the smallest.
    best_cosine : float
        The largest cosine of any neuron with any atom.
    pure_fraction : float
        Fraction of the neurons whose best cosine is at least 0.9.
    largest_atom_fraction : float
        Largest fraction of all neurons that are pure in one atom.
    sparse_share : float
        Median over the neurons of ‖α_i‖²/‖w_i‖².
    same_noise, same_latents : float
        Cosines of f between inputs that share their noise, or their latents: the plain mean.
    same_noise_active, same_latents_active : float
        The same over samples that hold a feature, z ≠ 0.
    same_noise_weighted, same_latents_weighted : float
        The same with each pair weighted by its energy.
    probe : ProbeResult
        Errors of linear heads.
    """

    step: int
    stage: int
    loss: float
    growth: float
    atoms_learned: int
    weakest_atom: float
    best_cosine: float
    pure_fraction: float
    largest_atom_fraction: float
    sparse_share: float
    same_noise: float
    same_latents: float
    same_noise_active: float
    same_latents_active: float
    same_noise_weighted: float
    same_latents_weighted: float
    probe: ProbeResult

    @property
    def input_head(self) -> str:
        """The head on x that was measured: "inputs", or the best one of all, "best_on_inputs"."""
        return "inputs" if "inputs" in self.probe.regression else "best_on_inputs"

    def regression(self, head: str) -> float:
        """Mean relative regression error of a head: "features", "inputs" or "oracle"."""
        return float(self.probe.regression[head].mean())

    def classification(self, head: str) -> float:
        """Mean error rate of a head: "features", "inputs" or "oracle"."""
        return float(self.probe.classification[head].mean())

    def _repr_html_(self):
        values = self.to_dict()
        return html_table(
            ["measure", ""],
            [[said, f"{values[name]:.4g}"] for name, said in MEASURES if name in values],
        )

    def to_dict(self) -> dict:
        """Return a flat dictionary of plain numbers."""
        values = asdict(self)
        del values["probe"]
        for head in self.probe.regression:
            values[f"regression_{head}"] = self.regression(head)
            values[f"classification_{head}"] = self.classification(head)
        return values


# Numbers of a run that diverged may overflow, and are then undefined.
@np.errstate(over="ignore", invalid="ignore")
def summarize(run: Run) -> Summary:
    """Return the `Summary` of a `Run` at its last recorded step.

    Probes draw from the run's own seed, a stream that training does not touch.

    Raises
    ------
    InvalidInput
        If it is no run, or one that was loaded without the model of its own that it was trained on.

    Examples
    --------
    >>> run = featlearn.train(featlearn.preset("tiny").replace(n_steps=5))
    >>> featlearn.summarize(run).atoms_learned
    0
    """
    if not isinstance(run, Run):
        raise InvalidInput("run", run, "a Run, as train and load_run return it")
    exp, model = run.experiment, run.require_model()
    shared: SharedCosines = shared_cosines(
        run.weights, run.biases, model, generator(exp.seed, "probe", 0)
    )
    return Summary(
        **measures_of_weights(run),
        same_noise=shared.same_noise,
        same_latents=shared.same_latents,
        same_noise_active=shared.noise.active,
        same_latents_active=shared.latents.active,
        same_noise_weighted=shared.noise.weighted,
        same_latents_weighted=shared.latents.weighted,
        probe=probe(run.weights, run.biases, model, generator(exp.seed, "probe", 1)),
    )


def measures_of_weights(run):
    """Return the measures of a `Summary` that need no samples and so no model, by name."""
    norms = np.linalg.norm(run.weights, axis=1)
    alignments = run.weights @ run.dictionary
    cosine = cosines(alignments, norms)
    tail = min(max(len(run) // 10, 1), 100)
    return dict(
        step=int(run.steps[-1]),
        stage=int(run["stage"][-1]),
        loss=float(np.mean(run["loss"][-tail:])),
        growth=log_growth(run["weight_norm"][0], run["weight_norm"][-1]),
        atoms_learned=int(np.sum(best_cosine_of_atoms(cosine) >= PURE)),
        weakest_atom=float(best_cosine_of_atoms(cosine).min()),
        best_cosine=float(cosine.max()),
        pure_fraction=float(np.mean(best_cosine_of_neurons(cosine) >= PURE)),
        largest_atom_fraction=float(neurons_per_atom(cosine, PURE).max() / len(norms)),
        sparse_share=float(np.median(sparse_share(alignments, norms))),
    )
