"""The streams by recipient and topic, and how frames are handed to them. No SQL, no web framework."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

from belfry import sse
from belfry.audience import Audience
from belfry.batch import Badge, Batch, is_counted
from belfry.choices import NONE, Choice, Choices, Kinds, chosen, muted, turns
from belfry.model import EVERYONE, Row, Stay
from belfry.stream import SHOWN, Message, Phase, Scope, Stream

__all__ = ["Audience", "Hub", "Phase", "Stream"]

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
YIELD_EVERY = 500
MAX_COUNTED_STREAMS = 500
MAX_COUNTED_SCOPES = 8  # of one recipient
NO_BADGES: Mapping[Scope, Badge] = {}
NOBODY: frozenset[str] = frozenset()
Withheld = frozenset[tuple[str, int]]
"""Recipients and late notifications for which they have a state already."""
FOLLOWED = frozenset({"subscribed", "unsubscribed", "preference", "declared"})
"""Verbs that decide what belongs to a stream from then on."""


class Hub:
    """The registry of streams, and the dispatch of frames to them."""

    def __init__(self, *, retry_milliseconds: int, heartbeat_seconds: float) -> None:
        self.streams: dict[Stream, None] = {}
        self.delivered = 0
        self.ended: dict[str, int] = {}
        self.kinds = Kinds()
        self._by_recipient: dict[str, dict[Stream, None]] = {}
        self._by_topic: dict[str, Audience] = {}
        self._retry_milliseconds = retry_milliseconds
        self._heartbeat_seconds = heartbeat_seconds

    # --- who is here -----------------------------------------------------------------------------------------

    def add(self, stream: Stream, stays: Mapping[str, Sequence[Stay]], choices: Choices = NONE) -> None:
        """Register a stream with its stays and choices as of the cursor that it is given in the same step."""
        self.streams[stream] = None
        self._by_recipient.setdefault(stream.recipient, {})[stream] = None
        for topic, intervals in stays.items():
            if stream.allows(topic):
                stream.stays[topic] = list(intervals)
                for stay in intervals:
                    self._by_topic.setdefault(topic, Audience()).enter(stream, stay)
        stream.kinds = self.kinds
        stream.choices = choices or NONE

    def remove(self, stream: Stream) -> None:
        """Forget a stream."""
        if self.streams.pop(stream, False) is False:
            return
        mine = self._by_recipient[stream.recipient]
        del mine[stream]
        if not mine:
            del self._by_recipient[stream.recipient]
        for topic in stream.stays:
            if topic in self._by_topic and not self._by_topic[topic].forget(stream):
                del self._by_topic[topic]

    def declare(self, kinds: Mapping[str, Sequence[Choice]]) -> None:
        """What the operator has declared of kinds. Judged by position, it may come before its row."""
        self.kinds.clear()
        self.kinds.update(kinds)

    def of(self, recipient: str) -> list[Stream]:
        """A recipient's streams, the oldest first."""
        return list(self._by_recipient.get(recipient, ()))

    def join(self, stream: Stream, topic: str, since: int) -> None:
        """A `subscribed` row; one that is known already changes nothing. A stay before it, that was erased, ends."""
        if not stream.allows(topic):
            return
        stays = stream.stays.setdefault(topic, [])
        if all(stay.since != since for stay in stays):
            self.leave(stream, topic, since)
            stays.append(Stay(since))
            self._by_topic.setdefault(topic, Audience()).enter(stream, stays[-1])

    def leave(self, stream: Stream, topic: str, until: int) -> None:
        """An `unsubscribed` row; rows below it that turn up later still belong to the stay."""
        stays = stream.stays.get(topic, [])
        for index, stay in enumerate(stays):
            if stay.until is None and stay.since < until:
                stays[index] = ended = Stay(stay.since, until)
                self._by_topic[topic].leave(stream, ended)

    # --- dispatch --------------------------------------------------------------------------------------------

    def expected(self, rows: Iterable[Row]) -> list[Row]:
        """The rows that may belong to somebody here, unless membership changes just before them."""
        recipients, topics = self._by_recipient, self._by_topic
        return [row for row in rows if (row.topic in topics if row.recipient is None else row.recipient in recipients)]

    def recipients(self, row: Row) -> set[str]:
        """The recipients here to whom a row belongs."""
        return {stream.recipient for stream in self._audience(row)}

    def concerned(self, rows: Iterable[Row]) -> set[Scope]:
        """The scopes whose counts go with the changes among the rows.

        A change for very many tells none, nor do the last of several for many, nor one for a recipient whose streams
        are narrowed in very many ways.
        """
        found: set[Scope] = set()
        for row in rows:
            if is_counted(row) and (row.recipient is not None or len(found) <= MAX_COUNTED_STREAMS):
                streams = list(islice(self._audience(row), MAX_COUNTED_STREAMS + 1))
                scopes = {stream.scope for stream in streams}
                most = len(scopes) if row.recipient is None else MAX_COUNTED_SCOPES
                if len(streams) <= MAX_COUNTED_STREAMS and len(scopes) <= most:
                    found |= scopes
        return found

    def learners(self, row: Row) -> list[Stream]:
        """The streams to which a row, that came late, tells something new about what is theirs."""
        if row.verb == "declared":
            return list(self.streams)
        return [stream for stream in self.of(row.recipient or "") if _is_news(stream, row)]

    async def dispatch(
        self,
        rows: list[tuple[Row, bytes]],
        skipped: frozenset[Stream] = frozenset(),
        badges: Mapping[Scope, Badge] = NO_BADGES,
        withheld: Withheld = frozenset(),
    ) -> None:
        """Write the rows of one poll, each with its `id:` line, to their streams: one write for each stream.

        Rows about membership and preferences take effect at their place among the others.
        """
        batch = Batch()
        known = _by_position(withheld)
        for row, line in rows:
            if row.payload:
                self._give(batch, row, line, known.get(row.id, NOBODY))
            if row.verb in FOLLOWED:
                self._follow(row)
        for stream in skipped:
            batch.shares.pop(stream, None)
        await self._deliver(batch, badges)

    def _give(self, batch: Batch, row: Row, line: bytes, known: Collection[str]) -> None:
        """Give a row's frame to its streams; who has a state of it already is told only that it is there."""
        frame = line + (row.payload or b"")
        audible = row.kind not in self.kinds or self._audible(row)  # to those who chose nothing
        bit = batch.notification(frame) if row.verb is None else batch.change(frame, counted=is_counted(row))
        instead = batch.change(line + sse.delivered(row.id), counted=True) if known else bit
        shares = batch.shares
        for stream in self._audience(row):
            if (stream.tenant is None or stream.takes(row)) and (stream.hears(row) if stream.choices else audible):
                given = instead if known and stream.recipient in known else bit
                shares[stream] = shares.get(stream, 0) | given

    def _audible(self, row: Row) -> bool:
        return row.verb not in SHOWN or not muted(NONE, self.kinds, row.kind or "", row.position)

    async def _deliver(self, batch: Batch, badges: Mapping[Scope, Badge]) -> None:
        """Write each stream its share; the same bytes are framed once."""
        for count, (stream, share) in enumerate(batch.shares.items(), 1):
            message, chunk, frames = batch.plain.get(share) or batch.written(stream, share, badges)
            self.delivered += frames
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
        return audience.of(row.position) if audience is not None else ()

    def _follow(self, row: Row) -> None:
        """Let a row about membership or preferences take effect."""
        for stream in self._by_recipient.get(row.recipient or "", ()):
            if row.verb == "subscribed":
                self.join(stream, row.topic or EVERYONE, row.id)
            elif row.verb == "unsubscribed":
                self.leave(stream, row.topic or EVERYONE, row.id)
            elif row.verb == "preference":
                stream.choices = chosen(stream.choices, row.kind or "", row.id, row.enabled)

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


def _by_position(withheld: Withheld) -> dict[int, set[str]]:
    """Who has a state of each late notification. Asked once: a page of broadcasts may be marked by all who are here."""
    out: dict[int, set[str]] = {}
    for recipient, position in withheld:
        out.setdefault(position, set()).add(recipient)
    return out


def _is_news(stream: Stream, row: Row) -> bool:
    """Whether a row about membership or preferences tells the stream what it does not know."""
    if row.verb == "preference":
        return row.id not in turns({row.kind or "": stream.choices.get(row.kind or "", ())})
    topic = row.topic or ""
    return (
        row.verb == "subscribed"
        and stream.allows(topic)
        and all(stay.since != row.id for stay in stream.stays.get(topic, ()))
    )
