"""Cutouts as batches: stretched on the way, never all in memory at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from gridlens.cutouts import Augmentation, CutoutSet
from gridlens_deep._images import Grid, images_of

__all__ = ["Batch", "CutoutDataset", "grouped_validation"]


class Batch(NamedTuple):
    """Images (n, 3, H, W), labels, weights and row numbers (n,)."""

    images: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor
    row: torch.Tensor


class CutoutDataset(Dataset[Any]):
    """Rows of a `CutoutSet`, each brought to the network's grid when it is asked for.

    Pixels that are mapped from a file are read a cutout at a time. `epoch` and the row number seed the augmentation:
    the same versions for any number of workers.
    """

    def __init__(
        self,
        cutouts: CutoutSet,
        rows: np.ndarray,
        grid: Grid,
        y: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        self.cutouts, self.rows, self.grid = cutouts, rows, grid
        n = len(cutouts)
        self.y = np.zeros(n, np.float32) if y is None else np.asarray(y, np.float32)
        self.weight = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
        self.augment, self.seed, self.epoch = augment, seed, 0
        # What the sky does to a cutout: another exposure, other seeing, another zero point.
        self.sky = Augmentation(blur=(0.0, 0.6), noise=(1.0, 1.5), flux=(0.8, 1.25))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        row = int(self.rows[index])
        one = self.cutouts[row]
        if self.augment:
            key = (self.seed, self.epoch, row)
            one = self.sky(one, key)
            shift = np.random.default_rng(key).integers(-2, 3, size=2)
            one = CutoutSet(one.pixels, bcg_xy=one.bcg_xy + shift, pixel_scale=one.pixel_scale)
        return Batch(
            torch.from_numpy(images_of(one, self.grid)[0]),
            torch.tensor(self.y[row]),
            torch.tensor(self.weight[row]),
            torch.tensor(row),
        )


def grouped_validation(
    y: np.ndarray, groups: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows to learn from and rows to watch, of other groups and with both classes; None where there are too few."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = max(2, round(1.0 / share))
    if min(len(np.unique(groups[y == value])) for value in (0, 1)) < folds:
        return None
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    train, held = next(iter(splitter.split(np.zeros(len(y)), y, groups)))
    return (train, held) if len(np.unique(y[held])) == len(np.unique(y[train])) == 2 else None
