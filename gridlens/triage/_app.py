"""The web application of the page: routes and responses."""

from __future__ import annotations

import json
import mimetypes
import struct
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gridlens._ids import as_id
from gridlens.errors import GridlensError
from gridlens.grading import GRADES, SUBCLASSES
from gridlens.grading._vocabulary import STRATEGIES
from gridlens.triage import _grading as grading
from gridlens.triage._guard import GRADER
from gridlens.triage._reveal import CONTEXT, revealed
from gridlens.triage._state import Triage
from gridlens.triage._statistics import agreed, progress
from gridlens.triage._views import VIEWS, encoded, reduced

__all__ = ["STATIC", "make_app"]

STATIC = Path(__file__).parent / "static"
"""folder with the files of the page"""

_MOST_THUMBNAILS = 100
_SMALLEST, _LARGEST = 16, 512
_MOST_HISTORY = 1000
_MOST_BATCH = 1000


def make_app(triage: Triage) -> Starlette:
    """Return the application, which expects the name of the grader in the scope of each request."""
    # Windows may have another type for modules, which browsers reject.
    mimetypes.add_type("text/javascript", ".js")
    routes = _Routes(triage)
    return Starlette(
        routes=[
            Route("/", routes.index),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/session", routes.session),
            Route("/api/queue", routes.queue),
            Route("/api/queue", routes.next_queue, methods=["POST"]),
            Route("/api/image/{object_id:path}", routes.image),
            Route("/api/thumbnails", routes.thumbnails),
            Route("/api/grade", routes.grade, methods=["POST"]),
            Route("/api/undo", routes.undo, methods=["POST"]),
            Route("/api/reveal", routes.reveal, methods=["POST"]),
            Route("/api/practice", routes.practice),
            Route("/api/progress", routes.progress),
            Route("/api/agreement", routes.agreement),
            Route("/api/disagreement", routes.disagreement),
            Route("/api/history", routes.history),
            Route("/api/retrain", routes.retraining),
            Route("/api/retrain", routes.retrain, methods=["POST"]),
            Route("/api/retrain/decide", routes.decide, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _as_json, GridlensError: _as_json, Exception: _as_json},
    )


async def _as_json(request: Request, exc: Exception) -> Response:
    """Return the response to an error: JSON with its message."""
    if isinstance(exc, HTTPException):
        return JSONResponse({"error": exc.detail}, exc.status_code)
    if isinstance(exc, GridlensError):
        # Errors of SQLite concern the file: it is locked, or the disk is full. The page tries again.
        return JSONResponse({"error": str(exc)}, 422 if exc.__cause__ is None else 503)
    return JSONResponse({"error": "The server failed. The terminal that runs it shows the error."}, 500)


class _Routes:
    """Handlers of requests, one for each route."""

    def __init__(self, triage: Triage) -> None:
        self._triage = triage

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def session(self, request: Request) -> Response:
        settings, table = self._triage.settings, self._triage.table
        return JSONResponse(
            {
                "grader": _grader(request),
                "graders": settings.graders,
                "version": version("gridlens"),
                "blind": settings.blind,
                "n_pool": len(table),
                "keys": settings.keys,
                "criteria": settings.criteria,
                "subclasses": SUBCLASSES,
                "grades": dict(GRADES),
                "context": any(name.startswith(CONTEXT) for name in table.columns),
                "strategies": STRATEGIES,
                "strategy": settings.strategy,
                "batch": settings.batch,
                "model": settings.model,
                "can_retrain": True,
            }
        )

    async def queue(self, request: Request) -> Response:
        return JSONResponse(await self._triage.queue(_grader(request)))

    async def next_queue(self, request: Request) -> Response:
        given, settings = await _json(request), self._triage.settings
        strategy, batch = given.get("strategy", settings.strategy), given.get("batch", settings.batch)
        if strategy not in STRATEGIES:
            raise HTTPException(422, f"The strategy must be one of {', '.join(STRATEGIES)}. Got {strategy!r} instead.")
        if type(batch) is not int or not 1 <= batch <= _MOST_BATCH:
            raise HTTPException(422, f"The batch must be 1 to {_MOST_BATCH} objects. Got {batch!r} instead.")
        try:
            return JSONResponse(await self._triage.next_queue(_grader(request), strategy, batch))
        except GridlensError as exc:
            if exc.__cause__ is not None:
                raise
            raise HTTPException(409, str(exc)) from exc

    async def image(self, request: Request) -> Response:
        name = self._known(request.path_params["object_id"])
        views = request.query_params.get("views", ",".join(VIEWS)).split(",")
        if not views or not set(views) <= set(VIEWS):
            raise HTTPException(422, f"The views must be among {', '.join(VIEWS)}. Got {','.join(views)!r} instead.")
        size = _number(request, "size", 0, _SMALLEST, _LARGEST)
        cutout, digest, note = await self._cutout(name)
        tag = f'"{digest[:32]}-{"-".join(views)}-{size}-{len(note)}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        small = cutout if size == 0 else await self._triage.in_reader(reduced, cutout, size)
        blue = await self._triage.measuring.blue_map(small) if "blue" in views else None
        body = await self._triage.in_reader(encoded, small, views, {"sha256": digest, "note": note}, blue)
        return Response(body, media_type="application/octet-stream", headers=headers)

    async def thumbnails(self, request: Request) -> Response:
        names = _ids(request)
        if len(names) > _MOST_THUMBNAILS:
            raise HTTPException(422, f"At most {_MOST_THUMBNAILS} thumbnails are sent at once. Got {len(names)} ids.")
        size = _number(request, "size", 96, _SMALLEST, _LARGEST)
        self._triage.table.rows_of(names)
        parts = []
        for name in names:
            try:
                cutout, digest, note = await self._cutout(self._known(name))
            except HTTPException as exc:
                parts.append(_header({"id": name, "error": exc.detail, "n_bytes": 0}))
                continue
            small = await self._triage.in_reader(reduced, cutout, size)
            parts.append(await self._triage.in_reader(encoded, small, ("raw",), {"sha256": digest, "note": note}))
        return Response(b"".join(parts), media_type="application/octet-stream")

    async def grade(self, request: Request) -> Response:
        given, grader = await _json(request), _grader(request)
        name = self._known(as_id(given.get("object_id")))
        blind = self._triage.is_blind(grader, name) and given.get("blind", True) is not False
        grade_id = await self._triage.save(grading.add_grade, grader, {**given, "object_id": name}, blind)
        return JSONResponse({"grade_id": grade_id})

    async def undo(self, request: Request) -> Response:
        given = await _json(request)
        return JSONResponse(await self._triage.books.run(grading.undo, _grader(request), given.get("grade_id")))

    async def reveal(self, request: Request) -> Response:
        given, grader = await _json(request), _grader(request)
        name = self._known(as_id(given.get("object_id")))
        if self._triage.is_blind(grader, name) and not await self._triage.books.run(grading.graded_by, grader, name):
            if given.get("before_grade") is not True:
                raise HTTPException(409, f"The score of {name} is shown after your grade.")
            self._triage.reveal(grader, name)
        return JSONResponse(await revealed(self._triage, grader, name))

    async def progress(self, request: Request) -> Response:
        return JSONResponse(await self._triage.statistics.run(progress, len(self._triage.table)))

    async def agreement(self, request: Request) -> Response:
        return JSONResponse(await self._triage.statistics.run(agreed))

    async def practice(self, request: Request) -> Response:
        items = await self._triage.statistics.run(grading.practice, 0)
        self._triage.prefetch([item["object_id"] for item in items])
        return JSONResponse({"items": items})

    async def disagreement(self, request: Request) -> Response:
        items = await self._triage.statistics.run(grading.disagreement, _grader(request))
        return JSONResponse({"items": items})

    async def history(self, request: Request) -> Response:
        limit = _number(request, "limit", 200, 1, _MOST_HISTORY)
        return JSONResponse(await self._triage.statistics.run(grading.history, _grader(request), limit))

    async def retraining(self, request: Request) -> Response:
        return JSONResponse(await self._triage.retrain_status())

    async def retrain(self, request: Request) -> Response:
        if not await self._triage.retrain():
            raise HTTPException(409, "A training is running. Wait until it has ended.")
        return JSONResponse({"state": self._triage.retraining.state})

    async def decide(self, request: Request) -> Response:
        given, retraining = await _json(request), self._triage.retraining
        accept = given.get("accept") is True
        if retraining.state != "done":
            raise HTTPException(409, "There is no new model to decide on. Start a training first.")
        if accept and not retraining.accepted:
            raise HTTPException(409, "The new model is worse than the old one, which stays.")
        await self._triage.decide(accept)
        return JSONResponse({"state": retraining.state})

    def _known(self, name: str) -> str:
        """Return the id of an object of the table or of a gold object; raise HTTPException for all others."""
        if not self._triage.knows(name):
            raise HTTPException(404, f"There is no object with the id {name!r} in the table of scores.")
        return name

    async def _cutout(self, name: str) -> tuple[Any, str, str]:
        try:
            return await self._triage.cutout(name)
        except GridlensError as exc:
            raise HTTPException(404, str(exc)) from exc


def _grader(request: Request) -> str:
    return str(request.scope[GRADER])


async def _json(request: Request) -> dict[str, Any]:
    """Return the object in the body of a request."""
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise HTTPException(422, "The request must be a JSON object.")
    return given


def _number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return an integer from the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text[:9]) <= high:
        raise HTTPException(422, f"The {name} must be {low} to {high}. Got {text[:20]!r} instead.")
    return int(text)


def _ids(request: Request) -> list[str]:
    """Return the comma-separated ids from the query; commas within an id are encoded."""
    query = request.scope["query_string"].decode("latin-1")
    text = next((part[4:] for part in query.split("&") if part.startswith("ids=")), "")
    return [as_id(unquote_plus(name)) for name in text.split(",") if name]


def _header(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values).encode()
    return struct.pack("<I", len(text)) + text
