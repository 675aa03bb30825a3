"""Tests of the mass of a cluster: Einstein radii, and the light of sources behind it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gridlens.lensing import SIE, MassModel, lensing_efficiency
from gridlens.simulate._canvas import Canvas, Geometry
from gridlens.simulate._lens import ClusterMass, critical_radius, draw_mass
from gridlens.simulate._sources import Source, draw_lensed, draw_sources

MEMBERS = np.array([[5.0, -3.0, 1.0], [-12.0, 8.0, 0.5], [20.0, 20.0, 0.2]])


def halo(kind, theta_e, seed=0, members=None, centre=(0.0, 0.0)):
    """Draw masses until the halo is of the given kind."""
    members = np.empty((0, 3)) if members is None else members
    while True:
        mass = draw_mass(np.random.default_rng(seed), 0.4, theta_e, centre, 0.3, members)
        if mass.halo == kind:
            return mass
        seed += 100


def rounded(mass):
    """Return the mass without ellipticity and shear."""
    main, _, *members = mass.model.components
    model = MassModel([replace(main, axis_ratio=1.0), *members])
    return replace(mass, model=model)


@pytest.mark.parametrize("theta_e", [8.0, 18.0, 32.0])
@pytest.mark.parametrize("kind", ["NIE", "NFW_ELLIPSE_CSE"])
@pytest.mark.parametrize("seed", range(3))
def test_isolated_round_halo_has_the_given_einstein_radius(kind, theta_e, seed):
    mass = rounded(halo(kind, theta_e, seed))
    centre = (mass.model.components[0].x, mass.model.components[0].y)
    measured, curve = critical_radius(mass, centre)
    assert measured == pytest.approx(theta_e, rel=0.01)
    # At the Einstein radius, the deflection equals the radius for any slope of the halo.
    ring = np.linspace(0.0, 2.0 * math.pi, 50)
    x, y = centre[0] + theta_e * np.cos(ring), centre[1] + theta_e * np.sin(ring)
    np.testing.assert_allclose(np.hypot(*mass.model.deflection(x, y)), theta_e, rtol=2e-3)
    assert np.hypot(*(curve - centre).T) == pytest.approx(theta_e, rel=0.1)


@pytest.mark.parametrize("kind", ["NIE", "NFW_ELLIPSE_CSE"])
def test_ellipticity_and_shear_hardly_change_the_area_and_members_increase_it(kind):
    for seed in range(4):
        alone, _ = critical_radius(halo(kind, 15.0, seed), (0.0, 0.0))
        assert alone == pytest.approx(15.0, rel=0.1)
        with_members, _ = critical_radius(halo(kind, 15.0, seed, MEMBERS), (0.0, 0.0))
        assert with_members > alone


def test_no_critical_curve():
    weak = ClusterMass(MassModel([SIE(1e-3, core=5.0)]), 0.4, theta_e_halo=1.0, halo="NIE")
    theta_e, curve = critical_radius(weak, (0.0, 0.0))
    assert theta_e == 0.0
    assert curve.shape == (0, 2)


@pytest.mark.parametrize("redshift", [0.8, 1.3, 2.0, 3.0])
def test_the_ring_scales_with_the_sources_redshift(redshift):
    # This isothermal sphere deflects by 15 arcsec everywhere, so its ring has a radius of 15 arcsec.
    mass = ClusterMass(MassModel([SIE(15.0)]), redshift=0.4, theta_e_halo=15.0, halo="NIE")
    source = Source(0.0, 0.0, redshift, 23.0, (0.3, 0.1), [(0.0, 0.0, 0.3, 1.0, 1.0, 0.0, 1.0)])
    canvas = Canvas(Geometry(), floor=0.0)
    magnification = draw_lensed(canvas, mass, [source])
    x, y = canvas.grid()
    radius = (canvas.images[1] * np.hypot(x, y)).sum() / canvas.images[1].sum()
    expected = 15.0 * lensing_efficiency(0.4, redshift) / lensing_efficiency(0.4, 2.0)
    assert radius == pytest.approx(expected, rel=0.01)
    assert magnification > 20.0


def test_all_images_of_a_source_have_its_colour():
    mass = halo("NIE", 15.0, members=MEMBERS)
    components = [(1.0, 0.5, 0.4, 1.0, 0.7, 0.3, 0.7), (1.3, 0.4, 0.08, 0.5, 1.0, 0.0, 0.3)]
    canvas = Canvas(Geometry(), floor=0.0)
    draw_lensed(canvas, mass, [Source(1.0, 0.5, 1.5, 23.0, (0.4, 0.2), components)])
    g, r, i = (image[canvas.images[1] > 0.0] for image in canvas.images)
    assert r.size > 500
    np.testing.assert_allclose(-2.5 * np.log10(g / r), 0.4, atol=1e-6)
    np.testing.assert_allclose(-2.5 * np.log10(r / i), 0.2, atol=1e-6)


def test_drawn_sources_are_behind_the_lens_and_near_it():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mass = draw_mass(rng, 0.65, 15.0, (0.0, 0.0), 0.3, MEMBERS)
        _, curve = critical_radius(mass, (0.0, 0.0))
        sources = draw_sources(rng, mass, curve, (0.0, 0.0), cluster_cluster=seed % 2 == 1)
        assert all(source.redshift >= 0.8 for source in sources)
        assert all(math.hypot(source.x, source.y) < 20.0 for source in sources)
        assert all(sum(c[-1] for c in source.components) == pytest.approx(1.0) for source in sources)
        if seed % 2:
            assert 6 <= len(sources) <= 15
            assert len({source.redshift for source in sources}) == 1
        else:
            assert 1 <= len(sources) <= 4
