"""Tests of flux and positions after resampling, against `reproject_exact` and stars of known flux and position."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reproject import reproject_exact
from skies import gnomonic, measured, stars

from gridlens.cutouts.images._grid import grid_wcs, orientation
from gridlens.cutouts.images._resample import (
    axis_fit,
    correspond,
    overlap_matrix,
    resample_along_axes,
    resample_drizzle,
)


def resample(image, source, target, npix):
    fit = axis_fit(correspond(target, source, npix))
    return resample_drizzle(image, source, target, npix) if fit is None else resample_along_axes(image, fit, npix)


@pytest.mark.parametrize("flip", [False, True])
def test_resampling_along_the_axes_matches_reproject_exact(rng, flip):
    source, target = gnomonic(size=332, flip=flip), gnomonic(scale=0.5, size=128, flip=flip, ra=150.0003, dec=2.0002)
    image = rng.normal(size=(332, 332)).astype(np.float32)
    image[100:140, 100:150] += 50
    fit = axis_fit(correspond(target, source, 128))
    assert fit is not None
    ours = resample_along_axes(image, fit, 128)
    theirs = reproject_exact((image, source), target, shape_out=(128, 128))[0] * (0.5 / 0.2) ** 2
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("source", [gnomonic(size=332, turn=30), gnomonic(size=332, turn=-90.3, flip=True)])
def test_drizzling_matches_reproject_exact(rng, source):
    target = gnomonic(scale=0.5, size=80, ra=150.0003, dec=2.0002)
    image = rng.normal(size=(332, 332)).astype(np.float32)
    image[100:140, 100:150] += 50
    assert axis_fit(correspond(target, source, 80)) is None
    ours = resample_drizzle(image, source, target, 80)
    theirs = reproject_exact((image, source), target, shape_out=(80, 80))[0] * (0.5 / 0.2) ** 2
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(
    ("scale", "source"),
    [
        (0.5, gnomonic(size=400)),
        (0.5, gnomonic(size=400, turn=0.3)),
        (0.5, gnomonic(size=400, turn=137)),
        (0.5, gnomonic(size=400, turn=45, flip=True)),
        (0.5, gnomonic(size=400, sip=True)),
        (0.4, gnomonic(size=400, sip=True, turn=200, flip=True)),
        # The tangent point of a large tile is far from the cutout.
        (0.5, gnomonic(size=400, dec=61.0, crpix=[-9000.0, 9000.0])),
        # The grid of the cutout is finer than the image.
        (0.1, gnomonic(size=400, turn=10)),
        (0.1, gnomonic(size=400)),
    ],
)
def test_stars_keep_flux_to_one_per_cent_and_position_to_a_tenth_of_a_pixel(scale, source):
    npix = 128 if scale >= 0.4 else 300
    middle = source.pixel_to_world_values(199.3, 201.2)
    target = grid_wcs(*map(float, middle), orientation(gnomonic(turn=0), 200, 200), scale, npix, source)
    pixels = np.array([(199.3, 201.2), (150, 230.4), (260.7, 160.1), (240, 255.5)])
    if scale < 0.4:
        pixels = 200 + (pixels - 200) / 3
    sky = source.pixel_to_world(*pixels.T)
    image = stars(source, 400, sky, 1000.0, fwhm=4.0)
    ours = resample(image, source, target, npix)
    for place in sky:
        x, y = target.world_to_pixel(place)
        flux, u, v = measured(np.nan_to_num(ours), x, y, reach=int(np.ceil(2.2 / scale)))
        assert flux == pytest.approx(1000.0, rel=0.01)
        assert np.hypot(u - x, v - y) < 0.1


def test_unobserved_pixels_are_nan_and_adjacent_flux_is_kept():
    image = np.ones((60, 60), np.float32)
    image[:, :30] = np.nan
    ours = resample_along_axes(image, (2.0, 0.5, 2.0, 0.5), 30)
    assert np.isnan(ours[:, :15]).all()
    np.testing.assert_allclose(ours[:, 15:], 4.0)
    # A pixel of which one half was observed counts as if the whole pixel was observed.
    np.testing.assert_allclose(resample_along_axes(image, (2.0, -0.5, 2.0, 0.5), 30)[:, 15], 4.0)


def test_pixels_outside_the_image_are_nan():
    ours = resample_along_axes(np.ones((20, 20), np.float32), (1.0, -5.0, 1.0, 0.0), 20)
    assert np.isnan(ours[:, :5]).all()
    np.testing.assert_allclose(ours[:, 5:], 1.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 6.0), st.floats(-3.0, 3.0), st.booleans(), st.integers(5, 40))
def test_overlaps_of_an_axis_add_up_to_the_common_range(slope, offset, flip, n):
    slope = -slope if flip else slope
    matrix = overlap_matrix(n, 30, slope, offset).toarray()
    ends = slope * (np.array([0, n]) - 0.5) + offset
    covered = max(0.0, min(ends.max(), 29.5) - max(ends.min(), -0.5))
    assert matrix.sum() == pytest.approx(covered, abs=1e-4)
    assert (matrix >= 0).all()
    assert (matrix.sum(axis=0) <= 1 + 1e-5).all()
    assert (matrix.sum(axis=1) <= abs(slope) + 1e-5).all()
