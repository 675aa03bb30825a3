"""A grade book in a separate thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from gridlens.grading import GradeBook

__all__ = ["BookThread"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BookThread:
    """Run functions on a grade book, one after another, in the thread that opened it.

    Parameters
    ----------
    path : str or path
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._book: GradeBook | None = None
        self._thread = ThreadPoolExecutor(1, "gridlens-grades")

    async def run(self, function: Callable[Concatenate[GradeBook, _P], _T], *values: _P.args, **named: _P.kwargs) -> _T:
        """Run a function on the book and return its value."""
        return await asyncio.wrap_future(self._thread.submit(self._call, function, *values, **named))

    def wait(self, function: Callable[Concatenate[GradeBook, _P], _T], *values: _P.args, **named: _P.kwargs) -> _T:
        """Run a function on the book outside an event loop and return its value."""
        return self._thread.submit(self._call, function, *values, **named).result()

    def close(self) -> None:
        """Close the book after all waiting functions have run."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _call(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        if self._book is None:
            self._book = GradeBook.open(self._path)
        return function(self._book, *values, **named)

    def _close(self) -> None:
        if self._book is not None:
            self._book.close()
            self._book = None
