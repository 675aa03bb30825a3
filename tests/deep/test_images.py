"""Tests of the images that a network receives."""

import numpy as np
import pytest
from gridlens_deep import Grid, images_of
from gridlens_deep._store import Images, _round_to_half

from gridlens import CutoutSet
from gridlens.features import detection_maps


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(size=(3, 64, 64, 3)) * [1.0, 2.0, 3.0] + [5.0, -4.0, 0.0]


def test_noise_has_unit_variance_and_sky_is_near_zero(pixels):
    images = np.sinh(images_of(CutoutSet(pixels), Grid(64, 0.5))) * 3.0
    assert images.shape == (3, 3, 64, 64)
    assert images.std(axis=(2, 3)) == pytest.approx(1.0, abs=0.08)
    assert np.abs(np.median(images, axis=(2, 3))).max() < 0.5
    assert images.min() < -2.5  # Values below the sky are not clipped.


def test_a_flux_factor_has_no_effect_and_relative_brightness_is_kept(pixels):
    cutouts = CutoutSet(pixels)
    np.testing.assert_allclose(
        images_of(CutoutSet(8.0 * pixels), Grid(64)), images_of(cutouts, Grid(64)), rtol=1e-4, atol=1e-5
    )
    bright = pixels.copy()
    bright[:, 30:34, 30:34] += 100.0
    assert images_of(CutoutSet(bright), Grid(64)).max() > 1.5 * images_of(cutouts, Grid(64)).max()


def test_the_bcg_is_in_the_middle_at_every_scale():
    rows, columns = np.mgrid[:96, :96]
    widths = []
    for scale, x, y in ((0.5, 47.5, 47.5), (0.25, 40.0, 52.3), (1.0, 47.5, 47.5)):
        spot = 500.0 * np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / (1.5 / scale) ** 2)
        pixels = np.random.default_rng(1).normal(size=(1, 96, 96, 3)) + spot[None, :, :, None]
        image = images_of(CutoutSet(pixels, bcg_xy=(x, y), pixel_scale=scale), Grid(33, 0.5))[0, 1]
        image = np.where(image > 3.0, image, 0.0)
        at = np.mgrid[:33, :33] - 16.0
        assert np.abs((at * image).sum(axis=(1, 2)) / image.sum()).max() < 0.35
        widths.append(np.sqrt((at**2 * image).sum() / image.sum() / 2) * 0.5)
    # The width on the sky does not depend on the pixel scale.
    assert widths == pytest.approx([widths[0]] * 3, rel=0.1)


def test_bad_and_missing_pixels_are_sky(pixels):
    pixels[0, :10, :10] = np.nan
    pixels[1] = np.nan
    cutouts = CutoutSet(pixels, pixel_scale=0.5)
    images = images_of(cutouts, Grid(96, 0.5))
    assert np.isfinite(images).all()
    assert (images[0, :, :16] == 0).all()
    assert (images[0, :, 16:26, 16:26] == 0).all()
    assert (images[1] == 0).all()
    assert Images.of(cutouts, Grid(96, 0.5)).usable.tolist() == [True, False, True]


def test_the_blue_map_matches_the_features(pixels):
    pixels[:, 30:34, 10:24] += [30.0, 20.0, 3.0]
    pixels[1, 5, 5] = np.nan
    pixels[2] = np.nan
    # On the cutout's own pixels nothing is resampled.
    cutouts, grid = CutoutSet(pixels, pixel_scale=0.5), Grid(64, 0.5, blue_map=True)
    images = images_of(cutouts, grid)
    assert images.shape == (3, 4, 64, 64)
    np.testing.assert_array_equal(images[:, :3], images_of(cutouts, Grid(64, 0.5)))
    _, blue = detection_maps(pixels[0], cutouts.bcg_xy[0], 0.5)
    np.testing.assert_allclose(grid.softening * np.sinh(images[0, 3]), blue, rtol=1e-5, atol=1e-5)
    assert blue.max() > 8.0
    # Bad pixels are 0 as in the bands, and so are cutouts that the features reject.
    assert (images[1, :, 5, 5] == 0.0).all()
    assert np.count_nonzero(images[1, 3] == 0.0) == 1
    assert (images[2] == 0.0).all()


def test_the_blue_map_is_resampled_with_the_bands(pixels):
    pixels[:, 30:34, 10:24] += [30.0, 20.0, 3.0]
    cutouts = CutoutSet(pixels, pixel_scale=0.5)
    fine = images_of(cutouts, Grid(64, 0.5, blue_map=True))[:, 3]
    coarse = images_of(cutouts, Grid(32, 1.0, blue_map=True))[:, 3]
    expected = fine.reshape(3, 32, 2, 32, 2).mean(axis=(2, 4))
    # The stretched mean is close to the mean of stretched values.
    assert min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(coarse, expected, strict=True)) > 0.9


def test_images_are_rounded_to_half_precision():
    rng = np.random.default_rng(0)
    images = np.concatenate([rng.normal(size=4000) * 10.0**power for power in range(-9, 3)]).astype(np.float32)
    # Ties between two half-precision numbers, and the ends of their range.
    images[:6] = [1.0 + 2.0**-11, 1.0 + 3 * 2.0**-11, -1.0 - 2.0**-11, 2.0**-14, 3 * 2.0**-25, 0.0]
    found = images.reshape(4, 3, 40, 100)
    expected = found.astype(np.float16).astype(np.float32)
    _round_to_half(found)
    np.testing.assert_array_equal(found, expected)
