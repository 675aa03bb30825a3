"""Extraction of cutouts from survey images at the positions of a catalogue, in batches."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._batch import ReadFailure
from gridlens.cutouts._conventions import METADATA_NAMES, CatalogLike, PathsLike
from gridlens.cutouts._damage import damage_message
from gridlens.cutouts._declared import assumed_flags
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._keywords import options_of
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._tangent import tangent_frame
from gridlens.cutouts._zeropoints import REFERENCE_ZEROPOINT
from gridlens.cutouts.catalogs._catalog import read_with_kept
from gridlens.cutouts.catalogs._join import place_on
from gridlens.cutouts.images._cut import Cut, cut_cluster
from gridlens.cutouts.images._options import CutOptions
from gridlens.cutouts.images._plan import Plan
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["ExtractedBatch", "cut_rows", "extract", "extract_batches", "make_plan"]

_BATCH = 128


class ExtractedBatch(NamedTuple):
    """Cutouts with their WCS, and the rows of the catalogue that could not be extracted."""

    cutouts: CutoutSet | None
    """None if the batch holds only failures"""
    failures: list[ReadFailure]
    wcs: list[WCS]
    """WCS of each cutout"""
    rows: NDArray[np.intp]
    """catalogue row of each cutout, 0-based"""
    zeropoint: NDArray[np.float64]
    """zero point of each cutout's flux, AB mag: 27, or NaN if no header gives one"""


