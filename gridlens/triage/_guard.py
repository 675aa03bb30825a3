"""Checks of each request before it reaches the application."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from gridlens.triage._sessions import Sessions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["GRADER", "LOOPBACK", "Guard", "host_and_port"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""hosts that refer to this machine itself"""
GRADER = "gridlens.grader"
"""key of the grader's name in the scope of a request"""

# Largest request; a grade with a note and marks takes a few kB.
_MOST_BYTES = 64 * 1024
_COOKIE_SECONDS = 7 * 86_400
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LINK = "Open the link that `gridlens triage` printed, or start it again for a new one."


class Guard:
    """Pass a request to an app if it addresses this server and comes from a known grader and from the page itself.

    Parameters
    ----------
    app : ASGI application
        Gets the name of the grader in the scope, under `GRADER`.
    sessions : Sessions
    hosts : collection of str
        Valid names and addresses in the header Host, without the port.
    port : int
        Port of the server.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: Collection[str], port: int) -> None:
        self._app, self._sessions = app, sessions
        named = (f"[{host}]" if ":" in host else host for host in hosts)
        self._hosts, self._port = {host_and_port(host)[0] for host in named}, port
        self._cookie = f"gridlens-triage-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                if b"cache-control" not in known:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refused = self._wrong_host(headers) or await self._wrong_grader(scope, headers)
        if refused is None and scope["method"] not in ("GET", "HEAD"):
            refused = self._wrong_origin(scope, headers)
        if refused is None and scope["method"] == "POST":
            body = await _body(receive)
            if body is None:
                refused = _refusal(413, f"The request is too large: at most {_MOST_BYTES // 1024} kB are accepted.")
            else:
                receive = _replayed(body)
        await (self._app if refused is None else refused)(scope, receive, answer)

    def _wrong_host(self, headers: dict[str, list[str]]) -> Response | None:
        """Refuse a request for another host, because a foreign site may resolve its own name to this address."""
        named = headers.get("host", [])
        host, port = host_and_port(named[0]) if len(named) == 1 else (None, None)
        if host is not None and host in self._hosts and (80 if port is None else port) == self._port:
            return None
        return _refusal(403, "This server only accepts its own address, which `gridlens triage` printed.")

    async def _wrong_grader(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        """Exchange a token for a cookie, or find the grader of the cookie."""
        cookie = _cookie(headers, self._cookie)
        grader = None if cookie is None else await self._sessions.grader_of(cookie)
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["path"] == "/" and scope["method"] == "GET" and tokens:
            made = await self._sessions.exchange(tokens[0])
            if made is not None:
                response = RedirectResponse("/", 303)
                response.set_cookie(
                    self._cookie, made[1], max_age=_COOKIE_SECONDS, path="/", httponly=True, samesite="strict"
                )
                return response
            if grader is None:
                return PlainTextResponse(f"This link has been used, or is from an earlier run. {_LINK}\n", 403)
            return RedirectResponse("/", 303)
        if grader is None:
            return self._unknown_grader(scope, headers)
        scope[GRADER] = grader
        return None

    def _unknown_grader(self, scope: Scope, headers: dict[str, list[str]]) -> Response:
        if scope["path"] != "/":
            return _refusal(401, f"This browser is not logged in. {_LINK}")
        if headers.get("sec-fetch-site") == ["cross-site"]:
            # After a link in a mail, browsers only send a strict cookie if the page itself reloads.
            return PlainTextResponse("Opening the page.\n", 200, {"Refresh": "0; url=/"})
        return PlainTextResponse(f"This browser is not logged in. {_LINK}\n", 401)

    def _wrong_origin(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        """Refuse a change of state unless the page itself requests it, with POST and JSON."""
        if scope["method"] != "POST":
            return _refusal(405, "Only GET and POST requests are accepted, and only POST for changes.")
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        own = ["http://" + headers["host"][0]]
        if not (site == ["same-origin"] if site is not None else origin == own):
            return _refusal(403, "The request comes from another page. Grade in the page that this server shows.")
        kind = headers.get("content-type", [""])[0].partition(";")[0].strip().lower()
        if kind != "application/json":
            return _refusal(415, "The request must be JSON, with the content type application/json.")
        return None


def host_and_port(text: str) -> tuple[str | None, int | None]:
    """Return the host, in lower case and without brackets, and the port of a header Host; None if invalid or missing.

    Examples
    --------
    >>> host_and_port("LOCALHOST:8000"), host_and_port("[::1]:80"), host_and_port("[::1].evil.org:80")
    (('localhost', 8000), ('::1', 80), (None, None))
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            return None, None
        if not bracket or (rest and not rest.startswith(":")):
            return None, None
        port = rest[1:]
        has_port = bool(rest)
    else:
        host, colon, port = text.lower().partition(":")
        has_port = bool(colon)
    if not has_port:
        return host, None
    return (host, int(port)) if port.isascii() and port.isdigit() and len(port) <= 5 else (None, None)


def _cookie(headers: dict[str, list[str]], name: str) -> str | None:
    return cookie_parser("; ".join(headers.get("cookie", []))).get(name)


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, or None if it is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            return None
    return body


def _replayed(body: bytes) -> Receive:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
