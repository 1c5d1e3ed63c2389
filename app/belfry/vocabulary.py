"""The words of the HTTP API: the types of its values, and what its document says of refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from litestar.routes import HTTPRoute
from msgspec import UNSET, Meta, UnsetType

from belfry import errors
from belfry.cursor import MAX_POSITION
from belfry.refusal import HOLDS_TIME

MAX_IDS = 10_000
PROBLEM = "application/problem+json"
PRIVATE = CacheControlHeader(no_store=True)
NAME_PATTERN = r"^[^/\u0000-\u001f\u007f-\u009f]{1,255}$"
KIND_PATTERN = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$"
TENANT_PATTERN = NAME_PATTERN.replace("{1,", "{0,")
KIND_OR_ALL_PATTERN = r"^(\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*)$"


def _said(**extra: Any) -> Meta:
    """What the document says of a value; the database is the judge of it, with better words."""
    return Meta(extra_json_schema=extra)


# --- in bodies -----------------------------------------------------------------------------------------------

Position = Annotated[int, Meta(ge=1, le=MAX_POSITION, description="The id of a notification.", examples=[1042])]
Positions = Annotated[list[Position], Meta(min_length=1, max_length=MAX_IDS)]
Name = Annotated[str, _said(pattern=NAME_PATTERN, examples=["team:7"])]
Kind = Annotated[str, _said(pattern=KIND_PATTERN, maxLength=255, examples=["comment.created"])]
KindOrAll = Annotated[str, _said(pattern=KIND_OR_ALL_PATTERN, maxLength=255, examples=["*"])]
Time = Annotated[str, _said(format="date-time", examples=["2031-01-31T12:00:00Z"])]
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII | re.IGNORECASE
)
Tenant = Annotated[str, _said(pattern=TENANT_PATTERN, examples=["acme"])]
Key = Annotated[str, _said(minLength=1, maxLength=255)]
Severity = Literal["info", "success", "warning", "error"]
State = Literal["all", "unread", "read", "unseen", "seen", "archived", "snoozed"]
_CHOICES = {"severity": get_args(Severity), "state": get_args(State)}

# --- in paths and queries ------------------------------------------------------------------------------------

PathName = Annotated[str, PathParameter(pattern=NAME_PATTERN)]
PathSegment = Annotated[str, PathParameter(pattern=NAME_PATTERN.replace("255", "200"))]
PathKind = Annotated[str, PathParameter(pattern=KIND_PATTERN, max_length=255)]
PathPosition = Annotated[int, PathParameter(ge=1, le=MAX_POSITION)]
PathNumber = Annotated[
    int, PathParameter(ge=-MAX_POSITION, le=MAX_POSITION, description="An id; below zero, one that is scheduled")
]
_Word = Annotated[str, Meta(pattern=NAME_PATTERN)]
_Text = Annotated[str, Meta(pattern=r"^[^\u0000]{1,255}$")]
QueryName = Annotated[str | None, QueryParameter(pattern=NAME_PATTERN)]
QueryNames = Annotated[list[_Word] | None, QueryParameter(description="Only these; may be repeated")]
QueryTexts = Annotated[list[_Text] | None, QueryParameter(description="Only with one of these; may be repeated")]
QueryTenant = Annotated[str | None, QueryParameter(description="Only this tenant", pattern=TENANT_PATTERN)]
QueryPosition = Annotated[int, QueryParameter(ge=1, le=MAX_POSITION, description="Only ids below this one")]

# --- routes and what they refuse -----------------------------------------------------------------------------


def routes_at(path: str, handlers: Sequence[HTTPRouteHandler], **more: Any) -> Router:
    """A router whose OPTIONS name every method of a path, and whose answers are nobody else's: no cache keeps them.

    The framework keeps the answer that it made for the first handler of a path: it is made anew here.
    """
    router = Router(path=path, route_handlers=list(handlers), cache_control=PRIVATE, **more)
    router.routes = [
        HTTPRoute(
            path=each.path, route_handlers=[one for one in each.route_handlers if "OPTIONS" not in one.http_methods]
        )
        for each in router.routes
        if isinstance(each, HTTPRoute)
    ]
    return router


class Fault(msgspec.Struct):
    """One field of the request that is at fault."""

    field: Annotated[str, Meta(examples=["ids[0]"])]
    detail: str


class Problem(msgspec.Struct):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


_MEANINGS = {
    400: "The request has not the right shape: `errors` names the field.",
    401: "There is no good credential.",
    403: "The credential does not allow this.",
    404: "There is no such thing, or it is not yours.",
    409: "This conflicts with what is already there.",
    413: "The body is too large.",
    422: "A value is not allowed: `errors` names the field.",
    429: "There were too many requests: wait as long as `Retry-After` says.",
    501: "This server cannot do this as it is set up.",
    503: "The database cannot be reached at the moment.",
}


def refusals(*statuses: int) -> Mapping[int, ResponseSpec]:
    """For the document: what a route may refuse, beside what each may: 400, 401, 403, 422, 429, 503."""
    return {
        status: ResponseSpec(
            Problem, description=_MEANINGS[HTTPStatus(status)], media_type=PROBLEM, generate_examples=False
        )
        for status in sorted({400, 401, 403, 422, 429, 503, *statuses})
    }


def with_choices(detail: str, field: str) -> str:
    """What is said of a word that is none of those which its field takes, and which these are."""
    words = _CHOICES.get(field.rpartition(".")[2], ())
    if not words or not detail.startswith("Invalid enum value"):
        return detail
    return f"{detail.removesuffix('.')}: it is one of {', '.join(words)}{'.' if detail.endswith('.') else ''}"


def require_times(given: msgspec.Struct, prefix: str = "") -> None:
    """Raise Unprocessable for a field that holds no date-time of RFC 3339; `prefix` is where the fields stand.

    Postgres reads more: "tomorrow", or days whose order and zone depend on settings. What was mistyped would be sent
    at once, or on another day.
    """
    for name in given.__struct_fields__:
        value = getattr(given, name) if HOLDS_TIME.search(name) else None
        if value is not None and not _TIME.match(value):
            raise errors.Unprocessable(
                f"{value[:40]!r} is no time: write it with its offset, as in 2031-01-31T12:00:00Z or"
                " 2031-01-31T13:00:00+01:00.",
                field=f"{prefix}{name}",
            )
