"""Real images as samples of x = M z + ξ, their augmentations, and what is refused."""

import dataclasses

import matplotlib.image
import numpy as np
import pytest
from matplotlib import cbook

import featlearn
from featlearn import InvalidInput, NoAugmentation, images, views
from featlearn.images.patches import centre

SIDE, MARGIN = 8, 2


@pytest.fixture(scope="module")
def windows():
    photograph = matplotlib.image.imread(cbook.get_sample_data("grace_hopper.jpg"))
    cut = images.cut_windows(
        [images.grey(photograph)], SIDE + 2 * MARGIN, 6000, np.random.default_rng(0)
    )
    return images.normalise(cut, MARGIN)


@pytest.fixture(scope="module")
def model(windows):
    return images.ImageModel.from_rows(windows, n_dense=8, n_sparse=20, margin=MARGIN)


def test_ica_finds_independent_sources_that_a_rotation_mixed():
    rng = np.random.default_rng(1)
    sources = rng.laplace(size=(4000, 6))
    mixing = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    mixed = sources @ mixing.T
    values, vectors = np.linalg.eigh(np.cov(mixed.T))
    whitener = vectors / np.sqrt(values) @ vectors.T
    rotation, converged = images.fast_ica((mixed - mixed.mean(axis=0)) @ whitener, rng)
    assert converged
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(6), atol=1e-12)
    overlap = np.abs(rotation @ whitener @ mixing)
    overlap /= np.linalg.norm(overlap, axis=1, keepdims=True)
    assert sorted(overlap.argmax(axis=1)) == list(range(6)) and overlap.max(axis=1).min() > 0.98
    assert not images.fast_ica(mixed, rng, n_iterations=1)[1]


def test_ica_agrees_with_that_of_scikit_learn(model):
    """From the same start: on images there are many fixed points."""
    decomposition = pytest.importorskip("sklearn.decomposition", reason="needs featlearn[images]")
    z = np.asarray(model.coefficients[:4000], np.float64)
    start = np.random.default_rng(5).standard_normal((20, 20))
    other = decomposition.FastICA(whiten=False, w_init=start, tol=1e-5, max_iter=300)
    ours, converged = images.fast_ica(z, np.random.default_rng(5), 300, 1e-5)
    np.testing.assert_allclose(
        np.abs(np.sum(ours * other.fit(z).components_, axis=1)), 1, atol=0.01
    )
    assert converged


def test_two_starts_of_ica_find_mostly_the_same_atoms(model):
    """Rows turn slowly on images: where they stop too early, each start has atoms of its own."""
    z = model.coefficients

    def alike(**options):
        starts = [images.fast_ica(z, np.random.default_rng(k), **options)[0] for k in range(6)]
        pairs = zip(starts[::2], starts[1::2])
        return np.mean([np.median(np.abs(a @ b.T).max(axis=1)) for a, b in pairs])

    assert alike() > 0.88 and alike() > alike(tolerance=1e-4) + 0.05


