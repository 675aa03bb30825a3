"""Kernels of mass profiles: potential, deflection and second derivatives of their sum.

They take plain arrays and change arrays in place. A mass model is a table with one row for each component, with the
columns below; lengths are in arcsec, angles in rad. All profiles are elliptical in their convergence, which depends on
``R^2 = q u^2 + v^2 / q``, with u along the major axis and the axis ratio q: R is the radius of the circle of the same
area.

The isothermal ellipsoid with a core follows Keeton and Kochanek 1998, ApJ 495, 157, equations 5 to 8; the dual
pseudo-isothermal ellipsoid is the difference of two of them (Eliasdottir et al. 2007, arXiv:0710.5636, appendix A); the
NFW profile is a sum of cored steep ellipsoids (Oguri 2021, PASP 133, 074504, equations 19 to 23).
"""

import math

from gridlens._jit import entry, jit
from gridlens.lensing._cse import CSE_AMPLITUDES, CSE_CORES

__all__ = [
    "ANGLE_COS",
    "ANGLE_SIN",
    "AXIS_RATIO",
    "COLUMNS",
    "CORE",
    "CUT",
    "DPIE_ROW",
    "KIND",
    "NFW_ROW",
    "SHEAR_ROW",
    "SIE_ROW",
    "STRENGTH",
    "X",
    "Y",
    "add_deflection",
    "deflection",
    "potential",
    "second_derivatives",
]

# Columns of the table of components. The angle of a shear is doubled; an NFW profile has its scale radius as core.
KIND, STRENGTH, X, Y, AXIS_RATIO, ANGLE_COS, ANGLE_SIN, CORE, CUT = range(9)
COLUMNS = 9
SIE_ROW, NFW_ROW, DPIE_ROW, SHEAR_ROW = range(4)
# For 1 - q^2 below this, the ellipse is a circle to first order, and the inverse functions equal their arguments.
_ROUND = 1e-6


@jit
def _arcus(along, across, f2, f):
    """Return ``atan(f along) / f`` and ``atanh(f across) / f``, f^2 = 1 - q^2, including the limit of a circle."""
    if f2 < _ROUND:
        along *= 1.0 - f2 * along * along / 3.0
        across *= 1.0 + f2 * across * across / 3.0
    else:
        along = math.atan(f * along) / f
        across = math.atanh(f * across) / f
    return along, across


@jit
def _add_isothermal_deflection(row, strength, core, x, y, alpha_x, alpha_y):
    q = row[AXIS_RATIO]
    cos = row[ANGLE_COS]
    sin = row[ANGLE_SIN]
    b = strength * math.sqrt(q)
    s = core / math.sqrt(q)
    f2 = 1.0 - q * q
    f = math.sqrt(f2)
    for k in range(x.size):
        dx = x[k] - row[X]
        dy = y[k] - row[Y]
        u = cos * dx + sin * dy
        v = cos * dy - sin * dx
        psi = math.sqrt(q * q * (s * s + u * u) + v * v)
        along = u / (psi + s)
        across = v / (psi + q * q * s)
        along, across = _arcus(along, across, f2, f)
        alpha_x[k] += b * (cos * along - sin * across)
        alpha_y[k] += b * (sin * along + cos * across)


@jit
def _add_round_dpie_deflection(row, x, y, alpha_x, alpha_y):
    """Add the deflection of a round profile, as of cluster members, in a vectorised loop without inverse functions."""
    b = row[STRENGTH]
    core = row[CORE]
    cut = row[CUT]
    for k in range(x.size):
        dx = x[k] - row[X]
        dy = y[k] - row[Y]
        r2 = dx * dx + dy * dy
        inner = core + math.sqrt(core * core + r2)
        outer = cut + math.sqrt(cut * cut + r2)
        factor = b * (outer - inner) / (inner * outer)
        alpha_x[k] += factor * dx
        alpha_y[k] += factor * dy


@jit
def _add_nfw_deflection(row, x, y, alpha_x, alpha_y):
    q = row[AXIS_RATIO]
    cos = row[ANGLE_COS]
    sin = row[ANGLE_SIN]
    scale = math.sqrt(q) / row[CORE]
    for component in range(CSE_CORES.size):
        s = CSE_CORES[component]
        factor = 4.0 * row[STRENGTH] * row[CORE] * math.sqrt(q) * CSE_AMPLITUDES[component] / s
        for k in range(x.size):
            dx = x[k] - row[X]
            dy = y[k] - row[Y]
            u = (cos * dx + sin * dy) * scale
            v = (cos * dy - sin * dx) * scale
            psi = math.sqrt(q * q * (s * s + u * u) + v * v)
            big = u * u + v * v + (1.0 + q * q) * s * s + 2.0 * s * psi
            common = factor / (psi * big)
            along = common * u * (psi + q * q * s)
            across = common * v * (psi + s)
            alpha_x[k] += cos * along - sin * across
            alpha_y[k] += sin * along + cos * across


