"""Partitions through an engine into parts, whatever happens on the way."""

from __future__ import annotations

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
    "The process that worked on this cutout ended, and so did each that tried it again: it may be too large for the "
    "memory, or damaged in a way that ends a library."
)


@dataclass
class _Piece:
    """A partition that an engine works on, and its rows once they are there."""

    index: int
    partition: Partition
    part: Part | None = None


def run(
    task: Task,
    partitions: Sequence[Partition],
    engine: Engine,
    parts: Parts,
    progress: Callable[[int], Any] | None = None,
) -> None:
    """Work on the partitions that have no part yet, and keep a part of each.

    A partition that ends every process that works on it is halved until the cutout is found that does so, which
    becomes a rejected row.

    Raises
    ------
    GridlensError
        The work cannot be done, or a part cannot be written. Finished parts are kept.
    """
    waiting = _unfinished(partitions, parts)
    # Pieces of each partition, in their order: one, or more where it was halved.
    pieces: dict[int, list[_Piece]] = {}
    tickets: dict[int, _Piece] = {}
    next_ticket = 0

    def submit(piece: _Piece) -> None:
        nonlocal next_ticket
        tickets[next_ticket] = piece
        engine.submit(next_ticket, piece.partition)
        next_ticket += 1

    with engine:
        while True:
            while len(tickets) < engine.slots and (piece := next(waiting, None)) is not None:
                pieces[piece.index] = [piece]
                submit(piece)
            if not tickets:
                return
            for ticket, part in engine.finished():
                piece = tickets.pop(ticket)
                own = pieces[piece.index]
                if part is not None:
                    piece.part = part
                elif halves := task.source.split(piece.partition):
                    at = own.index(piece)
                    own[at : at + 1] = [_Piece(piece.index, half) for half in halves]
                    for half in own[at : at + len(halves)]:
                        submit(half)
                else:
                    piece.part = task.lost(piece.partition, _LOST)
                if all(one.part is not None for one in own):
                    whole = _joined([one.part for one in own if one.part is not None])
                    parts.write(piece.index, whole)
                    del pieces[piece.index]
                    if progress is not None:
                        progress(whole.table.num_rows)


def _unfinished(partitions: Sequence[Partition], parts: Parts) -> Iterator[_Piece]:
    for index, partition in enumerate(partitions):
        if index not in parts.done:
            yield _Piece(index, partition)


def _joined(made: list[Part]) -> Part:
    """The pieces of one partition as a part."""
    if len(made) == 1:
        return made[0]
    gaps = made[0].gaps
    for one in made[1:]:
        gaps.merge(one.gaps)
    warnings = list(dict.fromkeys(said for one in made for said in one.warnings))
    return Part(pa.concat_tables([one.table for one in made]), gaps, warnings)
