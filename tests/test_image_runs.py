"""Runs on images: predicted, recorded, resumed, judged, drawn, and the command that does it all."""

import dataclasses
import json
import os
from concurrent.futures import Future
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from figure_checks import assert_sound
from matplotlib import cbook
from sizes import FULL

import featlearn
from featlearn import InvalidInput, NoAugmentation, images
from featlearn.commands import images as command
from featlearn.commands import main
from featlearn.images import model as model_of
from featlearn.images import patches, sources
from featlearn.plotting import canvas
from featlearn.plotting import images as plotting
from featlearn.reports import image_tables as tables
from featlearn.reports import images as report
from featlearn.theory.claims.images import digit_verdicts, image_verdicts
from featlearn.theory.predictions.cross_moment import crossover, predict_growth

SMOOTH = np.cumsum(np.cumsum(np.random.default_rng(0).standard_normal((280, 300)), axis=0), axis=1)
HOPPER = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


@pytest.fixture(scope="module")
def model():
    photograph = images.grey(matplotlib.image.imread(HOPPER))
    cut = images.cut_windows([photograph], 12, 6000, np.random.default_rng(0))
    return images.ImageModel.from_rows(images.normalise(cut, 2), 8, 20, margin=2)


@pytest.fixture(scope="module")
def experiment(model):
    return report.photograph_experiment(model).replace(
        n_steps=800,
        n_neurons=24,
        batch_size=128,
        learning_rate=0.06,
        bias_growth=1.006,
        bias_cap=1.6,
    )


@pytest.fixture(scope="module")
def learned(model, experiment, tmp_path_factory):
    """What the dial's ends and their controls learned, by name."""
    return learn_all(model, experiment, tmp_path_factory.mktemp("images"))


def learn_all(model, experiment, place):
    kinds = images.Hybrid(0.0), NoAugmentation(), images.SharedLight(), images.PixelMask()
    plans = [report.planned(augmentation) for augmentation in kinds]
    plans.append(report.Planned("linear", "linear network", images.Hybrid(0.0), linear=True))
    found = {}
    for plan in plans:
        own = experiment.replace(stage_one_growth=None) if plan.linear else experiment
        found[plan.name] = report.learn(plan, model, own, place / plan.name)
    return found


def test_edges_are_learned_where_the_low_frequencies_are_decoupled(learned):
    hybrid, none, shared = (learned[name] for name in ("hybrid-0", "none", "shared_light"))
    assert hybrid.dense_share < 0.05 and none.dense_share > 0.5
    assert hybrid.match > 0.55 and none.match < 0.4
    assert hybrid.same_edges - hybrid.same_light > 0.1
    assert none.same_light - none.same_edges > 0.2
    # Light of another image decouples nothing as long as both views have it.
    assert shared.dense_share > 0.9 and shared.match < 0.2
    # A pixel's neighbours show what it does: what is masked is not decoupled.
    mask, linear = learned["pixel_mask"], learned["linear"]
    assert mask.coupling[0] > 0.4 and mask.dense_share > 0.5 and mask.match < 0.4
    # Without thresholds there are no low frequencies, but no edges either.
    assert linear.dense_share < 0.15 and linear.match < hybrid.match - 0.1
    assert np.isnan([*linear.predicted, *linear.measured]).all()


def test_edges_need_not_be_of_one_strength(model, experiment, tmp_path):
    """Sparse directions that are not whitened, and the same network."""
    rows = model.windows
    uneven = images.ImageModel.from_rows(rows, 8, 20, whiten=False, margin=2)
    plans = [report.planned(a) for a in (images.Hybrid(0.0), NoAugmentation())]
    hybrid, none = (report.learn(p, uneven, experiment, tmp_path / p.name) for p in plans)
    assert hybrid.dense_share < 0.15 and none.dense_share > 0.5
    assert hybrid.match > 0.5 and none.match < 0.4


@pytest.mark.statistical
def test_the_claims_hold_on_every_seed(tmp_path, monkeypatch):
    """Photographs and digits from reading to the head on f; with FEATLEARN_FULL=1 as the command runs them."""
    pytest.importorskip("sklearn", reason="needs featlearn[images]")
    from featlearn.images.digits import digits, label_curve

    monkeypatch.setattr(report, "QUICK", report.Pace(1200, 700, 4.0))
    pace = report.Pace() if FULL else report.QUICK
    for seed in range(5 if FULL else 1):
        model = sources.image_model(seed=seed)
        place = tmp_path / str(seed)
        found = learn_all(model, report.photograph_experiment(model, seed, pace), place)
        assert not failed(image_verdicts(found, (0.027, np.nan, np.nan)))
        data = digits(model, seed)
        jobs = report.digit_jobs(data, seed, pace, place / "digits")
        curves = {name.removeprefix("digits: "): job.function(*job.arguments)
                  for name, job in jobs.items()}  # fmt: skip
        curves["raw"] = label_curve(data, lambda x: x, seed, labels=(50,))
        assert not failed(digit_verdicts(curves))


