"""Experiments to start from."""

from .errors import InvalidInput
from .experiment import Experiment
from .values import did_you_mean

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

# The theorem in its own regime, d1 = d^5.5, in the large-batch limit: no outer noise, paired batches.
# The tiny start gives stage II a growth of e^7 to select in at b = 1.3 σ, and biases go on to 2.2 σ
# as the norms saturate. Ten neurons for every atom, so that few seeds leave one without.
_ASYMPTOTIC = Experiment(
    n_features=64,
    n_inputs=2**33,
    n_neurons=640,
    batch_size=4096,
    n_steps=640,
    density_factor=0.7,
    learning_rate=4.49,
    weight_decay=1.6e-4,
    temperature=1.0,
    initial_norm=5e-6,
    stage_one_growth=60.0,
    bias_factor=0.83,
    bias_growth=1.006,
    bias_cap=0.393,
    record_every=2,
    dense="gram",
    noise_inputs=704,
    batches="paired",
    negative_groups=16,
)

# Small weights at the start leave time for every phase: stage I while similarities are small, a stage
# II that the mean field describes, and time for stage III.
_PHASES = _QUICK.replace(n_steps=5000, initial_norm=0.02, stage_one_growth=6.0)
# b = 0 for ever: the plateau of the linear phase.
_LINEAR = _QUICK.replace(
    n_features=8,
    n_inputs=128,
    n_neurons=32,
    batch_size=256,
    n_steps=450,
    density=0.15,
    noise_variance=0.05,
    learning_rate=0.3,
    weight_decay=0.01,
    dictionary="flat",
    initial_norm=0.1,
    stage_one_growth=None,
)

PRESETS = {
    "tiny": _TINY,
    "quick": _QUICK,
    "default": _DEFAULT,
    "no-augmentation": _DEFAULT.replace(augmentation="none"),
    "supervised": _DEFAULT.replace(objective="supervised", augmentation="none", n_steps=2000),
    "spectral": _QUICK.replace(objective="spectral"),
    "decoupled": _QUICK.replace(objective="decoupled"),
    "nt-xent": _QUICK.replace(
        objective="nt_xent",
        stop_gradient=False,
        temperature=0.5,
        learning_rate=0.03,
        weight_decay=0.004,
        stage_one_steps=1500,
        n_steps=5000,
    ),
    "no-negatives": _QUICK.replace(
        objective="no_negatives",
        density_power=0.5,
        prediction_head=True,
        head_rate=30.0,
        learning_rate=0.15,
        weight_decay=0.0013,
        stage_one_steps=1200,
        n_steps=3500,
    ),
    "phases": _PHASES,
    "linear": _LINEAR,
    "asymptotic": _ASYMPTOTIC,
    "asymptotic-no-augmentation": _ASYMPTOTIC.replace(augmentation="none"),
}


def preset(name: str) -> Experiment:
    """Return the experiment of a preset, a name in `PRESETS`, such as "tiny", "quick" or "default".

    "no-augmentation" differs from "default" in the augmentation only, "supervised" in the objective and
    the number of steps, too. "spectral", "decoupled", "nt-xent" and "no-negatives" are "quick" with that
    objective.

    Examples
    --------
    >>> exp = featlearn.preset("tiny").replace(seed=1)
    >>> exp.n_features, exp.seed
    (8, 1)
    """
    if not isinstance(name, str) or name not in PRESETS:
        wanted = "one of " + ", ".join(PRESETS) + did_you_mean(name, PRESETS)
        raise InvalidInput("preset", name, wanted)
    return PRESETS[name]
