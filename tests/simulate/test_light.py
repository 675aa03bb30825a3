"""Tests of the light kernels against lenstronomy's profiles."""

import math

import numpy as np
import pytest

from gridlens.lensing._sources import sersic_norm
from gridlens.simulate._light import add_arc, add_sersic

SIZE = 121
X, Y = 60.3, 58.8
# Sersic index, effective radius in sub-pixels, axis ratio, angle
GALAXIES = [(1.0, 6.0, 0.6, 0.5), (1.0, 10.0, 0.2, 1.0), (2.5, 5.0, 0.9, -0.7), (4.0, 6.0, 0.7, 2.0)]


def drawn(n, radius, axis_ratio, angle, fluxes=(100.0,), floor=1e-9, x=X, y=Y):
    images = np.zeros((len(fluxes), SIZE, SIZE))
    add_sersic(images, x, y, radius, n, axis_ratio, angle, np.array(fluxes), floor)
    return images


@pytest.mark.parametrize(("n", "radius", "axis_ratio", "angle"), GALAXIES)
def test_sersic_matches_lenstronomy(n, radius, axis_ratio, angle):
    pytest.importorskip("lenstronomy")
    from lenstronomy.LightModel.light_model import LightModel

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


def test_floor_removes_only_the_wings():
    whole, cut = drawn(4.0, 6.0, 0.7, 0.0)[0], drawn(4.0, 6.0, 0.7, 0.0, floor=0.01)[0]
    assert np.all(cut[whole > 0.0101] == whole[whole > 0.0101])
    assert np.count_nonzero(cut) < 0.5 * np.count_nonzero(whole)
    assert cut.sum() > 0.8 * whole.sum()


def test_galaxy_across_the_edge_is_cut_off():
    whole = drawn(1.0, 6.0, 0.6, 0.5)[0]
    images = np.zeros((1, SIZE, SIZE))
    add_sersic(images, X - 58.0, Y - 58.0, 6.0, 1.0, 0.6, 0.5, np.array([100.0]), 1e-9)
    np.testing.assert_allclose(images[0, :60, :60], whole[58:118, 58:118], rtol=1e-9, atol=1e-12)


def test_galaxy_without_flux_draws_nothing():
    assert not drawn(1.0, 6.0, 0.6, 0.5, fluxes=(0.0, 0.0, 0.0)).any()


@pytest.mark.parametrize(
    ("opening", "pitch", "tolerance"),
    # A spiral departs from its mean radius, so its flux is only accurate to a tenth.
    [(1.0, 0.0, 1e-3), (3.0, 0.0, 1e-3), (2.0 * math.pi, 0.0, 1e-3), (2.5, 0.3, 0.03), (4.0, -0.4, 0.1)],
)
def test_arc_has_the_given_flux(opening, pitch, tolerance):
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
