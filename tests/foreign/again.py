"""What a client without a reconnection of its own needs around it: `runner.py STREAM TOKEN` prints each event."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

import httpx

Event = tuple[str, str, str, int | None]
"""Name, id, data, and the pause in milliseconds before the next attempt, where it is told."""


def forever(events: Callable[[httpx.Response], Iterator[Event]]) -> None:
    """Read the stream; when it ends, wait as we were told and come back with the last id."""
    url, token = sys.argv[1:3]
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    pause = 200  # sseclient-py does not tell ours: it stands in a block without data
    with httpx.Client(timeout=httpx.Timeout(10, read=60)) as client:
        while True:
            try:
                with client.stream("GET", url, headers=headers) as response:
                    response.raise_for_status()
                    for name, last_id, data, retry in events(response):
                        pause = retry or pause
                        if last_id:  # the block with the retry alone has none
                            headers["Last-Event-ID"] = last_id
                        print(json.dumps({"name": name, "id": last_id, "data": data}), flush=True)  # noqa: T201
            except httpx.HTTPError:
                pass
            time.sleep(pause / 1000)
