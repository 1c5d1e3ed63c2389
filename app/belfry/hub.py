"""The streams by recipient and topic, and how frames are handed to them. No SQL, no web framework.

`send` of the server finishes at once unless the client's socket is full, so the hub steps that coroutine itself:
no task switch and no queue per stream (`docs/decisions/stepped-send.md`). A stream whose `send` suspends is behind:
its frames queue in a bounded buffer, and past the bound it is cut off; it will replay.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from belfry import sse
from belfry.model import EVERYONE, Row, Stay

log = logging.getLogger(__name__)

Message = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
GRACE_SECONDS = 5.0
YIELD_EVERY = 500


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
    _queue: list[bytes] = field(default_factory=list[bytes])
    _queued: int = 0
    _writer: asyncio.Task[None] | None = None

    @property
    def topics(self) -> list[str]:
        """The topics that the stream is in now, in order."""
        return sorted(topic for topic, stays in self.stays.items() if any(stay.until is None for stay in stays))

    def allows(self, topic: str) -> bool:
        """Whether the topic is inside what the stream was narrowed to."""
        return self.narrowed is None or topic in self.narrowed

    def takes(self, row: Row) -> bool:
        """Whether the row's tenant is the one that the stream was narrowed to."""
        return self.tenant is None or row.verb is not None or row.tenant == self.tenant

    def wants(self, row: Row) -> bool:
        """Whether a row belongs to this stream: what `Hub.dispatch` finds by its indexes, asked of one stream."""
        if row.recipient is not None:
            mine = row.recipient == self.recipient
            return mine and self.takes(row) and (row.verb is None or row.topic is None or self.allows(row.topic))
        stays = self.stays.get(row.topic or "", ())
        return self.takes(row) and any(stay.holds(row.id) for stay in stays)

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
        if was is Phase.LIVE and self._step(sse.body(last_words, more=False)):
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
        """Write at once, by the server's quick way or by stepping `send`; False when the socket is full."""
        if self.put is not None:
            return self.put(chunk or sse.chunk(message["body"]))
        return self._step(message)

    def _step(self, message: Message) -> bool:
        """Run `send` to its end; False when it suspended, which it does before it writes: nothing was sent."""
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
        while self._queue and self.phase is Phase.BEHIND:
            waiting, self._queue, self._queued = b"".join(self._queue), [], 0
            await self.send(sse.body(waiting))
        if self.phase is Phase.BEHIND:
            self.phase = Phase.LIVE

    async def _close_slowly(self, last_words: bytes, seconds: float, writer: asyncio.Task[None] | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                if writer is not None:
                    await asyncio.wait([writer])
                await self.send(sse.body(last_words, more=False))
        except TimeoutError:
            if self.abort is not None:
                self.abort()


@dataclass(slots=True)
class Audience:
    """The streams of one topic: who is in it, and who has left it not long ago."""

    members: dict[Stream, int] = field(default_factory=dict[Stream, int])  # since which position
    former: list[tuple[Stream, Stay]] = field(default_factory=list[tuple[Stream, Stay]])
    newest: int = 0  # the newest position at which somebody came or went

    def of(self, position: int) -> Iterable[Stream]:
        """The streams to which a row at that position belongs, though it may be late."""
        if position > self.newest:
            return self.members
        return self._by_interval(position)

    def _by_interval(self, position: int) -> Iterator[Stream]:
        yield from (stream for stream, since in self.members.items() if since < position)
        yield from (stream for stream, stay in self.former if stay.holds(position))


class Hub:
    """The registry of streams, and the dispatch of frames to them."""

    def __init__(self, *, retry_milliseconds: int, heartbeat_seconds: float) -> None:
        self.streams: dict[Stream, None] = {}
        self.delivered = 0
        self.ended: dict[str, int] = {}
        self._by_recipient: dict[str, dict[Stream, None]] = {}
        self._by_topic: dict[str, Audience] = {}
        self._retry_milliseconds = retry_milliseconds
        self._heartbeat_seconds = heartbeat_seconds

    # --- who is here -----------------------------------------------------------------------------------------

    def add(self, stream: Stream, stays: dict[str, list[Stay]]) -> None:
        """Register a stream with its stays as of the cursor that it is given in the same step."""
        self.streams[stream] = None
        self._by_recipient.setdefault(stream.recipient, {})[stream] = None
        for topic, intervals in stays.items():
            if stream.allows(topic):
                stream.stays[topic] = list(intervals)
                for stay in intervals:
                    self._enter(stream, topic, stay)

    def remove(self, stream: Stream) -> None:
        """Forget a stream."""
        if self.streams.pop(stream, False) is False:
            return
        mine = self._by_recipient[stream.recipient]
        del mine[stream]
        if not mine:
            del self._by_recipient[stream.recipient]
        for topic in stream.stays:
            audience = self._by_topic.get(topic)
            if audience is not None:
                audience.members.pop(stream, None)
                audience.former = [each for each in audience.former if each[0] is not stream]
                if not audience.members and not audience.former:
                    del self._by_topic[topic]

    def of(self, recipient: str) -> list[Stream]:
        """A recipient's streams, the oldest first."""
        return list(self._by_recipient.get(recipient, ()))

    def join(self, stream: Stream, topic: str, since: int) -> None:
        """A `subscribed` row; one that is known already changes nothing."""
        if not stream.allows(topic):
            return
        stays = stream.stays.setdefault(topic, [])
        if all(stay.since != since for stay in stays):
            stays.append(Stay(since))
            self._enter(stream, topic, stays[-1])

    def leave(self, stream: Stream, topic: str, until: int) -> None:
        """An `unsubscribed` row; rows below it that turn up later still belong to the stay."""
        stays = stream.stays.get(topic, [])
        for index, stay in enumerate(stays):
            if stay.until is None and stay.since < until:
                stays[index] = ended = Stay(stay.since, until)
                audience = self._by_topic[topic]
                audience.members.pop(stream, None)
                audience.former.append((stream, ended))
                audience.newest = max(audience.newest, until)

    def forget_former(self, through: int) -> None:
        """Nothing is open at or below `through`: stays that ended there can get no late row any more."""
        for topic, audience in list(self._by_topic.items()):
            audience.former = [each for each in audience.former if each[1].until and each[1].until > through]
            if not audience.members and not audience.former:
                del self._by_topic[topic]

    def _enter(self, stream: Stream, topic: str, stay: Stay) -> None:
        audience = self._by_topic.setdefault(topic, Audience())
        audience.newest = max(audience.newest, stay.until or stay.since)
        if stay.until is None:
            audience.members[stream] = stay.since
        else:
            audience.former.append((stream, stay))

    # --- dispatch --------------------------------------------------------------------------------------------

    def expects(self, row: Row) -> bool:
        """Whether somebody is here to whom the row may belong, unless membership changes just before it."""
        return row.recipient in self._by_recipient if row.recipient is not None else row.topic in self._by_topic

    async def dispatch(self, rows: list[tuple[Row, bytes]], skipped: frozenset[Stream] = frozenset()) -> None:
        """Write the rows of one poll, each with its `id:` line, to their streams: one write for each stream.

        Membership rows take effect at their place among the others.
        """
        frames: list[bytes] = []
        shares: dict[Stream, int] = {}
        for row, line in rows:
            if row.payload is not None:
                bit = 1 << len(frames)
                for stream in self._audience(row):
                    if stream.tenant is None or stream.takes(row):
                        shares[stream] = shares.get(stream, 0) | bit
            frames.append(line + (row.payload or b""))
            self._follow(row)
        for stream in skipped:
            shares.pop(stream, None)
        await self._deliver(frames, shares)

    async def _deliver(self, frames: list[bytes], shares: dict[Stream, int]) -> None:
        """Write each stream its share of the frames, a bit for each; the same share is the same bytes for all."""
        joined: dict[int, tuple[Message, bytes]] = {}
        for count, (stream, share) in enumerate(shares.items(), 1):
            if share not in joined:
                payload = b"".join([frame for index, frame in enumerate(frames) if share >> index & 1])
                joined[share] = (sse.body(payload), sse.chunk(payload))
            self.delivered += share.bit_count()
            message, chunk = joined[share]
            self._write(stream, message, chunk)
            if not count % YIELD_EVERY:
                await asyncio.sleep(0)

    def _write(self, stream: Stream, message: Message, chunk: bytes) -> None:
        """Write to one stream; whatever happens there is no other stream's concern."""
        try:
            if stream.phase is Phase.LIVE and stream.put is not None and stream.put(chunk):
                return  # what nearly always happens, with the fewest steps
            if not stream.write(message, chunk):
                self.end(stream, "lagging")
        except Exception:
            log.exception("a stream could not be written to and was dropped", extra={"action": "stream_failed"})
            stream.gone()
            self.remove(stream)

    def _audience(self, row: Row) -> Iterable[Stream]:
        if row.recipient is not None:
            mine = self._by_recipient.get(row.recipient, {})
            if row.verb is None or row.topic is None:
                return mine
            return [stream for stream in mine if stream.allows(row.topic)]
        audience = self._by_topic.get(row.topic or "")
        return audience.of(row.id) if audience is not None else ()

    def _follow(self, row: Row) -> None:
        """Let a membership row take effect."""
        if row.verb not in ("subscribed", "unsubscribed"):
            return
        act = self.join if row.verb == "subscribed" else self.leave
        for stream in self._by_recipient.get(row.recipient or "", ()):
            act(stream, row.topic or EVERYONE, row.id)

    # --- heartbeats and ends ---------------------------------------------------------------------------------

    def beat(self, now: float, line: bytes) -> None:
        """End the streams whose time has come, and write the heartbeat, with the relay's cursor, where it is due.

        Only between polls: all frames at or below that cursor have been written then.
        """
        heartbeat = line + b"event: heartbeat\ndata: {}\n\n"
        message, chunk = sse.body(heartbeat), sse.chunk(heartbeat)
        for stream in list(self.streams):
            if stream.ends_at <= now:
                self.end(stream, stream.ends_because)
            elif stream.beats_at <= now and stream.phase is not Phase.REPLAYING:
                stream.beats_at = now + self._heartbeat_seconds
                self._write(stream, message, chunk)

    def end(
        self,
        stream: Stream,
        reason: str,
        *,
        spread_milliseconds: int | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """Close a stream with `goodbye` and a jittered `retry:`."""
        if stream.phase is not Phase.ENDED:
            self.ended[reason] = self.ended.get(reason, 0) + 1
            try:
                stream.end(self.goodbye(reason, spread_milliseconds), grace_seconds)
            except Exception:
                log.exception("a stream could not be told goodbye", extra={"action": "stream_failed"})
                stream.gone()
        self.remove(stream)

    def goodbye(self, reason: str, spread_milliseconds: int | None = None) -> bytes:
        """The event that goes before every close that the server chooses."""
        return sse.event("goodbye", {"reason": reason}, retry_milliseconds=self.jittered_retry(spread_milliseconds))

    def jittered_retry(self, spread_milliseconds: int | None = None) -> int:
        """Milliseconds from half to one and a half of the setting, so that clients do not come back as one."""
        spread = spread_milliseconds or self._retry_milliseconds
        return self._retry_milliseconds // 2 + random.randrange(max(1, spread))

    async def drain(self, grace_seconds: float) -> None:
        """End all streams gently; the more there are, the longer the time over which they come back."""
        spread = max(self._retry_milliseconds, len(self.streams) * 2)
        for count, stream in enumerate(list(self.streams), 1):
            self.end(stream, "drain", spread_milliseconds=spread, grace_seconds=grace_seconds)
            if not count % YIELD_EVERY:
                await asyncio.sleep(0)