def stronger_light(model, strongest):
    """The model with low frequencies times a number."""
    factor = np.float32(np.sqrt(strongest / report.strongest_dense(model)))
    return dataclasses.replace(model, loadings=factor * model.loadings)


def test_the_strongest_light_bounds_the_rate(model):
    # The cubic map of the leading direction: bounded up to r = 2.
    for r, bounded in ((0.5, True), (1.5, True), (2.0, True), (2.1, False)):
        v = np.linspace(-1, 1, 1001) * np.sqrt(2 + r) * (1 - 1e-9)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(60):
                v = (1 + r) * v - v**3
        assert np.isfinite(v).all() == bounded
    paces = report.Pace(), report.QUICK
    gentle = report.photograph_experiment(stronger_light(model, 10), pace=report.QUICK)
    for strongest in (80, 250):
        bright = stronger_light(model, strongest)
        for pace in paces:
            found = report.photograph_experiment(bright, pace=pace)
            assert found.learning_rate * strongest <= 1.5001
            for name in ("n_steps", "bias_growth"):
                before, after = getattr(gentle, name), getattr(found, name)
                rates = gentle.learning_rate / found.learning_rate
                if name == "n_steps":
                    assert after == pytest.approx(before * rates, rel=1e-3)
                else:
                    assert before - 1 == pytest.approx((after - 1) * rates)
            digits = report.digit_experiment(bright, pace=pace)
            assert digits.n_steps == pytest.approx(found.n_steps * 2 / 3, rel=1e-3)
    bright = stronger_light(model, 250)
    slow = report.photograph_experiment(bright, pace=report.QUICK).replace(n_steps=300)
    own = {"model": bright, "augmentation": NoAugmentation()}
    assert np.isfinite(featlearn.train(slow, **own)["loss"]).all()
    with pytest.raises(featlearn.TrainingDiverged):
        featlearn.train(slow.replace(learning_rate=gentle.learning_rate), **own)
    with pytest.raises(InvalidInput, match="at most 300 times"):
        report.photograph_experiment(stronger_light(model, 400))


def test_the_noise_of_batches_brings_the_dense_part_that_is_derived(experiment):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((64, 28)))[0].astype(np.float32)
    variances = 40 / np.arange(1, 9)
    model = images.ImageModel(
        dictionary=basis[:, :20],
        components=basis[:, 20:],
        coefficients=rng.laplace(scale=0.5**0.5, size=(40000, 20)).astype(np.float32),
        loadings=(np.sqrt(variances) * rng.standard_normal((40000, 8))).astype(np.float32),
    )
    for kappa in (0.1, 0.3):
        rate = 2 * 256 * kappa / np.sum(variances**2)
        quiet = experiment.replace(
            n_neurons=64, batch_size=256, learning_rate=rate, n_steps=2000, stage_one_growth=12.0
        )
        shares = []
        for seed in range(4):
            run = featlearn.train(
                quiet.replace(seed=seed, record_every=1), model=model,
                augmentation=images.Hybrid(0.0), until="stage 2",
            )  # fmt: skip
            sparse = np.sum(np.square(run["alignment"][-1]))
            dense = np.sum(np.square(run.weights @ model.components))
            start = featlearn.init(quiet.replace(seed=seed)).weights
            # What is left of the start, which decays as e^(-ηλt).
            left = np.sum(np.square(start @ model.components)) * (1 - 0.12 * rate) ** (
                2 * run.steps[-1]
            )
            shares.append((dense - left) / sparse)
        derived = rate * variances.sum() / (2 * 256) / (1 - kappa)
        assert np.mean(shares) == pytest.approx(derived, rel=0.25)


def test_stage_one_is_run_where_batches_are_quiet(model, experiment):
    """However strong the light, and whatever the rate of the run it is asked for."""
    bright = stronger_light(model, 250)
    predicted, measured = report.stage_one(bright, images.Hybrid(0.0), experiment)
    again, _ = report.stage_one(model, images.Hybrid(0.0), experiment)
    # In steps of the same rate, and without augmentation as well.
    assert predicted[0] == pytest.approx(again[0], rel=0.02)
    none = report.stage_one(bright, NoAugmentation(), experiment)
    for a, b in ((predicted, measured), none):
        assert abs(a[0] - b[0]) <= 3 and abs(a[1] - b[1]) <= 0.03