@pytest.mark.parametrize("whiten", (True, False))
def test_an_image_is_the_sum_of_its_parts(windows, whiten):
    model = images.ImageModel.from_rows(windows, 8, 20, whiten, margin=MARGIN)
    M, D, numbers = model.dictionary, model.components, np.arange(len(windows))
    np.testing.assert_allclose(M.T @ M, np.eye(20), atol=1e-5)
    np.testing.assert_allclose(D.T @ D, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(M.T @ D, 0, atol=1e-5)
    parts = model.signal(numbers) + model.draw_noise(None, len(numbers), None, numbers)
    np.testing.assert_allclose(model.filtered(centre(windows, MARGIN)), parts, atol=2e-4)
    z, c = model.coefficients, model.loadings
    np.testing.assert_allclose(z.T @ c / len(z), 0, atol=2e-3)
    variances = np.linalg.eigvalsh(model.sparse_covariance)
    assert variances.mean() == pytest.approx(1, abs=1e-3)
    assert (variances.max() / variances.min() < 1.01) == whiten
    # Dense: the strongest direction has many times the variance of a sparse one.
    assert model.dense_covariance[0, 0] > 5 and model.density == pytest.approx(1, abs=1e-3)
    kurtosis = np.mean(z**4, axis=0) / np.mean(z**2, axis=0) ** 2 - 3
    assert np.median(kurtosis) > 1


def white(shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize(
    "rows, said",
    (
        (white((300, 40)), "at least 560, 20 for each of the 28"),
        (white((600, 20)), "at least n_dense + n_sparse = 28"),
        (white((2000, 64)), "not 1.2 times: nothing here is dense"),
        (np.where(np.arange(64) == 3, np.nan, white((600, 64))), "600 rows with nan"),
        (np.ones((600, 64)), "rows that differ"),
        (white((600, 4)) @ white((4, 64)), "4 directions with any variance"),
        (np.full((600, 64), "a"), "numbers of shape"),
        (white(600), "numbers of shape"),
        (white((600, 8, 7)), "square images"),
    ),
)
def test_rows_without_such_a_structure_are_refused(rows, said):
    with pytest.raises(InvalidInput, match="rows: got") as caught:
        images.ImageModel.from_rows(rows, 8, 20)
    assert said in str(caught.value) and "..." not in str(caught.value)


@pytest.mark.parametrize("n", (600, 6000))
def test_rows_with_nothing_sparse_are_refused(n):
    """Normal noise with the spectrum of images has no independent components, however few the rows."""
    strengths = 1 / np.arange(1, 65)
    with pytest.raises(InvalidInput, match="nothing here is sparse"):
        images.ImageModel.from_rows(strengths * white((n, 64)), 8, 20)
    heavy = strengths * np.random.default_rng(0).laplace(size=(n, 64))
    assert images.ImageModel.from_rows(heavy, 8, 20).n_features == 20


EVERY = [
    images.Hybrid(0.3), images.RandomLight(0.6), images.SharedLight(), NoAugmentation(),
    images.PixelMask(), images.Crop(2), images.Blur(1.0), images.Cutout(), images.PixelNoise(0.5),
    images.ContrastJitter(0.4),
]  # fmt: skip
KNOWN = [a for a in EVERY if getattr(a, "dense_coupling", None) is not None]


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda a: a.name)
def test_views_are_those_of_their_random_numbers_wherever_they_are_written(model, augmentation):
    def pair(out=None):
        rng = np.random.default_rng(3)
        numbers = model.draw_latents(rng, 50)
        noise = model.draw_noise(rng, 50, None, numbers)
        sample = featlearn.Sample(numbers, model.signal(numbers), noise)
        # As in training: in the place of what they are made of.
        keys = noise if augmentation.identical_views else sample.signal
        return augmentation.pair(rng, sample, model, (noise, keys) if out else None)

    for fresh, placed in zip(pair()[:2], pair("in place")[:2]):
        assert fresh.shape == (50, 64) and fresh.dtype == np.float32
        np.testing.assert_array_equal(fresh, placed)


@pytest.mark.parametrize("augmentation", KNOWN, ids=lambda a: a.name)
def test_second_moments_of_views_are_the_closed_form(model, augmentation):
    n = 60000
    views = images.views_of(model, augmentation, n)
    M, D = model.dictionary, model.components
    sparse, dense = M @ model.sparse_covariance @ M.T, D @ model.dense_covariance @ D.T

    def close(measured, expected):
        error = np.linalg.norm(measured - expected) / np.linalg.norm(sparse + dense)
        assert error < 0.03

    C = images.cross_moment(model, augmentation)
    np.testing.assert_allclose(C, sparse + augmentation.dense_coupling * dense, atol=1e-5)
    close(views.keys.T @ views.anchors / n, C)
    close(views.anchors.T @ views.anchors / n, sparse + dense)
    close(views.keys.T @ views.keys / n, sparse + dense)


def test_the_moment_of_other_augmentations_is_measured(model):
    rng = np.random.default_rng(0)
    views = images.views_of(model, images.PixelMask(), 2000, seed=4)
    C = images.cross_moment(model, images.PixelMask(), 2000, seed=4)
    w = rng.standard_normal(64)
    direct = np.mean((views.keys @ w) * (views.anchors @ w))
    assert w @ C @ w == pytest.approx(direct, rel=1e-4)


def test_what_decouples_before_training_and_what_does_not(model):
    for rho in (0.0, 0.5, 1.0):
        found = images.decoupling(model, images.Hybrid(rho))
        assert found.dense == pytest.approx(rho, abs=0.04) and found.sparse > 0.999
    assert abs(images.decoupling(model, images.RandomLight(0.0)).dense) < 0.05
    # Breaking the coupling of edges and light is not enough.
    shared = images.decoupling(model, images.SharedLight())
    assert shared.dense == pytest.approx(1) and shared.sparse == pytest.approx(1)
    # The paper's own augmentation is the wrong one for images, where neighbours are alike.
    masked = images.decoupling(model, images.PixelMask())
    assert masked.dense > 0.4 and masked.sparse < 0.2


def test_augmentations_act_on_the_patch_as_they_say(windows):
    rng = np.random.default_rng(2)
    p = centre(windows[:40], MARGIN)
    first, second = images.PixelMask().patches(rng, windows[:40], MARGIN)
    np.testing.assert_array_equal(first + second, 2 * p)
    assert not np.any(first * second) and 0.45 < np.mean(first == 0) < 0.55
    for crop in images.Crop(2).patches(rng, windows[:40], MARGIN):
        for window, view in zip(windows, crop.reshape(-1, SIDE, SIDE)):
            places = np.lib.stride_tricks.sliding_window_view(window, (SIDE, SIDE))
            assert np.any(np.all(places == view, axis=(2, 3)))
    for cut in images.Cutout().patches(rng, windows[:40], MARGIN):
        assert np.all((cut == 0).sum(axis=1) >= 16) and np.all((cut == p) | (cut == 0))
    clean, blurred = images.Blur(1.0).patches(rng, windows[:40], MARGIN)
    np.testing.assert_array_equal(clean, p)
    assert np.var(np.diff(blurred)) < 0.5 * np.var(np.diff(p))
    jittered, _ = images.ContrastJitter(0.5).patches(rng, windows[:40], MARGIN)
    factor = jittered / p
    assert np.ptp(factor, axis=1).max() < 1e-3 and 0.5 <= factor.min() < factor.max() <= 1.5
    noisy = images.PixelNoise(2.0).patches(rng, windows, MARGIN)
    assert np.std(noisy[0] - noisy[1]) == pytest.approx(np.sqrt(8), rel=0.02)


def test_an_augmentation_that_needs_pixels_says_so(model, windows):
    rows = images.ImageModel.from_rows(centre(windows, MARGIN), 8, 20)
    for needs_squares in (images.Crop(), images.Cutout(), images.Blur()):
        with pytest.raises(InvalidInput, match="square images"):
            images.decoupling(rows, needs_squares)
    assert images.decoupling(rows, images.PixelMask()).dense > 0.4
    with pytest.raises(InvalidInput, match="at most the images' margin, 2"):
        images.decoupling(model, images.Crop(3))
    parts_only = dataclasses.replace(model, windows=None)
    with pytest.raises(InvalidInput, match="pixels"):
        images.decoupling(parts_only, images.PixelMask())
    oblong = dataclasses.replace(model, windows=windows[:, :, 1:], margin=0)
    with pytest.raises(InvalidInput, match="square images"):
        images.decoupling(oblong, images.Cutout())


ALL = {**views.AUGMENTATIONS, **images.AUGMENTATIONS}.values()
BAD = (
    float("nan"),
    float("inf"),
    -1,
    -0.5,
    10**400,
    "a",
    None,
    True,
    [0.5],
    1j,
    np.array([0.5, 0.5]),
)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_every_field_of_every_augmentation_refuses_what_it_cannot_be(kind):
    for field in dataclasses.fields(kind):
        whole = isinstance(field.default, int)
        beyond = () if kind in (images.Blur, images.PixelNoise) else (1.5,)
        for bad in (*BAD, *beyond):
            with pytest.raises(InvalidInput, match=f"^{field.name}: got .*, wants"):
                kind(**{field.name: bad})
        for good in (np.int64(1), np.int32(1)) if whole else (np.float32(0.5), np.float64(0.5)):
            value = getattr(kind(**{field.name: good}), field.name)
            assert value == good and type(value) is (int if whole else float)


@pytest.mark.parametrize(
    "name, bad",
    [
        *((name, bad) for name in ("n_dense", "n_sparse", "margin", "seed") for bad in (*BAD, 2.5)),
        ("n_dense", 0), ("n_sparse", 1), ("seed", 2**63), ("margin", 6),
        *(("whiten", bad) for bad in ("no", 1, None)),
    ],
)  # fmt: skip
def test_every_argument_of_a_model_refuses_what_it_cannot_be(windows, name, bad):
    with pytest.raises(InvalidInput, match=f"^{name}: got .*, wants"):
        images.ImageModel.from_rows(windows[:600], **{"n_dense": 8, "n_sparse": 20, name: bad})
    if name == "seed":
        with pytest.raises(InvalidInput, match=f"^{name}: got .*, wants"):
            images.decoupling(None, NoAugmentation(), seed=bad)


def test_a_model_may_be_made_with_numbers_of_numpy(windows):
    model = images.ImageModel.from_rows(windows, np.int64(8), np.int32(20), margin=np.int8(2))
    assert model.dictionary.shape == (64, 20)


def test_parts_that_do_not_fit_are_refused_before_any_training(model, tmp_path):
    exp = featlearn.Experiment(n_features=20, n_inputs=64, n_neurons=8, n_steps=1, batch_size=16)
    of_codes = featlearn.init(exp).model
    asked = (
        {"latents": "one_of_d"},
        {"n_samples": 99},
        {"noise_spikes": 2, "spike_variance": 1.0},
        {"noise_spread": 0.5},
    )
    for changes, own, said in (
        *(({}, {"augmentation": a}, "model: got \"the experiment's own\"")
          for a in EVERY if hasattr(a, "patches") or isinstance(a, images.RandomLight)),
        ({}, {"model": of_codes, "augmentation": images.Crop()}, "model: got 'SparseCodingModel'"),
        ({}, {"model": model, "augmentation": images.Crop(3)}, "radius: got 3, wants at most"),
        ({"objective": "supervised"}, {"model": model}, "objective: got 'supervised'"),
        *((c, {"model": model}, f"{next(iter(c))} = ") for c in asked),
        *((c, {"model": of_codes}, f"{next(iter(c))}: got") for c in asked),
    ):  # fmt: skip
        for place in (None, tmp_path / "run"):
            with pytest.raises(InvalidInput) as caught:
                featlearn.train(exp.replace(**changes), place, **own)
            assert said in str(caught.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InvalidInput, match="objective: got 'supervised'"):
        featlearn.init(exp, model=model).replace(objective="supervised")
    for function in (images.decoupling, images.cross_moment):
        with pytest.raises(
            InvalidInput, match="model: got 'SparseCodingModel', wants one of images"
        ):
            function(of_codes, NoAugmentation())
    # The paper's augmentations know no coupling: their moment is measured.
    C = images.cross_moment(model, featlearn.RandomMask(), 500)
    assert C.shape == (64, 64) and np.isfinite(C).all()


@pytest.mark.parametrize("dtype, bits", (("u1", 8), ("i2", 8), ("i4", 10), ("u2", 10), ("u2", 16),
                                         ("i8", 8), ("u8", 12)))  # fmt: skip
def test_whole_numbers_have_the_bits_that_an_image_has(dtype, bits):
    photograph = matplotlib.image.imread(cbook.get_sample_data("grace_hopper.jpg"))
    for image in (photograph, photograph[..., 1], photograph[..., :1]):
        shifted = (image.astype(np.int64) << bits >> 8).astype(dtype)
        np.testing.assert_allclose(images.grey(shifted), images.grey(image), atol=0.005)


def test_images_of_other_numbers_are_refused():
    real = np.random.default_rng(0).random((20, 30))
    for wrong in (real + 0j, real.astype("M8[s]"), real.astype("m8[s]"), real.astype(str),
                  real.astype(object), real[:0], real[0], np.stack([real] * 5, axis=2)):  # fmt: skip
        with pytest.raises(InvalidInput, match="real numbers of shape"):
            images.grey(wrong)


@pytest.mark.filterwarnings("error")
def test_rows_of_any_size_make_a_model_or_are_refused(windows):
    rows = centre(windows, MARGIN)[:1000].astype(np.float64)
    for size in (1e-12, 1e12):
        model = images.ImageModel.from_rows(size * rows, 8, 20)
        assert np.isfinite(model.filter).all() and np.isfinite(model.coefficients).all()
    for size in (1e-300, 1e-40, 1e40, 1e300):
        with pytest.raises(InvalidInput, match="1e-15 to 1e.15 in size"):
            images.ImageModel.from_rows(size * rows, 8, 20)


def test_images_go_through_the_ordinary_step(model):
    exp = featlearn.Experiment(
        n_features=20, n_inputs=64, n_neurons=16, batch_size=128, augmentation="none", density=1.0,
        noise_variance=1.0, temperature=30.0, learning_rate=0.02, initial_norm=0.01,
    )  # fmt: skip
    state = featlearn.init(exp, model=model)
    numbers = featlearn.draw_batch(state).sample.latents
    assert len(set(numbers)) == 128
    whole = model.filtered(centre(model.windows[numbers], MARGIN))
    np.testing.assert_allclose(featlearn.draw_batch(state).views.anchors, whole, atol=2e-4)
    after = featlearn.step(state)
    # Without augmentation the light, the strongest part, grows first.
    share = [np.median(images.dense_share(s.weights, model)) for s in (state, after)]
    assert share[1] > share[0]
    alignment = after.weights @ model.dictionary
    sparse = featlearn.sparse_share(alignment, after.weight_norms)
    assert np.all(sparse + images.dense_share(after.weights, model) <= 1 + 1e-5)


def test_an_update_on_images_is_explained_with_their_coefficients(model):
    exp = featlearn.Experiment(n_features=20, n_inputs=64, n_neurons=4, batch_size=8, n_steps=1)
    own = {"model": model, "augmentation": images.Hybrid(0.2)}
    state = featlearn.init(exp, **own)
    explained = featlearn.explain_step(state)
    numbers = featlearn.draw_batch(state).sample.latents
    np.testing.assert_array_equal(explained.latents, model.coefficients[numbers])
    said = str(explained)
    assert "views: hybrid, ρ = 0.2" in said and "x± = M z + √ρ ξ" in said and "mask" not in said
    strongest = np.abs(explained.latents[0]).argmax()
    assert f"{abs(explained.latents[0, strongest]):.2f} M{strongest} " in said
    with pytest.raises(InvalidInput, match="active_given_feature"):
        featlearn.train(exp, record="active_given_feature", **own)


@pytest.mark.filterwarnings("error")
def test_intensities_may_lie_further_apart_than_the_largest_number():
    wide = np.array([[-1.0, 0.0, 1.0], [0.5, -0.5, 0.0]])
    np.testing.assert_allclose(images.grey(1.7e308 * wide), images.grey(2 * wide), atol=1e-15)


def test_an_image_becomes_grey_and_its_patches_are_cut_from_its_logarithm():
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[..., 1] = np.arange(30)
    np.testing.assert_allclose(images.grey(colour)[0], 0.587 * np.arange(30) / 255)
    assert images.grey(np.arange(600.0).reshape(20, 30)).max() == 1
    cut = images.cut_windows([images.grey(colour)], 5, 100, np.random.default_rng(0))
    steps = np.exp(cut) - 0.05
    np.testing.assert_allclose(np.diff(steps, axis=2), 0.587 / 255, rtol=1e-3)
    normal = images.normalise(cut, 1)
    np.testing.assert_allclose(centre(normal, 1).mean(axis=1), 0, atol=1e-4)
    assert 0.5 < centre(normal, 1).std() < 1
    for wrong, said in (
        (np.zeros((20, 30)), "not constant"),
        (np.full((20, 30), np.nan), "finite"),
        (np.zeros(7), "H, W"),
    ):
        with pytest.raises(InvalidInput, match=said):
            images.grey(wrong)
    with pytest.raises(InvalidInput, match="at least 40 × 40"):
        images.cut_windows([images.grey(colour)], 40, 10, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="some contrast"):
        images.normalise(np.ones((10, 4)))


REFUSED = {
    "bytes": (lambda rng: images.cut_windows([np.full((5, 5), 200, np.uint8)], 3, 2, rng), "image"),
    "negative": (lambda rng: images.cut_windows([np.full((5, 5), -1.0)], 3, 2, rng), "image"),
    "not a number": (lambda rng: images.cut_windows([np.full((5, 5), np.nan)], 3, 2, rng), "image"),
    "colours": (lambda rng: images.cut_windows([np.ones((5, 5, 3))], 3, 2, rng), "image"),
    "no image": (lambda rng: images.cut_windows([], 3, 2, rng), "images"),
    "no side": (lambda rng: images.cut_windows([np.ones((5, 5))], 0, 2, rng), "side"),
    "fewer than none": (lambda rng: images.cut_windows([np.ones((5, 5))], 3, -2, rng), "n"),
    "patches of nan": (lambda rng: images.normalise(np.full((3, 4), np.nan)), "patches"),
    "all margin": (lambda rng: images.normalise(rng.random((3, 4, 4)), 2), "margin"),
    "a margin of rows": (lambda rng: images.normalise(rng.random((3, 16)), 1), "margin"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_are_no_images_are_refused_by_name(case):
    call, field = REFUSED[case]
    with pytest.raises(InvalidInput, match=f"^{field}: got"):
        call(np.random.default_rng(0))


def test_what_makes_no_views_of_images_is_refused_by_name(model):
    for augmentation in (None, images.Hybrid):
        with pytest.raises(InvalidInput, match="^augmentation: got"):
            images.decoupling(model, augmentation)
    with pytest.raises(InvalidInput, match=r"^weights: got 'shape \(3, 5\)'"):
        images.dense_share(np.ones((3, 5)), model)
