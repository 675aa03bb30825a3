"""Measurement of the point-spread function and the noise of real cutouts, for the injection of arcs."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from gridlens.cutouts import CutoutSet
from gridlens.simulate._backgrounds import RealImage, peaks_of, planes_of, sky_rms
from gridlens.simulate._moffat_bank import LARGEST_REACH, SMALLEST_REACH, fit_point_sources

__all__ = ["PointSpreads", "measure_correlation", "measure_psf"]

FloatArray = NDArray[np.float64]

# Sources are compared with point sources out to this radius, arcsec, or the nearest radius in the bank.
_REACH = 2.0
# Criteria for a source: minimum S/N of its peak, bands combined; minimum S/N in a band with a matched filter; maximum
# squared difference of its light from the best point source.
_PEAK, _SIGNAL, _RESIDUAL = 8.0, 30.0, 0.1
# Smallest pixel scale used for the detection, arcsec: stars are smaller in images from space.
_FINEST = 0.2
# Typical difference for a star. The weights of sources decrease with the difference.
_STAR_RESIDUAL = 0.01
_FEWEST_STARS = 10
# Step of the distribution of logarithmic sizes, and the width of its smoothing kernel.
_STEP, _BANDWIDTH = 0.01, 0.05
# The stars are the peak at the smallest size that is at least this high relative to the highest peak.
_FIRST_PEAK = 0.4
# Maximum deviation of stars from the peak over all cutouts, since the seeing varies, and maximum median difference of
# stars in one cutout. Galaxies differ by 0.08.
_SPREAD, _PAIR, _ROUNDS = 0.12, 0.05, 3

# If a group of stars misses more than this fraction of the cutouts, further groups are searched. They need at least
# this many pairs of sources in one cutout that differ by less than this, and this fraction of the weight of the first
# group.
_LEFT_OUT, _FEWEST_PAIRS, _CLOSE_PAIR, _LEAST_WEIGHT = 0.4, 5, 0.04, 0.4
# Number of rows in which the noise is measured.
_ROWS = 160
# Maximum lag, pixels, of the measured noise correlation. Correlation at larger lags is attributed to a varying
# background. The kernel extends half as far.
_LAGS, _KERNEL_REACH = 8, 4
# Sky pixels are at least this far, arcsec, from light above this many deviations of the smoothed image. A corner of at
# most this width, pixels, is used, of which at least this fraction must be sky.
_GROW, _SOURCE, _TILE, _LEAST_SKY = 1.5, 2.5, 192, 0.05
# Correlations below this many errors, or below this value, and kernel elements below this value are set to 0.
_ERRORS, _SMALL = 4.0, 0.01


class PointSpreads(NamedTuple):
    """Point-spread functions of g, r, i, described by round Moffat profiles with an exponent of 3."""

    fwhm: FloatArray
    """(3,) full width at half maximum, arcsec, excluding pixelization; NaN if there are too few stars"""
    n_stars: NDArray[np.int64]
    """(3,) number of sources as compact as stars"""


class _Sources(NamedTuple):
    """Star candidates in one band."""

    size: FloatArray
    """(n,) natural logarithm of the FWHM, arcsec"""
    weight: FloatArray
    """(n,) at least 0; larger for bright and point-like sources"""
    cutout: NDArray[np.int64]
    """(n,) index of the cutout"""

    def where(self, mask: NDArray[np.bool_]) -> "_Sources":
        return _Sources(self.size[mask], self.weight[mask], self.cutout[mask])

    def n_cutouts(self) -> int:
        return len(np.unique(self.cutout))

    def weight_per_cutout(self) -> float:
        return float(self.weight.sum()) / self.n_cutouts()


_NOTHING = _Sources(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))


class _Locus(NamedTuple):
    """The most compact sources of one band, which are stars if they have the same size within a cutout."""

    size: float
    """natural logarithm of their FWHM, arcsec; NaN if there are none"""
    n_stars: int
    differences: FloatArray
    """(n,) size differences of the two most star-like sources of each cutout with at least two"""


def measure_psf(cutouts: Iterable[CutoutSet]) -> PointSpreads:
    """Measure the point-spread function of each band from the stars in cutouts of one survey.

    Stars are the most compact sources, and within a cutout they have the same size regardless of brightness. Each
    source is fitted with Moffat profiles integrated over pixels, so pixels may be wider than the profile. Sources that
    do not fit (saturated stars, blends, most galaxies) and sources near an edge or a bad pixel are excluded.

    Parameters
    ----------
    cutouts : iterable of CutoutSet
        Cutouts of any size, pixel scale and flux unit. A cutout may contain no stars.

    Returns
    -------
    PointSpreads
        The mean FWHM, since the seeing may vary between cutouts or fields. NaN in a band with fewer than ten stars in
        total, or in all bands if the most compact sources within a cutout differ in size, like galaxies.

    Notes
    -----
    With 60 simulated cutouts of 64 arcsec, the FWHM is accurate to 5 %; with hundreds, to 2 %.

    Examples
    --------
    >>> from gridlens.simulate import SceneSettings, scenes_to_cutouts, simulate_scene
    >>> from gridlens.simulate._sky_of_pool import measure_psf
    >>> settings = SceneSettings(surveys=("des",), varied_fraction=0.0)
    >>> scenes = [simulate_scene(1, index, settings) for index in range(60)]
    >>> measure_psf([scenes_to_cutouts(scenes)]).fwhm.round(1)
    array([1.1, 1. , 0.9])
    """
    found: list[list[_Sources]] = [[], [], []]
    number = 0
    for part in cutouts:
        for pixels, scale in zip(part.pixels, part.pixel_scale, strict=True):
            for band, sources in enumerate(_compact_sources(pixels, float(scale), number)):
                found[band].append(sources)
            number += 1
    loci = [_stellar_locus(parts) for parts in found]
    n_stars = np.array([locus.n_stars for locus in loci], dtype=np.int64)
    differences = np.concatenate([locus.differences for locus in loci])
    galaxies = len(differences) >= _FEWEST_STARS and np.median(differences) > _PAIR
    unknown = galaxies | (n_stars < _FEWEST_STARS)
    return PointSpreads(np.where(unknown, np.nan, np.exp([locus.size for locus in loci])), n_stars)


def _compact_sources(pixels: NDArray[np.float32], pixel_scale: float, number: int) -> Iterator[_Sources]:
    """Yield the sources of each band of a cutout; nothing for a cutout without sky."""
    image = _image_of(pixels, pixel_scale)
    if image is None:
        return
    reach = int(np.clip(round(_REACH / pixel_scale), SMALLEST_REACH, LARGEST_REACH))
    planes = planes_of(image)
    x, y = _clear_peaks(image, planes, reach).T
    if not len(x):
        return
    for band in range(3):
        plane = planes[:, :, band]
        # Bands may be shifted relative to each other.
        highest = _stamps(plane, x, y, 1).reshape(len(x), 9).argmax(axis=1)
        stamps = _stamps(plane, x + highest % 3 - 1, y + highest // 3 - 1, reach)
        fits = fit_point_sources(stamps)
        signal = fits.signal / image.sky_sigma[band]
        with np.errstate(divide="ignore"):
            # Subtract the contribution of the noise in every pixel of the stamp.
            residual = np.abs(fits.residual - stamps.shape[1] * stamps.shape[2] / signal**2)
        good = np.isfinite(fits.log_fwhm) & (signal > _SIGNAL) & (residual < _RESIDUAL)
        weight = np.log(signal[good] / _SIGNAL) ** 2 * np.exp(-residual[good] / _STAR_RESIDUAL)
        size = fits.log_fwhm[good] + np.log(pixel_scale)
        yield _Sources(size, weight, np.full(len(size), number))


def _image_of(pixels: NDArray[np.float32], pixel_scale: float) -> RealImage | None:
    """Return a cutout as an image, or None if a band has no noise."""
    # A subset of the rows is enough to measure the noise.
    sigma = sky_rms(pixels[:: 1 + pixels.shape[0] // _ROWS])
    usable = pixel_scale > 0.0 and np.isfinite(sigma).all() and sigma.min() > 0.0
    return RealImage(pixels, pixel_scale, sigma) if usable else None


def _clear_peaks(image: RealImage, planes: NDArray[np.float32], reach: int) -> NDArray[np.int64]:
    """Return x, y (n, 2) of peaks without an edge or a bad pixel within `reach` + 1 pixels."""
    margin = reach + 1
    bad = np.pad(~np.isfinite(image.pixels).all(axis=2), margin, constant_values=True)
    peaks = peaks_of(planes[:, :, 3], max(image.pixel_scale, _FINEST), _PEAK)
    return peaks[~_stamps(bad, peaks[:, 0] + margin, peaks[:, 1] + margin, margin).any(axis=(1, 2))]


def _stamps(plane: NDArray[Any], x: NDArray[np.int64], y: NDArray[np.int64], reach: int) -> NDArray[Any]:
    """Return the pixels within `reach` of each x, y along both axes, (n, size, size)."""
    steps = np.arange(-reach, reach + 1)
    return np.asarray(plane[y[:, None, None] + steps[:, None], x[:, None, None] + steps])


def _stellar_locus(parts: list[_Sources]) -> _Locus:
    """Return the stars of one band in all cutouts: one or more of the narrowest groups of sources.

    One group contains cutouts of similar seeing. If it misses many cutouts, as in a pool of a few fields, the others
    form further groups, weighted by their numbers of cutouts.
    """
    sources = _Sources(*(np.concatenate(values) for values in zip(*parts, strict=True))) if parts else _NOTHING
    left = sources.weight > 0.0
    groups: list[_Sources] = []
    while left.any():
        group = _narrowest(sources.where(left))
        if groups and not _is_another(group, groups[0]):
            break
        groups.append(group)
        cutouts = sources.where(left).n_cutouts()
        left &= ~np.isin(sources.cutout, group.cutout)
        if len(groups) == 1 and sources.where(left).n_cutouts() < _LEFT_OUT * cutouts:
            break
    if not groups:
        return _Locus(np.nan, 0, np.empty(0))
    sizes = [np.average(group.size, weights=group.weight) for group in groups]
    size = np.average(sizes, weights=[group.n_cutouts() for group in groups])
    differences = np.concatenate([_pair_differences(group) for group in groups])
    return _Locus(float(size), sum(len(group.size) for group in groups), differences)


def _narrowest(sources: _Sources) -> _Sources:
    """Return the narrowest group of at least one source."""
    low = sources.size.min() - 3.0 * _BANDWIDTH
    bins = np.round((sources.size - low) / _STEP).astype(np.int64)
    counts = np.bincount(bins, weights=sources.weight, minlength=bins.max() + round(3.0 * _BANDWIDTH / _STEP))
    density = ndimage.gaussian_filter1d(counts, _BANDWIDTH / _STEP, mode="constant")
    high = (density == ndimage.maximum_filter1d(density, 9)) & (density >= _FIRST_PEAK * density.max())
    locus = low + _STEP * float(np.argmax(high))
    # The mean of the stars is more precise than the peak.
    for _ in range(_ROUNDS):
        near = np.abs(sources.size - locus) < _SPREAD
        locus = float(np.average(sources.size[near], weights=sources.weight[near]))
    return sources.where(near)


def _is_another(group: _Sources, first: _Sources) -> bool:
    """Return whether a group is as bright as the first and has one size per cutout: stars, not galaxies."""
    differences = _pair_differences(group)
    bright = group.weight_per_cutout() > _LEAST_WEIGHT * first.weight_per_cutout()
    return bright and len(differences) >= _FEWEST_PAIRS and float(np.median(differences)) < _CLOSE_PAIR


def _pair_differences(stars: _Sources) -> FloatArray:
    """Return the size differences of the two sources with the largest weights in each cutout with at least two."""
    order = np.lexsort((-stars.weight, stars.cutout))
    same = stars.cutout[order][1:] == stars.cutout[order][:-1]
    # The source with the largest weight in a cutout follows one of another cutout.
    pairs = same & np.append(True, ~same[:-1])[: len(same)]
    return np.asarray(np.abs(np.diff(stars.size[order])[pairs]))


def measure_correlation(cutouts: Iterable[CutoutSet]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure the pixel-to-pixel correlation of the sky noise in each band, in cutouts of one survey.

    Parameters
    ----------
    cutouts : iterable of CutoutSet
        Cutouts of any size and flux unit, but of the same pixel scale, since the kernels are in pixels.

    Returns
    -------
    tuple of three ndarrays of shape (2 k + 1, 2 k + 1), float64
        For each of g, r, i, a symmetric kernel for `Texture` that gives white noise this correlation, with a sum of
        squares of 1. k is from 0 to 4; a kernel of one pixel means white noise, or cutouts without sky.

    Notes
    -----
    The kernel is the transform of the square root of the power spectrum of the autocorrelation up to 8 pixels. Sky
    pixels are far from all sources detected in the three bands combined. Fainter sources remain and slightly increase
    the correlation on the scale of the point-spread function.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.ndimage import gaussian_filter
    >>> from gridlens.cutouts import CutoutSet
    >>> from gridlens.simulate._sky_of_pool import measure_correlation
    >>> noise = np.random.default_rng(0).normal(size=(20, 96, 96, 3))
    >>> noise[..., 1:] = gaussian_filter(noise[..., 1:], (0.0, 0.6, 0.6, 0.0))
    >>> [kernel.shape[0] > 1 for kernel in measure_correlation([CutoutSet(noise)])]
    [False, True, True]
    """
    side = 2 * _LAGS + 1
    products, pairs = np.zeros((3, side, side)), np.zeros((side, side))
    for part in cutouts:
        for pixels, scale in zip(part.pixels, part.pixel_scale, strict=True):
            for tile, sky in _sky_of(pixels, float(scale)):
                mask = fft.rfft2(sky, s=np.add(sky.shape, _LAGS))
                pairs += _at_lags(np.abs(mask) ** 2, sky.shape)
                for band in range(3):
                    transform = fft.rfft2(tile[:, :, band], s=np.add(sky.shape, _LAGS))
                    products[band] += _at_lags(np.abs(transform) ** 2, sky.shape)
    return (_kernel(products[0], pairs), _kernel(products[1], pairs), _kernel(products[2], pairs))


