"""Write extracted cutouts to a folder: shards or FITS files, and a table of all rows of the catalogue."""

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gridlens._errors import CutoutError
from gridlens._files import atomic_path, check_new_folder, writable_folder
from gridlens.cutouts._extract import ExtractedBatch
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._planes import BANDS
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._writers import write_npz

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
        folder; "" where there is none), `status` ("ok" or "rejected"), `message` and `flags`.

    Raises
    ------
    GridlensError
        The folder is not empty, or cannot be written.

    Examples
    --------
    >>> from gridlens.cutouts import extract_batches, write_extracted
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
                files = [_file_name(name, taken) for name in cutouts.ids]
                for j, name in enumerate(files):
                    write_fits(target / name, cutouts[j], wcs[j], zeropoint[j])
            parts.append(
                _rows(cutouts.ids, files, "ok", [flag_message(flags) for flags in cutouts.flags], cutouts.flags)
            )
        if failures:
            ids, _, messages, flags = zip(*failures, strict=True)
            parts.append(_rows(ids, [""] * len(ids), "rejected", messages, flags))
        if progress is not None:
            progress((0 if cutouts is None else len(cutouts)) + len(failures))
    table = pd.concat(parts, ignore_index=True) if parts else _rows([], [], "ok", [], [])
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
    >>> from gridlens.cutouts import CutoutSet, write_fits
    >>> write_fits("cutout.fits", CutoutSet(np.ones((1, 48, 48, 3))), WCS(naxis=2))  # doctest: +SKIP
    """
    from astropy.io import fits

    header = wcs.to_header()
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = str(cutout.ids[0])
    hdus = fits.HDUList([primary])
    for k, band in enumerate(BANDS):
        hdu = fits.ImageHDU(np.ascontiguousarray(cutout.pixels[0, :, :, k]), header=header, name=band)
        hdu.header["FILTER"] = band
        if np.isfinite(zeropoint):
            hdu.header["MAGZERO"] = (float(zeropoint), "AB mag of one flux unit")
        hdus.append(hdu)
    with atomic_path(path) as temporary:
        hdus.writeto(temporary, overwrite=True)


def _file_name(name: str, taken: set[str]) -> str:
    """A file name for an id, unlike those before it in any case of letters."""
    stem = re.sub(r"[^\w.+-]+", "_", str(name)).strip("._") or "cutout"
    found, k = stem, 1
    while found.lower() in taken:
        k += 1
        found = f"{stem}-{k}"
    taken.add(found.lower())
    return f"{found}.fits"


def _rows(
    ids: Iterable[str], files: list[str], status: str, messages: Iterable[str], flags: Iterable[int]
) -> pd.DataFrame:
    columns = {"id": list(ids), "file": files, "status": status, "message": list(messages), "flags": list(flags)}
    return pd.DataFrame(columns).astype({"flags": np.int64})
