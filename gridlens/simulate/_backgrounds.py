"""Real images to inject arcs into: where in a wide field a cutout can stand, and what stands there."""

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

# The default cutout: this many pixels or, where those span less than the narrowest field that holds the arcs of a
# cluster (arcsec), as many as make the wide one.
_SIZE, _NARROW, _WIDE = 128, 40.0, 44.0
# An image of more than this many cutouts' width is a field to cut windows from.
_FIELD = 1.5
# Light over the sky's rms per pixel that a source needs, bands combined: at its peak, seen through the detection
# filter, to count at all, and in total to stand in for a BCG. In KiDS the total is about that of r = 22.
_PEAK, _BRIGHT = 3.0, 350.0
# Sources are measured out to this radius, arcsec; their cores, and with them their colours, within the smaller one.
_REACH, _APERTURE = 6.0, 1.0
# A galaxy's half-light radius is at least this many times a star's.
_EXTENDED = 1.3
# What is seen in one band alone, or has less of its light in its core, is a cosmic ray or the halo of a star.
_BAND_SIGNAL, _CORE = 6.0, 0.17
# Half-light radius of a star in seeing of 1.5 arcsec: the most that is believed of a field's most compact sources.
_WIDEST_STAR = 0.9
_MEMBERS = 25
# The drawn BCGs are 1.5 mag brighter than L*.
_BCG_LUMINOSITY = 10.0**0.6


@dataclass(frozen=True)
class RealImage:
    """An image that windows lie in."""

    pixels: NDArray[np.float32]
    """(H, W, 3), g, r, i, in its own flux unit; NaN where there are no data"""
    pixel_scale: float
    """arcsec per pixel"""
    sky_sigma: NDArray[np.float64]
    """(3,) rms per pixel, see `noise`"""


@dataclass(frozen=True)
class Window:
    """A place for one square cutout around a bright galaxy, which stands in for a BCG."""

    image: int
    """index of the image that it lies in"""
    size: int
    """pixels"""
    bcg_xy: tuple[float, float]
    """pixels of the image"""
    bcg_angle: float
    """position angle of the BCG's light, from the x axis, rad"""
    members: NDArray[np.float64]
    """(m, 3): x, y (pixels of the image) and luminosity over L*, the BCG first, then the brightest galaxies near it"""


@dataclass(frozen=True)
class Backgrounds:
    """Real images and the windows in them that arcs can be injected into; made by `load_backgrounds`."""

    images: tuple[RealImage, ...]
    windows: tuple[Window, ...]

    def __len__(self) -> int:
        return len(self.windows)

    def __repr__(self) -> str:
        return f"Backgrounds({len(self.windows)} windows in {len(self.images)} images)"

    def cutouts(self) -> CutoutSet:
        """The windows as cutouts of one size with nothing added, in their order.

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
            raise CutoutError("The windows differ in size. State one size when the backgrounds are loaded.")
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
    """Read real images and find the windows in them that a cluster's arcs can be injected into.

    An image wider than 1.5 cutouts is a field. Windows in it are centred on galaxies of its own that can pass for a
    BCG: bright, more extended than a star, g-r redder than the field's median, the brightest source within 6 arcsec,
    and a third of a window or more from the next one. Windows lie wholly inside the image and may overlap. A smaller
    image is a cutout already and used whole, around its BCG.

    Parameters
    ----------
    paths : str, path or list of them
        Files, folders and globs, as `CutoutSet.read` takes them.
    pixel_scale, bands, zeropoint
        As in `CutoutSet.read`. The bands must come out in one flux unit; which one does not matter, since
        the noise sets the brightness of what is injected, see `inject_scene`.
    size : int, default=None
        Width of a window, pixels, 48 or more. None takes 128 px or, where that is under 40 arcsec, as many as make
        44 arcsec.

    Returns
    -------
    Backgrounds
        Fields' windows from bright to faint. Images that cannot be read or used are left out with one warning.

    Raises
    ------
    CutoutError
        Nothing is found, `size` is too small, or no image has a usable window.

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
            "Take a wider or deeper field, a smaller window, or cutouts of clusters, which are used whole."
        )
    if problems:
        warnings.warn(
            f"{len(problems)} images are left out as backgrounds. The first is {problems[0]}", UserWarning, stacklevel=2
        )
    return Backgrounds(tuple(images), tuple(windows))


