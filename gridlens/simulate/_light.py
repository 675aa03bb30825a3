"""Light drawn onto a sub-pixel grid: Sersic galaxies in boxes of their own, arcs of circles, lensed sources.

Plain arrays in, plain arrays changed in place. Positions and lengths are in sub-pixels of the image that is drawn
on, fluxes in the image's unit. `tests/simulate/test_light.py` holds these kernels against lenstronomy's profiles.
"""

import math

import numpy as np

from gridlens._jit import entry

__all__ = ["add_arc", "add_lensed_sersic", "add_sersic", "sersic_b", "sersic_norm"]


def sersic_b(n: float) -> float:
    """Coefficient b of the Sersic profile: Ciotti and Bertin 1999, A&A 352, 447, equation 18; n >= 0.36."""
    return 2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25515.0 * n * n)


def sersic_norm(n: float) -> float:
    """Total flux of a round Sersic profile with effective radius 1 and surface brightness 1 there.

    Graham and Driver 2005, PASA 22, 118, equation 2.
    """
    b = sersic_b(n)
    return 2.0 * math.pi * n * math.exp(b) * b ** (-2.0 * n) * math.gamma(2.0 * n)


def add_sersic(
    images: np.ndarray,
    x: float,
    y: float,
    radius: float,
    n: float,
    axis_ratio: float,
    angle: float,
    fluxes: np.ndarray,
    floor: float,
) -> None:
    """Add one elliptical Sersic galaxy to `images` (bands, ny, nx), float64, in place.

    Parameters
    ----------
    images : ndarray of shape (bands, ny, nx)
    x, y : float
        Centre, sub-pixels; may lie outside the image.
    radius : float
        Effective radius of the intermediate axis, ``sqrt(a b)``, sub-pixels.
    n, axis_ratio, angle : float
        Sersic index, minor over major axis, major axis from the x axis in rad.
    fluxes : ndarray of shape (bands,)
        Total flux in each band; the shape is the same in all.
    floor : float
        The box ends where the brightest band falls below this surface brightness, flux per sub-pixel.
    """
    brightest = float(np.max(fluxes))
    if not brightest > 0.0:
        return
    b = sersic_b(n)
    effective = brightest / (sersic_norm(n) * radius * radius)
    reach = 1.0 + math.log(max(effective / floor, 1e-30)) / b
    if reach <= 0.0:
        return
    # Where the galaxy sinks below the floor, along its major axis; never less than the core itself.
    extent = max(radius * reach**n / math.sqrt(axis_ratio), 3.0)
    unit = fluxes / (sersic_norm(n) * radius * radius)
    _sersic_box(images, x, y, radius, n, b, axis_ratio, math.cos(angle), math.sin(angle), unit, extent)


@entry
def _sersic_box(images, x, y, radius, n, b, axis_ratio, cos, sin, unit, extent):
    bands, ny, nx = images.shape
    x0 = max(0, math.floor(x - extent))
    x1 = min(nx, math.ceil(x + extent) + 1)
    y0 = max(0, math.floor(y - extent))
    y1 = min(ny, math.ceil(y + extent) + 1)
    power = 0.5 / n
    stretch = math.sqrt(axis_ratio)
    # The profile's curvature over a pixel decides how finely it is sampled: most near the centre, and further out
    # across the thin axis of a flat galaxy.
    thin = max(radius * stretch, 0.3)
    for j in range(y0, y1):
        for i in range(x0, x1):
            dx = i - x
            dy = j - y
            u = (cos * dx + sin * dy) * stretch
            v = (-sin * dx + cos * dy) / stretch
            distance = math.sqrt(u * u + v * v)
            if distance < 1.5:
                steps = 9 if n > 1.5 else 5
            elif distance < 4.0 or (distance < 2.0 * radius and thin < 3.0):
                steps = 3
            else:
                steps = 1
            total = 0.0
            for sj in range(steps):
                oy = dy + (sj + 0.5) / steps - 0.5
                for si in range(steps):
                    ox = dx + (si + 0.5) / steps - 0.5
                    u = (cos * ox + sin * oy) * stretch
                    v = (-sin * ox + cos * oy) / stretch
                    r2 = (u * u + v * v) / (radius * radius)
                    total += math.exp(-b * (r2**power - 1.0))
            total /= steps * steps
            for band in range(bands):
                images[band, j, i] += unit[band] * total


