"""Tests of the canvas: point-spread functions, positions and fluxes."""

import numpy as np
import pytest
from scipy import fft, ndimage

from gridlens.simulate._canvas import Canvas, Geometry, band_fluxes, flux_of, moffat_kernel

NO_SHIFT = (0.0, 0.0)
FLUXES = np.array([10.0, 20.0, 30.0])


def profile(fwhm, shift=NO_SHIFT, length=128):
    return fft.fftshift(fft.irfft2(moffat_kernel(fwhm, tuple(shift), length), s=(length, length)))


def observe(canvas, seeing=(0.9, 0.8, 0.7), shifts=None):
    return canvas.observe(np.array(seeing), np.zeros((3, 2)) if shifts is None else shifts)


@pytest.mark.parametrize("fwhm", [2.0, 3.3, 8.0])
def test_moffat_is_normalised_and_has_the_given_width(fwhm):
    kernel = profile(fwhm)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    # (value / peak)^(-1/3) - 1 is proportional to the radius squared, so the two pixels around half of the peak give
    # the radius there.
    row = (kernel[64, 64:70] / kernel[64, 64]) ** (-1.0 / 3.0) - 1.0
    half = 2.0 ** (1.0 / 3.0) - 1.0
    outside = int(np.argmax(row > half))
    radius = np.sqrt(np.interp(half, row[outside - 1 : outside + 1], [(outside - 1.0) ** 2, outside**2]))
    assert 2.0 * radius == pytest.approx(fwhm, rel=1e-3)


def test_moffat_shift_moves_the_centre():
    kernel = profile(4.0, shift=(1.5, -0.75))
    y, x = np.indices(kernel.shape) - 64
    assert (kernel * x).sum() == pytest.approx(1.5, abs=0.02)
    assert (kernel * y).sum() == pytest.approx(-0.75, abs=0.02)


@pytest.mark.parametrize("scale", [0.2, 0.34, 0.5, 0.7])
def test_observing_conserves_flux(scale):
    canvas = Canvas(Geometry(96, scale), floor=1e-9)
    canvas.galaxy(0.4, -0.7, 0.6, 1.0, 0.7, 0.3, FLUXES)
    np.testing.assert_allclose(observe(canvas).sum(axis=(1, 2)), canvas.images.sum(axis=(1, 2)), rtol=2e-3)
    np.testing.assert_allclose(observe(canvas).sum(axis=(1, 2)), FLUXES, rtol=0.02)


@pytest.mark.parametrize("scale", [0.25, 0.34, 0.5])
def test_a_star_has_the_given_position(scale):
    canvas = Canvas(Geometry(64, scale), floor=1e-9)
    canvas.point(2.1, -3.3, FLUXES)
    image = observe(canvas, seeing=(1.2, 1.2, 1.2))[1]
    y, x = np.indices(image.shape)
    assert (image * x).sum() / image.sum() == pytest.approx(31.5 + 2.1 / scale, abs=0.03)
    assert (image * y).sum() / image.sum() == pytest.approx(31.5 - 3.3 / scale, abs=0.03)


def test_a_star_is_as_wide_as_the_seeing():
    canvas = Canvas(Geometry(96, 0.1), floor=1e-9)
    canvas.point(0.0, 0.0, FLUXES)
    for image, fwhm in zip(observe(canvas, seeing=(1.5, 1.1, 0.8)), (1.5, 1.1, 0.8), strict=True):
        # The width is measured from the area above half of the peak.
        fine = ndimage.zoom(image, 4, order=3)
        assert 2.0 * np.sqrt(np.count_nonzero(fine > 0.5 * fine.max()) / np.pi) * 0.1 / 4.0 == pytest.approx(
            fwhm, rel=0.03
        )


def test_a_shifted_band_is_moved_by_the_shift():
    canvas = Canvas(Geometry(64, 0.5), floor=1e-9)
    canvas.point(0.0, 0.0, FLUXES)
    image = observe(canvas, shifts=np.array([[0.0, 0.0], [0.4, -0.2], [0.0, 0.0]]))
    _, x = np.indices(image.shape[1:])
    centres = (image * x).sum(axis=(1, 2)) / image.sum(axis=(1, 2)) - 31.5
    np.testing.assert_allclose(centres, [0.0, 0.8, 0.0], atol=0.03)


def test_light_from_outside_the_cutout_enters_through_the_seeing():
    canvas = Canvas(Geometry(64, 0.5), floor=1e-9)
    canvas.point(16.5, 0.0, FLUXES)
    image = observe(canvas, seeing=(1.5, 1.5, 1.5))
    assert 0.01 * FLUXES[0] < image[0].sum() < 0.5 * FLUXES[0]
    assert image[0, :, -1].sum() > image[0, :, -2].sum()


def test_magnitudes():
    assert flux_of(27.0) == pytest.approx(1.0)
    assert flux_of(22.0) == pytest.approx(100.0)
    np.testing.assert_allclose(band_fluxes(22.0, 0.5, 0.25), flux_of([22.5, 22.0, 21.75]))
