"""Sources seen through a lens: Sersic galaxies, and clumpy galaxies as lists of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridlens.lensing import _shooting as shooting
from gridlens.lensing._checks import check_number
from gridlens.lensing._mass import MassModel

__all__ = ["SersicSource", "render_sources", "sersic_b", "sersic_norm"]

# Light fainter than this fraction of that at the effective radius is not rendered.
_FAINTEST = 1e-4


@dataclass(frozen=True)
class SersicSource:
    """Elliptical Sersic galaxy in the source plane.

    Parameters
    ----------
    x, y : float
        Unlensed position, arcsec.
    radius : float
        Effective radius of the intermediate axis, ``sqrt(a b)``, arcsec, above 0.
    n : float
        Sersic index, 0.36 or more; 0.5 is a Gaussian.
    flux : float, sequence of float or ndarray of shape (bands,)
        Total unlensed flux, for each band if there are several.
    axis_ratio : float, default=1.0
        Minor over major axis, above 0 and at most 1.
    angle : float, default=0.0
        Angle of the major axis from the x axis towards the y axis, rad.
    efficiency : float, default=1.0
        Factor of the mass model's deflection, 0 or more: the ratio of the lensing efficiency of the source to that of
        the redshift that the strengths of the model refer to.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.
    """

    x: float
    y: float
    radius: float
    n: float
    flux: float | Sequence[float] | NDArray[np.float64]
    axis_ratio: float = 1.0
    angle: float = 0.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        rules = {
            "radius": ("above 0", self.radius > 0.0),
            "n": ("0.36 or more", self.n >= 0.36),
            "axis_ratio": ("above 0 and at most 1", 0.0 < self.axis_ratio <= 1.0),
            "efficiency": ("0 or more", self.efficiency >= 0.0),
            "x": ("a finite number", True),
            "y": ("a finite number", True),
            "angle": ("a finite number", True),
        }
        for name, (rule, holds) in rules.items():
            check_number(name, getattr(self, name), rule, holds)
        if not np.isfinite(self.flux).all():
            raise ValueError(f"The 'flux' parameter must be finite. Got {self.flux!r} instead.")


def render_sources(
    mass: MassModel,
    sources: Sequence[SersicSource],
    shape: tuple[int, int],
    pixel_scale: float,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    supersampling: int | None = None,
) -> NDArray[np.float64]:
    """Render sources as seen through a lens, without a point-spread function.

    Rays are only shot where there is light.

    Parameters
    ----------
    mass : MassModel
        The mass model of the lens.
    sources : sequence of SersicSource
        All with fluxes for the same number of bands; their light adds up. A clumpy galaxy consists of several.
    shape : tuple of int
        Number of rows and columns of the image.
    pixel_scale : float
        Arcsec per pixel, above 0.
    centre : tuple of float, default=(0.0, 0.0)
        Position of the centre of the image, arcsec.
    supersampling : int, default=None
        Number of parts of each side of a pixel, 1 or more, located in the source plane by the derivatives of the lens
        equation. If None, the number is adapted to the size of the pixel in the source plane, up to 24, and a ray is
        shot for each part where the lens equation is curved within the pixel.

    Returns
    -------
    ndarray of shape (ny, nx), or (bands, ny, nx) if the flux of a source is a sequence, float64
        Flux per pixel; lensing conserves surface brightness. Zeros if `sources` is empty.

    Raises
    ------
    ValueError
        If `pixel_scale` is not above 0, `supersampling` is below 1, or the sources differ in their number of bands.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, SersicSource, render_sources
    >>> source = SersicSource(0.1, 0.0, radius=0.3, n=1.0, flux=1.0)
    >>> image = render_sources(MassModel([SIE(5.0)]), [source], (64, 64), 0.25)
    >>> image.shape, round(float(image.sum()))
    ((64, 64), 50)
    """
    check_number("pixel_scale", pixel_scale, "above 0", pixel_scale > 0.0)
    if supersampling is not None and supersampling < 1:
        raise ValueError(f"The 'supersampling' parameter must be 1 or more, or None. Got {supersampling!r} instead.")
    shapes: set[tuple[int, ...]] = {np.shape(source.flux) for source in sources} or {()}
    if len(shapes) > 1:
        raise ValueError(
            f"The 'sources' parameter must have fluxes in the same number of bands. Got shapes {shapes} instead."
        )
    bands = shapes.pop()
    images = np.zeros((math.prod(bands), *shape))
    if sources:
        table, light = _tables(sources, pixel_scale)
        x0 = centre[0] - 0.5 * (shape[1] - 1) * pixel_scale
        y0 = centre[1] - 0.5 * (shape[0] - 1) * pixel_scale
        shooting.shoot(images, mass._rows, table, light, x0, y0, pixel_scale, supersampling or 0)
    return images.reshape(*bands, *shape)


def sersic_b(n: float) -> float:
    """Return the coefficient b of the Sersic profile: Ciotti and Bertin 1999, A&A 352, 447, equation 18; n >= 0.36."""
    return 2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25515.0 * n * n)


def sersic_norm(n: float) -> float:
    """Return the total flux of a round Sersic profile with effective radius 1 and surface brightness 1 there.

    See Graham and Driver 2005, PASA 22, 118, equation 2.
    """
    b = sersic_b(n)
    return 2.0 * math.pi * n * math.exp(b) * b ** (-2.0 * n) * math.gamma(2.0 * n)


def _tables(sources: Sequence[SersicSource], pixel_scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the table of sources for the kernel, and the flux of a pixel at each effective radius, (k, bands)."""
    table = np.empty((len(sources), shooting.SOURCE_COLUMNS))
    light = np.empty((len(sources), np.size(sources[0].flux)))
    for k, source in enumerate(sources):
        b = sersic_b(source.n)
        # Radius where exp(-b ((r / R)^(1 / n) - 1)) has decreased to the faintest light.
        reach = source.radius * (1.0 - math.log(_FAINTEST) / b) ** source.n
        shape = (math.sqrt(source.axis_ratio), math.cos(source.angle), math.sin(source.angle))
        table[k] = (source.x, source.y, source.radius, source.n, b, reach, *shape, source.efficiency)
        light[k] = np.ravel(source.flux) / (sersic_norm(source.n) * source.radius**2) * pixel_scale**2
    return table, light
