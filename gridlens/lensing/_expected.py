"""Distributions of the Einstein radii that are expected for clusters."""

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from gridlens.lensing._cosmology import halo_scales, lensing_efficiency, nfw_einstein_radius, sis_einstein_radius
from gridlens.lensing._mass import nfw_shape
from gridlens.lensing._mass_proxies import LOG_MASS_RANGE, PROXIES, concentration, masses

__all__ = ["draw_einstein_radius", "einstein_radius_distribution"]

FloatArray = NDArray[np.float64]

# Bhattacharya et al. 2013, ApJ 766, 32: a scatter of one third, for all halos.
_CONCENTRATION_SCATTER = 0.33  # of the natural logarithm
_BCG_DISPERSIONS = (250.0, 350.0)  # km/s
_SOURCE_REDSHIFT = 2.0
_LARGE = 10.0  # arcsec
_QUANTILES = (0.16, 0.5, 0.84)
_COLUMNS = ("theta_e_p16", "theta_e_p50", "theta_e_p84", "p_theta_e_gt_10")
# Halos of the table: 11 concentrations, as standard normal deviates, times three galaxies of a Gauss-Legendre
# quadrature.
_DEVIATES = np.repeat(np.linspace(-3.0, 3.0, 11), 3)
_DISPERSIONS = np.tile(300.0 + 50.0 * np.sqrt(0.6) * np.array([-1.0, 0.0, 1.0]), 11)
_WEIGHTS = np.exp(-0.5 * _DEVIATES**2) * np.tile([5.0, 8.0, 5.0], 11)
_WEIGHTS /= _WEIGHTS.sum()
# Limit of probabilities as standard normal deviates, at the end of the table.
_FARTHEST = 8.0
# Number of rows that are interpolated at a time.
_BATCH = 65536


def einstein_radius_distribution(
    redshift: ArrayLike,
    *,
    richness: ArrayLike | None = None,
    log_xray_luminosity: ArrayLike | None = None,
    velocity_dispersion: ArrayLike | None = None,
    log_mass: ArrayLike | None = None,
    source_redshift: ArrayLike = _SOURCE_REDSHIFT,
) -> pd.DataFrame:
    """Return the distribution of the Einstein radius of each cluster, given its mass proxies.

    The mass comes from the first available proxy in the order `log_mass`, `log_xray_luminosity`, `richness`,
    `velocity_dispersion`. A proxy is unavailable where it is NaN, or where its mass is not that of a group or a cluster
    (M200c from 1e13 to 1e16 solar masses).

    Parameters
    ----------
    redshift : array-like of shape (n,) or float
        Redshift of the cluster; NaN where unknown. The distribution is known from 0.01 to 3.
    richness : array-like of shape (n,) or float, optional
        redMaPPer richness.
    log_xray_luminosity : array-like of shape (n,) or float, optional
        log10 of the luminosity in erg/s, 0.1 to 2.4 keV, within R500.
    velocity_dispersion : array-like of shape (n,) or float, optional
        Velocity dispersion of the cluster's galaxies along the line of sight, km/s.
    log_mass : array-like of shape (n,) or float, optional
        log10 of M200c in solar masses.
    source_redshift : array-like of shape (n,) or float, default=2.0
        From 0 to 20. All arguments are broadcast.

    Returns
    -------
    DataFrame of n rows
        `theta_e_p16`, `theta_e_p50`, `theta_e_p84` : float64, percentiles of the Einstein radius, arcsec;
        `p_theta_e_gt_10` : float64, probability of a radius above 10 arcsec; `proxy` : str, name of the argument that
        determines the mass. A source that is not behind the cluster has radii and a probability of 0. A row without a
        redshift or a proxy has NaN, and "" as its proxy. The index counts from 0.

    Raises
    ------
    ValueError
        If an argument has more than one dimension, or a source redshift is out of range.

    See Also
    --------
    draw_einstein_radius : Draw Einstein radii from these distributions.

    Notes
    -----
    The lens is a round NFW halo with a singular isothermal galaxy at its centre, whose velocity dispersion is uniform
    between 250 and 350 km/s. The concentration of the halo scatters by 0.33 in ln c about that of Bhattacharya et al.
    [1]_. Masses are log-normal:

    ======================= ======================================================== ==========================
    proxy                   relation                                                 scatter in ln M200c
    ======================= ======================================================== ==========================
    `log_mass`              -                                                        0.25 [2]_
    `log_xray_luminosity`   Pratt et al. [3]_, table B.2, for M500c                  0.25 [3]_
    `richness`              McClintock et al. [4]_, for the mean M200m               0.25 [5]_ and Poisson noise
    `velocity_dispersion`   Munari et al. [6]_, galaxies                             0.35 [7]_
    ======================= ======================================================== ==========================

    Measurement errors are not included, except for the Poisson noise of the richness, nor are neighbouring masses and
    the shapes of halos: real radii scatter somewhat more. Radii and probabilities are interpolated in a table, which is
    computed in a fraction of a second at the first call. Radii are accurate to 4 %, and to 10 % for a source so near
    that its lensing efficiency is below 0.05.

    References
    ----------
    .. [1] Bhattacharya et al. 2013, ApJ 766, 32.
    .. [2] Becker & Kravtsov 2011, ApJ 740, 25 (weak lensing).
    .. [3] Pratt et al. 2009, A&A 498, 361.
    .. [4] McClintock et al. 2019, MNRAS 482, 1352.
    .. [5] Rozo & Rykoff 2014, ApJ 783, 80.
    .. [6] Munari et al. 2013, MNRAS 430, 2638.
    .. [7] Saro et al. 2013, ApJ 772, 47.

    Examples
    --------
    >>> from gridlens.lensing import einstein_radius_distribution
    >>> einstein_radius_distribution([0.3, 0.5], richness=[30.0, float("nan")], log_mass=[float("nan"), 15.0]).round(1)
       theta_e_p16  theta_e_p50  theta_e_p84  p_theta_e_gt_10     proxy
    0          3.5          4.7          6.5              0.0  richness
    1          7.9         12.2         18.2              0.7  log_mass
    """
    redshift, source, known = _broadcast(
        redshift,
        source_redshift,
        richness=richness,
        log_xray_luminosity=log_xray_luminosity,
        velocity_dispersion=velocity_dispersion,
        log_mass=log_mass,
    )
    if redshift.ndim > 1:
        raise ValueError(
            f"The arguments must be numbers or one-dimensional arrays. Got arrays of shape {redshift.shape} instead."
        )
    redshift, source = np.atleast_1d(redshift), np.atleast_1d(source)
    found = masses(redshift, {name: np.atleast_1d(values) for name, values in known.items()})
    table = np.full((len(redshift), 4), np.nan)
    rows = np.nonzero((found.proxy >= 0) & ~np.isnan(source))[0]
    efficiency = lensing_efficiency(redshift[rows], source[rows])
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        some = rows[part]
        table[some] = _looked_up(redshift[some], efficiency[part], found.log_mass[some], found.scatter[some])
    frame = pd.DataFrame(table, columns=list(_COLUMNS))
    # The index -1, for no proxy, selects the last element.
    frame["proxy"] = np.array([*PROXIES, ""], dtype=object)[np.where(np.isnan(table[:, 0]), -1, found.proxy)]
    return frame


