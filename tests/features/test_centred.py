"""Tests of centred images against the slow reference, for usual and unusual input."""

import naive_images
import numpy as np
import pytest
from measuring import compiled_only
from scenes import cluster, plain_noise

from gridlens import CutoutSet
from gridlens.cutouts import rejection
from gridlens.features import centred_images, detection_maps

SIZE, SCALE = 40, 0.6


def images_of(pixels, bcg_xy, pixel_scale, size=SIZE, grid_scale=SCALE):
    """Return the images (4, size, size) of one cutout."""
    cutouts = CutoutSet(np.asarray(pixels)[None], bcg_xy=bcg_xy, pixel_scale=pixel_scale)
    images, measured = centred_images(cutouts, size, grid_scale, blue_map=True)
    assert measured.tolist() == [True]
    return images[0]


def check(pixels, bcg_xy, pixel_scale, size=SIZE, grid_scale=SCALE):
    """Check that the images equal the reference to the float32 rounding of the brightest pixel."""
    found = images_of(pixels, bcg_xy, pixel_scale, size, grid_scale)
    expected = naive_images.centred(pixels, bcg_xy, pixel_scale, size, grid_scale)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(expected).max()))


@pytest.fixture
def scene():
    """Return a cluster of 64 px with its BCG between pixels."""
    return cluster(np.random.default_rng(3), 64, bcg=(30.3, 33.8), arc_px=16)


@pytest.mark.parametrize("pixel_scale", [0.03, 0.2, 0.45, 0.6, 0.61, 1.0, 2.0])
def test_parity_at_every_scale(scene, pixel_scale):
    check(*scene, pixel_scale)


@pytest.mark.parametrize("bcg_xy", [(-0.5, -0.5), (63.4, 0), (31.5, 31.5), (31, 31), (2.51, 61.98), (0, 63)])
def test_parity_for_any_position_of_the_bcg(bcg_xy):
    pixels, _ = cluster(np.random.default_rng(5), 64, bcg=bcg_xy, arc_px=15)
    check(pixels, bcg_xy, 0.5)
    check(pixels, bcg_xy, 0.5, 41, 0.5)


@pytest.mark.parametrize("grid", [(1, 3.0), (2, 40.0), (96, 64 / 96), (65, 0.5), (32, 1.0), (7, 90.0)])
def test_parity_on_any_grid(scene, grid):
    check(*scene, 0.5, *grid)


def test_parity_on_odd_images():
    rng = np.random.default_rng(9)
    bcg_xy = (30.2, 27.7)
    spoiled = plain_noise(rng, 60)[0]
    spoiled[10:14, 10:20, 0] = np.nan
    spoiled[30, 30, 2] = -np.inf
    constant = np.round(2.0 * plain_noise(rng, 60)[0])
    constant[20:30, 5:50] = 7.0
    for pixels in (spoiled, constant, 1e-20 * plain_noise(rng, 60)[0], 1e20 * plain_noise(rng, 60)[0]):
        check(pixels, bcg_xy, 0.5)


def test_aligned_grids_copy_the_pixels(scene):
    pixels, _ = scene
    pixels[12, 40, 1] = np.nan
    blue = np.where(np.isfinite(pixels).all(axis=2), detection_maps(pixels, (31.5, 31.5), 0.5)[1], 0.0)
    np.testing.assert_array_equal(images_of(pixels, (31.5, 31.5), 0.5, 64, 0.5)[3], blue)
    # A grid that is within a twentieth of a pixel of the pixel centres counts as aligned.
    near = images_of(pixels, (31.54, 31.46), 0.5, 64, 0.5)
    np.testing.assert_array_equal(near[:3], images_of(pixels, (31.5, 31.5), 0.5, 64, 0.5)[:3])


def test_the_area_outside_the_cutout_is_sky(scene):
    images = images_of(scene[0], (31.5, 31.5), 0.5, 96, 0.5)
    assert (images[:, :16] == 0).all() and (images[:, :, 80:] == 0).all()
    assert (images[:3, 20:70, 20:70] != 0).all()


def test_rejected_cutouts_are_blank_and_marked(scene):
    pixels = np.repeat(scene[0][None], 6, axis=0)
    pixels[1] = np.nan
    pixels[2, :, :, 1] = 3.0
    pixels[3, :6] = pixels[3, -6:] = np.nan
    pixels[3, :, :6] = pixels[3, :, -6:] = np.nan
    places, scales = np.tile(scene[1], (6, 1)), np.full(6, 0.5)
    places[4], scales[5] = (70.0, 3.0), 5.0
    cutouts = CutoutSet(pixels, bcg_xy=places, pixel_scale=scales)
    images, measured = centred_images(cutouts, SIZE, SCALE, blue_map=True)
    expected = [not rejection(*row) for row in zip(pixels, places, scales, strict=True)]
    assert measured.tolist() == expected == [True] + 5 * [False]
    assert images[0].any() and not images[1:].any()
    for odd in (np.ones((1, 47, 47, 3)), np.ones((1, 64, 60, 3))):
        assert not centred_images(CutoutSet(odd), 5, 1.0)[1].any()


@compiled_only
def test_images_do_not_depend_on_threads_or_other_cutouts(noise):
    cutouts = CutoutSet(noise(n=40, size=64), pixel_scale=np.linspace(0.2, 1.4, 40))
    images, measured = centred_images(cutouts, SIZE, SCALE, blue_map=True)
    assert measured.all()
    for other, n_jobs in ((cutouts, 3), (cutouts[::-1], 1)):
        found = centred_images(other, SIZE, SCALE, blue_map=True, n_jobs=n_jobs)[0]
        np.testing.assert_array_equal(found if n_jobs > 1 else found[::-1], images)
    np.testing.assert_array_equal(centred_images(cutouts, SIZE, SCALE)[0], images[:, :3])


def test_no_cutouts_and_invalid_parameters(noise):
    none = CutoutSet(np.empty((0, 64, 64, 3)))
    images, measured = centred_images(none, 8, 1.0)
    assert images.shape == (0, 3, 8, 8) and measured.shape == (0,)
    for name, size, scale in (
        ("size", 0, 1.0),
        ("size", 2.5, 1.0),
        ("pixel_scale", 8, 0.0),
        ("pixel_scale", 8, np.nan),
    ):
        with pytest.raises(ValueError, match=f"The '{name}' parameter must be .* Got .* instead"):
            centred_images(none, size, scale)
