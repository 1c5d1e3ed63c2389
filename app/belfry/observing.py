"""What nobody but an observer asks, read once a tick beside the relay: never on the connection that polls."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from prometheus_client import Histogram
from psycopg_pool import AsyncConnectionPool

from belfry.relay import Relay

log = logging.getLogger(__name__)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MAX_MARKS = 1000

OBSERVE: LiteralString = """
    SELECT extract(epoch FROM clock_timestamp())::float8, pg_notification_queue_usage(), n.id,
        extract(epoch FROM n.created_at)::float8,
        CASE WHEN current_setting('track_commit_timestamp')::boolean
            THEN extract(epoch FROM pg_xact_commit_timestamp(n.xmin))::float8 END,
        always.oldest, always.due, always.failing
    FROM (SELECT
        (SELECT extract(epoch FROM o.created_at)::float8 FROM belfry.notification AS o, belfry.settled AS s
            WHERE o.id > s.pruned ORDER BY o.id LIMIT 1) AS oldest,
        (SELECT extract(epoch FROM min(d.deliver_at))::float8 FROM belfry.scheduled AS d) AS due,
        (SELECT count(*) FROM belfry.watch AS w WHERE EXISTS (SELECT FROM belfry.watch_failure AS f
            WHERE f.watch = w.number AND f.failed_at > now() - interval '1 hour')) AS failing
    ) AS always LEFT JOIN belfry.notification AS n ON n.id = ANY (%s)
"""


class Ages:
    """Since when the oldest gap is one: since the head was raised past it. Exact to the pause between two marks."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []
        self._oldest: int | None = None

    def mark(self, now: float, head: int, oldest: int | None) -> None:
        """Note the head, and where the lowest gap begins (None: there is none)."""
        self._oldest = oldest
        if not self._marks or head != self._marks[-1][0]:
            self._marks.append((head, now))
        low = head if oldest is None else oldest
        self._marks = [each for each in self._marks if each[0] >= low]
        if len(self._marks) > MAX_MARKS:
            del self._marks[1::2]

    def seconds(self, now: float) -> float:
        """The age of the oldest gap; 0 where there is none."""
        return now - self._marks[0][1] if self._oldest is not None else 0.0


class Observer:
    """Looks once a tick: how late rows were written, how old what waits or is kept, which queue fills, what fails."""

    def __init__(self, relay: Relay, pool: AsyncConnectionPool[Any], tick_seconds: float) -> None:
        self.queue_usage = 0.0
        self.oldest_seconds = 0.0
        self.overdue_seconds = 0.0
        self.failing_watches = 0
        self.ages = Ages()
        self.delivery = Histogram(
            "belfry_delivery_seconds",
            "From the commit (or, without track_commit_timestamp, from the transaction's begin) to the write",
            labelnames=("since",),
            buckets=BUCKETS,
            registry=None,
        )
        self._relay = relay
        self._pool = pool
        self._tick_seconds = tick_seconds

    async def run(self) -> None:
        """Observe until cancelled. What cannot be read is not observed: the relay tells of a database that is away."""
        while True:
            try:
                await self._look()
            except (psycopg.Error, TimeoutError) as error:
                log.debug("nothing was observed: %s", error, extra={"action": "observe_failed"})
            except Exception:
                log.exception("observing failed, by a fault of our own", extra={"action": "observe_failed"})
            await asyncio.sleep(self._tick_seconds)

    async def _look(self) -> None:
        gaps = self._relay.tracker.gaps
        self.ages.mark(time.monotonic(), self._relay.tracker.head, gaps[0][0] if gaps else None)
        written = self._relay.take_written()
        async with self._pool.connection() as connection:
            asked = time.time()
            cursor = await connection.execute(OBSERVE, (list(written),))
            found = await cursor.fetchall()
        now, self.queue_usage, *_, oldest, due, self.failing_watches = found[0]
        ahead = now - (asked + time.time()) / 2  # of the database's clock before ours
        self.oldest_seconds, self.overdue_seconds = _age(now, oldest), _age(now, due)
        self._note(written, found, ahead)

    def _note(self, written: Mapping[int, float], found: Sequence[tuple[Any, ...]], ahead: float) -> None:
        """Take note of each row that is still there: a row that changed since tells of the change's commit."""
        for _, _, position, begun, committed, *_ in found:
            since, label = (begun, "begin") if committed is None else (committed, "commit")
            if position is None or not math.isfinite(since):
                continue
            late = written[position] + ahead - since
            if late > -self._tick_seconds:
                self.delivery.labels(label).observe(max(0.0, late))


def _age(now: float, since: float | None) -> float:
    """How long ago that was, in seconds; 0 where it is to come, or is not at all."""
    return 0.0 if since is None else max(0.0, now - since)
