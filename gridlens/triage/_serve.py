"""The server of the page."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gridlens._extras import check_extra
from gridlens.errors import GridlensError
from gridlens.triage._measuring import Measuring

if TYPE_CHECKING:
    import pandas as pd

    from gridlens.triage._state import Triage

__all__ = ["open_triage", "serve"]

# Time that running requests get after Ctrl-C, s.
_GRACE = 2
_LOOPBACK = "127.0.0.1"


def serve(
    scores: str | os.PathLike[str],
    *,
    announce: Callable[[Mapping[str, str]], Any],
    port: int = 0,
    allow_host: str | None = None,
    **options: Any,
) -> None:
    """Serve the page of a table of scores until Ctrl-C.

    Without `allow_host`, only this machine can open the page. Each grader needs a link, which works once.

    Parameters
    ----------
    scores : str or path
        Table that `gridlens score` wrote.
    announce : callable
        Called with a mapping of graders to links once the server listens.
    port : int, default=0
        Port of the server; 0 selects a free one.
    allow_host : str, default=None
        Name or address of this machine at which other machines can open the page. The traffic is not encrypted.
    **options
        Options of `open_triage`.

    Raises
    ------
    GridlensError
        If a package is missing, the port is in use, the host is not this machine, or as for `open_triage`.

    Examples
    --------
    >>> from gridlens.triage import serve
    >>> serve("scores.parquet", graders=["alice"], announce=print)  # doctest: +SKIP
    """
    check_extra("triage", ("starlette", "uvicorn"), "Triage pages")
    with contextlib.ExitStack() as stack:
        host = _LOOPBACK if allow_host is None else allow_host.strip("[]")
        listener = stack.enter_context(_listening(host, port))
        measuring = Measuring()
        stack.callback(measuring.close)
        # Started now, so that both processes load their libraries at the same time.
        measuring.start(os.fspath(scores))
        from gridlens.triage._scores import share_arenas

        share_arenas()
        triage = open_triage(scores, measuring=measuring, **options)
        stack.callback(triage.close)
        _answer(triage, host, listener, announce)


def _answer(triage: Triage, host: str, listener: socket.socket, announce: Callable[[Mapping[str, str]], Any]) -> None:
    """Handle requests until Ctrl-C."""
    import uvicorn

    from gridlens.triage._app import make_app
    from gridlens.triage._guard import LOOPBACK, Guard
    from gridlens.triage._sessions import Sessions

    port = int(listener.getsockname()[1])
    sessions = Sessions(triage.settings.graders, triage.books)
    server = uvicorn.Server(
        uvicorn.Config(
            Guard(make_app(triage), sessions, {*LOOPBACK, host}, port),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    place = f"[{host}]" if ":" in host else host
    announce({who: f"http://{place}:{port}/?token={token}" for who, token in sessions.tokens.items()})
    # Ctrl-C is the normal way to end the server; every grade is already saved.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def open_triage(
    scores: str | os.PathLike[str],
    source: Sequence[str] | None = None,
    *,
    graders: Sequence[str],
    grades: str | os.PathLike[str] = "grades.sqlite",
    model: str | None = None,
    strategy: str = "mix",
    batch: int = 100,
    blind: bool = True,
    keys: str | os.PathLike[str] | None = None,
    criteria: str | os.PathLike[str] | None = None,
    gold: pd.DataFrame | None = None,
    measuring: Measuring | None = None,
    **stated: Any,
) -> Triage:
    """Open a table of scores, its cutouts and a grade book.

    Parameters
    ----------
    scores : str or path
        Table written by `gridlens score`. The record beside it states how its cutouts were read.
    source : sequence of str, default=None
        Files, folders and globs of cutouts. If None, those in the record.
    graders : sequence of str
        Names of the graders.
    grades : str or path, default="grades.sqlite"
        Grade book, created if missing.
    model : str, default=None
        Model that produced the scores. If None, that of the record.
    strategy, batch
        Strategy and size of the queues, as for `gridlens.grading.make_queue`.
    blind : bool, default=True
        Whether to hide scores and the grades of others until an object is graded.
    keys, criteria : str or path, default=None
        JSON files, as for `read_keys` and `read_criteria`.
    gold : DataFrame, default=None
        Objects with a known truth, for `GradeBook.add_gold`, and optionally their `path`.
    measuring : Measuring, default=None
        Measuring process that has already been started.
    **stated
        Arguments of `gridlens.sources.open_source`, which take precedence over the record.

    Raises
    ------
    ValueError
        If there is no grader, or a name is blank or repeated.
    GridlensError
        If the table, the grade book, or a file of keys or criteria cannot be used.
    """
    from gridlens._file_names import existing_path
    from gridlens.explain._remembered import remembered
    from gridlens.models._bundle import BUNDLED
    from gridlens.triage._keys import read_criteria, read_keys
    from gridlens.triage._scores import ScoreTable
    from gridlens.triage._state import Settings, Triage

    names = tuple(name.strip() for name in graders)
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError(f"The 'graders' parameter must contain different names. Got {', '.join(names)!r} instead.")
    past = remembered(scores)
    if model is None and past.model is not None:
        # The name of a bundled model takes precedence over a folder of that name.
        model = past.model if past.model in BUNDLED else existing_path(past.model, past.folders)
    settings = Settings(names, strategy, batch, blind, read_keys(keys), read_criteria(criteria), model)
    return Triage(ScoreTable(scores), grades, settings, past, {"source": source, **stated}, gold, measuring)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address of this machine."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if address[0] in ("0.0.0.0", "::"):
            raise GridlensError(
                f"The host {host} is not an address that a browser can open. Give an address of this machine, such as "
                "its name in the network."
            )
        if not _is_loopback(host) and _is_loopback(str(address[0])):
            # On some systems, the name of the machine resolves to an address that only the machine itself can reach.
            address = ("0.0.0.0" if family == socket.AF_INET else "::", port)
        return socket.create_server(address[:2], family=family)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise GridlensError(
                f"The port {port} is in use, perhaps by another triage page. Choose another one, or port=0 for a free "
                "one."
            ) from exc
        raise GridlensError(
            f"This machine cannot answer at {host}:{port}: {exc.strerror or exc}. Give an address of this machine."
        ) from exc


def _is_loopback(host: str) -> bool:
    """Return whether a name or an address is that of the loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
