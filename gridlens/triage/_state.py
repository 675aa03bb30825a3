"""The state of the server: the table, the cutouts, the grade book and the options of the command."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from gridlens._file_names import existing_paths
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.explain._remembered import Remembered, remembered
from gridlens.grading import GradeBook
from gridlens.grading._rows import now
from gridlens.triage._books import BookThread
from gridlens.triage._cutouts import CutoutReader
from gridlens.triage._grading import open_queue
from gridlens.triage._measuring import Measuring
from gridlens.triage._retraining import Retraining
from gridlens.triage._scores import ScoreTable

__all__ = ["Settings", "Triage"]

_PREFETCH = 20
# Number of the best objects that are listed before and after a training.
_SHOWN = 20
# Prevalence of lenses, if the table does not state the prevalence of its probabilities.
_PREVALENCE = 1e-3
_CHANGED = "The pixels of this object changed. Grades from before belong to the earlier pixels and no longer count."


@dataclass(frozen=True)
class Settings:
    """Options of the page.

    Attributes
    ----------
    graders : tuple of str
    strategy : {"mix", "top", "random"}
        Strategy of the queues, unless the page requests another one.
    batch : int
        Number of objects in a queue.
    blind : bool
        Whether scores and the grades of others are hidden until an object is graded.
    keys : dict of str to list of str
    criteria : list of dict
    model : str or None
        Model that produced the scores, if known.
    """

    graders: tuple[str, ...]
    strategy: str
    batch: int
    blind: bool
    keys: dict[str, list[str]]
    criteria: list[dict[str, Any]]
    model: str | None


class Triage:
    """Everything that the page reads and changes.

    Parameters
    ----------
    table : ScoreTable
    grades : str or path
        Grade book, created if missing.
    settings : Settings
    past : Remembered
        How the table was made.
    stated : mapping
        Arguments of `open_source`, which take precedence.
    gold : DataFrame, default=None
        Objects with a known truth, for `GradeBook.add_gold`, and optionally their `path`.
    measuring : Measuring, default=None
        Measuring process that has already been started. If None, one is started when needed.

    Raises
    ------
    GridlensError
        If the grade book cannot be opened.
    """

    def __init__(
        self,
        table: ScoreTable,
        grades: str | os.PathLike[str],
        settings: Settings,
        past: Remembered,
        stated: Mapping[str, Any],
        gold: pd.DataFrame | None = None,
        measuring: Measuring | None = None,
    ) -> None:
        self.settings, self.past, self.stated = settings, past, dict(stated)
        self.grades, self.started = os.fspath(grades), now()
        self.books, self.statistics = BookThread(grades), BookThread(grades)
        self.measuring = Measuring() if measuring is None else measuring
        self.retraining = Retraining(os.fspath(grades))
        self._readers = ThreadPoolExecutor(2, "gridlens-images")
        self._prefetcher = ThreadPoolExecutor(1, "gridlens-prefetch")
        self._lock = threading.Lock()
        self._revealed: set[tuple[str, str]] = set()
        self._shown: dict[str, str] = {}
        self._unsaved: dict[str, str] = {}
        self._changed: set[str] = set()
        self.model_id: str | None = None
        objects, gold_ids = self.books.wait(_begin, gold)
        self._known = dict(zip(objects["object_id"], objects["pixels_sha256"], strict=True))
        self._gold = set(gold_ids)
        elsewhere = objects[objects["object_id"].isin(gold_ids) & (objects["source"] != "")]
        self._elsewhere = dict(zip(elsewhere["object_id"], elsewhere["source"], strict=True))
        self.use(table)

    def use(self, table: ScoreTable) -> None:
        """Use another table of scores for the next queue and for everything that is shown."""
        self.table = table
        self.reader = CutoutReader(table, self.past, self.stated, self._elsewhere)

    def close(self) -> None:
        """Save the hashes of the shown pixels, and close the grade book."""
        self.retraining.close()
        self.measuring.close()
        self._prefetcher.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self.books.wait(self._save_hashes)
        self.books.close()
        self.statistics.close()

    def knows(self, name: str) -> bool:
        """Return whether an object is in the table or a gold object."""
        return name in self._gold or bool(self.table.rows_of([name]))

    async def cutout(self, name: str) -> tuple[CutoutSet, str, str]:
        """Return a cutout, the hash of its pixels, and a message if they changed since it was graded, else "".

        Raises
        ------
        GridlensError
            If the cutout cannot be read.
        """
        cutout, digest = await self.in_reader(self.reader.read, name)
        if self._remember(name, digest):
            # The next queue must take into account that its grades are no longer current.
            await self.books.run(self._save_hashes)
        return cutout, digest, _CHANGED if name in self._changed else ""

    async def in_reader(self, function: Any, *values: Any) -> Any:
        """Run a function in a thread that reads images, and return its value."""
        return await asyncio.wrap_future(self._readers.submit(function, *values))

    def prefetch(self, names: Sequence[str]) -> None:
        """Read the next cutouts of a queue ahead, in another thread."""
        if names:
            self._prefetcher.submit(self.reader.prefetch, list(names[:_PREFETCH]))

    def _remember(self, name: str, digest: str) -> bool:
        """Store the hash of shown pixels; return whether the pixels have changed."""
        with self._lock:
            if self._shown.get(name) == digest:
                return False
            self._shown[name] = digest
            before = self._known.get(name, "")
            if before != digest:
                self._unsaved[name] = digest
            if before and before != digest:
                self._changed.add(name)
            return bool(before) and before != digest

    def _save_hashes(self, book: GradeBook) -> None:
        """Add the shown objects and the hashes of their pixels to the book."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return
        objects = pd.DataFrame({"object_id": list(unsaved), "pixels_sha256": list(unsaved.values())}, dtype=object)
        places = self.table.positions(list(unsaved))
        book.add_objects(objects.merge(places, on="object_id", how="left"))
        self._known |= unsaved

    async def save(self, function: Any, *values: Any) -> Any:
        """Save the hashes of the shown pixels, then run a function on the book and return its value."""

        def run(book: GradeBook) -> Any:
            self._save_hashes(book)
            return function(book, *values)

        return await self.books.run(run)

    def reveal(self, grader: str, name: str) -> None:
        """Record that a grader saw the score of an object before grading it."""
        self._revealed.add((grader, name))

    def is_blind(self, grader: str, name: str) -> bool:
        """Return whether the score and the grades of others are hidden from a grader."""
        return self.settings.blind and (grader, name) not in self._revealed

    async def queue(self, grader: str) -> dict[str, Any] | None:
        """Return the open queue of a grader, and announce its images to the reader."""
        found = await self.save(open_queue, grader, self.started)
        if found is not None:
            names = [item["object_id"] for item in found["items"]]
            # One search for all is faster than one for each.
            self.table.rows_of(names)
            self.reader.expect(names)
            self.prefetch([item["object_id"] for item in found["items"] if item["grade"] is None])
            found.setdefault("notes", [])
        return found

    async def next_queue(self, grader: str, strategy: str, batch: int) -> dict[str, Any]:
        """Return the open queue of a grader; if there is none, choose the next one for all graders.

        Raises
        ------
        GridlensError
            If there is nothing left to grade, or the objects of the table differ from those of earlier queues.
        """
        await self.books.run(self._save_hashes)
        notes = await self.measuring.add_queue(
            self.grades, str(self.table.path), grader, self.started, strategy, batch, self.model_id
        )
        found = await self.queue(grader)
        if found is None:
            raise GridlensError("The next queue has no object that you have not graded yet.")
        return {**found, "notes": notes}

    async def retrain(self) -> bool:
        """Start a training from the grades in a separate process; return False if one is already running."""
        source, before = await self.in_reader(self._pool), await self.in_reader(self.table.best, _SHOWN)
        prevalence = self.table.values(before[:1], ["prevalence"]).get(before[0], {}).get("prevalence")
        # There is no await between this check and the start, so no other request can intervene.
        if self.retraining.state == "running":
            return False
        self.retraining.start(
            source, self.table.ids, before, self.settings.model or "default", prevalence or _PREVALENCE
        )
        return True

    def _pool(self) -> dict[str, Any]:
        """Return the arguments of `open_source` for all cutouts of the table."""
        arguments = dict(self.past.with_stated(self.stated))
        if not arguments.get("source") and not arguments.get("images"):
            arguments["source"] = [
                path for text in self.table.paths for path in existing_paths(text, self.past.folders)
            ]
        return {name: value for name, value in arguments.items() if value is not None}

    async def retrain_status(self) -> dict[str, Any]:
        """Return the state of the training for the page."""
        retraining = self.retraining
        after = await self.in_reader(lambda: ScoreTable(retraining.scores).best(_SHOWN)) if retraining.accepted else []
        return retraining.status(after)

    async def decide(self, accept: bool) -> None:
        """Switch to the new model and its scores, or keep the old ones."""
        if accept:
            bundle, scores = self.retraining.bundle, self.retraining.scores
            self.model_id = await self.books.run(_add_model, self.settings.model or "default", str(bundle))
            self.settings = replace(self.settings, model=str(bundle))
            self.past = remembered(scores)
            self.use(await self.in_reader(ScoreTable, scores))
        self.retraining.decide(accept)


def _add_model(book: GradeBook, old: str, new: str) -> str:
    """Add a model to the book, after the one that it was trained from, and return its id."""
    from gridlens.models._bundle import model_digest

    parent = book.add_model(old, sha256=model_digest(old))
    return book.add_model(new, sha256=model_digest(new), trained_at=now(), parent_id=parent)


def _begin(book: GradeBook, gold: pd.DataFrame | None) -> tuple[pd.DataFrame, list[str]]:
    """Add gold objects to the book, and return its objects and the ids of all gold objects."""
    if gold is not None:
        book.add_gold(gold)
        if "path" in gold:
            book.add_objects(gold[["object_id", "path"]].rename(columns={"path": "source"}))
    return book.objects(), book.gold()["object_id"].tolist()
