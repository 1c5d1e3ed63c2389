"""One open SSE connection: what belongs to it, and how bytes get onto it without waiting. No SQL, no web framework.

Our own server takes bytes at once unless the client's socket is full: no task switch and no queue per stream
(`docs/decisions/stepped-send.md`). A stream that cannot be written to at once, which is each under another server, is
behind: its frames queue in a bounded buffer that a task writes, and past the bound it is cut off; it will replay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from belfry import sse
from belfry.choices import NONE, Choices, Kinds, muted
from belfry.model import Row, Stay

log = logging.getLogger(__name__)

SHOWN = (None, "revised")
"""Verbs of what shows a notification's content: the notification itself, and its revision."""
Message = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]


class Scope(NamedTuple):
    """Whose counts, and how they are narrowed: streams of one scope share them."""

    recipient: str
    tenant: str | None
    topics: frozenset[str] | None


class Phase(Enum):
    """Where a stream is in its life."""

    REPLAYING = "replaying"  # live frames wait in the queue until the replay is written
    LIVE = "live"  # frames are written at once
    BEHIND = "behind"  # the socket is full: frames wait in the queue, a task writes them
    ENDED = "ended"


@dataclass(eq=False, slots=True)
class Stream:
    """One open SSE connection of a recipient."""

    recipient: str
    send: Send
    buffer_bytes: int
    tenant: str | None = None
    narrowed: frozenset[str] | None = None  # the topics that the token or the request allows; None: all of mine
    put: Callable[[bytes], bool] | None = None  # writes a framed chunk at once, where the server can
    abort: Callable[[], None] | None = None  # cuts the connection at once, where the server can
    ends_at: float = float("inf")  # monotonic seconds: a stream ends with its credential, or of age
    ends_because: str = "rotate"
    beats_at: float = 0.0  # monotonic seconds of the next heartbeat
    phase: Phase = Phase.REPLAYING
    stays: dict[str, list[Stay]] = field(default_factory=dict[str, list[Stay]])
    choices: Choices = field(default_factory=lambda: NONE)  # the recipient's own; who has none shares one object
    kinds: Kinds = field(default_factory=Kinds)  # the hub's
    _queue: list[bytes] = field(default_factory=list[bytes])
    _queued: int = 0
    _writer: asyncio.Task[None] | None = None

    @property
    def topics(self) -> list[str]:
        """The topics that the stream is in now, in order."""
        return sorted(topic for topic, stays in self.stays.items() if any(stay.until is None for stay in stays))

    @property
    def intervals(self) -> list[tuple[str, Stay]]:
        """All stays, those that have ended too."""
        return [(topic, stay) for topic, stays in self.stays.items() for stay in stays]

    def allows(self, topic: str) -> bool:
        """Whether the topic is inside what the stream was narrowed to."""
        return self.narrowed is None or topic in self.narrowed

    @property
    def scope(self) -> Scope:
        """Whose counts this stream is told."""
        return Scope(self.recipient, self.tenant, self.narrowed)

    def takes(self, row: Row) -> bool:
        """Whether the row's tenant is the one that the stream was narrowed to; None concerns all."""
        return self.tenant is None or row.tenant is None or row.tenant == self.tenant

    def hears(self, row: Row) -> bool:
        """Whether the recipient has not muted the kind of a notification, as of its position; nor sees it revised.

        What was left out is unknown, and may be wanted.
        """
        return row.omitted or row.verb not in SHOWN or not muted(self.choices, self.kinds, row.kind or "", row.position)

    def wants(self, row: Row) -> bool:
        """Whether a row belongs to this stream: what `Hub.dispatch` finds by its indexes, asked of one stream."""
        return self._is_mine(row) and self.takes(row) and self.hears(row)

    def _is_mine(self, row: Row) -> bool:
        if row.recipient is not None:
            mine = row.recipient == self.recipient  # asked first: of a crowd that comes back, most rows are others'
            return mine and (row.verb is None or row.topic is None or self.allows(row.topic))
        return any(stay.holds(row.position) for stay in self.stays.get(row.topic or "", ()))

    def write(self, message: Message, chunk: bytes = b"") -> bool:
        """Hand over one body message, framed in `chunk`; False when the stream fell too far behind and must be cut."""
        if self.phase is Phase.LIVE:
            if self._put(message, chunk):
                return True
            self._fall_behind()
        if self.phase is Phase.ENDED:
            return True
        self._queue.append(message["body"])
        self._queued += len(message["body"])
        return self._queued <= self.buffer_bytes

    def replay(self, writing: Coroutine[Any, Any, None]) -> None:
        """Write the replay in a task of its own; live frames wait in the queue until `go_live`."""
        self.phase = Phase.REPLAYING
        self._writer = asyncio.create_task(writing)

    def go_live(self, replayed: bytes = b"") -> None:
        """The replay is written, but for `replayed`: write what came meanwhile, then every frame at once."""
        if self.phase is not Phase.REPLAYING:
            return
        self.phase = Phase.LIVE
        waiting, self._queue, self._queued = b"".join([replayed, *self._queue]), [], 0
        if waiting:
            self.write(sse.body(waiting))

    def end(self, last_words: bytes, grace_seconds: float) -> None:
        """Say goodbye and close. A stream that cannot be written to is given a moment, then cut."""
        was, self.phase = self.phase, Phase.ENDED
        self._queue, self._queued = [], 0
        if was is Phase.LIVE and self.put is not None and self._step(sse.body(last_words, more=False)):
            return
        if was is not Phase.ENDED:
            self._writer = asyncio.create_task(self._close_slowly(last_words, grace_seconds, self._writer))

    def gone(self) -> None:
        """The client has left: nothing more is written."""
        self.phase = Phase.ENDED
        self._queue, self._queued = [], 0
        if self._writer is not None:
            self._writer.cancel()

    def _put(self, message: Message, chunk: bytes) -> bool:
        """Write at once where the server can; False where it cannot, or when the socket is full: a task writes then."""
        return self.put is not None and self.put(chunk or sse.chunk(message["body"]))

    def _step(self, message: Message) -> bool:
        """Run our own server's `send` to its end; False when it suspended, which it does before it writes.

        Another's, or one that a middleware wraps, may suspend after it has written: written again it is there twice.
        """
        step = self.send(message).__await__()
        try:
            next(step)
        except StopIteration:
            return True
        step.close()  # type: ignore[attr-defined]
        return False

    def _fall_behind(self) -> None:
        self.phase = Phase.BEHIND
        self._writer = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            while self._queue and self.phase is Phase.BEHIND:
                waiting, self._queue, self._queued = b"".join(self._queue), [], 0
                await self.send(sse.body(waiting))
            if self.phase is Phase.BEHIND:
                self.phase = Phase.LIVE
        except Exception:
            log.exception("a stream could not be written to", extra={"action": "stream_failed"})
            self._queued = self.buffer_bytes  # whatever comes next is past the bound

    async def _close_slowly(self, last_words: bytes, seconds: float, writer: asyncio.Task[None] | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                if writer is not None:
                    await asyncio.wait([writer])
                await self.send(sse.body(last_words, more=False))
            return
        except TimeoutError:
            pass  # it does not read: it is cut
        except Exception:
            log.exception("a stream could not be told goodbye", extra={"action": "stream_failed"})
        if self.abort is not None:
            self.abort()
