"""Tests of the second generator: independent of the first, deterministic, with the stated flux and noise."""

import ast
from pathlib import Path

import numpy as np
import pytest
from _other_arcs import FAINTEST_ARC, arc_snr, band_fluxes
from _second_galaxies import Sheet, disc_galaxy, early_type
from _second_sky import SIZE, second_scene
from _second_telescope import add_stars, noise_of
from _stamps import Stamp, paste, real_stamps

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("_other_arcs", "_second_galaxies", "_second_sky", "_second_telescope", "_stamps")


@pytest.mark.parametrize("module", MODULES)
def test_the_second_generator_shares_no_code(module):
    tree = ast.parse((BENCHMARKS / f"{module}.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not [name for name in imported if name.startswith(("gridlens.simulate", "_scenes", "_real"))]


@pytest.mark.slow
def test_scenes_are_reproducible_and_record_the_truth():
    with_arc = second_scene(3, 1, [], lens_fraction=1.0)
    again = second_scene(3, 1, [], lens_fraction=1.0)
    assert np.array_equal(with_arc.pixels, again.pixels)
    assert with_arc.truth == again.truth
    assert with_arc.pixels.shape == (SIZE, SIZE, 3)
    assert with_arc.pixels.dtype == np.float32
    assert np.isfinite(with_arc.pixels).all()
    assert arc_snr(with_arc.arc, with_arc.sky_sigma) >= FAINTEST_ARC
    without = second_scene(3, 1, [], lens_fraction=0.0)
    assert not without.arc.any()
    assert "theta_e" not in without.truth
    assert not np.array_equal(second_scene(3, 2, [], lens_fraction=0.0).pixels, without.pixels)


@pytest.mark.parametrize(("n", "radius", "axis_ratio"), [(1.0, 0.5, 0.6), (4.0, 1.0, 0.7), (5.5, 2.5, 0.6)])
def test_early_types_conserve_flux(n, radius, axis_ratio):
    sheet = Sheet(600, 0.2)
    early_type(sheet, 1.0, -2.0, radius, n, axis_ratio, 0.5, np.array([1.0, 2.0, 3.0]))
    assert sheet.light.sum(axis=(1, 2)) == pytest.approx([1.0, 2.0, 3.0], rel=0.02)


def test_discs_conserve_flux_within_a_fifth():
    sheet = Sheet(600, 0.2)
    disc_galaxy(np.random.default_rng(1), sheet, 0.0, 0.0, 2.0, 20.0, (0.5, 0.2))
    # Knots and the bar add light.
    assert sheet.light.sum(axis=(1, 2)) == pytest.approx(band_fluxes(20.0, 0.5, 0.2), rel=0.25)


def test_galaxies_outside_the_sheet_are_omitted():
    sheet = Sheet(64, 0.2)
    early_type(sheet, 500.0, 0.0, 1.0, 2.0, 0.8, 0.0, np.ones(3))
    disc_galaxy(np.random.default_rng(0), sheet, 0.0, -500.0, 1.0, 20.0, (0.5, 0.2))
    assert not sheet.light.any()


def test_stars_are_points():
    sheet = Sheet(128, 0.25)
    rng = np.random.default_rng(0)
    while not sheet.light.any():
        add_stars(rng, sheet)
    assert np.count_nonzero(sheet.light[1]) % 4 == 0


def test_noise_has_the_stated_rms_and_is_correlated():
    sigma = np.array([1.0, 2.0, 4.0])
    noise = noise_of(np.random.default_rng(2), np.zeros((3, 256, 256)), sigma, 0.5)
    assert noise.std(axis=(1, 2)) == pytest.approx(sigma, rel=0.02)
    neighbours = (noise[:, :, 1:] * noise[:, :, :-1]).mean(axis=(1, 2)) / sigma**2
    assert (neighbours > 0.0).any()
    bright = noise_of(np.random.default_rng(2), np.full((3, 64, 64), 1e4), sigma, 0.5)
    assert (bright.std(axis=(1, 2)) > 2.0 * sigma).all()


def blob(size, x, y, sigma, flux):
    rows, columns = np.indices((size, size))
    return flux * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2)


def test_stamps_are_complete_galaxies_seen_in_every_band():
    rng = np.random.default_rng(4)
    field = rng.normal(size=(200, 200, 3))
    for x, y, sigma in ((60, 60, 4.0), (140, 60, 1.4), (198, 140, 4.0)):
        field += blob(200, x, y, sigma, 60.0)[..., None]
    field[..., 0] += blob(200, 100, 150, 4.0, 60.0)
    stamps = real_stamps([(field.astype(np.float32), 0.3)])
    # The star, the galaxy at the border and the source in a single band are left out.
    assert len(stamps) == 1
    assert stamps[0].light.sum(axis=(1, 2)) == pytest.approx(np.full(3, 60.0 * 2.0 * np.pi * 16.0), rel=0.15)


@pytest.mark.parametrize("scale", [0.2, 0.4, 0.7])
def test_a_pasted_galaxy_keeps_its_brightness(scale):
    stamp = Stamp(np.stack([blob(60, 30, 30, 4.0, 1.0)] * 3), 0.3)
    totals = []
    for seed in range(12):
        light = np.zeros((3, 200, 200))
        paste(np.random.default_rng(seed), light, stamp, scale, np.full(3, 2.0))
        totals.append(light[0].sum())
    # In units of the sky's rms per arcsec, a wider pixel holds more light and more noise. The border may cut a galaxy.
    expected = 2.0 * stamp.light[0].sum() * 0.3 / scale
    assert max(totals) == pytest.approx(expected, rel=0.03)
