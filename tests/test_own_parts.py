"""A model, an augmentation or a schedule of one's own, in place of the experiment's."""

import dataclasses
import json
import shutil
import sys
import weakref
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from figure_checks import assert_sound

import featlearn
from featlearn import parts, plotting
from featlearn.commands import main
from featlearn.errors import WriteFailed
from featlearn.recording.load import verify
from featlearn.state import make_model
from featlearn.views import Augmentation, Views


@dataclass(frozen=True)
class Fixed:
    """Biases that are a fixed share of the norms from the first update on."""

    ratio: float = 0.3

    def advance(self, stage, biases, norms, new_norms, initial_norm):
        return 2, (self.ratio * new_norms).astype(biases.dtype)


@pytest.fixture
def short(small):
    return small.replace(n_steps=15)


def own_model(experiment, seed=5):
    rng = np.random.default_rng(seed)
    matrix, _ = np.linalg.qr(rng.standard_normal((experiment.n_inputs, experiment.n_features)))
    return featlearn.SparseCodingModel(
        matrix, experiment.resolved_density, experiment.resolved_noise_variance
    )


def test_the_experiments_own_model_given_as_a_part_changes_no_bit(short):
    given = featlearn.train(short, model=make_model(short))
    plain = featlearn.train(short)
    for name in plain.arrays:
        np.testing.assert_array_equal(given[name], plain[name])


def test_alignments_and_probes_are_those_of_the_model_trained_on(short, tmp_path):
    model = own_model(short)
    run = featlearn.train(short, tmp_path / "run", model=model)
    assert run.model is model
    np.testing.assert_allclose(
        run["alignment"][-1], run.weights @ model.dictionary, rtol=1e-4, atol=1e-6
    )
    plain = replace(run, model=make_model(short), own={})
    assert featlearn.summarize(run).same_latents != featlearn.summarize(plain).same_latents


def test_a_directory_holds_name_digest_and_arrays_and_asks_for_the_model(short, tmp_path):
    model, place = own_model(short), tmp_path / "run"
    featlearn.train(short, place, model=model)
    own = json.loads((place / "config.json").read_text())["own"]["model"]
    assert own["name"] == "featlearn.data.SparseCodingModel" and len(own["digest"]) == 64
    run = featlearn.load_run(place)
    assert run.model is None
    np.testing.assert_array_equal(run.dictionary, model.dictionary)
    with pytest.raises(featlearn.InvalidInput, match="model.*load_run"):
        featlearn.summarize(run)
    assert featlearn.load_run(place, model=own_model(short)).model is not None
    with pytest.raises(featlearn.RunDirectoryError, match="another model.*name another directory"):
        featlearn.load_run(place, model=own_model(short, seed=6))


def test_a_run_goes_on_with_the_same_parts_only(short, tmp_path):
    place = tmp_path / "run"
    featlearn.train(short, place, until=lambda state: state.step == 6, schedule=Fixed())
    with pytest.raises(featlearn.RunDirectoryError, match="own schedule.*Fixed.*again"):
        featlearn.train(None, place, resume=True)
    with pytest.raises(featlearn.RunDirectoryError, match="another schedule"):
        featlearn.train(None, place, resume=True, schedule=Fixed(0.2))
    with pytest.raises(featlearn.RunDirectoryError, match="model"):
        featlearn.train(None, place, resume=True, schedule=Fixed(), model=own_model(short))
    resumed = featlearn.train(None, place, resume=True, schedule=Fixed())
    whole = featlearn.train(short, schedule=Fixed)
    for name in whole.arrays:
        np.testing.assert_array_equal(resumed[name], whole[name])
    np.testing.assert_allclose(whole["bias"][1:], 0.3 * whole["weight_norm"][1:], rtol=1e-6)


def test_a_part_without_its_methods_is_refused(short):
    for role in parts.METHODS:
        with pytest.raises(featlearn.InvalidInput, match=role):
            featlearn.train(short, **{role: object()})
    with pytest.raises(featlearn.InvalidInput, match="shape"):
        featlearn.train(short, model=own_model(short.replace(n_inputs=32)))


