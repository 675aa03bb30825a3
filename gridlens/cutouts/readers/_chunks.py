"""Read arrays of many cutouts in batches, in any file format."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gridlens._ids import as_id, as_ids, escaped
from gridlens.cutouts._bands import band_places, name_bands, pick_bands, split_bands
from gridlens.cutouts._conventions import METADATA_NAMES
from gridlens.cutouts._declared import assumed_flags, check_declared
from gridlens.cutouts._plausible import implausible, known_metadata
from gridlens.cutouts._set import CutoutSet, checked_ids
from gridlens.cutouts._tangent import at_scale
from gridlens.cutouts.readers._resolved import Resolved, check_size
from gridlens.cutouts.readers._salvage import Unreadable, read_around
from gridlens.cutouts.readers._scan import Entry
from gridlens.errors import CutoutError

__all__ = [
    "BAND_NAMES",
    "BATCH_BYTES",
    "MAX_CHUNK_BYTES",
    "MAX_COLUMN_BYTES",
    "PIXELS",
    "RowRange",
    "Rows",
    "Stored",
    "believed_rows",
    "column_names",
    "count_stored",
    "find_columns",
    "pixels_name",
    "read_stored",
]

RowRange = tuple[int, int]
"""range of cutouts in one file: the first, and one past the last"""

BAND_NAMES = ("bands", "filters")
"""names of the array or attribute that stores the band names"""

PIXELS = "pixels"
"""name of the pixel array in the gridlens layout"""

_PIXEL_NAMES = (PIXELS, "image", "images")
# Names of each column: first the gridlens name, then that of GalaxiesML (Do et al. 2024, arXiv:2410.00271).
_COLUMN_NAMES = {
    "bands": BAND_NAMES,
    "bcg_xy": ("bcg_xy",),
    "pixel_scale": ("pixel_scale",),
    "ids": ("ids", "id", "object_id"),
    "flags": ("flags",),
    "sky_axes": ("sky_axes",),
    "bcg_radec": ("bcg_radec",),
    **{name: (name,) for name in METADATA_NAMES},
    "redshift": ("redshift", "specz_redshift"),
}
# Shapes of the values per cutout in columns that do not hold scalars.
_SHAPES = {"bcg_xy": (2,), "bcg_radec": (2,), "sky_axes": (2, 2)}
# Batches that are read at once hold whole chunks up to this size in bytes, as stored or as float32, whichever is
# larger. It equals the batch size of `read_batches`, which avoids a copy. A single chunk may be up to MAX_CHUNK_BYTES.
BATCH_BYTES = 32 * 1024**2
_MAX_BATCH_BYTES = 64 * 1024**2
# A chunk is always read completely, even if only some of its cutouts are needed.
MAX_CHUNK_BYTES = 256 * 1024**2
# Limits on chunks that are not stored, above which the claimed shape is considered wrong.
_BLANK_CHUNKS, _BLANK_ROWS, _BLANK_RATIO = 16, 1024, 4
# Maximum size of a column other than the pixels, and of a single value.
MAX_COLUMN_BYTES = 256 * 1024**2
_MAX_VALUE_BYTES = 16 * 1024
_MAX_BANDS = 100
# Text is parsed in numeric columns. Complex numbers, dates and records are refused.
_NUMBER_KINDS = ("iufSUTO", "numbers")
_KINDS = {"ids": ("SUTOiuf", "text or numbers"), "flags": ("iub", "integers")}
# Maximum memory of one cutout per pixel of the largest square: five planes of float64.
_MAX_PIXEL_BYTES = 40
_MAX_NAMES_SHOWN = 10
_FLOAT32_BYTES = 4
_GALAXIESML_BANDS = 5


class Rows(Protocol):
    """An array on disk with a known header; a slice along the first axis reads only its rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Stored(NamedTuple):
    """The arrays of one file, before any pixel is read."""

    name: str
    """name of the pixel array in the file, "" if it has none"""
    pixels: Rows
    """one cutout with three axes or n with four; slices are requested once each, in order, maybe not from the first"""
    columns: Mapping[str, Rows]
    """existing columns by gridlens name: `bands`, parameters of `CutoutSet` and metadata"""
    chunk: int = 1
    """number of cutouts that the file stores together, which can only be read together"""
    held: Callable[[], int] | None = None
    """counts the cutouts that the file can hold, regardless of its header; None if it holds all of them"""
    has: Callable[[int], bool] | None = None
    """returns whether the cutout at an index is stored, if that is faster than `held`"""
    random: bool = False
    """whether each cutout can be read without earlier ones, so that local damage does not affect the others"""


