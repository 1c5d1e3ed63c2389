"""The package `httpx-sse`."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from again import Event, forever
from httpx_sse import EventSource


def events(response: httpx.Response) -> Iterator[Event]:
    """The events of one connection."""
    for each in EventSource(response).iter_sse():
        yield each.event, each.id, each.data, each.retry


forever(events)
