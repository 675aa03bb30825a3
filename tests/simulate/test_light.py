"""The light kernels against lenstronomy's own profiles."""

import math

import numpy as np
import pytest
from scipy import integrate

pytest.importorskip("lenstronomy")
from lenstronomy.LightModel.light_model import LightModel

from gridlens.simulate._light import add_arc, add_lensed_sersic, add_sersic, sersic_b, sersic_norm

SIZE = 121
X, Y = 60.3, 58.8
# Sersic index, effective radius in sub-pixels, axis ratio, angle
GALAXIES = [(1.0, 6.0, 0.6, 0.5), (1.0, 10.0, 0.2, 1.0), (2.5, 5.0, 0.9, -0.7), (4.0, 6.0, 0.7, 2.0)]


def drawn(n, radius, axis_ratio, angle, fluxes=(100.0,), floor=1e-9, x=X, y=Y):
    images = np.zeros((len(fluxes), SIZE, SIZE))
    add_sersic(images, x, y, radius, n, axis_ratio, angle, np.array(fluxes), floor)
    return images


def lensed(beta_x, beta_y, n, radius, axis_ratio, angle, flux=100.0, x=0.0, y=0.0):
    image = np.zeros((1, *beta_x.shape))
    unit = np.array([flux / (sersic_norm(n) * radius**2)])
    add_lensed_sersic(
        image, beta_x, beta_y, x, y, radius, n, sersic_b(n), axis_ratio, math.cos(angle), math.sin(angle), unit
    )
    return image[0]


@pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
def test_norm_is_lenstronomys_total_flux(n):
    profile = {"amp": 1.0, "R_sersic": 1.0, "n_sersic": n, "center_x": 0.0, "center_y": 0.0}
    assert sersic_norm(n) == pytest.approx(LightModel(["SERSIC"]).total_flux([profile])[0], rel=2e-3)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_norm_is_the_integral_and_half_of_it_lies_within_the_effective_radius(n):
    def light(r):
        return 2.0 * math.pi * r * math.exp(-sersic_b(n) * (r ** (1.0 / n) - 1.0))

    inner = integrate.quad(light, 0.0, 1.0)[0]
    assert inner + integrate.quad(light, 1.0, np.inf)[0] == pytest.approx(sersic_norm(n), rel=1e-6)
    assert inner == pytest.approx(0.5 * sersic_norm(n), rel=1e-3)


@pytest.mark.parametrize(("n", "radius", "axis_ratio", "angle"), GALAXIES)
def test_sersic_is_lenstronomys(n, radius, axis_ratio, angle):
    fine = 7
    axis = (np.arange(SIZE * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(axis, axis)
    flattening = (1.0 - axis_ratio) / (1.0 + axis_ratio)
    profile = {
        "amp": 100.0 / (sersic_norm(n) * radius**2),
        "R_sersic": radius,
        "n_sersic": n,
        "e1": flattening * math.cos(2.0 * angle),
        "e2": flattening * math.sin(2.0 * angle),
        "center_x": X,
        "center_y": Y,
    }
    reference = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(x, y, [profile])
    reference = reference.reshape(SIZE, fine, SIZE, fine).mean(axis=(1, 3))
    image = drawn(n, radius, axis_ratio, angle)[0]
    assert np.abs(image - reference).sum() < 0.01 * reference.sum()
    assert np.abs(image - reference).max() < 0.01 * reference.max()


def test_total_flux_in_each_band():
    image = drawn(1.0, 4.0, 0.7, 0.3, fluxes=(1.0, 20.0, 5.0))
    np.testing.assert_allclose(image.sum(axis=(1, 2)), [1.0, 20.0, 5.0], rtol=5e-3)


def test_floor_cuts_the_wings_and_nothing_else():
    whole, cut = drawn(4.0, 6.0, 0.7, 0.0)[0], drawn(4.0, 6.0, 0.7, 0.0, floor=0.01)[0]
    assert np.all(cut[whole > 0.0101] == whole[whole > 0.0101])
    assert np.count_nonzero(cut) < 0.5 * np.count_nonzero(whole)
    assert cut.sum() > 0.8 * whole.sum()


def test_galaxy_across_the_edge_is_part_of_the_whole():
    whole = drawn(1.0, 6.0, 0.6, 0.5)[0]
    images = np.zeros((1, SIZE, SIZE))
    add_sersic(images, X - 58.0, Y - 58.0, 6.0, 1.0, 0.6, 0.5, np.array([100.0]), 1e-9)
    np.testing.assert_allclose(images[0, :60, :60], whole[58:118, 58:118], rtol=1e-9, atol=1e-12)


def test_galaxy_without_light_draws_nothing():
    assert not drawn(1.0, 6.0, 0.6, 0.5, fluxes=(0.0, 0.0, 0.0)).any()


@pytest.mark.parametrize(("n", "radius", "axis_ratio", "angle"), [g for g in GALAXIES if g[0] < 4.0])
def test_source_without_a_lens_is_a_galaxy(n, radius, axis_ratio, angle):
    y, x = np.indices((SIZE, SIZE), dtype=float)
    image = lensed(x, y, n, radius, axis_ratio, angle, x=X, y=Y)
    reference = drawn(n, radius, axis_ratio, angle)[0]
    assert np.abs(image - reference).sum() < 0.03 * reference.sum()


def test_lensing_conserves_surface_brightness():
    y, x = np.indices((SIZE, SIZE), dtype=float) - 60.0
    plain = lensed(x, y, 1.0, 6.0, 0.8, 0.4)
    magnified = lensed(x / 2.0, y / 1.5, 1.0, 6.0, 0.8, 0.4)
    assert magnified.sum() == pytest.approx(3.0 * plain.sum(), rel=0.02)
    # The image of a point of the source is as bright as the point.
    for column, row in ((0, 0), (4, 2), (-6, 4)):
        here = magnified[60 + round(1.5 * row), 60 + 2 * column]
        assert here == pytest.approx(plain[60 + row, 60 + column], rel=0.05)


def test_images_of_a_source_smaller_than_a_subpixel_keep_their_flux():
    y, x = np.indices((41, 41), dtype=float) - 20.0
    stretched = lensed(x / 8.0, y, 0.5, 0.8, 1.0, 0.0, flux=1.0)
    assert stretched.sum() == pytest.approx(8.0, rel=0.05)


@pytest.mark.parametrize(
    ("opening", "pitch", "tolerance"),
    # A spiral winds out of its mean radius: its flux is right to a tenth.
    [(1.0, 0.0, 1e-3), (3.0, 0.0, 1e-3), (2.0 * math.pi, 0.0, 1e-3), (2.5, 0.3, 0.03), (4.0, -0.4, 0.1)],
)
def test_arc_has_the_flux_asked_for(opening, pitch, tolerance):
    images = np.zeros((3, 300, 300))
    add_arc(images, 150.0, 149.0, 60.0, 1.0, opening, 4.0, np.array([1.0, 2.0, 7.0]), pitch)
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [1.0, 2.0, 7.0], rtol=tolerance)


def test_arc_lies_on_its_circle_about_its_middle():
    images = np.zeros((1, 200, 200))
    add_arc(images, 100.0, 90.0, 50.0, 0.5 * math.pi, 1.0, 3.0, np.array([1.0]))
    y, x = np.indices((200, 200))
    radius = (images[0] * np.hypot(x - 100.0, y - 90.0)).sum()
    angle = (images[0] * np.arctan2(y - 90.0, x - 100.0)).sum()
    assert radius == pytest.approx(50.0, abs=0.3)
    assert angle == pytest.approx(0.5 * math.pi, abs=0.01)
