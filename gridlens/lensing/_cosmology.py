"""Einstein radii of clusters and the lensing efficiency, in a flat LCDM universe with H0 = 70 and Omega_m = 0.3."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlens.lensing._mass import nfw_shape

__all__ = [
    "H0",
    "OMEGA_M",
    "critical_density",
    "expansion",
    "growth",
    "halo_scales",
    "lensing_efficiency",
    "nfw_einstein_radius",
    "sis_einstein_radius",
]

FloatArray = NDArray[np.float64]

H0, OMEGA_M = 70.0, 0.3
# Distances are interpolated, because astropy's integral takes a millisecond per call.
_HIGHEST_REDSHIFT, _REDSHIFT_STEPS = 20.0, 4000
_LIGHT_SPEED = 299_792.458  # km/s
_ARCSEC = np.pi / 648_000.0  # rad
_GRAVITY = 4.300917270e-9  # Mpc (km/s)^2 / Msun
# Number of bisections of the logarithm of the radius over a range of 80: to a relative accuracy of 1e-12.
_HALVINGS = 46


def lensing_efficiency(lens_redshift: ArrayLike, source_redshift: ArrayLike) -> FloatArray:
    """Return the lensing efficiency D_ls / D_s.

    Parameters
    ----------
    lens_redshift, source_redshift : array_like of float
        Redshifts between 0 and 20; they are broadcast.

    Returns
    -------
    ndarray of float64
        Between 0 and 1, accurate to 1e-5; 0 for a source that is not behind the lens. NaN where a redshift is NaN.

    Raises
    ------
    ValueError
        If a redshift is below 0 or above 20.

    Examples
    --------
    >>> from gridlens.lensing import lensing_efficiency
    >>> lensing_efficiency(0.4, [0.3, 0.4, 1.0, 2.0]).round(3)
    array([0.  , 0.  , 0.53, 0.7 ])
    """
    lens, source = _comoving("lens_redshift", lens_redshift), _comoving("source_redshift", source_redshift)
    with np.errstate(divide="ignore", invalid="ignore"):
        efficiency = np.clip(1.0 - lens / source, 0.0, None)
    # No object is in front of a source at redshift 0.
    return np.asarray(np.where(source > 0.0, efficiency, np.where(np.isnan(source), np.nan, 0.0)))


def sis_einstein_radius(
    velocity_dispersion: ArrayLike, lens_redshift: ArrayLike, source_redshift: ArrayLike
) -> FloatArray:
    """Return the Einstein radius of a singular isothermal sphere, ``4 pi (sigma / c)^2 D_ls / D_s``.

    Parameters
    ----------
    velocity_dispersion : array_like of float
        Velocity dispersion along the line of sight, km/s, 0 or more.
    lens_redshift, source_redshift : array_like of float
        As in `lensing_efficiency`; all arguments are broadcast.

    Returns
    -------
    ndarray of float64
        Einstein radius, arcsec; 0 for a source that is not behind the lens, NaN where an argument is NaN.

    Raises
    ------
    ValueError
        If a dispersion is negative, or a redshift out of range.

    Examples
    --------
    >>> from gridlens.lensing import sis_einstein_radius
    >>> sis_einstein_radius(1000.0, 0.4, [1.2, 2.0]).round(1)
    array([17. , 20.2])
    """
    dispersion = _non_negative("velocity_dispersion", velocity_dispersion)
    efficiency = lensing_efficiency(lens_redshift, source_redshift)
    return np.asarray(4.0 * np.pi * (dispersion / _LIGHT_SPEED) ** 2 * efficiency / _ARCSEC)


def nfw_einstein_radius(
    mass: ArrayLike,
    concentration: ArrayLike,
    lens_redshift: ArrayLike,
    source_redshift: ArrayLike,
    *,
    bcg_dispersion: ArrayLike = 0.0,
) -> FloatArray:
    """Return the Einstein radius of a round NFW halo, optionally with a brightest cluster galaxy at its centre.

    Parameters
    ----------
    mass : array_like of float
        M200c in solar masses, 0 or more.
    concentration : array_like of float
        Ratio of r200c to the scale radius, above 0.
    lens_redshift, source_redshift : array_like of float
        As in `lensing_efficiency`; all arguments are broadcast.
    bcg_dispersion : array_like of float, default=0.0
        Velocity dispersion of the galaxy, which is a singular isothermal sphere, km/s, 0 or more.

    Returns
    -------
    ndarray of float64
        Einstein radius, arcsec; 0 for a source that is not behind the lens, NaN where an argument is NaN.

    Raises
    ------
    ValueError
        If a mass or dispersion is negative, a concentration not above 0, or a redshift out of range.

    Notes
    -----
    The mean convergence within the Einstein radius is 1. That of an NFW halo diverges towards its centre, so even a
    low-mass halo has a tiny Einstein radius.

    Examples
    --------
    >>> from gridlens.lensing import nfw_einstein_radius
    >>> nfw_einstein_radius(5e14, [4.0, 6.0, 8.0], 0.3, 2.0).round(1)
    array([ 3.9, 10. , 15.3])
    """
    mass, concentration = _non_negative("mass", mass), np.asarray(concentration, dtype=np.float64)
    if (concentration <= 0.0).any():
        raise ValueError(f"The 'concentration' parameter must be above 0. Got {float(concentration.min())!r} instead.")
    galaxy = sis_einstein_radius(bcg_dispersion, lens_redshift, source_redshift)
    efficiency = lensing_efficiency(lens_redshift, source_redshift)
    angle, deflection = halo_scales(mass, concentration, lens_redshift, efficiency)
    angle, deflection, galaxy = np.broadcast_arrays(angle, deflection, galaxy)
    radius = _ring(angle, deflection, galaxy)
    known = np.isfinite(angle) & np.isfinite(deflection)
    # Without mass, or at a distance of 0, the halo has no Einstein ring, and only the galaxy counts.
    unknown = np.isnan(mass * concentration * efficiency)
    return np.asarray(np.where(known, radius, np.where(unknown, np.nan, galaxy)))


def halo_scales(
    mass: FloatArray, concentration: FloatArray, lens_redshift: ArrayLike, efficiency: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Return the scale radius of an NFW halo and its deflection scale, ``4 kappa_s r_s``, both in arcsec.

    The arguments are those of `nfw_einstein_radius`, with the lensing efficiency of the source; they are broadcast.
    Both results are infinite or NaN at a redshift of 0, and the deflection is NaN for a mass of 0.
    """
    redshift = np.asarray(lens_redshift, dtype=np.float64)
    distance = _comoving("lens_redshift", redshift) / (1.0 + redshift)  # Mpc
    scale = np.cbrt(3.0 * mass / (800.0 * np.pi * critical_density(redshift))) / concentration  # Mpc
    norm = np.log1p(concentration) - concentration / (1.0 + concentration)
    # Angle times distance: 4 G M / (c^2 r_s m(c)) D_ls / D_s.
    bend = 4.0 * _GRAVITY * mass * efficiency / (_LIGHT_SPEED**2 * norm)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(scale / distance / _ARCSEC), np.asarray(bend / scale / _ARCSEC)


