"""Resample a band to the pixel grid of its cutout, conserving flux.

Each output pixel receives the fraction of the flux of each input pixel that overlaps it: exact area overlap, as in
`reproject.reproject_exact` and in drizzling with a full-sized square drop. Interpolation does not conserve flux.
`reproject.reproject_adaptive` does, but its kernel broadens the PSF and correlates the noise, which is the unit of the
features.

If a band's pixel axes are parallel to the output's, as for coadds, whose grid the output follows, the area overlaps are
products of overlaps along the axes: two products with small matrices. For other bands (on a rotated, flipped or
distorted grid), the `drizzle` package is used. It is as exact as `reproject_exact`, which works with spherical
polygons, and a hundred times faster.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.errors import GridlensError

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from scipy.sparse import csr_array

__all__ = [
    "Correspondence",
    "axis_fit",
    "correspond",
    "overlap_matrix",
    "pixel_to_pixel",
    "resample_along_axes",
    "resample_drizzle",
]

# An output pixel is bad if less than this fraction of it was observed.
_MIN_COVERAGE = 0.5
# largest deviation of the source grid from the straight lines of a fit over the whole cutout, source px
_STRAIGHT = 0.02
_KNOTS = 5


class Correspondence(NamedTuple):
    """Source positions of a grid of output points, including the edges; px, 0-based."""

    X: NDArray[np.float64]
    Y: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def correspond(target: "WCS", source: "WCS", npix: int) -> Correspondence | None:
    """Find the output's pixels in the source; return None if the source's WCS is undefined for some of them."""
    edge = np.linspace(-0.5, npix - 0.5, _KNOTS)
    X, Y = (grid.ravel() for grid in np.meshgrid(edge, edge))
    x, y = pixel_to_pixel(target, source, X, Y)
    return Correspondence(X, Y, x, y) if np.isfinite(x).all() and np.isfinite(y).all() else None


def axis_fit(found: Correspondence) -> tuple[float, float, float, float] | None:
    """Fit x = ax X + bx and y = ay Y + by.

    Returns
    -------
    (ax, bx, ay, by) or None
        None if the source's axes are not parallel to the output's to within 0.02 px.
    """
    ax, bx = np.polyfit(found.X, found.x, 1)
    ay, by = np.polyfit(found.Y, found.y, 1)
    off = max(np.abs(ax * found.X + bx - found.x).max(), np.abs(ay * found.Y + by - found.y).max())
    return (float(ax), float(bx), float(ay), float(by)) if off <= _STRAIGHT else None


def overlap_matrix(n_out: int, n_in: int, slope: float, offset: float) -> "csr_array":
    """Return the overlap of output pixel j and input pixel k along an axis, in input pixels: sparse, (n_out, n_in).

    The centre of output pixel j lies at ``slope * j + offset`` in input pixels, 0-based; a negative slope flips.
    """
    from scipy.sparse import csr_array

    edges = slope * (np.arange(n_out + 1) - 0.5) + offset
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    reach = int(np.ceil(abs(slope))) + 1
    k = np.floor(low + 0.5).astype(np.int64)[:, None] + np.arange(reach)
    shared = np.minimum(high[:, None], k + 0.5) - np.maximum(low[:, None], k - 0.5)
    there = (shared > 0.0) & (k >= 0) & (k < n_in)
    start = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return csr_array((shared[there].astype(np.float32), k[there], start), shape=(n_out, n_in))


def resample_along_axes(
    image: NDArray[np.float32], fit: tuple[float, float, float, float], npix: int
) -> NDArray[np.float32]:
    """Resample an image of (ny, nx) whose axes are parallel to the output's.

    Parameters
    ----------
    image : ndarray of shape (ny, nx), float32
        Flux per pixel; values that are not finite mean unobserved pixels.
    fit : tuple
        As returned by `axis_fit`, with pixel (0, 0) of `image` at (0, 0).
    npix : int

    Returns
    -------
    ndarray of shape (npix, npix), float32
        Flux per pixel. NaN if less than half of the pixel was observed; otherwise the rest is assumed to be as bright.
    """
    ax, bx, ay, by = fit
    rows = overlap_matrix(npix, image.shape[0], ay, by)
    columns = overlap_matrix(npix, image.shape[1], ax, bx)
    good = np.isfinite(image)
    if good.all():
        # The fraction of an output pixel on the image is the product of the fractions along the axes.
        seen = np.outer(rows.sum(axis=1), columns.sum(axis=1))
        total = (columns @ (rows @ image).T).T
    else:
        seen = (columns @ (rows @ good.astype(np.float32)).T).T
        total = (columns @ (rows @ np.where(good, image, np.float32(0.0))).T).T
    coverage = seen / abs(ax * ay)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(coverage >= _MIN_COVERAGE, total / coverage, np.nan).astype(np.float32)


def resample_drizzle(image: NDArray[np.float32], source: "WCS", target: "WCS", npix: int) -> NDArray[np.float32]:
    """Resample an image of (ny, nx) on any grid, with the WCS `source`, like `resample_along_axes`."""
    from drizzle.resample import Drizzle

    # Drizzling drops input pixels that straddle the output's edge, so the output is one pixel larger on all sides.
    places = _pixel_map(image.shape, source, target) + 1.0
    drizzle = Drizzle(kernel="square", out_shape=(npix + 2, npix + 2), fillval="NAN", disable_ctx=True)
    good = np.isfinite(image)
    # Drizzling averages surface brightness, weighted by the overlapping fraction of the drop's area. So the flux is
    # divided by the area of its pixel in the output, and the weights are multiplied by that area to give overlaps.
    areas = _areas(places)
    brightness = np.where(good, image, np.float32(0.0)) / areas
    drizzle.add_image(
        brightness.astype(np.float32), exptime=1.0, pixmap=places, pixfrac=1.0, weight_map=(good * areas).astype("f4")
    )
    resampled = np.where(drizzle.out_wht >= _MIN_COVERAGE, drizzle.out_img, np.nan).astype(np.float32)
    return np.ascontiguousarray(resampled[1:-1, 1:-1])


def pixel_to_pixel(first: "WCS", second: "WCS", x: Any, y: Any) -> Any:
    """Return the positions in one image of pixels of another."""
    from astropy.wcs import utils

    if _frame(first) == _frame(second):
        # With a common sky frame, coordinate objects, which take most of the time, are not needed.
        return second.world_to_pixel_values(*first.pixel_to_world_values(x, y))
    return utils.pixel_to_pixel(first, second, x, y)


def _frame(wcs: "WCS") -> tuple[str, ...]:
    # without the projection; the equinox is NaN if there is none
    return (wcs.wcs.radesys, str(wcs.wcs.equinox), *(ctype[:4] for ctype in wcs.wcs.ctype))


def _pixel_map(shape: tuple[int, ...], source: "WCS", target: "WCS") -> NDArray[np.float64]:
    """Return the output position of each source pixel, (ny, nx, 2), by cubic splines through every sixteenth pixel."""
    from scipy.interpolate import RectBivariateSpline

    y, x = (np.linspace(0, n - 1, max(8, n // 16)) for n in shape)
    grid_x, grid_y = np.meshgrid(x, y)
    there = pixel_to_pixel(source, target, grid_x, grid_y)
    if not all(np.isfinite(values).all() for values in there):
        raise GridlensError("The WCS of an image is undefined over a whole cutout. Check its header.")
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    return np.stack([RectBivariateSpline(y, x, values)(rows, columns) for values in there], axis=-1)


def _areas(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of each source pixel in output pixels, from central differences."""
    along_y, along_x = np.gradient(places, axis=0), np.gradient(places, axis=1)
    return np.asarray(np.abs(along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]))
