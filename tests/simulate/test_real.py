"""Tests of realistic scenes: colours, counts and positions of galaxies, noise, groups and nearby spirals."""

from dataclasses import replace

import numpy as np
import pytest

from gridlens.cutouts import get_survey
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.simulate import RANDOMISED, SceneSettings, simulate_scene
from gridlens.simulate import _scene as scene_module
from gridlens.simulate._canvas import Canvas, Geometry, band_fluxes
from gridlens.simulate._observe import FWHM_PER_SIGMA, add_noise, add_saturation, draw_conditions
from gridlens.simulate._population import draw_cluster, red_sequence
from gridlens.simulate._real_population import (
    draw_real_cluster,
    draw_real_field,
    draw_real_stars,
    observed_red_sequence,
)
from gridlens.simulate._real_sky import add_sky_residual, draw_real_conditions, lanczos_kernel
from gridlens.simulate._scene import draw_scene
from gridlens.simulate._wide_galaxies import Blank

REALISTIC = SceneSettings(varied_fraction=0.0, realistic_fraction=1.0)
OWN_PIXELS = Geometry(240, 0.168)
HSC = get_survey("hsc")


class Recorder(Canvas):
    """A canvas that records galaxies and stars instead of drawing them."""

    def __init__(self, floor=1e-9):
        super().__init__(Geometry(), floor)
        self.galaxies, self.points = [], []

    def galaxy(self, x, y, radius, n, axis_ratio, angle, fluxes):
        self.galaxies.append((x, y, radius, fluxes))

    def point(self, x, y, fluxes):
        self.points.append(fluxes)


def correlation(noise, lag):
    return np.corrcoef(noise[..., lag:].ravel(), noise[..., :-lag].ravel())[0, 1]


