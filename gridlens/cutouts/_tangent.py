"""Sky positions and offsets from them in arcsec, in tangent planes: valid at the poles and at right ascension zero."""

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["at_scale", "move_along", "sky_at", "tangent_frame"]

_ARCSEC = np.radians(1.0 / 3600.0)


def sky_at(radec: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions at given offsets in the tangent planes of other positions.

    Parameters
    ----------
    radec : ndarray of shape (n, 2)
        ICRS, degrees.
    offset : ndarray of shape (n, 2)
        Offsets to the east and to the north in the gnomonic projection about `radec`, arcsec.

    Returns
    -------
    ndarray of shape (n, 2), float64
        ICRS, degrees, right ascension from 0 to 360. NaN if an argument is not finite. With n = 0, empty.
    """
    return _radec_of(_points(_basis(radec), offset))


def at_scale(axes: NDArray[np.float64], pixel_scale: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return pixel axes (..., 2, 2) of the same directions, scaled to a pixel area of `pixel_scale` squared."""
    side = np.sqrt(np.abs(np.linalg.det(axes)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(axes * (pixel_scale / side)[..., None, None])


def move_along(
    radec: NDArray[np.float64], axes: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions and pixel axes at shifted pixels, given those at one pixel of each image.

    Parameters
    ----------
    radec : ndarray of shape (n, 2)
        ICRS, degrees.
    axes : ndarray of shape (n, 2, 2)
        As `CutoutSet.sky_axes`.
    shift : ndarray of shape (n, 2)
        Shift to the new pixels, px.

    Returns
    -------
    radec : ndarray of shape (n, 2), float64
    axes : ndarray of shape (n, 2, 2), float64
    """
    basis = _basis(radec)
    points = _points(basis, np.einsum("nij,nj->ni", axes, shift))
    moved = _radec_of(points)
    across = np.einsum("nki,nkv->nvi", axes, basis[:, :2])
    turned = np.einsum("nkv,nvi->nki", _basis(moved)[:, :2], across)
    return moved, turned / np.linalg.norm(points, axis=-1)[:, None, None]


def tangent_frame(wcs: "WCS", x: float, y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the position of a pixel and the directions of the pixel axes there, from a celestial WCS in any frame.

    Parameters
    ----------
    wcs : WCS
        WCS with two celestial axes; distortions are applied.
    x, y : float
        Pixel, 0-based.

    Returns
    -------
    radec : ndarray of shape (2,), float64
        ICRS, degrees; NaN if the pixel is outside the projection.
    axes : ndarray of shape (2, 2), float64
        arcsec per pixel, as `CutoutSet.sky_axes`; NaN if `radec` is NaN.
    """
    half = np.array([0.0, 0.5, -0.5, 0.0, 0.0])
    radec = _icrs(wcs, x + half, y + half[[0, 3, 4, 1, 2]])
    basis = _basis(radec[:1])[0]
    points = _basis(radec)[:, 2]
    east, north, outward = basis @ points.T
    plane = np.stack([east, north]) / outward / _ARCSEC
    axes = np.stack([plane[:, 1] - plane[:, 2], plane[:, 3] - plane[:, 4]], axis=-1)
    if not (np.isfinite(radec).all() and np.isfinite(axes).all()):
        return np.full(2, np.nan), np.full((2, 2), np.nan)
    return radec[0], axes


def _icrs(wcs: "WCS", x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ICRS positions (n, 2) of pixels, degrees."""
    frame, kind = wcs.wcs.radesys.strip(), wcs.wcs.lngtyp.strip()
    # astropy takes milliseconds to transform a single position, as long as reading a whole cutout.
    rotates = kind == "GLON" or (kind == "RA" and frame in ("ICRS", "FK5"))
    if not rotates:
        sky = wcs.pixel_to_world(x, y).icrs
        return np.stack([sky.ra.deg, sky.dec.deg], axis=-1)
    world = wcs.pixel_to_world_values(x, y)
    position = np.stack([world[wcs.wcs.lng], world[wcs.wcs.lat]], axis=-1)
    if kind == "RA" and frame == "ICRS":
        return position
    equinox = float(wcs.wcs.equinox)
    return _radec_of(_basis(position)[:, 2] @ _rotation(kind, 2000.0 if np.isnan(equinox) else equinox))


@functools.cache
def _rotation(kind: str, equinox: float) -> NDArray[np.float64]:
    """Return the matrix (3, 3) that takes unit vectors of FK5 or of galactic coordinates, as rows, to ICRS."""
    from astropy.coordinates import FK5, Galactic, SkyCoord

    frame = Galactic() if kind == "GLON" else FK5(equinox=f"J{equinox:.6f}")
    axes = SkyCoord([0.0, 90.0, 0.0], [0.0, 0.0, 90.0], unit="deg", frame=frame)
    return np.asarray(axes.icrs.cartesian.xyz.T)


def _basis(radec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vectors (n, 3, 3) to the east, to the north and outward at positions."""
    ra, dec = np.radians(radec).T
    zero = np.zeros_like(ra)
    east = [-np.sin(ra), np.cos(ra), zero]
    north = [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)]
    outward = [np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)]
    return np.moveaxis(np.array([east, north, outward]), -1, 0)


def _points(basis: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vectors (n, 3) to points of tangent planes."""
    return basis[:, 2] + np.einsum("nk,nkv->nv", offset * _ARCSEC, basis[:, :2])


def _radec_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = points.T
    return np.degrees(np.stack([np.arctan2(y, x) % (2.0 * np.pi), np.arctan2(z, np.hypot(x, y))], axis=-1))
