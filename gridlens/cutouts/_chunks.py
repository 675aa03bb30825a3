"""Read arrays of many cutouts a piece at a time, whichever format holds them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError
from gridlens._ids import as_id
from gridlens.cutouts._planes import ReadOptions, band_places, check_size, name_bands, pick_bands, split_bands
from gridlens.cutouts._plausible import implausible, known_metadata
from gridlens.cutouts._scan import Entry
from gridlens.cutouts._set import METADATA_NAMES, CutoutSet, checked_ids

__all__ = ["BAND_NAMES", "PIECE_BYTES", "RowRange", "Rows", "Stored", "column_names", "pixels_name", "read_pieces"]

RowRange = tuple[int, int]
"""cutouts of one file: the first, and the one behind the last"""

BAND_NAMES = ("bands", "filters")
"""names under which the planes' names are stored, as an array or an attribute"""

_PIXEL_NAMES = ("pixels", "image", "images")
# What each column is called, first our own name and then that of GalaxiesML (Do et al. 2024, arXiv:2410.00271).
_COLUMN_NAMES = {
    "bands": BAND_NAMES,
    "bcg_xy": ("bcg_xy",),
    "pixel_scale": ("pixel_scale",),
    "ids": ("ids", "id", "object_id"),
    "flags": ("flags",),
    **{name: (name,) for name in METADATA_NAMES},
    "redshift": ("redshift", "specz_redshift"),
}
# A piece holds whole chunks of the file up to the first, bytes as stored or as float32, whichever are more: a batch is
# as large, and made of one piece it need not be copied. One chunk alone may go up to the second.
PIECE_BYTES = 32 * 1024**2
_MAX_PIECE_BYTES = 64 * 1024**2
_FLOAT32_BYTES = 4
_GALAXIESML_BANDS = 5


