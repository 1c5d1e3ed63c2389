"""Catching up: from a client's cursor to live, out of the recent frames where they suffice, else the table."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from itertools import accumulate, takewhile
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry import attach, choices, queries, rows, sse
from belfry.batch import Badge
from belfry.config import Config
from belfry.crowd import Crowd, framed
from belfry.cursor import Cursor, Range, merge_nearest, union
from belfry.hub import Hub
from belfry.model import Member, Row, State, Stay
from belfry.stream import Phase, Stream

log = logging.getLogger(__name__)

AT_ONCE_BYTES = 65536
RETRY_SECONDS = 0.5
MAX_IDS = 1000  # of a change
MAX_OWED_RANGES = 200  # about what a cursor can tell on the wire


class Replay:
    """Writes replays. A cursor in them is the client's own, until `ready` gives it the relay's."""

    def __init__(self, config: Config, hub: Hub, pool: AsyncConnectionPool[Any]) -> None:
        self.counts: Counter[str] = Counter()
        self._config = config
        self._hub = hub
        self._pool = pool

    def begin(
        self,
        stream: Stream,
        requested: str | None,
        member: Member,
        state: State,
        crowd: Crowd,
        badge: Badge | None,
    ) -> None:
        """Register a stream and begin its replay; no await, so that its live frames go on from `crowd.seen`."""
        seen = crowd.seen
        if stream.phase is Phase.ENDED:
            return
        self._make_room(stream)
        self._hub.add(stream, attach.as_seen(member.stays, seen), choices.as_seen(member.choices, seen))
        start = attach.resolve(requested, seen, pruned=state.pruned, last_value=state.last_value)
        opening = self._reset(start, seen)
        closing = self._ready(stream, crowd.coarse, badge)
        if start.client is None:
            self.counts["none"] += 1
            stream.go_live(opening + closing)
            return
        late = _learned_late(stream, start.client)
        missed = None if late or start.everything else crowd.missed(stream, start.client)
        if missed is not None and _at_once(missed):
            self.counts["recent"] += 1
            stream.go_live(b"".join([opening, *(crowd.frame(row, start.client) for row in missed), closing]))
            return
        self.counts["table"] += 1
        stream.replay(self._write(stream, start, seen, opening, closing))

    def rejoin(self, stream: Stream, client: Cursor, seen: Cursor, badge: Badge | None) -> None:
        """A live stream learned late of a stay or a choice: replay what it is owed, then go on live."""
        self.counts["rejoin"] += 1
        if stream.phase is Phase.LIVE:  # the others were sent away to resume
            closing = self._ready(stream, seen, badge) if badge else b""
            stream.replay(self._write(stream, attach.Start(client), seen, b"", closing))

    # --- the table -------------------------------------------------------------------------------------------

    async def _write(self, stream: Stream, start: attach.Start, seen: Cursor, opening: bytes, closing: bytes) -> None:
        """Write a replay from the table, a page at a time, as fast as the client reads."""
        try:
            if opening:
                await stream.send(sse.body(opening))
            corrected = await self._pages(stream, start, seen)
            if corrected and not closing:
                badges, _ = await self._patiently(stream, queries.badges, [stream.scope], seen)
                closing = self._ready(stream, seen, badges.get(stream.scope))
            stream.go_live(closing)
        except Exception:
            log.exception("a replay failed; the client is sent away to resume", extra={"action": "replay_failed"})
            self._hub.end(stream, "rotate")

    async def _pages(self, stream: Stream, start: attach.Start, seen: Cursor) -> bool:
        """Write page after page; whether something that the client had passed over or had was judged anew."""
        assert start.client is not None
        stays = stream.intervals
        coarse = seen.coarse()
        client, had, corrected = await self._corrected(stream, start.client, exact=start.exact)
        after, size = attach.lowest_unseen(client) - 1, self._config.page_rows
        while stream.phase is Phase.REPLAYING:
            page = await self._page(stream, stays, client.unseen(seen.head), seen.head, after, size)
            if page.pruned > after and not start.everything:
                client = had = Cursor(page.pruned, (), seen.epoch)
                after = page.pruned
                await stream.send(sse.body(self._reset(attach.Start(client, "pruned"), seen)))
                continue
            own = [row for row in page.rows if seen.has(row.id) and stream.wants(row) and not had.has(row.id)]
            fitting = _fitting(own, stream.buffer_bytes)
            all_fit = len(fitting) == len(own)
            frames = b"".join(framed(row, client, seen, coarse) for row in fitting if row.payload is not None)
            last = all_fit and len(page.rows) < size
            if not last:
                after = page.rows[-1].id if all_fit else fitting[-1].id
            size = min(self._config.page_rows, 2 * (size if all_fit else len(fitting)))
            del page, own, fitting  # who does not read holds no more than what is written
            if frames and stream.phase is Phase.REPLAYING:
                await stream.send(sse.body(frames))
            if last:
                break
        return corrected

    async def _corrected(self, stream: Stream, client: Cursor, *, exact: bool) -> tuple[Cursor, Cursor, bool]:
        """The client's cursor with those rows as gaps that it took for others', or for muted, before it knew better.

        First as it goes onto the wire, whose ranges may be wider, then exactly; last whether anything is corrected.
        A cursor that was widened does not tell what it knew: then it is owed all that it may have passed over, and may
        get some of it again. What it has and would not have been sent is taken back. That frame goes first, with the
        client's own cursor: who is cut off after it is told again.
        """
        owed = await self._unsubscribed_then(stream, client, exact=exact)
        turned = attach.turned_late(stream.choices, client), attach.turned_late(stream.kinds, client)
        since = min((at for at in turned if at is not None), default=None)
        muted: list[int] = []
        if since is not None:
            unmuted, muted = await self._judged_anew(stream, client, since, exact=exact)
            owed += unmuted
            for start in range(0, len(muted), MAX_IDS):
                taken = {"id": since, "verb": "retracted", "ids": muted[start : start + MAX_IDS]}
                await stream.send(sse.body(sse.event("change", taken, cursor=str(client))))
        had = Cursor(client.head, union(client.gaps, owed), client.epoch)
        few = merge_nearest(list(union(owed)), MAX_OWED_RANGES) if len(owed) > MAX_OWED_RANGES else owed
        return Cursor(client.head, union(client.gaps, few), client.epoch), had, bool(owed or muted)

    async def _unsubscribed_then(self, stream: Stream, client: Cursor, *, exact: bool) -> list[Range]:
        """What was sent in a stay of which the client learns late, unless another stay of the topic held it then."""
        then = attach.as_seen(stream.stays, client) if exact else {}
        return [
            (position, position)
            for topic, stay in attach.joined_late(stream.stays, client)
            async for position, _ in self._passed(stream, None, [(topic, stay)], stay.since, client.head)
            if not any(earlier.holds(position) for earlier in then.get(topic, ()))
        ]

    async def _judged_anew(
        self, stream: Stream, client: Cursor, since: int, *, exact: bool
    ) -> tuple[list[Range], list[int]]:
        """What a choice, of which the client learns late, lets through after all, and what it mutes after all."""
        own, kinds = (choices.Kinds(choices.as_seen(each, client)) for each in (stream.choices, stream.kinds))
        unmuted: list[Range] = []
        muted: list[int] = []
        async for position, kind in self._passed(stream, stream.recipient, stream.intervals, since, client.head):
            then = choices.muted(own, kinds, kind, position)
            now = choices.muted(stream.choices, stream.kinds, kind, position)
            if (then or not exact) and not now:
                unmuted.append((position, position))
            elif now and not then and client.has(position):
                muted.append(position)
        return unmuted, muted

    async def _passed(
        self, stream: Stream, recipient: str | None, stays: list[tuple[str, Stay]], after: int, head: int
    ) -> AsyncGenerator[tuple[int, str]]:
        """The ids and kinds of what was sent above a position, in pages."""
        size = self._config.page_rows
        while True:
            page = await self._patiently(stream, queries.passed, recipient, stays, after, head, size)
            for each in page:
                yield each
            if len(page) < size:
                return
            after = page[-1][0]

    async def _page(
        self, stream: Stream, stays: list[tuple[str, Stay]], unseen: Sequence[Range], head: int, after: int, size: int
    ) -> rows.Page:
        self.counts["row_queries"] += 1
        return await self._patiently(stream, rows.replay, stream.recipient, stays, unseen, head, after, size)

    async def _patiently(self, stream: Stream, query: Any, *arguments: Any) -> Any:
        """Run a query; while the database is away, the stream stays open and waits, kept alive by comments."""
        while True:
            try:
                async with self._pool.connection(timeout=self._config.heartbeat_seconds) as connection:
                    return await query(connection, *arguments)
            except psycopg.OperationalError as error:
                log.warning("a replay waits for the database: %s", error, extra={"action": "replay_waits"})
                await stream.send(sse.body(sse.COMMENT))
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))

    def _reset(self, start: attach.Start, seen: Cursor) -> bytes:
        """The `reset` event, when there is a reason: its `id:` is where the client stands from now on."""
        if start.reset is None:
            return b""
        self.counts[f"reset_{start.reset}"] += 1
        cursor = str(start.client or seen)
        return sse.event("reset", {"reason": start.reset, "cursor": cursor}, cursor=cursor)

    def _ready(self, stream: Stream, seen: Cursor, badge: Badge | None) -> bytes:
        """The event that means: you are live; its counts belong to its cursor."""
        cursor = str(seen)
        data = {
            "cursor": cursor,
            "recipient": stream.recipient,
            "topics": stream.topics,
            **(badge._asdict() if badge else {}),
            "heartbeat_seconds": self._config.heartbeat_seconds,
        }
        return sse.event("ready", data, cursor=cursor)

    def _make_room(self, stream: Stream) -> None:
        """Past the limit the recipient's oldest streams end."""
        others = self._hub.of(stream.recipient)
        for oldest in others[: max(0, len(others) + 1 - self._config.max_streams_per_recipient)]:
            self._hub.end(oldest, "limit")


def _learned_late(stream: Stream, client: Cursor) -> bool:
    """Whether the client has passed over rows which are its own after all."""
    return bool(
        attach.joined_late(stream.stays, client)
        or attach.turned_late(stream.choices, client)
        or attach.turned_late(stream.kinds, client)
    )


def _fitting(found: list[Row], most_bytes: int) -> list[Row]:
    """As many of the rows as are so many bytes together, and one at least: a page of large ones is 32 MB."""
    sizes = accumulate(len(row.payload or b"") for row in found)
    return found[: max(1, sum(1 for _ in takewhile(lambda size: size <= most_bytes, sizes)))]


def _at_once(missed: Sequence[Row]) -> bool:
    """Whether rows from memory are written, all at once, or those of the table, as fast as the client reads.

    The table's where they are much, where some were left out here, and where one has expired by this clock: only the
    database knows.
    """
    now = time.time()
    return sum(len(row.payload or b"") for row in missed) <= AT_ONCE_BYTES and not any(
        row.omitted or (row.expires_at is not None and row.expires_at <= now) for row in missed
    )
