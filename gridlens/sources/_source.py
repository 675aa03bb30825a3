"""`Source`: where cutouts come from, and what every command and every function that takes many cutouts needs of it."""

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
    """Cutouts, or what was measured of them, that any number of workers read by partitions.

    A source is pickled for each worker. `FileSource`, `ImageSource` and `CacheSource` are sources, and `open_source`
    makes one of what a user names; with these methods any class is.
    """

    @property
    def n(self) -> int | None:
        """Number of cutouts; None where counting them would take long."""
        ...

    @property
    def kept(self) -> KeptColumns | None:
        """Columns of a catalogue that follow each cutout into a table of scores; None without any."""
        ...

    @property
    def record(self) -> list[dict[str, Any]]:
        """Entries of the source in the manifest of a model: JSON values by name, one entry for each file or folder."""
        ...

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Arguments of `open_source` that open the source again, in types that JSON has; None if it has none."""
        ...

    def partitions(self) -> Sequence[Partition]:
        """Split the source; the same files give the same partitions every time."""
        ...

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> Sequence[Partition]:
        """Return the partitions that hold some cutouts, and as few others as can be known without reading pixels.

        Parameters
        ----------
        ids : collection of str
            Ids of the cutouts.
        paths : collection of str, default=()
            Their files, where they are known. They need not be: a source without such files goes by the ids.
        """
        ...

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch | Measured]:
        """Read a partition in batches, and add to `gaps` what joining a catalogue left open."""
        ...

    def split(self, partition: Partition) -> list[Partition]:
        """Return the halves of a partition; an empty list where it holds a single cutout."""
        ...

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure that represents a partition of a single cutout that ends every process that reads it."""
        ...

    def identity(self) -> dict[str, str]:
        """Return digests of what the cutouts depend on, by the name of the parameter: a resumed run compares them."""
        ...
