"""Parts of a run that a user brings: a model, an augmentation, a schedule or an objective of their own.

A run records the name and a digest of each, and the arrays it holds, never its code. So loading a
run imports and executes nothing that it names; going on with one needs the same parts again.
"""

import inspect
from dataclasses import is_dataclass

import numpy as np

from .data import require_orthonormal
from .digest import attributes_of, digest_of_object, older_digest_of_object
from .errors import InvalidInput
from .rules import as_array, choice, integer, require

# What each part must have to take part in a step.
METHODS = {
    "model": ("dictionary", "draw_latents", "draw_noise", "signal"),
    "augmentation": ("pair",),
    "schedule": ("advance",),
    "objective": ("gradient", "initial_parameters", "labels", "update"),
}


def given_parts(experiment, **parts):
    """Return the parts that were given, each as an object with the methods that a step calls.

    Parameters
    ----------
    experiment : Experiment
    **parts : object, class, function or None
        By role, a key of `METHODS`. A class or a function is called to make the object, with the
        experiment if it needs one argument.

    Returns
    -------
    dict of str to object

    Raises
    ------
    InvalidInput
        Naming the role and what it lacks.
    """
    made = {}
    for role, part in parts.items():
        require("part", role, choice(METHODS))
        if part is None:
            continue
        if inspect.isclass(part) or inspect.isfunction(part):
            part = _make(role, part, experiment)
        missing = [name for name in METHODS[role] if not hasattr(part, name)]
        if missing:
            raise InvalidInput(role, part, "an object with " + ", ".join(missing))
        if experiment.dense == "gram" and role != "schedule":
            wanted = "none with dense = gram, whose law is derived for the experiment's own"
            raise InvalidInput(role, part, wanted)
        if role == "model":
            _check_model(part, experiment)
        if role == "augmentation":
            require("n_masks of the augmentation", getattr(part, "n_masks", 0), integer(0))
        made[role] = part
    require_fit(experiment, made)
    return made


def require_fit(experiment, parts):
    """Ask parts, by role, that know what they fit; None is the experiment's own model.

    Labels leak along directions orthogonal to the experiment's own dictionary, so beside another model
    they cannot.
    """
    told = experiment.objective == "supervised" and "objective" not in parts
    if told and experiment.label_leak and "model" in parts:
        wanted = "0 beside a model of your own: labels leak noise of the experiment's own"
        raise InvalidInput("label_leak", experiment.label_leak, wanted)
    if hasattr(parts.get("model"), "check_experiment"):
        parts["model"].check_experiment(experiment)
    if hasattr(parts.get("augmentation"), "check_model"):
        parts["augmentation"].check_model(parts.get("model"))


def _make(role, maker, experiment):
    try:
        parameters = inspect.signature(maker).parameters.values()
    except ValueError:  # a class of Python's own, that does not tell
        parameters = ()
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(required) > 1 or any(p.kind is p.KEYWORD_ONLY for p in required):
        wanted = "an object, or a class or function that needs nothing or an experiment to make one"
        raise InvalidInput(role, maker, wanted)
    return maker(*[experiment][: len(required)])


def _check_model(model, experiment):
    wanted = (experiment.n_inputs, experiment.n_features)
    if np.shape(model.dictionary) != wanted:
        raise InvalidInput(
            "model", f"a dictionary of shape {np.shape(model.dictionary)}", f"shape {wanted}"
        )
    dictionary = model.dictionary
    if isinstance(dictionary, np.ndarray) and dictionary.dtype.kind in "iu":
        dictionary = dictionary.astype(np.float64)
    # Alignments, dense parts and sparse shares follow from that.
    require_orthonormal(dictionary)


def as_advanced(found, biases):
    """Return stage and biases that a schedule of the user's own returned, as a checkpoint holds them.

    The biases are a copy, as its own may be what it writes the next ones into.

    Parameters
    ----------
    found : tuple of (int, array_like)
    biases : ndarray of shape (m,)
        Those before, of the shape and type to have.
    """
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise InvalidInput("schedule", f"{found!r} from advance", "a stage, and the biases")
    stage, new = found
    if stage not in (1, 2, 3):
        raise InvalidInput("schedule", f"stage {stage} from advance", "stage 1, 2 or 3")
    new = as_array("schedule", "advance", new, biases.shape, biases.dtype)
    wrong = ~((new >= 0) & np.isfinite(new))
    if wrong.any():
        value = float(new[wrong][0])
        raise InvalidInput("schedule", f"biases of {value} from advance", "finite numbers ≥ 0")
    return int(stage), new.copy()


def as_parameters(method, found, dtype):
    """Return arrays that an objective of the user's own returned, of floats as a checkpoint holds them.

    They are copies, as its own may be what it writes the next ones into.
    """
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise InvalidInput(
            "objective", f"{found!r} from {method}", "a dictionary of arrays by name"
        )
    arrays = {
        name: as_array("objective", f"{name} of {method}", value).copy()
        for name, value in found.items()
    }
    return {name: a if a.dtype.kind == "f" else a.astype(dtype) for name, a in arrays.items()}


def describe(part):
    """Return what a run records of a part: its name, its label if any, a digest of source and state.

    A label that all objects of a dataclass have is followed by the numbers and words among the fields of
    this one, which tell it from others.
    """
    kind = type(part)
    found = {"name": f"{kind.__module__}.{kind.__qualname__}", "digest": digest_of_object(part)}
    label = getattr(part, "label", None)
    label = label if isinstance(label, str) else ""
    if label == getattr(kind, "label", ""):
        settings = [f"{name} = {_shown(value)}" for name, value in _settings(part).items()]
        label = ", ".join([label or kind.__qualname__, *settings]) if settings else label
    return found | ({"label": label} if label else {})


def shown_name(described):
    """Return how people are told of a part that `describe` describes: its label, or its class."""
    return described.get("label") or described["name"].rpartition(".")[2]


def held_arrays(part):
    """Return the arrays that a part holds, by attribute."""
    arrays = {
        name: value for name, value in attributes_of(part).items() if isinstance(value, np.ndarray)
    }
    if hasattr(part, "dictionary"):
        arrays["dictionary"] = np.asarray(part.dictionary)
    return arrays


def require_same(directory_name, recorded, parts, error):
    """Refuse parts that are not those a run recorded.

    Parameters
    ----------
    directory_name : str
    recorded : dict of str to dict
        `describe` of each part, as recorded.
    parts : dict of str to object
    error : type
        The exception to raise.
    """
    for role in [*recorded, *parts]:
        if role not in parts:
            name = recorded[role]["name"]
            raise error(
                f"{directory_name}: was trained with its own {role} ({name}): give it again"
            )
        if role not in recorded:
            raise error(f"{directory_name}: was not trained with a {role} of its own")
        found, known = describe(parts[role]), recorded[role]["digest"]
        if known != found["digest"] and known != older_digest_of_object(parts[role]):
            raise error(
                f"{directory_name}: was trained with another {role}: {recorded[role]['name']} of"
                f" digest {known[:12]}, given {found['name']} of digest"
                f" {found['digest'][:12]}; give the same, or name another directory"
            )


def _settings(part):
    """The numbers and words among an object's fields; not its seed, in which runs may differ.

    What an object without fields holds may be computed from its seed.
    """
    found = attributes_of(part) if is_dataclass(part) else {}
    kinds, others = (int, float, str, np.number), ("seed", "label")
    return {name: v for name, v in found.items() if isinstance(v, kinds) and name not in others}


def _shown(value):
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
