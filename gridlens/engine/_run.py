"""Robust processing of partitions into parts by an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gridlens.engine._local import Engine
from gridlens.engine._parts import Parts
from gridlens.engine._task import Part, Task
from gridlens.sources import Partition

__all__ = ["run"]

_LOST = (
    "The process that worked on this cutout crashed, and so did each process that tried it again: the cutout may be "
    "too large for the memory, or damaged in a way that crashes a library."
)

_LOGGER = logging.getLogger(__name__)


@dataclass(eq=False)
class _Attempt:
    """A partition, or a part of one that crashed its workers, and its rows when they are finished."""

    index: int
    """index of the whole partition"""
    partition: Partition
    part: Part | None = None


def run(
    task: Task,
    partitions: Sequence[Partition],
    engine: Engine,
    parts: Parts,
    progress: Callable[[int], Any] | None = None,
) -> None:
    """Process the partitions without a part, and store a part for each.

    A partition that crashes every process is halved repeatedly until the responsible cutout is found, which becomes a
    rejected row.

    Raises
    ------
    GridlensError
        The work cannot be done, or a part cannot be written. Finished parts are kept.
    """
    attempts = _Attempts(task, engine, (k for k in range(len(partitions)) if k not in parts.done), partitions)
    with engine:
        while attempts.fill():
            for ticket, made in engine.finished():
                whole = attempts.finish(ticket, made)
                if whole is not None:
                    index, part = whole
                    parts.write(index, part)
                    _LOGGER.debug("Finished partition %d: %d rows", index + 1, part.table.num_rows)
                    if progress is not None:
                        progress(part.table.num_rows)


class _Attempts:
    """The partitions that an engine processes, each as one attempt, or as several if it was halved."""

    def __init__(self, task: Task, engine: Engine, unfinished: Iterator[int], partitions: Sequence[Partition]) -> None:
        self._task, self._engine, self._unfinished, self._partitions = task, engine, unfinished, partitions
        # Attempts by index of the partition, in the order of their cutouts.
        self._of_partition: dict[int, list[_Attempt]] = {}
        self._submitted: dict[int, _Attempt] = {}
        self._next_ticket = 0

    def fill(self) -> bool:
        """Submit partitions while the engine accepts more; return whether it has any to process."""
        while len(self._submitted) < self._engine.slots and (index := next(self._unfinished, None)) is not None:
            attempt = _Attempt(index, self._partitions[index])
            self._of_partition[index] = [attempt]
            self._submit(attempt)
        return bool(self._submitted)

    def _submit(self, attempt: _Attempt) -> None:
        _LOGGER.debug("Reading partition %d of %d", attempt.index + 1, len(self._partitions))
        self._submitted[self._next_ticket] = attempt
        self._engine.submit(self._next_ticket, attempt.partition)
        self._next_ticket += 1

    def finish(self, ticket: int, part: Part | None) -> tuple[int, Part] | None:
        """Store the result of an attempt (None after a crash); return its partition and part if it is complete."""
        attempt = self._submitted.pop(ticket)
        if part is None:
            halves = self._task.source.split(attempt.partition)
            if halves:
                _LOGGER.info("Partition %d ended each process that worked on it; halving it", attempt.index + 1)
                self._replace(attempt, [_Attempt(attempt.index, half) for half in halves])
                return None
            part = self._task.lost(attempt.partition, _LOST)
        attempt.part = part
        made = [one.part for one in self._of_partition[attempt.index] if one.part is not None]
        if len(made) < len(self._of_partition[attempt.index]):
            return None
        del self._of_partition[attempt.index]
        return attempt.index, _joined(made)

    def _replace(self, attempt: _Attempt, halves: list[_Attempt]) -> None:
        """Replace an attempt by its halves."""
        attempts = self._of_partition[attempt.index]
        at = attempts.index(attempt)
        attempts[at : at + 1] = halves
        for half in halves:
            self._submit(half)


def _joined(made: list[Part]) -> Part:
    """Return the part of a partition, joined from the parts of its attempts."""
    if len(made) == 1:
        return made[0]
    gaps = made[0].gaps
    for one in made[1:]:
        gaps.merge(one.gaps)
    warnings = list(dict.fromkeys(said for one in made for said in one.warnings))
    return Part(pa.concat_tables([one.table for one in made]), gaps, warnings)
