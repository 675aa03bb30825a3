"""Slow reference for lensing: deflections by integrals over the convergence, and densely sampled sources.

Closed forms are not used. Ellipsoids are sums of homoeoids (Schramm 1990, A&A 231, 19): the deflection of a convergence
that depends on ``q u^2 + v^2 / q`` is an integral over the ellipses inside the point.
"""

import numpy as np
from scipy import integrate


def isothermal(radius, strength, core):
    return 0.5 * strength / np.sqrt(core**2 + radius**2)


def dual_isothermal(radius, strength, core, cut):
    return isothermal(radius, strength, core) - isothermal(radius, strength, cut)


def nfw(radius, kappa_s, scale_radius):
    """Return the convergence of an NFW halo: Wright and Brainerd 2000, ApJ 534, 34, equation 11."""
    x = radius / scale_radius
    if abs(x - 1.0) < 1e-9:
        return 2.0 * kappa_s / 3.0
    if x < 1.0:
        bend = 2.0 / np.sqrt(1.0 - x * x) * np.arctanh(np.sqrt((1.0 - x) / (1.0 + x)))
    else:
        bend = 2.0 / np.sqrt(x * x - 1.0) * np.arctan(np.sqrt((x - 1.0) / (1.0 + x)))
    return 2.0 * kappa_s * (1.0 - bend) / (x * x - 1.0)


def deflection(convergence, x, y, axis_ratio, angle):
    """Return the deflection of an elliptical convergence around the origin: Keeton 2001, astro-ph/0102341, eq. 14."""
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = cos * x + sin * y, cos * y - sin * x
    q = axis_ratio

    def integrand(t, power):
        # The ellipse t = 1 passes through the point, and t = 0 is the centre.
        stretch = 1.0 - (1.0 - q * q) * t * t
        radius = t * np.sqrt(q * (u * u + v * v / stretch))
        return 2.0 * t * convergence(radius) / stretch ** (power + 0.5)

    along = q * u * integrate.quad(integrand, 0.0, 1.0, (0,), epsabs=0.0, epsrel=1e-10, limit=200)[0]
    across = q * v * integrate.quad(integrand, 0.0, 1.0, (1,), epsabs=0.0, epsrel=1e-10, limit=200)[0]
    return cos * along - sin * across, sin * along + cos * across


def rendered(trace, sources, size, pixel_scale, samples):
    """Render Sersic sources (x, y, radius, n, b, axis ratio, angle, amplitude) with `samples`^2 rays per pixel."""
    axis = ((np.arange(size * samples) + 0.5) / samples - 0.5 * size) * pixel_scale
    x, y = trace(*np.meshgrid(axis, axis))
    image = np.zeros_like(x)
    for cx, cy, radius, n, b, axis_ratio, angle, amplitude in sources:
        u = (np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)) * np.sqrt(axis_ratio)
        v = (np.cos(angle) * (y - cy) - np.sin(angle) * (x - cx)) / np.sqrt(axis_ratio)
        image += amplitude * np.exp(-b * ((np.hypot(u, v) / radius) ** (1.0 / n) - 1.0))
    return image.reshape(size, samples, size, samples).mean(axis=(1, 3)) * pixel_scale**2
