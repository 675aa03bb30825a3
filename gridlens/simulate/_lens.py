"""The mass of a lensing cluster: lenstronomy's mass models, ray shooting, and the truth that follows from them."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

from gridlens.errors import GridlensError

__all__ = [
    "MassModel",
    "critical_radius",
    "draw_mass",
    "lensing_efficiency",
    "require_lenstronomy",
    "shoot_rays",
]

# Rays are shot in blocks that fit the processor's cache: four times faster than 65,000 at once.
_BLOCK = 8192
# Sources' redshift at which the mass model's Einstein radius is quoted.
REFERENCE_REDSHIFT = 2.0


def require_lenstronomy() -> None:
    """Raise GridlensError where lenstronomy is not installed."""
    try:
        import lenstronomy  # noqa: F401
    except ImportError as exc:
        raise GridlensError("Simulated lenses need lenstronomy: pip install 'gridlens[sim]'.") from exc


@dataclass(frozen=True)
class MassModel:
    """A lens as lenstronomy takes it, with the redshift that it stands at."""

    names: list[str]
    parameters: list[dict[str, float]]
    redshift: float
    theta_e_halo: float
    halo: str
    extra: dict[str, float] = field(default_factory=dict)


def lensing_efficiency(lens_redshift: float, source_redshift: float | np.ndarray) -> Any:
    """D_ls / D_s in a flat LCDM universe with Omega_m = 0.3, redshifts up to 6; 0 for a source in front of the lens."""
    redshifts, distances = _comoving_distances()
    lens = np.interp(lens_redshift, redshifts, distances)
    source = np.interp(source_redshift, redshifts, distances)
    return np.clip(1.0 - lens / source, 0.0, None)


@lru_cache(maxsize=1)
def _comoving_distances() -> tuple[np.ndarray, np.ndarray]:
    """Redshifts to 6 and their comoving distances: astropy's integral costs a millisecond a call."""
    from astropy.cosmology import FlatLambdaCDM

    redshifts = np.linspace(0.0, 6.0, 1201)
    return redshifts, np.asarray(FlatLambdaCDM(H0=70.0, Om0=0.3).comoving_distance(redshifts).value)


def _ellipticity(axis_ratio: float, angle: float) -> dict[str, float]:
    """lenstronomy's e1, e2 (its convention: (1 - q) / (1 + q) along the major axis)."""
    size = (1.0 - axis_ratio) / (1.0 + axis_ratio)
    return {"e1": size * math.cos(2.0 * angle), "e2": size * math.sin(2.0 * angle)}


def draw_mass(
    rng: np.random.Generator,
    redshift: float,
    theta_e: float,
    centre: tuple[float, float],
    angle: float,
    members: np.ndarray,
) -> MassModel:
    """Draw a cluster's mass: a halo near the BCG, external shear, and its brightest members.

    Parameters
    ----------
    rng : numpy.random.Generator
    redshift : float
        Of the cluster.
    theta_e : float
        Einstein radius of the smooth halo in arcsec, for sources at z = 2.
    centre : tuple of float
        Position of the BCG, arcsec from the cutout's centre.
    angle : float
        Position angle of the BCG, rad; the halo's lies near it.
    members : ndarray of shape (m, 3)
        x, y (arcsec) and luminosity in units of L* of the members that count, brightest first.

    Returns
    -------
    MassModel
    """
    axis_ratio = float(rng.uniform(0.6, 0.95))
    tilt = angle + float(rng.normal(0.0, 0.2))
    x, y = (float(c + rng.normal(0.0, 0.4)) for c in centre)
    shape = _ellipticity(axis_ratio, tilt)
    extra = {"halo_axis_ratio": axis_ratio, "halo_angle": tilt}
    if rng.random() < 0.6:
        halo = "NIE"
        core = float(rng.uniform(0.05, 3.0))
        # A core lowers the Einstein radius to sqrt(b^2 - 2 b s): draw b so that theta_e comes out.
        strength = core + math.hypot(core, theta_e)
        parameters: dict[str, float] = {"theta_E": strength, "s_scale": core, **shape, "center_x": x, "center_y": y}
        extra["core"] = core
    else:
        halo = "NFW_ELLIPSE_CSE"
        scale = float(rng.uniform(30.0, 80.0))
        # alpha(theta_e) = theta_e fixes the deflection at the scale radius (Meneghetti et al. 2003, equation 6).
        strength = theta_e / _nfw_shape(theta_e / scale) * _nfw_shape(1.0)
        parameters = {"alpha_Rs": strength, "Rs": scale, **shape, "center_x": x, "center_y": y}
        extra["scale_radius"] = scale
    shear, shear_angle = float(rng.uniform(0.0, 0.08)), float(rng.uniform(0.0, math.pi))
    extra["shear"] = shear
    names = [halo, "SHEAR"]
    parameter_list = [
        parameters,
        {"gamma1": shear * math.cos(2.0 * shear_angle), "gamma2": shear * math.sin(2.0 * shear_angle)},
    ]
    # Faber-Jackson: theta_E of a member goes as L^1/2; an L* galaxy has 210 km/s, 1.25 arcsec before D_ls/D_s.
    efficiency = float(lensing_efficiency(redshift, REFERENCE_REDSHIFT))
    for member_x, member_y, luminosity in members:
        ring = 1.25 * efficiency * math.sqrt(luminosity)
        inner, outer = 0.05, 4.0 * math.sqrt(luminosity) + 0.5
        names.append("PJAFFE")
        parameter_list.append(
            {
                "sigma0": 0.5 * ring * (outer - inner) / (inner * outer),
                "Ra": inner,
                "Rs": outer,
                "center_x": float(member_x),
                "center_y": float(member_y),
            }
        )
    return MassModel(names, parameter_list, redshift, theta_e, halo, extra)


