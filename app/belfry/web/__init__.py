"""Thin handlers, blind to each other: each turns a request into a call of what lies below."""

from __future__ import annotations

import re

import msgspec

from belfry import errors

_HOLDS_TIME = re.compile(r"_at$|^until$")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII | re.IGNORECASE
)


def require_times(given: msgspec.Struct, prefix: str = "") -> None:
    """Raise Unprocessable for a field that holds no date-time of RFC 3339; `prefix` is where the fields stand.

    Postgres reads more: "tomorrow", or days whose order and zone depend on settings. What was mistyped would be sent
    at once, or on another day.
    """
    for name in given.__struct_fields__:
        value = getattr(given, name) if _HOLDS_TIME.search(name) else None
        if value is not None and not _TIME.match(value):
            raise errors.Unprocessable(
                f"{value[:40]!r} is no time: write it with its offset, as in 2031-01-31T12:00:00Z or"
                " 2031-01-31T13:00:00+01:00.",
                field=f"{prefix}{name}",
            )
