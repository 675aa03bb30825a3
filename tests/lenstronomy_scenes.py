"""Reference scenes for `gridlens.simulate`: lensed by lenstronomy, with a ray through every sub-pixel.

The random draws and their order are the same as in `gridlens.simulate`. The deflections are computed by lenstronomy,
and every sub-pixel of the canvas is traced back.
"""

import contextlib
import math
from dataclasses import replace
from functools import partial
from unittest import mock

import numba
import numpy as np
from lenstronomy.LensModel.lens_model import LensModel

from gridlens.lensing import DPIE, NFW, SIE, MassModel, lensing_efficiency
from gridlens.lensing._sources import sersic_b, sersic_norm
from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.simulate import _scene as scene_module
from gridlens.simulate._canvas import band_fluxes
from gridlens.simulate._lens import REFERENCE_REDSHIFT

# Rays are traced in blocks that fit the processor's cache, which is four times faster than 65,000 at once.
BLOCK = 8192


def ellipticity(component):
    """Return e1 and e2 of a component in lenstronomy's convention."""
    size = (1.0 - component.axis_ratio) / (1.0 + component.axis_ratio)
    return {"e1": size * math.cos(2.0 * component.angle), "e2": size * math.sin(2.0 * component.angle)}


def as_lenstronomy(component):
    """Return the names and parameters of the lenstronomy profiles that add up to one component."""
    centre = {"center_x": component.x, "center_y": component.y}
    if isinstance(component, SIE):
        core = max(component.core, 1e-9)
        return [("NIE", {"theta_E": component.strength, "s_scale": core, **ellipticity(component), **centre})]
    if isinstance(component, NFW):
        at_scale = 4.0 * component.kappa_s * component.scale_radius * (1.0 + math.log(0.5))
        parameters = {"alpha_Rs": at_scale, "Rs": component.scale_radius, **ellipticity(component), **centre}
        return [("NFW_ELLIPSE_CSE", parameters)]
    if isinstance(component, DPIE):
        inner, outer = max(component.core, 1e-9), component.cut
        if component.axis_ratio == 1.0:
            sigma0 = 0.5 * component.strength * (outer - inner) / (inner * outer)
            return [("PJAFFE", {"sigma0": sigma0, "Ra": inner, "Rs": outer, **centre})]
        both = ((component.strength, inner), (-component.strength, outer))
        return [("NIE", {"theta_E": b, "s_scale": s, **ellipticity(component), **centre}) for b, s in both]
    gamma1, gamma2 = (component.gamma * turn(2.0 * component.angle) for turn in (math.cos, math.sin))
    return [("SHEAR", {"gamma1": gamma1, "gamma2": gamma2, "ra_0": component.x, "dec_0": component.y})]


class LenstronomyModel:
    """A mass model whose deflection is computed by lenstronomy."""

    def __init__(self, model: MassModel) -> None:
        profiles = [profile for component in model.components for profile in as_lenstronomy(component)]
        self.model, self.parameters = LensModel([name for name, _ in profiles]), [kwargs for _, kwargs in profiles]

    def deflection(self, x, y):
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        flat_x, flat_y = x.ravel(), y.ravel()
        alpha_x, alpha_y = np.empty_like(flat_x), np.empty_like(flat_y)
        for start in range(0, flat_x.size, BLOCK):
            part = slice(start, start + BLOCK)
            alpha_x[part], alpha_y[part] = self.model.alpha(flat_x[part], flat_y[part], self.parameters)
        return alpha_x.reshape(x.shape), alpha_y.reshape(x.shape)


@numba.njit(cache=True)
def add_lensed_sersic(images, beta_x, beta_y, x, y, radius, n, b, axis_ratio, cos, sin, unit):
    """Add a Sersic source to `images`; each sub-pixel is sampled 3 x 3 with the local Jacobian."""
    bands, ny, nx = images.shape
    power, stretch = 0.5 / n, math.sqrt(axis_ratio)
    reach = radius * (1.0 + 9.2 / b) ** n
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            dx, dy = beta_x[j, i] - x, beta_y[j, i] - y
            xx, yx = 0.5 * (beta_x[j, i + 1] - beta_x[j, i - 1]), 0.5 * (beta_y[j, i + 1] - beta_y[j, i - 1])
            xy, yy = 0.5 * (beta_x[j + 1, i] - beta_x[j - 1, i]), 0.5 * (beta_y[j + 1, i] - beta_y[j - 1, i])
            limit = reach / stretch + 0.5 * (abs(xx) + abs(yx) + abs(xy) + abs(yy))
            if dx * dx + dy * dy > limit * limit:
                continue
            total = 0.0
            for sj in range(3):
                fy = (sj - 1) / 3.0
                for si in range(3):
                    fx = (si - 1) / 3.0
                    ox, oy = dx + xx * fx + xy * fy, dy + yx * fx + yy * fy
                    u, v = (cos * ox + sin * oy) * stretch, (-sin * ox + cos * oy) / stretch
                    r2 = (u * u + v * v) / (radius * radius)
                    total += math.exp(-b * (r2**power - 1.0))
            for band in range(bands):
                images[band, j, i] += unit[band] * total / 9.0


def draw_lensed(canvas, mass, sources):
    """Draw sources as `gridlens.simulate._sources.draw_lensed` does, with a ray through every sub-pixel."""
    x, y = canvas.grid()
    alpha_x, alpha_y = mass.model.deflection(x, y)
    reference = float(lensing_efficiency(mass.redshift, REFERENCE_REDSHIFT))
    intrinsic = 0.0
    for source in sources:
        scale = float(lensing_efficiency(mass.redshift, source.redshift)) / reference
        beta_x, beta_y = x - scale * alpha_x, y - scale * alpha_y
        fluxes = band_fluxes(source.r_mag, *source.colours)
        intrinsic += float(fluxes[1])
        for cx, cy, radius, n, axis_ratio, angle, share in source.components:
            unit = share * fluxes / (sersic_norm(n) * radius * radius) * canvas.step**2
            place = (cx, cy, radius, n, sersic_b(n), axis_ratio, math.cos(angle), math.sin(angle))
            add_lensed_sersic(canvas.images, beta_x, beta_y, *place, unit)
    return float(canvas.images[1].sum()) / intrinsic


def _draw_mass(drawn, *args):
    mass = drawn(*args)
    return replace(mass, model=LenstronomyModel(mass.model))


@contextlib.contextmanager
def by_lenstronomy():
    """Let lenstronomy lens the scenes that are simulated in this context."""
    with (
        mock.patch.object(scene_module, "draw_mass", partial(_draw_mass, scene_module.draw_mass)),
        mock.patch.object(scene_module, "draw_lensed", draw_lensed),
    ):
        yield


def reference_scene(seed: int, index: int, settings: SceneSettings):
    """Call `simulate_scene` with lenstronomy as the lens."""
    with by_lenstronomy():
        return simulate_scene(seed, index, settings)