@jit
def add_deflection(rows, x, y, alpha_x, alpha_y):
    """Add the deflection of all components at the points `x`, `y` (n,) to `alpha_x`, `alpha_y` (n,)."""
    for component in range(rows.shape[0]):
        row = rows[component]
        kind = row[KIND]
        if kind == SIE_ROW:
            _add_isothermal_deflection(row, row[STRENGTH], row[CORE], x, y, alpha_x, alpha_y)
        elif kind == DPIE_ROW:
            if row[AXIS_RATIO] == 1.0:
                _add_round_dpie_deflection(row, x, y, alpha_x, alpha_y)
            else:
                _add_isothermal_deflection(row, row[STRENGTH], row[CORE], x, y, alpha_x, alpha_y)
                _add_isothermal_deflection(row, -row[STRENGTH], row[CUT], x, y, alpha_x, alpha_y)
        elif kind == NFW_ROW:
            _add_nfw_deflection(row, x, y, alpha_x, alpha_y)
        else:
            gamma1 = row[STRENGTH] * row[ANGLE_COS]
            gamma2 = row[STRENGTH] * row[ANGLE_SIN]
            for k in range(x.size):
                alpha_x[k] += gamma1 * (x[k] - row[X]) + gamma2 * (y[k] - row[Y])
                alpha_y[k] += gamma2 * (x[k] - row[X]) - gamma1 * (y[k] - row[Y])


# Number of points in one pass over the components: their coordinates and deflections stay in the cache.
_BATCH = 512


@entry
def deflection(rows, x, y, alpha_x, alpha_y):
    """Add the deflection of the mass model `rows` (k, 9) at the points `x`, `y` (n,) to `alpha_x`, `alpha_y` (n,)."""
    for start in range(0, x.size, _BATCH):
        stop = min(start + _BATCH, x.size)
        add_deflection(rows, x[start:stop], y[start:stop], alpha_x[start:stop], alpha_y[start:stop])


@jit
def _isothermal_potential(row, strength, core, dx, dy):
    q = row[AXIS_RATIO]
    b = strength * math.sqrt(q)
    s = core / math.sqrt(q)
    f2 = 1.0 - q * q
    f = math.sqrt(f2)
    u = row[ANGLE_COS] * dx + row[ANGLE_SIN] * dy
    v = row[ANGLE_COS] * dy - row[ANGLE_SIN] * dx
    psi = math.sqrt(q * q * (s * s + u * u) + v * v)
    along = u / (psi + s)
    across = v / (psi + q * q * s)
    along, across = _arcus(along, across, f2, f)
    big = u * u + v * v + (1.0 + q * q) * s * s + 2.0 * s * psi
    return b * (u * along + v * across - 0.5 * s * math.log(big))


@jit
def _nfw_potential(row, dx, dy):
    q = row[AXIS_RATIO]
    scale = math.sqrt(q) / row[CORE]
    u = (row[ANGLE_COS] * dx + row[ANGLE_SIN] * dy) * scale
    v = (row[ANGLE_COS] * dy - row[ANGLE_SIN] * dx) * scale
    total = 0.0
    for component in range(CSE_CORES.size):
        s = CSE_CORES[component]
        psi = math.sqrt(q * q * (s * s + u * u) + v * v)
        # Use the logarithm of a quotient, which is near 1 far inside the core.
        excess = u * u + v * v + 2.0 * s * (q * q * u * u + v * v) / (psi + q * s)
        total += CSE_AMPLITUDES[component] / (2.0 * s) * math.log1p(excess / ((1.0 + q) * s) ** 2)
    return 4.0 * row[STRENGTH] * row[CORE] ** 2 * total


@entry
def potential(rows, x, y, out):
    """Add the potential, arcsec squared, of the mass model `rows` (k, 9) at the points `x`, `y` (n,) to `out` (n,)."""
    for component in range(rows.shape[0]):
        row = rows[component]
        kind = row[KIND]
        for k in range(x.size):
            dx = x[k] - row[X]
            dy = y[k] - row[Y]
            if kind == SIE_ROW:
                out[k] += _isothermal_potential(row, row[STRENGTH], row[CORE], dx, dy)
            elif kind == DPIE_ROW:
                out[k] += _isothermal_potential(row, row[STRENGTH], row[CORE], dx, dy)
                out[k] -= _isothermal_potential(row, row[STRENGTH], row[CUT], dx, dy)
            elif kind == NFW_ROW:
                out[k] += _nfw_potential(row, dx, dy)
            else:
                along = row[ANGLE_COS] * (dx * dx - dy * dy)
                out[k] += row[STRENGTH] * (0.5 * along + row[ANGLE_SIN] * dx * dy)