@pytest.mark.parametrize(
    "augmentation",
    (images.Hybrid(0.0), images.Hybrid(0.5), NoAugmentation(), images.PixelMask(), images.Crop()),
    ids=lambda a: a.label,
)
def test_stage_one_is_predicted_from_the_shared_moment(model, experiment, augmentation):
    predicted, measured = report.stage_one(model, augmentation, experiment)
    assert abs(predicted[0] - measured[0]) <= 3
    assert abs(predicted[1] - measured[1]) <= 0.03


def test_the_prediction_is_the_iterated_matrix(model, experiment):
    C = images.cross_moment(model, images.Hybrid(0.2))
    start = featlearn.init(experiment).weights.astype(float)
    weights, steps = start.copy(), 0
    q = 1 - 1 / experiment.batch_size
    while np.linalg.norm(weights) < 6 * np.linalg.norm(start):
        weights += 0.06 * (q * weights @ C - 0.12 * weights)
        steps += 1
    found = predict_growth(C, model.dictionary, start, experiment)
    share = np.sum((weights @ model.dictionary) ** 2) / np.sum(weights**2)
    assert found.step == steps and found.sparse_share == pytest.approx(share, rel=1e-6)
    for never in (
        predict_growth(0.1 * C / np.linalg.eigvalsh(C)[-1], model.dictionary, start, experiment),
        predict_growth(C, model.dictionary, start, experiment.replace(stage_one_growth=None)),
    ):
        assert np.isinf(never.step) and np.isnan(never.sparse_share)


def test_the_crossover_is_where_the_leading_direction_changes_sides(model):
    star = crossover(model.sparse_covariance, model.dense_covariance)
    assert 1 / star == pytest.approx(np.linalg.eigvalsh(model.dense_covariance)[-1], rel=0.02)
    for factor, is_dense in ((0.9, False), (1.1, True)):
        C = images.cross_moment(model, images.Hybrid(factor * star))
        leading = np.linalg.eigh(C)[1][:, -1]
        assert (np.sum((model.components.T @ leading) ** 2) > 0.5) == is_dense
    rows = [
        (rho, (9.0, share), (9.0, share)) for rho, share in ((0.1, 0.1), (0.2, 0.4), (0.4, 0.6))
    ]
    assert report.half_way(rows, 1) == pytest.approx(0.2 * 2**0.5)
    assert np.isnan(report.half_way(rows[:2], 2))


def test_a_run_on_images_is_recorded_and_goes_on_with_the_same_bits(model, experiment, tmp_path):
    exp = experiment.replace(n_steps=60)
    own = {"model": model, "augmentation": images.Crop()}
    whole = featlearn.train(exp, tmp_path / "whole", **own)
    with pytest.raises(KeyboardInterrupt):
        featlearn.train(exp, tmp_path / "cut", progress=stop_at(40), **own)
    resumed = featlearn.train(exp, tmp_path / "cut", resume=True, **own)
    for name in ("alignment", "loss", "dense_norm", "bias"):
        np.testing.assert_array_equal(whole[name], resumed[name])
    assert whole["alignment"].shape == (4, 24, 20)
    with pytest.raises(featlearn.RunDirectoryError, match="another augmentation"):
        featlearn.train(exp, tmp_path / "cut", resume=True, model=model, augmentation=images.Blur())
    loaded = featlearn.load_run(tmp_path / "cut", model=model)
    assert featlearn.summarize(loaded).sparse_share > 0
    assert featlearn.plotting.label(loaded) == "crop ± 2 px"
    assert_sound(featlearn.plotting.sparse_and_dense(loaded))


def stop_at(step):
    def progress(row):
        if row["step"] == step:
            raise KeyboardInterrupt

    return progress


# What 5 seeds of two photographs learned, about.
GOOD = {
    "hybrid-0": ((0.0, 1.0), 0.0, 0.65, 0.08, 0.30, 142.0),
    "hybrid-0.5": ((0.5, 1.0), 0.31, 0.45, 0.40, 0.15, 123.0),
    "none": ((1.0, 1.0), 0.87, 0.15, 0.65, 0.02, 103.0),
    "shared_light": ((1.0, 1.0), 1.0, 0.01, 0.68, 0.0, 104.0),
    "pixel_mask": ((0.63, -0.24), 0.86, 0.18, 0.7, 0.03, 130.0),
    "random_light-0": ((0.01, 1.0), 0.01, 0.62, 0.08, 0.3, 143.0),
    "linear": ((0.0, 1.0), 0.0, 0.36, 0.2, 0.5, 140.0),
}
SCAN = (0.027, 0.052, 0.05)
CURVES = {
    "hybrid": {50: 0.65, 1200: 0.92}, "none": {50: 0.1, 1200: 0.1}, "raw": {50: 0.4, 1200: 0.89},
    "none, trained on": {50: 0.1, 1200: 0.1},
}  # fmt: skip


