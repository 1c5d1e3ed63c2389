"""Who asks over HTTP, and whether they may: recipients by token or cookie, senders by API key; how often, too.

These are guards: they run before a body is read. What they find is in the request's state.
"""

from __future__ import annotations

import time
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from belfry import errors, keys
from belfry.auth import Credential, Verifier
from belfry.config import Config
from belfry.limits import Limiter

Connection = ASGIConnection[Any, Any, Any, Any]

COOKIE = "belfry_token"
SAFE_METHODS = ("GET", "HEAD")
AS_RECIPIENT: list[dict[str, list[str]]] = [{"token": []}, {"cookie": []}]
AS_SENDER: list[dict[str, list[str]]] = [{"api_key": ["send"]}]
AS_MANAGER: list[dict[str, list[str]]] = [{"api_key": ["manage"]}]
"""What the OpenAPI document says that routes with these guards need."""


class Limits:
    """How often a key and a recipient may ask, in this process."""

    def __init__(self, config: Config) -> None:
        self.keys = Limiter(config.key_requests_per_minute)
        self.recipients = Limiter(config.recipient_requests_per_minute)


# --- recipients ----------------------------------------------------------------------------------------------


async def recipient(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a recipient asks. Raises Unauthorized, Forbidden, TooManyRequests."""
    if _method(connection) == "OPTIONS":
        return
    state = connection.app.state
    me = authenticate(connection, state.verifier)
    if _method(connection) not in SAFE_METHODS and not _bearer(connection):
        _require_own_page(connection, state.config)
    _take(state.limits.recipients, me.recipient)
    connection.scope["state"]["me"] = me


def me(request: Request[Any, Any, Any]) -> Credential:
    """The recipient that the guard has let in."""
    return request.scope["state"]["me"]


def authenticate(connection: Connection, verifier: Verifier, ticket: str | None = None) -> Credential:
    """The recipient behind a request: `Authorization: Bearer`, a ticket in the query where one is taken, or the cookie.

    The cookie comes last, for a browser sends it unasked: a page may show the inbox of somebody else than its user.
    Raises Unauthorized.
    """
    bearer = _bearer(connection)
    if ticket and not bearer:
        return verifier.recipient(ticket, ticket=True)
    if token := bearer or connection.cookies.get(COOKIE):
        return verifier.recipient(token)
    others = "the cookie `belfry_token`" + ("" if ticket is None else ", or `?ticket=`")
    raise errors.Unauthorized(f"No credential: send a token as `Authorization: Bearer`, or {others}")


def _method(connection: Connection) -> str:
    """The method; what a route allows is no secret, so OPTIONS need no credential."""
    return cast(dict[str, Any], connection.scope)["method"]


def _bearer(connection: Connection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _require_own_page(connection: Connection, config: Config) -> None:
    """A browser sends the cookie along with whatever any page asks for: only pages that we know may change things.

    Raises Forbidden.
    """
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise errors.Forbidden("with the cookie a body must be sent as `Content-Type: application/json`")
    host = connection.headers.get("host", "").lower()
    known = (f"https://{host}", f"http://{host}", *config.cors_origins)
    if connection.headers.get("origin", "").lower() not in known:
        raise errors.Forbidden("the cookie is good from our own pages alone: name the origin in BELFRY_CORS_ORIGINS")


# --- senders -------------------------------------------------------------------------------------------------


async def sender(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a backend sends, with a key of the scope `send`.

    Raises Unauthorized, Forbidden, TooManyRequests, NotStarted.
    """
    await _require_scope(connection, "send")


async def manager(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a backend manages, with a key of the scope `manage`. Raises as `sender` does."""
    await _require_scope(connection, "manage")


def api_key(request: Request[Any, Any, Any]) -> keys.ApiKey:
    """The API key that the guard has let in."""
    return request.scope["state"]["api_key"]


def held(state: State, name: str) -> Any:
    """What the start has put into the state. Raises NotStarted before it, and where a host forgets the lifespan."""
    found = state.get(name)
    if found is None:
        raise errors.NotStarted()
    return found


async def _require_scope(connection: Connection, scope: str) -> None:
    if _method(connection) == "OPTIONS":
        return
    state = connection.app.state
    key = _bearer(connection)
    if not key:
        raise errors.Unauthorized(
            "there is no API key: send one as `Authorization: Bearer`; `belfry key create` makes one"
        )
    async with held(state, "pool").connection() as database:
        found = await keys.find(database, key)
    if found is None or not found.scopes:
        raise errors.Unauthorized("that API key is unknown or revoked; `belfry key create` makes one")
    if scope not in found.scopes:
        raise errors.Forbidden(f"that API key may not {scope}; `belfry key create NAME --scope {scope}` makes one")
    _take(state.limits.keys, found.name)
    connection.scope["state"]["api_key"] = found


def _take(limiter: Limiter, name: str) -> None:
    wait = limiter.wait_seconds(name, time.monotonic())
    if wait:
        raise errors.TooManyRequests(retry_after_seconds=wait)
