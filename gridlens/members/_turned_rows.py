"""Rows in their eight orientations, read in batches by LightGBM, so that the copies are never all in memory."""

from collections.abc import Iterator

import lightgbm
import numpy as np

from gridlens.features._symmetry import turn_features

__all__ = ["TurnedRows"]


class TurnedRows(lightgbm.Sequence):  # type: ignore[misc]
    """The rows of `dihedral`, one orientation after the other, each computed when it is read.

    LightGBM reads them in batches and stores them as bins of one byte. The edges of the bins come from rows that are
    `drawn` before.

    Parameters
    ----------
    X : ndarray of shape (n, 315), float32
        Rows in memory, or memory-mapped from a file.
    versions : int
        8 for all orientations, 1 for the rows as they are.
    """

    batch_size = 4096

    def __init__(self, X: np.ndarray, versions: int) -> None:
        self.X = X
        self.versions = versions

    def __len__(self) -> int:
        return self.versions * len(self.X)

    def __getitem__(self, index: slice) -> np.ndarray:  # type: ignore[override]
        start, stop, _ = index.indices(len(self))
        return np.concatenate(list(self._batches(start, stop)))

    def drawn(self, n: int, seed: int) -> np.ndarray:
        """Draw `n` rows (n, 315) without replacement, in their order; all rows if there are not more."""
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), min(n, len(self)), replace=False))
        version, row = np.divmod(chosen, len(self.X))
        return np.concatenate([turn_features(self.X[row[version == k]], k) for k in range(self.versions)])

    def _batches(self, start: int, stop: int) -> Iterator[np.ndarray]:
        n = len(self.X)
        while start < stop:
            version, row = divmod(start, n)
            end = min(n, row + stop - start)
            yield turn_features(self.X[row:end], version)
            start += end - row
