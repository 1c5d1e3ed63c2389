"""Bodies of requests, taken at their word: no text is a number, no 1 is true, and every character can be stored.

The framework converts leniently, as it must for a query; so what it will convert is checked before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import msgspec
from litestar import Request

from belfry import errors
from belfry.refusal import unwritable

MAX_BYTES = 10_000_000
MAX_DEPTH = 200
"""How deep a body may be nested: whatever reads and writes it further on has room for that on the stack."""

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>.*)`)?$", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(.*)`\Z", re.DOTALL)


async def check(request: Request[Any, Any, Any]) -> None:
    """Before a handler: refuse a body that is not exactly of its type. Raises BadRequest, Unprocessable."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get("data")
    if parameter is None:
        return
    body = await request.body()
    try:
        _require(parameter.raw, body)
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            _require_shallow(body)
        if b"\\u" in body or b"\0" in body:
            _require_writable(body)
    except msgspec.ValidationError as error:
        what, field = _explained(str(error))
        raise errors.BadRequest(f"{what}.", field=field) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise errors.BadRequest(f"The body is no JSON that can be read: {error}.", field="body") from None


def _explained(text: str) -> tuple[str, str]:
    """What is wrong, and the field at which, also where it is missing; in a free object it is the field of that."""
    found = _PLACE.match(text)
    what, where = (found["what"], found["where"] or "") if found else (text, "")
    named = _NAMED.match(what)
    parts = [where.partition("[...]")[0], named[1] if named else ""]
    return what, ".".join(filter(None, parts)) or "body"


def _require(kind: Any, body: bytes) -> None:
    """Raise unless the body is of that type, where 1.0 is a whole number, as JSON has only one sort of numbers."""
    try:
        _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        if b"." not in body and b"e" not in body and b"E" not in body:
            raise
        try:
            value = msgspec.json.decode(body)
        except msgspec.ValidationError:  # a number is out of range, and the first complaint says where
            raise error from None
        msgspec.convert(_whole(value), kind)


def _whole(value: Any) -> Any:
    """The same with whole numbers as such."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole(each) for name, each in cast(dict[str, Any], value).items()}
        case list():
            return [_whole(each) for each in cast(list[Any], value)]
        case _:
            return value


def _require_shallow(body: bytes) -> None:
    level = [msgspec.json.decode(body)]
    for _ in range(MAX_DEPTH):
        level = [each for value in level for each in _values(value) if isinstance(each, dict | list)]
    if level:
        raise errors.BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.", field="body")


def _values(value: Any) -> Iterable[Any]:
    """Of an object or an array."""
    return cast(dict[str, Any], value).values() if isinstance(value, dict) else value


def _require_writable(body: bytes) -> None:
    where = unwritable(msgspec.json.decode(body))
    if where is not None:
        raise errors.Unprocessable("A text holds a character that cannot be stored: NUL.", field=where or "body")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
