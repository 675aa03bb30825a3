"""Noise textures: correlated in any direction, resampled, or with a depth that varies over the field."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

__all__ = ["Grid", "Texture", "drop_kernel", "gaussian_kernel"]

# Half-width of kernels, pixels: 4 standard deviations of the widest.
_RADIUS = 6


@dataclass(frozen=True)
class Grid:
    """The pixel grid of the image from which a cutout was interpolated."""

    pitch: float
    """pixel scale relative to that of the cutout"""
    turn: float
    """angle between its rows and those of the cutout, rad"""
    order: int
    """order of the spline: 1 for linear, 3 for cubic interpolation"""


@dataclass(frozen=True)
class Texture:
    """Texture of noise: correlation by a kernel, interpolation from another grid, and scaling by a map."""

    kernels: tuple[np.ndarray, ...]
    """for each band, a kernel that correlates white noise, in pixels of the grid if there is one"""
    coverage: np.ndarray | None = None
    """(3, H, W): local rms relative to the rms of the whole cutout"""
    grid: Grid | None = None

    def apply(self, noise: np.ndarray) -> np.ndarray:
        """Apply this texture to white noise (3, H, W); return a new array with an rms of 1 in each band."""
        textured = np.empty_like(noise)
        transforms: dict[int, np.ndarray] = {}
        for band, kernel in enumerate(self.kernels):
            one = noise[band]
            if kernel.size > 1:
                # The bands often share one kernel.
                if id(kernel) not in transforms:
                    transforms[id(kernel)] = fft.rfft2(kernel, s=one.shape)
                one = fft.irfft2(fft.rfft2(one) * transforms[id(kernel)], s=one.shape)
            if self.grid is not None:
                one = _resample(one, self.grid)
            textured[band] = one / one.std()
        if self.coverage is not None:
            textured *= self.coverage
        return textured

    def rms_factor(self, star: np.ndarray) -> np.ndarray:
        """Return the rms per pixel relative to white noise with the same point-source depth.

        Parameters
        ----------
        star : ndarray of shape (3,)
            Standard deviation of a star in each band, pixels of the cutout.

        Returns
        -------
        ndarray of shape (3,)

        Notes
        -----
        A matched filter weights the autocorrelation of the noise with that of the star. The interpolation lowers the
        rms but does not change the noise on the scale of a star.
        """
        factors = np.ones(3)
        correlations: dict[int, np.ndarray] = {}
        for band, kernel in enumerate(self.kernels):
            if id(kernel) not in correlations:
                correlations[id(kernel)] = _autocorrelation(kernel)
            correlation = correlations[id(kernel)]
            lag = np.arange(correlation.shape[0]) - correlation.shape[0] // 2
            pitch = 1.0 if self.grid is None else self.grid.pitch
            seen = np.exp(-0.25 * (lag * pitch / star[band]) ** 2)
            excess = max(1.0, float(seen @ correlation @ seen))
            kept = 1.0
            if self.grid is not None:
                lags = _interpolation_lags(self.grid.order)[np.minimum(np.abs(lag), 2 * _RADIUS)]
                # A pixel of the cutout contains 1 / pitch^2 of the light of a pixel of the grid, whose rms scales as
                # pitch.
                kept = float(lags @ correlation @ lags) / pitch**2
            factors[band] = math.sqrt(kept / excess)
        return factors


def _autocorrelation(kernel: np.ndarray) -> np.ndarray:
    """Return the correlation of noise at all lags, with lag zero (value 1) in the centre."""
    side = 2 * kernel.shape[0] - 1
    spectrum = np.abs(fft.fft2(kernel, s=(side, side))) ** 2
    correlation = fft.fftshift(fft.ifft2(spectrum).real)
    return np.asarray(correlation / correlation.max())


@lru_cache(maxsize=2)
def _interpolation_lags(order: int) -> np.ndarray:
    """Return the autocorrelation, at lags 0 to 2 `_RADIUS`, of the interpolating function of a spline of `order`.

    This is the mean over all sub-pixel positions of the products of the weights of two pixels, along one axis.
    """
    f = np.linspace(-8.0, 8.0, 16001)
    spline = np.sinc(f) ** (order + 1)
    if order == 3:
        spline /= 2.0 / 3.0 + np.cos(2.0 * np.pi * f) / 3.0
    lags = np.arange(2 * _RADIUS + 1)
    return np.asarray(np.trapezoid(spline**2 * np.cos(2.0 * np.pi * f * lags[:, None]), f, axis=1))


def _resample(image: np.ndarray, grid: Grid) -> np.ndarray:
    """Interpolate a square periodic image at the pixels of a cutout rotated relative to it."""
    axis = (np.arange(image.shape[0]) - 0.5 * (image.shape[0] - 1)) / grid.pitch
    x, y = axis[None, :], axis[:, None]
    cos, sin = math.cos(grid.turn), math.sin(grid.turn)
    return np.asarray(
        ndimage.map_coordinates(image, [y * cos - x * sin, x * cos + y * sin], order=grid.order, mode="grid-wrap")
    )


def gaussian_kernel(major: float, minor: float, angle: float) -> np.ndarray:
    """Return an elliptical Gaussian of standard deviations `major` and `minor`, pixels, at `angle` from the x axis."""
    # A kernel much narrower than a pixel leaves the noise white.
    if major < 0.2:
        return np.ones((1, 1))
    y, x = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return np.asarray(np.exp(-0.5 * ((along / major) ** 2 + (across / max(minor, 0.2)) ** 2)))


def drop_kernel(width: float, x: float, y: float) -> np.ndarray:
    """Return the overlap of pixels with a square drop of `width` pixels centred on `x`, `y` (Fruchter & Hook 2002)."""
    pixels = np.arange(-2, 3)

    def overlap(centre: float) -> np.ndarray:
        high = np.minimum(pixels + 0.5, centre + 0.5 * width)
        return np.asarray(np.clip(high - np.maximum(pixels - 0.5, centre - 0.5 * width), 0.0, None))

    return np.outer(overlap(y), overlap(x))
