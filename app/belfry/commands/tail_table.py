"""Following the table itself, without a relay: a poll a few times a second, and the relays' proof of dead gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg

from belfry import database, errors, migrations, queries, rows
from belfry.backoff import Backoff
from belfry.commands import common
from belfry.config import Config
from belfry.model import Row
from belfry.owners import Owners
from belfry.tracker import Tracker

POLL_SECONDS = 0.2
PAGE_ROWS = 500


async def follow(config: Config, topic: str | None, show: Callable[[str], None]) -> None:
    """Show what commits from now on; a lost connection is replaced, and nothing in between is missed."""
    if config.listen_url is None:
        raise errors.DatabaseUrlMissing()
    reader = _Reader(topic, show)
    backoff = Backoff()
    while True:
        try:
            async with await database.connect(config.listen_url, application_name="belfry tail") as connection:
                await reader.begin(connection)
                backoff.reset()
                while True:
                    await reader.turn(connection)
        except errors.DatabaseUnavailable as error:
            if not reader.began:
                raise
            common.note(f"{error.message} Trying again.")
        except psycopg.OperationalError:
            common.note("The connection to Postgres is lost. Trying again.")
        await asyncio.sleep(backoff.next_seconds())


class _Reader:
    """What has been seen, over all connections."""

    def __init__(self, topic: str | None, show: Callable[[str], None]) -> None:
        self.began = False
        self._topic = topic
        self._show = show
        self._epoch: str = ""
        self._tracker = Tracker()
        self._owners = Owners()

    async def begin(self, connection: queries.Connection) -> None:
        """Begin at what is there now, or go on where the last connection ended."""
        await migrations.check(connection)
        state = await queries.state(connection)
        if not self.began or state.epoch != self._epoch:
            if self.began:
                common.note("The database has another history now (a restore or a failover): beginning anew.")
            head, gaps = await queries.missing(connection, state.through)
            self._tracker = Tracker(head, gaps)
            self._epoch = state.epoch
            common.note("Waiting for notifications, Ctrl-C ends.")
        self._owners.forget(self._tracker)
        self.began = True

    async def turn(self, connection: queries.Connection) -> None:
        """Read what is new, show it, see which gaps are dead, rest."""
        plan = self._tracker.plan(asyncio.get_running_loop().time())
        found = await rows.poll(connection, plan, PAGE_ROWS, contents=False)
        contents = await rows.notifications(connection, [row.id for row in found.rows if self._mine(row)])
        for row in found.rows:
            told = contents.get(row.id)
            if self._tracker.see(row.id) and told is not None and told.payload is not None:
                self._show(_content(told.payload))
        for probe, covered in zip(plan.probes, found.covered, strict=True):
            self._tracker.finish(probe, covered)
        if found.full:
            self._tracker.raise_head(await queries.newest(connection))
        await self._owners.ask(connection, self._tracker, asyncio.get_running_loop().time())
        if not self._tracker.backlog:
            await asyncio.sleep(POLL_SECONDS)

    def _mine(self, row: Row) -> bool:
        return row.verb is None and self._topic in (None, row.topic)


def _content(payload: bytes) -> str:
    """The JSON of a frame, as it is."""
    return payload.removeprefix(b"data:").strip().decode()
