"""Critical curves, caustics and Einstein radii: where the eigenvalues of the lens equation's Jacobian are 0."""

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gridlens.lensing._checks import check_number
from gridlens.lensing._mass import MassModel

__all__ = ["CurveKind", "caustics", "critical_curves", "einstein_radius"]

FloatArray = NDArray[np.float64]
CurveKind = Literal["tangential", "radial"]

# Cells across the window where no step is given, and bisections that place a point on its cell's edge.
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
        The lens.
    half_width : float
        Half the side of the window, arcsec, above 0.
    centre : tuple of float, default=(0.0, 0.0)
        Of the window, arcsec.
    step : float, default=None
        Spacing of the grid that the curves are looked for on, arcsec, above 0. A curve smaller than this, such as that
        of a light cluster member, may be missed. None takes an 80th of `half_width`.
    kind : {"tangential", "radial"}, default="tangential"
        Which eigenvalue of the Jacobian is 0: ``1 - kappa - gamma`` or ``1 - kappa + gamma``.

    Returns
    -------
    list of ndarray of shape (k, 2)
        Points x, y of each closed curve in their order along it, arcsec, the curve around the largest area first.
        Points lie on the curve to 1e-9 arcsec, one or two in each cell that it crosses; the first is not repeated.
        Empty where there is no curve: a singular isothermal profile has no radial one.

    Raises
    ------
    ValueError
        A parameter is out of range, a curve leaves the window, or the only curves are smaller than `step`.

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
            "a curve leaves the window. Take a larger one."
        )
    loops = _loops(inside)
    if kind == "tangential" and not loops and _has_small_curve(mass, half_width, centre):
        raise ValueError(
            "The 'step' parameter must be smaller than the critical curve. "
            f"Got {2.0 * half_width / cells:g} arcsec instead: no point of the grid lies inside. "
            "Take a smaller step or window."
        )
    curves = [_on_edges(mass, which, x, y, loop) for loop in loops]
    return sorted(curves, key=_area, reverse=True)


def caustics(mass: MassModel, curves: list[FloatArray]) -> list[FloatArray]:
    """Return the caustics (k, 2), arcsec in the source plane, of critical curves in their order.

    A source that crosses a caustic gains or loses two images. A singular isothermal profile also has a cut, the image
    of a tiny circle around its centre, across which a single image appears; it belongs to no critical curve.

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
    """Return the radius of the circle whose area is that within the largest tangential critical curve.

    Parameters and errors as in `critical_curves`; arcsec, 0 where no curve is found.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, einstein_radius
    >>> round(einstein_radius(MassModel([SIE(5.0, axis_ratio=0.7)]), 10.0), 3)
    5.0
    """
    curves = critical_curves(mass, half_width, centre=centre, step=step)
    return math.sqrt(_area(curves[0]) / math.pi) if curves else 0.0


def _has_small_curve(mass: MassModel, half_width: float, centre: tuple[float, float]) -> bool:
    """Return whether the centre of a component in the window lies inside a tangential critical curve."""
    for component in mass.components:
        offset = max(abs(component.x - centre[0]), abs(component.y - centre[1]))
        if offset < half_width and mass.eigenvalues(component.x, component.y)[0] < 0.0:
            return True
    return False


def _area(curve: FloatArray) -> float:
    """Area of a polygon."""
    x, y = (curve - curve.mean(axis=0)).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def _loops(inside: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Follow the border between the grid's points inside and outside: loops of edges, (k, 4) rows (j, i, dj, di).

    Each row is a point inside and the step to its neighbour outside. The walk keeps the inside to its left and turns
    around an inside point until its next neighbour is inside too, so that a curve never crosses itself.
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
    """Place a point on each edge of a loop where the eigenvalue is 0, by bisection."""
    j, i, dj, di = loop.T
    start = np.array([x[j, i], y[j, i]])
    step = np.array([x[j + dj, i + di], y[j + dj, i + di]]) - start
    low, high = np.zeros(len(loop)), np.ones(len(loop))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        inner = mass.eigenvalues(*(start + middle * step))[which] < 0.0
        low, high = np.where(inner, middle, low), np.where(inner, high, middle)
    return np.ascontiguousarray((start + 0.5 * (low + high) * step).T)
