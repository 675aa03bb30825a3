"""Training batches, read from prepared images as needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gridlens_deep._store import Images

__all__ = ["Batch", "BatchRows", "ImageDataset", "grouped_validation", "loader"]


class Batch(NamedTuple):
    """Images (n, channels, H, W), labels and weights (n,)."""

    images: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor


class ImageDataset(Dataset[Batch]):
    """Batches of `images` by their row numbers."""

    def __init__(self, images: Images, y: np.ndarray, weight: np.ndarray) -> None:
        self.images = images
        self.y, self.weight = np.asarray(y, np.float32), np.asarray(weight, np.float32)

    def __getitem__(self, rows: np.ndarray) -> Batch:
        return Batch(*(torch.from_numpy(part) for part in (self.images.read(rows), self.y[rows], self.weight[rows])))


class BatchRows(Sampler[np.ndarray]):
    """Row numbers of the batches of an epoch.

    Their order depends only on `seed` and `epoch`, so an interrupted training continues as if it had not been
    interrupted. Each of several processes that train one network gets an equal part.
    """

    def __init__(self, rows: np.ndarray, batch: int, *, seed: int | None = None) -> None:
        self.rows, self.batch, self.seed, self.epoch = rows, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        own = len(self.rows) // _processes()[1] if self.seed is not None else len(self.rows)
        # Batch normalization cannot normalize a single row.
        return max(1, -(-own // self.batch) - (self.seed is not None and own % self.batch == 1))

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self.rows
        if self.seed is not None:
            rank, world = _processes()
            rows = np.random.default_rng((self.seed, self.epoch)).permutation(rows)
            rows = rows[: len(rows) // world * world][rank::world]
        for k in range(len(self)):
            yield rows[k * self.batch : (k + 1) * self.batch]


def loader(data: ImageDataset, rows: BatchRows) -> DataLoader[Any]:
    """Return a loader of whole batches: reading from the file is cheaper than a process that reads ahead."""
    return DataLoader(data, batch_size=None, sampler=rows, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    return batch


def _processes() -> tuple[int, int]:
    """Return the rank of this process among those that train together, and their number."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def grouped_validation(
    y: np.ndarray, groups: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Split rows by groups into training and validation rows with both classes; None if there are too few."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = max(2, round(1.0 / fraction))
    if min(len(np.unique(groups[y == value])) for value in (0, 1)) < folds:
        return None
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    train, held = next(iter(splitter.split(np.zeros(len(y)), y, groups)))
    return (train, held) if len(np.unique(y[held])) == len(np.unique(y[train])) == 2 else None
