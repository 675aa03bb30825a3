"""What a network sees."""

import numpy as np
import pytest
from gridlens_deep import Grid, images_of
from gridlens_deep._images import usable_rows

from gridlens import CutoutSet


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(size=(3, 64, 64, 3)) * [1.0, 2.0, 3.0] + [5.0, -4.0, 0.0]


def test_noise_is_one_and_sky_is_near_zero(pixels):
    images = np.sinh(images_of(CutoutSet(pixels), Grid(64, 0.5))) * 3.0
    assert images.shape == (3, 3, 64, 64)
    assert images.std(axis=(2, 3)) == pytest.approx(1.0, abs=0.08)
    assert np.abs(np.median(images, axis=(2, 3))).max() < 0.5
    assert images.min() < -2.5  # What lies below the sky stays there.


def test_one_flux_factor_changes_nothing_and_brightness_is_kept(pixels):
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
    # On the sky it is as wide, whatever the pixels.
    assert widths == pytest.approx([widths[0]] * 3, rel=0.1)


def test_bad_pixels_and_what_lies_off_the_cutout_are_sky(pixels):
    pixels[0, :10, :10] = np.nan
    pixels[1] = np.nan
    cutouts = CutoutSet(pixels, pixel_scale=0.5)
    images = images_of(cutouts, Grid(96, 0.5))
    assert np.isfinite(images).all()
    assert (images[0, :, :16] == 0).all()
    assert (images[0, :, 16:26, 16:26] == 0).all()
    assert (images[1] == 0).all()
    assert usable_rows(cutouts).tolist() == [True, False, True]
