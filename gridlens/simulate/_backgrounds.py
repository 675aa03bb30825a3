"""Real images to inject arcs into, and the windows in wide fields that can serve as cutouts."""

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gridlens.cutouts import CutoutSet, band_noise, read_batches
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._reject import MIN_SIZE, reject_reason
from gridlens.errors import CutoutError

__all__ = [
    "Backgrounds",
    "RealImage",
    "Window",
    "load_backgrounds",
    "peaks_of",
    "planes_of",
    "sky_rms",
    "whole_window",
]

# The default window: _SIZE px, or, if that spans less than _NARROW arcsec, the narrowest field that can hold the arcs
# of a cluster, as many pixels as make _WIDE arcsec.
_SIZE, _NARROW, _WIDE = 128, 40.0, 44.0
# An image wider than this many cutouts is a field that contains windows.
_FIELD = 1.5
# Minimum flux of a source in units of the sky rms per pixel, bands combined: peak in the detection-filtered image, for
# detection, and total, to serve as a BCG. In KiDS the total corresponds to about r = 22.
_PEAK, _BRIGHT = 3.0, 350.0
# Sources are measured out to the first radius, arcsec; their cores and colours within the second.
_REACH, _APERTURE = 6.0, 1.0
# A galaxy's half-light radius is at least this many times a star's.
_EXTENDED = 1.3
# A source detected in only one band, or with a smaller fraction of its light in its core, is a cosmic ray or a star's
# halo.
_BAND_SIGNAL, _CORE = 6.0, 0.17
# Half-light radius of a star in seeing of 1.5 arcsec: upper limit for the most compact sources of a field.
_WIDEST_STAR = 0.9
_MEMBERS = 25
# The drawn BCGs are 1.5 mag brighter than L*.
_BCG_LUMINOSITY = 10.0**0.6


@dataclass(frozen=True)
class RealImage:
    """An image that contains windows."""

    pixels: NDArray[np.float32]
    """(H, W, 3), g, r, i, in its own flux unit; NaN for missing data"""
    pixel_scale: float
    """arcsec per pixel"""
    sky_sigma: NDArray[np.float64]
    """(3,) rms per pixel, see `noise`"""


@dataclass(frozen=True)
class Window:
    """A square window around a bright galaxy, which serves as a BCG."""

    image: int
    """index of its image"""
    size: int
    """pixels"""
    bcg_xy: tuple[float, float]
    """position of the BCG, pixels of the image"""
    bcg_angle: float
    """position angle of the BCG's light, from the x axis, rad"""
    members: NDArray[np.float64]
    """(m, 3): x, y (pixels of the image) and luminosity over L*, the BCG first, then the brightest galaxies near it"""


@dataclass(frozen=True)
class Backgrounds:
    """Real images and their windows for the injection of arcs, created by `load_backgrounds`."""

    images: tuple[RealImage, ...]
    windows: tuple[Window, ...]

    def __len__(self) -> int:
        return len(self.windows)

    def __repr__(self) -> str:
        return f"Backgrounds({len(self.windows)} windows in {len(self.images)} images)"

    def cutouts(self) -> CutoutSet:
        """Return the unchanged windows as cutouts of one size, in order.

        Raises
        ------
        CutoutError
            The windows differ in size.
        """
        pixels, bcg_xy, scales = [], [], []
        for window in self.windows:
            image = self.images[window.image]
            x, y = corner(window.bcg_xy, window.size)
            x = min(max(x, 0), image.pixels.shape[1] - window.size)
            y = min(max(y, 0), image.pixels.shape[0] - window.size)
            pixels.append(image.pixels[y : y + window.size, x : x + window.size])
            bcg_xy.append((window.bcg_xy[0] - x, window.bcg_xy[1] - y))
            scales.append(image.pixel_scale)
        if len({part.shape for part in pixels}) > 1:
            raise CutoutError("The windows differ in size. Give one size when the backgrounds are loaded.")
        ids = [f"window-{number:04d}" for number in range(len(pixels))]
        return CutoutSet(np.stack(pixels), bcg_xy=bcg_xy, pixel_scale=scales, ids=ids)