def good(changes=None):
    runs = {
        name: report.Learned(name, name, *v, (130.0, 0.02), (129.0, 0.03))
        for name, v in GOOD.items()
    }
    for name, fields in (changes or {}).items():
        runs[name] = dataclasses.replace(runs[name], **fields)
    return runs


def failed(verdicts):
    return {(v.claim, v.quantity) for v in verdicts if v.outcome == "fails"}


@pytest.mark.parametrize(
    "changes, n_failed",
    (
        ({}, 0),
        ({"hybrid-0": {"dense_share": 0.2}}, 1),
        ({"none": {"dense_share": 0.7}}, 1),
        ({"hybrid-0": {"match": 0.5}}, 1),
        ({"none": {"match": 0.3}}, 1),
        ({"hybrid-0.5": {"dense_share": 0.9}}, 1),
        ({"hybrid-0.5": {"match": 0.1}}, 1),
        ({"hybrid-0": {"same_edges": 0.1}}, 1),
        ({"none": {"same_edges": 0.26}}, 1),
        ({"hybrid-0": {"same_light": 0.66, "same_edges": 0.3}}, 2),
        ({"none": {"loss": 130.0}}, 1),
        ({"shared_light": {"dense_share": 0.0, "match": 0.6}}, 2),
        ({"pixel_mask": {"coupling": (0.0, 1.0)}}, 1),
        ({"pixel_mask": {"dense_share": 0.1, "match": 0.6}}, 2),
        ({"random_light-0": {"coupling": (0.5, 1.0), "dense_share": 0.5, "match": 0.2}}, 3),
        ({"linear": {"match": 0.6}}, 1),
        ({"none": {"measured": (134.0, 0.02)}}, 1),
        ({"none": {"measured": (129.0, 0.1)}}, 1),
        ({"none": {"match": float("nan")}}, 2),
        *(({name: {"measured": (float("nan"), float("nan"))}}, 2) for name in GOOD),
    ),
)  # fmt: skip
def test_each_claim_about_images_can_fail(changes, n_failed):
    assert len(failed(image_verdicts(good(changes), SCAN))) == n_failed


@pytest.mark.parametrize(
    "hybrid, n_failed",
    (
        ({"dense_share": 0.12, "same_edges": 0.1}, 0),
        ({"dense_share": 0.16}, 1),
        ({"match": 0.49}, 1),
        ({"same_edges": 0.05}, 1),
    ),
)
def test_images_of_ones_own_have_margins_of_their_own(hybrid, n_failed):
    assert len(failed(image_verdicts(good({"hybrid-0": hybrid}), SCAN, "own"))) == n_failed


def test_edges_that_are_hardly_sparse_are_not_asked_to_stand_above_light():
    runs = good({"hybrid-0": {"same_edges": 0.05}})
    verdicts = image_verdicts(runs, SCAN, "own", kurtosis=6.0)
    assert not failed(verdicts)
    assert [v.reason for v in verdicts if v.outcome == "does not apply"] == [
        "edges of kurtosis 6.0 < 8 do not stand out from light"
    ]
    assert len(failed(image_verdicts(runs, SCAN, "own", kurtosis=9.0))) == 1
    for control in ("none", "pixel_mask"):
        for name, value in (("dense_share", 0.4), ("match", 0.5)):
            assert failed(image_verdicts(good({control: {name: value}}), SCAN, "own"))
    assert failed(image_verdicts(good({"none": {"same_edges": 0.5}}), SCAN, "own"))


def test_claims_about_the_crossover_and_about_digits_can_fail():
    assert len(failed(image_verdicts(good(), (0.027, 0.052, 0.09)))) == 1
    assert len(failed(image_verdicts(good(), (0.2, 0.052, 0.05)))) == 1
    verdicts = image_verdicts(good(), (0.2, float("nan"), float("nan")))
    assert not failed(verdicts) and verdicts[-1].outcome == "does not apply"
    assert not failed(digit_verdicts(CURVES))
    for name, few, n_failed in (("hybrid", 0.55, 1), ("none", 0.3, 1), ("raw", 0.6, 1),
                                ("none, trained on", 0.21, 1)):  # fmt: skip
        assert len(failed(digit_verdicts({**CURVES, name: {50: few}}))) == n_failed


