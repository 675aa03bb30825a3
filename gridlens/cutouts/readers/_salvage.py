"""Read the intact parts of a partly damaged array."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gridlens.cutouts._set import CutoutSet

__all__ = ["Unreadable", "read_around"]

_N_PROBES = 8
_GOLDEN = 0.618034

_Read = Callable[[int, int], CutoutSet]


class Unreadable(NamedTuple):
    """Unreadable cutouts of a file whose other cutouts can be read."""

    start: int
    stop: int
    error: Exception
    ids: tuple[str, ...] = ()


def read_around(read: _Read, ranges: Iterable[tuple[int, int]]) -> Iterator[CutoutSet | Unreadable]:
    """Read ranges of cutouts in order; from a damaged range, read the cutouts that are intact.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns the cutouts from `start` to `stop`, or raises. It may be called in any order.
    ranges : iterable of (int, int)

    Raises
    ------
    Exception
        The first error, if no cutout can be read at all.
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
        del part  # otherwise it stays in memory while the next one is read
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
    except Exception as exc:  # a damaged file may raise almost any error in the libraries used
        return Unreadable(start, stop, exc)


def _any_readable(read: _Read, start: int, stop: int) -> bool:
    """Return whether any of a few probed cutouts can be read, to avoid searching a range without intact cutouts."""
    # Multiples of the golden ratio are spread evenly but not periodically, as damage may be.
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