def _sky_of(pixels: NDArray[np.float32], pixel_scale: float) -> Iterator[tuple[FloatArray, NDArray[np.float64]]]:
    """Yield a part (h, w, 3) of a cutout's sky with a mean of 0 and an rms of 1, and its mask (1 for sky, else 0)."""
    # Use a corner, since the cluster is in the centre.
    image = _image_of(pixels[:_TILE, :_TILE], pixel_scale)
    if image is None:
        return
    planes = planes_of(image)
    smooth = ndimage.gaussian_filter(planes[:, :, 3], 0.5 / pixel_scale)
    middle = np.median(smooth)
    bright = smooth - middle > _SOURCE * 1.4826 * np.median(np.abs(smooth - middle))
    near = ndimage.maximum_filter(bright, size=2 * min(round(_GROW / pixel_scale), _TILE) + 1)
    sky = np.isfinite(image.pixels).all(axis=2) & ~near
    if np.count_nonzero(sky) < _LEAST_SKY * sky.size:
        return
    values = planes[sky, :3].astype(np.float64)
    values -= values.mean(axis=0)
    rms = values.std(axis=0)
    if not rms.min() > 0.0:
        return
    tile = np.zeros((*sky.shape, 3))
    # Outliers are not noise but cosmic rays or sources in one band.
    tile[sky] = np.clip(values / rms, -4.0, 4.0)
    yield tile, sky.astype(np.float64)