def draw_einstein_radius(
    rng: np.random.Generator,
    redshift: ArrayLike,
    *,
    richness: ArrayLike | None = None,
    log_xray_luminosity: ArrayLike | None = None,
    velocity_dispersion: ArrayLike | None = None,
    log_mass: ArrayLike | None = None,
    source_redshift: ArrayLike = _SOURCE_REDSHIFT,
) -> FloatArray:
    """Draw an Einstein radius for each cluster from the distributions of `einstein_radius_distribution`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random generator; three numbers are drawn for each cluster, with or without a proxy.
    redshift : array-like of float
        Redshift of any shape. Repeat the redshift of a cluster to draw from it more than once.
    richness, log_xray_luminosity, velocity_dispersion, log_mass, source_redshift
        As in `einstein_radius_distribution`; all arguments are broadcast.

    Returns
    -------
    ndarray of float64
        Einstein radius, arcsec, in the common shape of the arguments; 0 for a source that is not behind the cluster,
        NaN where the redshift or the mass is unknown.

    Raises
    ------
    ValueError
        If a source redshift is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.lensing import draw_einstein_radius
    >>> radii = draw_einstein_radius(np.random.default_rng(0), np.full(1000, 0.4), richness=100.0)
    >>> np.percentile(radii, [16, 50, 84]).round()
    array([ 7., 11., 16.])
    """
    redshift, source, known = _broadcast(
        redshift,
        source_redshift,
        richness=richness,
        log_xray_luminosity=log_xray_luminosity,
        velocity_dispersion=velocity_dispersion,
        log_mass=log_mass,
    )
    shape, redshift, source = redshift.shape, redshift.ravel(), source.ravel()
    found = masses(redshift, {name: values.ravel() for name, values in known.items()})
    deviates = rng.normal(size=(2, len(redshift)))
    dispersion = rng.uniform(*_BCG_DISPERSIONS, size=len(redshift))
    drawn = found.log_mass + found.scatter * deviates[0] / np.log(10.0)
    rows = np.nonzero(found.proxy >= 0)[0]
    halo = concentration(drawn[rows], redshift[rows]) * np.exp(_CONCENTRATION_SCATTER * deviates[1, rows])
    radius = np.full(len(redshift), np.nan)
    radius[rows] = nfw_einstein_radius(
        10.0 ** drawn[rows], halo, redshift[rows], source[rows], bcg_dispersion=dispersion[rows]
    )
    return radius.reshape(shape)


def _broadcast(
    redshift: ArrayLike, source_redshift: ArrayLike, **proxies: ArrayLike | None
) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    """Return the arguments as arrays of one shape, without the proxies that are None."""
    known = {name: values for name, values in proxies.items() if values is not None}
    arrays = [np.asarray(values, dtype=np.float64) for values in (redshift, source_redshift, *known.values())]
    arrays = list(np.broadcast_arrays(*arrays))
    return arrays[0], arrays[1], dict(zip(known, arrays[2:], strict=True))