def test_files_are_read_by_what_their_shape_can_only_be(tmp_path):
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((3000, 10, 10))
    saved = {"image": SMOOTH, "rows": patches.reshape(3000, 100), "patches": patches,
             "stack": np.stack([SMOOTH, -SMOOTH])}  # fmt: skip
    for name, array in saved.items():
        np.save(tmp_path / f"{name}.npy", array)
    shapes = {name: sources.read([tmp_path / f"{name}.npy"], n=2000) for name in saved}
    assert shapes["image"][0].shape == (2000, 16, 16) and shapes["image"][1] == 2
    assert shapes["stack"][0].shape == (2000, 16, 16)
    assert shapes["rows"][0].shape == (2000, 100) and shapes["rows"][1] == 0
    assert shapes["patches"][0].shape == (2000, 10, 10)
    matplotlib.image.imsave(tmp_path / "a.png", SMOOTH)
    assert sources.read([tmp_path / "a.png", HOPPER], n=50)[0].shape == (50, 16, 16)
    assert sources.read([tmp_path / "rows.npy"], "image", n=50)[0].shape == (50, 16, 16)


@pytest.mark.parametrize(
    "array, words, said",
    (
        (np.ones((200, 200)), ["--layout", "image"], "not constant"),
        (np.random.default_rng(0).random((300, 100)), [], "--layout rows for (n, d1)"),
        (np.random.default_rng(0).random((30, 40, 3)), ["--layout", "image"], "at least 1480"),
        (
            SMOOTH[:200, :200],
            ["--layout", "image"],
            "961 patches of 12 × 12 pixels that overlap by",
        ),
        (
            SMOOTH[:, :200],
            ["--dense", "15", "--sparse", "60"],
            "at least 1500, 20 for each of n_dense",
        ),
        (np.random.default_rng(0).random((5, 30, 3)), ["--layout", "rows"], "(n, d1) for rows"),
        (np.random.default_rng(0).standard_normal((4000, 100)), [], "flat spectrum"),
        (np.full((4000, 100), np.nan), [], "4000 rows with nan"),
        (np.random.default_rng(0).random((600, 50)), [], "more than n_dense + n_sparse = 74"),
        (np.random.default_rng(0).random((1600, 74)), [], "more than n_dense + n_sparse = 74"),
        (np.random.default_rng(0).random((600, 20)), ["--dense", "9", "--sparse", "11"], "= 20"),
        (np.random.default_rng(0).random((3000, 50)), ["--dense", "9", "--sparse", "11"], "flat"),
        (np.zeros((0, 144)), ["--layout", "image"], "numbers in it"),
        (np.zeros((0, 144)), ["--layout", "rows"], "numbers in it"),
        (np.zeros((0, 12, 12)), [], "numbers in it"),
        (SMOOTH + 0j, [], "complex128"),
        (SMOOTH.astype("M8[s]"), [], "datetime64"),
        (np.full((4000, 100), 1j), [], "complex128"),
        (np.random.default_rng(0).random((1000, 100)), [], "at least 1480, 20 for each"),
        (np.array(["a", "b"]), [], "--layout rows"),
        (None, [], "a readable file"),
        (b"", [], "an array of numbers"),
        (b"PK\x03\x04 no archive", [], "an array of numbers"),
        (b"\x93NUMPY\x01\x00 no header", [], "an array of numbers"),
        (SMOOTH, ["--sparse", "1"], "sparse: got 1, wants a whole number ≥ 2"),
        (SMOOTH, ["--dense", "0"], "dense: got 0, wants a whole number ≥ 1"),
        (SMOOTH, ["--seed", "-3"], "seed: got -3, wants a whole number ≥ 0"),
    ),
)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("command", (["images", "--from"], ["plan", "--images"]))
def test_images_that_cannot_be_used_are_refused_with_the_reason(
    array, words, said, command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    if isinstance(array, bytes):
        Path("mine.npy").write_bytes(array)
    elif array is not None:
        np.save("mine.npy", array)
    assert main([*command, "mine.npy", *words]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("featlearn: ") and said in error and "..." not in error
    # It says which file, or which argument.
    argument = f"{words[0].lstrip('-')}: got" if words else ""
    assert "mine.npy: got" in error or "got 'mine.npy'" in error or argument in error
    assert not Path("images").exists()


def test_of_several_images_the_one_that_cannot_be_used_is_named(tmp_path):
    for name, image in (("fine", SMOOTH), ("tiny", SMOOTH[:10, :10]), ("flat", 0 * SMOOTH)):
        matplotlib.image.imsave(tmp_path / f"{name}.png", image, vmin=-50, vmax=50)
    np.save(tmp_path / "stack.npy", np.stack([SMOOTH, 0 * SMOOTH]))
    for names, said in (
        (("fine.png", "tiny.png"), "tiny.png: got '10 × 10 pixels', wants at least 16 × 16"),
        (("fine.png", "flat.png"), "flat.png: got '0.43"),
        (("stack.npy",), "stack.npy[1]: got '0 everywhere'"),
    ):
        with pytest.raises(InvalidInput) as caught:
            sources.read([tmp_path / name for name in names])
        assert said in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", (1e-300, 1e-40, 1, 1e40, 1e300))
def test_rows_are_read_in_any_unit(size, tmp_path):
    rows = np.random.default_rng(0).standard_normal((400, 30))
    np.save(tmp_path / "rows.npy", size * rows)
    found, margin = sources.read([tmp_path / "rows.npy"])
    assert found.dtype == np.float32 and margin == 0
    np.testing.assert_allclose(found, images.normalise(rows), rtol=1e-4, atol=1e-6)


def test_a_last_axis_of_one_is_none_and_a_stack_has_one_scale(tmp_path):
    for name, array in (
        ("image", SMOOTH), ("stack", np.stack([SMOOTH] * 3)),
        ("rows", np.random.default_rng(0).random((400, 30))),
    ):  # fmt: skip
        np.save(tmp_path / f"{name}.npy", array)
        np.save(tmp_path / f"{name}1.npy", array[..., None])
        for ending in ("", "1"):
            place = tmp_path / f"{name}{ending}.npy"
            found = sources.read([place], n=100, kept=3)[0]
            assert found.shape == ((100, 30) if name == "rows" else (100, 16, 16))
    # Two frames of a camera of 10 bits, the second a quarter as bright.
    bright = (1023 * (SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH)).astype(np.uint16)
    np.save(tmp_path / "frames.npy", np.stack([bright, bright // 4]))
    frames = [images.grey(f, 1023) for f in (bright, bright // 4)]
    found, _ = sources.read([tmp_path / "frames.npy"], n=200)
    np.testing.assert_array_equal(found, sources.windows_of(frames, n=200))


@pytest.mark.parametrize("kind", ("picture", "objects"))
def test_what_is_no_array_is_not_called_a_pickle(tmp_path, kind, capsys):
    path = tmp_path / "mine.npy"
    if kind == "picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    else:
        np.save(path, np.array([{}, 1], object), allow_pickle=True)
    assert main(["plan", "--images", str(path), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "wants an array of numbers, as numpy.save writes it" in said and "pickle" not in said


def test_other_files_and_layouts_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    np.save(tmp_path / "b.npy", np.zeros((2000, 10)))
    for files, layout, said in (
        (["a.png"], None, "an image file"),
        (["a.png"], "rows", "image files are images"),
        (["b.npy", "b.npy"], None, "one .npy file"),
        (["b.npy"], "cube", "one of rows"),
        (["b.npy"], "stack", "for a stack"),
    ):
        with pytest.raises(InvalidInput, match=said):
            sources.read([tmp_path / name for name in files], layout)


class Here:
    """Workers that are this process."""

    executors = property(lambda self: [self, self])
    default = staticmethod(lambda: 2)

    def __init__(self, n):
        pass

    __enter__ = lambda self: self  # noqa: E731
    __exit__ = lambda self, *_: None  # noqa: E731

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_the_command_prints_judges_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "OwnWorkers", Here)
    monkeypatch.setattr(report, "QUICK", report.Pace(60, 30, 2.0))
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    # Drawn for themselves below; here it takes longer than all the rest.
    monkeypatch.setattr(canvas, "write", lambda *_: None)
    words = ["images", "--quick", "--from", HOPPER, "--out", str(tmp_path)]
    # Runs that short learn nothing.
    assert main(words) == 1
    said = capsys.readouterr()
    for line in ("before training", "low frequencies keep up", "match with ICA", "do not apply"):
        assert line in said.out
    found = json.loads((tmp_path / "images.json").read_text(encoding="utf-8"))
    assert {run["name"] for run in found["learned"]} >= {"hybrid-0", "none", "pixel_mask"}
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"filters.png", "dial.pdf", "plane.png", "images.png"} <= drawn
    # Again, it keeps what is complete, and finds the same.
    assert main([*words, "--quiet"]) == 1
    again = capsys.readouterr()
    assert again.out == said.out and again.err == ""


def test_the_exit_code_is_0_where_all_holds_and_1_where_digits_fail(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="needs featlearn[images]")
    from featlearn.images import digits as digit_tools

    monkeypatch.setattr(command, "OwnWorkers", Here)
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    monkeypatch.setattr(command, "_draw", lambda *_: ())
    monkeypatch.setattr(report, "learn", lambda plan, *_: good().get(plan.name, good()["none"]))
    row = (0.052, (9.0, 0.5), (9.0, 0.5))
    monkeypatch.setattr(
        report, "crossover_scan", lambda *_: (0.027, [(0.03, (9.0, 0.1), (9.0, 0.1)), row])
    )
    monkeypatch.setattr(digit_tools, "label_curve", lambda *_: CURVES["raw"])
    curves = {"hybrid": CURVES["hybrid"], "none": CURVES["none"]}

    def learn_digits(data, augmentation, *_):
        return curves[augmentation.name]

    monkeypatch.setattr(report, "learn_digits", learn_digits)
    monkeypatch.setattr(report, "strongest_dense", lambda _: 100.0)
    words = ["images", "--quick", "--out", str(tmp_path)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "digits" in said.out
    assert "light of 100 times the variance of edges: runs take 2.7 times as many steps" in said.err
    curves["none"] = {50: 0.4, 1200: 0.5}
    assert main(words) == 1


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "image_model", lambda *_: pytest.fail("images were read"))
    (tmp_path / "file").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    places = [(tmp_path / "file", "not a directory"), (tmp_path / "file/x/y", "not a directory")]
    if not os.access(closed, os.W_OK):  # as it is for root
        places.append((closed / "x/y", "not writable"))
    for place, said in places:
        assert main(["images", "--quick", "--out", str(place)]) == 2
        assert said in capsys.readouterr().err


def test_what_is_done_to_images_and_what_they_lack_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    monkeypatch.setattr(command, "_images", lambda model, *_: seen.append(model) or 0)
    seen = []
    large = np.kron(matplotlib.image.imread(HOPPER), np.ones((2, 2, 1), np.uint8))
    matplotlib.image.imsave(tmp_path / "large.png", large)
    words = ["images", "--quick", "--out", str(tmp_path), "--from"]
    assert main([*words, HOPPER]) == 0
    assert "shrunk" not in capsys.readouterr().err
    # Twice as large and shrunk again it is the same photograph.
    assert main([*words, str(tmp_path / "large.png")]) == 0
    assert "1024 × 1200 pixels shrunk to 512 × 600" in capsys.readouterr().err
    np.testing.assert_allclose(seen[0].windows, seen[1].windows, atol=1e-3)
    assert main(["plan", "--images", str(tmp_path / "large.png")]) == 0
    assert "shrunk to 512 × 600" in capsys.readouterr().err
    # Narrow ones stay wide enough for patches.
    assert patches.shrink(np.zeros((70, 40000)), 32).shape == (35, 20000)
    monkeypatch.setattr(
        model_of, "fast_ica", lambda white, rng: (np.eye(white.shape[1]), seen == [])
    )
    assert main([*words, HOPPER]) == 0
    assert "FastICA still turned" in capsys.readouterr().err and not seen[-1].converged


def test_without_the_extra_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "has_extra", lambda: False)
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    assert list(sources.photographs()) == ["grace_hopper.jpg"]
    monkeypatch.setattr(command, "_images", lambda *_: 0)
    assert main(["images", "--quick", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "pip install scikit-learn" in said and "and no digits" in said


def test_plan_says_what_images_will_do(monkeypatch, capsys):
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    assert main(["plan", "--images", HOPPER]) == 0
    said = capsys.readouterr().out
    assert "hybrid, ρ = 0.25" in said and "crop ± 2 px" in said and "1/λ₁" in said
    assert main(["plan", "--images", HOPPER, "--set", "n_inputs=150"]) == 2
    assert "n_inputs = 144 and n_features = 54" in capsys.readouterr().err


def test_every_option_of_plan_does_something_beside_images_or_is_refused(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    monkeypatch.setattr(report, "photograph_runs", lambda model: [report.planned(NoAugmentation())])

    def found(*words):
        assert main(["plan", "--images", HOPPER, "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)

    plain = found()
    assert plain["runs"][0]["name"] == "none" and plain["runs"][0]["dense"] == pytest.approx(1)
    for words in (
        ["--seed", "1"],
        ["--dense", "10"],
        ["--sparse", "30"],
        ["--set", "batch_size=2"],
    ):
        assert found(*words) != plain
    # The seed is one, wherever it is given: of patches, ICA and training.
    assert found("--set", "seed=1") == found("--seed", "1")
    np.save(
        tmp_path / "a.npy",
        np.random.default_rng(0).random((300, 300)) * SMOOTH[:75, :1].repeat(4, 0),
    )
    words = ["plan", "--images", str(tmp_path / "a.npy")]
    assert main([*words, "--layout", "rows"]) == 2
    assert "at least 1480, 20 for each" in capsys.readouterr().err
    for option in ("--suggest", "--limit", "--record=attraction"):
        assert main([*words, option]) == 2
        assert f"{option.partition('=')[0]}: got" in capsys.readouterr().err
    for option in ("--layout=rows", "--dense=3", "--sparse=3"):
        assert main(["plan", option]) == 2
        said = capsys.readouterr().err
        assert f"{option.partition('=')[0]}: got" in said and "--images beside it" in said


def test_a_directory_of_other_images_is_named_and_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "N_WINDOWS", 3000)
    stop = RuntimeError("as far as this test goes")
    monkeypatch.setattr(report, "submit", raising(stop))
    monkeypatch.setattr(tables, "prediction_table", lambda *_: "")
    part = images.grey(matplotlib.image.imread(HOPPER))[:300, :300]
    for name, image in (("a", part), ("b", part.T)):
        Path(name).mkdir()
        np.save(f"{name}/x.npy", image)

    def images_of(*words):
        try:
            return main(["images", "--from", *words]), capsys.readouterr().err.splitlines()[-1]
        except RuntimeError as error:
            return error, ""

    assert images_of("a/x.npy")[0] is stop
    written = Path("images/x-0/source.json").read_bytes()
    np.save("a/y.npy", part)
    # The same images go on, from wherever.
    assert images_of("a/y.npy", "--out", "images/x-0")[0] is stop
    for words in (["b/x.npy"], ["a/x.npy", "--dense", "15"]):
        code, said = images_of(*words)
        assert code == 2 and "images/x-0: holds runs of other images" in said
        assert "a/x.npy" in said and "--out DIR" in said
        assert images_of(*words, "--out", f"{words[-1][:1]}-out")[0] is stop
    assert Path("images/x-0/source.json").read_bytes() == written


def raising(error):
    def raises(*_):
        raise error

    return raises


def test_the_figures_are_sound(model):
    rng = np.random.default_rng(0)
    weights = {"with": rng.standard_normal((30, 64)), "without": rng.standard_normal((30, 64))}
    for figure in (
        plotting.filters(weights, model.dictionary),
        plotting.dial(good()),
        plotting.plane(good()),
        plotting.decoupled_images(weights, model.dictionary, good()),
        plotting.label_curves(CURVES),
    ):
        assert_sound(figure)
    # The key is not struck through by the line where views share no edges.
    ax = plotting.plane(good()).axes[0]
    key = next(text for text in ax.texts if "hybrid-0.5" in text.get_text())
    assert key.get_bbox_patch().get_alpha() in (None, 1)
    assert key.get_zorder() > max(line.get_zorder() for line in ax.lines)
    tiled = plotting.mosaic(rng.standard_normal((5, 16)), columns=3)
    assert tiled.shape == (9, 14) and np.nanmax(np.abs(tiled)) == 1
    with pytest.raises(InvalidInput, match="square patches"):
        plotting.mosaic(rng.standard_normal((5, 15)))


def test_digits_stand_in_front_of_photographs():
    pytest.importorskip("sklearn", reason="needs featlearn[images]")
    from featlearn.images.digits import N_TRAIN, accuracy, digits, label_curve

    photograph = images.grey(matplotlib.image.imread(HOPPER))
    light = images.ImageModel.from_rows(sources.windows_of([photograph], n=3000), margin=2)
    data = digits(light)
    M, D, z = data.model.dictionary, data.model.components, data.model.coefficients
    np.testing.assert_allclose(M.T @ M, np.eye(40), atol=1e-5)
    np.testing.assert_allclose(M.T @ D, 0, atol=1e-5)
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(40), atol=1e-3)
    assert len(z) == N_TRAIN and len(data.labels) == len(data.signal) > N_TRAIN
    # The strokes alone tell the digits apart, behind the light a head needs many labels.
    curve = label_curve(data, lambda x: x, labels=(50, 400), n_draws=2)
    strokes = data.signal
    clean = accuracy(
        strokes[:N_TRAIN], data.labels[:N_TRAIN], strokes[N_TRAIN:], data.labels[N_TRAIN:]
    )
    assert 0.2 < curve[50] < curve[400] < clean and clean > 0.85
    # A background belongs to no digit.
    noise = [data.model.draw_noise(np.random.default_rng(k), 3, None, np.arange(3)) for k in (0, 1)]
    assert not np.allclose(*noise)
