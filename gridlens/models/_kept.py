"""Labelled rows gathered on disk, so that what is learned from need not fit into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError

__all__ = ["KeptRows"]


class KeptRows:
    """Rows of features, and their cutouts where members look at them, in files that are mapped into memory.

    Parameters
    ----------
    folder : Path
        Where the files lie. It must outlive what is mapped.
    name : str
        Of the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.ids: list[str] = []
        self._places: list[np.ndarray] = []
        self._features, self._pixels = (
            _GrowingFile(folder / f"{name}.features"),
            _GrowingFile(folder / f"{name}.pixels"),
        )
        self._described: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: np.ndarray, features: np.ndarray, places: np.ndarray, cutouts: CutoutSet | None = None) -> None:
        """Append n rows: names, features (n, 315), places in a table of labels, and the cutouts where they are kept."""
        if not len(ids):
            return
        self.ids.extend(ids)
        self._places.append(places)
        self._features.add(features)
        if cutouts is not None:
            if not self._pixels.fits(cutouts.pixels):
                sizes = [
                    f"{width} x {height} px" for height, width, _ in (self._pixels.shape, cutouts.pixels.shape[1:])
                ]
                raise GridlensError(
                    "Members that look at cutouts learn from cutouts of one size, and there are "
                    f"{' and '.join(sizes)}. Give those of one size, or name members on features alone."
                )
            self._pixels.add(cutouts.pixels)
            names = ("bcg_xy", "pixel_scale", "ids", "metadata", "paths", "flags")
            self._described.append({name: getattr(cutouts, name) for name in names})

    @property
    def places(self) -> np.ndarray:
        """Places in the table of labels (n,)."""
        return np.concatenate([np.empty(0, dtype=np.int64), *self._places])

    @property
    def features(self) -> np.ndarray:
        """Features (n, 315), mapped into memory."""
        return self._features.mapped()

    @property
    def inputs(self) -> CutoutSet | np.ndarray:
        """What a detector learns from: the cutouts where they were kept."""
        if not self._described:
            return self.features
        joined = {
            name: pd.concat(values, ignore_index=True) if name == "metadata" else np.concatenate(values)
            for name in self._described[0]
            for values in [[part[name] for part in self._described]]
        }
        return CutoutSet(self._pixels.mapped(), **joined)


class _GrowingFile:
    """Rows of float32 of one shape, appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n = 0
        self.shape: tuple[int, ...] = ()

    def fits(self, rows: np.ndarray) -> bool:
        return self.n == 0 or rows.shape[1:] == self.shape

    def add(self, rows: np.ndarray) -> None:
        try:
            with open(self.path, "ab") as file:
                file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
        except OSError as exc:
            raise GridlensError(
                f"Cannot keep rows in {self.path.parent}: {exc.strerror or exc}. Make room, or set TMPDIR to another "
                "folder."
            ) from exc
        self.n, self.shape = self.n + len(rows), rows.shape[1:]

    def mapped(self) -> np.ndarray:
        return np.memmap(self.path, dtype=np.float32, mode="r", shape=(self.n, *self.shape))
