"""Read .npy and .npz files."""

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlens._errors import CutoutError
from gridlens.cutouts._planes import ReadOptions, band_letter, pick_bands
from gridlens.cutouts._scan import Entry
from gridlens.cutouts._set import CANONICAL_PIXEL_SCALE, METADATA_NAMES, CutoutSet

__all__ = ["count_in_file", "read_npy", "read_npz"]

_PIXEL_KEYS = ("pixels", "image", "images")
_BAND_KEYS = ("bands", "filters")


def read_npy(entry: Entry, options: ReadOptions) -> CutoutSet:
    """Read one array of shape (H, W, 3), (3, H, W) or (n, H, W, 3)."""
    return _to_set(np.load(entry.path, allow_pickle=False), {}, entry, options)


def read_npz(entry: Entry, options: ReadOptions) -> CutoutSet:
    """Read a shard as `write_npz` leaves it, or one cutout under `pixels`, `image` or `images`.

    Further keys: `bands` or `filters` (names of the planes), `bcg_xy`, `pixel_scale`, `ids`, `flags` and the
    metadata names. Others are passed over.
    """
    with np.load(entry.path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise CutoutError("The file is named .npz but holds a single array. Name it .npy.")
        key = next((key for key in _PIXEL_KEYS if key in file.files), None)
        if key is None:
            raise CutoutError(
                f"There is no array 'pixels' in the file, only {', '.join(file.files) or 'nothing'}. "
                "Store the pixels, (n, H, W, 3) or (H, W, 3), under that key."
            )
        wanted = {*_BAND_KEYS, "bcg_xy", "pixel_scale", "ids", "flags", *METADATA_NAMES}
        return _to_set(file[key], {name: file[name] for name in file.files if name in wanted}, entry, options)


def _to_set(array: NDArray[Any], extra: dict[str, NDArray[Any]], entry: Entry, options: ReadOptions) -> CutoutSet:
    if array.dtype.kind not in "buif":
        raise CutoutError(f"The array holds values of type {array.dtype}, and pixels must be real numbers.")
    names = options.bands
    stored = next((extra[key] for key in _BAND_KEYS if key in extra), None)
    if names is None and stored is not None:
        words = list(str(stored)) if stored.ndim == 0 else stored.tolist()
        names = tuple(band_letter(str(word)) for word in words)
    pixels = pick_bands(array, names)
    many = pixels.ndim == 4
    if not many:
        pixels = pixels[None]
    if options.zeropoint is not None:
        pixels = pixels * options.flux_factors()
    scale: ArrayLike | None = options.pixel_scale
    if scale is None:
        scale = extra.get("pixel_scale")
    if scale is None:
        options.warn_once(
            f"Some array files do not state their pixel scale: {CANONICAL_PIXEL_SCALE} arcsec is assumed for them. "
            "If that is wrong, state it with --pixel-scale (pixel_scale= in Python)."
        )
        scale = CANONICAL_PIXEL_SCALE
    if "ids" in extra:
        ids = np.atleast_1d(extra["ids"])
    else:
        ids = np.array([f"{entry.id}_{k:06d}" for k in range(len(pixels))] if many else [entry.id])
    return CutoutSet(
        pixels,
        bcg_xy=extra.get("bcg_xy"),
        pixel_scale=scale,
        ids=ids,
        metadata={name: extra[name] for name in METADATA_NAMES if name in extra},
        paths=[entry.path] * len(pixels),
        flags=extra.get("flags", 0),
    )


def count_in_file(path: str | os.PathLike[str]) -> int:
    """Count the cutouts in a .npy or .npz file from the header of its array; a file that cannot be read counts 1."""
    try:
        if str(path).lower().endswith(".npy"):
            with open(path, "rb") as file:
                return _count(file)
        with zipfile.ZipFile(path) as archive:
            key = next(key for key in _PIXEL_KEYS if f"{key}.npy" in archive.namelist())
            with archive.open(f"{key}.npy") as member:
                return _count(member)
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile):
        return 1


def _count(file: Any) -> int:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape = read(file)[0]
    return int(shape[0]) if len(shape) == 4 else 1
