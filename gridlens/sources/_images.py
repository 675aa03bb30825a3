"""Cutouts extracted from survey images as a source of partitions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import CatalogLike, PathsLike
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.cutouts.images._extract import ExtractedBatch, cut_rows, make_plan
from gridlens.cutouts.images._options import CutOptions
from gridlens.cutouts.images._plan import Plan
from gridlens.sources._arguments import arguments_of
from gridlens.sources._partition import Partition
from gridlens.sources._stamps import catalog_digest, frame_digest, stamp

__all__ = ["ImageSource"]

_PARTITION_CLUSTERS = 128


class ImageSource:
    """Cutouts extracted from survey images in partitions, in any order and in any number of processes.

    Each process makes its own plan from the catalogue and the index of the images in the user's cache folder.

    Parameters
    ----------
    catalog, images, columns
        As in `extract_batches`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that are added to each cluster's row of a score table.
    options : CutOptions, default=None
        Options for the extraction; None means the defaults.

    Raises
    ------
    CutoutError
        At the call: a parameter is invalid, a band has no usable image, or no position is on the images.
    GridlensError
        At the call: the catalogue cannot be read.

    See Also
    --------
    extract_batches : Extract all cutouts, in batches.
    FileSource : Source for cutouts that are already in files.
    """

    def __init__(
        self,
        catalog: CatalogLike,
        images: Mapping[str, PathsLike],
        *,
        columns: Mapping[str, str] | None = None,
        keep_columns: Sequence[str] = (),
        options: CutOptions | None = None,
    ) -> None:
        self._catalog, self._images, self._columns, self._keep = catalog, images, columns, tuple(keep_columns)
        self._options = CutOptions() if options is None else options
        self._plan = self._make_plan()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plan = self._make_plan()

    def _make_plan(self) -> Plan:
        return make_plan(self._catalog, self._images, self._columns, self._options, self._keep)

    @property
    def kept(self) -> KeptColumns | None:
        """Catalogue columns kept for each cluster, or None."""
        return self._plan.kept

    def partitions(self) -> list[Partition]:
        """Split the clusters, keeping those on one image together; the same files always give the same partitions."""
        n = len(self._plan.order)
        parts = [(start, min(start + _PARTITION_CLUSTERS, n)) for start in range(0, n, _PARTITION_CLUSTERS)]
        # The first partition holds the clusters that are not on any image.
        return [Partition((), part) for part in ((0, 0), *parts)]

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> list[Partition]:
        """Return a partition for each cluster with one of the ids; `paths` (of images) is ignored."""
        wanted = set(ids)
        places = [k for k, row in enumerate(self._plan.order.tolist()) if self._plan.names[row] in wanted]
        return [Partition((), (k, k + 1)) for k in places]

    @property
    def n(self) -> int:
        """Number of clusters."""
        return len(self._plan.catalog)

    @property
    def record(self) -> list[dict[str, Any]]:
        """Return the images of each band as they were given."""
        return [{"path": path, "band": band} for band, given in self._images.items() for path in _as_list(given)]

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments of `open_source` that open this source again; None if the catalogue is not a file."""
        images = {band: _as_list(given) for band, given in self._images.items()}
        return arguments_of(self._options, self._catalog, self._columns, images=images)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch]:
        """Extract a partition in batches; clusters that cannot be extracted are returned as failures.

        No metadata are joined, so only the rows of the cutouts are added to `gaps`, for kept columns.
        """
        for batch in self.cut(partition):
            if batch.cutouts is not None and self.kept is not None and gaps is not None:
                gaps.remember(batch.cutouts.ids.tolist(), batch.cutouts.paths.tolist(), batch.rows.tolist())
            yield CutoutBatch(batch.cutouts, batch.failures)

    def cut(self, partition: Partition) -> Iterator[ExtractedBatch]:
        """Extract a partition like `read`, with the WCS of each cutout."""
        return cut_rows(self._plan, part=partition.rows)

    def split(self, partition: Partition) -> list[Partition]:
        """Return the halves of a partition; an empty list if it holds a single cluster."""
        return partition.halves()

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure for a cluster that crashes every process that extracts it."""
        start, _ = partition.rows or (0, 0)
        row = int(self._plan.order[start])
        return ReadFailure(self._plan.names[row], "", message, int(CutoutFlag.FAILED) | int(self._plan.flags[row]))

    def identity(self) -> dict[str, str]:
        """Return digests of the inputs of the cutouts, by parameter name."""
        tiles = hashlib.sha256()
        for index in self._plan.indices:
            for tile in index.tiles:
                tiles.update(repr((tile.path, stamp(tile.path))).encode())
        columns = (sorted((self._columns or {}).items()), self._keep)
        return {
            "images": tiles.hexdigest(),
            "catalogue": catalog_digest(self._catalog) if self._keep else frame_digest(self._plan.catalog),
            "reading options": hashlib.sha256(repr((columns, self._options)).encode()).hexdigest(),
        }


def _as_list(paths: PathsLike) -> list[str]:
    return [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
