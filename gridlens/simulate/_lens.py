"""Random mass models of lensing clusters, and the truth derived from them."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from gridlens.lensing import DPIE, NFW, SIE, ExternalShear, MassModel, lensing_efficiency

__all__ = [
    "FINITE_HALO",
    "ISOTHERMAL",
    "NFW_HALO",
    "REFERENCE_REDSHIFT",
    "ClusterMass",
    "critical_radius",
    "draw_mass",
    "member_halos",
]

# Source redshift for which the mass model's Einstein radius is quoted.
REFERENCE_REDSHIFT = 2.0
# Names of the halos in the truth, as for lenstronomy's profiles.
ISOTHERMAL, NFW_HALO, FINITE_HALO = "NIE", "NFW_ELLIPSE_CSE", "PJAFFE"


@dataclass(frozen=True)
class ClusterMass:
    """Mass model of a cluster for sources at the reference redshift, with the redshift of the cluster."""

    model: MassModel
    redshift: float
    theta_e_halo: float
    halo: str
    extra: dict[str, float] = field(default_factory=dict)
    offset: float = 0.0
    """distance of a second halo from the main halo, arcsec; 0 if there is none"""


def draw_mass(
    rng: np.random.Generator,
    redshift: float,
    theta_e: float,
    centre: tuple[float, float],
    angle: float,
    members: np.ndarray,
) -> ClusterMass:
    """Draw the mass model of a cluster: a halo near the BCG, external shear, and the brightest members.

    Parameters
    ----------
    rng : numpy.random.Generator
    redshift : float
        Redshift of the cluster.
    theta_e : float
        Einstein radius of the smooth halo in arcsec, for sources at z = 2.
    centre : tuple of float
        Position of the BCG, arcsec from the cutout's centre.
    angle : float
        Position angle of the BCG, rad; that of the halo is similar.
    members : ndarray of shape (m, 3)
        x, y (arcsec) and luminosity in units of L* of the relevant members, brightest first.

    Returns
    -------
    ClusterMass
    """
    axis_ratio = float(rng.uniform(0.6, 0.95))
    tilt = angle + float(rng.normal(0.0, 0.2))
    x, y = (float(c + rng.normal(0.0, 0.4)) for c in centre)
    extra = {"halo_axis_ratio": axis_ratio, "halo_angle": tilt}
    halo: SIE | NFW
    if rng.random() < 0.6:
        core = float(rng.uniform(0.05, 3.0))
        # A core lowers the Einstein radius to sqrt(b^2 - 2 b s): choose b so that the result is theta_e.
        halo = SIE(core + math.hypot(core, theta_e), x, y, axis_ratio, tilt, core)
        extra["core"] = core
    else:
        scale = float(rng.uniform(30.0, 80.0))
        halo = NFW.from_einstein_radius(theta_e, scale, x=x, y=y, axis_ratio=axis_ratio, angle=tilt)
        extra["scale_radius"] = scale
    shear, shear_angle = float(rng.uniform(0.0, 0.08)), float(rng.uniform(0.0, math.pi))
    extra["shear"] = shear
    components = [halo, ExternalShear(shear, shear_angle), *member_halos(redshift, members)]
    name = ISOTHERMAL if isinstance(halo, SIE) else NFW_HALO
    return ClusterMass(MassModel(components), redshift, theta_e, name, extra)


def member_halos(redshift: float, members: np.ndarray) -> list[DPIE]:
    """Return a halo for each member (m, 3).

    By the Faber-Jackson relation, theta_E of a member scales as L^1/2; an L* galaxy has 210 km/s, or 1.25 arcsec times
    D_ls/D_s.
    """
    efficiency = float(lensing_efficiency(redshift, REFERENCE_REDSHIFT))
    return [
        DPIE(1.25 * efficiency * math.sqrt(luminosity), 0.05, 4.0 * math.sqrt(luminosity) + 0.5, float(x), float(y))
        for x, y, luminosity in members
    ]


def critical_radius(mass: ClusterMass, centre: tuple[float, float]) -> tuple[float, np.ndarray]:
    """Return the Einstein radius from the area inside the tangential critical curve, and points on the curve.

    Returns
    -------
    theta_e : float
        ``sqrt(area / pi)`` in arcsec for a source at the reference redshift; 0 if no critical curve is found.
    curve : ndarray of shape (k, 2)
        Image positions (arcsec) of cells just inside the curve; empty if there is none.
    """
    # Sources are drawn at cells of this grid, so another method to find the curve would change the arcs of a seed.
    half = 2.2 * mass.theta_e_halo + 4.0 + mass.offset
    cells = 144
    step = 2.0 * half / cells
    axis = (np.arange(cells) - 0.5 * (cells - 1)) * step
    x, y = np.meshgrid(axis + centre[0], axis + centre[1])
    alpha_x, alpha_y = mass.model.deflection(x, y)
    xy, xx = np.gradient(alpha_x, step)
    yy, yx = np.gradient(alpha_y, step)
    # The smaller eigenvalue of the Jacobian, 1 - kappa - |gamma|, is negative inside the tangential critical curve.
    kappa = 0.5 * (xx + yy)
    shear = np.hypot(0.5 * (xx - yy), 0.5 * (xy + yx))
    inside = 1.0 - kappa - shear < 0.0
    labels, count = ndimage.label(inside)
    if count == 0:
        return 0.0, np.empty((0, 2))
    # The cluster's curve is the largest; members outside it have small curves.
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    filled = ndimage.binary_fill_holes(labels == largest)
    edge = filled & ~ndimage.binary_erosion(filled)
    theta_e = math.sqrt(float(filled.sum()) * step * step / math.pi)
    return theta_e, np.column_stack([x[edge], y[edge]])
