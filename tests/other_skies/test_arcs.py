"""Tests of lensed light from other sources: the PSF, the cluster lenses, shapes seen through a lens."""

import math

import numpy as np
import pytest
from _other_arcs import (
    HstSource,
    MoffatPsf,
    _clean,
    _dpie_strength,
    arc_snr,
    binned,
    cluster_lens,
    convolved,
    draw_psf,
    image_place,
    lensed_shape,
)

from gridlens.lensing import DPIE, SIE, MassModel, SersicSource, render_sources
from gridlens.simulate._canvas import Geometry
from gridlens.simulate._scene import arc_truth

MEMBERS = np.array([[0.0, 0.0, 3.0], [5.0, 2.0, 1.0], [-8.0, 4.0, 0.5]])


def gaussian(size, sigma, middle=None):
    """Return a round Gaussian with a sum of 1, about the middle of a square unless `middle` is given."""
    y, x = np.indices((size, size)) - (0.5 * (size - 1) if middle is None else middle)
    light = np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    return light / light.sum()


def test_psf_has_its_width_and_ellipticity():
    kernel = MoffatPsf(fwhm=1.0, beta=3.0, ellipticity=0.2).kernel(0.02, 401)
    assert kernel.sum() == pytest.approx(1.0)
    half = kernel >= 0.5 * kernel.max()
    wide, high = half.any(axis=0).sum() * 0.02, half.any(axis=1).sum() * 0.02
    assert math.sqrt(wide * high) == pytest.approx(1.0, abs=0.03)
    assert high / wide == pytest.approx(0.8, abs=0.03)


def test_convolution_keeps_flux_and_place_and_does_not_wrap():
    light = np.zeros((3, 96, 96))
    light[:, 30, 60] = [1.0, 2.0, 3.0]
    light[0, 0, 0] = 5.0
    blurred = convolved(light, draw_psf(np.random.default_rng(1), np.full(3, 0.8)), 0.2)
    assert blurred[1:].sum(axis=(1, 2)) == pytest.approx([2.0, 3.0], rel=0.01)
    assert np.unravel_index(blurred[2].argmax(), (96, 96)) == (30, 60)
    assert abs(blurred[0, -10:, -10:]).max() < 1e-4


def test_binning_sums_sub_pixels():
    light = np.arange(2 * 6 * 6, dtype=float).reshape(2, 6, 6)
    assert binned(light, 3).shape == (2, 2, 2)
    assert binned(light, 3)[1, 0, 1] == light[1, :3, 3:].sum()


def test_snr_matches_simulated_scenes():
    arc = 40.0 * np.stack([gaussian(64, 3.0), gaussian(64, 2.0), gaussian(64, 4.0)])
    sigma = np.array([0.1, 0.2, 0.3])
    expected = arc_truth(arc, sigma, (0.0, 0.0), Geometry(64, 0.5))["arc_snr"]
    assert arc_snr(arc, sigma) == pytest.approx(expected)
    assert arc_snr(np.zeros((3, 8, 8)), sigma) == 0.0


@pytest.mark.parametrize(("theta_e", "core", "cut"), [(12.0, 1.0, 60.0), (25.0, 6.0, 200.0), (4.0, 3.0, 40.0)])
def test_dpie_halo_has_its_einstein_radius(theta_e, core, cut):
    lens = MassModel([DPIE(_dpie_strength(theta_e, core, cut), core, cut)])
    assert lens.deflection(theta_e, 0.0)[0] == pytest.approx(theta_e, rel=1e-6)


@pytest.mark.parametrize("kind", ["two-halo", "dpie", "dpie+nfw"])
def test_clusters_stretch_sources_in_the_ring(kind):
    rng = np.random.default_rng(3)
    lens = cluster_lens(rng, kind, 0.4, 14.0, (0.5, -0.3), MEMBERS)
    place = image_place(rng, lens, (0.5, -0.3), 5.0, 24.0)
    assert place is not None
    image = lensed_shape(lens, gaussian(41, 4.0)[None], 0.06, place, 0.0, 240, 0.25)
    assert image.sum() > 3.0


def test_a_weak_lens_has_no_image_place():
    assert image_place(np.random.default_rng(0), MassModel([SIE(1e-6)]), (0.0, 0.0), 2.0, 20.0) is None


def test_a_lensed_shape_matches_a_lensed_profile():
    lens, sigma = MassModel([SIE(8.0, axis_ratio=0.8)]), 0.3
    shape = np.stack([0.25 * gaussian(121, sigma / 0.03), 0.75 * gaussian(121, sigma / 0.03)])
    drawn = lensed_shape(lens, shape, 0.03, (0.9, 0.4), 1.0, 200, 0.15)
    # The effective radius of a Gaussian is sigma times the square root of 2 ln 2.
    source = SersicSource(0.9, 0.4, sigma * math.sqrt(2.0 * math.log(2.0)), 0.5, 1.0)
    expected = render_sources(lens, [source], (200, 200), 0.15)
    assert drawn.sum(axis=0) == pytest.approx(expected, abs=0.01 * expected.max())
    assert drawn[1].sum() == pytest.approx(3.0 * drawn[0].sum())


def test_a_turned_shape_keeps_its_flux():
    shape = gaussian(61, 3.0, middle=np.array([20.0, 40.0])[:, None, None])[None]
    nothing = MassModel([SIE(1e-9)])
    images = [lensed_shape(nothing, shape, 0.1, (1.0, -1.0), turn, 160, 0.1) for turn in (0.0, 0.5 * math.pi)]
    assert [image.sum() for image in images] == pytest.approx([1.0, 1.0], rel=1e-3)
    # The light lies 1 arcsec right of and 1 arcsec below the middle of the shape, which is put at (1, -1).
    axis = (np.arange(160) - 79.5) * 0.1
    places = [((image[0] * axis).sum(), (image[0] * axis[:, None]).sum()) for image in images]
    assert places[0] == pytest.approx((2.0, -2.0), abs=0.01)
    assert places[1] == pytest.approx((2.0, 0.0), abs=0.01)


def test_noise_and_neighbours_are_not_part_of_a_source():
    image = np.random.default_rng(5).normal(0.0, 0.01, (161, 161))
    image += 100.0 * gaussian(161, 5.0)
    neighbour = 100.0 * gaussian(161, 3.0, middle=np.array([140.0, 20.0])[:, None, None])
    shape = _clean((image + neighbour).astype(np.float32))
    assert shape.sum() == pytest.approx(1.0)
    assert shape[:, 120:, :40].sum() == 0.0
    assert 0.2 < shape[1].sum() < 0.8
    assert HstSource("a", shape, 23.0, (0.1, 0.1), 2.0).shape.shape == (2, 161, 161)
