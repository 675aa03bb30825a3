"""Read HDF5 files and Zarr stores: groups of chunked arrays."""

import contextlib
from collections.abc import Iterator

from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts.readers._chunks import RowRange, Stored, count_stored, read_stored
from gridlens.cutouts.readers._hdf5 import open_hdf5
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._salvage import Unreadable
from gridlens.cutouts.readers._scan import Entry
from gridlens.cutouts.readers._zarr import open_zarr

__all__ = ["count_in_group", "read_group"]


def read_group(entry: Entry, options: Resolved, rows: RowRange | None = None) -> Iterator[CutoutSet | Unreadable]:
    """Read a group with the arrays of an npz shard or of GalaxiesML, in batches aligned with its chunks.

    The names of the bands and the pixel scale may also be attributes of the array or of the group.
    """
    with _open(entry) as stored:
        yield from read_stored(stored, entry, options, rows)


def count_in_group(entry: Entry) -> int:
    """Count the cutouts from the shape and the stored part of the array."""
    with _open(entry) as stored:
        return count_stored(stored)


def _open(entry: Entry) -> contextlib.AbstractContextManager[Stored]:
    return open_hdf5(entry.path) if entry.kind == "hdf5" else open_zarr(entry.path)
