"""The loop that turns rows into streams: wake or poll, read what is new, dispatch, let clients in.

All that touches the cursor happens in this one loop, between two polls, without an await in between: so what a
stream's cursor says is what was written to it (`docs/decisions/cursor.md`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from typing import Any, LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry import choices, history, queries, sse
from belfry.backoff import Backoff
from belfry.config import Config
from belfry.cursor import Cursor, subtract
from belfry.doorbell import Doorbell
from belfry.entrance import Entrance
from belfry.greeter import Greeter
from belfry.hub import Hub
from belfry.listener import Listener
from belfry.model import Newest, Row, State
from belfry.owners import Owners, settle_far
from belfry.reading import Arrivals, News, Reader, Snapshot
from belfry.recent import Recent
from belfry.replay import Replay
from belfry.ringer import Ringer
from belfry.stream import Phase, Stream
from belfry.tracker import Plan, Tracker

log = logging.getLogger(__name__)

QUERY_SECONDS = 10.0
START_SECONDS = 120.0
LEASE_SECONDS, LEASE_TICKS = 3.0, 3
"""How long a session may be silent before the server ends it, and with it its hold of the bell."""
LEASE: LiteralString = """
    SELECT set_config('idle_session_timeout', %(lease)s, false),
        set_config('idle_in_transaction_session_timeout', %(lease)s, false)
