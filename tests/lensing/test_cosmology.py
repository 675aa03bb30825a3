"""Tests of the lensing efficiency and of the Einstein radii of isothermal spheres and NFW halos."""

import numpy as np
import pytest
from scipy.optimize import brentq

from gridlens.lensing import lensing_efficiency, nfw_einstein_radius, sis_einstein_radius

# Einstein radii of a cluster in arcsec, for sources at z = 2, in flat LCDM with Omega_m = 0.3 and H0 = 70.
HALOS = [
    (5e14, 0.3, 0.0, {4.0: 3.9, 6.0: 10.0, 8.0: 15.3}),
    (5e14, 0.3, 300.0, {4.0: 8.5, 6.0: 13.6}),
    (1e15, 0.6, 0.0, {4.0: 12.7, 6.0: 20.1, 8.0: 25.0}),
    (1e14, 0.3, 0.0, {4.0: 0.2, 8.0: 3.2}),
]


@pytest.mark.parametrize("source", [0.5, 0.8, 1.5, 3.0, 12.0])
def test_efficiency_matches_astropy(source):
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(H0=70.0, Om0=0.3)
    lens, behind = cosmology.comoving_distance([0.4, source])
    expected = float((behind - lens) / behind)
    assert lensing_efficiency(0.4, source) == pytest.approx(expected, abs=1e-5)


def test_efficiency_is_0_before_and_at_the_lens():
    np.testing.assert_array_equal(lensing_efficiency([0.4, 0.4, 0.4, 0.0], [0.1, 0.4, 0.0, 0.0]), 0.0)
    assert lensing_efficiency(0.0, 1.0) == 1.0


def test_isothermal_sphere():
    np.testing.assert_allclose(sis_einstein_radius(1000.0, 0.4, [1.2, 2.0]), [17.0, 20.2], atol=0.05)
    # 28.8 arcsec at 1000 km/s and an efficiency of 1.
    efficiency = lensing_efficiency(0.4, 2.0)
    assert sis_einstein_radius(500.0, 0.4, 2.0) == pytest.approx(28.8 / 4.0 * efficiency, rel=2e-3)
    assert sis_einstein_radius(0.0, 0.4, 2.0) == 0.0


@pytest.mark.parametrize(("mass", "redshift", "dispersion", "expected"), HALOS)
def test_halo_with_and_without_a_galaxy(mass, redshift, dispersion, expected):
    found = nfw_einstein_radius(mass, list(expected), redshift, 2.0, bcg_dispersion=dispersion)
    np.testing.assert_allclose(found, list(expected.values()), atol=0.06)


def test_halo_radius_solves_the_closed_form():
    """The radius solves the equation of Bartelmann 1996 with the critical density computed by astropy."""
    from astropy import constants, units
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(H0=70.0, Om0=0.3)
    mass, c, lens, source = 4e14 * units.Msun, 5.5, 0.45, 1.7
    r200 = (3.0 * mass / (800.0 * np.pi * cosmology.critical_density(lens))) ** (1.0 / 3.0)
    scale = (r200 / c).to(units.Mpc)
    rho_s = mass / (4.0 * np.pi * scale**3 * (np.log(1.0 + c) - c / (1.0 + c)))
    distance = cosmology.angular_diameter_distance(lens)
    efficiency = 1.0 - cosmology.comoving_distance(lens) / cosmology.comoving_distance(source)
    critical = constants.c**2 / (4.0 * np.pi * constants.G * distance * efficiency)
    kappa_s = float(rho_s * scale / critical)

    def excess(x):
        bend = np.arccosh(1.0 / x) / np.sqrt(1.0 - x * x)
        return 4.0 * kappa_s * (np.log(0.5 * x) + bend) / x**2 - 1.0

    expected = brentq(excess, 1e-3, 0.9) * float(scale / distance) * 206_264.806
    assert nfw_einstein_radius(mass.value, c, lens, source) == pytest.approx(expected, rel=1e-4)


def test_shapes_nan_and_negligible_radii():
    found = nfw_einstein_radius([[1e14], [5e14]], [4.0, 6.0, 8.0], 0.3, 2.0)
    assert found.shape == (2, 3)
    assert (np.diff(found, axis=0) > 0.0).all() and (np.diff(found, axis=1) > 0.0).all()
    found = nfw_einstein_radius([5e14, 5e14, np.nan, 0.0], 5.0, 0.4, [0.3, np.nan, 2.0, 2.0], bcg_dispersion=250.0)
    assert found[0] == 0.0
    assert np.isnan(found[1:3]).all()
    assert found[3] == sis_einstein_radius(250.0, 0.4, 2.0)
    # The halo has so little mass that its Einstein radius is smaller than any scale of interest.
    assert 0.0 <= nfw_einstein_radius(1e8, 4.0, 0.3, 2.0) < 1e-6
    assert nfw_einstein_radius([], 4.0, 0.3, 2.0).shape == (0,)
    assert np.isnan(lensing_efficiency([np.nan, 0.3], [1.0, np.nan])).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lensing_efficiency(-0.1, 1.0), "'lens_redshift' parameter must be between 0 and 20. Got -0.1"),
        (
            lambda: lensing_efficiency(0.1, [1.0, 21.0]),
            "'source_redshift' parameter must be between 0 and 20. Got 21.0",
        ),
        (lambda: sis_einstein_radius(-1.0, 0.4, 2.0), "'velocity_dispersion' parameter must be 0 or more. Got -1.0"),
        (lambda: nfw_einstein_radius(-1e14, 4.0, 0.4, 2.0), "'mass'"),
        (lambda: nfw_einstein_radius(1e14, 0.0, 0.4, 2.0), "'concentration' parameter must be above 0. Got 0.0"),
        (lambda: nfw_einstein_radius(1e14, 4.0, 0.4, 2.0, bcg_dispersion=-1.0), "'velocity_dispersion'"),
    ],
)
def test_out_of_range_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
