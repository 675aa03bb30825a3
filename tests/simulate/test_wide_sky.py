"""Tests of randomised observations: each ingredient alone, and numbers that agree with the pixels."""

import math

import numpy as np
import pytest

from gridlens.cutouts import get_survey
from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.simulate._canvas import Canvas, Geometry, flux_of
from gridlens.simulate._noise_texture import Grid, Texture, drop_kernel, gaussian_kernel
from gridlens.simulate._observe import FWHM_PER_SIGMA, add_noise, draw_conditions
from gridlens.simulate._point_spread import PointSpread
from gridlens.simulate._randomised import Streams
from gridlens.simulate._scene import arc_truth
from gridlens.simulate._wide_background import _add_mark, _add_residual
from gridlens.simulate._wide_sky import draw_sampling, widened

SKY = ("psf", "noise", "background", "registration", "sampling")
HSC = get_survey("hsc")


def wide_conditions(index, names=SKY):
    """Return the conditions of a scene, its geometry and its sampling."""
    streams = Streams(3, index, names)
    sampling = draw_sampling(streams)
    geometry = Geometry(128, sampling.pixel_scale or 0.5)
    drawn = draw_conditions(np.random.default_rng(index), HSC, geometry, varied=False)
    return widened(drawn, streams, geometry, sampling, varied=False), geometry, sampling


def moments(image, pixel_scale):
    """Return the centroid and the second moments xx, yy, xy of an image, in arcsec."""
    axis = (np.arange(image.shape[0]) - 0.5 * (image.shape[0] - 1)) * pixel_scale
    x, y = np.meshgrid(axis, axis)
    weight = image / image.sum()
    mx, my = (weight * x).sum(), (weight * y).sum()
    dx, dy = x - mx, y - my
    return mx, my, (weight * dx * dx).sum(), (weight * dy * dy).sum(), (weight * dx * dy).sum()


def star(spread):
    canvas = Canvas(Geometry(), 1e-6)
    canvas.point(0.0, 0.0, np.full(3, 1000.0))
    return canvas.observe(np.full(3, 2.0 * spread.fwhm), np.zeros((3, 2)), (spread,) * 3)[0]


@pytest.fixture(scope="module")
def plain_scenes():
    return [simulate_scene(21, index, SceneSettings(varied_fraction=0.0)) for index in range(6)]


@pytest.mark.parametrize("name", SKY)
def test_an_ingredient_changes_half_of_the_scenes(name, plain_scenes):
    changed = 0
    for index, plain in enumerate(plain_scenes):
        wide = simulate_scene(21, index, SceneSettings(varied_fraction=0.0, randomisation=(name,)))
        assert wide.truth.keys() == plain.truth.keys()
        assert wide.truth["label"] == plain.truth["label"]
        assert wide.pixels.shape == plain.pixels.shape
        changed += not np.array_equal(plain.pixels, wide.pixels, equal_nan=True)
    assert 1 <= changed <= 5


@pytest.mark.parametrize("left_out", SKY)
def test_omitting_an_ingredient_does_not_change_the_others(left_out):
    fewer = tuple(name for name in SKY if name != left_out)
    for index in range(4):
        one, two = Streams(3, index, SKY), Streams(3, index, fewer)
        assert [one.in_half(name) is None for name in fewer] == [two.in_half(name) is None for name in fewer]
        for name in fewer:
            assert one.of(name).random() == two.of(name).random()


@pytest.mark.parametrize("e", [0.0, 0.12, 0.08j])
def test_an_elliptical_gaussian_has_its_second_moments(e):
    _, _, xx, yy, xy = moments(star(PointSpread(1.5, math.inf, e)), 0.5)
    # The pixels, and the sub-pixels between which a point is divided, add to the width.
    ratio = (1.0 - abs(e)) / (1.0 + abs(e))
    variance = (1.5 / FWHM_PER_SIGMA) ** 2
    trace = variance * (ratio + 1.0 / ratio)
    assert xx + yy == pytest.approx(trace + 2.0 * (0.5**2 / 12.0 + 0.25**2 / 6.0), rel=0.02)
    stretch = variance * (1.0 / ratio - ratio)
    angle = 0.5 * math.atan2(complex(e).imag, complex(e).real)
    assert xx - yy == pytest.approx(stretch * math.cos(2.0 * angle), abs=0.004)
    assert 2.0 * xy == pytest.approx(stretch * math.sin(2.0 * angle), abs=0.004)


def test_a_linear_interpolation_adds_the_variance_of_a_triangle():
    plain, smooth = (moments(star(PointSpread(1.5, math.inf, pitch=pitch, turn=0.4)), 0.5) for pitch in (0.0, 0.6))
    for k in (2, 3):
        assert smooth[k] - plain[k] == pytest.approx(0.6**2 / 6.0, rel=0.02)


def test_a_point_spread_conserves_flux_and_wings_lower_its_peak():
    for spread in (PointSpread(1.0, 2.0), PointSpread(1.0, math.inf, 0.05, wings=0.3, pitch=0.5)):
        assert star(spread).sum() == pytest.approx(1000.0, rel=1e-4)
    assert star(PointSpread(1.0, math.inf, wings=0.3)).max() < star(PointSpread(1.0, math.inf)).max()


