"""Torture's writers: transactions of every shape, with what each of them believes to have committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

LEVELS: Sequence[LiteralString] = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
INSERT = """
INSERT INTO belfry.notification (recipient, topic, kind, title, data)
VALUES (%s, %s, 'torture.row', 'row', %s) RETURNING id
"""
SEND = "SELECT belfry.send(recipient => %s, kind => 'torture.row', title => 'row', data => %s)"
SEND_ONCE = "SELECT belfry.send(recipient => %s, kind => 'torture.row', title => 'row', data => %s, dedupe_key => %s)"
SEND_MANY = "SELECT belfry.send_many(recipients => %s, kind => 'torture.row', data => %s)"
PUBLISH = "SELECT belfry.publish(topic => %s, kind => 'torture.row', data => %s)"
BROADCAST = "SELECT belfry.broadcast(kind => 'torture.row', data => %s)"
ELSEWHERE = "elsewhere-"
"""How the names of those begin who have no stream anywhere."""

Connection = psycopg.AsyncConnection[Any]


@dataclass(slots=True)
class Shared:
    """What all writers share: whom to write to, until when, and the ledger of acknowledged commits."""

    url: str
    recipients: Sequence[str]
    topics: Sequence[str]
    ends_at: float
    seed: int
    max_hold_seconds: float = 2.0
    prepare: bool = False
    began_at: float = field(default_factory=time.monotonic)
    committed: dict[int, float] = field(default_factory=dict[int, float])
    prepared: asyncio.Queue[tuple[float, str, list[int]]] = field(
        default_factory=asyncio.Queue[tuple[float, str, list[int]]]
    )
    counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def phase(self) -> float:
        """Seconds into a round of seven: bursts, steady work, silence, drops."""
        return (time.monotonic() - self.began_at) % 7

    def acknowledge(self, ids: Sequence[int]) -> None:
        """The server said that these rows are committed."""
        now = time.monotonic()
        self.counts["transactions committed"] += 1
        for id in ids:
            self.committed.setdefault(id, now)

    async def pace(self, rng: random.Random) -> None:
        """The pause before the next transaction, as the phase demands."""
        phase = self.phase
        if phase < 2.5:
            await asyncio.sleep(rng.uniform(0.01, 0.1))
        elif phase < 4:
            await asyncio.sleep(rng.uniform(0, 0.02))
        elif phase < 5.5:
            await asyncio.sleep(min(5.5 - phase, max(0.0, self.ends_at - time.monotonic())))
        else:
            await asyncio.sleep(rng.uniform(0.2, 0.6))


@contextlib.asynccontextmanager
async def patient(url: str, name: str, until: float) -> AsyncGenerator[Connection]:
    """A connection in autocommit, tried until it succeeds or time is up."""
    while True:
        try:
            conn = await psycopg.AsyncConnection.connect(
                url, autocommit=True, application_name=name, connect_timeout=3, prepare_threshold=None
            )
            break
        except psycopg.OperationalError:
            if time.monotonic() > until + 30:
                raise
            await asyncio.sleep(0.2)
    try:
        await conn.execute("SET statement_timeout = '20s'")
        yield conn
    finally:
        await conn.close()


async def repeat(shared: Shared, name: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Run `work` again and again until time is up, over as many connections as it takes."""
    while time.monotonic() < shared.ends_at:
        with contextlib.suppress(psycopg.OperationalError):  # the server died: connect again
            async with patient(shared.url, name, shared.ends_at) as conn:
                while time.monotonic() < shared.ends_at:
                    await work(conn)


class Writer:
    """One session that sends."""

    def __init__(self, shared: Shared, number: int) -> None:
        self._shared = shared
        self._name = f"w{number}"
        self._rng = random.Random(f"{shared.seed} writer {number}")
        self._serial = 0

    async def run(self) -> None:
        """Write until time is up."""
        await repeat(self._shared, f"bench {self._name}", self._transaction)

    async def _transaction(self, conn: Connection) -> None:
        await self._shared.pace(self._rng)
        self._serial += 1
        name = f"{self._name}-{self._serial}"
        ids: list[int] = []
        try:
            if self._rng.random() < 0.3:  # the commonest sender of all: one statement, nothing around it
                ids = await self._send(conn, name)
                self._shared.acknowledge(ids)
                return
            level = sql.SQL(self._rng.choices(LEVELS, (6, 2, 2))[0])
            await conn.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(level))
            for _ in range(self._rng.choices((1, 2, 3, 6), (5, 3, 2, 1))[0]):
                ids += await self._step(conn, name)
            await asyncio.sleep(self._hold())
            await self._finish(conn, name, ids)
        except psycopg.OperationalError as error:
            await self._failed(conn, error)
        except psycopg.Error as error:
            await self._failed(conn, error)

    async def _failed(self, conn: Connection, error: psycopg.Error) -> None:
        self._shared.counts[f"failed {error.sqlstate or 'connection'}"] += 1
        if conn.closed or conn.broken:
            raise psycopg.OperationalError("the connection is gone") from error
        await conn.execute("ROLLBACK") if conn.info.transaction_status else None

    def _hold(self) -> float:
        kind = self._rng.random()
        return (
            0.0
            if kind < 0.5
            else self._rng.uniform(0, 0.05)
            if kind < 0.75
            else self._rng.uniform(0, self._shared.max_hold_seconds)
        )

    async def _step(self, conn: Connection, name: str) -> list[int]:
        if self._rng.random() < 0.75:
            return await self._send(conn, name)
        await conn.execute("SAVEPOINT here")
        ids = await self._send(conn, name)
        await asyncio.sleep(self._rng.uniform(0, 0.02))
        if self._rng.random() < 0.5:
            self._shared.counts["savepoints rolled back"] += 1
            await conn.execute("ROLLBACK TO here")
            return []
        await conn.execute("RELEASE here")
        return ids

    async def _send(self, conn: Connection, name: str) -> list[int]:
        rng, data = self._rng, json.dumps({"transaction": name})
        who, topic = rng.choice(self._shared.recipients), rng.choice(self._shared.topics)
        match rng.choices(
            ("send", "insert", "publish", "insert topic", "many", "once", "all"), (30, 20, 15, 10, 5, 4, 4)
        )[0]:
            case "send":
                return await fetch(conn, SEND, (who, data))
            case "insert":
                return await fetch(conn, INSERT, (who, None, data))
            case "publish":
                return await fetch(conn, PUBLISH, (topic, data))
            case "insert topic":
                return await fetch(conn, INSERT, (None, rng.choice([topic, topic, "*"]), data))
            case "many":
                some = rng.sample(list(self._shared.recipients), k=rng.randint(1, min(8, len(self._shared.recipients))))
                return await fetch(conn, SEND_MANY, (some, data))
            case "once":
                await fetch(conn, SEND_ONCE, (who, data, f"key {rng.randrange(200)}"))
                return []  # may be another transaction's row
            case _:
                return await fetch(conn, BROADCAST, (data,))

    async def _finish(self, conn: Connection, name: str, ids: list[int]) -> None:
        end = self._rng.random()
        if end < 0.15:
            self._shared.counts["transactions rolled back"] += 1
            await conn.execute("ROLLBACK")
        elif end < 0.25 and self._shared.prepare:
            gid = f"{conn.info.dbname}-{name}"
            await conn.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
            await self._shared.prepared.put((time.monotonic() + self._rng.uniform(0, 2), gid, ids))
        else:
            await conn.execute("COMMIT")
            self._shared.acknowledge(ids)


