"""The protocol `Source`: the interface between inputs and all functions that process many cutouts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from gridlens.cutouts import CutoutBatch, ReadFailure
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.features import Measured
from gridlens.sources._partition import Partition

__all__ = ["Source"]


class Source(Protocol):
    """Cutouts, or their measured features, that any number of workers can read in partitions.

    A source is pickled for each worker. `FileSource`, `ImageSource` and `CacheSource` are sources, and `open_source`
    creates them from paths. Any class with these methods is a source.
    """

    @property
    def n(self) -> int | None:
        """Number of cutouts; None if counting them would take long."""
        ...

    @property
    def kept(self) -> KeptColumns | None:
        """Columns of a catalogue that are added to each row of a score table, or None."""
        ...

    @property
    def record(self) -> list[dict[str, Any]]:
        """Return entries for the manifest of a model: JSON values by name, one entry for each file or folder."""
        ...

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments of `open_source` that open the source again, as JSON types; None if there are none."""
        ...

    def partitions(self) -> Sequence[Partition]:
        """Split the source into partitions; the same files always give the same partitions."""
        ...

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> Sequence[Partition]:
        """Return the partitions that hold given cutouts, and as few others as possible without reading pixels.

        Parameters
        ----------
        ids : collection of str
            Ids of the cutouts.
        paths : collection of str, default=()
            Their files, if known. A source without such files uses the ids.
        """
        ...

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch | Measured]:
        """Read a partition in batches, and add unresolved cases of the catalogue join to `gaps`."""
        ...

    def split(self, partition: Partition) -> list[Partition]:
        """Return the halves of a partition; an empty list if it holds a single cutout."""
        ...

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure for a single cutout that crashes every process that reads it."""
        ...

    def identity(self) -> dict[str, str]:
        """Return digests of the inputs of the cutouts, by parameter name; a resumed run compares them."""
        ...
