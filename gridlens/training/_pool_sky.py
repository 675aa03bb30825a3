"""Image properties of a pool needed for injection: measured, given, or assumed with a warning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gridlens.cutouts import CutoutFlag, CutoutSet, Survey, get_survey
from gridlens.cutouts._reject import reject_reason
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.simulate import Geometry, ImageSky
from gridlens.simulate._backgrounds import sky_rms
from gridlens.simulate._observe import sky_noise
from gridlens.simulate._sky_of_pool import measure_correlation, measure_psf
from gridlens.sources import Source

__all__ = ["PoolSky", "pool_sky"]

# Number of cutouts of a survey on which its sky is measured.
_SAMPLE = 300
# Seeing assumed if nothing is known, arcsec: a good night on the ground.
_USUAL_SEEING = 0.9
# Largest difference between the depth from noise and zero points and that of the survey, and the range allowed
# without a survey, mag.
_DEPTH_APART, _DEPTHS = 1.5, (19.0, 31.0)
# Largest ratio of pixel scales within a survey.
_ONE_SCALE = 1.05


class PoolSky(NamedTuple):
    """The sky of each survey of a pool, with a sentence on its origin for each survey."""

    skies: dict[str, ImageSky]
    words: list[str]
    assumed: list[str]
    """sentences on assumed values, for warnings"""
    geometry: Geometry
    """median size and pixel scale of the cutouts"""


def pool_sky(
    pool: Source, surveys: Mapping[str, str], survey: str | None, seeing: Mapping[str, float] | None
) -> PoolSky:
    """Measure the point-spread function and the noise of each survey of a pool on a sample of its cutouts.

    Parameters
    ----------
    pool : Source
    surveys : mapping of str to str
        Survey of each cutout by id; empty for a pool of a single survey.
    survey : str or None
        Preset for a pool of a single survey.
    seeing : mapping of band to float, or None
        FWHM in g, r and i, arcsec. None uses the seeing of the metadata, or measures it.

    Raises
    ------
    GridlensError
        The pool mixes surveys that are not named, a cutout has no survey, or the zero points are unknown and there is
        no preset.
    """
    samples = _sampled(pool, surveys)
    parts = [part for cutouts in samples.values() for part in cutouts]
    size = int(np.median([part.pixels.shape[1] for part in parts])) if parts else Geometry().size
    scale = float(np.median([part.pixel_scale[0] for part in parts])) if parts else Geometry().pixel_scale
    found = PoolSky({}, [], [], Geometry(size, scale))
    for name, cutouts in sorted(samples.items()):
        preset = _preset(name or survey)
        if not name:
            _check_one_survey(cutouts)
        known = _seeing(cutouts, preset, seeing)
        calibrated = not any(bool((part.flags & _UNKNOWN).any()) for part in cutouts)
        if calibrated:
            _check_depth(name, cutouts, known.widths, preset)
        kernels = measure_correlation(cutouts)
        found.skies[name] = ImageSky(known.widths, kernels, None if calibrated else _with_depth(preset), known.own)
        found.words.append(_words(name, known, calibrated, preset))
        if known.guess:
            found.assumed.append(f"{name}: {known.guess}" if name else known.guess)
    return found


_UNKNOWN = int(CutoutFlag.ASSUMED_ZEROPOINT | CutoutFlag.UNCALIBRATED)


def _sampled(pool: Source, surveys: Mapping[str, str]) -> dict[str, list[CutoutSet]]:
    """Return a sample of usable cutouts of each survey, from partitions spread over the pool."""
    wanted = set(surveys.values()) or {""}
    kept: dict[str, list[CutoutSet]] = {}
    missing: list[str] = []
    for cutouts in _spread(pool):
        for k in range(len(cutouts)):
            name = surveys.get(str(cutouts.ids[k]), "")
            if surveys and not name:
                missing.append(str(cutouts.ids[k]))
                continue
            rows = kept.setdefault(name, [])
            usable = not reject_reason(cutouts.pixels[k], cutouts.bcg_xy[k], float(cutouts.pixel_scale[k]))
            if usable and len(rows) < _SAMPLE:
                rows.append(cutouts[[k]])
        if all(len(kept.get(name, ())) == _SAMPLE for name in wanted):
            break
    if missing:
        raise GridlensError(
            f"The column 'survey' of the table of labels must name the survey of every cutout. Got none for "
            f"{missing[0]} instead; fill it in, or leave out the column if the pool consists of a single survey."
        )
    return kept


def _spread(pool: Source) -> Iterator[CutoutSet]:
    """Yield the cutouts of the partitions in bit-reversed order: the first, the middle one, the quarters, ..."""
    partitions = pool.partitions()
    n = len(partitions)
    bits = max(1, math.ceil(math.log2(max(n, 2))))
    order = (int(f"{k:0{bits}b}"[::-1], 2) for k in range(2**bits))
    for number in order:
        if number < n:
            for batch in pool.read(partitions[number]):
                if not isinstance(batch, Measured) and batch.cutouts is not None:
                    yield batch.cutouts


def _preset(name: str | None) -> Survey | None:
    """Return the preset of a survey; None if there is no preset."""
    try:
        return None if name is None else get_survey(name)
    except ValueError:
        return None


def _with_depth(preset: Survey | None) -> Survey:
    if preset is None or not np.isfinite(preset.depth).any():
        raise GridlensError(
            "The zero points of the pool must be known, or its survey, whose depth then sets the brightness of the "
            "arcs. Got neither; give zeropoint= or survey=."
        )
    return preset


def _check_depth(
    name: str, cutouts: Sequence[CutoutSet], seeing: tuple[float, float, float], preset: Survey | None
) -> None:
    """Raise GridlensError if noise and zero points imply a depth that is implausible for the images."""
    depths = []
    for part in cutouts:
        expected = sky_noise(np.zeros(3), np.array(seeing), float(part.pixel_scale[0]))
        noise = sky_rms(part.pixels[0])
        if noise.min() > 0.0:
            depths.append(-2.5 * np.log10(noise / expected))
    if not depths:
        return
    depth = np.median(depths, axis=0)
    if preset is not None and np.isfinite(preset.depth).any():
        known, said = np.array(preset.depth), f"the depth of {preset.name} is "
        wrong = float(np.nanmedian(np.abs(depth - known))) > _DEPTH_APART
        said += ", ".join(f"{value:.1f}" for value in known)
    else:
        wrong = not _DEPTHS[0] < float(np.median(depth)) < _DEPTHS[1]
        said = f"real images have a depth of {_DEPTHS[0]:g} to {_DEPTHS[1]:g}"
    if wrong:
        where = f" of the survey {name}" if name else ""
        raise GridlensError(
            f"The zero points of the pool{where} must be right, because they set the brightness of the arcs. They "
            f"imply a depth of {', '.join(f'{value:.1f}' for value in depth)} mag in g, r, i from the noise, but "
            f"{said}. Give the AB zero points with zeropoint=."
        )


def _check_one_survey(cutouts: Sequence[CutoutSet]) -> None:
    scales = [float(part.pixel_scale[0]) for part in cutouts]
    if scales and max(scales) > _ONE_SCALE * min(scales):
        raise GridlensError(
            "A pool of several surveys needs their names in a column 'survey' of the table of labels, because each "
            f"survey has its own point-spread function and noise. Got cutouts with pixel scales of {min(scales):.3g} "
            f"to {max(scales):.3g} arcsec and no such column; name the surveys, or train on each of them separately."
        )


class _Seeing(NamedTuple):
    """The seeing of a survey."""

    widths: tuple[float, float, float]
    """FWHM in g, r and i, arcsec"""
    how: str
    """origin of the values, in words"""
    own: bool = False
    """whether the metadata contain the seeing of each cutout"""
    guess: str = ""
    """warning for assumed values"""


def _seeing(cutouts: Sequence[CutoutSet], preset: Survey | None, stated: Mapping[str, float] | None) -> _Seeing:
    """Return the seeing as given, from the metadata, measured on stars, or assumed, in this order."""
    if stated is not None:
        return _Seeing(_triple(stated.values()), "as given")
    usual = np.full(3, _USUAL_SEEING) if preset is None else _complete(np.array(preset.seeing))
    own = np.array([float(part.metadata["seeing"].iloc[0]) for part in cutouts])
    own = own[own > 0.0]
    # The reader fills in the seeing of the preset where none is given; that is not a measurement.
    if own.size and not (preset is not None and np.all(own == preset.seeing[1])):
        return _Seeing(_triple(usual * float(np.median(own)) / usual[1]), "from the metadata", own=True)
    measured = measure_psf(cutouts)
    known = np.isfinite(measured.fwhm)
    if known.any():
        # A band without stars is scaled like the other bands.
        scale = float(np.median(measured.fwhm[known] / usual[known]))
        bands = (
            "" if known.all() else " in " + " and ".join(band for band, has in zip("gri", known, strict=True) if has)
        )
        widths = np.where(known, measured.fwhm, usual * scale)
        return _Seeing(_triple(widths), f"measured on {int(measured.n_stars[known].min()):,} stars or more{bands}")
    source = f"that of the survey {preset.name}" if preset is not None else f"{_USUAL_SEEING:g} arcsec"
    guess = (
        f"The seeing of the pool is unknown, and its cutouts contain too few stars to measure it; {source} is assumed. "
        "Give seeing=, because the model would recognize arcs that are sharper than the images."
    )
    return _Seeing(_triple(usual), f"assumed, {source}", guess=guess)


def _complete(seeing: np.ndarray) -> np.ndarray:
    """Return the seeing of a preset; missing bands have that of r, or the usual one if there is none."""
    widths = np.where(np.isfinite(seeing), seeing, seeing[1])
    return np.where(np.isfinite(widths), widths, _USUAL_SEEING)


def _triple(values: Any) -> tuple[float, float, float]:
    g, r, i = (float(value) for value in values)
    return g, r, i


def _words(name: str, seeing: _Seeing, calibrated: bool, preset: Survey | None) -> str:
    survey = f"{name}: " if name else ""
    flux = "the zero points" if calibrated or preset is None else f"the noise, assuming the depth of {preset.name}"
    width = ", ".join(f"{width:.2f}" for width in seeing.widths)
    return (
        f"{survey}The arcs have the point-spread function of the images (FWHM {width} arcsec in g, r, i, {seeing.how}) "
        f"and the correlation of their noise. Their brightness is set by {flux}."
    )