class Rows(Protocol):
    """An array on disk: the header is known, and a slice along the first axis reads no more than it names."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Stored(NamedTuple):
    """The arrays of one file, before any pixel is read."""

    name: str
    """what the file calls the pixels"""
    pixels: Rows
    """one cutout in three axes or n in four; slices are asked for in order, each once, maybe not from the first"""
    columns: Mapping[str, Rows]
    """by our names: `bands`, `bcg_xy`, `pixel_scale`, `ids`, `flags` and the metadata names, where there are any"""
    chunk: int = 1
    """cutouts that the file stores together, so that none of them can be read without the others"""


def pixels_name(names: Iterable[str]) -> str:
    """Choose the array of pixels among those of a file; raise CutoutError where there is none."""
    names = list(names)
    name = next((name for name in _PIXEL_NAMES if name in names), None)
    if name is None:
        raise CutoutError(
            f"There is no array 'pixels' in the file, only {', '.join(names) or 'nothing'}. "
            "Store the pixels, (n, H, W, 3) or (H, W, 3), under that key."
        )
    return name


def column_names(names: Iterable[str]) -> dict[str, str]:
    """Return what the file calls each of the columns that it has, by our name."""
    names = set(names)
    found = {column: next((name for name in stored if name in names), None) for column, stored in _COLUMN_NAMES.items()}
    return {column: name for column, name in found.items() if name is not None}


def read_pieces(
    stored: Stored, entry: Entry, options: ReadOptions, rows: RowRange | None = None
) -> Iterator[CutoutSet]:
    """Read the cutouts, or those in `rows`, in their order, about 32 MiB at a time; of none, one empty set.

    A piece ends with a chunk of the file, and is that chunk where it is larger, up to 64 MiB. Ids are those of the
    file; where they are missing, the entry's for a single cutout, and "NAME_000012" for one of many.

    Raises
    ------
    CutoutError
        Before any pixel is read: the pixels are no numbers, their shape does not fit the bands, or a column does not
        fit the pixels.
    """
    pixels, shape = stored.pixels, tuple(stored.pixels.shape)
    if pixels.dtype.kind not in "buif":
        raise CutoutError(f"The array holds values of type {pixels.dtype}, and pixels must be real numbers.")
    names = options.bands or _stored_bands(stored, options)
    if names is None and stored.name == "image" and len(shape) == 4 and _GALAXIESML_BANDS in (shape[1], shape[3]):
        raise CutoutError(
            f"The array 'image' of shape {shape} does not name its bands. If they are those of GalaxiesML, say so "
            'with --bands grizy (bands="grizy" in Python).'
        )
    axis, _ = band_places(shape, names)
    height, width = (shape[k] for k in range(-3, 0) if k != axis)
    check_size(height, width, options)
    n = shape[0] if len(shape) == 4 else 1
    columns = {name: _Column(name, column, n) for name, column in stored.columns.items() if name != "bands"}
    step = _piece_length(stored, entry, options) if len(shape) == 4 else 1
    first, end = (0, n) if rows is None else (rows[0], min(rows[1], n))
    _warn_of_metadata(columns, (first, end), entry if len(shape) == 4 else None, options)
    for start in range(first, max(end, first + 1), step):
        # a name for the piece here would keep it in memory while the next one is read
        yield _read_piece(pixels, columns, start, max(start, min(start + step, end)), names, entry, options)


def _read_piece(
    pixels: Rows,
    columns: "Mapping[str, _Column]",
    start: int,
    stop: int,
    names: tuple[str, ...] | None,
    entry: Entry,
    options: ReadOptions,
) -> CutoutSet:
    many = len(pixels.shape) == 4
    part = pick_bands(np.asarray(pixels[start:stop] if many else pixels[...]), names)
    if not many:
        part = part[None]
    if options.zeropoint is not None:
        part = part * options.flux_factors()
    values = {name: column.part(start, stop) for name, column in columns.items()}
    ids = [f"{entry.id}_{k:06d}" for k in range(start, stop)] if many else [entry.id]
    if "ids" in values:
        known = checked_ids(np.atleast_1d(values["ids"]))
        ids = [name or fallback for name, fallback in zip(known, ids, strict=True)]
    return CutoutSet(
        part,
        bcg_xy=_known_places(values.get("bcg_xy"), part.shape[1:3]),
        pixel_scale=options.scale(values.get("pixel_scale")),
        ids=ids,
        metadata=known_metadata({name: values[name] for name in METADATA_NAMES if name in values})[0],
        paths=[entry.path] * (stop - start),
        flags=values.get("flags", 0),
    )


def _known_places(bcg_xy: NDArray[Any] | None, size: tuple[int, ...]) -> NDArray[Any] | None:
    """Places (x, y) of BCGs, the centre where they are unknown."""
    if bcg_xy is None or bcg_xy.dtype.kind not in "iuf":
        return bcg_xy
    unknown = (np.isnan(bcg_xy) | implausible("bcg_x", bcg_xy)).any(axis=-1, keepdims=True)
    return np.where(unknown, [(side - 1) / 2 for side in reversed(size)], bcg_xy)


def _warn_of_metadata(
    columns: "Mapping[str, _Column]", rows: RowRange, entry: Entry | None, options: ReadOptions
) -> None:
    """Warn once of metadata that cannot be right; of files of one cutout (`entry` None) once for all of them."""
    values = {name: columns[name].part(*rows) for name in METADATA_NAMES if name in columns}
    if "bcg_xy" in columns:
        places = columns["bcg_xy"].part(*rows)
        values |= {"bcg_x": places[..., 0], "bcg_y": places[..., 1]}
    words = known_metadata(values)[1]
    if words:
        options.warn_once(
            f"Some metadata in {'files of one cutout' if entry is None else entry.path} cannot be right and are taken "
            f"as unknown: {words}."
        )


class _Column:
    """What is known of each cutout, or of all at once, beside the pixels."""

    def __init__(self, name: str, rows: Rows, n: int) -> None:
        self._rows = rows
        shape = tuple(rows.shape)
        one = (2,) if name == "bcg_xy" else ()
        # (n, 1) is a column of a table, as some writers leave it
        self._by_row = shape in ((n, *one), (n, *one, 1))
        self._tail = one
        if not self._by_row and (shape not in (one, (1, *one)) or (name == "ids" and n != 1)):
            got = shape[0] if shape[1:] == one and shape else f"the shape {shape}"
            raise CutoutError(f"The array '{name}' must have one entry per cutout, {n}. Got {got} instead.")

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """Return the values of the cutouts from `start` to `stop`, or the one value of all."""
        if self._by_row:
            return np.asarray(self._rows[start:stop]).reshape(stop - start, *self._tail)
        return np.asarray(self._rows[...]).reshape(self._tail)


def _stored_bands(stored: Stored, options: ReadOptions) -> tuple[str, ...] | None:
    if "bands" not in stored.columns:
        return None
    words = np.asarray(stored.columns["bands"][...])
    if words.ndim == 0 or words.size == 1:
        return split_bands(as_id(words.reshape(-1)[0]), options.filters)
    return name_bands((as_id(word) for word in words.reshape(-1)), options.filters)


def _piece_length(stored: Stored, entry: Entry, options: ReadOptions) -> int:
    shape = stored.pixels.shape
    each = max(1, math.prod(shape[1:]) * max(stored.pixels.dtype.itemsize, _FLOAT32_BYTES))
    chunk = max(1, min(stored.chunk, shape[0]))
    most = max(1, _MAX_PIECE_BYTES // each)
    if chunk > most:
        options.warn_once(
            f"The file {entry.path} keeps {chunk} cutouts in each chunk, too many to hold at once, so that each chunk "
            f"is read {math.ceil(chunk / most)} times. If that is too slow, write the file in chunks of a few cutouts."
        )
        return most
    return chunk * max(1, PIECE_BYTES // (each * chunk))
