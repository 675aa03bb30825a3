"""Tests of the point-spread function and the noise measured on cutouts whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gridlens.cutouts import CutoutSet
from gridlens.simulate import SceneSettings, _scene, simulate_scene
from gridlens.simulate._noise_texture import Texture, gaussian_kernel
from gridlens.simulate._sky_of_pool import measure_correlation, measure_psf


def drawn(monkeypatch, survey, n, stars=True):
    """Return scenes of a survey as cutouts, and their mean seeing in each band."""
    seeing = []

    def recorded(*args, draw=_scene.PLAIN.conditions):
        conditions = draw(*args)
        seeing.append(conditions.seeing)
        return conditions

    monkeypatch.setattr(_scene, "PLAIN", replace(_scene.PLAIN, conditions=recorded))
    if not stars:
        monkeypatch.setattr(_scene, "PLAIN", replace(_scene.PLAIN, stars=lambda rng, canvas: []))
    settings = SceneSettings(surveys=(survey,), varied_fraction=0.0)
    pixels = np.stack([simulate_scene(8, index, settings).pixels for index in range(n)])
    return CutoutSet(pixels), np.mean(seeing, axis=0)


def moffat_star(size, x, y, fwhm, samples=16):
    """Return a star of flux 1, a densely sampled Moffat profile of exponent 3."""
    axis = (np.arange(size * samples) + 0.5) / samples - 0.5
    r2 = (axis - x) ** 2 + (axis[:, None] - y) ** 2
    image = (1.0 + 4.0 * (2.0 ** (1.0 / 3.0) - 1.0) * r2 / fwhm**2) ** -3.0
    return image.reshape(size, samples, size, samples).sum(axis=(1, 3)) / image.sum()


def star_field(rng, n, scale, fwhm, size=96, stars=3, saturated=0.0):
    """Return cutouts of white noise with stars at random positions; a fraction of the stars has a flat core."""
    pixels = rng.normal(size=(n, size, size, 3))
    for cutout in pixels:
        for _ in range(stars):
            x, y = rng.integers(16, size - 16, 2)
            dx, dy = rng.uniform(-0.5, 0.5, 2)
            flat = rng.random() < saturated
            for band in range(3):
                star = rng.uniform(300.0, 3000.0) * moffat_star(31, 15 + dx, 15 + dy, fwhm[band] / scale)
                star = np.minimum(star, 0.3 * star.max()) if flat else star
                cutout[y - 15 : y + 16, x - 15 : x + 16, band] += star
    return CutoutSet(pixels, pixel_scale=scale)


@pytest.mark.slow
@pytest.mark.parametrize("survey", ["hsc", "des", "kids", "ps1"])
def test_seeing_of_drawn_scenes(monkeypatch, survey):
    cutouts, seeing = drawn(monkeypatch, survey, 50)
    found = measure_psf([cutouts])
    # A scene divides the light of a star between four sub-pixels, which widens it by a tent function.
    tent = np.log(256.0) * 0.25**2 / 6.0
    np.testing.assert_allclose(found.fwhm, np.sqrt(seeing**2 + tent), rtol=0.05)
    assert (found.n_stars >= 20).all()


@pytest.mark.slow
def test_galaxies_are_not_mistaken_for_stars(monkeypatch):
    cutouts, _ = drawn(monkeypatch, "des", 40, stars=False)
    assert np.isnan(measure_psf([cutouts]).fwhm).all()


@pytest.mark.parametrize(
    ("scale", "fwhm"),
    # The widths are 1.2 to 6 pixels.
    [(0.168, (1.0, 0.8, 0.55)), (0.4, (1.5, 1.2, 0.9)), (0.5, (0.9, 0.75, 0.6)), (0.05, (0.12, 0.11, 0.13))],
)
def test_stars_of_known_width(scale, fwhm):
    found = measure_psf([star_field(np.random.default_rng(1), 8, scale, fwhm)])
    np.testing.assert_allclose(found.fwhm, fwhm, rtol=0.03)
    assert (found.n_stars >= 15).all()


def test_saturated_stars_and_bad_pixels_are_ignored():
    fwhm = (1.2, 1.0, 0.9)
    cutouts = star_field(np.random.default_rng(2), 16, 0.3, fwhm, saturated=0.5)
    cutouts.pixels[:, 40:60, ::30] = np.nan
    cutouts.pixels[::2, 70:, :30, 1] = np.inf
    found = measure_psf([cutouts])
    np.testing.assert_allclose(found.fwhm, fwhm, rtol=0.03)
    assert (found.n_stars < 40).all()


def test_results_do_not_depend_on_unit_sky_and_batches():
    cutouts = star_field(np.random.default_rng(3), 8, 0.3, (1.2, 1.0, 0.9))
    found = measure_psf([cutouts])
    other = CutoutSet(1e-3 * cutouts.pixels + 50.0, pixel_scale=0.3)
    again = measure_psf(other[start : start + 3] for start in range(0, 8, 3))
    np.testing.assert_allclose(again.fwhm, found.fwhm, rtol=0.01)
    np.testing.assert_array_equal(again.n_stars, found.n_stars)


def test_the_mean_seeing_of_a_pool():
    rng = np.random.default_rng(4)
    pool = [star_field(rng, 1, 0.3, np.exp(0.08 * rng.normal()) * np.array([1.2, 1.0, 0.9])) for _ in range(40)]
    np.testing.assert_allclose(measure_psf(pool).fwhm, [1.2, 1.0, 0.9], rtol=0.06)


def test_fields_of_different_seeing():
    """The result is the mean of all fields, not the value of the sharpest."""
    rng = np.random.default_rng(10)
    fields = [factor * np.array([0.9, 0.8, 0.7]) for factor in (0.8, 1.0, 1.3)]
    found = measure_psf(star_field(rng, 1, 0.3, fwhm) for fwhm in fields for _ in range(15))
    np.testing.assert_allclose(found.fwhm, np.exp(np.mean(np.log(fields), axis=0)), rtol=0.05)


def test_too_few_stars():
    found = measure_psf([star_field(np.random.default_rng(5), 3, 0.3, (1.2, 1.0, 0.9), stars=2)])
    assert np.isnan(found.fwhm).all()
    assert (found.n_stars < 10).all()


DEGENERATE = {
    "nothing": [],
    "an empty set": [CutoutSet(np.empty((0, 64, 64, 3)))],
    "zeros": [CutoutSet(np.zeros((2, 64, 64, 3)))],
    "a constant": [CutoutSet(np.full((2, 64, 64, 3), 7.0))],
    "NaN": [CutoutSet(np.full((2, 64, 64, 3), np.nan))],
    "one band is NaN": [CutoutSet(np.random.default_rng(0).normal(size=(2, 64, 64, 3)) * [1.0, np.nan, 1.0])],
    "two levels": [CutoutSet(np.random.default_rng(0).integers(0, 2, (2, 64, 64, 3)))],
    "one pixel": [CutoutSet(np.ones((2, 1, 1, 3)))],
    "five pixels": [CutoutSet(np.random.default_rng(0).normal(size=(2, 5, 7, 3)))],
    "a pixel scale of 0": [CutoutSet(np.random.default_rng(0).normal(size=(2, 64, 64, 3)), pixel_scale=0.0)],
    "huge pixels": [CutoutSet(np.random.default_rng(0).normal(size=(2, 64, 64, 3)), pixel_scale=60.0)],
    "tiny pixels": [CutoutSet(np.random.default_rng(0).normal(size=(2, 64, 64, 3)), pixel_scale=0.002)],
    "one source": [CutoutSet(gaussian_filter(np.eye(64)[None, ..., None] * np.ones(3), (0, 1, 1, 0)))],
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_cutouts_without_stars_or_sky(kind):
    found = measure_psf(DEGENERATE[kind])
    assert np.isnan(found.fwhm).all()
    assert found.fwhm.shape == found.n_stars.shape == (3,)
    kernels = measure_correlation(DEGENERATE[kind])
    assert len(kernels) == 3
    for kernel in kernels:
        assert kernel.shape[0] == kernel.shape[1] <= 9
        assert np.isfinite(kernel).all()
        assert (kernel**2).sum() == pytest.approx(1.0)


def correlation(image, dx, dy):
    """Return the correlation of pixels at a lag, from two shifted slices."""
    height, width = image.shape
    first = image[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    second = image[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    return float((first * second).mean() / image.var())


LAGS = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2), (2, 1)]


@pytest.mark.parametrize(
    "kernels",
    [
        [gaussian_kernel(width, width, 0.0) for width in (0.4, 0.7, 1.0)],
        [gaussian_kernel(1.0, 0.4, angle) for angle in (0.0, 0.5, 2.0)],
        # Kernels of Lanczos interpolation are negative at two pixels.
        [np.outer(row, row) for row in ([0.1, 1.0, 0.1], [-0.1, 0.3, 1.0, 0.3, -0.1], [0.5, 1.0, 0.5])],
    ],
    ids=["round", "turned", "sharp"],
)
def test_texture_of_noise_is_recovered(kernels):
    rng = np.random.default_rng(6)
    truth = Texture(tuple(kernels))
    noise = np.stack([truth.apply(rng.normal(size=(3, 128, 128))) for _ in range(40)])
    found = Texture(measure_correlation([CutoutSet(np.moveaxis(noise, 1, 3))]))
    same = np.stack([found.apply(rng.normal(size=(3, 128, 128))) for _ in range(40)])
    for band in range(3):
        for dx, dy in LAGS:
            expected = np.mean([correlation(image, dx, dy) for image in noise[:, band]])
            assert np.mean([correlation(image, dx, dy) for image in same[:, band]]) == pytest.approx(expected, abs=0.03)


def test_white_noise_has_a_kernel_of_one_pixel():
    noise = np.random.default_rng(7).normal(size=(20, 96, 96, 3)) * [1.0, 1e-6, 1e6] + [5.0, 0.0, -3e7]
    for kernel in measure_correlation([CutoutSet(noise)]):
        np.testing.assert_array_equal(kernel, 1.0)


def test_sources_slopes_and_bad_pixels_are_not_noise():
    rng = np.random.default_rng(8)
    cutouts = star_field(rng, 12, 0.5, (1.2, 1.0, 0.9), size=128, stars=8)
    cutouts.pixels[:] += np.linspace(0.0, 2.0, 128, dtype=np.float32)[:, None, None]
    cutouts.pixels[:, 30:40, 50:90] = np.nan
    cutouts.pixels[:, ::40, ::30, 2] = 1e4
    for kernel in measure_correlation([cutouts]):
        texture = Texture((kernel,)).apply(rng.normal(size=(1, 256, 256)))[0]
        for lag in LAGS:
            assert abs(correlation(texture, *lag)) < 0.03


@pytest.mark.slow
def test_noise_of_drawn_scenes(monkeypatch):
    """The noise is white in two thirds of the scenes, and correlated by Gaussians of up to 0.7 pixels in the others."""
    cutouts, _ = drawn(monkeypatch, "ps1", 40)
    for kernel in measure_correlation([cutouts]):
        texture = Texture((kernel,)).apply(np.random.default_rng(9).normal(size=(1, 256, 256)))[0]
        assert correlation(texture, 1, 0) == pytest.approx(0.11, abs=0.05)
        assert abs(correlation(texture, 3, 0)) < 0.02
