"""Clusters cut out of survey images by many workers, each partitions of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.cutouts.images._extract import CutGeometry, cut_rows, make_plan
from gridlens.cutouts.images._plan import Plan
from gridlens.sources._partition import Partition
from gridlens.sources._stamps import frame_digest, stamp

__all__ = ["ImageSource"]

_PARTITION_CLUSTERS = 128


class ImageSource:
    """Cut clusters out of survey images by partitions, in any order and in any number of processes.

    Each process plans for itself, from the catalogue and the index of the images in the user's cache folder.

    Parameters
    ----------
    catalog, images, size, npix, columns, survey, zeropoint, match_psf, seeing
        As in `extract_batches`.

    Raises
    ------
    CutoutError
        At the call: a parameter is wrong, a band has no usable image, or no position is on the images.
    GridlensError
        At the call: the catalogue cannot be read.

    See Also
    --------
    extract_batches : all of it, one batch after another.
    FileSource : the same for cutouts that are there already.
    """

    def __init__(
        self,
        catalog: str | os.PathLike[str] | pd.DataFrame,
        images: Mapping[str, PathsLike],
        *,
        size: float | str = 64.0,
        npix: int = 128,
        columns: Mapping[str, str] | None = None,
        survey: str | None = None,
        zeropoint: float | Mapping[str, float] | None = None,
        match_psf: bool = False,
        seeing: float | Mapping[str, float] | None = None,
    ) -> None:
        self._geometry = CutGeometry.checked(size, npix)
        self._catalog, self._images = catalog, images
        self._options: dict[str, Any] = {
            "columns": columns,
            "survey": survey,
            "zeropoint": zeropoint,
            "match_psf": match_psf,
            "seeing": seeing,
        }
        self._plan = self._make_plan()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plan = self._make_plan()

    def _make_plan(self) -> Plan:
        return make_plan(self._catalog, self._images, geometry=self._geometry, **self._options)

    def partitions(self) -> list[Partition]:
        """Split the clusters, those of one image together; the same files give the same partitions every time."""
        n = len(self._plan.order)
        parts = [(start, min(start + _PARTITION_CLUSTERS, n)) for start in range(0, n, _PARTITION_CLUSTERS)]
        # First the clusters that are on no image.
        return [Partition((), part) for part in ((0, 0), *parts)]

    @property
    def n(self) -> int:
        """Clusters in all."""
        return len(self._plan.catalog)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch]:
        """Cut a partition out; a cluster that cannot be cut becomes a failure. There are no gaps: nothing is joined."""
        for batch in cut_rows(self._plan, self._geometry, part=partition.rows):
            yield CutoutBatch(batch.cutouts, batch.failures)

    def split(self, partition: Partition) -> list[Partition]:
        """Halves of a partition; none where it holds a single cluster."""
        return partition.halves()

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """The failure that stands for a cluster that nobody can cut."""
        start, _ = partition.rows or (0, 0)
        row = int(self._plan.order[start])
        return ReadFailure(self._plan.names[row], "", message, int(CutoutFlag.FAILED) | int(self._plan.flags[row]))

    def identity(self) -> dict[str, str]:
        """What would make other cutouts of the same call: digests by the name of the parameter that they hang on."""
        tiles = hashlib.sha256()
        for index in self._plan.indices:
            for tile in index.tiles:
                tiles.update(repr((tile.path, stamp(tile.path))).encode())
        return {
            "images": tiles.hexdigest(),
            "catalogue": frame_digest(self._plan.catalog),
            "reading options": hashlib.sha256(repr((self._geometry, self._options)).encode()).hexdigest(),
        }
