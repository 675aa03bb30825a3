"""A second generator of cluster scenes, independent of the one for the training scenes.

It shares no code and no distribution with `gridlens.simulate`. Galaxies have a bulge and a disc with spiral arms, a
bar or clumps, and different colours; the luminosity function is a broken power law; each band has an elliptical Moffat
PSF; the noise is correlated by resampling and has large-scale structure; the sky is over-subtracted around bright
light; stars have spikes; satellites leave trails, and there are steps between detectors. Galaxies of real images are
pasted in. Lenses are sums of NFW halos and dPIE galaxies. Positions are in arcsec from the cutout's centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from _other_arcs import (
    FAINTEST_ARC,
    REFERENCE_REDSHIFT,
    MoffatPsf,
    Picture,
    arc_snr,
    band_fluxes,
    binned,
    cluster_lens,
    convolved,
    draw_psf,
    flux_of,
    image_place,
)
from _second_galaxies import Sheet, clumpy, disc_galaxy, early_type
from _second_telescope import add_detector, add_sky, add_stars, noise_of
from _stamps import Stamp, paste

from gridlens.lensing import SersicSource, lensing_efficiency, render_sources

__all__ = ["SIZE", "second_scene"]

SIZE = 128
_SAMPLING = 2
# Margin of the sheet around the cutout, pixels, because the PSF spreads light from outside into the cutout.
_MARGIN = 8
# Mean and standard deviation of the g-r of sources: young, ordinary, and dusty or old.
_SOURCE_COLOURS = ((0.15, 0.15), (0.55, 0.2), (1.1, 0.3))


@dataclass(frozen=True)
class _Night:
    """The conditions of an observation, with arrays in the order g, r, i."""

    pixel_scale: float
    psfs: tuple[MoffatPsf, ...]
    sky_sigma: np.ndarray
    """rms of white noise per pixel, flux"""


def second_scene(seed: int, index: int, stamps: list[Stamp], lens_fraction: float = 0.5) -> Picture:
    """Draw scene `index` of the set with seed `seed`.

    Parameters
    ----------
    seed, index : int
    stamps : list of Stamp
        Galaxies of real images, from `real_stamps`, some of which are pasted into the scene.
    lens_fraction : float, default=0.5
        Fraction of the scenes with a lens.

    Returns
    -------
    Picture
        128 px wide, 0.33 to 0.55 arcsec per pixel. `truth` has ``lens``, ``theta_e``, ``n_sources``,
        ``source_mag_r``, ``source_gr``, ``source_ri`` for a lens, and ``redshift``, ``seeing`` and ``depth``.
    """
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    is_lens = bool(rng.random() < lens_fraction)
    scale = float(rng.uniform(0.33, 0.55))
    seeing = float(rng.lognormal(math.log(0.85), 0.25))
    widths = seeing * np.array([1.08, 1.0, 0.94]) * rng.lognormal(0.0, 0.07, 3)
    depth = float(rng.uniform(23.3, 26.6)) + np.array([0.2, 0.0, -0.5]) + rng.normal(0.0, 0.2, 3)
    # A point source at the depth has an S/N of 5 in the area of its seeing disc.
    sigma = flux_of(depth) / 5.0 * scale / (1.5 * widths)
    night = _Night(scale, draw_psf(rng, widths), sigma)
    sheet = Sheet((SIZE + 2 * _MARGIN) * _SAMPLING, scale / _SAMPLING)
    redshift = float(rng.beta(2.0, 2.5) * 0.6 + 0.18)
    bcg, members = _cluster(rng, sheet, redshift)
    _field(rng, sheet)
    stars = add_stars(rng, sheet)

    arc, truth = np.zeros((3, SIZE, SIZE)), {}
    while is_lens and arc_snr(arc, sigma) < FAINTEST_ARC:
        arc, truth = _lensed(rng, night, bcg, members, redshift, float(depth[1]))
    light = _observed(sheet.light, night) + arc
    pasted = np.zeros_like(light)
    for _ in range(int(rng.poisson(5.0)) if stamps else 0):
        paste(rng, pasted, stamps[int(rng.integers(len(stamps)))], scale, sigma)
    light += pasted
    pixels = light + noise_of(rng, light, sigma, scale)
    add_sky(rng, pixels, light, sigma)
    add_detector(rng, pixels, sigma, stars, scale)
    centre = 0.5 * (SIZE - 1)
    return Picture(
        np.ascontiguousarray(np.moveaxis(pixels, 0, 2), dtype=np.float32),
        (centre + bcg[0] / scale, centre + bcg[1] / scale),
        scale,
        arc,
        sigma,
        truth | {"redshift": redshift, "seeing": seeing, "depth": float(depth[1])},
    )


def _observed(light: np.ndarray, night: _Night) -> np.ndarray:
    """Convolve a sheet with the PSF, bin it to pixels and cut off its margin."""
    blurred = convolved(light, night.psfs, night.pixel_scale / _SAMPLING)
    inner = slice(_MARGIN, -_MARGIN)
    return np.clip(binned(blurred, _SAMPLING)[:, inner, inner], 0.0, None)


def _red_sequence(redshift: float, mag: float) -> tuple[float, float]:
    """Return the g-r and r-i of an early type. g-r rises until the 4000 Angstrom break leaves g, then r-i rises."""
    gr = 0.75 + 2.6 * min(redshift, 0.36) - 0.45 * (redshift > 0.36) * (redshift - 0.36)
    ri = 0.36 + 0.25 * redshift + 1.6 * max(redshift - 0.36, 0.0)
    # Fainter members are bluer.
    return gr - 0.03 * (mag - 20.0), ri - 0.012 * (mag - 20.0)


def _broken_power_law(rng: np.random.Generator, count: int, knee: float, faintest: float) -> np.ndarray:
    """Draw magnitudes whose counts rise steeply to `knee` and slowly beyond it."""
    grid = np.linspace(knee - 2.0, faintest, 300)
    density = 1.0 / (10.0 ** (-1.1 * (grid - knee)) + 10.0 ** (-0.12 * (grid - knee)))
    cumulative = np.cumsum(density)
    return np.interp(rng.random(count), cumulative / cumulative[-1], grid)


def _cluster(rng: np.random.Generator, sheet: Sheet, redshift: float) -> tuple[tuple[float, float], np.ndarray]:
    """Draw the BCG, intracluster light and members; return the BCG's position and (m, 3) x, y, luminosity over L*."""
    knee = 17.9 + 4.6 * (redshift - 0.15)
    x, y = rng.normal(0.0, 0.3, 2)
    mag = knee - float(rng.uniform(0.4, 1.9))
    angle, flat = float(rng.uniform(0.0, math.pi)), float(rng.uniform(0.05, 0.45))
    fluxes = band_fluxes(mag, *_red_sequence(redshift, mag))
    radius = float(rng.lognormal(math.log(2.6), 0.35)) * (0.35 / redshift) ** 0.5
    early_type(sheet, x, y, radius, float(rng.uniform(3.0, 6.5)), 1.0 - flat, angle, fluxes)
    # Intracluster light is flatter and bluer than the BCG, and not centred on it.
    off_x, off_y = rng.normal(0.0, 1.5, 2)
    halo = float(rng.uniform(0.05, 0.45)) * band_fluxes(mag, *_red_sequence(redshift, mag + 3.0))
    reach = float(rng.uniform(7.0, 16.0))
    early_type(sheet, x + off_x, y + off_y, reach, 1.2, 1.0 - 1.3 * flat, angle + rng.normal(0.0, 0.2), halo)
    count = int(rng.negative_binomial(4, 4.0 / (4.0 + 26.0)))
    # The projected density has a core and is elongated along the BCG.
    radii = 14.0 * np.sqrt((1.0 - rng.random(count)) ** (-1.0 / 0.7) - 1.0)
    turn = rng.uniform(0.0, 2.0 * math.pi, count)
    along, across = radii * np.cos(turn), 0.7 * radii * np.sin(turn)
    places = np.column_stack(
        [x + along * math.cos(angle) - across * math.sin(angle), y + along * math.sin(angle) + across * math.cos(angle)]
    )
    mags = np.sort(_broken_power_law(rng, count, knee, min(knee + 5.0, 26.0)))
    for (member_x, member_y), member_mag in zip(places, mags, strict=True):
        gr, ri = _red_sequence(redshift, float(member_mag))
        size = float(np.clip(0.8 * 10.0 ** (-0.14 * (member_mag - knee)) * rng.lognormal(0.0, 0.3), 0.12, 2.5))
        if rng.random() < 0.8:
            fluxes = band_fluxes(member_mag, gr + rng.normal(0.0, 0.04), ri + rng.normal(0.0, 0.03))
            shape = float(rng.beta(5.0, 2.0)), float(rng.uniform(0.0, math.pi))
            early_type(sheet, member_x, member_y, size, float(rng.uniform(1.2, 5.0)), *shape, fluxes)
        else:
            bluer = float(rng.uniform(0.2, 0.9))
            disc_galaxy(rng, sheet, member_x, member_y, 1.4 * size, member_mag, (gr - bluer, ri - 0.4 * bluer))
    luminosity = 10.0 ** (-0.4 * (np.append(mag, mags) - knee))
    return (float(x), float(y)), np.column_stack([np.vstack([[x, y], places]), luminosity])


