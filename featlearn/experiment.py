"""An experiment: every number that determines a run, checked when it is made."""

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import InvalidInput
from .views import AUGMENTATIONS

DICTIONARIES = ("orthonormal", "flat", "identity")


def _integer(low, high=2**31 - 1):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            return None
        return int(value) if low <= value <= high else None

    return check, f"a whole number ≥ {low}" + (f" and ≤ {high}" if high != 2**31 - 1 else "")


def _number(low, high=math.inf, open_low=False, open_high=False, optional=None):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            return None
        try:
            value = float(value)
        except OverflowError:  # a whole number beyond any float
            return None
        above = value > low if open_low else value >= low
        below = value < high if open_high else value <= high
        return value if above and below and math.isfinite(value) else None

    wanted = f"a finite number {'>' if open_low else '≥'} {low}"
    if high != math.inf:
        wanted += f" and {'<' if open_high else '≤'} {high}"
    if optional:
        wanted += f", or none {optional}"
        return (lambda value: "none" if value is None else check(value)), wanted
    return check, wanted


def _choice(names):
    """A rule for one of some names; those of a dictionary may become more."""

    def wanted():
        return "one of " + ", ".join(names)

    return (lambda value: value if isinstance(value, str) and value in names else None), wanted


def _flag():
    return (lambda value: value if isinstance(value, bool) else None), "true or false"


def _negatives():
    check, _ = _integer(1)
    return (
        lambda value: value if isinstance(value, str) and value == "in_batch" else check(value)
    ), '"in_batch" or a whole number ≥ 1'


