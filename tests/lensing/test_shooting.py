"""Tests of lensed sources against dense sampling, and of the quantities that lensing conserves."""

import math

import naive_lensing
import numpy as np
import pytest
from scipy import integrate

from gridlens.lensing import DPIE, NFW, SIE, ExternalShear, MassModel, SersicSource, render_sources
from gridlens.lensing._sources import sersic_b, sersic_norm

LENS = MassModel(
    [
        SIE(6.0, 0.2, 0.1, 0.75, 0.4, core=0.3),
        ExternalShear(0.05, 1.0),
        DPIE(0.8, 0.05, 4.0, 4.0, 4.5),
        DPIE(0.6, 0.05, 3.0, -5.0, 1.0),
    ]
)
HALO = MassModel([NFW.from_einstein_radius(6.0, 30.0, axis_ratio=0.8)])
NO_LENS = MassModel([])
CLUMPS = [
    SersicSource(0.8, 0.5, 0.5, 1.0, 10.0, 0.6, 0.7),
    SersicSource(0.9, 0.3, 0.07, 0.5, 2.0),
    SersicSource(-0.3, 0.9, 0.4, 2.5, 5.0, 0.9, 2.0),
]


def naive(lens, sources, size, pixel_scale, samples=24):
    rows = [
        (s.x, s.y, s.radius, s.n, sersic_b(s.n), s.axis_ratio, s.angle, s.flux / (sersic_norm(s.n) * s.radius**2))
        for s in sources
    ]
    return naive_lensing.rendered(lens.trace, rows, size, pixel_scale, samples)


@pytest.mark.slow
@pytest.mark.parametrize("lens", [LENS, HALO, NO_LENS], ids=["members", "halo", "none"])
@pytest.mark.parametrize(("size", "pixel_scale"), [(48, 0.35), (25, 0.7)])
def test_adaptive_sampling_matches_dense_sampling(lens, size, pixel_scale):
    image, reference = render_sources(lens, CLUMPS, (size, size), pixel_scale), naive(lens, CLUMPS, size, pixel_scale)
    assert image.sum() == pytest.approx(reference.sum(), rel=3e-3)
    # The faintest light is not drawn, and a profile with a high index has much of it.
    assert np.abs(image - reference).sum() < 0.02 * reference.sum()
    assert np.abs(image - reference).max() < 0.025 * reference.max()


