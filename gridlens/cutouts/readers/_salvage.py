"""Read what can be read of an array that is damaged in places."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gridlens.cutouts._set import CutoutSet

__all__ = ["Unreadable", "read_around"]

_N_PROBES = 8
_GOLDEN = 0.618034

_Read = Callable[[int, int], CutoutSet]


class Unreadable(NamedTuple):
    """Cutouts of a file that cannot be read although others can."""

    start: int
    stop: int
    error: Exception
    ids: tuple[str, ...] = ()


def read_around(read: _Read, ranges: Iterable[tuple[int, int]]) -> Iterator[CutoutSet | Unreadable]:
    """Read ranges of cutouts in their order; of one that cannot be read, those of its cutouts that can be.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns the cutouts from `start` to `stop`, or raises. It may be called in any order.
    ranges : iterable of (int, int)

    Raises
    ------
    Exception
        The first error, where no cutout can be read at all.
    """
    waiting: list[Unreadable] = []
    found = False
    for part in _parts(read, ranges):
        if isinstance(part, Unreadable) and not found:
            waiting.append(part)
            continue
        if not found:
            found = True
            yield from waiting
        yield part
        del part  # or it stays in memory while the next one is read
    if waiting and not found:
        raise waiting[0].error


def _parts(read: _Read, ranges: Iterable[tuple[int, int]]) -> Iterator[CutoutSet | Unreadable]:
    for start, stop in ranges:
        part = _try(read, start, stop)
        if isinstance(part, Unreadable) and _any_readable(read, start, stop):
            yield from _halves(read, start, stop)
        else:
            yield part
        del part


def _try(read: _Read, start: int, stop: int) -> CutoutSet | Unreadable:
    try:
        return read(start, stop)
    except Exception as exc:  # a damaged file can raise nearly anything from the libraries below
        return Unreadable(start, stop, exc)


def _any_readable(read: _Read, start: int, stop: int) -> bool:
    """Try a few single cutouts, so that a piece of which none can be read costs no search."""
    # Multiples of the golden ratio lie evenly and on no lattice, as damage may.
    probes = [start + int((stop - start) * (k * _GOLDEN % 1)) for k in range(_N_PROBES)]
    return stop - start > 1 and any(isinstance(_try(read, k, k + 1), CutoutSet) for k in probes)


def _halves(read: _Read, start: int, stop: int) -> Iterator[CutoutSet | Unreadable]:
    middle = (start + stop) // 2
    for first, last in ((start, middle), (middle, stop)):
        part = _try(read, first, last)
        if isinstance(part, Unreadable) and last - first > 1:
            yield from _halves(read, first, last)
        else:
            yield part
        del part
