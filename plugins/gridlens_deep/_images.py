"""From cutouts to the images that a network sees: stretched, in units of the noise, on one grid about the BCG."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from joblib import effective_n_jobs
from scipy.ndimage import gaussian_filter, map_coordinates

from gridlens.cutouts import CutoutSet, band_noise, is_rejected, quality_flags, rejection
from gridlens.errors import CutoutError
from gridlens.features import detection_maps

__all__ = ["Grid", "images_of", "usable_rows"]

# Where pixels lie within this fraction of a pixel of the grid, a shift would blur more than it would centre.
_NEAR = 0.05


@dataclass(frozen=True)
class Grid:
    """The member's own pixels and channels.

    Attributes
    ----------
    size : int
        Pixels on a side.
    pixel_scale : float
        arcsec per pixel.
    softening : float
        S/N above which the stretch turns from linear to logarithmic.
    blue_map : bool
        The blue map of the feature contract is the fourth channel, after g, r and i.
    """

    size: int = 128
    pixel_scale: float = 0.5
    softening: float = 3.0
    blue_map: bool = False

    @property
    def n_channels(self) -> int:
        """Number of channels of an image."""
        return 4 if self.blue_map else 3


def usable_rows(cutouts: CutoutSet) -> np.ndarray:
    """Return which of the cutouts (n,) gridlens does not reject."""
    if not len(cutouts):
        return np.empty(0, dtype=bool)
    rejected = [
        bool(rejection(pixels, place, float(scale)))
        for pixels, place, scale in zip(cutouts.pixels, cutouts.bcg_xy, cutouts.pixel_scale, strict=True)
    ]
    return ~(np.array(rejected, dtype=bool) | is_rejected(cutouts.flags | quality_flags(cutouts)))


def images_of(cutouts: CutoutSet, grid: Grid, n_jobs: int | None = 1) -> np.ndarray:
    """Prepare images for a network, with the BCG in the middle.

    From each band the sky is subtracted (the 40th percentile of a frame along the border); the band is divided by its
    noise (`gridlens.cutouts.band_noise`), resampled and stretched by ``asinh(s / softening)``. Negative values stay
    negative, and no cutout is scaled by its own brightest pixel: colours and depths compare between cutouts. The blue
    map (`gridlens.features.detection_maps`) is in units of its noise already.

    Parameters
    ----------
    cutouts : CutoutSet of n
    grid : Grid
    n_jobs : int, default=1
        Threads.

    Returns
    -------
    ndarray of shape (n, 3, size, size), float32
        Four channels with `Grid.blue_map`. Bad pixels, and pixels outside the cutout, are 0, the level of the sky; so
        is the blue map of a cutout that the features reject.
    """
    images = np.zeros((len(cutouts), grid.n_channels, grid.size, grid.size), dtype=np.float32)

    def prepare(k: int) -> None:
        bcg_xy, scale = cutouts.bcg_xy[k], float(cutouts.pixel_scale[k])
        signal = _signal_to_noise(cutouts.pixels[k])
        if grid.blue_map:
            signal = np.concatenate([signal, _blue_map(cutouts.pixels[k], bcg_xy, scale)[None]])
        placed = _placed(signal, bcg_xy, scale, grid)
        images[k] = np.arcsinh(placed / grid.softening)

    threads = effective_n_jobs(n_jobs)
    if threads == 1 or len(cutouts) == 1:
        for k in range(len(cutouts)):
            prepare(k)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(prepare, range(len(cutouts))))
    return images


def _signal_to_noise(pixels: np.ndarray) -> np.ndarray:
    """Convert linear flux (H, W, 3) to (3, H, W) in units of each band's noise; bad pixels become 0."""
    bands = np.ascontiguousarray(np.moveaxis(pixels, 2, 0), dtype=np.float32)
    good = np.asarray(np.isfinite(bands).all(axis=0))
    width = max(2, bands.shape[1] // 16)
    frame = good.copy()
    frame[width:-width, width:-width] = False
    border = bands[:, frame]
    sky = np.percentile(border, 40, axis=1) if border.size else np.zeros(3)
    sigma = band_noise(pixels)
    # A band without noise was not observed: such a cutout is rejected, and gets no score.
    sigma[sigma == 0.0] = 1.0
    signal = (bands - sky[:, None, None].astype(np.float32)) / sigma[:, None, None].astype(np.float32)
    return np.where(good, signal, np.float32(0.0))


def _blue_map(pixels: np.ndarray, bcg_xy: np.ndarray, scale: float) -> np.ndarray:
    """Return the blue map (H, W) of the feature contract; bad pixels, and a cutout that is rejected, are 0."""
    try:
        _, blue = detection_maps(pixels, bcg_xy, scale)
    except CutoutError:
        return np.zeros(pixels.shape[:2], dtype=np.float32)
    return np.where(np.isfinite(pixels).all(axis=2), blue, np.float32(0.0))


def _placed(signal: np.ndarray, bcg_xy: np.ndarray, scale: float, grid: Grid) -> np.ndarray:
    """Bring (c, H, W) to the grid, (c, size, size), with the BCG in the middle."""
    steps = (np.arange(grid.size) - (grid.size - 1) / 2) * grid.pixel_scale / scale
    rows, columns = bcg_xy[1] + steps, bcg_xy[0] + steps
    if all(np.abs(at - np.round(at)).max() < _NEAR for at in (rows, columns)):
        return _picked(signal, np.round(rows).astype(int), np.round(columns).astype(int))
    coarser = grid.pixel_scale / scale
    if coarser > 1.0:
        # Without it, pixels between the samples would be skipped.
        signal = gaussian_filter(signal, (0.0, *[0.5 * np.sqrt(coarser**2 - 1.0)] * 2))
    at = np.broadcast_arrays(rows[:, None], columns[None, :])
    return np.stack([map_coordinates(band, at, order=1, mode="constant", cval=0.0) for band in signal])


def _picked(signal: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    inside = [(at >= 0) & (at < n) for at, n in ((rows, signal.shape[1]), (columns, signal.shape[2]))]
    placed = np.zeros((len(signal), len(rows), len(columns)))
    placed[:, inside[0][:, None] & inside[1][None, :]] = signal[
        :, rows[inside[0]][:, None], columns[inside[1]][None, :]
    ].reshape(len(signal), -1)
    return placed
