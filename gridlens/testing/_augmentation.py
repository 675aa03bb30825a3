"""Does an augmentation of cutouts leave colours and sizes alone?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gridlens.cutouts import CutoutSet

__all__ = ["check_augmentation"]

_SIZE = 96
_RADIUS = 10.0
"""arcsec from the BCG to the arc"""
_SKY, _NOISE = -3e-3, 1e-3
_BANDS = "gri"
# Half a percent of flux is 0.005 mag, which noise ten times as strong and any blur that leaves the sources in the field
# stay under; so they do under 2 % of the radius and 0.3 px of the BCG.
_RATIO, _SIZES, _PLACE = 0.005, 0.02, 0.3
_LEVEL = 1.0
"""of the noise: how far the sky may go from the flux factor's share of it"""
_AT_LIMIT = 0.002
"""share of the pixels that may have the lowest value of all"""


def check_augmentation(
    function: Callable[[CutoutSet, np.random.Generator], CutoutSet], *, n_times: int = 20, random_state: int = 0
) -> None:
    """Raise AssertionError where an augmentation of cutouts breaks what training rests on.

    Lensing keeps flux ratios, and arcs lie 10 to 30 arcsec from the BCG: an augmentation may flip, turn by quarters,
    blur all bands alike, add noise and scale all bands by one factor, and nothing else. `function` is called on six
    square cutouts of 96 px: a point source, not in the middle, and an arc 10 arcsec from it, of three known sets of
    band ratios, on a sky that is negative nearly everywhere; two have a hole of bad pixels. Told are:

    - another type, number, order or size of cutouts, and input that was changed in place;
    - band ratios of the whole flux that change by over 0.5 % (a colour jitter, a stretch that is not linear);
    - an arc whose distance in arcsec, by the result's own pixel scale, changes by over 2 % (a zoom);
    - a pixel scale that changes;
    - a `bcg_xy` over 0.3 px from the point source in any band (a flip that forgets it, or that spares a band);
    - negative sky that was clipped: over 0.2 % of a band's pixels share the lowest value;
    - a sky level that does not scale with the flux, by over the noise (a stretch from minimum to maximum);
    - bad pixels that were filled, or that spread.

    Parameters
    ----------
    function : callable
        Called as ``function(cutouts, rng)`` with a `CutoutSet` and a `numpy.random.Generator`; returns a `CutoutSet`.
        One that works on tensors is wrapped first.
    n_times : int, default=20
        How often it is called; what it does rarely needs more.
    random_state : int, default=0
        Seed of the cutouts and of the generators.

    Raises
    ------
    AssertionError
        With a line for each rule that was broken, how often, and the first case.
    ValueError
        `n_times` is not a whole number from 1.

    Examples
    --------
    >>> from gridlens.cutouts import Augmentation, CutoutSet
    >>> from gridlens.testing import check_augmentation
    >>> check_augmentation(Augmentation(noise=(1.0, 2.0), flux=(0.5, 2.0)))
    >>> def jitter(cutouts, rng):
    ...     return CutoutSet(cutouts.pixels * rng.uniform(0.9, 1.1, 3), bcg_xy=cutouts.bcg_xy,
    ...                      pixel_scale=cutouts.pixel_scale, ids=cutouts.ids)
    >>> check_augmentation(jitter)
    Traceback (most recent call last):
    ...
    AssertionError: The augmentation is not safe to train on.
    Band ratios changed, as by a colour jitter (120 times; first cutout 0, g / r from 0.3 to 0.323).
    """
    if isinstance(n_times, bool) or not isinstance(n_times, int | np.integer) or n_times < 1:
        raise ValueError(
            f"The 'n_times' parameter must be a whole number of calls, 1 or more. Got {n_times!r} instead."
        )
    before = _scenes(random_state)
    measured = [_measure(cutout) for cutout in before]
    found: dict[str, list[str]] = {}
    for k in range(n_times):
        # A fresh set each time: a function that works in place must not spoil the next call.
        cutouts = _scenes(random_state)
        after = function(cutouts, np.random.default_rng((random_state, k)))
        _check_kind(after, before)
        if not _same(cutouts, before):
            found.setdefault("The input was changed in place", []).append("pixels or bcg_xy")
        for row, old in enumerate(measured):
            for rule, case in _findings(old, after[row], float(before.pixel_scale[row])):
                found.setdefault(rule, []).append(f"cutout {row}, {case}")
    if found:
        lines = [f"{rule} ({len(cases)} times; first {cases[0]})." for rule, cases in found.items()]
        raise AssertionError("\n".join(["The augmentation is not safe to train on.", *lines]))