def pixels_name(names: Iterable[str]) -> str:
    """Return the name of the pixel array among the names in a file; raise CutoutError if there is none."""
    names = list(names)
    name = next((name for name in _PIXEL_NAMES if name in names), None)
    if name is None:
        shown = ", ".join(escaped(name) for name in names[:_MAX_NAMES_SHOWN])
        more = f" and {len(names) - _MAX_NAMES_SHOWN} more" if len(names) > _MAX_NAMES_SHOWN else ""
        raise CutoutError(
            f"There is no array 'pixels' in the file, only {shown or 'nothing'}{more}. "
            "Store the pixels, (n, H, W, 3) or (H, W, 3), under that key."
        )
    return name


def column_names(names: Iterable[str]) -> dict[str, str]:
    """Return the file's name for each of its columns, by gridlens name."""
    names = set(names)
    found = {column: next((name for name in stored if name in names), None) for column, stored in _COLUMN_NAMES.items()}
    return {column: name for column, name in found.items() if name is not None}


def find_columns(names: Iterable[str], array: Callable[[str], Rows], attributes: Sequence[Any]) -> dict[str, Rows]:
    """Open the columns other than the pixels, by gridlens name.

    If there is no array for the bands or the pixel scales, an attribute of that name is used, from the first of
    `attributes` that has it.
    """
    columns = {column: array(stored) for column, stored in column_names(names).items()}
    for owner in attributes:
        for column, stored in (*(("bands", name) for name in BAND_NAMES), ("pixel_scale", "pixel_scale")):
            if column in columns or stored not in owner:
                continue
            try:
                columns[column] = np.asarray(owner[stored])
            except ValueError:
                raise CutoutError(f"The attribute '{stored}' must hold a number, a string or a list of them.") from None
    return columns


def believed_rows(claimed: int, stored: int, chunk: int) -> int:
    """Return the number of rows of a chunked array: the claimed number, or the stored number if it is far smaller.

    Chunks with only the fill value need not be stored: a few missing chunks are accepted as blank cutouts.
    """
    blank = min(_BLANK_CHUNKS * chunk, _BLANK_ROWS)
    return claimed if claimed <= _BLANK_RATIO * stored + blank else stored


def count_stored(stored: Stored) -> int:
    """Count the cutouts of a file; the ones that it claims but cannot hold count as one, since they fail together."""
    n = _claimed(stored)
    held = _held(stored, n)
    return n if n <= held else held + 1


def _claimed(stored: Stored) -> int:
    shape = stored.pixels.shape
    return int(shape[0]) if len(shape) == 4 else 1


def _held(stored: Stored, n: int, last: int | None = None) -> int:
    """Count the cutouts that the file can hold, or return n if it has the one at `last`."""
    if stored.held is None or len(stored.pixels.shape) == 3:
        return n
    if last is not None and stored.has is not None and stored.has(last):
        return n
    return min(n, stored.held())


