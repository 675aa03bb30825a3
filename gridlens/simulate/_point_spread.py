"""Point-spread functions of any shape: Moffat profiles and Gaussians with wings, elliptical, resampled."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

__all__ = ["PointSpread", "spread_kernel"]

# Profiles are truncated at this many FWHM, like the plain Moffat profile of a scene.
_REACH = 4.0


@dataclass(frozen=True)
class PointSpread:
    """Shape of the point-spread function of one band.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum of the profile, arcsec: the geometric mean of both axes.
    beta : float, default=3.0
        Exponent of the Moffat profile; infinity means a Gaussian.
    ellipticity : complex, default=0
        ``(a - b) / (a + b)`` times ``exp(2 i angle)``, where angle is that of the major axis from the x axis.
    wings : float, default=0.0
        Fraction of the light in a Gaussian 2.5 times as wide.
    pitch : float, default=0.0
        Pixel scale, arcsec, of the grid from which the image was interpolated linearly; 0 means no interpolation.
    turn : float, default=0.0
        Angle of that grid, rad.
    """

    fwhm: float
    beta: float = 3.0
    ellipticity: complex = 0.0
    wings: float = 0.0
    pitch: float = 0.0
    turn: float = 0.0


def _profile(spread: PointSpread, r2: np.ndarray) -> np.ndarray:
    """Return the brightness at squared elliptical radii `r2`, in units of the FWHM squared; not normalized."""
    gaussian = 4.0 * math.log(2.0)
    if math.isinf(spread.beta):
        core = np.exp(-gaussian * r2)
    else:
        core = (1.0 + 4.0 * (2.0 ** (1.0 / spread.beta) - 1.0) * r2) ** -spread.beta
    core = np.where(r2 > _REACH**2, 0.0, core)
    if spread.wings == 0.0:
        return np.asarray(core)
    wide = np.where(r2 > _REACH**2, 0.0, np.exp(-gaussian * r2 / 2.5**2))
    return np.asarray((1.0 - spread.wings) * core / core.sum() + spread.wings * wide / wide.sum())


# The arcs of a scene and the rest of its light are observed in turn with the same three kernels.
@lru_cache(maxsize=3)
def spread_kernel(spread: PointSpread, shift: tuple[float, float], step: float, length: int) -> np.ndarray:
    """Return the transform of a point-spread function with a sum of 1.

    Parameters
    ----------
    spread : PointSpread
    shift : tuple of float
        Shift of the centre in x and y, sub-pixels.
    step : float
        Width of a sub-pixel, arcsec.
    length : int
        Side of the periodic grid, sub-pixels.

    Returns
    -------
    ndarray of shape (length, length // 2 + 1)
        As returned by `scipy.fft.rfft2`.
    """
    fwhm = spread.fwhm / step
    axis = fft.fftfreq(length, 1.0 / length)
    dx, dy = axis - shift[0], axis - shift[1]
    e = abs(spread.ellipticity)
    axis_ratio = (1.0 - e) / (1.0 + e)
    angle = 0.5 * math.atan2(spread.ellipticity.imag, spread.ellipticity.real)
    reach = _REACH * fwhm / math.sqrt(axis_ratio)
    near_x, near_y = (np.nonzero(np.abs(part) <= reach)[0] for part in (dx, dy))
    x, y = dx[near_x][None, :] / fwhm, dy[near_y][:, None] / fwhm
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.zeros((length, length))
    kernel[np.ix_(near_y, near_x)] = _profile(spread, along**2 * axis_ratio + across**2 / axis_ratio)
    transform = fft.rfft2((kernel / kernel.sum()).astype(np.float32))
    if spread.pitch > 0.0:
        transform *= _interpolation(spread.pitch / step, spread.turn, length)
    return np.asarray(transform)


def _interpolation(pitch: float, turn: float, length: int) -> np.ndarray:
    """Return the transform of linear interpolation from a rotated grid: a tent of half-width `pitch` on both axes."""
    fx, fy = fft.rfftfreq(length)[None, :], fft.fftfreq(length)[:, None]
    u, v = fx * math.cos(turn) + fy * math.sin(turn), fy * math.cos(turn) - fx * math.sin(turn)
    return np.asarray((np.sinc(u * pitch) * np.sinc(v * pitch)) ** 2, dtype=np.float32)
