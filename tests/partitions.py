"""A source and a work for tests of the engines: quick, and able to end the process. Other processes import them."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gridlens.cutouts import CutoutBatch, CutoutSet, ReadFailure
from gridlens.engine._work import MeasuringWork
from gridlens.sources import Partition

__all__ = ["EACH", "SHARDS", "SIZE", "Numbers", "Tally", "Unloadable", "score_shards"]

SIZE = 48
SHARDS, EACH = 24, 80


class Numbers:
    """A source of cutouts whose ids are their numbers, five to a partition."""

    kept = None

    def __init__(self, n, each=5):
        self.n, self.each = n, each

    def partitions(self):
        return [Partition((), (start, min(start + self.each, self.n))) for start in range(0, self.n, self.each)]

    def read(self, partition, gaps=None):
        start, stop = partition.rows
        if gaps is not None:
            gaps.joined += stop - start
        pixels = np.random.default_rng(start).normal(size=(stop - start, SIZE, SIZE, 3)).astype(np.float32)
        ids = [str(k) for k in range(start, stop)]
        yield CutoutBatch(CutoutSet(pixels, ids=ids, paths=ids), [])

    def find(self, ids, paths=()):
        return [Partition((), (int(name), int(name) + 1)) for name in ids]

    @property
    def record(self):
        return [{"path": "numbers"}]

    @property
    def arguments(self):
        return None

    def split(self, partition):
        start, stop = partition.rows
        middle = (start + stop) // 2
        return [Partition((), (start, middle)), Partition((), (middle, stop))] if stop - start > 1 else []

    def lost(self, partition, message):
        return ReadFailure(str(partition.rows[0]), "", message, 1 << 14)

    def identity(self):
        return {"numbers": f"{self.n} {self.each}"}


class Tally(MeasuringWork):
    """A work that scores a cutout by its number.

    Ids in `deadly` end the process, and `once` ends only the first process that meets its id.
    """

    def __init__(self, deadly=(), once=None, failing=(), seconds=0.0):
        self.deadly, self.once, self.failing, self.seconds = tuple(deadly), once, tuple(failing), seconds

    def table(self, measured):
        time.sleep(self.seconds)
        if set(measured.ids) & set(self.deadly) and measured.cutouts is not None:
            os._exit(9)
        if set(measured.ids) & set(self.failing) and measured.cutouts is not None:
            raise ArithmeticError("odd pixels")
        if self.once is not None and self.once[0] in measured.ids:
            mark = Path(self.once[1])
            if not mark.exists():
                mark.touch()
                os._exit(9)
        rows = pd.DataFrame(
            {
                "id": measured.ids.astype(str),
                "score": [float(hash_of(name)) for name in measured.ids],
                "status": np.where(measured.rejected, "rejected", "ok"),
                "message": measured.messages.astype(str),
                "flags": measured.flags,
            }
        )
        return pa.Table.from_pandas(rows, preserve_index=False).cast(SCHEMA)

    def identity(self):
        return {"tally": "1"}


class Unloadable(Tally):
    """A work that other processes cannot load; the file `mark` counts the attempts."""

    def __init__(self, mark, error):
        super().__init__()
        self.mark, self.error = str(mark), error

    def __setstate__(self, state):
        with open(state["mark"], "a") as file:
            file.write(".")
        if state["error"] is None:
            os._exit(9)
        raise state["error"]


def score_shards(shards, model, out):
    """Score shards, one partition each, and resume from existing results."""
    from gridlens.engine import score_files
    from gridlens.sources import FileSource, _files

    _files._PARTITION_CUTOUTS = 1
    score_files(FileSource(shards), out, models=(model,), n_jobs=1, resume=True)


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("score", pa.float64()),
        ("status", pa.string()),
        ("message", pa.string()),
        ("flags", pa.int64()),
    ]
)


def hash_of(name):
    """Return a number between 0 and 1 that depends only on the name; every third name gives the same number."""
    k = int(name)
    return 0.5 if k % 3 == 0 else (k * 7919 % 1009) / 1009
