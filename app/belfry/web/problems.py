"""Errors as problem documents (RFC 9457): one place that turns an exception into an answer."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import psycopg
from litestar import Request, Response
from litestar.exceptions import HTTPException

from belfry import bodies, errors, logs
from belfry.vocabulary import with_choices

log = logging.getLogger(__name__)
IN_THE_WAY = "Others changed the same at the same time, and nothing was done: try again."
MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response[Any]:
    """A problem document; `more` are members of its own, such as `errors`."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    if (given := logs.request_id.get()) is not None:
        content["request_id"] = given
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def from_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What the framework refused: a wrong route, method, parameter or body."""
    faults = _faults(request, error.extra)
    detail = " ".join(f"{fault['field']}: {fault['detail']}." for fault in faults) or _advice(error)
    more = {"errors": faults} if faults else {}
    return problem(error.status_code, HTTPStatus(error.status_code).phrase, detail, error.headers, **more)


def _advice(error: HTTPException) -> str:
    """What to do where the framework only repeats the title."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "There is no such path here: /schema lists those that there are."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and error.headers:
        return f"The method is not one of this path, which takes {error.headers['allow']}."
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"The body is larger than {bodies.MAX_BYTES:,} bytes: send it in parts."
    return error.detail


def _faults(request: Request[Any, Any, Any], extra: Any) -> list[dict[str, str]]:
    """The fields that the framework found at fault, by the names that the client gave them."""
    found = cast(list[dict[str, str]], extra) if isinstance(extra, list) else []
    named = [(_called(request, each.get("key", "body")), each["message"]) for each in found if "message" in each]
    return [{"field": field, "detail": with_choices(message, field)} for field, message in named]


def _called(request: Request[Any, Any, Any], key: str) -> str:
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    return getattr(parameter and parameter.kwarg_definition, "name", None) or key


def from_belfry(_: Request[Any, Any, Any], error: errors.BelfryError) -> Response[Any]:
    """What Belfry refused."""
    headers: dict[str, str] = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    detail = with_choices(error.message, error.field or "")
    more = {} if error.field is None else {"errors": [{"field": error.field, "detail": detail}]}
    return problem(error.status, error.title, detail, headers, **more)


def from_outage(_: Request[Any, Any, Any], error: psycopg.OperationalError) -> Response[Any]:
    """The database is away; where it left in the middle, nobody knows whether what was asked has been done."""
    if (error.sqlstate or "").startswith("40"):
        return problem(503, HTTPStatus(503).phrase, IN_THE_WAY, {"Retry-After": "1"})
    log.warning("a request found no database: %s", type(error).__name__, extra={"action": "database_away"})
    detail = "The database cannot be reached at the moment: try again."
    return problem(503, HTTPStatus(503).phrase, detail, {"Retry-After": "1"})


def from_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """What nobody expected: it is in the log, and the client learns nothing of it."""
    log.error(
        "a request failed: %s %s", request.method, quote(request.scope["path"]), exc_info=error, extra={"action": "bug"}
    )
    return problem(500, "Internal Server Error", "The server failed to answer; its log says why.")


HANDLERS: dict[Any, Any] = {
    HTTPException: from_http,
    errors.BelfryError: from_belfry,
    psycopg.OperationalError: from_outage,
    Exception: from_bug,
}
