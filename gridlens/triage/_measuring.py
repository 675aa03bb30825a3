"""Blue maps, explanations and the choice of queues, in a separate process that keeps the memory of the server small."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sqlite3
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, NamedTuple

from gridlens.errors import GridlensError
from gridlens.triage._orphans import end_with_parent

if TYPE_CHECKING:
    import numpy as np

    from gridlens.cutouts import CutoutSet

__all__ = ["Measuring", "Reasons"]

_TERMS = 8
_SAME = 1e-3  # tolerance of scores at even prevalence


class Reasons(NamedTuple):
    """Reasons for the score of one cutout.

    Attributes
    ----------
    terms : list of dict
        `text` and `log_odds` of the strongest terms.
    because : str
        A sentence on the arc candidate; "" without terms.
    arc : dict or None
        Centre `x`, `y` and radius `r` (px) of a circle, and `fits`: whether the circle is fitted to the arc candidate
        or drawn around it.
    note : str
        Reason why there are no terms, or why they may differ from those of the table; otherwise "".
    """

    terms: list[dict[str, Any]]
    because: str
    arc: dict[str, Any] | None
    note: str


class Measuring:
    """A process that measures cutouts and chooses queues, started when first needed and restarted if it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    async def blue_map(self, cutout: CutoutSet) -> np.ndarray | None:
        """Return the light that is bluer than the BCG, (H, W), in units of the noise; None for a rejected cutout."""
        found: np.ndarray | None = await self._run(_blue_map, _arguments(cutout))
        return found

    async def reasons(self, cutout: CutoutSet, model: str | None, patch: int | None, score: float | None) -> Reasons:
        """Return the reasons for the score of a cutout.

        Parameters
        ----------
        cutout : CutoutSet of 1
        model : str or None
            The model that produced the scores, if known.
        patch : int or None
            `arc_patch` of the table, if any.
        score : float or None
            Score in the table, which is compared with the explained one.
        """
        found: Reasons = await self._run(_reasons, cutout, model, patch, score)
        return found

    async def add_queue(self, *values: Any) -> list[str]:
        """Add the next queue to a grade book and return remarks on it; see `gridlens.triage._choosing.add_queue`.

        Raises
        ------
        GridlensError
            If there is nothing to grade, the table has other objects, or the grade book cannot be written. In the last
            case its cause is an error of SQLite.
        """
        chosen = await self._run(_add_queue, *values)
        if chosen.error:
            raise GridlensError(chosen.error) from (sqlite3.OperationalError() if chosen.is_of_file else None)
        return list(chosen.notes)

    def start(self, scores: str) -> None:
        """Start the process ahead of its first use, and open a table of scores in it."""
        self._submit(_ready, scores)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Any, *values: Any) -> Any:
        try:
            return await asyncio.wrap_future(self._submit(function, *values))
        except BrokenProcessPool:
            with self._lock:
                self._pool = None
        try:
            return await asyncio.wrap_future(self._submit(function, *values))
        except BrokenProcessPool as exc:
            raise GridlensError("The measuring process ended twice, perhaps for lack of memory.") from exc

    def _submit(self, function: Any, *values: Any) -> Any:
        with self._lock:
            if self._pool is None:
                # A fork of a process with threads may wait forever for a lock, because its holder was not copied.
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, context, initializer=end_with_parent)
            return self._pool.submit(function, *values)


def _arguments(cutout: CutoutSet) -> tuple[np.ndarray, np.ndarray, float]:
    return cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0])


def _ready(scores: str) -> None:
    """Open the table of scores from which queues are chosen."""
    from gridlens.triage._choosing import load

    # The server itself reports errors of the table.
    with contextlib.suppress(GridlensError):
        load(scores)


def _add_queue(*values: Any) -> Any:
    from gridlens.triage._choosing import add_queue

    return add_queue(*values)


def _blue_map(arguments: tuple[np.ndarray, np.ndarray, float]) -> np.ndarray | None:
    from gridlens.errors import CutoutError
    from gridlens.features import detection_maps

    try:
        return detection_maps(*arguments)[1]
    except CutoutError:
        return None


_explainers: dict[str, Any] = {}


def _reasons(cutout: CutoutSet, model: str | None, patch: int | None, score: float | None) -> Reasons:
    import numpy as np

    from gridlens.explain import because, strongest_terms

    if model is None:
        return Reasons(
            [], "", _arc(cutout, patch), "The model that produced the scores is not known. Name it to see the terms."
        )
    try:
        if model not in _explainers:
            from gridlens.explain import Explainer
            from gridlens.models import load_model

            detector = load_model(model)
            detector.n_jobs = 1
            _explainers[model] = Explainer(detector)
        explanation = _explainers[model].explain(cutout)
    except GridlensError as exc:
        return Reasons([], "", _arc(cutout, patch), f"The score cannot be explained: {exc}")
    if not np.isfinite(explanation.log_odds[0]):
        return Reasons([], "", None, f"The cutout is rejected now: {explanation.table['message'][0]}")
    found = float(explanation.table["score"][0])
    note = ""
    if score is not None and abs(found - score) > _SAME:
        note = f"The explained score is {found:.3f}, not {score:.3f} as in the table: the model or the cutout differs."
    terms = [{"text": term.words, "log_odds": term.value} for term in strongest_terms(explanation, 0, _TERMS)]
    shown = int(explanation.table["arc_patch"][0]) if patch is None else patch
    return Reasons(terms, because(explanation, 0), _arc(cutout, shown), note)


def _arc(cutout: CutoutSet, patch: int | None) -> dict[str, Any] | None:
    """Return the circle of the arc candidate shown by a patch, or None without a candidate."""
    import numpy as np

    from gridlens.errors import CutoutError
    from gridlens.explain._sentences import has_circle_about_bcg
    from gridlens.features import arc_candidate

    if patch is None or patch not in range(9):
        return None
    try:
        arc = arc_candidate(*_arguments(cutout), patch)
    except CutoutError:
        return None
    if arc is None:
        return None
    if has_circle_about_bcg(arc.features) and np.isfinite(arc.circle).all():
        x, y, radius = arc.circle
        return {"x": float(x), "y": float(y), "r": float(radius), "fits": True}
    rows, columns = np.nonzero(arc.mask)
    x, y = float(columns.mean()), float(rows.mean())
    return {"x": x, "y": y, "r": float(np.hypot(columns - x, rows - y).max()) + 2.0, "fits": False}
