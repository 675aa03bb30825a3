"""Progress of long computations: a bar on a terminal, or one line per minute in a log file."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["is_quiet", "progress_bar"]

_LOG_SECONDS = 60.0
# Shortest time from which a rate is estimated, s.
_SETTLED = 2.0
_BAR_WIDTH = 20


def is_quiet() -> bool:
    """Return whether the level of the logger "gridlens" is above WARNING, so that nothing but errors is shown."""
    return logging.getLogger("gridlens").level > logging.WARNING


@contextlib.contextmanager
def progress_bar(description: str, total: int | None, *, visible: bool = True) -> Iterator[Callable[..., Any]]:
    """Yield a function that advances the progress by a number of cutouts, scenes or fits.

    Its optional second argument names the next step, such as "lightgbm, fold 2 of 5".

    On a terminal, stderr shows a bar, the rate and the remaining time. Otherwise stderr gets one line per minute, so
    that short computations are silent in a pipe. Blocks may follow each other, but must not be nested.

    Parameters
    ----------
    description : str
        Name of the stage, such as "Scoring".
    total : int or None
        Amount of work. None if it is unknown, or for a stage with a single step: its bar only shows activity, and is
        removed at the end.
    visible : bool, default=True
        Whether to show anything. Nothing is shown if the level of the logger "gridlens" is above WARNING.
    """
    if not visible or is_quiet():
        yield lambda *_: None
        return
    meter = Meter(description, total)
    with _drawn(meter) if sys.stderr.isatty() else _logged(meter) as advance:
        yield advance


class Meter:
    """Counter of finished work, with its rate and the remaining time.

    The rate is measured from the first result on. It excludes the start of the workers and results of an earlier run,
    which are the first result of a resumed run. It is unknown until the time of the first result has passed once more,
    because workers that start together finish their first results together.

    Parameters
    ----------
    description : str
    total : int or None
    clock : callable
        Return the time in s.
    """

    def __init__(self, description: str, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.description, self.total, self.done, self.step = description, total, 0, ""
        self._clock, self._start = clock, clock()
        self._first: tuple[float, int] | None = None

    def advance(self, count: int, step: str = "") -> None:
        """Count `count` more as finished, and name the next step; "" keeps the name."""
        self.done += count
        self.step = step or self.step
        if self._first is None and count:
            self._first = (self._clock(), self.done)

    @property
    def name(self) -> str:
        """Name of the stage, with its step."""
        return f"{self.description} {self.step}".rstrip()

    @property
    def rate(self) -> float | None:
        """Amount finished per second; None if it is unknown."""
        if self._first is None:
            return None
        begun, before = self._first
        passed = self._clock() - begun
        if self.done == before or passed < max(_SETTLED, begun - self._start):
            return None
        return (self.done - before) / passed

    @property
    def left(self) -> float | None:
        """Remaining time in s; None if it is unknown."""
        rate = self.rate
        return None if rate is None or self.total is None else max(0, self.total - self.done) / rate

    def figures(self) -> tuple[str, str, str]:
        """Return the count, the rate and the remaining time as text; "" for each that is unknown."""
        count = "" if self.total is None and not self.done else f"{self.done:,}"
        if self.total is not None:
            count += f" of {self.total:,}"
        rate, left = self.rate, self.left
        return count, "" if rate is None else _rate_words(rate), "" if left is None else f"{_duration(left)} left"

    def line(self) -> str:
        """Return all figures as a line of a log."""
        words = [word for word in self.figures() if word]
        return f"{self.name}: {', '.join([*words, f'{_duration(self._clock() - self._start)} so far'])}"


def _rate_words(rate: float) -> str:
    if rate >= 1:
        return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
    return f"{rate * 60:.1f}/min" if rate * 60 >= 1 else f"{rate * 3600:.1f}/h"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _drawn(meter: Meter) -> Iterator[Callable[..., Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        """Column with the count, the rate and the remaining time, as far as they are known."""

        def render(self, task: Task) -> Text:
            return Text("  ".join(word for word in meter.figures() if word))

    columns = (TextColumn("{task.description}"), BarColumn(_BAR_WIDTH), TimeElapsedColumn(), Figures())
    with Progress(*columns, console=Console(stderr=True), transient=meter.total is None) as progress:
        shown = progress.add_task(meter.description, total=meter.total)

        def advance(count: int, step: str = "") -> None:
            meter.advance(count, step)
            progress.update(shown, completed=meter.done, description=meter.name)

        yield advance


@contextlib.contextmanager
def _logged(meter: Meter) -> Iterator[Callable[..., Any]]:
    stream, ended = sys.stderr, threading.Event()

    def report() -> None:
        while not ended.wait(_LOG_SECONDS):
            # The log may be closed before the work ends.
            with contextlib.suppress(OSError, ValueError):
                print(meter.line(), file=stream, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield meter.advance
    finally:
        ended.set()
        thread.join()
