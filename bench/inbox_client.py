"""What a client makes of `ready` and frames alone: a small reducer by the documented rules, and one that is cut.

Nothing of Belfry or of the model is imported: the three must agree without having heard of each other.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bench import relay, sse_client


@dataclass(slots=True)
class Shown:
    """An item as this client would draw it."""

    topic: str | None
    kind: str
    title: str
    read: bool = False
    seen: bool = False
    archived: bool = False
    snoozed: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is in the list of all, and so in the numbers."""
        return not self.archived and not self.snoozed


@dataclass(slots=True)
class Reducer:
    """The state of one client: items, and the two numbers of the badge."""

    items: dict[int, Shown] = field(default_factory=dict[int, Shown])
    hollow: set[int] = field(default_factory=set[int])
    unread: int = 0
    unseen: int = 0
    notes: Counter[str] = field(default_factory=Counter[str])

    def take(self, event: str, data: dict[str, Any]) -> None:
        """One frame."""
        if event == "message":
            self._notification(data)
        elif event == "change":
            self._change(data)
        if event in ("change", "ready") and "unread" in data:
            self.notes["absolute counts"] += 1
            self.unread, self.unseen = data["unread"], data["unseen"]

    def derived(self) -> tuple[int, int]:
        """Both numbers counted anew over the items."""
        shown = [item for item in self.items.values() if item.counts]
        return sum(not item.read for item in shown), sum(not item.seen for item in shown)

    def _notification(self, data: dict[str, Any]) -> None:
        if data["id"] in self.items:
            self.notes["repeated"] += 1
            return
        self.items[data["id"]] = Shown(data["topic"], data["kind"], data["title"])
        self.unread += 1
        self.unseen += 1

    def _change(self, data: dict[str, Any]) -> None:
        verb = data["verb"]
        self.notes[verb] += 1
        if verb in MARKS:
            self._mark(verb, set(data.get("ids") or ()), data.get("through") or 0)
        else:
            {
                "retracted": self._ended, "expired": self._ended, "unsubscribed": self._left, "revised": self._revised,
                "delivered": self._delivered,
            }.get(verb, self._nothing)(data)  # fmt: skip

    def _mark(self, verb: str, ids: set[int], through: int) -> None:
        for id, item in self.items.items():
            if id in ids or id <= through:
                MARKS[verb](item)

    def _ended(self, data: dict[str, Any]) -> None:
        self._drop(lambda id, item: id in data["ids"])

    def _left(self, data: dict[str, Any]) -> None:
        until = data.get("until") or float("inf")  # where the next stay began
        self._drop(lambda id, item: data["id"] < id < until and item.topic == data["topic"])

    def _revised(self, data: dict[str, Any]) -> None:
        content = data.get("notification")
        if content and content["id"] in self.items:
            self.items[content["id"]].title = content["title"]

    def _delivered(self, data: dict[str, Any]) -> None:
        """It came into being with a state of its own: what it looks like would have to be asked for."""
        self.hollow |= set(data["ids"]) - self.items.keys()

    def _nothing(self, data: dict[str, Any]) -> None:
        """`subscribed`, `preference`: what follows from it comes as frames, what is taken back as `retracted`."""

    def _drop(self, unwanted: Callable[[int, Shown], bool]) -> None:
        gone = [id for id, item in self.items.items() if unwanted(id, item)]
        for id in gone:
            del self.items[id]


def _set(**values: bool) -> Callable[[Shown], None]:
    def mark(item: Shown) -> None:
        for name, value in values.items():
            setattr(item, name, value)

    return mark


MARKS: dict[str, Callable[[Shown], None]] = {
    "read": _set(read=True, seen=True), "unread": _set(read=False), "seen": _set(seen=True),
    "archived": _set(archived=True), "unarchived": _set(archived=False), "snoozed": _set(snoozed=True),
    "unsnoozed": _set(snoozed=False, read=False, seen=False),
}  # fmt: skip