class _Measured(NamedTuple):
    """What is seen in one cutout; arrays run over g, r, i."""

    flux: np.ndarray
    """above the sky, of the whole cutout"""
    sky: np.ndarray
    place: np.ndarray
    """(3, 2): x and y of the brightest source, pixels"""
    radius: np.ndarray
    """mean distance of the light far from the source, arcsec"""
    at_limit: np.ndarray
    """share of the pixels that have the lowest value of all"""
    bad: np.ndarray
    """number of pixels that are not finite"""


def _scenes(random_state: int) -> CutoutSet:
    """Six cutouts of known colours and sizes."""
    rng = np.random.default_rng(random_state)
    y, x = np.indices((_SIZE, _SIZE))
    sources = [(0.3, 1.0, 1.6), (1.0, 1.0, 1.0), (1.5, 0.9, 0.5)] * 2
    places = [(52.0, 44.0), (50.3, 45.8), (43.0, 53.0), (44.6, 51.2), (53.0, 50.0), (46.0, 43.5)]
    scales = [0.5, 0.5, 0.5, 0.4, 0.4, 0.5]
    images = rng.normal(_SKY, _NOISE, (len(sources), _SIZE, _SIZE, 3))
    for image, colour, (x0, y0), scale, start in zip(images, sources, places, scales, range(6), strict=True):
        r, angle = np.hypot(x - x0, y - y0), np.arctan2(y - y0, x - x0)
        star = np.exp(-0.5 * (r / 1.3) ** 2)
        across = r - _RADIUS / scale
        along = np.cos(angle - start) > 0.7
        arc = along * np.exp(-0.5 * (across / 1.3) ** 2)
        # One colour for both: what resampling does to the flux of each must not pass for a change of colour.
        image += (2000.0 * star / star.sum() + 1000.0 * arc / arc.sum())[:, :, None] * np.array(colour)
    images[2:4, 3:9, 70:76] = np.nan
    ids = [f"scene-{k}" for k in range(len(images))]
    return CutoutSet(images, bcg_xy=places, pixel_scale=scales, ids=ids)


def _check_kind(after: Any, before: CutoutSet) -> None:
    """Whether the result can be measured at all."""
    if not isinstance(after, CutoutSet):
        raise AssertionError(f"The augmentation must return a CutoutSet. Got {type(after).__name__} instead.")
    if list(after.ids) != list(before.ids):
        raise AssertionError(
            f"The augmentation must return the cutouts that it was given, in their order, since labels hang on it. "
            f"Got the ids {', '.join(after.ids) or 'of none'} for {', '.join(before.ids)} instead."
        )
    if after.pixels.shape != before.pixels.shape:
        raise AssertionError(
            f"The augmentation must keep the size of square cutouts. Got {after.pixels.shape} for "
            f"{before.pixels.shape} instead."
        )


def _same(one: CutoutSet, other: CutoutSet) -> bool:
    return (
        np.array_equal(one.pixels, other.pixels, equal_nan=True)
        and np.array_equal(one.bcg_xy, other.bcg_xy)
        and np.array_equal(one.pixel_scale, other.pixel_scale)
    )