def load_backgrounds(
    paths: PathsLike,
    *,
    pixel_scale: float | None = None,
    bands: str | None = None,
    zeropoint: float | Mapping[str, float] | None = None,
    size: int | None = None,
) -> Backgrounds:
    """Read real images and find windows for the injection of a cluster's arcs.

    An image wider than 1.5 cutouts is a field. Its windows are centred on galaxies that resemble a BCG: bright, more
    extended than a star, g-r redder than the field's median, the brightest source within 6 arcsec, and at least a third
    of a window from the next one. Windows lie completely inside the image and may overlap. A smaller image is already a
    cutout and is used completely, centred on its BCG.

    Parameters
    ----------
    paths : str, path or list of them
        Files, folders and globs, as in `CutoutSet.read`.
    pixel_scale, bands, zeropoint
        As in `CutoutSet.read`. The bands must share one flux unit. It may be any unit, since the noise sets the
        brightness of the injected arcs, see `inject_scene`.
    size : int, default=None
        Width of a window, pixels, 48 or more. None means 128 px, or, if that is under 40 arcsec, as many as make 44
        arcsec.

    Returns
    -------
    Backgrounds
        Windows in fields are sorted from bright to faint. Images that cannot be used are omitted with one warning.

    Raises
    ------
    CutoutError
        No file is found, `size` is too small, or no image has a usable window.

    See Also
    --------
    inject_scene, write_injected_set

    Examples
    --------
    >>> from gridlens.simulate import load_backgrounds
    >>> load_backgrounds("field.fits", pixel_scale=0.34)  # doctest: +SKIP
    Backgrounds(207 windows in 1 images)
    """
    if size is not None and size < MIN_SIZE:
        raise CutoutError(f"The 'size' parameter must be {MIN_SIZE} or more. Got {size!r} instead.")
    images: list[RealImage] = []
    windows: list[Window] = []
    problems: list[str] = []
    for batch in read_batches(paths, pixel_scale=pixel_scale, bands=bands, zeropoint=zeropoint):
        problems.extend(f"{failure.path}: {failure.message}" for failure in batch.failures)
        for cutout in batch.cutouts or ():
            pixels, scale = cutout.pixels[0], float(cutout.pixel_scale[0])
            image = RealImage(pixels, scale, sky_rms(pixels))
            width = size or _default_size(scale)
            number = len(images)
            if max(pixels.shape[:2]) > _FIELD * width:
                found = list(_field_windows(image, number, width))
                problem = f"no bright, extended, red galaxy has room for a window of {width} px around it."
            else:
                problem = reject_reason(pixels, cutout.bcg_xy[0], scale)
                found = [] if problem else [whole_window(image, cutout.bcg_xy[0], number)]
            if found:
                images.append(image)
                windows.extend(found)
            else:
                problems.append(f"{cutout.paths[0]}: {problem}")
    if not windows:
        raise CutoutError(
            f"None of the {len(problems)} images has a usable window. The first is {problems[0]} "
            "Use a wider or deeper field, a smaller window, or cutouts of clusters, which are used completely."
        )
    if problems:
        warnings.warn(
            f"{len(problems)} images are omitted as backgrounds. The first one is {problems[0]}",
            UserWarning,
            stacklevel=2,
        )
    return Backgrounds(tuple(images), tuple(windows))


