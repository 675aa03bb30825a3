"""Critical curves, caustics and Einstein radii, from zeros of the eigenvalues of the lens equation's Jacobian."""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gridlens.lensing._checks import check_number
from gridlens.lensing._mass import MassModel

__all__ = ["CurveKind", "caustics", "critical_curves", "einstein_radius"]

FloatArray = NDArray[np.float64]
CurveKind = Literal["tangential", "radial"]

# Default number of cells across the window, and number of bisections that locate a point on the edge of its cell.
_CELLS = 160
_HALVINGS = 40


def critical_curves(
    mass: MassModel,
    half_width: float,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    step: float | None = None,
    kind: CurveKind = "tangential",
) -> list[FloatArray]:
    """Find the critical curves in a square window.

    Parameters
    ----------
    mass : MassModel
        The mass model of the lens.
    half_width : float
        Half the side of the window, arcsec, above 0.
    centre : tuple of float, default=(0.0, 0.0)
        Centre of the window, arcsec.
    step : float, default=None
        Spacing of the grid for the search, arcsec, above 0. A curve smaller than this, such as that of a low-mass
        cluster member, may be missed. If None, an 80th of `half_width` is used.
    kind : {"tangential", "radial"}, default="tangential"
        Eigenvalue of the Jacobian that is 0: ``1 - kappa - gamma`` or ``1 - kappa + gamma``.

    Returns
    -------
    list of ndarray of shape (k, 2)
        Points x, y along each closed curve, arcsec, starting with the curve of the largest area. Points lie on the
        curve to 1e-9 arcsec, one or two in each cell that it crosses; the first is not repeated. Empty if there is no
        curve: a singular isothermal profile has no radial one.

    Raises
    ------
    ValueError
        If a parameter is out of range, a curve leaves the window, or the only curves are smaller than `step`.

    See Also
    --------
    caustics, einstein_radius

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, critical_curves
    >>> (curve,) = critical_curves(MassModel([SIE(5.0)]), 10.0)
    >>> bool(abs((curve**2).sum(axis=1) - 25.0).max() < 1e-6)
    True
    """
    if kind not in get_args(CurveKind):
        raise ValueError(f"The 'kind' parameter must be 'tangential' or 'radial'. Got {kind!r} instead.")
    which = get_args(CurveKind).index(kind)
    for name, value in (("half_width", half_width), ("step", half_width if step is None else step)):
        check_number(name, value, "above 0", value > 0.0)
    cells = _CELLS if step is None else max(2, math.ceil(2.0 * half_width / step))
    axis = np.linspace(-half_width, half_width, cells + 1)
    x, y = np.meshgrid(centre[0] + axis, centre[1] + axis)
    inside = mass.eigenvalues(x, y)[which] < 0.0
    if inside[[0, -1]].any() or inside[:, [0, -1]].any():
        raise ValueError(
            f"The 'half_width' parameter must be large enough for the critical curves. Got {half_width!r} instead: "
            "a curve leaves the window. Use a larger one."
        )
    loops = _loops(inside)
    if kind == "tangential" and not loops and _has_small_curve(mass, half_width, centre):
        raise ValueError(
            "The 'step' parameter must be smaller than the critical curve. "
            f"Got {2.0 * half_width / cells:g} arcsec instead: no point of the grid lies inside it. "
            "Use a smaller step or window."
        )
    curves = [_on_edges(mass, which, x, y, loop) for loop in loops]
    return sorted(curves, key=_area, reverse=True)


def caustics(mass: MassModel, curves: list[FloatArray]) -> list[FloatArray]:
    """Return the caustics (k, 2) of critical curves, arcsec in the source plane, in the same order.

    A source that crosses a caustic gains or loses two images. A singular isothermal profile also has a cut, the image
    of an infinitesimal circle around its centre, across which a single image appears; it does not belong to a critical
    curve.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, caustics, critical_curves
    >>> lens = MassModel([SIE(5.0, axis_ratio=0.7)])
    >>> (astroid,) = caustics(lens, critical_curves(lens, 10.0))
    """
    return [np.column_stack(mass.trace(curve[:, 0], curve[:, 1])) for curve in curves]


def einstein_radius(
    mass: MassModel, half_width: float, *, centre: tuple[float, float] = (0.0, 0.0), step: float | None = None
) -> float:
    """Return the radius of the circle with the area of the largest tangential critical curve.

    Parameters and errors are as in `critical_curves`. The radius is in arcsec, 0 if there is no curve.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, einstein_radius
    >>> round(einstein_radius(MassModel([SIE(5.0, axis_ratio=0.7)]), 10.0), 3)
    5.0
    """
    curves = critical_curves(mass, half_width, centre=centre, step=step)
    return math.sqrt(_area(curves[0]) / math.pi) if curves else 0.0


def _has_small_curve(mass: MassModel, half_width: float, centre: tuple[float, float]) -> bool:
    """Return whether the centre of a component in the window is inside a tangential critical curve."""
    for component in mass.components:
        offset = max(abs(component.x - centre[0]), abs(component.y - centre[1]))
        if offset < half_width and mass.eigenvalues(component.x, component.y)[0] < 0.0:
            return True
    return False


def _area(curve: FloatArray) -> float:
    """Return the area of a polygon."""
    x, y = (curve - curve.mean(axis=0)).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def _loops(inside: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Trace the border between grid points inside and outside: loops of edges, (k, 4) rows (j, i, dj, di).

    Each row has a point inside and the step to its neighbour outside. The walk keeps the inside to its left and turns
    around an inside point until the next neighbour is inside too, so that a curve never crosses itself.
    """
    turns = ((0, 1), (1, 0), (0, -1), (-1, 0))
    waiting = {
        (int(j), int(i), turn)
        for turn, (dj, di) in enumerate(turns)
        for j, i in np.argwhere(inside & ~np.roll(inside, (-dj, -di), axis=(0, 1)))
    }
    loops = []
    while waiting:
        first = here = min(waiting)
        loop = []
        while True:
            waiting.discard(here)
            j, i, turn = here
            dj, di = turns[turn]
            loop.append((j, i, dj, di))
            ahead_j, ahead_i = turns[(turn + 1) % 4]
            if not inside[j + ahead_j, i + ahead_i]:
                here = (j, i, (turn + 1) % 4)
            elif not inside[j + ahead_j + dj, i + ahead_i + di]:
                here = (j + ahead_j, i + ahead_i, turn)
            else:
                here = (j + ahead_j + dj, i + ahead_i + di, (turn - 1) % 4)
            if here == first:
                break
        loops.append(np.array(loop))
    return loops


def _on_edges(mass: MassModel, which: int, x: FloatArray, y: FloatArray, loop: NDArray[np.intp]) -> FloatArray:
    """Locate the zero of the eigenvalue on each edge of a loop by bisection."""
    j, i, dj, di = loop.T
    start = np.array([x[j, i], y[j, i]])
    step = np.array([x[j + dj, i + di], y[j + dj, i + di]]) - start
    low, high = np.zeros(len(loop)), np.ones(len(loop))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        inner = mass.eigenvalues(*(start + middle * step))[which] < 0.0
        low, high = np.where(inner, middle, low), np.where(inner, high, middle)
    return np.ascontiguousarray((start + 0.5 * (low + high) * step).T)