def read_stored(
    stored: Stored, entry: Entry, options: Resolved, rows: RowRange | None = None
) -> Iterator[CutoutSet | Unreadable]:
    """Read the cutouts, or the range `rows`, in order, about 32 MiB at a time; yield one empty set if there are none.

    If the file can be read in any order, damaged cutouts are yielded as `Unreadable` between the others.

    Each set ends at the end of a chunk of the file; a larger chunk, up to 64 MiB, is read as one set. Ids come from the
    file; if they are missing, a single cutout gets the entry's id, and one of many "NAME_000012".

    Raises
    ------
    CutoutError
        Before any pixel is read: the pixels are not numbers, their shape does not match the bands, or a column does not
        match the pixels. After the last cutout in the file: its header claims more.
    """
    pixels, shape = stored.pixels, tuple(stored.pixels.shape)
    if pixels.dtype.kind not in "uif":
        raise CutoutError(f"The array holds values of type {pixels.dtype}, but pixels must be real numbers.")
    names = options.bands or _stored_bands(stored, options)
    if names is None and stored.name == "image" and len(shape) == 4 and _GALAXIESML_BANDS in (shape[1], shape[3]):
        raise CutoutError(
            f"The array 'image' of shape {shape} does not name its bands. If they are those of GalaxiesML, use  "
            'bands="grizy".'
        )
    axis, _ = band_places(shape, names)
    height, width = (shape[k] for k in range(-3, 0) if k != axis)
    check_size(height, width, options)
    if math.prod(shape[-3:]) * pixels.dtype.itemsize > _MAX_PIXEL_BYTES * options.max_size**2:
        raise CutoutError(
            f"A cutout of the shape {shape[-3:]} and type {pixels.dtype} takes too much memory. Store only g, r and "
            "i, as float32."
        )
    # The gridlens layout, see `gridlens.cutouts._declared`.
    is_own = stored.name == PIXELS
    knows_scale = options.knows_scale or "pixel_scale" in stored.columns
    check_declared(bands=names is not None or is_own, pixel_scale=knows_scale or is_own, subject="The file does")
    assumed = assumed_flags(pixel_scale=knows_scale, zeropoint=options.knows_zeropoint or is_own)
    n = _claimed(stored)
    columns = {name: _Column(name, column, n) for name, column in stored.columns.items() if name != "bands"}
    step = _batch_length(stored, entry, options) if len(shape) == 4 else 1
    first, end = (0, n) if rows is None else (rows[0], min(rows[1], n))
    held = _held(stored, n, None if rows is None else end - 1)
    last = min(end, held)
    _warn_of_metadata(columns, (first, max(first, last)), entry if len(shape) == 4 else None, options)

    def read(start: int, stop: int) -> CutoutSet:
        return _read_batch(pixels, columns, start, stop, names, entry, options, assumed)

    starts = range(first, last if end > last else max(end, first + 1), step)
    ranges = ((start, max(start, min(start + step, last))) for start in starts)
    if stored.random:
        for part in read_around(read, ranges):
            yield part._replace(ids=_ids_of(part, columns, entry)) if isinstance(part, Unreadable) else part
            del part  # otherwise it stays in memory while the next one is read
    else:
        yield from itertools.starmap(read, ranges)
    if end > last:
        raise CutoutError(
            f"The file is damaged or truncated: its header claims {n} cutouts, but it can hold only {held}. Download "
            "or write it again."
        )


def _ids_of(lost: Unreadable, columns: "Mapping[str, _Column]", entry: Entry) -> tuple[str, ...]:
    """Return the ids of unreadable cutouts, from the file unless they are damaged too."""
    numbered = [f"{entry.id}_{k:06d}" for k in range(lost.start, lost.stop)]
    if "ids" not in columns:
        return tuple(numbered)
    try:
        known = as_ids(np.atleast_1d(columns["ids"].part(lost.start, lost.stop)))
    except Exception:  # a damaged file may raise almost any error in the libraries used
        return tuple(numbered)
    return tuple(name or number for name, number in zip(known, numbered, strict=True))