def test_a_field_that_ones_own_part_decides_cannot_change(short):
    state = featlearn.init(short, schedule=Fixed())
    with pytest.raises(featlearn.InvalidInput, match="bias_cap.*own schedule"):
        state.replace(bias_cap=0.9)
    assert state.replace(temperature=3.0).schedule == Fixed()


def test_loading_a_strangers_run_imports_nothing_that_it_names(short, tmp_path, monkeypatch):
    place = tmp_path / "run"
    (tmp_path / "stranger_part.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    featlearn.train(short, place, model=own_model(short))
    config = json.loads((place / "config.json").read_text())
    config["own"]["model"]["name"] = "stranger_part.Model"
    (place / "config.json").write_text(json.dumps(config))
    featlearn.check(featlearn.load_run(place))
    assert "stranger_part" not in sys.modules


def test_built_in_claims_do_not_apply_to_parts_they_do_not_know(short):
    verdicts = featlearn.check(featlearn.train(short, schedule=Fixed()))
    assert {v.outcome for v in verdicts} == {"does not apply"}
    assert {v.reason for v in verdicts[1:]} == {"own schedule"}


def test_a_digest_knows_class_source_and_state_and_nothing_else():
    assert parts.describe(Fixed()) == parts.describe(Fixed())
    assert parts.describe(Fixed(0.2)) != parts.describe(Fixed())
    texts = ["return biases", "return biases + 1", "return biases"]
    digests = []
    for text in texts:
        space = {"__name__": "typed_in"}
        exec(f"class Own:\n    def advance(self, biases):\n        {text}\n", space)
        digests.append(parts.describe(space["Own"]()))
    assert digests[0] == digests[2] != digests[1]


@dataclass(frozen=True)
class Negated(featlearn.views.Augmentation):
    """x⁺ = x and x⁺⁺ = -x."""

    name = "negated"

    def pair(self, rng, sample, model, out=None):
        return featlearn.views.Views(sample.inputs, -sample.inputs)


def test_an_augmentation_of_ones_own_makes_the_views(short):
    batch = featlearn.draw_batch(featlearn.init(short, augmentation=Negated))
    np.testing.assert_array_equal(batch.views.keys, -batch.views.anchors)
    np.testing.assert_array_equal(batch.views.anchors, batch.sample.inputs)
    given = featlearn.train(short, augmentation=featlearn.RandomMask(0.5))
    plain = featlearn.train(short)
    np.testing.assert_array_equal(given["loss"], plain["loss"])


class Spiked(featlearn.SparseCodingModel):
    """Noise with ten times the variance along the first input."""

    def draw_noise(self, rng, n, out=None):
        noise = super().draw_noise(rng, n)
        noise[:, 0] *= np.sqrt(10)
        return noise


def test_noise_of_ones_own_reaches_the_views(short):
    base = make_model(short)
    model = Spiked(base.dictionary, base.density, base.noise_variance)
    noise = featlearn.draw_batch(
        featlearn.init(short.replace(batch_size=2000), model=model)
    ).sample.noise
    assert np.var(noise[:, 0]) == pytest.approx(10 * base.noise_variance, rel=0.15)
    assert np.var(noise[:, 1:]) == pytest.approx(base.noise_variance, rel=0.02)


class Wrong(featlearn.SparseCodingModel):
    def draw_noise(self, rng, n, out=None):
        return super().draw_noise(rng, n + 1)


def test_arrays_of_another_shape_are_refused_by_name(short):
    base = make_model(short)
    wrong = Wrong(base.dictionary, base.density, base.noise_variance)
    with pytest.raises(featlearn.InvalidInput, match="model.*draw_noise"):
        featlearn.train(short, model=wrong)


class Advances:
    """A schedule that returns what a function makes of stage, biases and the new norms."""

    def __init__(self, function):
        self.function = function

    def advance(self, stage, biases, norms, new_norms, initial_norm):
        return self.function(biases, new_norms)


@pytest.mark.parametrize(
    "function",
    (
        lambda biases, norms: (2, 0.3 * norms.astype(np.float64)),
        lambda biases, norms: (2, [0] * len(norms)),
    ),
    ids=("float64", "a list"),
)
def test_biases_of_any_type_of_number_can_be_loaded_and_gone_on_with(short, tmp_path, function):
    schedule = Advances(function)
    whole = featlearn.train(short, schedule=schedule)
    stopped = featlearn.train(
        short, tmp_path / "run", schedule=schedule, until=lambda state: state.step == 6
    )
    assert stopped.biases.dtype == short.dtype
    resumed = featlearn.train(None, tmp_path / "run", resume=True, schedule=schedule)
    np.testing.assert_array_equal(resumed["alignment"], whole["alignment"])
    np.testing.assert_array_equal(resumed.biases, whole.biases)


@pytest.mark.parametrize(
    "function, said",
    (
        (lambda biases, norms: (7, biases), "stage 7 from advance.*1, 2 or 3"),
        (lambda biases, norms: (None, biases), "stage None"),
        (lambda biases, norms: (2, biases[:1]), r"shape \(1,\) from advance"),
        (lambda biases, norms: (2, biases - 1), "biases of -1.0.*finite numbers ≥ 0"),
        (lambda biases, norms: (2, biases + np.inf), "biases of inf"),
        (lambda biases, norms: (2, "none"), "str from advance"),
        (lambda biases, norms: None, "None from advance"),
    ),
)
def test_what_no_schedule_may_say_is_refused_by_name(short, function, said):
    with pytest.raises(featlearn.InvalidInput, match=f"^schedule: .*{said}"):
        featlearn.step(featlearn.init(short, schedule=Advances(function)))


class Pulls(featlearn.Objective):
    """An objective with an array of its own that starts, and has the gradient, as it is given."""

    name = label = "pulls"

    def __init__(self, start=0, gradient=0.0, pull=None):
        self.start, self.slope, self.of_features = start, gradient, pull

    def initial_parameters(self, experiment, rng):
        return self.start if self.start is None else {"v": np.array([self.start, self.start])}

    def pull(self, anchor_features, key_features, parameters, labels):
        if self.of_features is not None:
            return self.of_features(key_features)
        return featlearn.Pull(0.5, key_features, None, {"v": np.full(2, self.slope)})


def test_an_objectives_whole_numbers_are_kept_as_floats(short, tmp_path):
    featlearn.train(short, tmp_path / "run", objective=Pulls(start=1), checkpoint_at=[0])
    state = featlearn.load_state(tmp_path / "run", step=0, objective=Pulls(start=1))
    np.testing.assert_array_equal(state.parameters["v"], [1.0, 1.0])


def test_an_objectives_arrays_that_are_not_finite_end_a_run_that_stays_readable(short, tmp_path):
    with pytest.raises(featlearn.TrainingDiverged, match="an array of the objective"):
        featlearn.train(short, tmp_path / "run", objective=Pulls(gradient=np.nan))
    assert len(featlearn.load_run(tmp_path / "run", verify=True)) == 1


@pytest.mark.parametrize(
    "objective, said",
    (
        (Pulls(start=None), "None from initial_parameters.*a dictionary"),
        (Pulls(start="a"), "<U1 from v of initial_parameters.*wants real numbers"),
        (Pulls(pull=lambda h: (0.5, h)), "tuple from pull"),
        (Pulls(pull=lambda h: featlearn.Pull(0.5, h[:3])), r"shape \(3, 24\) from anchors of pull"),
    ),
)
def test_what_no_objective_may_say_is_refused_by_name(short, objective, said):
    with pytest.raises(featlearn.InvalidInput, match=f"^objective: .*{said}"):
        featlearn.step(featlearn.init(short, objective=objective))


def test_views_that_are_none_are_refused_by_name(short):
    with pytest.raises(featlearn.InvalidInput, match="^augmentation: .*None from pair"):
        featlearn.draw_batch(featlearn.init(short, augmentation=Nothing()))


@pytest.mark.parametrize("n", ("a", 1.5, -1, None))
def test_a_number_of_masks_that_is_none_is_refused_by_name(short, n):
    class Masks(featlearn.NoAugmentation):
        n_masks = n

    with pytest.raises(featlearn.InvalidInput, match="^n_masks of the augmentation: got"):
        featlearn.init(short, augmentation=Masks)


@pytest.mark.parametrize("masks", (None, 3, (), (None,), (np.ones((2, 2), bool),)))
def test_masks_are_as_many_and_as_large_as_the_augmentation_says(short, masks):
    class Masks:
        n_masks = 1

        def pair(self, rng, sample, model):
            return Views(sample.inputs, sample.inputs, masks)

    state = featlearn.init(short, augmentation=Masks)
    with pytest.raises(featlearn.InvalidInput, match="^augmentation: got .*masks"):
        featlearn.draw_batch(state)
    # No step needs them.
    featlearn.step(state)


def test_views_may_be_one_array_along_a_first_axis(short):
    class Stacked:
        def pair(self, rng, sample, model):
            return np.stack([sample.inputs, 2 * sample.inputs])

    views = featlearn.draw_batch(featlearn.init(short, augmentation=Stacked())).views
    np.testing.assert_array_equal(2 * views.anchors, views.keys)


class Nothing:
    def pair(self, rng, sample, model, out=None):
        return None


@dataclass
class Bare:
    """A model with no more than what training asks for."""

    dictionary: np.ndarray

    def draw_latents(self, rng, n):
        return rng.integers(-1, 2, (n, self.dictionary.shape[1]))

    def draw_noise(self, rng, n):
        return rng.standard_normal((n, self.dictionary.shape[0]))

    def signal(self, latents):
        return latents @ self.dictionary.T


def test_a_model_that_training_can_use_and_probes_cannot_says_what_it_lacks(short):
    run = featlearn.train(short, model=Bare(make_model(short).dictionary))
    with pytest.raises(featlearn.InvalidInput, match="model: got 'Bare', wants .*sample"):
        featlearn.summarize(run)


def test_a_dictionary_of_whole_numbers_is_as_good_as_one_of_floats(short):
    whole = np.eye(short.n_inputs, short.n_features, dtype=int)
    runs = [featlearn.train(short, model=Bare(kind)) for kind in (whole, whole.astype(float))]
    np.testing.assert_array_equal(*[run["alignment"] for run in runs])


@pytest.mark.parametrize("change", (lambda M: 2 * M, lambda M: M.tolist()), ids=("long", "a list"))
def test_a_dictionary_that_no_alignment_is_defined_for_is_refused(short, change):
    with pytest.raises(featlearn.InvalidInput, match="^dictionary: "):
        featlearn.init(short, model=Bare(change(make_model(short).dictionary)))


def test_what_the_theory_excludes_is_refused(short):
    matrix = make_model(short).dictionary.copy()
    one_long = matrix * np.where(np.arange(matrix.shape[1]) == 0, 1.5, 1.0)
    for make in (
        lambda: featlearn.SparseCodingModel(1.01 * matrix, 0.1, 0.1),
        lambda: featlearn.SparseCodingModel(matrix[:5], 0.1, 0.1),
        lambda: featlearn.SparseCodingModel(matrix, 1.5, 0.1),
        lambda: featlearn.SparseCodingModel(matrix, 0.1, -1),
        lambda: featlearn.SparseCodingModel(matrix, 0.1, np.inf),
        lambda: featlearn.SparseCodingModel(matrix, "0.1", 0.1),
        lambda: featlearn.SparseCodingModel(matrix, 0.1, 0.1, noise_spread=-1),
        lambda: featlearn.SparseCodingModel(matrix, 0.1, 0.1, spikes=np.ones((5, 1))),
        lambda: featlearn.SparseCodingModel(matrix[:, :0], 0.1, 0.1),
        lambda: make_model(short).sample(np.random.default_rng(0), -1),
        lambda: featlearn.make_dictionary("flat", 0, 0, np.random.default_rng(0)),
        lambda: featlearn.RandomMask(2),
        lambda: featlearn.IndependentMasks(0),
        lambda: featlearn.CorrelatedNoise(-0.1),
        lambda: featlearn.CorrelatedNoise(1.1),
        lambda: featlearn.SparseCodingModel(one_long, 0.1, 0.1),
    ):
        with pytest.raises(featlearn.InvalidInput):
            make()


def test_arrays_of_ones_own_have_a_checksum(short, tmp_path):
    place = tmp_path / "run"
    featlearn.train(short, place, model=own_model(short))
    path = place / "parts.npz"
    assert set(verify(place).values()) == {None}
    with np.load(path) as file:
        arrays = dict(file)
    # An archive that is whole, of another dictionary.
    other = {**arrays, "model.dictionary": np.roll(arrays["model.dictionary"], 1)}
    np.savez(path, **other)
    for load in (verify, featlearn.load_run):
        with pytest.raises(
            featlearn.RunDirectoryError, match="parts.npz: is damaged .its checksum"
        ):
            load(place)
    # Runs of the version before have none.
    del arrays["checksum"]
    np.savez(path, **arrays)
    np.testing.assert_array_equal(featlearn.load_run(place).dictionary, own_model(short).dictionary)


@dataclass(frozen=True)
class Loud:
    """Views of which every input has its own gain."""

    gains: np.ndarray

    def pair(self, rng, sample, model, out=None):
        return featlearn.views.Views(self.gains * sample.inputs, sample.inputs)


def test_a_damaged_array_of_ones_own_is_found_where_loading_does_not_need_it(short, tmp_path):
    place = tmp_path / "run"
    featlearn.train(short, place, augmentation=Loud(np.ones(short.n_inputs)))
    data = bytearray((place / "parts.npz").read_bytes())
    data[len(data) // 4] ^= 0x40
    (place / "parts.npz").write_bytes(data)
    assert "damaged" in verify(place)["parts.npz"]
    with pytest.raises(featlearn.RunDirectoryError, match="parts.npz"):
        featlearn.load_run(place, verify=True)


class Twice:
    """Both views are the sample; nothing more is said."""

    def pair(self, rng, sample, model):
        return featlearn.views.Views(sample.inputs, sample.inputs.copy())


def test_an_augmentation_says_no_more_than_its_views(short):
    batch = featlearn.draw_batch(featlearn.init(short, augmentation=Twice))
    assert batch.sample.masks == () and batch.views.masks == ()


@dataclass(frozen=True)
class Shared(Augmentation):
    """Views that share a part of their noise."""

    part: float = 0.5

    @property
    def label(self):
        return f"shared by {self.part:g}"

    def pair(self, rng, sample, model, out=None):
        noises = (model.draw_noise(rng, len(sample.noise)) for _ in range(2))
        return Views(*(sample.signal + self.part * sample.noise + xi for xi in noises))


def test_what_needs_a_model_is_left_out_of_reports_and_figures_without_it(
    short, tmp_path, monkeypatch, capsys
):
    """As many as parts of one's own can be, and a run without any beside them."""
    parts_of = {"model": own_model(short), "augmentation": Shared(), "schedule": Fixed()}
    runs = {role: {role: part} for role, part in parts_of.items()} | {"all": parts_of, "none": {}}
    for name, own in runs.items():
        featlearn.train(short, tmp_path / name, **own)
    for name in set(plotting.GALLERY) - {"losses", "probe-errors"}:
        monkeypatch.delitem(plotting.GALLERY, name)
    for several in (["model"], ["schedule"], list(runs)):
        out = tmp_path / "report.html"
        places = [str(tmp_path / name) for name in several]
        assert main(["report", *places, "-o", str(out), "--quiet"]) == 0
        text = out.read_text(encoding="utf-8")
        assert "ln of the growth of the norms" in text
        own_models = {"model", "all"} & set(several)
        assert ("Errors of linear heads" in text) != bool(own_models)
        for words in (["check", "--no-replay"], ["plot", "--format", "png"]):
            assert main([*words, *places]) == 0
    for name in ("model", "all"):
        assert main(["explore", str(tmp_path / name), "-o", str(out)]) == 0
        assert_sound(
            plotting.representation(featlearn.load_run(tmp_path / name, parts_of["model"]))
        )
        with pytest.raises(featlearn.InvalidInput, match="load_run"):
            plotting.representation(featlearn.load_run(tmp_path / name))


def test_runs_are_told_apart_by_what_their_own_augmentation_is_called(short, tmp_path, capsys):
    for part in (0.25, 0.5):
        featlearn.train(short, tmp_path / f"{part}", augmentation=Shared(part))
    runs = [featlearn.load_run(tmp_path / f"{part}") for part in (0.25, 0.5)]
    assert list(featlearn.group_runs(runs)) == ["own=shared by 0.25", "own=shared by 0.5"]
    assert [plotting.label(run) for run in runs] == ["shared by 0.25", "shared by 0.5"]
    assert "shared by 0.5" in repr(runs[1]) and "random_mask" not in repr(runs[1])
    config = json.loads((tmp_path / "0.5" / "config.json").read_text(encoding="utf-8"))
    assert config["own"]["augmentation"]["label"] == "shared by 0.5"
    places = [str(run.directory) for run in runs]
    assert main(["check", *places, "--brief", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "shared by 0.25, d = 8" in said and "random_mask" not in said
    assert main(["report", *places, "-o", str(tmp_path / "r.html"), "--quiet"]) == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<td>shared by 0.25</td><td>shared by 0.5</td>" in text and "random_mask" not in text
    assert "<td>own augmentation</td>" in text


class Fewer(Augmentation):
    """What it holds is in slots."""

    __slots__ = ("kept",)

    def __init__(self, kept):
        self.kept = kept

    def pair(self, rng, sample, model, out=None):
        return Views(self.kept * sample.inputs, sample.inputs)


def test_what_a_part_holds_in_slots_is_part_of_its_digest(short, tmp_path):
    place = tmp_path / "run"
    featlearn.train(short, place, augmentation=Fewer(0.5), until=lambda state: state.step == 3)
    with pytest.raises(featlearn.RunDirectoryError, match="another augmentation"):
        featlearn.train(None, place, resume=True, augmentation=Fewer(0.6))
    assert len(featlearn.train(None, place, resume=True, augmentation=Fewer(0.5))) == 16


# Made from no text, as digests of classes know theirs.
Held = type("Held", (), {"pair": print})


def held(**values):
    part = Held()
    vars(part).update(values)
    return part


def test_runs_recorded_before_sets_and_paths_counted_go_on():
    """Digests of a part are as they were recorded then, or as they are now."""
    before = "976962ac5eab8d17200ef17e48d412cec8bc6a5b83e5692399254cd18e049922"
    for recorded in (before, parts.describe(held(k=1.5, of={1}, way=range(2)))["digest"]):
        known = {"augmentation": {"name": "Held", "digest": recorded}}
        same = {"augmentation": held(k=1.5, of={1}, way=range(2))}
        parts.require_same("run", known, same, featlearn.RunDirectoryError)
        with pytest.raises(featlearn.RunDirectoryError, match="another augmentation"):
            other = {"augmentation": held(k=2.5, of={1}, way=range(2))}
            parts.require_same("run", known, other, featlearn.RunDirectoryError)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="compiled otherwise")
def test_runs_recorded_before_inner_functions_counted_go_on():
    known = {
        "augmentation": {
            "name": "Held",
            "digest": "a0cbedfa4321b5228509359a6819b06eb7c851784119bfaddebb592252a33536",
        }
    }
    same = {"augmentation": held(by=lambda x, k=2: [k * y for y in x], also=print)}
    parts.require_same("run", known, same, featlearn.RunDirectoryError)
    with pytest.raises(featlearn.RunDirectoryError, match="another augmentation"):
        other = {"augmentation": held(by=lambda x, k=3: [k * y for y in x], also=print)}
        parts.require_same("run", known, other, featlearn.RunDirectoryError)


def test_sets_have_one_digest_in_every_process():
    """Objects among them are written with the place in memory where they are."""
    one, other = (parts.describe(held(of={Same(), Fixed, (1, 2)}))["digest"] for _ in range(2))
    assert one == other != parts.describe(held(of={Same(), Fixed, (1, 3)}))["digest"]


class Private:
    __slots__ = ("__kept", "__weakref__")

    def __init__(self, kept):
        self.__kept = kept


def test_slots_of_private_names_tell_parts_apart_and_references_to_them_do_not():
    part, other = Private(0.5), Private(0.6)
    digest = parts.describe(part)["digest"]
    assert digest != parts.describe(other)["digest"]
    reference = weakref.ref(part)
    assert reference() is part and digest == parts.describe(part)["digest"]


class Whole:
    """Holds what holds it."""

    def __init__(self, ratio):
        self.ratio, self.part = ratio, [Part(self)]


class Part:
    def __init__(self, whole):
        self.whole = whole


def test_a_part_may_hold_what_holds_it():
    digests = [parts.describe(Whole(ratio))["digest"] for ratio in (0.3, 0.3, 0.4)]
    assert digests[0] == digests[1] != digests[2]


# What is still to go wrong, and how often views were asked for.
slips, asked = [], []


def slip(now):
    if now and slips:
        raise slips.pop()


def recorded(state, batch, gradient):
    slip(state.step == 7)
    return 1.0


def ends(state):
    slip(state.step == 7)
    return False


class Same(Augmentation):
    def pair(self, rng, sample, model, out=None):
        asked.append(1)
        # Two blocks of samples a step.
        slip(len(asked) == 15)
        return Views(sample.inputs, sample.inputs)


OWN = {"record": {"recorded": recorded}, "until": ends, "augmentation": Same}


@pytest.mark.parametrize("option", OWN)
@pytest.mark.parametrize("together", (False, True))
def test_an_error_of_the_users_own_loses_no_row(short, tmp_path, option, together):
    own, place = {option: OWN[option]}, tmp_path / "run"
    slips[:], asked[:] = [ZeroDivisionError("a slip")], []
    if together:
        [error] = featlearn.train_together([short], [place], **own)
        assert isinstance(error, ZeroDivisionError)
    else:
        with pytest.raises(ZeroDivisionError):
            featlearn.train(short, place, **own)
    status = json.loads((place / "status.json").read_text())
    assert (status["status"], status["error"]) == ("failed", "ZeroDivisionError: a slip")
    assert list(featlearn.load_run(place, verify=True).steps) == list(range(7))
    resumed, whole = featlearn.train(None, place, resume=True, **own), featlearn.train(short, **own)
    np.testing.assert_array_equal(resumed["alignment"], whole["alignment"])


def test_a_run_that_cannot_keep_what_it_has_does_not_end_the_others(short, tmp_path):
    def pair(rng, sample, model):
        asked.append(1)
        # Two blocks of samples a step and run: the second run, in its third step.
        if len(asked) == 15:
            shutil.rmtree(tmp_path / "1")
            raise ZeroDivisionError("a slip")
        return Views(sample.inputs, sample.inputs)

    asked[:] = []
    exps = [short.replace(seed=seed) for seed in range(3)]
    places = [tmp_path / str(k) for k in range(3)]
    found = featlearn.train_together(exps, places, augmentation=SimpleNamespace(pair=pair))
    assert [type(each) for each in found] == [featlearn.Run, WriteFailed, featlearn.Run]


class Rising:
    """Biases that rise by a little, made as `how` says."""

    def __init__(self, how="new"):
        self.how, self.kept = how, None

    def advance(self, stage, biases, norms, new_norms, initial_norm):
        if self.how == "new":
            return 2, biases + np.float32(0.001)
        norms[:] = new_norms[:] = 1
        if self.how == "argument":
            biases += np.float32(0.001)
            return 2, biases
        self.kept = np.zeros_like(biases) if self.kept is None else self.kept
        self.kept += np.float32(0.001)
        return 2, self.kept


@pytest.mark.parametrize("how", ("argument", "buffer"))
def test_a_schedule_may_write_into_what_it_is_given_and_return_the_same_array(short, how):
    usual = featlearn.train(short, schedule=Rising())
    found = featlearn.train(short, schedule=Rising(how))
    for name in ("bias", "weight_norm", "loss"):
        np.testing.assert_array_equal(found[name], usual[name])
    first = featlearn.init(short, schedule=Rising(how))
    second = featlearn.step(first)
    featlearn.step(second)
    assert first.biases.max() == 0 and np.all(second.biases == np.float32(0.001))


class Emptied:
    """Writes into the sample once the views are made."""

    def pair(self, rng, sample, model):
        views = sample.inputs, sample.inputs
        sample.latents[...] = sample.noise[...] = 0
        return views


def test_an_augmentation_may_write_into_its_sample_and_the_batch_keeps_it(short):
    batch = featlearn.draw_batch(featlearn.init(short, augmentation=Emptied))
    assert batch.sample.latents.any() and batch.sample.noise.any()
    made = batch.sample.latents @ featlearn.init(short).model.dictionary.T + batch.sample.noise
    np.testing.assert_allclose(batch.views.anchors, made, atol=1e-5)


class Pulling(featlearn.Objective):
    """A loss of its own, of whose `Pull` some fields are replaced."""

    name = "pulling"

    def __init__(self, arrays=None, **fields):
        self.arrays, self.fields = arrays or {}, fields

    def initial_parameters(self, experiment, rng):
        return self.arrays

    def update(self, parameters, gradients, learning_rate, weight_decay):
        for array in parameters.values():
            array -= 1
        return parameters

    def pull(self, anchors, keys, parameters, labels):
        pull = featlearn.Pull(float(np.mean(anchors**2)) / 2, -anchors)
        return dataclasses.replace(pull, **self.fields)


HIDDEN = np.ma.array(np.zeros((100, 24)), mask=np.eye(100, 24))
PULLS = {
    "NoneType from loss of pull": {"loss": None},
    "shape (3,) from loss of pull": {"loss": np.ones(3)},
    "complex from loss of pull": {"loss": 1j},
    "complex128 from anchors of pull": {"anchors": np.zeros((100, 24)) + 1j},
    "masked float64 from anchors of pull": {"anchors": HIDDEN},
    "shape (24, 100) from keys of pull": {"keys": np.zeros((24, 100))},
    "shape () from probability of pull": {"positive_probability": 0.5},
    "shape (3,) from probability of pull": {"positive_probability": np.ones(3)},
    "{'other'} from pull": {"parameters": {"other": np.ones(2)}},
    "shape (2, 1) from head of pull": {"parameters": {"head": np.ones((2, 1))}},
    "str from head of pull": {"parameters": {"head": "x"}},
}


@pytest.mark.parametrize("said", PULLS)
def test_what_an_objective_pulls_is_held_against_the_features(short, said):
    with pytest.raises(featlearn.InvalidInput) as caught:
        featlearn.train(short, objective=Pulling({"head": np.ones(2)}, **PULLS[said]))
    assert said in str(caught.value) and str(caught.value).startswith("objective: got")


def test_a_pull_may_be_of_lists(short):
    usual = featlearn.train(short, objective=Pulling())
    as_list = type("Listed", (Pulling,), {})

    def pull(self, *arguments):
        found = Pulling.pull(self, *arguments)
        return dataclasses.replace(found, anchors=found.anchors.tolist())

    as_list.pull = pull
    np.testing.assert_array_equal(
        featlearn.train(short, objective=as_list())["loss"], usual["loss"]
    )


def test_an_objective_may_write_its_new_arrays_into_the_old_ones(short):
    own = Pulling({"head": np.ones(2)})
    first = featlearn.init(short, objective=own)
    second = featlearn.step(first)
    third = featlearn.step(second)
    heads = [state.parameters["head"][0] for state in (first, second, third)]
    assert heads == [1, 0, -1] and own.arrays["head"][0] == 1


def test_arrays_of_an_objective_go_by_words(short):
    with pytest.raises(featlearn.InvalidInput, match="a dictionary of arrays by name"):
        featlearn.init(short, objective=Pulling({3: np.ones(2)}))


@pytest.mark.parametrize("maker", (int, lambda *, scale: scale))
def test_what_makes_no_part_is_refused(short, maker):
    with pytest.raises(featlearn.InvalidInput, match="^model: got "):
        featlearn.train(short, model=maker)


def test_a_dictionary_hides_nothing():
    with pytest.raises(featlearn.InvalidInput, match="^dictionary: got 'masked float64'"):
        featlearn.SparseCodingModel(np.ma.array(np.eye(4, 2), mask=np.eye(4, 2)), 0.1, 0.1)