def sky_rms(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """rms of the sky per pixel in each band, (3,)."""
    # Photons are drawn at rates that depend on it: another last digit would change the scenes of a seed.
    return band_noise(pixels, np.float32).astype(np.float64)


def _default_size(pixel_scale: float) -> int:
    return _SIZE if _SIZE * pixel_scale >= _NARROW else math.ceil(_WIDE / pixel_scale)


class _Sources(NamedTuple):
    """Sources of one image, as measured about a pixel each."""

    xy: NDArray[np.int64]
    """(n, 2) pixels"""
    flux: NDArray[np.float64]
    """(n, 3) of the core"""
    signal: NDArray[np.float64]
    """(n,) the core's S/N in the band where it is lowest"""
    core: NDArray[np.float64]
    """(n,) share of the core in the light"""
    light: NDArray[np.float64]
    """(n,) total, bands combined, over the sky's rms per pixel"""
    half_light: NDArray[np.float64]
    """(n,) arcsec"""

    def extended(self) -> NDArray[np.bool_]:
        """Galaxies: what is wider than the most compact of the bright sources, which are stars."""
        bright = self.half_light[self.light > _BRIGHT]
        star = min(float(np.percentile(bright, 10.0)), _WIDEST_STAR) if bright.size else _WIDEST_STAR
        return self.half_light > _EXTENDED * star

    def real(self) -> NDArray[np.bool_]:
        """Sources with a core that every band shows."""
        return (self.signal > _BAND_SIGNAL) & (self.core > _CORE)


def planes_of(image: RealImage) -> NDArray[np.float32]:
    """(H, W, 4): the bands without their sky, and their sum in units of the noise; 0 where there are no data."""
    good = np.isfinite(image.pixels).all(axis=2)
    planes = np.zeros((*good.shape, 4), dtype=np.float32)
    bands = image.pixels[good] - np.median(image.pixels[good], axis=0)
    planes[good, :3] = bands
    planes[good, 3] = (bands / image.sky_sigma).sum(axis=1) / math.sqrt(3.0)
    return planes


def peaks_of(combined: NDArray[np.float32], pixel_scale: float, least: float = _PEAK) -> NDArray[np.int64]:
    """(n, 2) x, y of the local maxima above `least`, in units of the noise, as seen through the detection filter."""
    smooth = ndimage.gaussian_filter(combined, 0.5 / pixel_scale)
    highest = ndimage.maximum_filter(smooth, size=2 * round(1.0 / pixel_scale) + 1)
    y, x = np.nonzero((smooth == highest) & (smooth > least))
    return np.column_stack([x, y])


def _measure(image: RealImage, planes: NDArray[np.float32], xy: NDArray[np.int64]) -> _Sources:
    """Measure light and extent about the pixels `xy` from the medians of rings, which neighbours hardly touch."""
    reach = max(3, round(_REACH / image.pixel_scale))
    # Beyond the edge there is no light.
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
    """Radius within which half of the light lies; 0 where there is none."""
    end = int(np.argmax(growth)) + 1
    rising = np.maximum.accumulate(growth[:end])
    return float(np.interp(0.5 * rising[-1], rising, radii[:end])) if end > 1 else 0.0


def _field_windows(image: RealImage, number: int, size: int) -> Iterator[Window]:
    """Yield the windows of a field, the ones around bright galaxies first."""
    if not image.sky_sigma.min() > 0.0:
        return
    planes = planes_of(image)
    combined = planes[:, :, 3]
    sources = _measure(image, planes, peaks_of(combined, image.pixel_scale))
    galaxies = sources.extended()
    with np.errstate(divide="ignore", invalid="ignore"):
        # g-r as a ratio, since faint sources may have no light at all in one of the bands.
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
    """Return the window that is all of a cutout, the image of that number."""
    planes = planes_of(image)
    combined = planes[:, :, 3]
    peaks = peaks_of(combined, image.pixel_scale)
    sources = _measure(image, planes, np.vstack([np.round(bcg_xy).astype(np.int64), peaks]))
    xy = (float(bcg_xy[0]), float(bcg_xy[1]))
    return _window(image, number, len(image.pixels), xy, combined, sources, sources.extended())


def corner(xy: tuple[float, float], size: int) -> tuple[int, int]:
    """First pixel (x, y) of the window of `size` that has `xy` nearest to its centre."""
    return round(xy[0] - 0.5 * (size - 1)), round(xy[1] - 0.5 * (size - 1))


def _summit(combined: NDArray[np.float32], xy: NDArray[np.int64]) -> tuple[float, float]:
    """Where the light about a peak is highest, to a part of a pixel: parabolas through the sums of three pixels."""
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
    """The window of `size` about `xy` with the BCG's angle and the brightest galaxies in it."""
    away = np.hypot(*(sources.xy - xy).T)
    bcg = int(np.argmin(away))
    near = galaxies & (np.abs(sources.xy - xy) < 0.5 * size).all(axis=1) & (away > 2.0 / image.pixel_scale)
    brightest = np.nonzero(near)[0]
    brightest = brightest[np.argsort(-sources.light[brightest], kind="stable")][: _MEMBERS - 1]
    # Whatever outshines the BCG stands in front of the cluster.
    luminosity = np.minimum(sources.light[brightest] / max(sources.light[bcg], 1e-30), 1.0) * _BCG_LUMINOSITY
    members = np.vstack([[*xy, _BCG_LUMINOSITY], np.column_stack([sources.xy[brightest], luminosity])])
    return Window(number, size, xy, _angle(combined, sources.xy[bcg], image.pixel_scale), members)


def _angle(combined: NDArray[np.float32], xy: NDArray[np.int64], pixel_scale: float) -> float:
    """Position angle of the light within 3 arcsec of `xy`, from its second moments."""
    reach = max(2, round(3.0 / pixel_scale))
    x, y = (int(v) for v in xy)
    x0, y0 = max(x - reach, 0), max(y - reach, 0)
    box = combined[y0 : y + reach + 1, x0 : x + reach + 1]
    rows, columns = np.indices(box.shape)
    dx, dy = columns + x0 - x, rows + y0 - y
    light = np.where(dx**2 + dy**2 <= reach**2, np.clip(box, 0.0, None), 0.0)
    return 0.5 * math.atan2(2.0 * float((light * dx * dy).sum()), float((light * (dx**2 - dy**2)).sum()))
