"""Kernels that draw light on a sub-pixel grid, within a box for each object.

The kernels change plain arrays in place; units as in `gridlens.simulate._light`.
"""

import math

from gridlens._jit import entry, jit

__all__ = ["arc_box", "sersic_box"]


@jit
def _root(r2, n, power):
    """Return the radius, given its square, to the power 1 / n, using square roots for the most common profiles."""
    if n == 1.0:
        return math.sqrt(r2)
    if n == 4.0:
        return math.sqrt(math.sqrt(math.sqrt(r2)))
    return r2**power


@entry
def sersic_box(images, x, y, radius, n, b, axis_ratio, cos, sin, unit, extent):
    bands, ny, nx = images.shape
    x0 = max(0, math.floor(x - extent))
    x1 = min(nx, math.ceil(x + extent) + 1)
    y0 = max(0, math.floor(y - extent))
    y1 = min(ny, math.ceil(y + extent) + 1)
    power = 0.5 / n
    stretch = math.sqrt(axis_ratio)
    # The sampling depends on the profile's curvature over a pixel: finest near the centre, and also farther out across
    # the minor axis of a flat galaxy.
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
                    total += math.exp(-b * (_root(r2, n, power) - 1.0))
            total /= steps * steps
            for band in range(bands):
                images[band, j, i] += unit[band] * total


@entry
def arc_box(images, x, y, radius, middle, opening, width, unit, pitch):
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
            # A spiral arc may extend over more than one turn, so every turn that crosses this pixel is included.
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
