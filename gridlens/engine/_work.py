"""Work on cutouts, in batches, that produces rows of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

from gridlens.cutouts import CutoutFlag, CutoutSet, ReadFailure
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.errors import GridlensError
from gridlens.features import Measured, measure
from gridlens.sources import Partition, Source

__all__ = ["MeasuringWork", "Work"]

# If fewer cutouts fail, they may be the cause; if all of this many fail, the model is, and the run must stop.
_ALL_FAIL = 8


class Work(Protocol):
    """Interface of the work on the batches of a partition; pickled for each process."""

    def read(self, source: Source, partition: Partition, gaps: JoinGaps) -> Iterator[Any]:
        """Read a partition in batches."""
        ...

    def tables(self, batches: Iterator[Any], n_threads: int) -> Iterator[pa.Table]:
        """Yield rows of the batches, one for each cutout and failure, in order.

        Raises
        ------
        GridlensError
            The work cannot be done for any cutout.
        """
        ...

    def failed(self, failures: Sequence[ReadFailure]) -> pa.Table:
        """Return the rows of failures; without failures, the columns without rows."""
        ...

    def completed(self, table: pa.Table, source: Source, gaps: JoinGaps) -> pa.Table:
        """Return the rows of a partition with columns added by its source."""
        ...

    def identity(self) -> dict[str, str]:
        """Return further dependencies of the rows, by name."""
        ...


class MeasuringWork(ABC):
    """Base class of work on measured cutouts. A cutout that cannot be measured becomes a rejected row."""

    @abstractmethod
    def table(self, measured: Measured) -> pa.Table:
        """Return the rows of measured cutouts, in order."""

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """Return further dependencies of the rows, by name."""

    def read(self, source: Source, partition: Partition, gaps: JoinGaps) -> Iterator[Any]:
        """Read a partition in batches."""
        return source.read(partition, gaps)

    def failed(self, failures: Sequence[ReadFailure]) -> pa.Table:
        """Return the rows of failures."""
        return self.table(Measured.of_failures(failures))

    def completed(self, table: pa.Table, source: Source, gaps: JoinGaps) -> pa.Table:
        """Return the table unchanged."""
        return table

    def tables(self, batches: Iterator[Any], n_threads: int) -> Iterator[pa.Table]:
        """Measure the batches and yield their rows, one for each cutout and failure, in order.

        Raises
        ------
        GridlensError
            The work cannot be done, or fails on each of the first cutouts.
        """
        total = n_failed = 0
        for batch in batches:
            if isinstance(batch, Measured):
                yield self.table(batch)
                continue
            if batch.cutouts is not None:
                tables, failures = self._measured(batch.cutouts, n_threads)
                yield from tables
                total += len(batch.cutouts)
                n_failed += len(failures)
                if n_failed == total >= _ALL_FAIL:
                    raise GridlensError(
                        f"All of the first {total} cutouts of a partition failed; the last one, {failures[-1].id}, "
                        "with: "
                        f"{failures[-1].message} Check whether the model is suitable for these cutouts."
                    )
            if batch.failures:
                yield self.failed(batch.failures)

    def _measured(self, cutouts: CutoutSet, n_threads: int) -> tuple[list[pa.Table], list[ReadFailure]]:
        """Return the rows of cutouts; on failure, process each half separately, down to the cutout that fails."""
        try:
            return [self.table(measure(cutouts, "all", n_threads))], []
        except GridlensError:
            raise
        except Exception as exc:
            if len(cutouts) == 1:
                said = f"Measuring it failed: {type(exc).__name__}: {exc}"
                failure = ReadFailure(cutouts.ids[0], cutouts.paths[0], said, int(CutoutFlag.FAILED))
                return [self.failed([failure])], [failure]
        middle = len(cutouts) // 2
        left, bad_left = self._measured(cutouts[:middle], n_threads)
        right, bad_right = self._measured(cutouts[middle:], n_threads)
        return left + right, bad_left + bad_right
