"""An experiment: every number that determines a run, checked when it is made."""

import dataclasses
import importlib
import json
import math
import textwrap
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np

from .display import escape, html_table
from .errors import InvalidInput
from .gram_views import check_dense
from .latents import LAWS, check_data
from .objectives import OBJECTIVES
from .objectives.supervised import TASKS
from .paired import check_batches
from .rules import checked, choice, flag, in_batch_or_integer, integer, number, require_fields
from .values import did_you_mean, read_table
from .views import AUGMENTATIONS

DICTIONARIES = ("orthonormal", "flat", "identity")
# Laws of z whose number of features in a sample is fixed, and the density with it.
EXACTLY = ("one_of_d", "k_sparse")


@dataclass(frozen=True)
class Experiment:
    """Everything that determines a run; frozen, and checked on construction.

    Raises
    ------
    InvalidInput
        Naming the field, what it got and what it wants.

    Notes
    -----
    Start from a preset: ``preset("default").replace(seed=1)``. The defaults of the fields are not
    those of the preset "default", and do not meet the precondition of T3: without augmentation the
    sparse part overtakes the dense one before the norms saturate (`featlearn.theory.preconditions`).

    ``featlearn run --help`` lists the fields as well. Three of them follow the paper's
    formula where they are None: density = density_factor · log log d / d, noise_variance =
    noise_factor · √(log d) / d, and bias_growth = 1 + learning_rate / d (Wen & Li 2021, setting).
    With stage_one_growth=None stage I never ends: the biases stay 0 and the network is linear.
    """

    n_features: int = checked(32, integer(1), "d, number of sparse features")
    n_inputs: int = checked(1024, integer(1, 2**63 - 1), "d1, input dimension, at least d")
    n_neurons: int = checked(192, integer(1), "m, number of neurons")
    batch_size: int = checked(512, integer(1), "B, anchors per step")
    n_steps: int = checked(5000, integer(0), "training steps")
    learning_rate: float = checked(0.15, number(0, open_low=True), "η")
    weight_decay: float = checked(0.0055, number(0), "λ")
    temperature: float = checked(2.0, number(0, open_low=True), "τ")
    density: float | None = checked(
        None, number(0, 1, optional="for the paper's formula"), "s = Pr(z_j ≠ 0)"
    )
    density_factor: float = checked(1.0, number(0), "C_z of the paper's density")
    noise_variance: float | None = checked(
        None, number(0, optional="for the paper's formula"), "σ² of a coordinate of ξ"
    )
    noise_factor: float = checked(1.0, number(0), "C_ξ of the paper's noise variance")
    augmentation: str = checked("random_mask", choice(AUGMENTATIONS), "how the views are made")
    keep_probability: float = checked(
        0.5, number(0, 1, open_low=True, open_high=True), "k of the masking augmentations"
    )
    noise_correlation: float = checked(0.0, number(0, 1), "ρ of correlated noise")
    dictionary: str = checked("orthonormal", choice(DICTIONARIES), "how M is drawn")
    initial_norm: float = checked(0.05, number(0, open_low=True), "typical ‖w_i‖ at the start")
    negatives: str | int = checked(
        "in_batch", in_batch_or_integer(), "in_batch, or K fresh ones each step"
    )
    stop_gradient: bool = checked(True, flag(), "gradient through the anchor only")
    stage_one_growth: float | None = checked(
        6.0, number(1, optional="to stay in stage I"), "growth of the norms that ends stage I"
    )
    stage_one_steps: int | None = checked(
        None,
        integer(1, optional="to end stage I by growth"),
        "steps of stage I, whatever the growth",
        later=True,
    )
    bias_factor: float = checked(1.0, number(0), "c_b of the bias at the start of stage II")
    bias_growth: float | None = checked(
        None, number(1, optional="for 1 + η/d"), "factor of a bias in one step of stage II"
    )
    bias_cap: float = checked(0.55, number(0), "largest bias relative to ‖w_i‖")
    dense: str = checked(
        "explicit",
        choice(("explicit", "gram")),
        "β_i as vectors, or by their Gram matrix: any d1",
        later=True,
    )
    noise_inputs: int | None = checked(
        None,
        integer(1, 2**63 - 1, optional="for n_inputs"),
        "d1 that the sampling noise outside the row space is that of; smaller than n_inputs: "
        "the large-batch limit",
        later=True,
    )
    batches: str = checked(
        "iid",
        choice(("iid", "paired")),
        "independent samples, or paired: the large-batch limit",
        later=True,
    )
    negative_groups: int = checked(
        1,
        integer(1),
        "equal groups of a batch; negatives come from one's own group",
        later=True,
    )
    objective: str = checked("infonce", choice(OBJECTIVES), "what is minimised", later=True)
    n_tasks: int | None = checked(
        None, integer(1, optional="for n_features"), "K of supervised", later=True
    )
    task: str = checked("classification", choice(TASKS), "what supervised labels are", later=True)
    train_head: bool = checked(
        True, flag(), "whether the head of supervised is trained", later=True
    )
    label_leak: float = checked(
        0.0,
        number(0),
        "size of the noise in a label of supervised, relative to its signal",
        later=True,
    )
    embedding_floor: float = checked(
        0.3,
        number(0, open_low=True),
        "ε of nt_xent: features are divided by √(‖h‖² + ε²)",
        later=True,
    )
    prediction_head: bool = checked(False, flag(), "whether no_negatives has a head", later=True)
    head_rate: float = checked(
        1.0, number(0), "learning rate of the head of no_negatives, relative to η", later=True
    )
    latents: str = checked("bernoulli", choice(LAWS), "law of z", later=True)
    n_active: int = checked(1, integer(1), "k, features in a sample of k_sparse", later=True)
    density_power: float = checked(
        0.0, number(0), "p of densities s_j ∝ j^-p with mean s", later=True
    )
    noise_spikes: int = checked(
        0, integer(0), "directions beside M with extra variance in ξ", later=True
    )
    spike_variance: float = checked(0.0, number(0), "that variance of each", later=True)
    noise_spread: float = checked(
        0.0,
        number(0, 3),
        "standard deviation of ln of the scale of a sample's ξ, whose mean square is 1",
        later=True,
    )
    n_samples: int | None = checked(
        None,
        integer(1, optional="for fresh samples"),
        "N of a fixed data set; batch_size = N is full batch",
        later=True,
    )
    seed: int = checked(0, integer(0, 2**63 - 1), "seed of everything random")
    dtype: str = checked("float32", choice(("float32", "float64")), "precision")
    record_every: int = checked(1, integer(1), "record every k-th step")

    def __post_init__(self):
        require_fields(self)
        self._check_together()

    def _check_together(self):
        low, high = float(np.finfo(self.dtype).tiny), float(np.finfo(self.dtype).max)
        for name, value in self.to_dict().items():
            if isinstance(value, float) and value != 0 and not low <= value <= high:
                raise InvalidInput(
                    name, value, f"0, or {low:.2g} to {high:.2g}, what {self.dtype} can hold"
                )
        d = self.n_features
        if d > self.n_inputs:
            raise InvalidInput("n_features", d, f"at most n_inputs = {self.n_inputs}")
        if self.density is None and self.latents not in EXACTLY:
            if d < 3:
                raise InvalidInput("density", None, "a number when n_features < 3: log log d ≤ 0")
            if self.resolved_density > 1:
                raise InvalidInput(
                    "density_factor",
                    self.density_factor,
                    f"at most {d / math.log(math.log(d)):.6g}, so that the density is at most 1",
                )
        check_dense(self)
        check_batches(self)
        check_data(self)
        OBJECTIVES[self.objective].check(self)
        if not self.stays_linear and self.bias_cap < self.bias_jump:
            raise InvalidInput(
                "bias_cap",
                self.bias_cap,
                f"at least √(bias_factor · log d / d) = {self.bias_jump:.4g}, where stage II starts",
            )

    @property
    def n_columns(self) -> int:
        """Columns of the weights: d1, or with the dense part as a Gram matrix d + r, r = min(m, d1-d)."""
        d, d1 = self.n_features, self.n_inputs
        return d1 if self.dense == "explicit" else d + self.row_space

    @property
    def row_space(self) -> int:
        """r = min(m, d1 - d), the largest rank of the dense parts β_i."""
        return min(self.n_neurons, self.n_inputs - self.n_features)

    @property
    def group_size(self) -> int:
        """Number of anchors that share their negatives, B/n."""
        return self.batch_size // self.negative_groups

    @property
    def is_large_batch_limit(self) -> bool:
        """Whether batches or outer noise are those of a batch far larger than batch_size."""
        fewer = self.noise_inputs is not None and self.noise_inputs < self.n_inputs
        return self.batches == "paired" or fewer

    @property
    def resolved_noise_inputs(self) -> int:
        """The d1 that outer sampling noise is that of: the number given, or n_inputs."""
        return self.n_inputs if self.noise_inputs is None else self.noise_inputs

    @property
    def noise_directions(self) -> int:
        """Directions beside span(M) in which a batch leaves its sampling noise, d1 - d or fewer."""
        return self.resolved_noise_inputs - self.n_features

    @property
    def resolved_density(self) -> float:
        """s as used: the number given, or density_factor · log log d / d; k/d of exactly k features."""
        if self.latents in EXACTLY:
            return (1 if self.latents == "one_of_d" else self.n_active) / self.n_features
        if self.density is not None:
            return self.density
        return self.density_factor * math.log(math.log(self.n_features)) / self.n_features

    @property
    def resolved_noise_variance(self) -> float:
        """σ² as used: the number given, or noise_factor · √(log d) / d."""
        if self.noise_variance is not None:
            return self.noise_variance
        return self.noise_factor * math.sqrt(math.log(self.n_features)) / self.n_features

    @property
    def resolved_bias_growth(self) -> float:
        """The factor of a bias in one step, as used: the number given, or 1 + η/d."""
        if self.bias_growth is not None:
            return self.bias_growth
        return 1 + self.learning_rate / self.n_features

    @property
    def resolved_n_tasks(self) -> int:
        """K as used by supervised: the number given, or d."""
        return self.n_features if self.n_tasks is None else self.n_tasks

    @property
    def stays_linear(self) -> bool:
        """Whether stage I has no end."""
        return self.stage_one_growth is None and self.stage_one_steps is None

    @property
    def bias_jump(self) -> float:
        """√(c_b log d / d), the ratio b_i/‖w_i‖ at the start of stage II."""
        return math.sqrt(self.bias_factor * math.log(self.n_features) / self.n_features)

    def replace(self, /, **changes) -> Self:
        """Return a copy with some fields changed; an unknown name is refused."""
        fields = dataclasses.fields(self)
        known = [f.name for f in fields]
        for name in changes:
            if name not in known:
                symbols = {f.metadata["doc"].split()[0].rstrip(","): f.name for f in fields[::-1]}
                wanted = "a field among those that 'featlearn run --help' lists"
                raise InvalidInput("experiment", name, wanted + did_you_mean(name, known, symbols))
        return dataclasses.replace(self, **changes)

    def _repr_html_(self):
        rows = [
            [f"<code>{f.name}</code>", escape(getattr(self, f.name)), escape(f.metadata["doc"])]
            for f in dataclasses.fields(self)
        ]
        return html_table(["field", "value", "meaning"], rows)

    def to_dict(self) -> dict:
        """Return the fields as a dictionary of plain values."""
        return dataclasses.asdict(self)

    def identity(self) -> dict:
        """Return what a run is known by: the fields, without later ones that have their default.

        A field that is added later, with a default that changes nothing, so leaves alone the names
        and checkpoints of runs that were made before.
        """
        later = {f.name: f.default for f in dataclasses.fields(self) if f.metadata["later"]}
        values = self.to_dict()
        return {k: v for k, v in values.items() if k not in later or v != later[k]}

    @classmethod
    def from_dict(cls, values: dict) -> Self:
        """Make an experiment from a dictionary; missing fields take their defaults."""
        if not isinstance(values, dict):
            raise InvalidInput("experiment", values, "a table of fields")
        return cls().replace(**{str(name): value for name, value in values.items()})

    def save(self, path: str | PathLike) -> None:
        """Write the experiment to a ``.json`` or ``.toml`` file."""
        path = Path(path)
        if path.suffix.lower() == ".json":
            text = json.dumps(self.to_dict(), indent=2) + "\n"
        elif path.suffix.lower() == ".toml":
            # TOML has no null, so None is written as the word "none".
            text = "".join(
                f"{name} = {json.dumps('none' if value is None else value)}\n"
                for name, value in self.to_dict().items()
            )
        else:
            raise InvalidInput("experiment file", str(path), "a name ending in .json or .toml")
        path.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike) -> Self:
        """Read an experiment from a ``.json`` or ``.toml`` file.

        Raises
        ------
        InvalidInput
            If the file cannot be read or parsed, or holds an unknown or invalid field.
        """
        values = read_table(path, "experiment file")
        try:
            return cls.from_dict({name: as_written(name, value) for name, value in values.items()})
        except InvalidInput as error:
            raise error.within(path) from None


