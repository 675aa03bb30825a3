"""Images for the browser: 16-bit arrays, which the browser stretches."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutSet, band_noise

__all__ = ["VIEWS", "encoded", "pixel_sha256", "reduced"]

VIEWS = ("raw", "subtracted", "blue")
"""the unchanged bands, the bands without the light of the BCG, and the light that is bluer than the BCG"""

_MISSING = 65535
_STEPS = _MISSING - 1
# Largest step of the grey levels in units of the noise, so that a saturated star does not hide faint arcs.
_STEP_PER_NOISE = 0.125
# Largest distance of the lower end of the range below the median, in units of the noise; lower pixels are bad.
_LOWEST = 1000.0


def pixel_sha256(pixels: np.ndarray) -> str:
    """Return the SHA-256 of one cutout (H, W, 3) as little-endian float32, row by row, for grade books."""
    return hashlib.sha256(np.ascontiguousarray(pixels, dtype="<f4").tobytes()).hexdigest()


def encoded(cutout: CutoutSet, views: Sequence[str], more: Mapping[str, Any], blue: np.ndarray | None = None) -> bytes:
    """Return one cutout encoded as the length of a JSON header in 4 bytes, the header, and 16-bit arrays.

    The arrays have the shape (n_views, 3, H, W) and are little-endian. A value v means the flux
    ``low + v * (high - low) / 65534``, and 65535 is a missing pixel. Fluxes outside the range are clipped to it.

    Parameters
    ----------
    cutout : CutoutSet of 1
    views : sequence of str
        Some of `VIEWS`. The blue map is the same in all three bands.
    more : mapping
        Additional entries of the header.
    blue : ndarray of shape (H, W), default=None
        The blue map of `detection_maps`. If None, all pixels of this view are missing.
    """
    pixels = cutout.pixels[0]
    parts, lows, highs = [], [], []
    for view in views:
        values, low, high = _quantised(_view(cutout, view, blue))
        parts.append(values)
        lows.append(low)
        highs.append(high)
    header = {
        "id": str(cutout.ids[0]),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "bands": ["g", "r", "i"],
        "low": lows,
        "high": highs,
        "nan": _MISSING,
        "pixel_scale": _finite(cutout.pixel_scale[0]),
        "bcg_xy": [_finite(value) for value in cutout.bcg_xy[0]],
        "sky_axes": [[_finite(value) for value in line] for line in cutout.sky_axes[0]],
        "views": list(views),
        "n_bytes": sum(part.nbytes for part in parts),
        **more,
    }
    text = json.dumps(header).encode()
    return b"".join([struct.pack("<I", len(text)), text, *(part.tobytes() for part in parts)])


def reduced(cutout: CutoutSet, size: int) -> CutoutSet:
    """Return one cutout binned to at most about `size` px; each pixel is the mean of those it replaces."""
    pixels = cutout.pixels[0]
    step = max(1, min(pixels.shape[:2]) // size)
    if step == 1:
        return cutout
    height, width = (side // step for side in pixels.shape[:2])
    parts = pixels[: height * step, : width * step].reshape(height, step, width, step, 3)
    fine = np.isfinite(parts)
    count = fine.sum(axis=(1, 3))
    total = np.where(fine, parts, 0.0).sum(axis=(1, 3), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        mean = (total / np.where(count, count, np.nan)).astype(np.float32)
    return CutoutSet(
        mean[None],
        bcg_xy=(cutout.bcg_xy - (step - 1) / 2.0) / step,
        pixel_scale=cutout.pixel_scale * step,
        ids=cutout.ids,
        sky_axes=cutout.sky_axes * step,
    )


def _view(cutout: CutoutSet, view: str, blue: np.ndarray | None) -> np.ndarray:
    """Return one view (3, H, W)."""
    pixels = cutout.pixels[0]
    if view == "raw":
        return np.moveaxis(pixels, 2, 0)
    if view == "subtracted":
        return _without_bcg(pixels, cutout.bcg_xy[0])
    if blue is None or blue.shape != pixels.shape[:2]:
        return np.full((3, *pixels.shape[:2]), np.nan, np.float32)
    return np.broadcast_to(np.where(np.isfinite(pixels).all(axis=2), blue, np.nan), (3, *pixels.shape[:2]))


def _without_bcg(pixels: np.ndarray, bcg_xy: np.ndarray) -> np.ndarray:
    """Return the bands (3, H, W) minus the median light in rings around the BCG, one pixel wide and interpolated."""
    y, x = np.indices(pixels.shape[:2])
    radius = np.hypot(x - bcg_xy[0], y - bcg_xy[1])
    if not np.isfinite(radius).all():
        return np.full((3, *pixels.shape[:2]), np.nan, np.float32)
    ring = np.rint(radius).astype(np.int64).ravel()
    left = []
    for band in np.moveaxis(pixels, 2, 0):
        values = band.ravel()
        fine = np.isfinite(values)
        order = np.lexsort([values[fine], ring[fine]])
        rings, starts, counts = np.unique(ring[fine][order], return_index=True, return_counts=True)
        if not len(rings):
            left.append(band)
            continue
        ordered = values[fine][order].astype(np.float64)
        median = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2.0
        left.append(band - np.interp(radius, rings, median))
    return np.stack(left)


def _quantised(planes: np.ndarray) -> tuple[np.ndarray, list[float], list[float]]:
    """Return planes (3, H, W) as uint16, and the fluxes that the values 0 and 65534 of each represent."""
    noise = band_noise(np.moveaxis(planes, 0, 2).astype(np.float32))
    values = np.full(planes.shape, _MISSING, "<u2")
    lows, highs = [], []
    for k, plane in enumerate(planes):
        fine = np.isfinite(plane)
        known = plane[fine].astype(np.float64)
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        if noise[k] > 0.0:
            low = max(low, float(np.median(known)) - _LOWEST * noise[k])
            high = min(high, low + _STEPS * _STEP_PER_NOISE * noise[k])
        if not high > low:
            high = low + 1.0
        values[k][fine] = np.rint(np.clip((known - low) / (high - low), 0.0, 1.0) * _STEPS)
        lows.append(low)
        highs.append(high)
    return values, lows, highs


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
