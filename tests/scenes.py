"""Small seeded cutouts of many kinds for tests: numpy only, no package code.

`scenes(seed)` gives the list; the drawing functions serve tests that need one known object.
"""

from __future__ import annotations

import numpy as np

# Flux ratios g : r : i of an elliptical and of a star-forming arc.
RED = (0.35, 1.0, 1.5)
BLUE = (1.0, 1.1, 1.15)


def scenes(seed=0):
    """Return (name, pixels float32 (H, W, 3), bcg_xy, pixel_scale) of scenes that the contract does not reject."""
    rng = np.random.default_rng(seed)
    return [
        ("noise", *plain_noise(rng, 128), 0.5),
        ("noise_small_fine", *plain_noise(rng, 48), 0.1),
        ("arc", *cluster(rng, 128, arc_px=30), 0.5),
        ("arc_odd_size", *cluster(rng, 129, arc_px=34), 0.5),
        ("arc_48px", *cluster(rng, 48, arc_px=14), 1.0),
        ("arc_301px", *cluster(rng, 301, arc_px=75, n_galaxies=40), 0.2),
        ("arc_fine_scale", *cluster(rng, 160, arc_px=40), 0.1),
        ("arc_off_centre", *cluster(rng, 128, bcg=(48.3, 77.8), arc_px=24), 0.5),
        ("arc_bright_sky", *cluster(rng, 130, arc_px=28, sky=(900.0, 1500.0, 2100.0)), 0.4),
        ("arc_tiny_flux", *cluster(rng, 128, arc_px=30, unit=1e-6), 0.5),
        ("bcg_on_edge", *cluster(rng, 96, bcg=(0.0, 40.0), arc_px=25), 0.6),
        ("many_blobs", *cluster(rng, 150, n_galaxies=80), 0.263),
        ("hot_pixel", *hot_pixel(rng, 128), 0.5),
        ("nan_patch", *bad_patch(rng, 128), 0.5),
        ("nan_border", *bad_border(rng, 128), 0.5),
        ("bad_pixels_scattered", *bad_scatter(rng, 100), 0.7),
        ("negative_sky", *cluster(rng, 90, arc_px=20, sky=(-40.0, -3.0, -7.0)), 0.8),
        ("unequal_noise", *cluster(rng, 140, arc_px=32, sigma=(0.3, 2.0, 6.0)), 0.33),
    ]


def plain_noise(rng, size, sigma=(1.0, 1.0, 1.0), sky=(0.0, 0.0, 0.0)):
    """Return white noise around a sky level, and its centre."""
    pixels = np.asarray(sky) + rng.normal(size=(size, size, 3)) * np.asarray(sigma)
    return pixels.astype(np.float32), ((size - 1) / 2, (size - 1) / 2)


def sersic(size, x, y, radius, index=3.0, axis_ratio=1.0, angle=0.0):
    """Return a Sersic-like blob (size, size), softened by one pixel, with peak 1."""
    yy, xx = np.mgrid[:size, :size]
    along = (xx - x) * np.cos(angle) + (yy - y) * np.sin(angle)
    across = (yy - y) * np.cos(angle) - (xx - x) * np.sin(angle)
    r = np.sqrt(along**2 + (across / axis_ratio) ** 2 + 1) / radius
    profile = np.exp(-(2 * index - 1 / 3) * (r ** (1 / index) - 1))
    return profile / profile.max()


def arc(size, x, y, radius, angle, opening, width=1.2):
    """Return an arc around (x, y) with peak 1, (size, size): Gaussian across, with `width` in px; `opening` in rad."""
    yy, xx = np.mgrid[:size, :size]
    r = np.hypot(xx - x, yy - y)
    turn = np.abs((np.arctan2(yy - y, xx - x) - angle + np.pi) % (2 * np.pi) - np.pi)
    return np.exp(-0.5 * ((r - radius) / width) ** 2) * (turn < opening / 2)


def add(image, shape, peak, ratios):
    """Add one drawn shape to an (H, W, 3) image; `peak` is that of band r."""
    image += peak * shape[:, :, None] * np.asarray(ratios)


def cluster(rng, size, *, bcg=None, arc_px=None, n_galaxies=12, sigma=(1.0, 1.0, 1.0), sky=(0.0, 0.0, 0.0), unit=1.0):
    """Return the pixels and the BCG of a cluster with red galaxies and, if `arc_px` is a radius, two blue arcs."""
    bcg = ((size - 1) / 2, (size - 1) / 2) if bcg is None else bcg
    image = np.zeros((size, size, 3))
    add(image, sersic(size, *bcg, 0.08 * size, 3.5, 0.8, 0.4), 200.0, RED)
    for _ in range(n_galaxies):
        x, y = rng.uniform(0, size, 2)
        blob = sersic(size, x, y, rng.uniform(1.5, 4), 2.0, rng.uniform(0.4, 1), rng.uniform(0, np.pi))
        add(image, blob, rng.uniform(5, 80), RED)
    if arc_px is not None:
        angle = rng.uniform(-0.7, 0.7)
        add(image, arc(size, *bcg, arc_px, angle, 1.3), 9.0, BLUE)
        add(image, arc(size, *bcg, 0.6 * arc_px, angle + 2.5, 0.8), 6.0, BLUE)
    image += np.asarray(sky) + rng.normal(size=image.shape) * np.asarray(sigma)
    return (unit * image).astype(np.float32), bcg


def hot_pixel(rng, size):
    """Return a cluster with one hot pixel, one cold pixel and a cosmic-ray streak in one band."""
    pixels, bcg = cluster(rng, size, arc_px=0.24 * size)
    pixels[size // 5, size // 3] = 1e6
    pixels[size // 2, size // 7, 1] = -1e5
    streak = np.arange(25)
    pixels[10 + streak, size // 2 + streak // 2, 2] += 5e3
    return pixels, bcg


def bad_patch(rng, size):
    """Return a cluster with a block of NaN across one arc and a saturated BCG core of inf."""
    pixels, bcg = cluster(rng, size, arc_px=0.24 * size)
    pixels[size // 2 - 6 : size // 2 + 6, 3 * size // 4 - 4 : 3 * size // 4 + 4, 0] = np.nan
    pixels[size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1, 2] = np.inf
    return pixels, bcg


def bad_border(rng, size):
    """Return a cluster at the edge of the survey: 15 % of the rows are NaN, in one band a few more."""
    pixels, bcg = cluster(rng, size, arc_px=0.24 * size, sky=(3.0, 5.0, 8.0))
    pixels[: int(0.15 * size)] = np.nan
    pixels[: int(0.17 * size), :, 1] = np.nan
    return pixels, bcg


def bad_scatter(rng, size):
    """Return a cluster with 6 % single bad pixels, each NaN or inf in one band."""
    pixels, bcg = cluster(rng, size, arc_px=0.24 * size)
    hit = rng.random(pixels.shape) < 0.02
    pixels[hit] = np.where(rng.random(hit.sum()) < 0.5, np.nan, np.inf)
    return pixels, bcg
