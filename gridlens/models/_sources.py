"""Where labelled and unlabelled cutouts come from: image files, and feature caches of what was measured before."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gridlens.cutouts import CutoutBatch
from gridlens.cutouts.readers import count_cutouts, read_batches
from gridlens.features import FeatureCache, Measured, is_feature_cache, measure

__all__ = ["Sources", "measured_of"]


class Sources:
    """Cutouts of image files and feature caches, in batches: first what is cached, in the order of `paths`.

    Parameters
    ----------
    paths : sequence of str or path
        Files, folders and globs, as `gridlens.cutouts.read_batches` takes them, and feature caches among them.
    reading : dict
        Further arguments of `gridlens.cutouts.read_batches`, for the images.

    Attributes
    ----------
    caches : list of FeatureCache
    images : list of str
    total : int or None
        Cutouts, those that will be rejected with them; None where counting would take long.

    Raises
    ------
    GridlensError
        A cache is damaged or of another contract version, or nothing is found.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], **reading: Any) -> None:
        self.caches: list[FeatureCache] = []
        self.images: list[str] = []
        self._reading = reading
        for path in [os.fspath(path) for path in paths]:
            for found in [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True)) or [path]:
                # A Parquet file that is no sound cache ends in a sentence that says so.
                if is_feature_cache(found) or (Path(found).suffix == ".parquet" and not os.path.isdir(found)):
                    self.caches.append(FeatureCache(found))
                else:
                    self.images.append(found)
        self.total: int | None = sum(map(len, self.caches))
        if self.images:
            counted = count_cutouts(
                self.images, uncalibrated=reading.get("uncalibrated", False), survey=reading.get("survey")
            )
            self.total = None if counted is None else self.total + counted

    def __iter__(self) -> Iterator[Measured | CutoutBatch]:
        for cache in self.caches:
            yield from cache.batches()
        if self.images:
            yield from read_batches(self.images, **self._reading)

    @property
    def record(self) -> list[dict[str, Any]]:
        """What a manifest says of them."""
        caches = [{"path": str(cache.path), "rows": len(cache), "source": cache.source} for cache in self.caches]
        return [*caches, *({"path": path} for path in self.images)]


def measured_of(batch: Measured | CutoutBatch) -> Measured:
    """What is known of a batch, with all metadata."""
    if isinstance(batch, Measured):
        return batch
    parts = [] if batch.cutouts is None else [measure(batch.cutouts, "all", -1).without_cutouts()]
    return Measured.concatenate([*parts, Measured.of_failures(batch.failures)])