def _read_batch(
    pixels: Rows,
    columns: "Mapping[str, _Column]",
    start: int,
    stop: int,
    names: tuple[str, ...] | None,
    entry: Entry,
    options: Resolved,
    assumed: int,
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
    axes = values.get("sky_axes")
    if axes is not None and options.pixel_scale is not None:
        axes = at_scale(axes.astype(np.float64), options.pixel_scale)
    return CutoutSet(
        part,
        bcg_xy=_known_places(values.get("bcg_xy"), part.shape[1:3]),
        pixel_scale=options.scale(values.get("pixel_scale")),
        ids=ids,
        metadata=known_metadata({name: values[name] for name in METADATA_NAMES if name in values})[0],
        paths=[entry.joined] * (stop - start),
        flags=_flags(values.get("flags", 0), options) | assumed,
        sky_axes=axes,
        bcg_radec=values.get("bcg_radec"),
    )


def _flags(stored: Any, options: Resolved) -> NDArray[np.int64]:
    """Return the flags of a file, without flags for assumptions that the caller's options replace."""
    settled = assumed_flags(pixel_scale=options.pixel_scale is None, zeropoint=options.zeropoint is None)
    return np.asarray(stored).astype(np.int64) & ~settled


def _known_places(bcg_xy: NDArray[Any] | None, size: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the positions (x, y) of BCGs, or the centre if they are unknown."""
    if bcg_xy is None or bcg_xy.dtype.kind not in "iuf":
        return bcg_xy
    unknown = (np.isnan(bcg_xy) | implausible("bcg_x", bcg_xy)).any(axis=-1, keepdims=True)
    return np.where(unknown, [(side - 1) / 2 for side in reversed(size)], bcg_xy)


def _warn_of_metadata(columns: "Mapping[str, _Column]", rows: RowRange, entry: Entry | None, options: Resolved) -> None:
    """Warn once about implausible metadata; once in total for files of a single cutout (`entry` None)."""
    try:
        values = {name: columns[name].part(*rows) for name in METADATA_NAMES if name in columns}
        if "bcg_xy" in columns:
            places = columns["bcg_xy"].part(*rows)
            values |= {"bcg_x": places[..., 0], "bcg_y": places[..., 1]}
    except Exception:  # columns with local damage are read around it later
        return
    words = known_metadata(values)[1]
    if words:
        where = "files of one cutout" if entry is None else escaped(entry.path)
        options.warn_once(f"Some metadata values in {where} are implausible and are treated as unknown: {words}.")


class _Column:
    """Values other than pixels, one for each cutout or one for all."""

    def __init__(self, name: str, rows: Rows, n: int) -> None:
        self._rows = rows
        kinds, words = _KINDS.get(name, _NUMBER_KINDS)
        if rows.dtype.kind not in kinds or rows.dtype.itemsize > _MAX_VALUE_BYTES:
            raise CutoutError(f"The array '{name}' must hold {words}. Got values of type {rows.dtype} instead.")
        shape = tuple(rows.shape)
        one = _SHAPES.get(name, ())
        # some writers store a table column as (n, 1)
        self._by_row = shape in ((n, *one), (n, *one, 1))
        self._tail = one
        if not self._by_row and (shape not in (one, (1, *one)) or (name == "ids" and n != 1)):
            got = shape[0] if shape[1:] == one and shape else f"the shape {shape}"
            raise CutoutError(f"The array '{name}' must have one entry per cutout, {n}. Got {got} instead.")

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """Return the values of the cutouts from `start` to `stop`, or the single value for all."""
        if self._by_row:
            return np.asarray(self._rows[start:stop]).reshape(stop - start, *self._tail)
        return np.asarray(self._rows[...]).reshape(self._tail)


def _stored_bands(stored: Stored, options: Resolved) -> tuple[str, ...] | None:
    if "bands" not in stored.columns:
        return None
    found = stored.columns["bands"]
    is_text = found.dtype.kind in "SUTO" and found.dtype.itemsize <= _MAX_VALUE_BYTES
    if not is_text or not 0 < math.prod(found.shape) <= _MAX_BANDS:
        raise CutoutError(
            "The array 'bands' must name the planes of the pixels. "
            f"Got the shape {tuple(found.shape)} and type {found.dtype} instead."
        )
    words = np.asarray(found[...])
    if words.ndim == 0 or words.size == 1:
        return split_bands(as_id(words.reshape(-1)[0]), options.filters)
    return name_bands((as_id(word) for word in words.reshape(-1)), options.filters)


def _batch_length(stored: Stored, entry: Entry, options: Resolved) -> int:
    shape = stored.pixels.shape
    each = max(1, math.prod(shape[1:]) * max(stored.pixels.dtype.itemsize, _FLOAT32_BYTES))
    chunk = max(1, min(stored.chunk, shape[0]))
    most = max(1, _MAX_BATCH_BYTES // each)
    if chunk > most:
        options.warn_once(
            f"The file {escaped(entry.path)} stores {chunk} cutouts in each chunk, too many to hold in memory: each "
            f"chunk is read {math.ceil(chunk / most)} times. If that is too slow, write the file with a few cutouts "
            "per chunk."
        )
        return most
    return chunk * max(1, BATCH_BYTES // (each * chunk))