def _field_meanings():
    """The section Attributes of the docstring: every field with its type, default and meaning."""
    lines = ["    Attributes", "    ----------"]
    for f in dataclasses.fields(Experiment):
        kind = getattr(f.type, "__name__", str(f.type)) if isinstance(f.type, type) else f.type
        lines.append(f"    {f.name} : {kind}, default {f.default!r}")
        lines += textwrap.wrap(
            f.metadata["doc"], 80, initial_indent=" " * 8, subsequent_indent=" " * 8
        )
    return "\n".join(lines)


# Written once, beside each field; without docstrings (python -OO) there is nothing to complete.
if Experiment.__doc__:
    Experiment.__doc__ = Experiment.__doc__.replace(
        "    Raises\n", f"{_field_meanings()}\n\n    Raises\n", 1
    )


def as_written(name, value):
    """Return what a value in a file or on the command line means for a field of an experiment.

    The word "none", in any case, is None where the field may be None; a whole number may be written as
    1e3 or 1000.0. Every other value is returned as it is, right or wrong.
    """
    checks = {f.name: f.metadata["check"] for f in dataclasses.fields(Experiment)}
    if name in checks and checks[name](value) is None:
        if isinstance(value, str) and value.lower() == "none" and checks[name](None) is not None:
            return None
        if isinstance(value, float) and value.is_integer() and checks[name](int(value)) is not None:
            return int(value)
    return value


def __getattr__(name):
    """Presets can be had from here as well."""
    if name in ("PRESETS", "preset"):
        return getattr(importlib.import_module("featlearn.presets"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