@dataclass(slots=True)
class Client:
    """One EventSource that began with `cursor=0`, is cut at random and resumes on another relay."""

    recipient: str
    ports: Sequence[int]
    rng: random.Random
    tenant: str | None = None
    topics: tuple[str, ...] | None = None
    paged: bool = False  # begins with `GET /v1/inbox`, again and again: then it has the numbers, and not every item
    mean_life_seconds: float = 4.0
    state: Reducer = field(default_factory=Reducer)
    last_id: str = ""
    connects: int = 0
    live: bool = False
    calm: bool = False  # the run has come to a checkpoint: no more cuts
    notes: Counter[str] = field(default_factory=Counter[str])
    history: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    drifts: list[str] = field(default_factory=list[str])
    _port: int = 0
    _stream: sse_client.Stream | None = None

    def _path(self, route: str, **more: str) -> str:
        query = [*more.items()]
        query += [("tenant", self.tenant)] if self.tenant is not None else []
        query += [("topic", topic) for topic in self.topics or ()]
        return f"{route}?{urlencode(query)}"

    def covers(self, position: int) -> bool:
        """Whether it is live and has everything up to a position."""
        if not self.live or not self._stream or not self._stream.parser.last_id:
            return False
        cursor = sse_client.parse_cursor(self._stream.parser.last_id)
        return cursor.covers(position) and not cursor.gaps

    async def run(self) -> None:
        """Follow until cancelled."""
        credential = relay.token(self.recipient, 86400)
        while True:
            await self._once(credential)
            await asyncio.sleep(self.rng.uniform(0, 0.3))

    async def _once(self, credential: str) -> None:
        stream = await self._open(credential)
        if not stream:
            await asyncio.sleep(0.1)
            return
        cutter = asyncio.create_task(self._cut(stream))
        self._stream = stream
        try:
            async for frame in stream.frames():
                self._take(frame)
        finally:
            self.last_id, self.live, self._stream = stream.parser.last_id, False, None
            stream.abort()
            cutter.cancel()

    async def _open(self, credential: str) -> sse_client.Stream | None:
        others = [port for port in self.ports if port != self._port] or list(self.ports)
        self._port = self.rng.choice(others)
        try:
            if self.paged and (not self.last_id or self.rng.random() < 0.5):
                await self._begin(credential)
            path = self._path("/v1/stream", cursor="0")
            stream = await sse_client.connect(
                "127.0.0.1", self._port, path, token=credential, last_event_id=self.last_id
            )
        except (sse_client.Refused, relay.RelayProblem, OSError, TimeoutError) as error:
            self.notes[f"not let in: {type(error).__name__}"] += 1
            return None
        self.connects += 1
        return stream

    async def _begin(self, credential: str) -> None:
        """A page with its numbers, and the cursor to go on from."""
        page = await asyncio.to_thread(relay.ask, self._port, self._path("/v1/inbox", limit="100"), credential)
        self.state = Reducer(unread=page["unread"], unseen=page["unseen"])
        self.last_id = page["cursor"]
        self.history.append((page["cursor"], "page", f"unread {page['unread']}, unseen {page['unseen']}"))
        self.notes["pages"] += 1

    async def _cut(self, stream: sse_client.Stream) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / self.mean_life_seconds))
            if not self.calm:
                break
        if self.rng.random() < 0.5:
            stream.truncate = self.rng.randint(0, 900)  # the next bytes end inside a frame
            await asyncio.sleep(0.5)
        stream.abort()

    def _take(self, frame: sse_client.Frame) -> None:
        if frame.event in ("", "heartbeat"):
            return
        self.history.append((frame.id, frame.event, frame.data))
        del self.history[:-400]
        if frame.event in ("reset", "goodbye"):
            self.notes[f"{frame.event} {json.loads(frame.data).get('reason')}"] += 1
            return
        data: dict[str, Any] = json.loads(frame.data)
        self.state.take(frame.event, data)
        if frame.event == "ready":
            self.live = True