"""
SAMPLED_ROWS = 100
SOURCES = ("bell", "poll", "tick", "attach")
"""What makes a turn of the loop."""


class Relay:
    """One relay: its cursor, its bell, its streams. Several on one database do not coordinate."""

    def __init__(
        self,
        config: Config,
        hub: Hub,
        relay_pool: AsyncConnectionPool[Any],
        listener_pool: AsyncConnectionPool[Any],
        api_pool: AsyncConnectionPool[Any],
        replay: Replay,
    ) -> None:
        self.hub = hub
        self.ready = False
        self.probe = secrets.token_hex(8)  # rung at the start, to hear whether LISTEN reaches us
        self.heard_probe = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.listener = Listener(listener_pool, self.wake, ping_seconds=config.tick_seconds)
        self.tracker = Tracker()
        self._owners = Owners()
        self.state: State | None = None
        self._doubted = False  # what was seen; where it was seen is still told by it
        self.bell = Doorbell(config.tick_seconds)
        self._config = config
        self._pool = relay_pool
        self._replay = replay
        self._reader = Reader(hub, config.page_rows, self.counts)
        self._recent = Recent(Cursor(0), max_rows=config.recent_rows, max_bytes=config.recent_bytes)
        self._newest: Newest | None = None
        self._woken = asyncio.Event()
        self._entrance = Entrance(hub, replay, self._woken.set)
        self.greeter = Greeter(api_pool, self._woken.set)
        self.ringer = Ringer(self.bell, self.listener, api_pool)
        self._rung = False
        self._told_to_poll = False
        self._written: deque[tuple[int, float]] = deque(maxlen=SAMPLED_ROWS)
        self._ticked_at = float("-inf")

    # --- what others call ------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        return self.state.epoch if self.state else ""

    @property
    def load(self) -> int:
        """Streams that are open, or wait to be let in."""
        return len(self.hub.streams) + len(self._entrance)

    def glance(self) -> Tracker:
        """A copy of head and gaps: all of it is visible to whatever reads from now on."""
        return Tracker(self.tracker.head, self.tracker.gaps)

    def wake(self, payload: str) -> None:
        """A NOTIFY has arrived, or the listener has connected again."""
        self.counts["notifies"] += 1
        if payload == self.probe:
            self.heard_probe.set()
        self._rung = True
        self._told_to_poll |= payload == "disarm"
        self._woken.set()

    def take_written(self) -> dict[int, float]:
        """The last notification of each poll since this was called, and when it was written (Unix seconds)."""
        taken = dict(self._written)
        self._written.clear()
        return taken

    def attach(self, stream: Stream, requested: str | None) -> None:
        """Let a stream in after the next poll that begins from now; until then it only waits."""
        self._entrance.come(stream, requested)

    def detach(self, stream: Stream) -> None:
        """The client has left."""
        self._entrance.leave(stream)
        stream.gone()
        self.hub.remove(stream)

    async def drain(self, grace_seconds: float) -> None:
        """End all streams gently, those too that wait to be let in, and whoever comes from now on."""
        self._entrance.drain(grace_seconds)
        await self.hub.drain(grace_seconds)

    async def run(self) -> None:
        """Relay until cancelled; a lost connection is replaced, and nothing seen is forgotten."""
        backoff = Backoff()
        while True:
            try:
                async with self._pool.connection(timeout=self._config.tick_seconds * 2) as connection:
                    await self._turn_on(connection, backoff)
            except (psycopg.Error, TimeoutError) as error:
                log.warning("the relay's connection is gone: %s", error, extra={"action": "relay_lost"})
            except Exception:
                # Something may have been seen and not dispatched: let every client resume from what it got.
                log.exception("the relay starts over after a fault of its own", extra={"action": "relay_failed"})
                self._doubted = True
                self._end_all()
            self.ready = False
            await self._beat_while_down(backoff.next_seconds())

    async def _turn_on(self, connection: queries.Connection, backoff: Backoff) -> None:
        """Turn after turn on one connection. When one fails the session ends, and with it its hold of the bell."""
        try:
            self.bell.connected(self._now())
            await self._begin(connection)
            self.counts["connects"] += 1
            backoff.reset()
            while True:
                await self._wait()
                await self._turn(connection)
        except Exception:
            await connection.close()  # the pool would keep the session, and its locks
            raise

    # --- a connection begins ---------------------------------------------------------------------------------

    async def _begin(self, connection: queries.Connection) -> None:
        """Take up on a connection, or in a new epoch: is this still the history that the cursor tells of?"""
        async with asyncio.timeout(QUERY_SECONDS):
            lease = max(LEASE_SECONDS, LEASE_TICKS * self._config.tick_seconds)
            await connection.execute(LEASE, {"lease": f"{lease * 1000:.0f}ms"})
            known = self.state.epoch if self.state else None
            state = await history.take_up(connection, known, self.tracker.head, self._newest)
        if self.state is None or self._doubted or state.epoch != self.epoch:
            async with asyncio.timeout(START_SECONDS):
                state = await settle_far(connection, state, START_SECONDS / 2)
                await self._start_over(connection, state)
        self.state, self._doubted = state, False
        self._owners.forget(self.tracker)
        self.bell.mode = state.wake_mode
        self._ticked_at = float("-inf")

    async def _start_over(self, connection: queries.Connection, state: State) -> None:
        """Forget head, gaps, owners and recent frames; clients of the old epoch come back and get `reset`."""
        head, gaps = await queries.missing(connection, state.through)
        self.tracker = Tracker(head, gaps)
        config = self._config
        self._recent = Recent(self.tracker.cursor(), max_rows=config.recent_rows, max_bytes=config.recent_bytes)
        self._newest = await queries.newest_row(connection, head)
        self._end_all()
        self.hub.declare(choices.as_seen(await queries.kinds(connection), self.tracker.cursor()))

    def _end_all(self) -> None:
        for stream in list(self.hub.streams):
            self.hub.end(stream, "rotate")

    # --- a turn of the loop ----------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Sleep until there is something to read, or the pause is over."""
        now = self._now()
        seconds = 0.0 if self.tracker.backlog else self.bell.wait_seconds(now)
        if self.bell.asleep:
            try:
                async with asyncio.timeout(min(seconds, max(0.0, self._ticked_at + seconds - now))):
                    await self._woken.wait()
            except TimeoutError:
                return
            seconds = self.bell.earliest() - self._now()
        await asyncio.sleep(max(0.0, seconds))

    async def _turn(self, connection: queries.Connection) -> None:
        """One poll, what it found dispatched, who waited let in, and then: what next?"""
        rung, self._rung = self._rung, False
        self._woken.clear()
        tick = self._now() - self._ticked_at >= self._config.tick_seconds
        source = self._source(rung=rung, tick=tick)
        self.counts[f"turns_{source}"] += 1
        self.counts[f"rows_{source}"] += await self._poll(connection, rung=rung)
        self.ready = True
        async with asyncio.timeout(QUERY_SECONDS):
            await self._owners.ask(connection, self.tracker, self._now())
            if tick:
                await self._tick(connection)
            told, self._told_to_poll = self._told_to_poll, False
            head = self.tracker.head
            await self.ringer.tend(connection, self._now(), head=head, rung=rung, told=told, tick=tick)

    def _source(self, *, rung: bool, tick: bool) -> str:
        """What made this turn: the rows that it finds are counted by it. Many by `tick` mean that no bell rings."""
        if not self.bell.asleep:
            return "poll"
        return "bell" if rung else "tick" if tick else "attach"

    async def _poll(self, connection: queries.Connection, *, rung: bool) -> int:
        """Read, see, dispatch, let in; returns how many rows were new.

        Reading may fail and changes nothing. From `_see` on nothing may fail: what was seen must be dispatched.
        """
        began = self._now()
        arrivals = self._entrance.next(self._reader.pace.clients)
        before = self.tracker.cursor(self.epoch)
        plan = self.tracker.plan(began, page=self._config.page_rows, everything=self._entrance.probe_everything)
        async with asyncio.timeout(QUERY_SECONDS):
            await self.greeter.greet(connection, {stream.recipient for stream in arrivals})
            snapshot = await self._reader.read(connection, plan, self.tracker, arrivals, self._recent)
        count, fresh = self._see(plan, snapshot)
        self.bell.polled(count, rung=rung, began=began, ended=snapshot.polled_at)
        await self._dispatch(before, fresh, snapshot.news)
        self._let_in(arrivals, plan, snapshot)
        return count

    def _see(self, plan: Plan, snapshot: Snapshot) -> tuple[int, list[tuple[Row, bytes]]]:
        """Take note of the rows, and bury the gaps that this poll proved dead.

        Returns how many were new, and those that may concern somebody here, each with the cursor after it: to write
        that costs more than all the rest, and most rows are for people who are not connected.
        """
        new: list[Row] = []
        fresh: list[tuple[Row, bytes]] = []
        told = self.tracker.teller() if snapshot.expected else self.tracker
        for row in snapshot.found.rows:
            if self.tracker.see(row.id):
                if told is not self.tracker:
                    told.see(row.id)
                row = snapshot.contents.get(row.id, row)
                new.append(row)
                if row.id in snapshot.expected:
                    fresh.append((row, sse.id_line(told.text(self.epoch))))
        if new:
            self._recent.add(new, self.tracker.cursor())
        self._recent.fill(snapshot.contents.values())
        if new and (self._newest is None or new[-1].id > self._newest.id):
            self._newest = Newest(new[-1].id, new[-1].created_at)
        for probe, covered in zip(plan.probes, snapshot.found.covered, strict=True):
            self.tracker.finish(probe, covered)
        self.tracker.raise_head(snapshot.newest)
        return len(new), fresh

    async def _dispatch(self, before: Cursor, fresh: list[tuple[Row, bytes]], news: News) -> None:
        """Hand the rows to the streams. Who learns late of a stay or a choice is replayed what it is owed by that."""
        badges = news.badges or {}
        late = {stream for row, _ in fresh if row.id < before.head for stream in self.hub.learners(row)}
        for stream in late:
            if stream.phase is not Phase.LIVE:  # at once, or its replay goes on while the others are written
                self.hub.end(stream, "rotate")  # it resumes from a cursor in which what it learns is still a gap
        if news.kinds is not None:
            self.hub.declare(news.kinds)
        if fresh:
            await self.hub.dispatch(fresh, frozenset(late), badges, news.withheld)
            if (newest := fresh[-1][0]).verb is None:
                self._written.append((newest.id, time.time()))
        seen = self.tracker.cursor(self.epoch)
        for stream in late:
            self._replay.rejoin(stream, before, seen, badges.get(stream.scope))

    def _let_in(self, arrivals: Arrivals, plan: Plan, snapshot: Snapshot) -> None:
        """Let in who waited, with the cursor as it is now, unless the history is another: then the tick starts over."""
        if snapshot.state is None:  # nobody waited
            return
        if snapshot.state.epoch != self.epoch:
            self._ticked_at = float("-inf")
            return
        read = [(probe.lo, to) for probe, to in zip(plan.probes, snapshot.found.covered, strict=True)]
        unread = subtract(self.tracker.gaps, [span for span in read if span[0] <= span[1]])
        seen = self.tracker.cursor(self.epoch)
        self._entrance.let_in(arrivals, seen, unread, snapshot, self._recent, self._now())

    # --- between polls ---------------------------------------------------------------------------------------

    async def _tick(self, connection: queries.Connection) -> None:
        """Once a second: what is settled, the wake mode, the epoch, heartbeats."""
        self._ticked_at = self._now()
        self.hub.beat(self._ticked_at, sse.id_line(self.tracker.text(self.epoch)))
        self._recent.tidy(self.tracker.gaps)
        state = await self._owners.excuse(connection, self.tracker)
        if state.epoch != self.epoch or state.last_value < self.tracker.head:
            await self._begin(connection)
            return
        if state.through < self.tracker.through:
            await queries.settle(connection, self.tracker.through, self.epoch)
        self.state, self.bell.mode = state, state.wake_mode

    async def _beat_while_down(self, seconds: float) -> None:
        """Without a database nothing is new: heartbeats go on with the cursor as it is."""
        self.hub.beat(self._now(), sse.id_line(self.tracker.text(self.epoch)))
        await asyncio.sleep(seconds)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
