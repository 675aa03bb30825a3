"""Rows in their eight turns for LightGBM to read piece by piece, so that the turned copies are never all there."""

from collections.abc import Iterator

import lightgbm
import numpy as np

from gridlens.features import turn_features

__all__ = ["TurnedRows"]


class TurnedRows(lightgbm.Sequence):  # type: ignore[misc]
    """The rows of `dihedral`, one version after the other, each turned when it is read.

    LightGBM reads rows one by one to draw its bins from, then all of them in batches, which it keeps as bins of a byte.

    Parameters
    ----------
    X : ndarray of shape (n, 315), float32
        Rows in memory, or mapped from a file.
    versions : int
        8 for all turns, 1 for the rows as they are.
    """

    batch_size = 4096

    def __init__(self, X: np.ndarray, versions: int) -> None:
        self.X = X
        self.versions = versions

    def __len__(self) -> int:
        return self.versions * len(self.X)

    def __getitem__(self, index: int | slice) -> np.ndarray:  # type: ignore[override]
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return np.concatenate(list(self._pieces(start, stop)))
        version, row = divmod(int(index), len(self.X))
        # LightGBM draws bins from float64 alone.
        return turn_features(self.X[row : row + 1], version)[0].astype(np.float64)

    def _pieces(self, start: int, stop: int) -> Iterator[np.ndarray]:
        n = len(self.X)
        while start < stop:
            version, row = divmod(start, n)
            end = min(n, row + stop - start)
            yield turn_features(self.X[row:end], version)
            start += end - row
