"""Images of a point source: all solutions of the lens equation in a window."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.lensing._checks import check_number
from gridlens.lensing._mass import MassModel

__all__ = ["PointImages", "image_positions"]

FloatArray = NDArray[np.float64]

# Initial number of cells across the window, and number of times that cells on a critical curve or near a centre are
# halved.
_CELLS, _LEVELS = 64, 7
# Tolerance in barycentric coordinates for a source outside a triangle, whose sides are actually curved.
_SLACK = 0.3
# A position whose ray passes this close to the source, arcsec, is an image; starts that do not converge are dropped.
_ACCURACY, _NEWTON_STEPS = 1e-8, 40


class PointImages(NamedTuple):
    """Images of a point source, the brightest first."""

    x: FloatArray
    """(k,) arcsec"""
    y: FloatArray
    """(k,) arcsec"""
    magnification: FloatArray
    """(k,) signed: negative for mirrored images"""


def image_positions(
    mass: MassModel,
    x: float,
    y: float,
    half_width: float,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    min_magnification: float = 1e-3,
) -> PointImages:
    """Find the images of a point source in a square window.

    Parameters
    ----------
    mass : MassModel
        The mass model of the lens.
    x, y : float
        Unlensed position of the source, arcsec.
    half_width : float
        Half the side of the window, arcsec, above 0. Images outside are not found.
    centre : tuple of float, default=(0.0, 0.0)
        Centre of the window, arcsec.
    min_magnification : float, default=1e-3
        Images with a lower absolute magnification are left out: those at the centre of a singular or nearly singular
        profile, which are unobservable. 0 or more.

    Returns
    -------
    PointImages
        Positions satisfy the lens equation to 1e-8 arcsec. Arrays are empty if there is no image in the window.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Notes
    -----
    The plane is divided into triangles, finer near critical curves and the centres of components; a triangle around the
    source in the source plane contains an image, which Newton's method refines. A source on a caustic has two images
    that merge into one of infinite magnification: none, one or both may be found. Images closer together than a
    16,000th of the side of the window may be missed.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel, image_positions
    >>> images = image_positions(MassModel([SIE(5.0)]), 1.0, 0.0, 10.0)
    >>> images.x.round(6), images.magnification.round(6)
    (array([ 6., -4.]), array([ 6., -4.]))
    """
    check_number("x", x, "a finite number", True)
    check_number("y", y, "a finite number", True)
    check_number("half_width", half_width, "above 0", half_width > 0.0)
    check_number("min_magnification", min_magnification, "0 or more", min_magnification >= 0.0)
    start, size = _starts(mass, np.array([x, y]), half_width, np.array(centre))
    place = _newton(mass, start, size, np.array([x, y]))
    place = place[(np.abs(place - centre) <= half_width).all(axis=1)]
    place = _distinct(place, 1e-6 * half_width)
    magnification = mass.magnification(place[:, 0], place[:, 1])
    order = np.argsort(-np.abs(magnification), kind="stable")
    order = order[np.abs(magnification[order]) >= min_magnification]
    return PointImages(place[order, 0], place[order, 1], magnification[order])


def _starts(
    mass: MassModel, source: FloatArray, half_width: float, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the centres (k, 2) and sizes (k,) of the cells that contain an image."""
    size = 2.0 * half_width / _CELLS
    axis = (np.arange(_CELLS) + 0.5) * size - half_width
    cells = np.column_stack([part.ravel() for part in np.meshgrid(axis + centre[0], axis + centre[1])])
    hearts = np.array([(part.x, part.y) for part in mass.components]).reshape(-1, 2)
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (0.0, 0.0)])
    starts, sizes = [], []
    for level in range(_LEVELS + 1):
        points = cells[:, None, :] + size * corners
        beta = np.stack(mass.trace(points[..., 0], points[..., 1]), axis=-1) - source
        # The four triangles of the cell around its centre; some are mirrored where a critical curve crosses it.
        spokes = beta[:, :4] - beta[:, 4:]
        mirrored = _cross(spokes, np.roll(spokes, -1, axis=1)) < 0.0
        fine = mirrored.any(axis=1) & ~mirrored.all(axis=1)
        for heart in hearts:
            fine |= (np.abs(cells - heart) < 1.5 * size).all(axis=1)
        held = _holds(beta, (0, 1, 2)) | _holds(beta, (0, 2, 3))
        if level < _LEVELS:
            held &= ~fine
        starts.append(cells[held])
        sizes.append(np.full(np.count_nonzero(held), size))
        size *= 0.5
        cells = (cells[fine, None, :] + size * corners[:4]).reshape(-1, 2)
    return np.concatenate(starts), np.concatenate(sizes)


def _holds(beta: FloatArray, triangle: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return whether the triangles of three of the corners `beta` (k, 5, 2) contain the origin within the tolerance."""
    a, b, c = (beta[:, corner] for corner in triangle)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = _cross(b - a, c - a)
        first, second = _cross(b, c) / area, _cross(c, a) / area
    return (first > -_SLACK) & (second > -_SLACK) & (first + second < 1.0 + _SLACK)


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _newton(mass: MassModel, place: FloatArray, size: FloatArray, source: FloatArray) -> FloatArray:
    """Refine the positions (k, 2) of images in steps of at most half of their cell; return those that converge."""
    found = []
    for _ in range(_NEWTON_STEPS):
        offset = source - np.stack(mass.trace(*place.T), axis=-1)
        good = np.hypot(*offset.T) < _ACCURACY
        found.append(place[good])
        place, size, offset = place[~good], size[~good], offset[~good]
        if not place.size:
            break
        xx, yy, xy = mass.second_derivatives(*place.T)
        step = np.column_stack(
            [(1.0 - yy) * offset[:, 0] + xy * offset[:, 1], xy * offset[:, 0] + (1.0 - xx) * offset[:, 1]]
        )
        with np.errstate(all="ignore"):
            step /= ((1.0 - xx) * (1.0 - yy) - xy * xy)[:, None]
            place = place + step * np.minimum(1.0, 0.5 * size / np.hypot(*step.T))[:, None]
        good = np.isfinite(place).all(axis=1)
        place, size = place[good], size[good]
    return np.concatenate(found)


def _distinct(place: FloatArray, tolerance: float) -> FloatArray:
    """Return the positions (k, 2) without those within `tolerance` of an earlier one."""
    kept = np.empty((0, 2))
    for point in place:
        if not (np.hypot(*(kept - point).T) < tolerance).any():
            kept = np.vstack([kept, point])
    return kept