def _findings(old: _Measured, after: CutoutSet, was: float) -> Iterator[tuple[str, str]]:
    """Rules that one cutout breaks, each with what was seen. Comparisons are such that NaN breaks the rule."""
    new, now = _measure(after), float(after.pixel_scale[0])
    if now != was:
        yield "The pixel scale changed", f"from {was:g} to {now:g} arcsec"
    if (new.bad != old.bad).any():
        rule = "Bad pixels were filled" if (new.bad < old.bad).any() else "Bad pixels spread"
        yield rule, f"from {old.bad.tolist()} to {new.bad.tolist()} in g, r, i"
    factors = new.flux / old.flux
    factor = float(np.exp(np.log(factors).mean())) if (factors > 0.0).all() else np.nan
    for one, two in ((0, 1), (1, 2), (0, 2)):
        if not abs(factors[one] - factors[two]) <= _RATIO * abs(factors[two]):
            ratios = (measured.flux[one] / measured.flux[two] for measured in (old, new))
            shown = " to ".join(f"{ratio:.3g}" for ratio in ratios)
            yield "Band ratios changed, as by a colour jitter", f"{_BANDS[one]} / {_BANDS[two]} from {shown}"
            break
    change = new.radius / old.radius
    if not (np.abs(change - 1.0) <= _SIZES).all():
        worst = int(np.argmax(np.abs(change - 1.0)))
        shown = f"an arc at {old.radius[worst]:.2f} arcsec from the BCG came to {new.radius[worst]:.2f}"
        yield "Sizes in arcsec changed, as by a zoom", shown
    offsets = np.hypot(*(new.place - after.bcg_xy[0]).T)
    if not (offsets <= _PLACE).all():
        worst = int(np.argmax(offsets))
        stated, seen = (f"({x:.1f}, {y:.1f})" for x, y in (after.bcg_xy[0], new.place[worst]))
        yield "The BCG was lost", f"bcg_xy is {stated} and its light in {_BANDS[worst]} at {seen}"
    if not (new.at_limit <= _AT_LIMIT).all():
        share = 100.0 * float(new.at_limit.max())
        yield "Negative sky was clipped", f"{share:.0f} % of the pixels of a band share its lowest value"
    elif not (np.abs(new.sky / factor - old.sky) <= _LEVEL * _NOISE).all():
        level = float(np.mean(new.sky / factor)) / _NOISE
        yield (
            "The sky level moved, as by a stretch from minimum to maximum",
            f"from {_SKY / _NOISE:.1f} to {level:.1f} times the noise, the flux factor of {factor:.3g} taken out",
        )


def _measure(cutout: CutoutSet) -> _Measured:
    """Measure a set of one cutout, each band on its own; NaN where a band has no finite pixel."""
    y, x = np.indices(cutout.pixels.shape[1:3])
    scale = float(cutout.pixel_scale[0])
    rows = []
    for band in range(3):
        plane = cutout.pixels[0, :, :, band].astype(np.float64)
        good = np.isfinite(plane)
        bad = int((~good).sum())
        if not good.any():
            rows.append((np.nan, np.nan, (np.nan, np.nan), np.nan, np.nan, bad))
            continue
        row, column = np.unravel_index(np.argmax(np.where(good, plane, -np.inf)), plane.shape)
        from_peak = np.hypot(x - column, y - row)
        # Out there is no light: a median of all pixels would rise with the noise.
        outside = good & (from_peak * scale > 1.6 * _RADIUS)
        sky = float(np.median(plane[outside if outside.any() else good]))
        light = np.where(good, plane - sky, 0.0)
        core = np.where(from_peak < 7.0, light, 0.0)
        place = _mean(x, core), _mean(y, core)
        distance = np.hypot(x - place[0], y - place[1]) * scale
        radius = _mean(distance, np.where(distance > 0.6 * _RADIUS, light, 0.0))
        at_limit = float((plane == plane[good].min()).sum()) / plane.size
        rows.append((float(light.sum()), sky, place, radius, at_limit, bad))
    return _Measured(*(np.array(column) for column in zip(*rows, strict=True)))


def _mean(values: Any, weights: np.ndarray) -> float:
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total != 0.0 else np.nan
