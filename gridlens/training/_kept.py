"""Rows that a training uses, with their pixels if members need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.sources import Partition, Source
from gridlens.training._store import MeasuredStore

__all__ = ["KeptRows", "read_pixels"]


class KeptRows:
    """Rows in a store, and their positions in a table.

    Parameters
    ----------
    folder : Path
        Folder for memory-mapped files.
    name : str
        Prefix of the file names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.store = MeasuredStore(folder, name)
        self.ids: list[str] = []
        self._places: list[np.ndarray] = []

    def add(self, measured: Measured, places: np.ndarray) -> None:
        """Append rows."""
        self.store.add(measured)
        self.ids += measured.ids.tolist()
        self._places.append(places)

    @property
    def places(self) -> np.ndarray:
        """Positions (n,) in the table."""
        return np.concatenate([np.empty(0, dtype=np.int64), *self._places])


def read_pixels(source: Source, partitions: Iterable[Partition], rows: Sequence[KeptRows]) -> None:
    """Append the pixels of the selected rows, which the engine does not return."""
    wanted = [(kept, set(kept.ids)) for kept in rows]
    found: list[list[str]] = [[] for _ in rows]
    for partition in partitions:
        for batch in source.read(partition):
            cutouts = None if isinstance(batch, Measured) else batch.cutouts
            if cutouts is None:
                continue
            for (kept, ids), names in zip(wanted, found, strict=True):
                chosen = [k for k, name in enumerate(cutouts.ids) if name in ids]
                kept.store.add_cutouts(cutouts[chosen])
                names += cutouts.ids[chosen].tolist()
    if any(names != kept.ids for (kept, _), names in zip(wanted, found, strict=True)):
        raise GridlensError(
            "The cutouts changed during the training. Train the model again, and do not modify the cutouts meanwhile."
        )
