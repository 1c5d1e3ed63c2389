"""Frames of Server-Sent Events as bytes. Pure.

The format is that of the HTML standard, 9.2.6 "Interpreting an event stream". Frames are written with LF alone;
JSON never holds a raw line break, so `data` is always one line.
"""

from __future__ import annotations

import json
from typing import Any

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


COMMENT = b":\n\n"
"""Keeps a connection alive; no event, and no cursor."""


def notification(json_text: bytes) -> bytes:
    """The part of a notification's frame that all its streams share; the `id:` line goes before it."""
    return b"data: %b\n\n" % json_text


def change(json_text: bytes) -> bytes:
    """The shared part of a change's frame."""
    return b"event: change\ndata: %b\n\n" % json_text


def with_counts(frame: bytes, unread: int, unseen: int) -> bytes:
    """A change's frame whose data tells the counts after it too."""
    return b'%b,"unread":%d,"unseen":%d}\n\n' % (frame[:-3], unread, unseen)


def delivered(position: int) -> bytes:
    """The change that stands for a notification that came late and has a state already: it is in the inbox."""
    return b'event: change\ndata: {"id":%d,"verb":"delivered","ids":[%d]}\n\n' % (position, position)


def id_line(cursor: str) -> bytes:
    """The line that the browser remembers and sends back as Last-Event-ID."""
    return b"id: %b\n" % cursor.encode()


def retry(milliseconds: int) -> bytes:
    """How long the browser waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def event(
    name: str, data: dict[str, Any], *, cursor: str | None = None, retry_milliseconds: int | None = None
) -> bytes:
    """A named event with its data as one line of JSON."""
    lines = [
        id_line(cursor) if cursor is not None else b"",
        b"retry: %d\n" % retry_milliseconds if retry_milliseconds is not None else b"",
        b"event: %b\n" % name.encode(),
        b"data: %b\n\n" % json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(),
    ]
    return b"".join(lines)


def body(payload: bytes, *, more: bool = True) -> dict[str, Any]:
    """The ASGI message that carries the bytes; one message serves all streams."""
    return {"type": "http.response.body", "body": payload, "more_body": more}


def chunk(payload: bytes) -> bytes:
    """The bytes as one chunk of HTTP/1.1 (RFC 9112, 7.1), framed once for all streams."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
