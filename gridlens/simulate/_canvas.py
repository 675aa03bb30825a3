"""The canvas of a scene: sub-pixels, arcsec coordinates, point-spread functions, binning to pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from gridlens.simulate._light import add_arc, add_sersic
from gridlens.simulate._point_spread import PointSpread, spread_kernel

__all__ = ["Canvas", "Geometry", "moffat_kernel"]

# AB zero point of all simulated fluxes.
ZERO_POINT = 27.0
# Approximate width of a sub-pixel, arcsec: two per canonical pixel.
_SUBPIXEL = 0.25
# Margin of the canvas around the cutout, arcsec, so that light from outside enters through the PSF.
_MARGIN = 4.0


def flux_of(magnitude: float | np.ndarray) -> np.ndarray:
    """Return the flux of a magnitude at the simulation's zero point."""
    return np.asarray(10.0 ** (-0.4 * (np.asarray(magnitude, dtype=float) - ZERO_POINT)))


def band_fluxes(r_mag: float, gr: float, ri: float) -> np.ndarray:
    """Return the fluxes in g, r, i of an object with total magnitude `r_mag` and colours g-r and r-i."""
    return flux_of(np.array([r_mag + gr, r_mag, r_mag - ri]))


@dataclass(frozen=True)
class Geometry:
    """Size of a cutout in pixels and its pixel scale in arcsec; canonical by default."""

    size: int = 128
    pixel_scale: float = 0.5

    @property
    def field(self) -> float:
        """Width on the sky, arcsec."""
        return self.size * self.pixel_scale

    @property
    def sampling(self) -> int:
        """Number of sub-pixels along a pixel."""
        return max(1, round(self.pixel_scale / _SUBPIXEL))

    @property
    def step(self) -> float:
        """Width of a sub-pixel, arcsec."""
        return self.pixel_scale / self.sampling


class Canvas:
    """Three bands of sub-pixels around a cutout. Coordinates are arcsec from the cutout's centre, x right, y up.

    Parameters
    ----------
    geometry : Geometry
        Geometry of the cutout.
    floor : float
        Surface brightness, flux per square arcsec, below which the wings of a galaxy are not drawn.
    """

    def __init__(self, geometry: Geometry, floor: float) -> None:
        self.geometry = geometry
        self.sampling, self.step = geometry.sampling, geometry.step
        self.margin = math.ceil(_MARGIN / geometry.pixel_scale)
        self.size = (geometry.size + 2 * self.margin) * self.sampling
        self.floor = floor * self.step**2
        self.images = np.zeros((3, self.size, self.size))

    def to_subpixel(self, coordinate: float) -> float:
        """Return the sub-pixel index of a coordinate in arcsec."""
        return coordinate / self.step + 0.5 * (self.size - 1)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates x, y of the sub-pixel centres, arcsec, each of shape (size, size)."""
        axis = (np.arange(self.size) - 0.5 * (self.size - 1)) * self.step
        x, y = np.meshgrid(axis, axis)
        return x, y

    def galaxy(
        self, x: float, y: float, radius: float, n: float, axis_ratio: float, angle: float, fluxes: np.ndarray
    ) -> None:
        """Draw a Sersic galaxy; `radius` is the effective radius in arcsec, `fluxes` (3,) the total fluxes."""
        add_sersic(
            self.images,
            self.to_subpixel(x),
            self.to_subpixel(y),
            max(radius / self.step, 0.1),
            n,
            axis_ratio,
            angle,
            fluxes,
            self.floor,
        )

    def arc(
        self,
        x: float,
        y: float,
        radius: float,
        middle: float,
        opening: float,
        width: float,
        fluxes: np.ndarray,
        pitch: float = 0.0,
    ) -> None:
        """Draw an arc of a circle or a spiral; lengths in arcsec, `fluxes` (3,) the total fluxes."""
        add_arc(
            self.images,
            self.to_subpixel(x),
            self.to_subpixel(y),
            radius / self.step,
            middle,
            opening,
            max(width / self.step, 0.5),
            fluxes,
            pitch,
        )

    def point(self, x: float, y: float, fluxes: np.ndarray) -> None:
        """Draw a point source, distributed bilinearly over the four nearest sub-pixels."""
        px, py = self.to_subpixel(x), self.to_subpixel(y)
        i, j = math.floor(px), math.floor(py)
        fx, fy = px - i, py - j
        for dj, di, share in (
            (0, 0, (1 - fx) * (1 - fy)),
            (0, 1, fx * (1 - fy)),
            (1, 0, (1 - fx) * fy),
            (1, 1, fx * fy),
        ):
            if 0 <= j + dj < self.size and 0 <= i + di < self.size:
                self.images[:, j + dj, i + di] += share * fluxes

    def observe(
        self, seeing: np.ndarray, shifts: np.ndarray, spreads: Sequence[PointSpread] | None = None
    ) -> np.ndarray:
        """Convolve each band with its point-spread function and bin it to the cutout's pixels.

        Parameters
        ----------
        seeing : ndarray of shape (3,)
            FWHM per band, arcsec.
        shifts : ndarray of shape (3, 2)
            Misregistration of each band in x and y, arcsec.
        spreads : sequence of PointSpread, optional
            Point-spread function of each band; by default, a round Moffat profile of the seeing.

        Returns
        -------
        ndarray of shape (3, size, size)
            Flux per pixel without noise.
        """
        length = fft.next_fast_len(self.size + 2 * math.ceil(4.0 * float(np.max(seeing)) / self.step), real=True)
        geometry, s = self.geometry, self.sampling
        out = np.empty((3, geometry.size, geometry.size))
        for band in range(3):
            shift_x, shift_y = (float(shift) / self.step for shift in shifts[band])
            if spreads is None:
                kernel = moffat_kernel(float(seeing[band]) / self.step, (shift_x, shift_y), length)
            else:
                kernel = spread_kernel(spreads[band], (shift_x, shift_y), self.step, length)
            image = fft.rfft2(self.images[band].astype(np.float32), s=(length, length))
            smooth = fft.irfft2(image * kernel, s=(length, length))[: self.size, : self.size]
            inner = smooth[self.margin * s : self.size - self.margin * s, self.margin * s : self.size - self.margin * s]
            # Strided sums are much faster than sums over short axes.
            out[band] = sum(inner[j::s, i::s] for j in range(s) for i in range(s))
        return out


# The arcs of a scene and the rest of its light are observed in turn with the same three kernels.
@lru_cache(maxsize=3)
def moffat_kernel(fwhm: float, shift: tuple[float, float], length: int, beta: float = 3.0) -> np.ndarray:
    """Return the transform of a normalized Moffat profile (Moffat 1969, A&A 3, 455) on a periodic square grid.

    `fwhm` and `shift` (x, y) are in sub-pixels; `length` is the side of the grid. The profile is truncated at 4 FWHM.
    """
    alpha = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / beta) - 1.0)
    axis = fft.fftfreq(length, 1.0 / length)
    dx, dy = axis - shift[0], axis - shift[1]
    near_x, near_y = (np.nonzero(np.abs(part) <= 4.0 * fwhm)[0] for part in (dx, dy))
    r2 = dx[near_x][None, :] ** 2 + dy[near_y][:, None] ** 2
    kernel = np.zeros((length, length))
    kernel[np.ix_(near_y, near_x)] = np.where(r2 > (4.0 * fwhm) ** 2, 0.0, (1.0 + r2 / alpha**2) ** -beta)
    return np.asarray(fft.rfft2((kernel / kernel.sum()).astype(np.float32)))