def _at_lags(power: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return sums of pixel products at all lags up to `_LAGS`, with lag 0 in the centre, from a power spectrum."""
    sums = fft.irfft2(power, s=np.add(shape, _LAGS))
    lags = np.arange(-_LAGS, _LAGS + 1)
    return np.asarray(sums[np.ix_(lags, lags)])


def _kernel(products: FloatArray, pairs: FloatArray) -> FloatArray:
    """Return the noise kernel from the sums of pixel products at lags and their numbers."""
    if not pairs.min() > 0.5:
        return np.ones((1, 1))
    correlation = products / pairs
    lag = np.arange(-_LAGS, _LAGS + 1)
    farthest = np.maximum(np.abs(lag)[:, None], np.abs(lag)) == _LAGS
    background = correlation[farthest].mean()
    correlation = (correlation - background) / (correlation[_LAGS, _LAGS] - background)
    correlation[np.abs(correlation) < np.maximum(_ERRORS / np.sqrt(pairs), _SMALL)] = 0.0
    power = fft.fft2(fft.ifftshift(correlation)).real
    kernel = fft.fftshift(fft.ifft2(np.sqrt(np.maximum(power, 0.0))).real)
    large = np.nonzero(np.abs(kernel) > _SMALL * np.abs(kernel).max())
    reach = min(int(np.abs(np.array(large) - _LAGS).max()), _KERNEL_REACH)
    kernel = kernel[_LAGS - reach : _LAGS + reach + 1, _LAGS - reach : _LAGS + reach + 1]
    return np.asarray(kernel / np.sqrt((kernel**2).sum()))