def sky_rms(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rms of the sky per pixel in each band, (3,)."""
    # Photon rates depend on this value, so even a different last digit would change the scenes of a seed.
    return band_noise(pixels, np.float32).astype(np.float64)


def _default_size(pixel_scale: float) -> int:
    return _SIZE if _SIZE * pixel_scale >= _NARROW else math.ceil(_WIDE / pixel_scale)


class _Sources(NamedTuple):
    """Sources of one image, each measured around a pixel."""

    xy: NDArray[np.int64]
    """(n, 2) pixels"""
    flux: NDArray[np.float64]
    """(n, 3) flux of the core"""
    signal: NDArray[np.float64]
    """(n,) lowest S/N of the core in any band"""
    core: NDArray[np.float64]
    """(n,) fraction of the light in the core"""
    light: NDArray[np.float64]
    """(n,) total flux, bands combined, in units of the sky rms per pixel"""
    half_light: NDArray[np.float64]
    """(n,) arcsec"""

    def extended(self) -> NDArray[np.bool_]:
        """Return which sources are galaxies: wider than the most compact bright sources, which are stars."""
        bright = self.half_light[self.light > _BRIGHT]
        star = min(float(np.percentile(bright, 10.0)), _WIDEST_STAR) if bright.size else _WIDEST_STAR
        return self.half_light > _EXTENDED * star

    def real(self) -> NDArray[np.bool_]:
        """Return which sources have a core visible in every band."""
        return (self.signal > _BAND_SIGNAL) & (self.core > _CORE)


def planes_of(image: RealImage) -> NDArray[np.float32]:
    """Return the sky-subtracted bands and their sum in units of the noise, (H, W, 4); 0 for missing data."""
    good = np.isfinite(image.pixels).all(axis=2)
    planes = np.zeros((*good.shape, 4), dtype=np.float32)
    bands = image.pixels[good] - np.median(image.pixels[good], axis=0)
    planes[good, :3] = bands
    planes[good, 3] = (bands / image.sky_sigma).sum(axis=1) / math.sqrt(3.0)
    return planes


def peaks_of(combined: NDArray[np.float32], pixel_scale: float, least: float = _PEAK) -> NDArray[np.int64]:
    """Return x, y (n, 2) of local maxima above `least`, in units of the noise, of the detection-filtered image."""
    smooth = ndimage.gaussian_filter(combined, 0.5 / pixel_scale)
    highest = ndimage.maximum_filter(smooth, size=2 * round(1.0 / pixel_scale) + 1)
    y, x = np.nonzero((smooth == highest) & (smooth > least))
    return np.column_stack([x, y])


def _measure(image: RealImage, planes: NDArray[np.float32], xy: NDArray[np.int64]) -> _Sources:
    """Measure flux and size around the pixels `xy` from medians of rings, which neighbours hardly affect."""
    reach = max(3, round(_REACH / image.pixel_scale))
    # There is no light beyond the edge.
    planes = np.pad(planes, ((reach, reach), (reach, reach), (0, 0)))
    dy, dx = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    distance = np.hypot(dx, dy)
    growth, area = np.zeros((len(xy), 4, reach + 1)), np.zeros(reach + 1)
    for ring in range(reach):
        here = (distance >= ring - 0.5) & (distance < ring + 0.5)
        values = planes[xy[:, 1, None] + reach + dy[here], xy[:, 0, None] + reach + dx[here]]
        pixels = np.count_nonzero(here)
        growth[:, :, ring + 1] = growth[:, :, ring] + np.median(values, axis=1) * pixels
        area[ring + 1] = area[ring] + pixels
    # Ring k ends at k + 1/2 px.
    radii = np.append(0.0, np.arange(reach) + 0.5) * image.pixel_scale
    light = growth[:, 3].max(axis=1)
    half_light = np.array([_half_light(radii, curve) for curve in growth[:, 3]])
    edge = int(np.searchsorted(radii, _APERTURE))
    flux = growth[:, :3, edge]
    signal = (flux / image.sky_sigma).min(axis=1) / math.sqrt(area[edge])
    return _Sources(xy, flux, signal, growth[:, 3, edge] / np.maximum(light, 1e-30), light, half_light)


def _half_light(radii: NDArray[np.float64], growth: NDArray[np.float64]) -> float:
    """Return the radius that contains half of the light; 0 if there is none."""
    end = int(np.argmax(growth)) + 1
    rising = np.maximum.accumulate(growth[:end])
    return float(np.interp(0.5 * rising[-1], rising, radii[:end])) if end > 1 else 0.0


def _field_windows(image: RealImage, number: int, size: int) -> Iterator[Window]:
    """Yield the windows of a field, bright galaxies first."""
    if not image.sky_sigma.min() > 0.0:
        return
    planes = planes_of(image)
    combined = planes[:, :, 3]
    sources = _measure(image, planes, peaks_of(combined, image.pixel_scale))
    galaxies = sources.extended()
    with np.errstate(divide="ignore", invalid="ignore"):
        # g-r as a flux ratio, since faint sources may have no flux in one of the bands.
        redness = sources.flux[:, 1] / np.maximum(sources.flux[:, 0], 0.0)
    red = redness > np.nanmedian(redness[galaxies]) if galaxies.any() else galaxies
    candidates = np.nonzero(galaxies & red & sources.real() & (sources.light > _BRIGHT))[0]
    height, width = image.pixels.shape[:2]
    taken = np.empty((0, 2))
    for k in candidates[np.argsort(-sources.light[candidates], kind="stable")]:
        around = np.hypot(*(sources.xy - sources.xy[k]).T) < _REACH / image.pixel_scale
        if sources.light[around].max() > sources.light[k]:
            continue
        xy = _summit(combined, sources.xy[k])
        x0, y0 = corner(xy, size)
        if x0 < 0 or y0 < 0 or x0 + size > width or y0 + size > height:
            continue
        if taken.size and np.hypot(*(taken - xy).T).min() < size / 3.0:
            continue
        middle = (xy[0] - x0, xy[1] - y0)
        if reject_reason(image.pixels[y0 : y0 + size, x0 : x0 + size], middle, image.pixel_scale):
            continue
        taken = np.vstack([taken, xy])
        yield _window(image, number, size, xy, combined, sources, galaxies)


def whole_window(image: RealImage, bcg_xy: NDArray[np.float64], number: int = 0) -> Window:
    """Return the window that covers the whole cutout with the image number `number`."""
    planes = planes_of(image)
    combined = planes[:, :, 3]
    peaks = peaks_of(combined, image.pixel_scale)
    sources = _measure(image, planes, np.vstack([np.round(bcg_xy).astype(np.int64), peaks]))
    xy = (float(bcg_xy[0]), float(bcg_xy[1]))
    return _window(image, number, len(image.pixels), xy, combined, sources, sources.extended())


def corner(xy: tuple[float, float], size: int) -> tuple[int, int]:
    """Return the first pixel (x, y) of the window of `size` whose centre is nearest to `xy`."""
    return round(xy[0] - 0.5 * (size - 1)), round(xy[1] - 0.5 * (size - 1))


def _summit(combined: NDArray[np.float32], xy: NDArray[np.int64]) -> tuple[float, float]:
    """Return the sub-pixel position of a peak, from parabolas through the sums of three pixels."""
    x, y = (int(v) for v in xy)
    box = combined[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    if box.shape != (3, 3):
        return float(x), float(y)
    offsets = []
    for before, middle, after in (box.sum(axis=0, dtype=float), box.sum(axis=1, dtype=float)):
        bend = before + after - 2.0 * middle
        offsets.append(float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0)
    return x + offsets[0], y + offsets[1]


def _window(
    image: RealImage,
    number: int,
    size: int,
    xy: tuple[float, float],
    combined: NDArray[np.float32],
    sources: _Sources,
    galaxies: NDArray[np.bool_],
) -> Window:
    """Return the window of `size` around `xy`, with the BCG's angle and the brightest galaxies in it."""
    away = np.hypot(*(sources.xy - xy).T)
    bcg = int(np.argmin(away))
    near = galaxies & (np.abs(sources.xy - xy) < 0.5 * size).all(axis=1) & (away > 2.0 / image.pixel_scale)
    brightest = np.nonzero(near)[0]
    brightest = brightest[np.argsort(-sources.light[brightest], kind="stable")][: _MEMBERS - 1]
    # A galaxy brighter than the BCG is in front of the cluster.
    luminosity = np.minimum(sources.light[brightest] / max(sources.light[bcg], 1e-30), 1.0) * _BCG_LUMINOSITY
    members = np.vstack([[*xy, _BCG_LUMINOSITY], np.column_stack([sources.xy[brightest], luminosity])])
    return Window(number, size, xy, _angle(combined, sources.xy[bcg], image.pixel_scale), members)


def _angle(combined: NDArray[np.float32], xy: NDArray[np.int64], pixel_scale: float) -> float:
    """Return the position angle of the light within 3 arcsec of `xy`, from its second moments."""
    reach = max(2, round(3.0 / pixel_scale))
    x, y = (int(v) for v in xy)
    x0, y0 = max(x - reach, 0), max(y - reach, 0)
    box = combined[y0 : y + reach + 1, x0 : x + reach + 1]
    rows, columns = np.indices(box.shape)
    dx, dy = columns + x0 - x, rows + y0 - y
    light = np.where(dx**2 + dy**2 <= reach**2, np.clip(box, 0.0, None), 0.0)
    return 0.5 * math.atan2(2.0 * float((light * dx * dy).sum()), float((light * (dx**2 - dy**2)).sum()))