@entry
def add_lensed_sersic(images, beta_x, beta_y, x, y, radius, n, b, axis_ratio, cos, sin, unit):
    """Add a Sersic source seen through a lens to `images` (bands, ny, nx) in place.

    `beta_x`, `beta_y` (ny, nx) are the source-plane positions of the sub-pixel centres, `x`, `y` and `radius` those
    of the source in the same unit (arcsec), `unit` (bands,) its surface brightness at the effective radius per
    sub-pixel area. Lensing conserves surface brightness. Where the rays fall near the source, each sub-pixel is
    sampled 3 x 3 with the local Jacobian, so that images of small sources keep their flux.
    """
    bands, ny, nx = images.shape
    power = 0.5 / n
    stretch = math.sqrt(axis_ratio)
    # exp(-b ((r/R)^(1/n) - 1)) is 1e-4 of its value at R there.
    reach = radius * (1.0 + 9.2 / b) ** n
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            dx = beta_x[j, i] - x
            dy = beta_y[j, i] - y
            # Half a sub-pixel's span in the source plane, along each image axis.
            xx = 0.5 * (beta_x[j, i + 1] - beta_x[j, i - 1])
            yx = 0.5 * (beta_y[j, i + 1] - beta_y[j, i - 1])
            xy = 0.5 * (beta_x[j + 1, i] - beta_x[j - 1, i])
            yy = 0.5 * (beta_y[j + 1, i] - beta_y[j - 1, i])
            margin = 0.5 * (abs(xx) + abs(yx) + abs(xy) + abs(yy))
            limit = reach / stretch + margin
            if dx * dx + dy * dy > limit * limit:
                continue
            total = 0.0
            for sj in range(3):
                fy = (sj - 1) / 3.0
                for si in range(3):
                    fx = (si - 1) / 3.0
                    ox = dx + xx * fx + xy * fy
                    oy = dy + yx * fx + yy * fy
                    u = (cos * ox + sin * oy) * stretch
                    v = (-sin * ox + cos * oy) / stretch
                    r2 = (u * u + v * v) / (radius * radius)
                    total += math.exp(-b * (r2**power - 1.0))
            total /= 9.0
            for band in range(bands):
                images[band, j, i] += unit[band] * total


def add_arc(
    images: np.ndarray,
    x: float,
    y: float,
    radius: float,
    middle: float,
    opening: float,
    width: float,
    fluxes: np.ndarray,
    pitch: float = 0.0,
) -> None:
    """Add an arc of a circle (or of a logarithmic spiral) to `images` (bands, ny, nx) in place.

    Parameters
    ----------
    x, y, radius : float
        Centre and radius, sub-pixels; for a spiral the radius in the middle of the arc.
    middle, opening : float
        Direction of the arc's middle and its full opening angle, rad; 2 pi draws a ring.
    width : float
        Standard deviation across the arc, sub-pixels.
    fluxes : ndarray of shape (bands,)
        Total flux in each band.
    pitch : float, default=0.0
        Tangent of a spiral's pitch angle: the radius grows as exp(pitch * angle).
    """
    # An open arc fades towards its ends as 1 - t^4, whose mean over the arc is 0.8.
    shown = opening if opening >= 2.0 * math.pi - 1e-6 else 0.8 * opening
    area = max(radius * shown, 1.0) * width * math.sqrt(2.0 * math.pi)
    _arc_box(images, x, y, radius, middle, opening, width, fluxes / area, pitch)


@entry
def _arc_box(images, x, y, radius, middle, opening, width, unit, pitch):
    bands, ny, nx = images.shape
    outer = radius * math.exp(abs(pitch) * 0.5 * opening) + 4.0 * width
    x0 = max(0, math.floor(x - outer))
    x1 = min(nx, math.ceil(x + outer) + 1)
    y0 = max(0, math.floor(y - outer))
    y1 = min(ny, math.ceil(y + outer) + 1)
    closed = opening >= 2.0 * math.pi - 1e-6
    for j in range(y0, y1):
        for i in range(x0, x1):
            dx = i - x
            dy = j - y
            r = math.sqrt(dx * dx + dy * dy)
            angle = math.atan2(dy, dx) - middle
            angle -= 2.0 * math.pi * math.floor(angle / (2.0 * math.pi) + 0.5)
            # An arc of a spiral may wind further than one turn: every winding that passes here counts.
            for turn in range(-1, 2):
                wound = angle + 2.0 * math.pi * turn
                if abs(wound) > 0.5 * opening:
                    continue
                off = (r - radius * math.exp(pitch * wound)) / width
                if abs(off) > 4.0:
                    continue
                taper = 1.0 if closed else 1.0 - (2.0 * wound / opening) ** 4
                value = taper * math.exp(-0.5 * off * off)
                for band in range(bands):
                    images[band, j, i] += unit[band] * value