async def fetch(conn: Connection, query: LiteralString, values: Sequence[Any]) -> list[int]:
    """The ids that a sending statement returns."""
    cursor = await conn.execute(query, values)
    return [int(row[0]) for row in await cursor.fetchall() if row[0] is not None]


class Churner:
    """One session that subscribes and unsubscribes, and often holds that open while others publish."""

    def __init__(self, shared: Shared, number: int) -> None:
        self._shared = shared
        self._number = number
        self._rng = random.Random(f"{shared.seed} churner {number}")

    async def run(self) -> None:
        """Change memberships until time is up."""
        await repeat(self._shared, f"bench churner {self._number}", self._transaction)

    async def _transaction(self, conn: Connection) -> None:
        rng = self._rng
        await asyncio.sleep(rng.uniform(0, 0.15))
        try:
            await conn.execute("BEGIN")
            for _ in range(rng.choices((1, 2), (4, 1))[0]):
                await membership(
                    conn, rng.random() < 0.55, rng.choice(self._shared.recipients), rng.choice(self._shared.topics)
                )
            await asyncio.sleep(
                rng.uniform(0, self._shared.max_hold_seconds) if rng.random() < 0.4 else rng.uniform(0, 0.05)
            )
            await conn.execute("ROLLBACK" if rng.random() < 0.15 else "COMMIT")
            self._shared.counts["membership transactions"] += 1
        except psycopg.Error as error:
            self._shared.counts[f"membership failed {error.sqlstate or 'connection'}"] += 1
            if conn.closed or conn.broken:
                raise psycopg.OperationalError("the connection is gone") from error
            await conn.execute("ROLLBACK")


class Bystander:
    """One session that sends to people who are nobody here, by the dozen, two seconds in seven.

    A relay then leaves contents out: torture goes from one way of reading to the other and back.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._others = [f"{ELSEWHERE}{number}" for number in range(30)]

    async def run(self) -> None:
        """Send until time is up."""
        await repeat(self._shared, "bench bystander", self._turn)

    async def _turn(self, conn: Connection) -> None:
        await asyncio.sleep(0.015)
        if self._shared.phase < 2:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                await conn.execute(SEND_MANY, (self._others, "{}"))
                self._shared.counts["statements for others"] += 1


async def membership(conn: Connection, join: bool, recipient: str, topic: str) -> None:
    """Subscribe or unsubscribe."""
    query = "SELECT belfry.subscribe(%s, %s)" if join else "SELECT belfry.unsubscribe(%s, %s)"
    await conn.execute(query, (recipient, topic))


async def commit_prepared(shared: Shared, superuser_url: str) -> None:
    """Another session ends prepared transactions, late; runs until cancelled."""
    rng = random.Random(f"{shared.seed} committer")
    while True:
        due, gid, ids = await shared.prepared.get()
        await asyncio.sleep(max(0.0, min(due, shared.ends_at) - time.monotonic()))
        try:
            async with patient(superuser_url, "bench committer", shared.ends_at) as conn:
                if rng.random() < 0.1:
                    await conn.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
                else:
                    await conn.execute(sql.SQL("COMMIT PREPARED {}").format(sql.Literal(gid)))
                    shared.acknowledge(ids)
                    shared.counts["prepared committed late"] += 1
        except psycopg.Error as error:
            shared.counts[f"prepared failed {error.sqlstate or 'connection'}"] += 1


async def end_all_prepared(superuser_url: str) -> int:
    """Commit what is still prepared in this database; the number of them."""
    async with patient(superuser_url, "bench committer", time.monotonic()) as conn:
        left = await (
            await conn.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        ).fetchall()
        for (gid,) in left:
            await conn.execute(sql.SQL("COMMIT PREPARED {}").format(sql.Literal(gid)))
        return len(left)
