"""Torture's clients: each follows one recipient, is cut at random and resumes with `Last-Event-ID` somewhere else."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import relay, sse_client
from bench.oracle import Observed


@dataclass(slots=True)
class Arrival:
    """When a row came, and since when that stream had been live."""

    id: int
    at: float
    live_since: float


@dataclass(slots=True)
class Client:
    """One EventSource that began with `cursor=0`."""

    seen: Observed
    ports: Sequence[int]
    rng: random.Random
    mean_life_seconds: float = 1.5
    last_id: str = ""
    connects: int = 0
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    notes: Counter[str] = field(default_factory=Counter[str])
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _live_since: float = float("inf")
    _port: int = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        credential = relay.token(self.seen.recipient)
        while True:
            await self.once(credential)
            await asyncio.sleep(self.rng.uniform(0, 0.15))

    async def once(self, credential: str, *, cut: bool = True) -> None:
        """One connection, from open to its end."""
        stream = await self._open(credential)
        if not stream:
            return
        cutter = asyncio.create_task(self._cut(stream)) if cut else None
        self._live_since = float("inf")
        try:
            async for frame in stream.frames():
                self._take(frame)
        finally:
            self.last_id = stream.parser.last_id
            self.ready.clear()
            stream.abort()
            if cutter:
                cutter.cancel()

    async def _open(self, credential: str) -> sse_client.Stream | None:
        others = [port for port in self.ports if port != self._port] or list(self.ports)
        self._port = self.rng.choice(others)
        try:
            stream = await sse_client.connect(
                "127.0.0.1", self._port, "/v1/stream?cursor=0", token=credential, last_event_id=self.last_id
            )
        except sse_client.Refused as refused:
            self.notes[f"status {refused.status}"] += 1
        except (OSError, TimeoutError) as error:
            self.notes["timeout" if isinstance(error, TimeoutError) else "no connection"] += 1
        else:
            self.connects += 1
            return stream
        await asyncio.sleep(0.1)
        return None

    async def _cut(self, stream: sse_client.Stream) -> None:
        await asyncio.sleep(self.rng.expovariate(1 / self.mean_life_seconds))
        if self.rng.random() < 0.6:
            stream.truncate = self.rng.randint(0, 900)  # the next bytes end inside a frame
            await asyncio.sleep(0.5)
        stream.abort()

    def _take(self, frame: sse_client.Frame) -> None:
        if frame.event == "message":
            row: dict[str, Any] = json.loads(frame.data)
            transaction = str(row["data"].get("transaction", ""))
            self.seen.notification(row["id"], row["topic"], transaction)
            self.arrivals.append(Arrival(row["id"], time.monotonic(), self._live_since))
        elif frame.event == "change":
            self._change(json.loads(frame.data))
        elif frame.event == "ready":
            self._live_since = time.monotonic()
            self.ready.set()
        elif frame.event == "reset":
            self.seen.resets += 1
            self.notes[f"reset {json.loads(frame.data).get('reason')}"] += 1
        elif frame.event == "goodbye":
            self.notes[f"goodbye {json.loads(frame.data).get('reason')}"] += 1

    def _change(self, change: dict[str, Any]) -> None:
        if change["verb"] == "subscribed":
            self.seen.subscribed(change["topic"])
        elif change["verb"] == "unsubscribed":
            self.seen.unsubscribed(change["id"], change["topic"], change.get("until"))


def make(
    recipients: Sequence[str], count: int, ports: Sequence[int], seed: int, kind: type[Client] = Client
) -> list[Client]:
    """`count` clients, dealt over the recipients in turn."""
    return [
        kind(Observed(recipients[n % len(recipients)]), ports, random.Random(f"{seed} client {n}"))
        for n in range(count)
    ]
