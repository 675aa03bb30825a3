"""Drawing of light on a sub-pixel grid: Sersic galaxies and arcs of circles.

The functions change plain arrays in place. Positions and lengths are in sub-pixels of the image, fluxes in the image's
unit. `tests/simulate/test_light.py` compares them with lenstronomy's profiles.
"""

import math

import numpy as np

from gridlens.lensing._sources import sersic_b, sersic_norm
from gridlens.simulate._light_kernels import arc_box, sersic_box

__all__ = ["add_arc", "add_sersic"]


def add_sersic(
    images: np.ndarray,
    x: float,
    y: float,
    radius: float,
    n: float,
    axis_ratio: float,
    angle: float,
    fluxes: np.ndarray,
    floor: float,
) -> None:
    """Add one elliptical Sersic galaxy to `images` (bands, ny, nx), float64, in place.

    Parameters
    ----------
    images : ndarray of shape (bands, ny, nx)
    x, y : float
        Centre, sub-pixels; may lie outside the image.
    radius : float
        Effective radius of the intermediate axis, ``sqrt(a b)``, sub-pixels.
    n, axis_ratio, angle : float
        Sersic index, axis ratio (minor over major), angle of the major axis from the x axis in rad.
    fluxes : ndarray of shape (bands,)
        Total flux in each band; all bands have the same shape.
    floor : float
        Surface brightness of the brightest band, flux per sub-pixel, below which the galaxy is not drawn.
    """
    brightest = float(np.max(fluxes))
    if not brightest > 0.0:
        return
    b = sersic_b(n)
    effective = brightest / (sersic_norm(n) * radius * radius)
    reach = 1.0 + math.log(max(effective / floor, 1e-30)) / b
    if reach <= 0.0:
        return
    # Extent along the major axis at which the galaxy falls below the floor, but at least the core.
    extent = max(radius * reach**n / math.sqrt(axis_ratio), 3.0)
    unit = fluxes / (sersic_norm(n) * radius * radius)
    sersic_box(images, x, y, radius, n, b, axis_ratio, math.cos(angle), math.sin(angle), unit, extent)


def add_arc(
    images: np.ndarray,
    x: float,
    y: float,
    radius: float,
    middle: float,
    opening: float,
    width: float,
    fluxes: np.ndarray,
    pitch: float = 0.0,
) -> None:
    """Add an arc of a circle (or of a logarithmic spiral) to `images` (bands, ny, nx) in place.

    Parameters
    ----------
    x, y, radius : float
        Centre and radius, sub-pixels; for a spiral, the radius at the middle of the arc.
    middle, opening : float
        Direction of the middle of the arc and its full opening angle, rad; 2 pi draws a ring.
    width : float
        Standard deviation across the arc, sub-pixels.
    fluxes : ndarray of shape (bands,)
        Total flux in each band.
    pitch : float, default=0.0
        Tangent of a spiral's pitch angle: the radius grows as exp(pitch * angle).
    """
    # An open arc fades towards its ends as 1 - t^4, whose mean over the arc is 0.8.
    shown = opening if opening >= 2.0 * math.pi - 1e-6 else 0.8 * opening
    area = max(radius * shown, 1.0) * width * math.sqrt(2.0 * math.pi)
    arc_box(images, x, y, radius, middle, opening, width, fluxes / area, pitch)