@jit
def _add_isothermal_second(row, strength, core, x, y, xx, yy, xy):
    q = row[AXIS_RATIO]
    cos = row[ANGLE_COS]
    sin = row[ANGLE_SIN]
    b = strength * math.sqrt(q)
    s = core / math.sqrt(q)
    for k in range(x.size):
        dx = x[k] - row[X]
        dy = y[k] - row[Y]
        u = cos * dx + sin * dy
        v = cos * dy - sin * dx
        psi = math.sqrt(q * q * (s * s + u * u) + v * v)
        big = psi * (u * u + v * v + (1.0 + q * q) * s * s + 2.0 * s * psi)
        uu = b * (q * q * s * s + v * v + s * psi) / big
        # The sum of both is twice the convergence.
        vv = b / psi - uu
        uv = -b * u * v / big
        xx[k] += cos * cos * uu - 2.0 * cos * sin * uv + sin * sin * vv
        yy[k] += sin * sin * uu + 2.0 * cos * sin * uv + cos * cos * vv
        xy[k] += cos * sin * (uu - vv) + (cos * cos - sin * sin) * uv


@jit
def _add_nfw_second(row, x, y, xx, yy, xy):
    q = row[AXIS_RATIO]
    cos = row[ANGLE_COS]
    sin = row[ANGLE_SIN]
    scale = math.sqrt(q) / row[CORE]
    for component in range(CSE_CORES.size):
        s = CSE_CORES[component]
        factor = 4.0 * row[STRENGTH] * q * CSE_AMPLITUDES[component] / s
        for k in range(x.size):
            dx = x[k] - row[X]
            dy = y[k] - row[Y]
            u = (cos * dx + sin * dy) * scale
            v = (cos * dy - sin * dx) * scale
            psi = math.sqrt(q * q * (s * s + u * u) + v * v)
            inverse = 1.0 / psi
            common = 1.0 / (u * u + v * v + (1.0 + q * q) * s * s + 2.0 * s * psi)
            # Divide by psi instead of forming its square or cube, because it is tiny near the centre.
            ahead = 1.0 + q * q * s * inverse
            aside = 1.0 + s * inverse
            bend = q * q * s * inverse
            uu = factor * common * (1.0 + bend * (q * q * s * s + v * v) * inverse**2 - 2.0 * common * (u * ahead) ** 2)
            vv = factor * common * (1.0 + bend * (s * s + u * u) * inverse**2 - 2.0 * common * (v * aside) ** 2)
            uv = -factor * common * u * v * (bend * inverse**2 + 2.0 * common * ahead * aside)
            xx[k] += cos * cos * uu - 2.0 * cos * sin * uv + sin * sin * vv
            yy[k] += sin * sin * uu + 2.0 * cos * sin * uv + cos * cos * vv
            xy[k] += cos * sin * (uu - vv) + (cos * cos - sin * sin) * uv


@jit
def _add_second_derivatives(rows, x, y, xx, yy, xy):
    for component in range(rows.shape[0]):
        row = rows[component]
        kind = row[KIND]
        if kind == NFW_ROW:
            _add_nfw_second(row, x, y, xx, yy, xy)
        elif kind == SHEAR_ROW:
            for k in range(x.size):
                # NaN coordinates must also give NaN for the shear.
                nothing = 0.0 * (x[k] + y[k])
                xx[k] += row[STRENGTH] * row[ANGLE_COS] + nothing
                yy[k] -= row[STRENGTH] * row[ANGLE_COS] + nothing
                xy[k] += row[STRENGTH] * row[ANGLE_SIN] + nothing
        else:
            _add_isothermal_second(row, row[STRENGTH], row[CORE], x, y, xx, yy, xy)
            if kind == DPIE_ROW:
                _add_isothermal_second(row, -row[STRENGTH], row[CUT], x, y, xx, yy, xy)


@entry
def second_derivatives(rows, x, y, xx, yy, xy):
    """Add the second derivatives of the potential of `rows` (k, 9) at the points `x`, `y` (n,) to three arrays (n,)."""
    for start in range(0, x.size, _BATCH):
        stop = min(start + _BATCH, x.size)
        _add_second_derivatives(rows, x[start:stop], y[start:stop], xx[start:stop], yy[start:stop], xy[start:stop])
