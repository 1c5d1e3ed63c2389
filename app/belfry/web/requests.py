"""Around all routes: every request has an id, and what can be got can be asked for its head.

The id is the client's own, or a new one. It stands in the answer, in problems, and in the log.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import quote

from litestar import HttpMethod
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from belfry import logs

log = logging.getLogger(__name__)

HEADER = b"x-request-id"
REFUSED = frozenset({401, 403, 429})

_STREAM = re.compile("/v1/+stream/*\\Z")
_WIDGET = re.compile(r"/widget(/|\.js\Z)")
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")


class RequestIds:
    """Around the whole application, so that what no route answers has an id too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request its id. A stream writes past this once it has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given, began = _given(scope), time.monotonic()
        token = logs.request_id.set(given)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, given.encode())]
                _note(scope, message["status"], time.monotonic() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            logs.request_id.reset(token)


class Shared:
    """The widget's files are the same for all, and a cache between may keep them: who asks is told to nobody inside.

    The framework would answer with the asking site's origin in place of `*`, and with `Vary` of that alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and _WIDGET.match(scope["path"].removeprefix(scope.get("root_path", ""))):
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        await self._app(scope, receive, send)


class Heads:
    """Answers HEAD as GET, without the content (RFC 9110, 9.3.2); but not of a stream, whose content never ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _STREAM.search(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": HttpMethod.GET}, receive, send_head)


def _given(scope: Any) -> str:
    """The id that came with the request, where it is one that may stand in a log."""
    for name, value in scope["headers"]:
        if name == HEADER and _WELL_FORMED.match(value):
            return value.decode()
    return secrets.token_hex(8)


def _note(scope: Any, status: int, seconds: float) -> None:
    """One line for what was refused or failed, at level debug for all else; never the query: it may hold a ticket."""
    level, action = _weight(status)
    if log.isEnabledFor(level):
        told = {"method": scope["method"], "path": quote(scope["path"]), "status": status}
        milliseconds = round(seconds * 1000, 1)
        log.log(
            level, "%(method)s %(path)s %(status)s", told,
            extra={"action": action, **told, "milliseconds": milliseconds},
        )  # fmt: skip


def _weight(status: int) -> tuple[int, str]:
    if status >= 500:
        return logging.WARNING, "request_failed"
    return (logging.INFO, "request_refused") if status in REFUSED else (logging.DEBUG, "request")
