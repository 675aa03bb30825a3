"""The file of a grade book with its objects, gold objects, queues and models."""

import os
import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from gridlens.grading._connection import connect, explained, writing
from gridlens.grading._frames import frame
from gridlens.grading._records import insert_gold, insert_model, insert_objects, insert_queue
from gridlens.grading._rows import time_text

__all__ = ["BookFile"]


class BookFile:
    """The part of an open grade book other than the grades; see `GradeBook`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Self:
        """Open a grade book; create a missing file unless it is opened read-only.

        Parameters
        ----------
        path : str or path
            An SQLite file on a local disk.
        read_only : bool, default=False
            Write nothing, not even the log files beside the book, so that a book on a read-only disk can be opened.

        Raises
        ------
        GridlensError
            The file or its folder is missing, the file is damaged, locked, of a newer version or of another program,
            or cannot be written.
        """
        path = Path(path)
        return cls(connect(path, read_only=read_only), path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._connection.close()

    def add_objects(self, objects: pd.DataFrame) -> None:
        """Add objects, or complete existing ones; missing values do not overwrite existing ones.

        Parameters
        ----------
        objects : DataFrame
            With `object_id`, and optionally `ra` and `dec` (deg), `source`, `pixels_sha256` and `cluster_id`.

        Raises
        ------
        GridlensError
            An id is missing or repeated, or a value is not allowed. Nothing is added.

        Warns
        -----
        UserWarning
            The pixels of objects changed. Their grades belong to the earlier pixels, and `current` leaves them out.
        """
        with writing(self._connection, self.path):
            changed, graded = insert_objects(self._connection, objects)
        if changed:
            warnings.warn(
                f"The pixels of {changed} objects changed. Their {graded} grades belong to the pixels before, and are "
                "kept but no longer current.",
                UserWarning,
                stacklevel=2,
            )

    def objects(self) -> pd.DataFrame:
        """Return the objects: `object_id`, `ra`, `dec` (deg, NaN), `source`, `pixels_sha256`, `cluster_id`."""
        return self._frame(
            "SELECT object_id, ra, dec, COALESCE(source, '') AS source, COALESCE(pixels_sha256, '') AS pixels_sha256, "
            "COALESCE(cluster_id, '') AS cluster_id FROM objects ORDER BY rowid"
        )

    def add_gold(self, gold: pd.DataFrame) -> None:
        """Add objects with a known truth.

        Parameters
        ----------
        gold : DataFrame
            With `object_id`, `truth` (1 for a lens, 0 for a non-lens), `kind` ("injected", "known_lens" or
            "known_nonlens"), and optionally `params_json`, a dictionary or its JSON.

        Raises
        ------
        GridlensError
            A column is missing or a value is not allowed. Nothing is added.

        Warns
        -----
        UserWarning
            An object already had a different truth, which is replaced.
        """
        with writing(self._connection, self.path):
            replaced = insert_gold(self._connection, gold)
        if replaced:
            warnings.warn(f"The truth of {replaced} gold objects was replaced.", UserWarning, stacklevel=2)

    def gold(self) -> pd.DataFrame:
        """Return the gold objects: `object_id`, `truth`, `kind` and `params_json`."""
        return self._frame("SELECT object_id, truth, kind, params_json FROM gold ORDER BY rowid")

    def add_queue(
        self,
        items: pd.DataFrame,
        *,
        strategy: str,
        params: Mapping[str, Any],
        seed: int | None,
        model_id: str | None,
        n_pool: int,
        pool_sha256: str,
    ) -> str:
        """Add a queue and return its id.

        Parameters
        ----------
        items : DataFrame
            With `position` (from 0), `object_id` and `kind`, and optionally `p`, `score`, `inclusion_probability` and
            `stratum`. A column `queue_id` of one value names the queue.
        strategy : str
            Strategy by which the items were chosen.
        params : mapping
            Parameters of the strategy, in a form that JSON supports.
        seed : int or None
        model_id : str or None
            Model of this book that ranked the pool; see `add_model`.
        n_pool : int
            Number of objects from which the queue was chosen.
        pool_sha256 : str
            Hash of their ids, used to detect a changed pool.

        Raises
        ------
        GridlensError
            If the items are invalid, the queue is already in the book, or the model is not in the book.
        """
        with writing(self._connection, self.path):
            return insert_queue(
                self._connection,
                items,
                strategy=strategy,
                params=params,
                seed=seed,
                model_id=model_id,
                n_pool=n_pool,
                pool_sha256=pool_sha256,
            )

    def queues(self) -> pd.DataFrame:
        """Return the queues, oldest first, with the columns of `add_queue` and `created`."""
        return self._frame(
            "SELECT queue_id, strategy, params_json, seed, COALESCE(model_id, '') AS model_id, created, n_pool, "
            "pool_sha256 FROM queues ORDER BY rowid"
        )

    def queue_items(self, queue_id: str | None = None) -> pd.DataFrame:
        """Return the items of a queue, or of all queues, in their order; see `add_queue`."""
        where = "" if queue_id is None else "WHERE i.queue_id = ?"
        items = self._frame(
            "SELECT i.queue_id, i.position, i.object_id, i.kind, i.p, i.score, i.inclusion_probability, "
            "COALESCE(i.stratum, '') AS stratum FROM queue_items AS i JOIN queues AS q USING (queue_id) "
            f"{where} ORDER BY q.rowid, i.position",
            () if queue_id is None else (queue_id,),
        )
        return items.astype({"position": "int64"})

    def add_model(
        self,
        path: str | os.PathLike[str],
        *,
        sha256: str,
        trained_at: Any = None,
        parent_id: str | None = None,
        recipe: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> str:
        """Add a model and return its id; a model whose hash is already in the book keeps its id.

        Parameters
        ----------
        path : str or path
            Bundle of the model.
        sha256 : str
            Hash of the bundle.
        trained_at : str or datetime, default=None
        parent_id : str, default=None
            Model of this book from which it was trained.
        recipe, metrics : mapping, default=None
            Values in a form that JSON supports.
        """
        with writing(self._connection, self.path):
            return insert_model(
                self._connection,
                os.fspath(path),
                sha256=sha256,
                trained_at=None if trained_at is None else time_text(trained_at),
                parent_id=parent_id,
                recipe=recipe or {},
                metrics=metrics or {},
            )

    def models(self) -> pd.DataFrame:
        """Return the models, oldest first, with the columns of `add_model` and `model_id`."""
        return self._frame(
            "SELECT model_id, sha256, path, COALESCE(trained_at, '') AS trained_at, COALESCE(parent_id, '') AS "
            "parent_id, recipe_json, metrics_json FROM models ORDER BY rowid"
        )

    def _frame(self, query: str, values: tuple[Any, ...] = ()) -> pd.DataFrame:
        with explained(self.path):
            return frame(self._connection, query, values)