@pytest.mark.parametrize("index", range(8))
def test_conditions_lie_in_their_ranges(index):
    conditions, geometry, sampling = wide_conditions(index)
    assert 0.3 <= geometry.pixel_scale <= 0.7
    assert math.hypot(*sampling.offset) <= 3.0
    assert math.hypot(*sampling.error) <= 0.3
    assert np.all(np.abs(2.5 * np.log10(conditions.throughput)) <= 0.1 + 1e-9)
    assert np.all((conditions.seeing >= 1.6 * geometry.step - 1e-9) & (conditions.seeing <= 2.6))
    assert np.all(np.abs(conditions.depth - HSC.depth) < 1.2 + 0.5 + 0.5)
    for spread in conditions.spreads or ():
        assert abs(spread.ellipticity) <= 0.12 + 1e-9


@pytest.mark.parametrize(
    "texture",
    [
        Texture((gaussian_kernel(1.2, 0.5, 0.7),) * 3),
        Texture((drop_kernel(1.5, 0.2, -0.4),) * 3),
        Texture((np.ones((1, 1)),) * 3, grid=Grid(0.8, 0.5, 1)),
        Texture((gaussian_kernel(0.8, 0.8, 0.0),) * 3, grid=Grid(1.2, 0.5, 3)),
    ],
)
def test_a_star_at_the_depth_is_seen_at_five_sigma_in_noise_of_any_texture(texture):
    width = 1.6  # pixels, wide enough to be sampled
    rms = 2.0 / 5.0 / math.sqrt(4.0 * math.pi * width**2) * texture.rms_factor(np.full(3, width))
    noise = rms[:, None, None] * texture.apply(np.random.default_rng(0).normal(size=(3, 256, 256)))
    y, x = np.indices((256, 256)) - 128.0
    profile = np.exp(-0.5 * (x * x + y * y) / width**2)
    profile /= profile.sum()
    spectrum = np.conj(np.fft.fft2(profile))
    seen = np.array([np.fft.ifft2(np.fft.fft2(one) * spectrum).real.std() for one in noise]) / (profile**2).sum()
    assert 2.0 / seen == pytest.approx(5.0, rel=0.06)


@pytest.mark.parametrize("index", range(6))
def test_noise_has_the_sky_rms_of_the_conditions(index):
    conditions, geometry, _ = wide_conditions(index)
    blank = np.zeros((3, geometry.size, geometry.size))
    noise = add_noise(np.random.default_rng(1), blank, conditions, geometry.pixel_scale)
    assert noise.std(axis=(1, 2)) == pytest.approx(conditions.sky_sigma, rel=0.03)


def test_the_arc_snr_matches_the_final_image():
    settings = SceneSettings(("hsc",), lens_fraction=1.0, varied_fraction=0.0, randomisation=SKY)
    for index in range(3):
        scene = simulate_scene(31, index, settings)
        truth, arc = scene.truth, np.moveaxis(scene.arc.astype(float), 2, 0)
        geometry = Geometry(truth["size"], truth["pixel_scale"])
        streams = Streams(31, index, SKY)
        sampling = draw_sampling(streams)
        rng = np.random.default_rng(np.random.SeedSequence(entropy=31, spawn_key=(index,)))
        # A scene draws these random numbers before its conditions.
        rng.choice(("hsc",)), rng.random(), rng.random(), rng.random()
        conditions = widened(draw_conditions(rng, HSC, geometry, False), streams, geometry, sampling, False)
        measured = arc_truth(arc, conditions.sky_sigma, (0.0, 0.0), geometry)
        assert measured["arc_snr"] == pytest.approx(truth["arc_snr"], rel=1e-3)
        assert measured["arc_mag_r"] == pytest.approx(truth["arc_mag_r"], abs=1e-3)


def test_a_residual_is_smooth_and_limited():
    light = np.zeros((3, 128, 128))
    light[:, 50:80, 50:80] = flux_of(24.0)
    for seed in range(10):
        pixels = np.zeros((3, 128, 128))
        _add_residual(np.random.default_rng(seed), pixels, light, np.array([1.0, 2.0, 3.0]))
        assert np.all(np.abs(pixels).max(axis=(1, 2)) <= 1.5 * np.array([1.0, 2.0, 3.0]) + 1e-9)
        assert np.abs(np.diff(pixels, axis=2)).max() < 0.5


def test_only_drawn_marks_are_named():
    """In a field of 10 arcsec, every position is too close to the BCG for the mark of a star that is not drawn."""
    named = set()
    for seed in range(40):
        pixels = np.zeros((3, 20, 20))
        name = _add_mark(np.random.default_rng(seed), pixels, np.ones(3), [], Geometry(20, 0.5), (0.0, 0.0))
        assert bool(name) == bool(pixels.any())
        named.add(name)
    assert "" in named
    assert not named & {"mask", "fill", "spikes", "bleed"}
    assert len(named) > 1
