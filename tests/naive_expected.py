"""Slow reference for Einstein radii of clusters: cosmology by quadrature, masses and rings by root finding."""

import numpy as np
from scipy import integrate, optimize, special

MPC = 3.0856775814913673e22  # m
SUN = 1.988409870698051e30  # kg
GRAVITY = 6.6743e-11
LIGHT = 299_792_458.0  # m/s
HUBBLE = 70.0e3 / MPC  # 1/s
ARCSEC = np.pi / 648_000.0


def expansion(z):
    """Return H(z) relative to today."""
    return np.sqrt(0.3 * (1.0 + z) ** 3 + 0.7)


def comoving(z):
    """Return the comoving distance, m."""
    return LIGHT / HUBBLE * integrate.quad(lambda x: 1.0 / expansion(x), 0.0, z)[0]


def growth(z):
    """Return the linear growth factor, normalised to 1 today (Heath 1977)."""

    def unnormalised(z):
        return expansion(z) * integrate.quad(lambda x: (1.0 + x) / expansion(x) ** 3, z, np.inf)[0]

    return unnormalised(z) / unnormalised(0.0)


def concentration(mass, z):
    """Return c200c of Bhattacharya et al. 2013."""
    nu = (1.12 * (mass / (5e13 / 0.7)) ** 0.3 + 0.53) / growth(z)
    return 5.9 * growth(z) ** 0.54 * nu**-0.35


def enclosed(x):
    return np.log(1.0 + x) - x / (1.0 + x)


def within_200c(mass, contrast, z):
    """Return M200c of the typical halo that has `mass` within the radius of `contrast` critical densities."""

    def excess(log_mass):
        c = concentration(np.exp(log_mass), z)
        x = optimize.brentq(lambda x: enclosed(x) / x**3 * contrast_of(c) - contrast, 1e-3, 1e3)
        return np.exp(log_mass) * enclosed(x) / enclosed(c) - mass

    def contrast_of(c):
        return 200.0 * c**3 / enclosed(c)

    return np.exp(optimize.brentq(excess, np.log(mass) - 3.0, np.log(mass) + 3.0))


def from_log_mass(value, z):
    return 10.0**value, 0.25


def from_richness(value, z):
    scatter = np.sqrt(0.25**2 + 1.356**2 / value)
    mean = 3.081e14 * (value / 40.0) ** 1.356 * ((1.0 + z) / 1.35) ** -0.30
    matter = 0.3 * (1.0 + z) ** 3 / expansion(z) ** 2
    return within_200c(mean * np.exp(-0.5 * scatter**2), 200.0 * matter, z), scatter


def from_log_xray_luminosity(value, z):
    m500 = 2e14 * (10.0**value / 0.83e44 * expansion(z) ** (-7.0 / 3.0)) ** (1.0 / 1.62)
    return within_200c(m500, 500.0, z), 0.41 / 1.62


def from_velocity_dispersion(value, z):
    return 1e15 * (value / 1177.0) ** (1.0 / 0.364) / (0.7 * expansion(z)), 0.35


RELATIONS = {
    "log_mass": from_log_mass,
    "richness": from_richness,
    "log_xray_luminosity": from_log_xray_luminosity,
    "velocity_dispersion": from_velocity_dispersion,
}


def projected(x):
    """Return the mass of an NFW halo in a cylinder of `x` scale radii, in the halo's own units (Bartelmann 1996)."""
    if x < 1.0:
        return np.log(0.5 * x) + np.arccosh(1.0 / x) / np.sqrt(1.0 - x * x)
    return np.log(0.5 * x) + np.arccos(1.0 / x) / np.sqrt(x * x - 1.0)


def einstein_radius(mass, c, dispersion, z, source):
    """Return the Einstein radius, arcsec, where the mass in the cylinder equals the critical mass."""
    lens, behind = comoving(z), comoving(source)
    if behind <= lens:
        return 0.0
    efficiency = 1.0 - lens / behind
    distance = lens / (1.0 + z)
    density = 3.0 * (HUBBLE * expansion(z)) ** 2 / (8.0 * np.pi * GRAVITY)
    scale = (3.0 * mass * SUN / (800.0 * np.pi * density)) ** (1.0 / 3.0) / c

    def excess(log_theta):
        theta = np.exp(log_theta)
        halo = mass * SUN * projected(theta * distance / scale) / enclosed(c)
        bend = 4.0 * GRAVITY * halo / (LIGHT**2 * theta * distance)
        return efficiency * (bend + 4.0 * np.pi * (1e3 * dispersion / LIGHT) ** 2) - theta

    return np.exp(optimize.brentq(excess, np.log(1e-4 * ARCSEC), np.log(600.0 * ARCSEC))) / ARCSEC


def drawn(proxy, value, z, source, size, seed):
    """Return Einstein radii of a cluster, arcsec, for parameters spread evenly by quasirandom numbers."""
    mass, scatter = RELATIONS[proxy](value, z)
    # The generalisation of the golden ratio to three dimensions by Roberts.
    root = 1.2207440846057596
    uniform = np.mod(seed + np.outer(np.arange(1, size + 1), root ** -np.arange(1.0, 4.0)), 1.0)
    masses = mass * np.exp(scatter * special.ndtri(uniform[:, 0]))
    return np.array(
        [
            einstein_radius(m, concentration(m, z) * np.exp(0.33 * u), 250.0 + 100.0 * v, z, source)
            for m, u, v in zip(masses, special.ndtri(uniform[:, 1]), uniform[:, 2], strict=True)
        ]
    )