class _Table(NamedTuple):
    """Distributions on a grid of redshift, lensing efficiency, median mass and its scatter."""

    axes: tuple[FloatArray, ...]
    """redshift, ln of the efficiency, log10 of the median mass, scatter in ln of the mass"""
    values: FloatArray
    """(..., 4): ln of the radii at the quantiles (arcsec), and the normal deviate of the probability of a large one"""


def _looked_up(redshift: FloatArray, efficiency: FloatArray, log_mass: FloatArray, scatter: FloatArray) -> FloatArray:
    """Interpolate the four columns for clusters with known masses, (n, 4)."""
    table = _table()
    behind = efficiency > 0.0
    least = np.exp(table.axes[1][0])
    points = (redshift, np.log(np.maximum(efficiency, least)), log_mass, scatter)
    corners, weights = zip(*(_cell(axis, point) for axis, point in zip(table.axes, points, strict=True)), strict=True)
    found = np.zeros((len(redshift), 4))
    for corner in itertools.product((0, 1), repeat=4):
        weight = np.ones(len(redshift))
        for axis, side in enumerate(corner):
            weight *= weights[axis] if side else 1.0 - weights[axis]
        place = tuple(corners[axis] + side for axis, side in enumerate(corner))
        found += weight[:, None] * table.values[place]
    # Just in front of its source, the radii of a cluster are at most proportional to the efficiency.
    found[:, :3] = np.exp(found[:, :3]) * np.minimum(efficiency / least, 1.0)[:, None]
    found[:, 3] = np.where(behind, special.ndtr(found[:, 3]), 0.0)
    return found


def _cell(axis: FloatArray, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the cell of an axis that contains each point, or the nearest one, and the position in it, from 0 to 1."""
    cell = np.clip(np.searchsorted(axis, points, side="right") - 1, 0, len(axis) - 2)
    return cell, np.clip((points - axis[cell]) / (axis[cell + 1] - axis[cell]), 0.0, 1.0)


@lru_cache(maxsize=1)
def _table() -> _Table:
    """Compute the distributions.

    A radius above t requires a mean convergence above 1 within t, and therefore a mass above a limit that depends on
    the redshift, the efficiency, the concentration and the galaxy. The probability that a log-normal mass exceeds it
    has a closed form.
    """
    redshifts = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.27, 0.36, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0])
    efficiencies = np.array([0.03, 0.06, 0.11, 0.18, 0.26, 0.36, 0.48, 0.6, 0.72, 0.85, 1.0])
    medians = np.linspace(*LOG_MASS_RANGE, 16)
    scatters = np.array([0.25, 0.35, 0.5, 0.8])
    log_radii = np.sort(np.append(np.linspace(np.log(0.03), np.log(200.0), 35), np.log(_LARGE)))
    large = int(np.searchsorted(log_radii, np.log(_LARGE)))
    goals = special.ndtri(_QUANTILES)
    values = np.empty((len(redshifts), len(efficiencies), len(medians), len(scatters), 4))
    for i, redshift in enumerate(redshifts):
        needed = _needed_masses(redshift, efficiencies, np.exp(log_radii))
        for k, scatter in enumerate(scatters):
            # (efficiency, median, radius, halo)
            excess = (np.log(10.0) / scatter) * (medians[:, None, None] - needed[:, None])
            deviates = special.ndtri(special.ndtr(excess) @ _WEIGHTS)
            deviates = np.clip(deviates, -_FARTHEST, _FARTHEST)
            for j, m in np.ndindex(deviates.shape[:2]):
                quantiles = np.interp(goals, -deviates[j, m], log_radii)
                values[i, j, m, k] = [*quantiles, deviates[j, m, large]]
    return _Table((redshifts, np.log(efficiencies), medians, scatters), values)


def _needed_masses(redshift: float, efficiencies: FloatArray, radii: FloatArray) -> FloatArray:
    """Return the log10 of the masses with the Einstein radii `radii`, (efficiency, radius, halo).

    A mass is -inf where the galaxy alone has the radius, and inf where no cluster reaches it.
    """
    log_masses = np.linspace(11.0, 18.0, 57)
    galaxies = sis_einstein_radius(_DISPERSIONS, 0.0, _SOURCE_REDSHIFT)  # for an efficiency of 1
    halos = concentration(log_masses, np.array([redshift]))[:, None] * np.exp(_CONCENTRATION_SCATTER * _DEVIATES)
    scale, deflection = halo_scales(10.0 ** log_masses[:, None], halos, redshift, 1.0)
    bent = deflection * nfw_shape(radii[:, None, None] / scale)
    wanted = radii[:, None] / efficiencies[:, None, None] - galaxies
    needed = np.empty(wanted.shape)
    for t, h in np.ndindex(needed.shape[1:]):
        needed[:, t, h] = np.interp(wanted[:, t, h], bent[t, :, h], log_masses, left=-np.inf, right=np.inf)
    return needed