def critical_density(redshift: FloatArray) -> FloatArray:
    """Return the critical density of the universe, solar masses per cubic Mpc."""
    return np.asarray(3.0 * H0**2 * expansion(redshift) / (8.0 * np.pi * _GRAVITY))


def expansion(redshift: FloatArray) -> FloatArray:
    """Return the square of the expansion rate relative to today, ``(H(z) / H0)^2``."""
    return np.asarray(OMEGA_M * (1.0 + redshift) ** 3 + 1.0 - OMEGA_M)


def growth(redshift: FloatArray) -> FloatArray:
    """Return the linear growth factor, normalised to 1 today (Carroll, Press & Turner 1992, ARA&A 30, 499, eq. 29)."""
    matter = np.append(OMEGA_M * (1.0 + redshift).ravel() ** 3 / expansion(redshift).ravel(), OMEGA_M)
    vacuum = 1.0 - matter
    factor = matter / (matter ** (4.0 / 7.0) - vacuum + (1.0 + matter / 2.0) * (1.0 + vacuum / 70.0))
    return np.asarray((factor[:-1] / factor[-1]).reshape(np.shape(redshift)) / (1.0 + redshift))


def _ring(scale: FloatArray, halo: FloatArray, galaxy: FloatArray) -> FloatArray:
    """Solve ``halo shape(theta / scale) + galaxy = theta`` by bisection in the logarithm of the radius (arcsec)."""
    low = np.full(np.shape(scale), -70.0)
    high = np.full(np.shape(scale), 10.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        x = np.exp(middle)
        # The ratio of the deflection to the radius decreases with the radius.
        inside = halo * nfw_shape(x) + galaxy > x * scale
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    radius = np.exp(0.5 * (low + high)) * scale
    return np.asarray(np.where(low > -70.0, radius, 0.0))


def _non_negative(name: str, values: ArrayLike) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    if (values < 0.0).any():
        raise ValueError(f"The '{name}' parameter must be 0 or more. Got {float(values.min())!r} instead.")
    return values


def _comoving(name: str, redshift: ArrayLike) -> FloatArray:
    """Return comoving distances, Mpc."""
    redshift = np.asarray(redshift, dtype=np.float64)
    wrong = redshift[(redshift < 0.0) | (redshift > _HIGHEST_REDSHIFT)]
    if wrong.size:
        raise ValueError(
            f"The '{name}' parameter must be between 0 and {_HIGHEST_REDSHIFT:g}. Got {float(wrong[0])!r} instead."
        )
    return np.asarray(np.interp(redshift, *_distances()))


@lru_cache(maxsize=1)
def _distances() -> tuple[FloatArray, FloatArray]:
    from astropy.cosmology import FlatLambdaCDM

    redshifts = np.linspace(0.0, _HIGHEST_REDSHIFT, _REDSHIFT_STEPS + 1)
    return redshifts, np.asarray(FlatLambdaCDM(H0=H0, Om0=OMEGA_M).comoving_distance(redshifts).value)