def _field(rng: np.random.Generator, sheet: Sheet) -> None:
    """Draw field galaxies in small groups: discs, irregulars and a few early types."""
    half = sheet.half
    groups = int(rng.poisson(22.0 * (2.0 * half / 64.0) ** 2))
    for _ in range(groups):
        x0, y0 = rng.uniform(-half, half, 2)
        for _ in range(int(rng.geometric(0.6))):
            x, y = (float(c + rng.normal(0.0, 4.0)) for c in (x0, y0))
            mag = max(26.0 - float(rng.exponential(1.9)), 17.5)
            size = float(np.clip(0.42 * 10.0 ** (-0.13 * (mag - 23.5)) * rng.lognormal(0.0, 0.35), 0.08, 4.0))
            gr = float(np.clip(rng.gamma(4.0, 0.16), 0.0, 1.9))
            colours = gr, 0.5 * gr + float(rng.normal(0.0, 0.12))
            form = rng.random()
            if form < 0.6:
                disc_galaxy(rng, sheet, x, y, size, mag, colours)
            elif form < 0.82:
                clumpy(rng, sheet, x, y, size, mag, colours)
            else:
                fluxes = band_fluxes(mag, colours[0] + 0.5, colours[1] + 0.2)
                early_type(sheet, x, y, size, 3.0, float(rng.uniform(0.4, 1.0)), float(rng.uniform(0, math.pi)), fluxes)


