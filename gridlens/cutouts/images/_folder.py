"""Write extracted cutouts to a folder: shards or FITS files, and a table of all rows of the catalogue."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gridlens._file_names import file_stem
from gridlens._files import atomic_path, check_new_folder, writable_folder
from gridlens._ids import as_ascii, as_id, escaped
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._batch import ReadFailure
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._quality import valid_fraction
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._writers import write_npz
from gridlens.cutouts.images._extract import ExtractedBatch
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["CUTOUT_TABLE", "write_extracted", "write_fits"]

CUTOUT_TABLE = "cutouts.csv"


def write_extracted(
    folder: str | os.PathLike[str],
    batches: Iterable[ExtractedBatch],
    *,
    format: Literal["npz", "fits"] = "npz",
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Write batches of cutouts as they come, each file whole or not at all, and ``cutouts.csv`` at the end.

    Parameters
    ----------
    folder : str or path
        New or empty; made if it is missing.
    batches : iterable of ExtractedBatch
        As `extract_batches` yields them.
    format : {"npz", "fits"}, default="npz"
        "npz" writes a shard a batch, which is what is read fastest; "fits" one file a cutout, with extensions g, r
        and i and a WCS.
    progress : callable, optional
        Called with the number of catalogue rows that were finished since the last call.

    Returns
    -------
    DataFrame
        What ``cutouts.csv`` holds, a row for each row of the catalogue that was cut or failed: `id`, `file` (within the
        folder; "" where there is none), `status` ("ok" or "rejected"), `message`, `flags` and
        `valid_fraction` (fraction of the pixels that are finite in all bands; NaN where there is no cutout).

    Raises
    ------
    GridlensError
        The folder is not empty, or cannot be written.

    Examples
    --------
    >>> from gridlens.cutouts.images import extract_batches, write_extracted
    >>> bands = {band: f"coadds/{band}/" for band in "gri"}
    >>> table = write_extracted("cutouts/", extract_batches("clusters.csv", bands))  # doctest: +SKIP
    """
    if format not in ("npz", "fits"):
        raise CutoutError(f"The 'format' parameter must be 'npz' or 'fits'. Got {format!r} instead.")
    check_new_folder(folder)
    target = writable_folder(folder)
    parts: list[pd.DataFrame] = []
    taken: set[str] = set()
    for k, (cutouts, failures, wcs, _, zeropoint) in enumerate(batches):
        if cutouts is not None:
            if format == "npz":
                files = [f"cutouts-{k:05d}.npz"] * len(cutouts)
                write_npz(target / files[0], cutouts)
            else:
                files = [f"{file_stem(name, taken)}.fits" for name in cutouts.ids]
                for j, name in enumerate(files):
                    write_fits(target / name, cutouts[j], wcs[j], zeropoint[j])
            messages = [flag_message(flags) for flags in cutouts.flags]
            valid = valid_fraction(cutouts.pixels)
            parts.append(_rows(cutouts.ids, files, "ok", messages, cutouts.flags, valid))
        if failures:
            parts.append(_failed_rows(failures))
        if progress is not None:
            progress((0 if cutouts is None else len(cutouts)) + len(failures))
    table = pd.concat(parts, ignore_index=True) if parts else _failed_rows([])
    with atomic_path(target / CUTOUT_TABLE) as temporary:
        table.to_csv(temporary, index=False)
    return table


def write_fits(path: str | os.PathLike[str], cutout: CutoutSet, wcs: "WCS", zeropoint: float = np.nan) -> None:
    """Write one cutout as FITS, whole or not at all: extensions g, r and i of linear flux, with its WCS.

    Parameters
    ----------
    path : str or path
    cutout : CutoutSet of 1
    wcs : WCS
        Of its pixels.
    zeropoint : float, default=NaN
        AB mag of one flux unit, written as MAGZERO; NaN, where it is unknown, is not.

    Raises
    ------
    GridlensError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> from gridlens.cutouts import CutoutSet
    >>> from gridlens.cutouts.images import write_fits
    >>> write_fits("cutout.fits", CutoutSet(np.ones((1, 48, 48, 3))), WCS(naxis=2))  # doctest: +SKIP
    """
    from astropy.io import fits

    header = wcs.to_header()
    primary = fits.PrimaryHDU()
    # A FITS header holds ASCII alone.
    primary.header["OBJECT"] = as_ascii(str(cutout.ids[0]))
    hdus = fits.HDUList([primary])
    for k, band in enumerate(BANDS):
        hdu = fits.ImageHDU(np.ascontiguousarray(cutout.pixels[0, :, :, k]), header=header, name=band)
        hdu.header["FILTER"] = band
        if np.isfinite(zeropoint):
            hdu.header["MAGZERO"] = (float(zeropoint), "AB mag of one flux unit")
        hdus.append(hdu)
    with atomic_path(path) as temporary:
        hdus.writeto(temporary, overwrite=True)


def _rows(
    ids: Iterable[str],
    files: list[str],
    status: str,
    messages: Iterable[str],
    flags: Iterable[int],
    valid: Iterable[float],
) -> pd.DataFrame:
    columns = {"id": list(ids), "file": files, "status": status, "message": list(messages), "flags": list(flags)}
    table = pd.DataFrame({**columns, "valid_fraction": list(valid)})
    return table.astype({"flags": np.int64, "valid_fraction": np.float64})


def _failed_rows(failures: Sequence[ReadFailure]) -> pd.DataFrame:
    ids, messages = ([as_id(failure.id) for failure in failures], [escaped(failure.message) for failure in failures])
    n = len(failures)
    return _rows(ids, [""] * n, "rejected", messages, [failure.flags for failure in failures], [np.nan] * n)
