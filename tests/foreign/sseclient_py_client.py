"""The package `sseclient-py`: it takes the bytes of any response."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from again import Event, forever
from sseclient import SSEClient


def events(response: httpx.Response) -> Iterator[Event]:
    """The events of one connection."""
    for each in SSEClient(response.iter_bytes()).events():
        yield each.event, each.id or "", each.data, int(each.retry) if each.retry else None


forever(events)
