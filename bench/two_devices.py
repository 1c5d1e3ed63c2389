"""Two devices of one person: what is read on one, the other has at once, with the right badge.

One device marks one notification as read by HTTP; the clock starts before its request is written and stops when the
other device's stream has delivered the `change`. Every change must come once and carry the exact count. Measured idle,
and beside 200 commits a second for somebody else on the same topic. Mark: p95 under 50 ms.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from bench import report, sse_client
from bench.relay import token
from bench.stage import Background, Sender, Stage, parser, stage

ME = "u1"
CALM = {"BELFRY_RECIPIENT_REQUESTS_PER_MINUTE": "0"}


@dataclass(slots=True)
class Device:
    """The one that only listens: when each change came, and with which badge."""

    port: int
    arrived: asyncio.Queue[tuple[float, list[int], int]] = field(
        default_factory=asyncio.Queue[tuple[float, list[int], int]]
    )
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Read until cancelled."""
        stream = await sse_client.connect("127.0.0.1", self.port, "/v1/stream", token=token(ME))
        async for frame in stream.frames():
            now = time.perf_counter()
            if frame.event == "ready":
                self.ready.set()
            elif frame.event == "change":
                change = json.loads(frame.data)
                self.arrived.put_nowait((now, change.get("ids", []), change.get("unread", -1)))


class Reader:
    """The one that reads: a connection kept open, as a browser does."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._headers = {"Authorization": f"Bearer {token(ME)}", "Content-Type": "application/json"}

    def read(self, id: int) -> float:
        """Mark one as read; when the request began."""
        began = time.perf_counter()
        self._connection.request("POST", "/v1/inbox/read", json.dumps({"ids": [id]}), self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200 or json.loads(body)["changed"] != 1:
            raise AssertionError(f"{answer.status} {body[:200]!r}")
        return began


async def stretch(on: Stage, result: report.Report, name: str, ids: Sequence[int]) -> float:
    """Read each; p95 in milliseconds."""
    device, reader, rng = Device(on.relay.port), Reader(on.relay.port), random.Random(1)
    following = asyncio.create_task(device.follow())
    await asyncio.wait_for(device.ready.wait(), 10)
    took: list[float] = []
    wrong: list[str] = []
    for place, id in enumerate(ids):
        await asyncio.sleep(rng.uniform(0.01, 0.05))
        began = await asyncio.to_thread(reader.read, id)
        arrived, changed, unread = await asyncio.wait_for(device.arrived.get(), 10)
        took.append((arrived - began) * 1000)
        if (changed, unread) != ([id], len(ids) - place - 1):
            wrong.append(f"{id}: ids {changed}, unread {unread} instead of {len(ids) - place - 1}")
    following.cancel()
    result.check(not wrong, f"{name}: {len(wrong)} changes were not right: {wrong[:3]}")
    result.check(device.arrived.empty(), f"{name}: {device.arrived.qsize()} changes more than were asked for")
    for q in (50, 95, 99):
        result.figures[f"{name}: p{q} ms from request to the other device"] = report.percentile(took, q)
    return report.percentile(took, 95)


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("two_devices", __doc__)
    options.add_argument("--rows", type=int, default=300, help="notifications to read in each stretch")
    given = options.parse_args(arguments)
    result = report.Report("two_devices")
    with stage(settings=CALM) as on:
        sender = Sender(on.sender_url)
        p95: dict[str, float] = {}
        for name, rate in (("idle", 0), ("200/s", 200)):
            ids = sender.send_many([ME] * given.rows)
            beside = Sender(on.sender_url)
            load = Background(rate, lambda _, to=beside: to.send("somebody else")) if rate else None
            p95[name] = asyncio.run(stretch(on, result, name, ids))
            if load:
                load.stop()
        with psycopg.connect(on.url) as conn:
            left = conn.execute("SELECT unread FROM belfry.counts(%s)", (ME,)).fetchone()
        result.check(left == (0,), f"{left} are unread at the end")
    for name, milliseconds in p95.items():
        result.mark(f"{name}: p95 under 50 ms", milliseconds < 50, f"{milliseconds:.1f} ms")
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