def _lensed(
    rng: np.random.Generator,
    night: _Night,
    bcg: tuple[float, float],
    members: np.ndarray,
    redshift: float,
    depth: float,
) -> tuple[np.ndarray, dict[str, object]]:
    """Return the observed light of one to three sources lensed by an NFW halo with dPIE galaxies, and their truth."""
    half = 0.5 * SIZE * night.pixel_scale
    theta_e = float(np.clip(7.0 + rng.gamma(2.0, 4.5), 7.0, 0.8 * half))
    lens = cluster_lens(rng, "dpie+nfw", redshift, theta_e, bcg, members)
    components: list[SersicSource] = []
    brightest = (math.inf, math.nan, math.nan)
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    for _ in range(count):
        source_redshift = redshift + 0.35 + float(rng.gamma(2.0, 0.6))
        efficiency = lensing_efficiency(redshift, source_redshift)
        efficiency = float(efficiency / lensing_efficiency(redshift, REFERENCE_REDSHIFT))
        place = image_place(rng, lens.scaled(efficiency), bcg, 5.0, 0.85 * half)
        if place is None:
            continue
        mag = float(np.clip(rng.normal(24.6 + 0.6 * (depth - 25.5), 0.9), 21.5, 26.5))
        gr = float(rng.normal(*_SOURCE_COLOURS[int(rng.choice(3, p=[0.4, 0.45, 0.15]))]))
        colours = gr, 0.6 * gr + float(rng.normal(0.0, 0.15))
        components += _source(rng, place, mag, colours, efficiency)
        brightest = min(brightest, (mag, *colours))
    shape = (SIZE + 2 * _MARGIN) * _SAMPLING
    light = np.zeros((3, shape, shape))
    if components:
        step = night.pixel_scale / _SAMPLING
        light += render_sources(lens, components, (shape, shape), step, supersampling=2)
    truth = dict(zip(("source_mag_r", "source_gr", "source_ri"), brightest, strict=True))
    truth |= {"lens": "dpie+nfw", "theta_e": theta_e, "n_sources": count}
    return _observed(light, night), truth


def _source(
    rng: np.random.Generator, place: tuple[float, float], mag: float, colours: tuple[float, float], efficiency: float
) -> list[SersicSource]:
    """Draw a disc with a redder bulge and a chain of bluer clumps across it."""
    radius = float(np.clip(rng.lognormal(math.log(0.3), 0.45), 0.08, 0.9))
    ratio, angle = float(rng.uniform(0.25, 1.0)), float(rng.uniform(0.0, math.pi))
    bulge = float(rng.uniform(0.0, 0.4))
    knots = int(rng.poisson(2.0))
    share = float(rng.uniform(0.05, 0.35)) if knots else 0.0
    disc = (1.0 - bulge - share) * band_fluxes(mag, *colours)
    parts = [SersicSource(*place, radius, 1.0, disc, ratio, angle, efficiency)]
    if bulge > 0.05:
        red = bulge * band_fluxes(mag, colours[0] + 0.3, colours[1] + 0.15)
        parts.append(SersicSource(*place, 0.3 * radius, 2.5, red, 0.8, angle, efficiency))
    for _ in range(knots):
        along, across = float(rng.uniform(-1.5, 1.5)) * radius, float(rng.normal(0.0, 0.3)) * radius * ratio
        x = place[0] + along * math.cos(angle) - across * math.sin(angle)
        y = place[1] + along * math.sin(angle) + across * math.cos(angle)
        blue = share / knots * band_fluxes(mag, colours[0] - 0.15, colours[1] - 0.1)
        parts.append(SersicSource(x, y, float(rng.uniform(0.04, 0.15)), 0.8, blue, 1.0, 0.0, efficiency))
    return parts
