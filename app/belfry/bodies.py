"""Bodies of requests, taken at their word: no text is a number, no 1 is true, and every character can be stored.

The framework converts leniently, as it must for a query; so what it will convert is checked before.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from litestar import Request

from belfry import errors
from belfry.refusal import unwritable

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>.*)`)?$", re.DOTALL)
MAX_DEPTH = 100


async def check(request: Request[Any, Any, Any]) -> None:
    """Before a handler: refuse a body that is not exactly of its type. Raises BadRequest, Unprocessable."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get("data")
    if parameter is None:
        return
    body = await request.body()
    try:
        _decoder(parameter.raw).decode(body)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, where = (found["what"], found["where"]) if found else (str(error), None)
        raise errors.BadRequest(f"{what}.", field=where or "body") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise errors.BadRequest(f"The body is no JSON that can be read: {error}.", field="body") from None
    if b"\\u" in body or b"\0" in body:
        _require_writable(body)


def _require_writable(body: bytes) -> None:
    where = unwritable(msgspec.json.decode(body))
    if where is not None:
        raise errors.Unprocessable("A text holds a character that cannot be stored: NUL.", field=where or "body")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