def test_a_realistic_scene_depends_only_on_its_seed_and_number():
    one, two = (simulate_scene(5, 3, REALISTIC) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert not np.array_equal(one.pixels, simulate_scene(5, 3, SceneSettings(varied_fraction=0.0)).pixels)


def test_realistic_scenes_can_be_randomised():
    for index in range(4):
        scene = simulate_scene(5, index, replace(REALISTIC, randomisation=RANDOMISED))
        assert np.isfinite(scene.pixels).mean() > 0.8


@pytest.mark.parametrize(
    ("order", "expected"), [(2, (0.153, -0.043, 0.002)), (3, (0.113, -0.077, 0.027)), (5, (0.069, -0.061, 0.049))]
)
def test_noise_is_correlated_like_resampled_noise(order, expected):
    """The expected values are products of the weights of a Lanczos kernel, averaged over all phases."""
    kernel = lanczos_kernel(order)
    white = np.random.default_rng(0).normal(size=(1024, 1024))
    noise = np.fft.irfft2(np.fft.rfft2(white) * np.fft.rfft2(kernel, white.shape))
    assert [correlation(noise, lag) for lag in (1, 2, 3)] == pytest.approx(expected, abs=0.006)
    assert [correlation(noise.T, lag) for lag in (1, 2, 3)] == pytest.approx(expected, abs=0.006)


def test_an_image_with_coarser_pixels_has_less_correlated_noise():
    """Coarser pixels are further apart in the image that was interpolated."""
    line = lanczos_kernel(5, 3.0)[6]
    lags = np.correlate(line, line, "full")[12:]
    assert abs(lags[1] / lags[0]) < 0.06


def test_a_star_at_the_depth_is_seen_at_five_sigma():
    conditions = draw_real_conditions(np.random.default_rng(2), HSC, OWN_PIXELS, False)
    noise = add_noise(np.random.default_rng(3), np.zeros((3, 240, 240)), conditions, OWN_PIXELS.pixel_scale)
    y, x = np.indices((240, 240)) - 120
    for band in range(3):
        width = conditions.seeing[band] / FWHM_PER_SIGMA / OWN_PIXELS.pixel_scale
        star = np.exp(-0.5 * (x**2 + y**2) / width**2)
        star /= star.sum()
        filtered = np.fft.irfft2(np.fft.rfft2(noise[band]) * np.conj(np.fft.rfft2(np.fft.ifftshift(star))))
        signal = 10.0 ** (-0.4 * (conditions.depth[band] - 27.0)) * (star**2).sum()
        assert signal / filtered.std() == pytest.approx(5.0, rel=0.1)


def test_conditions_scatter_about_the_preset():
    drawn = [draw_real_conditions(np.random.default_rng(seed), HSC, OWN_PIXELS, False) for seed in range(150)]
    np.testing.assert_allclose(np.median([c.seeing for c in drawn], axis=0), HSC.seeing, rtol=0.04)
    np.testing.assert_allclose(np.median([c.depth for c in drawn], axis=0), HSC.depth, atol=0.06)
    assert all(abs(spread.ellipticity) < 0.1 for c in drawn for spread in c.spreads)
    assert 0.02 < np.mean([c.quantum > 0.0 for c in drawn]) < 0.25
    # SDSS frames contain the counts of the camera.
    sdss = replace(get_survey("sdss"), seeing=(1.4, 1.3, 1.2))
    assert draw_real_conditions(np.random.default_rng(1), sdss, Geometry(), False).quantum > 0.0


@pytest.mark.parametrize("name", SIMULATED_SURVEYS)
def test_every_simulated_survey_has_its_resampling_and_saturation(name):
    survey = get_survey(name)
    own = Geometry(64, survey.pixel_scale)
    conditions = [draw_real_conditions(np.random.default_rng(seed), survey, own, False) for seed in range(12)]
    assert all(14.0 <= c.saturation <= 18.5 and (c.sky_sigma > 0.0).all() for c in conditions)
    # In the survey's own pixels, most scenes have the correlated noise of its coadds.
    assert sum(c.texture.kernels[0].size > 1 for c in conditions) >= 8


def test_values_are_rounded_to_whole_steps():
    conditions = draw_conditions(np.random.default_rng(0), HSC, Geometry(), varied=False)
    rounded = replace(conditions, quantum=0.25)
    pixels = add_noise(np.random.default_rng(1), np.zeros((3, 64, 64)), rounded, 0.5)
    steps = pixels / (0.25 * conditions.sky_sigma[:, None, None])
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert np.unique(steps[0].round()).size > 10


def test_the_red_sequence_matches_observations():
    """Luminous red galaxies at z = 0.3 have g-r of 1.4 (Eisenstein et al. 2001); r-i rises fast beyond 0.4."""
    colours = np.array([observed_red_sequence(z) for z in np.linspace(0.2, 0.7, 11)])
    assert (np.diff(colours, axis=0) >= 0.0).all()
    assert observed_red_sequence(0.3)[0] == pytest.approx(1.43, abs=0.1)
    assert observed_red_sequence(0.6)[1] > red_sequence(0.6)[1] + 0.3
    cluster = draw_real_cluster(np.random.default_rng(0), Blank(Geometry(), 1e-3), 0.5, 40.0)
    assert cluster.red_colours == observed_red_sequence(0.5)
    plain = draw_cluster(np.random.default_rng(0), Blank(Geometry(), 1e-3), 0.5, 40.0)
    assert plain.red_colours == red_sequence(0.5)


def test_members_do_not_crowd_the_bcg():
    """The cutout has as many members as in plain clusters, but its inner 5 arcsec have far fewer."""

    def inner(draw):
        distances = []
        for seed in range(40):
            cluster = draw(np.random.default_rng(seed), Blank(Geometry(), 1e-3), 0.4, 50.0)
            distances.append(np.hypot(*(cluster.members[1:, :2] - cluster.bcg).T))
        distance = np.concatenate(distances)
        return (distance < 5.0).sum() / 40.0, (distance < 32.0).sum() / 40.0

    (near, all_), (plain_near, plain_all) = inner(draw_real_cluster), inner(draw_cluster)
    assert near < 0.5 * plain_near
    assert 0.6 < all_ / plain_all < 1.4


def test_field_galaxies_have_the_observed_counts():
    """There are about one galaxy per square arcmin at 21 to 22 mag and six at 23 to 24; bright ones are redder."""
    sheets = [Recorder() for _ in range(60)]
    for seed, sheet in enumerate(sheets):
        draw_real_field(np.random.default_rng(seed), sheet)
    # Discs with structure are drawn in several parts, and each fainter galaxy as one.
    fluxes = np.array([light for sheet in sheets for *_, light in sheet.galaxies])
    mags = 27.0 - 2.5 * np.log10(fluxes[:, 1])
    area = 60.0 * (sheets[0].size * sheets[0].step / 60.0) ** 2
    assert ((mags > 21.0) & (mags < 22.0)).sum() / area == pytest.approx(0.95, rel=0.5)
    assert ((mags > 23.0) & (mags < 24.0)).sum() / area == pytest.approx(6.0, rel=0.25)
    assert ((mags > 25.0) & (mags < 26.0)).sum() / area == pytest.approx(22.0, rel=0.25)
    colour = 2.5 * np.log10(fluxes[:, 1] / fluxes[:, 0])
    assert np.median(colour[(mags > 20.5) & (mags < 22.0)]) > np.median(colour[mags > 24.0]) + 0.1
    # Galaxies that would be invisible are not drawn on the canvas of a shallow survey.
    shallow = Recorder(floor=1.0)
    draw_real_field(np.random.default_rng(0), shallow)
    assert len(shallow.galaxies) < 0.5 * len(sheets[0].galaxies)


def test_stars_have_the_observed_density():
    sheets = [Recorder() for _ in range(150)]
    bright = [star for seed, sheet in enumerate(sheets) for star in draw_real_stars(np.random.default_rng(seed), sheet)]
    area = 150.0 * (sheets[0].size * sheets[0].step / 60.0) ** 2
    assert sum(len(sheet.points) for sheet in sheets) / area == pytest.approx(2.4, rel=0.3)
    assert 0.1 < len(bright) / area < 0.6
    assert all(fluxes[1] > band_fluxes(18.5, 0.0, 0.0)[1] for _, _, fluxes in bright)


def test_a_star_that_saturates_the_detector_leaves_marks():
    star = [(0.0, 0.0, band_fluxes(16.0, 0.5, 0.2))]
    for limit, marked in ((17.5, True), (14.5, False)):
        conditions = replace(draw_conditions(np.random.default_rng(0), HSC, Geometry(), varied=False), saturation=limit)
        pixels = np.zeros((3, 128, 128))
        add_saturation(np.random.default_rng(1), pixels, star, conditions, Geometry())
        assert pixels.any() == marked


def test_the_residual_of_the_sky_is_smooth_and_small():
    for seed in range(10):
        pixels = np.zeros((3, 64, 64))
        add_sky_residual(np.random.default_rng(seed), pixels, np.array([1.0, 2.0, 3.0]), 0.3)
        assert (np.abs(pixels).max(axis=(1, 2)) <= 0.3 * np.array([1.0, 2.0, 3.0]) + 1e-12).all()
        assert np.abs(np.diff(pixels, axis=2)).max() < 0.15 * 3.0


def test_lenses_of_groups_have_small_einstein_radii(monkeypatch):
    for fraction, low, high in ((1.0, 4.0, 8.0), (0.0, 8.0, 32.0)):
        monkeypatch.setattr(scene_module, "REALISTIC", replace(scene_module.REALISTIC, groups=fraction))
        radii = [simulate_scene(2, k, replace(REALISTIC, lens_fraction=1.0)).truth["theta_e_halo"] for k in range(3)]
        assert all(low <= radius <= high for radius in radii)


def test_nearby_spirals_are_only_in_scenes_without_a_lens(monkeypatch):
    monkeypatch.setattr(scene_module, "REALISTIC", replace(scene_module.REALISTIC, nearby_spirals=1.0))
    lens, other = (simulate_scene(2, 0, replace(REALISTIC, lens_fraction=part)) for part in (1.0, 0.0))
    assert "nearby-spiral" not in lens.truth["impostor"]
    assert "nearby-spiral" in other.truth["impostor"]


@pytest.mark.parametrize("realistic", [False, True])
def test_a_scene_can_have_another_geometry_and_centre(realistic):
    settings = replace(REALISTIC, lens_fraction=0.0, realistic_fraction=realistic)
    drawn = []

    def centre(rng, canvas):
        drawn.append(canvas.geometry)
        return draw_cluster(rng, canvas, 0.4, 1e-9)

    geometry = Geometry(64, 0.4)
    scene = draw_scene(np.random.default_rng(1), HSC, settings, 1, 0, geometry=geometry, draw_centre=centre)
    assert scene.pixels.shape == (64, 64, 3)
    assert scene.pixel_scale == 0.4
    assert drawn == [geometry]
    assert scene.truth["impostor"] == ""


def test_a_fraction_of_the_scenes_is_realistic_and_the_others_are_plain():
    plain, every, half = (SceneSettings(varied_fraction=0.0, realistic_fraction=f) for f in (0.0, 1.0, 0.5))
    kinds = []
    for index in range(12):
        pixels = simulate_scene(5, index, half).pixels
        is_plain, is_real = (
            np.array_equal(pixels, simulate_scene(5, index, settings).pixels, equal_nan=True)
            for settings in (plain, every)
        )
        assert is_plain != is_real
        kinds.append(is_real)
    assert 2 <= sum(kinds) <= 10