def _nfw_shape(x: float) -> float:
    """NFW deflection up to a constant: (ln(x/2) + F(x)) / x, Bartelmann 1996, A&A 313, 697."""
    if x < 1.0:
        inner = math.acosh(1.0 / x) / math.sqrt(1.0 - x * x)
    elif x > 1.0:
        inner = math.acos(1.0 / x) / math.sqrt(x * x - 1.0)
    else:
        inner = 1.0
    return (math.log(0.5 * x) + inner) / x


def shoot_rays(mass: MassModel, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deflection (arcsec) at the image positions `x`, `y` (arcsec, one shape) for a source at the reference redshift.

    A source at another redshift sees it scaled by the ratio of the lensing efficiencies.
    """
    from lenstronomy.LensModel.lens_model import LensModel

    model = LensModel(mass.names)
    flat_x, flat_y = x.ravel(), y.ravel()
    alpha_x, alpha_y = np.empty_like(flat_x), np.empty_like(flat_y)
    for start in range(0, flat_x.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        alpha_x[part], alpha_y[part] = model.alpha(flat_x[part], flat_y[part], mass.parameters)
    return alpha_x.reshape(x.shape), alpha_y.reshape(x.shape)


def critical_radius(mass: MassModel, centre: tuple[float, float]) -> tuple[float, np.ndarray]:
    """Einstein radius from the area inside the tangential critical curve, and points on that curve.

    Returns
    -------
    theta_e : float
        ``sqrt(area / pi)`` in arcsec for a source at the reference redshift; 0 where no critical curve is found.
    curve : ndarray of shape (k, 2)
        Image positions (arcsec) of cells just inside the curve; empty where there is none.
    """
    half = 2.2 * mass.theta_e_halo + 4.0
    cells = 144
    step = 2.0 * half / cells
    axis = (np.arange(cells) - 0.5 * (cells - 1)) * step
    x, y = np.meshgrid(axis + centre[0], axis + centre[1])
    alpha_x, alpha_y = shoot_rays(mass, x, y)
    xy, xx = np.gradient(alpha_x, step)
    yy, yx = np.gradient(alpha_y, step)
    # The smaller eigenvalue of the Jacobian, 1 - kappa - |gamma|, is negative inside the tangential critical curve.
    kappa = 0.5 * (xx + yy)
    shear = np.hypot(0.5 * (xx - yy), 0.5 * (xy + yx))
    inside = 1.0 - kappa - shear < 0.0
    labels, count = ndimage.label(inside)
    if count == 0:
        return 0.0, np.empty((0, 2))
    # The cluster's curve is the largest; members outside it have little ones of their own.
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    filled = ndimage.binary_fill_holes(labels == largest)
    edge = filled & ~ndimage.binary_erosion(filled)
    theta_e = math.sqrt(float(filled.sum()) * step * step / math.pi)
    return theta_e, np.column_stack([x[edge], y[edge]])
