"""Windows of real survey images, and arcs injected into them that are made differently from the training arcs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _other_arcs import (
    FAINTEST_ARC,
    REFERENCE_REDSHIFT,
    HstSource,
    MoffatPsf,
    Picture,
    arc_snr,
    band_fluxes,
    binned,
    cluster_lens,
    convolved,
    draw_psf,
    image_place,
    lensed_shape,
)
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from gridlens.cutouts._surveys import Survey, get_survey
from gridlens.lensing import MassModel, lensing_efficiency
from gridlens.simulate._backgrounds import (
    Backgrounds,
    RealImage,
    Window,
    _field_windows,
    _measure,
    _window,
    peaks_of,
    planes_of,
    sky_rms,
    whole_window,
)
from gridlens.simulate._inject import _place
from gridlens.simulate._observe import photon_noise, sky_noise

__all__ = ["REAL_SURVEYS", "complete_survey", "inject", "survey_windows", "window_cell"]

# Largest width of the sub-pixels in which arcs are drawn, arcsec.
_STEP = 0.17
# Width of the border of an SDSS frame without data after the bands are aligned, pixels.
_BORDER = 60


@dataclass(frozen=True)
class _RealSurvey:
    """A function that yields the images of a survey, and the width of its windows in pixels."""

    images: Callable[[Path], Iterator[tuple[np.ndarray, float]]]
    size: int


def complete_survey(name: str) -> Survey:
    """Return a preset with seeing and depth in all bands, also for SDSS and Euclid, whose presets have r alone.

    The seeing of SDSS scales as wavelength to the power of -0.2 from the value in r (4770, 6230, 7630 Angstrom). The g
    and i bands of Euclid, which come from the ground, are assumed to have the depth and seeing of DES.
    """
    survey = get_survey(name)
    if name == "sdss":
        wavelength = np.array([4770.0, 6230.0, 7630.0])
        seeing = survey.seeing[1] * (wavelength / wavelength[1]) ** -0.2
        return replace(survey, seeing=tuple(float(width) for width in seeing))
    if name == "euclid":
        ground = get_survey("des")
        seeing = (ground.seeing[0], survey.seeing[1], ground.seeing[2])
        return replace(survey, seeing=seeing, depth=(ground.depth[0], survey.depth[1], ground.depth[2]))
    return survey


def _stack(bands: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(bands, axis=2), dtype=np.float32)


def _scale(header: fits.Header) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return float(WCS(header).celestial.proj_plane_pixel_scales()[0].to_value("arcsec"))


def _kids(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    # The header has no pixel scale.
    yield _stack([fits.getdata(folder / "kids_field" / f"{band}.fits", 1) for band in "gri"]), 0.34


def _hsc(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    for path in sorted((folder / "real_fields" / "hsc_merian12").glob("*_HSC-r.fits")):
        bands = [str(path).replace("_HSC-r", f"_HSC-{band}") for band in "gri"]
        yield _stack([fits.getdata(band, 1) for band in bands]), _scale(fits.getheader(path, 1))


def _ps1(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    bands = []
    for band in "gri":
        with fits.open(folder / "real_fields" / "ps1_galfits" / f"2_{band}.fits") as image:
            header = image[0].header
            bands.append(image[0].data / header["EXPTIME"])
    yield _stack(bands), _scale(header)


def _des(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    bands = [fits.getdata(folder / "real_fields" / "des_deeplenstronomy46" / f"{band}.fits") for band in "gri"]
    for stamp in zip(*bands, strict=True):
        yield _stack(list(stamp)), 0.263


def _sdss(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    for path in sorted((folder / "real_fields" / "sdss_kc3").glob("*img-r-*.bz2")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            with fits.open(path) as image:
                height, width = image[0].data.shape
                middle = WCS(image[0].header).pixel_to_world(0.5 * width, 0.5 * height)
                scale = _scale(image[0].header)
            bands = []
            for band in "gri":
                with fits.open(str(path).replace("img-r-", f"img-{band}-")) as image:
                    x, y = WCS(image[0].header).world_to_pixel(middle)
                    shift = -round(float(y) - 0.5 * height), -round(float(x) - 0.5 * width)
                    bands.append(np.roll(image[0].data, shift, axis=(0, 1)))
        field = _stack(bands)[_BORDER:-_BORDER, _BORDER:-_BORDER]
        # This frame has a lens near its lower edge, which is cut off.
        yield (field[round(60.0 / scale) :] if "ra191.05" in path.name else field), scale


REAL_SURVEYS = {
    "hsc": _RealSurvey(_hsc, 240),
    "sdss": _RealSurvey(_sdss, 128),
    "kids": _RealSurvey(_kids, 128),
    "ps1": _RealSurvey(_ps1, 176),
    "des": _RealSurvey(_des, 91),
}


def survey_windows(folder: Path, name: str, size: int | None = None) -> Backgrounds:
    """Return the windows of a survey in `REAL_SURVEYS`, around bright red galaxies of its images.

    `size` overrides the width of the windows in `REAL_SURVEYS`, pixels.

    Raises
    ------
    FileNotFoundError
        If the folder has no image of the survey.
    """
    images: list[RealImage] = []
    windows: list[Window] = []
    survey = REAL_SURVEYS[name]
    width = size or survey.size
    for pixels, scale in survey.images(folder):
        image = RealImage(pixels, scale, sky_rms(pixels))
        if max(pixels.shape[:2]) > 2 * width:
            found = list(_field_windows(image, len(images), width))
        elif min(pixels.shape[:2]) > width:
            found = _brightest_red(image, len(images), width)
        else:
            # A small stamp has its galaxy in the middle and becomes one square window.
            narrow = min(pixels.shape[:2])
            found = [replace(whole_window(image, _middle(pixels), len(images)), size=narrow)]
        images.append(image)
        windows.extend(found)
    if not windows:
        raise FileNotFoundError(f"The folder {folder} has no images of {name}.")
    return Backgrounds(tuple(images), tuple(windows))


def _brightest_red(image: RealImage, number: int, size: int) -> list[Window]:
    """Return windows around the two brightest galaxies of a narrow field that are redder than the median and fit in."""
    planes = planes_of(image)
    sources = _measure(image, planes, peaks_of(planes[:, :, 3], image.pixel_scale))
    first = np.round(sources.xy - 0.5 * (size - 1))
    room = ((first >= 0) & (first + size <= image.pixels.shape[1::-1])).all(axis=1)
    galaxies = sources.extended() & sources.real()
    with np.errstate(divide="ignore", invalid="ignore"):
        redness = sources.flux[:, 1] / np.maximum(sources.flux[:, 0], 0.0)
    chosen = np.flatnonzero(room & galaxies & (redness > np.nanmedian(redness[galaxies])))
    brightest = sources.xy[chosen[np.argsort(-sources.light[chosen], kind="stable")[:2]]].astype(float)
    return [_window(image, number, size, (xy[0], xy[1]), planes[:, :, 3], sources, galaxies) for xy in brightest]


def _middle(pixels: np.ndarray) -> np.ndarray:
    return 0.5 * (np.array(pixels.shape[1::-1]) - 1.0)


def inject(
    seed: int, index: int, backgrounds: Backgrounds, survey: str, sources: list[HstSource]
) -> tuple[Picture, Picture]:
    """Return a window of a real image without an arc, and the same window with an injected one.

    Scene `index` takes the next window in an order shuffled by `seed`, moves it by up to two pixels and turns it.
    The brightness of the arc follows from the assumption that the noise of the image is that of the survey's depth.

    Parameters
    ----------
    seed, index : int
    backgrounds : Backgrounds
        Windows returned by `survey_windows`.
    survey : str
        Name of the preset with the seeing and depth of the images.
    sources : list of HstSource

    Returns
    -------
    tuple of Picture
        Without and with an arc. `truth` of both has ``window`` and ``field``; that of the second also has ``lens``,
        ``theta_e``, ``n_sources``, ``source_mag_r``, ``source_gr`` and ``source_ri``.
    """
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    order = np.random.default_rng(seed).permutation(len(backgrounds))
    number = int(order[index % len(order)])
    window = backgrounds.windows[number]
    image = backgrounds.images[window.image]
    pixels, bcg, _, members = _place(rng, image, window)
    preset = complete_survey(survey)
    seeing = np.array(preset.seeing) * float(rng.lognormal(0.0, 0.08))
    expected = sky_noise(np.array(preset.depth), seeing, image.pixel_scale)
    unit = float(np.exp(np.mean(np.log(image.sky_sigma / expected))))
    half = 0.5 * window.size * image.pixel_scale
    sigma = sky_rms(pixels)
    # Mean magnitude of the sources: it rises with the depth of the survey, but less steeply.
    middle = 24.4 + 0.6 * (preset.depth[1] - 25.5)
    snr = 0.0
    while snr < FAINTEST_ARC:
        psfs = draw_psf(rng, seeing)
        arc, truth = _lensed(rng, window.size, image.pixel_scale, bcg, members, half, psfs, sources, middle)
        snr = arc_snr(arc, sigma / unit)
    noise = photon_noise(rng, arc, sigma / unit, image.pixel_scale)
    with_arc = (pixels + unit * np.moveaxis(arc + noise, 0, 2)).astype(np.float32)
    centre = 0.5 * (window.size - 1)
    place = centre + bcg[0] / image.pixel_scale, centre + bcg[1] / image.pixel_scale
    shared = {"window": number, "field": window_cell(window)}
    plain = Picture(np.ascontiguousarray(pixels), place, image.pixel_scale, np.zeros_like(arc), sigma, shared)
    return plain, Picture(with_arc, place, image.pixel_scale, unit * arc, sigma, shared | truth)


def window_cell(window: Window) -> str:
    """Return the name of the grid cell, one window wide, that a window lies in; windows of a cell share galaxies."""
    x, y = (int(coordinate // window.size) for coordinate in window.bcg_xy)
    return f"{window.image}-{x}-{y}"


def _lensed(
    rng: np.random.Generator,
    size: int,
    pixel_scale: float,
    bcg: tuple[float, float],
    members: np.ndarray,
    half: float,
    psfs: tuple[MoffatPsf, ...],
    sources: list[HstSource],
    middle: float,
) -> tuple[np.ndarray, dict[str, object]]:
    """Return an image (3, size, size) of one or two lensed HST galaxies of about r = `middle`, and their truth."""
    redshift = float(rng.uniform(0.2, 0.8))
    # A narrow stamp only has room for the arcs of a group.
    theta_e = float(np.clip(rng.lognormal(math.log(min(13.0, 0.6 * half)), 0.35), 4.0, 0.8 * half))
    kind = str(rng.choice(["two-halo", "dpie"]))
    lens = cluster_lens(rng, kind, redshift, theta_e, bcg, members)
    sampling = math.ceil(pixel_scale / _STEP)
    light = np.zeros((3, size * sampling, size * sampling))
    count = int(rng.integers(1, 3))
    brightest = (math.inf, math.nan, math.nan)
    for _ in range(count):
        source = sources[int(rng.integers(len(sources)))]
        mag, colours = float(np.clip(rng.normal(middle, 0.8), 21.5, 26.2)), _colours(rng, source)
        light += _through(rng, lens, redshift, source, mag, colours, bcg, half, size * sampling, pixel_scale / sampling)
        brightest = min(brightest, (mag, *colours))
    truth = dict(zip(("source_mag_r", "source_gr", "source_ri"), brightest, strict=True))
    truth |= {"lens": kind, "theta_e": theta_e, "n_sources": count}
    return np.clip(binned(convolved(light, psfs, pixel_scale / sampling), sampling), 0.0, None), truth


def _colours(rng: np.random.Generator, source: HstSource) -> tuple[float, float]:
    """Draw colours: the observed ones of the galaxy with scatter, or those of a dusty or old galaxy."""
    if rng.random() < 0.6:
        return source.colours[0] + float(rng.normal(0.0, 0.1)), source.colours[1] + float(rng.normal(0.0, 0.08))
    return float(rng.normal(0.7, 0.35)), float(rng.normal(0.35, 0.2))


def _through(
    rng: np.random.Generator,
    lens: MassModel,
    redshift: float,
    source: HstSource,
    mag: float,
    colours: tuple[float, float],
    bcg: tuple[float, float],
    half: float,
    size: int,
    step: float,
) -> np.ndarray:
    """Return the lensed image (3, size, size) of one galaxy with a redder core; all 0 if the lens forms no arc."""
    efficiency = lensing_efficiency(redshift, max(source.redshift, redshift + 0.4))
    scaled = lens.scaled(float(efficiency / lensing_efficiency(redshift, REFERENCE_REDSHIFT)))
    place = image_place(rng, scaled, bcg, 0.2 * half, 0.9 * half)
    if place is None:
        return np.zeros((3, size, size))
    pixel = 0.03 * float(rng.lognormal(0.0, 0.4))
    outer, core = lensed_shape(scaled, source.shape, pixel, place, float(rng.uniform(0.0, 2.0 * math.pi)), size, step)
    redder = float(rng.uniform(0.0, 0.35))
    in_core = band_fluxes(mag, colours[0] + redder, colours[1] + 0.5 * redder)
    return band_fluxes(mag, *colours)[:, None, None] * outer + in_core[:, None, None] * core
