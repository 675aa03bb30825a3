"""Login of graders: a token in a link, which works once, is exchanged for a cookie."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from gridlens.grading import GradeBook
from gridlens.triage._books import BookThread

__all__ = ["Sessions"]

_BYTES = 32


class Sessions:
    """Unused tokens, and the cookies for which used ones were exchanged.

    Hashes of cookies are kept in memory, and that of each grader's last cookie in the grade book, so it remains valid
    after a restart with the same book.

    Parameters
    ----------
    graders : sequence of str
    books : BookThread
    """

    def __init__(self, graders: Sequence[str], books: BookThread) -> None:
        self._graders, self._books = tuple(graders), books
        self.tokens = {grader: secrets.token_urlsafe(_BYTES) for grader in graders}
        self._open = {_sha256(token): grader for grader, token in self.tokens.items()}
        self._cookies: dict[str, str] = {}

    async def exchange(self, token: str) -> tuple[str, str] | None:
        """Return the grader of an unused token, and a new cookie; None for any other token."""
        digest = _sha256(token)
        # All tokens are compared, each in constant time, so that the time does not reveal anything about a token.
        found = [own for own in self._open if secrets.compare_digest(own, digest)]
        if not found:
            return None
        grader = self._open.pop(found[0])
        cookie = secrets.token_urlsafe(_BYTES)
        self._cookies[_sha256(cookie)] = grader
        await self._books.run(GradeBook.set_token, grader, _sha256(cookie))
        return grader, cookie

    async def grader_of(self, cookie: str) -> str | None:
        """Return the grader to whom a cookie belongs; None for an unknown cookie."""
        digest = _sha256(cookie)
        if digest in self._cookies:
            return self._cookies[digest]
        grader = await self._books.run(GradeBook.grader_of, digest)
        if grader not in self._graders:
            return None
        self._cookies[digest] = grader
        return grader


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
