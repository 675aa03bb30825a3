"""Read HDF5 files and Zarr stores: groups of arrays, in chunks."""

import contextlib
import os
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from gridlens._errors import CutoutError
from gridlens.cutouts._chunks import BAND_NAMES, RowRange, Rows, Stored, column_names, pixels_name, read_pieces
from gridlens.cutouts._planes import ReadOptions, import_library
from gridlens.cutouts._scan import Entry
from gridlens.cutouts._set import CutoutSet

__all__ = ["count_in_group", "read_group"]


def read_group(entry: Entry, options: ReadOptions, rows: RowRange | None = None) -> Iterator[CutoutSet]:
    """Read a group that holds the arrays of an npz shard, or those of GalaxiesML, in pieces that end with its chunks.

    The names of the bands and the pixel scale may also be attributes, of the array or else of the group.
    """
    with _open(entry) as group:
        yield from read_pieces(_stored(group), entry, options, rows)


def count_in_group(entry: Entry) -> int:
    """Count the cutouts from the shape of the array; what cannot be read counts 1."""
    try:
        with _open(entry) as group:
            shape = _stored(group).pixels.shape
    except Exception:  # a damaged file can raise nearly anything from the libraries below
        return 1
    return int(shape[0]) if len(shape) == 4 else 1


@contextlib.contextmanager
def _open(entry: Entry) -> Iterator[Any]:
    if entry.kind == "hdf5":
        with import_library("h5py", "HDF5 files").File(entry.path, "r") as file:
            yield file
        return
    zarr = import_library("zarr", "Zarr stores")
    if os.path.isdir(entry.path):
        yield zarr.open(entry.path, mode="r")
        return
    folder = _folder_in_zip(entry.path)
    with zarr.storage.ZipStore(entry.path, mode="r") as store:
        yield zarr.open(store, mode="r", path=folder)


def _folder_in_zip(path: str) -> str:
    """Return the folder of the zip file that is the store: "" for its root, or the one that was zipped whole."""
    with zipfile.ZipFile(path) as archive:
        roots = {name.split("/")[0] for name in archive.namelist()} - {"__MACOSX"}
    return roots.pop() if len(roots) == 1 and not roots & {"zarr.json", ".zgroup", ".zarray"} else ""


def _stored(group: Any) -> Stored:
    columns: dict[str, Rows] = {}
    if _is_array(group):  # a store may be a lone array
        name, pixels = "pixels", group
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr's, of files that lie in the folder of the store and are none of it
            names = list(group)
        name = pixels_name(names)
        pixels = group[name]
        if not _is_array(pixels):
            raise CutoutError(f"There is a group {name!r} where the pixels are looked for. Store the array itself so.")
        columns = {column: group[stored] for column, stored in column_names(names).items()}
        columns = {column: array for column, array in columns.items() if _is_array(array)}
    for owner in (pixels, group):
        for column, stored in (*(("bands", name) for name in BAND_NAMES), ("pixel_scale", "pixel_scale")):
            if column not in columns and stored in owner.attrs:
                columns[column] = np.asarray(owner.attrs[stored])
    return Stored(name, pixels, columns, pixels.chunks[0] if pixels.chunks else 1)


def _is_array(item: Any) -> bool:
    return hasattr(item, "shape")