def _field(default, rule, doc):
    check, wanted = rule
    return field(default=default, metadata={"check": check, "wanted": wanted, "doc": doc})


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

    ``featlearn run --help`` lists the fields with their meaning. Three of them follow the paper's
    formula where they are None: density = density_factor · log log d / d, noise_variance =
    noise_factor · √(log d) / d, and bias_growth = 1 + learning_rate / d (Wen & Li 2021, setting).
    With stage_one_growth=None stage I never ends: the biases stay 0 and the network is linear.
    """

    n_features: int = _field(32, _integer(1), "d, number of sparse features")
    n_inputs: int = _field(1024, _integer(1), "d1, input dimension, at least d")
    n_neurons: int = _field(192, _integer(1), "m, number of neurons")
    batch_size: int = _field(512, _integer(1), "B, anchors per step")
    n_steps: int = _field(5000, _integer(0), "training steps")
    learning_rate: float = _field(0.15, _number(0, open_low=True), "η")
    weight_decay: float = _field(0.0055, _number(0), "λ")
    temperature: float = _field(2.0, _number(0, open_low=True), "τ")
    density: float | None = _field(
        None, _number(0, 1, optional="for the paper's formula"), "s = Pr(z_j ≠ 0)"
    )
    density_factor: float = _field(1.0, _number(0), "C_z of the paper's density")
    noise_variance: float | None = _field(
        None, _number(0, optional="for the paper's formula"), "σ² of a coordinate of ξ"
    )
    noise_factor: float = _field(1.0, _number(0), "C_ξ of the paper's noise variance")
    augmentation: str = _field("random_mask", _choice(AUGMENTATIONS), "how the views are made")
    keep_probability: float = _field(
        0.5, _number(0, 1, open_low=True, open_high=True), "k of the masking augmentations"
    )
    noise_correlation: float = _field(0.0, _number(0, 1), "ρ of correlated noise")
    dictionary: str = _field("orthonormal", _choice(DICTIONARIES), "how M is drawn")
    initial_norm: float = _field(0.05, _number(0, open_low=True), "typical ‖w_i‖ at the start")
    negatives: str | int = _field("in_batch", _negatives(), "in_batch, or K fresh ones each step")
    stop_gradient: bool = _field(True, _flag(), "gradient through the anchor only")
    stage_one_growth: float | None = _field(
        6.0, _number(1, optional="to stay in stage I"), "growth of the norms that ends stage I"
    )
    bias_factor: float = _field(1.0, _number(0), "c_b of the bias at the start of stage II")
    bias_growth: float | None = _field(
        None, _number(1, optional="for 1 + η/d"), "factor of a bias in one step of stage II"
    )
    bias_cap: float = _field(0.55, _number(0), "largest bias relative to ‖w_i‖")
    seed: int = _field(0, _integer(0, 2**63 - 1), "seed of everything random")
    dtype: str = _field("float32", _choice(("float32", "float64")), "precision")
    record_every: int = _field(1, _integer(1), "record every k-th step")

    def __post_init__(self):
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            checked = f.metadata["check"](value)
            if checked is None:
                wanted = f.metadata["wanted"]
                raise InvalidInput(f.name, value, wanted() if callable(wanted) else wanted)
            object.__setattr__(self, f.name, None if value is None else checked)
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
        if self.density is None:
            if d < 3:
                raise InvalidInput("density", None, "a number when n_features < 3: log log d ≤ 0")
            if self.resolved_density > 1:
                raise InvalidInput(
                    "density_factor",
                    self.density_factor,
                    f"at most {d / math.log(math.log(d)):.6g}, so that the density is at most 1",
                )
        if self.negatives == "in_batch" and self.batch_size < 2:
            raise InvalidInput(
                "batch_size", self.batch_size, "at least 2 with in-batch negatives: one has none"
            )
        if self.stage_one_growth is not None and self.bias_cap < self.bias_jump:
            raise InvalidInput(
                "bias_cap",
                self.bias_cap,
                f"at least √(bias_factor · log d / d) = {self.bias_jump:.4g}, where stage II starts",
            )

    @property
    def resolved_density(self):
        """s as used: the number given, or density_factor · log log d / d."""
        if self.density is not None:
            return self.density
        return self.density_factor * math.log(math.log(self.n_features)) / self.n_features

    @property
    def resolved_noise_variance(self):
        """σ² as used: the number given, or noise_factor · √(log d) / d."""
        if self.noise_variance is not None:
            return self.noise_variance
        return self.noise_factor * math.sqrt(math.log(self.n_features)) / self.n_features

    @property
    def resolved_bias_growth(self):
        """The factor of a bias in one step, as used: the number given, or 1 + η/d."""
        if self.bias_growth is not None:
            return self.bias_growth
        return 1 + self.learning_rate / self.n_features

    @property
    def bias_jump(self):
        """√(c_b log d / d), the ratio b_i/‖w_i‖ at the start of stage II."""
        return math.sqrt(self.bias_factor * math.log(self.n_features) / self.n_features)

    def replace(self, /, **changes):
        """Return a copy with some fields changed; an unknown name is refused."""
        known = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise InvalidInput("experiment", name, "a field among " + ", ".join(known))
        return dataclasses.replace(self, **changes)

    def to_dict(self):
        """Return the fields as a dictionary of plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Make an experiment from a dictionary; missing fields take their defaults."""
        if not isinstance(values, dict):
            raise InvalidInput("experiment", values, "a table of fields")
        return cls().replace(**values)

    def save(self, path):
        """Write the experiment to a ``.json`` or ``.toml`` file."""
        path = Path(path)
        if path.suffix == ".json":
            text = json.dumps(self.to_dict(), indent=2) + "\n"
        elif path.suffix == ".toml":
            # TOML has no null, so None is written as the word "none".
            text = "".join(
                f"{name} = {json.dumps('none' if value is None else value)}\n"
                for name, value in self.to_dict().items()
            )
        else:
            raise InvalidInput("experiment file", str(path), "a name ending in .json or .toml")
        path.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Read an experiment from a ``.json`` or ``.toml`` file.

        Raises
        ------
        InvalidInput
            If the file cannot be read or parsed, or holds an unknown or invalid field.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput("experiment file", str(path), f"a readable file ({error})") from None
        try:
            values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput("experiment file", str(path), f"valid text ({error})") from None
        if not isinstance(values, dict):
            raise InvalidInput("experiment file", str(path), "a table of fields")
        if path.suffix == ".toml":
            values = {name: parse_none(name, value) for name, value in values.items()}
        return cls.from_dict(values)


def parse_none(name, value):
    """Return None for the word "none" where the field may be None, otherwise the value."""
    if value == "none":
        for f in dataclasses.fields(Experiment):
            if f.name == name and f.metadata["check"](None) is not None:
                return None
    return value


# The default pair is chosen by the two preconditions of the theory: the noise margin of RandomMask is
# 0.19, far below 1, so that sparse features are learned; and without augmentation the norms
# saturate after growing by e^2.4, well before the e^4.1 at which the sparse part would overtake the
# dense one. The smaller presets keep both preconditions.
_DEFAULT = Experiment(
    n_features=32,
    n_inputs=1024,
    n_neurons=192,
    batch_size=512,
    n_steps=4000,
    noise_factor=1.4,
    learning_rate=0.27,
    weight_decay=0.0025,
    temperature=1.0,
    initial_norm=0.25,
    stage_one_growth=1.7,
    bias_factor=0.5,
    bias_growth=1.002,
    bias_cap=0.38,
)
_QUICK = _DEFAULT.replace(
    n_features=16,
    n_inputs=512,
    n_neurons=96,
    batch_size=256,
    n_steps=4000,
    density=0.058,
    noise_variance=0.11,
    learning_rate=0.2,
    weight_decay=0.0035,
    initial_norm=0.14,
    stage_one_growth=2.5,
    bias_cap=0.42,
)
_TINY = _QUICK.replace(
    n_features=8,
    n_inputs=256,
    n_neurons=32,
    batch_size=128,
    n_steps=3000,
    density=0.06,
    noise_variance=0.13,
    learning_rate=0.18,
    weight_decay=0.004,
    bias_factor=0.25,
    bias_growth=1.003,
    bias_cap=0.47,
)

PRESETS = {
    "tiny": _TINY,
    "quick": _QUICK,
    "default": _DEFAULT,
    "no-augmentation": _DEFAULT.replace(augmentation="none"),
}


def preset(name):
    """Return the experiment of a preset: "tiny", "quick", "default" or "no-augmentation".

    "no-augmentation" differs from "default" in the augmentation only.
    """
    if name not in PRESETS:
        raise InvalidInput("preset", name, "one of " + ", ".join(PRESETS))
    return PRESETS[name]
