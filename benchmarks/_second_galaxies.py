"""Galaxies of the second generator: early types, discs with arms and bars, and clumpy irregulars."""

from __future__ import annotations

import math

import numpy as np
from _other_arcs import band_fluxes

__all__ = ["Sheet", "clumpy", "disc_galaxy", "early_type"]

# A galaxy is drawn out to this many effective radii, but at most this far, arcsec.
_REACH, _WIDEST = 7.0, 40.0
# Isophotes of an early type are |x|^p + |y|^p = const. The second number is the area of |x|^p + |y|^p < 1 over pi.
_POWER = 2.2
_SUPERELLIPSE = 4.0 * math.gamma(1.0 + 1.0 / _POWER) ** 2 / math.gamma(1.0 + 2.0 / _POWER) / math.pi


class Sheet:
    """Canvas of three bands of sub-pixels on which galaxies are drawn.

    Parameters
    ----------
    size : int
        Side in sub-pixels.
    step : float
        Width of a sub-pixel, arcsec.
    """

    def __init__(self, size: int, step: float) -> None:
        self.size, self.step = size, step
        self.light = np.zeros((3, size, size))

    @property
    def half(self) -> float:
        """Half of the width of the sheet, arcsec."""
        return 0.5 * self.size * self.step

    def box(self, x: float, y: float, reach: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """Return the part of the sheet within `reach` arcsec of a position, and its coordinates relative to it."""
        parts, axes = [], []
        for coordinate in (y, x):
            middle = coordinate / self.step + 0.5 * (self.size - 1)
            first = min(max(math.floor(middle - reach / self.step), 0), self.size)
            last = max(min(math.ceil(middle + reach / self.step) + 1, self.size), first)
            parts.append(slice(first, last))
            axes.append((np.arange(first, last) - middle) * self.step)
        dx, dy = np.meshgrid(axes[1], axes[0])
        return (parts[0], parts[1]), dx, dy

    def add(self, part: tuple[slice, slice], shape: np.ndarray, total: float, fluxes: np.ndarray) -> None:
        """Add `shape`, whose sum over the whole plane is `total`, scaled to the fluxes (3,) of the bands."""
        self.light[:, part[0], part[1]] += fluxes[:, None, None] * (shape / total)


def _turned(dx: np.ndarray, dy: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across the direction `angle`."""
    return dx * math.cos(angle) + dy * math.sin(angle), -dx * math.sin(angle) + dy * math.cos(angle)


def _profile(r: np.ndarray, radius: float, n: float, step: float) -> tuple[np.ndarray, float]:
    """Return a smoothly truncated Sersic profile with a softened centre, and its sum over a plane of cells `step`."""
    b = 2.0 * n - 1.0 / 3.0 + 0.0099 / n
    edge = min(_REACH * radius, _WIDEST)

    def law(distance: np.ndarray) -> np.ndarray:
        soft = np.sqrt(distance**2 + (0.4 * step) ** 2)
        return np.asarray(np.exp(-b * ((soft / radius) ** (1.0 / n) - 1.0)) * np.clip(1.0 - distance / edge, 0.0, 1.0))

    rings = np.concatenate([np.linspace(0.0, 2.0 * step, 60), np.geomspace(2.001 * step, max(edge, 3.0 * step), 240)])
    total = float(np.trapezoid(law(rings) * 2.0 * math.pi * rings, rings)) / step**2
    return law(r), total


def early_type(
    sheet: Sheet, x: float, y: float, radius: float, n: float, axis_ratio: float, angle: float, fluxes: np.ndarray
) -> None:
    """Draw a smooth galaxy whose isophotes are slightly boxy."""
    part, dx, dy = sheet.box(x, y, min(_REACH * radius, _WIDEST) / math.sqrt(axis_ratio))
    if dx.size:
        along, across = _turned(dx, dy, angle)
        inner, outer = np.abs(along) * math.sqrt(axis_ratio), np.abs(across) / math.sqrt(axis_ratio)
        r = (inner**_POWER + outer**_POWER) ** (1.0 / _POWER)
        shape, total = _profile(r, radius, n, sheet.step)
        sheet.add(part, shape, total * _SUPERELLIPSE, fluxes)


def disc_galaxy(
    rng: np.random.Generator, sheet: Sheet, x: float, y: float, radius: float, mag: float, colours: tuple[float, float]
) -> None:
    """Draw an inclined disc with a redder bulge, bluer spiral arms and often a bar."""
    bulge = float(rng.beta(1.2, 5.0))
    tilt = max(float(rng.uniform(0.0, 1.0)), 0.13)
    angle = float(rng.uniform(0.0, math.pi))
    part, dx, dy = sheet.box(x, y, min(_REACH * radius, _WIDEST))
    if not dx.size:
        return
    along, across = _turned(dx, dy, angle)
    # `radius` is measured along the major axis of the disc.
    r, phase = np.hypot(along, across / tilt), np.arctan2(across / tilt, along)
    shape, total = _profile(r, radius, 1.0, sheet.step)
    arms, strength = int(rng.choice([2, 2, 3, 4])), float(rng.uniform(0.0, 0.9)) * (radius > 0.5)
    winding = float(rng.choice([-1.0, 1.0])) / math.tan(math.radians(rng.uniform(9.0, 30.0)))
    crest = np.cos(arms * (phase - winding * np.log(r / radius + 0.15)))
    # The fraction of the light in the arms grows with the radius.
    wave = strength * np.clip(r / radius, 0.0, 1.0) * crest
    disc = (1.0 - bulge) * band_fluxes(mag, *colours)
    sheet.add(part, shape * (1.0 + wave), total * tilt, disc)
    if strength > 0.3:
        knots = shape * np.clip(crest, 0.0, None) ** 6 * np.clip(r / radius - 0.3, 0.0, 1.0)
        sheet.add(part, knots, total * tilt, 0.8 * disc * np.array([1.35, 1.0, 0.85]))
    red = bulge * band_fluxes(mag, colours[0] + 0.35, colours[1] + 0.15)
    early_type(sheet, x, y, 0.25 * radius + 0.03, 2.0, max(tilt, 0.55), angle, red)
    if rng.random() < 0.35 and tilt > 0.4:
        bar = 0.12 * band_fluxes(mag, colours[0] + 0.2, colours[1] + 0.1)
        early_type(sheet, x, y, 0.4 * radius, 0.6, 0.25, angle + float(rng.uniform(-0.6, 0.6)), bar)


def clumpy(
    rng: np.random.Generator, sheet: Sheet, x: float, y: float, radius: float, mag: float, colours: tuple[float, float]
) -> None:
    """Draw an irregular galaxy: clumps along a curve in a faint body. Some of them look like an arc."""
    angle, bend = float(rng.uniform(0.0, 2.0 * math.pi)), float(rng.normal(0.0, 0.35)) / radius
    count = int(rng.integers(3, 9))
    shares = rng.dirichlet(np.ones(count)) * float(rng.uniform(0.4, 0.8))
    body = float(1.0 - shares.sum()) * band_fluxes(mag, *colours)
    early_type(sheet, x, y, radius, 0.9, float(rng.uniform(0.3, 0.9)), angle % math.pi, body)
    for share, along in zip(shares, rng.uniform(-2.2, 2.2, count) * radius, strict=True):
        across = bend * along**2 + float(rng.normal(0.0, 0.15)) * radius
        clump_x = x + along * math.cos(angle) - across * math.sin(angle)
        clump_y = y + along * math.sin(angle) + across * math.cos(angle)
        fluxes = share * band_fluxes(mag, colours[0] + rng.normal(-0.1, 0.1), colours[1] + rng.normal(-0.05, 0.08))
        early_type(sheet, clump_x, clump_y, float(rng.uniform(0.15, 0.4)) * radius + 0.05, 0.7, 0.9, 0.0, fluxes)
