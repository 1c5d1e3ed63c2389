"""What the database refuses, as an error of ours that names the field; what is no refusal stays as it is."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import psycopg

from belfry import errors

NO_VALUE = re.compile(r"BF|22|23505|23514|54000")
"""A refusal of ours, or a value that Postgres does not take: no time, no text, out of range, past a limit."""

HOLDS_TIME = re.compile(r"_at$|^until$")
"""The fields that hold a time. Postgres names no argument that it cannot cast; all others are checked before."""
_QUOTED = re.compile('"(.+?)"')
_UNWRITABLE = re.compile("[\\x00\ud800-\udfff]")
_BY_STATE: dict[str, type[errors.BelfryError]] = {"BF004": errors.PayloadTooLarge, "23505": errors.Conflict}


@contextmanager
def told(given: Mapping[str, Any] | None = None, *, prefix: str = "") -> Generator[None]:
    """Raise the database's refusals as Unprocessable and its like; `given` are the values, by their field's name."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(error, given or {}, prefix) from error


def explained(error: psycopg.Error, given: Mapping[str, Any], prefix: str = "") -> Exception:
    """The database's refusal in its own words, with its hint; anything else as it is."""
    state = error.sqlstate or ""
    if isinstance(error, psycopg.DataError) and not state:  # the driver's own: a NUL, or a lone half of a pair
        return errors.Unprocessable(str(error), field=_named(prefix, unwritable(dict(given))))
    if not NO_VALUE.match(state):
        return error
    hint = error.diag.message_hint if state.startswith("BF") else None  # Postgres' own are for who runs it
    parts = [error.diag.message_primary, error.diag.message_detail, hint]
    text = " ".join(f"{part.rstrip('.')}." for part in parts if part) or str(error)
    field = error.diag.column_name or _time_at_fault(given, text) or unwritable(dict(given))
    if field == "recipient" and given.get("recipients"):
        field = "recipients"
    return _BY_STATE.get(state, errors.Unprocessable)(text, field=_named(prefix, field))


def _named(prefix: str, field: str | None) -> str | None:
    return f"{prefix}{field}" if field else None


def _time_at_fault(given: Mapping[str, Any], text: str) -> str | None:
    """The field whose time the database quotes in its complaint, or a part of it: the time zone."""
    times = {name: value for name, value in given.items() if HOLDS_TIME.search(name) and isinstance(value, str)}
    whole = (name for name, value in times.items() if f'"{value}"' in text)
    parts = [part.lower() for part in _QUOTED.findall(text)]
    partly = (name for name, value in times.items() if any(part in value.lower() for part in parts))
    return next(whole, None) or next(partly, None)


def unwritable(value: Any) -> str | None:
    """Where in there is a text that Postgres cannot store, such as `[3].title`; None: nowhere."""
    match value:
        case str():
            return "" if _UNWRITABLE.search(value) else None
        case dict():
            parts = cast(dict[str, Any], value).items()
            found = ((key, "" if _UNWRITABLE.search(key) else unwritable(each)) for key, each in parts)
            return next((_below(key, rest) for key, rest in found if rest is not None), None)
        case list() | tuple():
            places = enumerate(cast(list[Any], value))
            found = ((f"[{index}]", unwritable(each)) for index, each in places)
            return next((_below(index, rest) for index, rest in found if rest is not None), None)
        case _:
            return None


def _below(place: str, rest: str) -> str:
    return place + (rest if not rest or rest.startswith("[") else f".{rest}")
