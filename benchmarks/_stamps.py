"""Galaxies cut out of real images, to be pasted into simulated scenes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gridlens.cutouts import band_noise

__all__ = ["Stamp", "paste", "real_stamps"]

# Thresholds of the pixels of a stamp, and of its peak, in sigma.
_EDGE, _PEAK = 2.0, 12.0
# Limits of the width of a stamp, arcsec: wider than a point source, narrower than a bright star.
_NARROWEST, _WIDEST = 2.5, 14.0


@dataclass(frozen=True)
class Stamp:
    """A galaxy of a real image."""

    light: np.ndarray
    """(3, n, m) in units of the mean sky rms of the image; 0 outside the galaxy"""
    pixel_scale: float
    """arcsec per pixel"""


def real_stamps(images: Iterable[tuple[np.ndarray, float]], most: int = 300) -> list[Stamp]:
    """Return the galaxies in real images: connected regions of light that are wider than a star.

    Parameters
    ----------
    images : iterable of (ndarray of shape (H, W, 3), float)
        Pixels and arcsec per pixel.
    most : int, default=300
        Largest number of stamps from one image, counted from its lower edge.

    Returns
    -------
    list of Stamp
    """
    stamps = []
    for pixels, scale in images:
        noise = band_noise(pixels)
        planes = np.moveaxis(np.nan_to_num(pixels) - np.nanmedian(pixels, axis=(0, 1)), 2, 0)
        combined = (planes / noise[:, None, None]).sum(axis=0) / math.sqrt(3.0)
        smooth = ndimage.gaussian_filter(combined, 0.4 / scale)
        labels, _ = ndimage.label(smooth > _EDGE)
        kept = 0
        for number, part in enumerate(ndimage.find_objects(labels), start=1):
            width = scale * max(side.stop - side.start for side in part)
            # Light at the border would have a straight edge; light in only one band is a cosmic ray.
            whole = all(side.start > 0 and side.stop < end for side, end in zip(part, labels.shape, strict=True))
            if kept < most and whole and _NARROWEST < width < _WIDEST and smooth[part].max() > _PEAK:
                inside = ndimage.gaussian_filter((labels[part] == number).astype(float), 0.7)
                light = planes[(slice(None), *part)] * inside / noise.mean()
                if _in_all_bands(light) and _is_wide(light.sum(axis=0), scale):
                    stamps.append(Stamp(light, scale))
                    kept += 1
    return stamps


def _in_all_bands(light: np.ndarray) -> bool:
    """Return whether each band has between a hundredth and four fifths of the light."""
    fractions = light.sum(axis=(1, 2)) / light.sum()
    return bool((fractions > 0.01).all() and (fractions < 0.8).all())


def _is_wide(light: np.ndarray, scale: float) -> bool:
    """Return whether the rms radius of the light exceeds that of a star in a seeing of 1.3 arcsec."""
    y, x = np.indices(light.shape)
    weight = np.clip(light, 0.0, None)
    x0, y0 = np.average(x, weights=weight), np.average(y, weights=weight)
    return scale * math.sqrt(float(np.average((x - x0) ** 2 + (y - y0) ** 2, weights=weight))) > 0.95


def paste(rng: np.random.Generator, light: np.ndarray, stamp: Stamp, pixel_scale: float, sky_sigma: np.ndarray) -> None:
    """Add a stamp to `light` (3, H, W) at a random position and turn, as bright relative to the sky as in its image.

    If it is binned to wider pixels, its noise is lower than that of the scene.
    """
    turned = np.rot90(stamp.light, int(rng.integers(4)), axes=(1, 2))
    ratio = stamp.pixel_scale / pixel_scale
    shape = tuple(max(1, math.ceil(side * ratio)) for side in turned.shape[1:])
    rows, columns = (np.arange(side) + 0.5 for side in shape)
    # Smoothing before sampling keeps the flux of details smaller than a pixel.
    width = 0.5 * max(1.0 / ratio - 1.0, 0.0)
    smooth = ndimage.gaussian_filter(turned, (0.0, width, width), mode="constant")
    grid = np.meshgrid(rows / ratio - 0.5, columns / ratio - 0.5, indexing="ij")
    drawn = np.stack([ndimage.map_coordinates(band, grid, order=1, mode="constant") for band in smooth])
    drawn *= float(sky_sigma.mean()) / ratio
    target, source = [], []
    for side, size in zip(shape, light.shape[1:], strict=True):
        first = int(rng.integers(-side // 2, size - side // 2))
        target.append(slice(max(first, 0), min(first + side, size)))
        source.append(slice(target[-1].start - first, target[-1].stop - first))
    light[(slice(None), *target)] += drawn[(slice(None), *source)]