def test_no_light_is_lost_between_the_blocks():
    """Rays are shot only where light falls, and no pixel with light is left out."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        members = [DPIE(float(rng.uniform(0.2, 1.5)), 0.05, 4.0, *rng.uniform(-15.0, 15.0, 2)) for _ in range(8)]
        halo = NFW.from_einstein_radius(9.0, 40.0, axis_ratio=0.7) if rng.random() < 0.5 else SIE(9.0, core=0.2)
        lens = MassModel([halo, ExternalShear(0.05, 0.3), *members])
        source = SersicSource(*rng.uniform(-4.0, 4.0, 2), 0.3, 1.0, 1.0)
        size, scale = 150, 0.25
        axis = (np.arange(size) - 0.5 * (size - 1)) * scale
        beta = lens.trace(*np.meshgrid(axis, axis))
        lit = np.hypot(beta[0] - source.x, beta[1] - source.y) < 1.2
        assert (render_sources(lens, [source], (size, size), scale)[lit] > 0.0).all()


@pytest.mark.parametrize("supersampling", [1, 3, None])
def test_parts_add_up(supersampling):
    """Any window of an image is equal to that part of the whole image, and light adds up over sources and bands."""
    whole = render_sources(LENS, CLUMPS, (60, 52), 0.3, supersampling=supersampling)
    parts = [render_sources(LENS, [source], (60, 52), 0.3, supersampling=supersampling) for source in CLUMPS]
    np.testing.assert_allclose(whole, np.sum(parts, axis=0), rtol=1e-12, atol=1e-15)
    half = render_sources(LENS, CLUMPS, (30, 52), 0.3, centre=(0.0, -4.5), supersampling=supersampling)
    np.testing.assert_allclose(half, whole[:30], rtol=1e-9, atol=1e-3 * whole.max())
    bands = [SersicSource(s.x, s.y, s.radius, s.n, (s.flux, 2.0 * s.flux), s.axis_ratio, s.angle) for s in CLUMPS]
    both = render_sources(LENS, bands, (60, 52), 0.3, supersampling=supersampling)
    np.testing.assert_allclose(both, [whole, 2.0 * whole], rtol=1e-12)


def test_efficiency_scales_the_deflection():
    source = SersicSource(0.5, 0.2, 0.4, 1.0, 1.0, efficiency=0.7)
    again = SersicSource(0.5, 0.2, 0.4, 1.0, 1.0)
    image = render_sources(LENS, [source], (64, 64), 0.3)
    np.testing.assert_allclose(image, render_sources(LENS.scaled(0.7), [again], (64, 64), 0.3), atol=1e-4 * image.max())
    unlensed = render_sources(LENS, [SersicSource(0.5, 0.2, 0.4, 1.0, 1.0, efficiency=0.0)], (64, 64), 0.3)
    np.testing.assert_allclose(unlensed, render_sources(NO_LENS, [again], (64, 64), 0.3), rtol=1e-12)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("axis_ratio", [1.0, 0.4])
def test_a_source_without_a_lens_keeps_its_flux(n, axis_ratio):
    source = SersicSource(0.3, -0.2, 2.0, n, 100.0, axis_ratio, 0.5)
    # The faintest light is not drawn.
    lost = 0.0 if n < 2.0 else 0.02
    image = render_sources(NO_LENS, [source], (400, 400), 0.5)
    assert image.sum() == pytest.approx(100.0, rel=2e-3 + lost)
    assert image.sum() < 100.2


def test_lensing_conserves_surface_brightness():
    stretched = MassModel([ExternalShear(0.3, 0.0)])
    source = SersicSource(0.0, 0.0, 2.0, 1.0, 1.0)
    plain, lensed = (render_sources(lens, [source], (201, 201), 0.1) for lens in (NO_LENS, stretched))
    assert lensed.sum() == pytest.approx(plain.sum() / (0.7 * 1.3), rel=5e-3)
    assert lensed.max() == pytest.approx(plain.max(), rel=5e-3)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_norm_is_the_integral_and_half_of_it_lies_within_the_effective_radius(n):
    def light(r):
        return 2.0 * math.pi * r * math.exp(-sersic_b(n) * (r ** (1.0 / n) - 1.0))

    inner = integrate.quad(light, 0.0, 1.0)[0]
    assert inner + integrate.quad(light, 1.0, np.inf)[0] == pytest.approx(sersic_norm(n), rel=1e-6)
    assert inner == pytest.approx(0.5 * sersic_norm(n), rel=1e-3)


@pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
def test_norm_matches_the_total_flux_of_lenstronomy(n):
    pytest.importorskip("lenstronomy")
    from lenstronomy.LightModel.light_model import LightModel

    profile = {"amp": 1.0, "R_sersic": 1.0, "n_sersic": n, "center_x": 0.0, "center_y": 0.0}
    assert sersic_norm(n) == pytest.approx(LightModel(["SERSIC"]).total_flux([profile])[0], rel=2e-3)


def test_no_source_in_the_image():
    assert render_sources(LENS, [], (4, 5), 0.3).shape == (4, 5)
    assert not render_sources(LENS, [], (4, 5), 0.3).any()
    far = SersicSource(500.0, 0.0, 0.3, 1.0, (1.0, 2.0))
    assert not render_sources(LENS, [far], (20, 20), 0.3).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"radius": 0.0}, "'radius' parameter must be above 0. Got 0.0"),
        ({"n": 0.2}, "'n' parameter must be 0.36 or more"),
        ({"axis_ratio": 1.5}, "'axis_ratio' parameter must be above 0 and at most 1"),
        ({"efficiency": -0.1}, "'efficiency'"),
        ({"x": math.nan}, "'x' parameter must be a finite number"),
        ({"flux": (1.0, math.inf)}, "'flux' parameter must be finite"),
    ],
)
def test_out_of_range_sources_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        SersicSource(**({"x": 0.0, "y": 0.0, "radius": 0.3, "n": 1.0, "flux": 1.0} | values))


def test_out_of_range_images_are_refused():
    with pytest.raises(ValueError, match="'pixel_scale' parameter must be above 0"):
        render_sources(LENS, CLUMPS, (4, 4), 0.0)
    with pytest.raises(ValueError, match=r"'supersampling' parameter must be 1 or more, or None\. Got 0"):
        render_sources(LENS, CLUMPS, (4, 4), 0.3, supersampling=0)
    with pytest.raises(ValueError, match="the same number of bands"):
        render_sources(LENS, [CLUMPS[0], SersicSource(0.0, 0.0, 0.3, 1.0, (1.0, 2.0))], (4, 4), 0.3)