def extract(
    catalog: CatalogLike,
    images: Mapping[str, PathsLike],
    *,
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> ExtractedBatch:
    """Extract cutouts of clusters from survey images into one set in memory.

    `extract_batches` takes the same parameters and holds only one batch in memory: 100,000 cutouts of 128 px take 20
    GB.

    Returns
    -------
    ExtractedBatch
        The named tuple ``(cutouts, failures, wcs, rows, zeropoint)``: all cutouts in the order of the catalogue, and
        the rows that could not be extracted.

    Examples
    --------
    >>> from gridlens.cutouts import extract
    >>> bands = {band: f"coadds/{band}/" for band in "gri"}
    >>> cutouts, failures, *_ = extract("clusters.csv", bands, size="64arcsec")  # doctest: +SKIP
    """
    batches = list(extract_batches(catalog, images, columns=columns, **options))
    failures = [failure for batch in batches for failure in batch.failures]
    rows = np.concatenate([batch.rows for batch in batches]) if batches else np.empty(0, dtype=np.intp)
    sets = [batch.cutouts for batch in batches if batch.cutouts is not None]
    wcs = [one for batch in batches for one in batch.wcs]
    order = np.argsort(rows, kind="stable")
    cutouts = CutoutSet.concatenate(sets)[order] if sets else None
    units = np.concatenate([batch.zeropoint for batch in batches]) if batches else np.empty(0)
    return ExtractedBatch(cutouts, failures, [wcs[k] for k in order], rows[order], units[order])


def extract_batches(
    catalog: CatalogLike,
    images: Mapping[str, PathsLike],
    *,
    columns: Mapping[str, str] | None = None,
    batch_size: int = _BATCH,
    **options: Any,
) -> Iterator[ExtractedBatch]:
    """Extract cutouts of clusters from survey images, in batches.

    Each band is located with its own WCS, which may be rotated, flipped or distorted, and resampled to the cutout's
    pixel grid with its flux conserved (exact area overlap). The grid is gnomonic about the cluster and follows the
    pixel axes of the r image, because an image that is not rotated keeps its sharpness and its noise properties.

    Parameters
    ----------
    catalog : str, path, DataFrame or astropy Table
        Clusters, with `ra` and `dec` (degrees, ICRS); and optionally `id`, `bcg_ra` and `bcg_dec` and metadata. See
        `read_catalog`.
    images : mapping of "g", "r" and "i" to a path or paths
        FITS images with a celestial WCS: a file (each image extension is a tile), a folder of tiles or a glob, plain or
        compressed. Weights, masks and other companion maps are ignored. Folders and globs are indexed once from the
        headers, and the index is stored in the user's cache folder. Only the pixels of a cutout are read from a plain
        or a tile-compressed file; a file compressed by gzip, bzip2 or xz is read completely.
    columns : mapping of str to str, default=None
        Mapping of the names used here to the catalogue's columns, such as ``{"richness": "LAMBDA_CHISQ"}``.
    batch_size : int, default=128
        Maximum number of cutouts per batch.
    **options
        Fields of `CutOptions`, such as ``size="64arcsec"`` or ``survey="hsc"``.

    Yields
    ------
    ExtractedBatch
        ``(cutouts, failures, wcs, rows, zeropoint)``. Cutouts are extracted image by image, and in the catalogue's
        order within an image; rows that cannot be extracted (flags `BAD_POSITION`, `NO_IMAGE`, `UNREADABLE`) are
        returned in `failures`. If images overlap, the one with the most valid pixels in the cutout is used and the
        others fill its missing pixels; pixels that no image covers are NaN, and the cutout is flagged `EDGE`. A row
        that repeats an earlier one is flagged `DUPLICATE`.

    Raises
    ------
    CutoutError
        At the call: a parameter is invalid, a band has no usable image, or no position is on the images.
    GridlensError
        At the call: the catalogue cannot be read.
    TypeError
        At the call: an option is not a field of `CutOptions`.

    Examples
    --------
    >>> from gridlens.cutouts import extract_batches
    >>> from gridlens.cutouts import write_npz
    >>> bands = {band: f"coadds/{band}/" for band in "gri"}
    >>> for k, batch in enumerate(extract_batches("clusters.csv", bands)):  # doctest: +SKIP
    ...     write_npz(f"cutouts/{k:05d}.npz", batch.cutouts)
    """
    if batch_size < 1:
        raise CutoutError(f"The 'batch_size' parameter must be 1 or more. Got {batch_size!r} instead.")
    return cut_rows(make_plan(catalog, images, columns, options_of(CutOptions, options)), batch_size)


def make_plan(
    catalog: CatalogLike,
    images: Mapping[str, PathsLike],
    columns: Mapping[str, str] | None,
    options: CutOptions,
    keep_columns: Sequence[str] = (),
) -> Plan:
    """Plan the extraction of each row of a catalogue, and keep some of its columns; see `extract_batches`."""
    frame, kept = read_with_kept(catalog, columns, keep_columns)
    plan = Plan(frame, images, options)
    if keep_columns:
        # A cluster that cannot be extracted is matched by its name, which must belong to a single row.
        times = Counter(plan.names)
        rows = {name: row for row, name in enumerate(plan.names) if times[name] == 1}
        plan.kept = kept.of_rows(np.ones(len(frame), dtype=bool), rows)
    return plan


def cut_rows(plan: Plan, batch_size: int = _BATCH, part: tuple[int, int] | None = None) -> Iterator[ExtractedBatch]:
    """Extract the rows in the order of the plan, or a part of them; the part (0, 0) is the rows without an image."""
    options = plan.options
    begin, end = (0, len(plan.order)) if part is None else part
    failures = _rows_without_images(plan) if part in (None, (0, 0)) else []
    for first in range(begin, end, batch_size):
        rows, cuts = [], []
        for row in plan.order[first : min(first + batch_size, end)].tolist():
            try:
                others = functools.partial(plan.others, row)
                cut = cut_cluster(plan.place[row], plan.images(row), others, options.pixel_scale, options.npix)
                if cut.flags & CutoutFlag.NO_IMAGE:
                    failures.append(_failure(plan, row, CutoutFlag.NO_IMAGE, _blank_message(cut)))
                    continue
                cuts.append(cut)
                rows.append(row)
            except CutoutError as exc:
                failures.append(_failure(plan, row, CutoutFlag.UNREADABLE, str(exc)))
            except Exception as exc:
                # Headers may raise almost any error, and one image must not stop the whole survey.
                message = damage_message(exc, f"An image of the cluster {plan.names[row]}")
                failures.append(_failure(plan, row, CutoutFlag.UNREADABLE, message))
        cutouts = _gathered(plan, rows, cuts) if cuts else None
        zeropoint = np.where([plan.calibrated(row) for row in rows], REFERENCE_ZEROPOINT, np.nan)
        wcs = [cut.wcs for cut in cuts]
        yield ExtractedBatch(cutouts, failures, wcs, np.array(rows, dtype=np.intp), zeropoint)
        failures = []
    if failures:
        yield ExtractedBatch(None, failures, [], np.empty(0, dtype=np.intp), np.empty(0))


def _blank_message(cut: Cut) -> str:
    blank = [band for k, band in enumerate(BANDS) if not np.isfinite(cut.pixels[..., k]).any()]
    return f"The images of {' and '.join(blank)} are blank over the whole cutout."


def _rows_without_images(plan: Plan) -> list[ReadFailure]:
    failures = []
    rows = np.flatnonzero((plan.tiles < 0).any(axis=0))
    places = zip(plan.catalog["ra"].to_numpy()[rows], plan.catalog["dec"].to_numpy()[rows], strict=True)
    for row, without, (ra, dec) in zip(rows.tolist(), (plan.tiles[:, rows] < 0).T.tolist(), places, strict=True):
        if plan.flags[row] & CutoutFlag.BAD_POSITION:
            message = f"The position ({ra:g}, {dec:g}) of the catalogue's row {row + 1} is not on the sky."
            failures.append(_failure(plan, row, CutoutFlag.BAD_POSITION, message))
        else:
            bands = " and ".join(band for band, lacks in zip(BANDS, without, strict=True) if lacks)
            message = f"No image of {bands} covers the position."
            failures.append(_failure(plan, row, CutoutFlag.NO_IMAGE, message))
    return failures


def _failure(plan: Plan, row: int, flag: CutoutFlag, message: str) -> ReadFailure:
    return ReadFailure(plan.names[row], "", message, int(flag) | int(plan.flags[row]))


def _gathered(plan: Plan, rows: list[int], cuts: list[Cut]) -> CutoutSet:
    """Return one set of cutouts, with metadata from the catalogue and the headers."""
    table = plan.catalog.iloc[rows]
    metadata = {name: table[name].to_numpy() for name in METADATA_NAMES if name in table}
    for name in ("seeing", "depth"):
        known = np.array([plan.measured(name, row) for row in rows])
        metadata[name] = np.where(np.isfinite(metadata[name]), metadata[name], known) if name in metadata else known
    bcg_xy = [_bcg(plan, row, cut) for row, cut in zip(rows, cuts, strict=True)]
    radec, axes = zip(*(tangent_frame(cut.wcs, *xy) for cut, xy in zip(cuts, bcg_xy, strict=True)), strict=True)
    return CutoutSet(
        np.stack([cut.pixels for cut in cuts]),
        bcg_xy=bcg_xy,
        pixel_scale=plan.options.pixel_scale,
        ids=[plan.names[row] for row in rows],
        metadata=metadata,
        paths=[cut.path for cut in cuts],
        flags=[
            int(plan.flags[row]) | cut.flags | assumed_flags(pixel_scale=True, zeropoint=plan.calibrated(row))
            for row, cut in zip(rows, cuts, strict=True)
        ],
        sky_axes=axes,
        bcg_radec=radec,
    )


def _bcg(plan: Plan, row: int, cut: Cut) -> tuple[float, float]:
    """Return the position of the BCG in a cutout: from the catalogue, or the centre."""
    middle = (cut.pixels.shape[0] - 1) / 2
    if not {"bcg_ra", "bcg_dec"} <= set(plan.catalog.columns):
        return middle, middle
    ra, dec = plan.catalog["bcg_ra"].iat[row], plan.catalog["bcg_dec"].iat[row]
    x, y = place_on(cut.wcs, cut.pixels.shape[:2], np.array([[ra, dec]], dtype=np.float64))[0]
    return (float(x), float(y)) if np.isfinite([x, y]).all() else (middle, middle)
