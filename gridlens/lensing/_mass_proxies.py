"""Masses of clusters from catalogue quantities, with their scatter, and concentrations of halos."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.lensing._cosmology import H0, OMEGA_M, expansion, growth

__all__ = ["LOG_MASS_RANGE", "PROXIES", "REDSHIFT_RANGE", "Masses", "concentration", "masses"]

FloatArray = NDArray[np.float64]

# In order of preference.
PROXIES = ("log_mass", "log_xray_luminosity", "richness", "velocity_dispersion")
# Clusters and groups. A proxy with another mass is a flag for an unknown value, or not of a cluster.
LOG_MASS_RANGE = (13.0, 16.0)  # log10 of M200c in solar masses
REDSHIFT_RANGE = (0.01, 3.0)
# Becker & Kravtsov 2011, ApJ 740, 25: masses from weak lensing scatter by 20 % for clusters, by 30 % for groups.
_MASS_SCATTER = 0.25
# Pratt et al. 2009, A&A 498, 361, table B.2: 0.1 to 2.4 keV within R500, BCES (Y|X), corrected for the Malmquist bias.
_XRAY_LUMINOSITY, _XRAY_MASS, _XRAY_SLOPE, _XRAY_SCATTER = 0.83e44, 2e14, 1.62, 0.41
# McClintock et al. 2019, MNRAS 482, 1352: the mean of M200m.
_RICHNESS, _RICHNESS_MASS, _RICHNESS_SLOPE, _RICHNESS_EVOLUTION = 40.0, 3.081e14, 1.356, -0.30
# Rozo & Rykoff 2014, ApJ 783, 80. Poisson noise of the richness is added, as in Simet et al. 2017, MNRAS 466, 3103.
_RICHNESS_SCATTER = 0.25
# Munari et al. 2013, MNRAS 430, 2638, table 1, galaxies with feedback by AGN: km/s at 1e15 solar masses over h(z).
_DISPERSION, _DISPERSION_SLOPE = 1177.0, 0.364
# Saro et al. 2013, ApJ 772, 47: 30 to 40 % in mass, since halos are not round.
_DISPERSION_SCATTER = 0.35
# Number of iterations from the mass within another radius to M200c; each gains a factor of ten in accuracy.
_STEPS = 4


class Masses(NamedTuple):
    """Masses of n clusters."""

    log_mass: FloatArray
    """(n,) log10 of the median of M200c, solar masses; NaN without a proxy"""
    scatter: FloatArray
    """(n,) standard deviation of the natural logarithm of the mass"""
    proxy: NDArray[np.intp]
    """(n,) index of the proxy in `PROXIES`, -1 without one"""


def masses(redshift: FloatArray, known: dict[str, FloatArray]) -> Masses:
    """Return M200c from the preferred available proxy of each cluster.

    Parameters
    ----------
    redshift : ndarray of shape (n,), float64
    known : dict of str to ndarray of shape (n,), float64
        Proxies by their names in `PROXIES`.
    """
    log_mass, scatter = np.full(len(redshift), np.nan), np.full(len(redshift), np.nan)
    proxy = np.full(len(redshift), -1)
    for place, name in enumerate(PROXIES):
        if name not in known:
            continue
        rows = np.nonzero((proxy < 0) & np.isfinite(known[name]) & _within(redshift, REDSHIFT_RANGE))[0]
        found, spread = _RELATIONS[name](known[name][rows], redshift[rows])
        told = _within(found, LOG_MASS_RANGE)
        log_mass[rows[told]], scatter[rows[told]], proxy[rows[told]] = found[told], spread[told], place
    return Masses(log_mass, scatter, proxy)


def concentration(log_mass: FloatArray, redshift: FloatArray) -> FloatArray:
    """Return the typical c200c from Bhattacharya et al. 2013, ApJ 766, 32, all halos, table 2 and section 4.2."""
    grown = growth(redshift)
    peak = (1.12 * (10.0**log_mass * (H0 / 100.0) / 5e13) ** 0.3 + 0.53) / grown
    return np.asarray(5.9 * grown**0.54 * peak**-0.35)


def _from_mass(value: FloatArray, redshift: FloatArray) -> tuple[FloatArray, FloatArray]:
    return value, np.full(len(value), _MASS_SCATTER)


def _from_xray_luminosity(value: FloatArray, redshift: FloatArray) -> tuple[FloatArray, FloatArray]:
    evolved = value - 7.0 / 6.0 * np.log10(expansion(redshift))
    mass = np.log10(_XRAY_MASS) + (evolved - np.log10(_XRAY_LUMINOSITY)) / _XRAY_SLOPE
    return _within_200c(mass, 2.5, redshift), np.full(len(value), _XRAY_SCATTER / _XRAY_SLOPE)


def _from_richness(value: FloatArray, redshift: FloatArray) -> tuple[FloatArray, FloatArray]:
    value = np.where(value > 0.0, value, np.nan)
    variance = _RICHNESS_SCATTER**2 + _RICHNESS_SLOPE**2 / value
    mean = np.log(_RICHNESS_MASS) + _RICHNESS_SLOPE * np.log(value / _RICHNESS)
    mean += _RICHNESS_EVOLUTION * np.log((1.0 + redshift) / 1.35)
    # The mean of a log-normal distribution is above its median.
    matter = OMEGA_M * (1.0 + redshift) ** 3 / expansion(redshift)
    return _within_200c((mean - 0.5 * variance) / np.log(10.0), matter, redshift), np.sqrt(variance)


def _from_velocity_dispersion(value: FloatArray, redshift: FloatArray) -> tuple[FloatArray, FloatArray]:
    value = np.where(value > 0.0, value, np.nan)
    mass = 15.0 + np.log10(value / _DISPERSION) / _DISPERSION_SLOPE
    return mass - np.log10(H0 / 100.0 * np.sqrt(expansion(redshift))), np.full(len(value), _DISPERSION_SCATTER)


_RELATIONS = {
    "log_mass": _from_mass,
    "log_xray_luminosity": _from_xray_luminosity,
    "richness": _from_richness,
    "velocity_dispersion": _from_velocity_dispersion,
}


def _within_200c(log_mass: FloatArray, contrast: FloatArray | float, redshift: FloatArray) -> FloatArray:
    """Return M200c of typical halos with a mass within the radius of `contrast` times 200 critical densities."""
    found = log_mass
    for _ in range(_STEPS):
        c = concentration(np.clip(found, 10.0, 18.0), redshift)
        x = _radius(_mass_within(c) / c**3 * contrast)
        found = log_mass - np.log10(_mass_within(x) / _mass_within(c))
    return np.asarray(found)


def _mass_within(x: FloatArray) -> FloatArray:
    """Return the mass of an NFW halo within `x` scale radii, in units of its characteristic mass."""
    return np.asarray(np.log1p(x) - x / (1.0 + x))


def _radius(density: FloatArray) -> FloatArray:
    """Return the number of scale radii that enclose a mean density, in units of the characteristic density."""
    return np.asarray(np.exp(np.interp(-np.log(density), *_densities())))


@lru_cache(maxsize=1)
def _densities() -> tuple[FloatArray, FloatArray]:
    log_x = np.linspace(-4.0, 5.0, 2001)
    x = np.exp(log_x)
    return -np.log(_mass_within(x) / x**3), log_x


def _within(values: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Return whether a value is within the limits; False for NaN."""
    return np.asarray((values >= limits[0]) & (values <= limits[1]))
