"""Measured cutouts in memory-mapped files, for training sets larger than the memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.features._measured import measured_columns

__all__ = ["MeasuredStore"]

_OF_CUTOUTS = ("bcg_xy", "pixel_scale", "ids", "metadata", "paths", "flags", "sky_axes", "bcg_radec")


class MeasuredStore:
    """Store that appends rows of `Measured` to files: features, and pixels if members need them.

    Parameters
    ----------
    folder : Path
        Folder of the files, which must exist as long as the rows are used.
    name : str
        Prefix of the file names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._features = _GrowingFile(folder / f"{name}.features")
        self._pixels = _GrowingFile(folder / f"{name}.pixels")
        # Everything except features and pixels.
        self._rows: list[Measured] = []
        self._cutouts: list[dict[str, np.ndarray | pd.DataFrame]] = []

    def __len__(self) -> int:
        return self._features.n

    def add(self, measured: Measured) -> None:
        """Append rows, including their cutouts if present.

        Raises
        ------
        GridlensError
            The size of the cutouts differs from that of earlier ones, or the disk is full.
        """
        if not len(measured):
            return
        if measured.cutouts is not None:
            self.add_cutouts(measured.cutouts)
        self._features.add(measured.features)
        self._rows.append(replace(measured, features=measured.features[:, :0], cutouts=None))

    def add_cutouts(self, cutouts: CutoutSet) -> None:
        """Append cutouts, in the order of the rows."""
        if not len(cutouts):
            return
        if not self._pixels.fits(cutouts.pixels):
            sizes = [f"{width} x {height} px" for height, width, _ in (self._pixels.shape, cutouts.pixels.shape[1:])]
            raise GridlensError(
                "Members that need pixels can only be trained on cutouts of one size. Got cutouts of "
                f"{' and '.join(sizes)} instead. Give cutouts of one size, or members on features."
            )
        self._pixels.add(cutouts.pixels)
        self._cutouts.append({name: getattr(cutouts, name) for name in _OF_CUTOUTS})

    def measured(self) -> Measured:
        """Return all rows, with memory-mapped features and pixels."""
        rows = Measured.concatenate([])
        if not len(self):
            return rows
        columns = {
            name: np.concatenate([getattr(part, name) for part in self._rows])
            for name in measured_columns()
            if name != "features"
        }
        return replace(rows, **columns, features=self._features.mapped(), cutouts=self._mapped_cutouts())

    def _mapped_cutouts(self) -> CutoutSet | None:
        if not self._cutouts:
            return None
        described = {
            name: pd.concat(parts, ignore_index=True) if name == "metadata" else np.concatenate(parts)
            for name in _OF_CUTOUTS
            for parts in [[part[name] for part in self._cutouts]]
        }
        return CutoutSet(self._pixels.mapped(), **described)


class _GrowingFile:
    """File to which rows of float32 values of the same shape are appended."""

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
                f"Cannot write rows to {self.path.parent}: {exc.strerror or exc}. Free some space, or set TMPDIR to "
                "another folder."
            ) from exc
        self.n, self.shape = self.n + len(rows), rows.shape[1:]

    def mapped(self) -> np.ndarray:
        return np.memmap(self.path, dtype=np.float32, mode="r", shape=(self.n, *self.shape))
