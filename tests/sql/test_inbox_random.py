"""Random histories of one recipient, compared with a naive model after every step: the watermarks, the receipts and
their compaction never show."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from naive_inbox import STATES, Inbox, Item, scope

Connection = Any
VERBS = {
    "read": "mark_read",
    "unread": "mark_unread",
    "seen": "mark_seen",
    "archived": "archive",
    "unarchived": "unarchive",
    "unsnoozed": "unsnooze",
    "snoozed": "snooze",
}
ALL = {"read": "mark_all_read", "seen": "mark_all_seen", "archived": "archive_all"}
TENANTS, KINDS, GROUPS, TOPICS = ("", "acme"), ("k.a", "k.b", "k.c"), (None, None, "g1", "g2"), ("t1", "t2")
SCOPES: list[tuple[str | None, list[str] | None]] = [
    (None, None), ("acme", None), (None, ["t1"]), (None, []), ("", ["*", "t2"]), (None, ["t1", "*"]),
]  # fmt: skip


class Play:
    """One random history, told to the database and to the model."""

    def __init__(self, connection: Connection, ask: Any, seed: int, bulk: int) -> None:
        self.connection, self.ask, self.bulk = connection, ask, bulk
        self.random = random.Random(seed)
        self.inbox = Inbox()
        self.stays: set[str] = set()
        self.muted: dict[str, bool] = {}
        self.off: set[str] = set()

    async def step(self) -> None:
        """Something happens."""
        what: list[Callable[[], Awaitable[None]]] = [
            self.send, self.send, self.mark, self.mark, self.mark, self.mark, self.mark_all, self.settle, self.move,
            self.mute, self.declare, self.end,
        ]  # fmt: skip
        await self.random.choice(what)()

    async def send(self) -> None:
        topic = self.random.choice([None, None, "*", *TOPICS])
        kind, tenant = self.random.choice(KINDS), self.random.choice(TENANTS)
        group, many = self.random.choice(GROUPS), self.random.randint(1, self.bulk)
        recipient = None if topic else self.random.choice(["u1", "u1", "u1", "u2"])
        ids = await self.ask.column(
            self.connection,
            "INSERT INTO belfry.notification (recipient, topic, kind, tenant, group_key)"
            " SELECT %s, %s, %s, %s, %s FROM generate_series(1, %s) RETURNING id",
            recipient, topic, kind, tenant, group, many,
        )  # fmt: skip
        if recipient == "u1" or topic == "*" or topic in self.stays:
            for one in ids:
                self.inbox.items[one] = Item(one, topic, kind, tenant, group, self.is_muted(kind))

    def is_muted(self, kind: str) -> bool:
        return not self.muted.get(kind, self.muted.get("*", kind not in self.off))

    def some(self) -> list[int]:
        """Ids, among them foreign and repeated ones; in one run, or here and there."""
        known = sorted(self.inbox.items) or [1]
        if self.random.random() < 0.5:
            start = self.random.randrange(len(known))
            chosen = known[start : start + self.random.randint(1, self.bulk)]
        else:
            chosen = self.random.sample(known, self.random.randint(1, min(len(known), self.bulk)))
        return [*chosen, chosen[0], self.random.randint(0, known[-1] + 3)]

    async def mark(self) -> None:
        verb, ids = self.random.choice(list(VERBS)), self.some()
        tenant, topics = self.random.choice(SCOPES)
        arguments: dict[str, Any] = {"recipient": "u1", "ids": ids, "tenant": tenant, "topics": topics}
        if verb == "snoozed":
            arguments["until"] = "2100-01-01T00:00:00Z"
        changed = self.inbox.mark(verb, ids, scope(tenant, topics))
        assert await self.ask.call(self.connection, VERBS[verb], **arguments) == len(changed)
        await self.told(verb, changed)

    async def mark_all(self) -> None:
        verb = self.random.choice(list(ALL))
        through = self.random.choice([None, None, self.some()[0]])
        tenant, topics = self.random.choice([(None, None), (None, None), *SCOPES])
        changed = self.inbox.mark_all(verb, through, scope(tenant, topics))
        assert await self.ask.call(
            self.connection, ALL[verb], recipient="u1", through=through, tenant=tenant, topics=topics
        ) == len(changed)
        await self.told(verb, changed)

    async def told(self, verb: str, changed: list[int]) -> None:
        """The changes that were written say exactly this."""
        rows = [row for row in await self.ask.rows(self.connection, "change") if row["verb"] == verb]
        await self.connection.execute("DELETE FROM belfry.change WHERE verb = %s", (verb,))
        assert len(rows) <= 1 + len(changed) / 1000
        through = max([row["through"] for row in rows if row["through"] is not None], default=0)
        ids = [one for row in rows for one in row["ids"] or []]
        assert ids == sorted(set(ids))
        assert [one for one in changed if one > through] == ids
        assert bool(rows) == bool(changed)

    async def settle(self) -> None:
        await self.connection.execute("SELECT belfry.settle()")

    async def move(self) -> None:
        topic = self.random.choice(TOPICS)
        await self.ask.call(
            self.connection, "unsubscribe" if topic in self.stays else "subscribe", recipient="u1", topic=topic
        )
        self.stays ^= {topic}

    async def mute(self) -> None:
        kind, enabled = self.random.choice(["*", *KINDS]), self.random.choice([True, False, None])
        await self.connection.execute(
            "WITH c AS (INSERT INTO belfry.change (recipient, verb, kind) VALUES ('u1', 'preference', %(kind)s)"
            " RETURNING id), gone AS (UPDATE belfry.preference SET until = c.id FROM c WHERE recipient = 'u1'"
            " AND kind = %(kind)s AND until IS NULL RETURNING 1)"
            " INSERT INTO belfry.preference (recipient, kind, since, enabled)"
            " SELECT 'u1', %(kind)s, c.id, %(enabled)s FROM c, (SELECT count(*) FROM gone) AS done"
            " WHERE %(enabled)s::boolean IS NOT NULL",
            {"kind": kind, "enabled": enabled},
        )
        self.muted.pop(kind, None)
        if enabled is not None:
            self.muted[kind] = enabled

    async def declare(self) -> None:
        kind, enabled = self.random.choice(KINDS), self.random.choice([True, False])
        await self.connection.execute(
            "WITH c AS (INSERT INTO belfry.change (topic, verb, kind) VALUES ('*', 'declared', %(kind)s)"
            " RETURNING id), gone AS (UPDATE belfry.kind SET until = c.id FROM c WHERE kind = %(kind)s"
            " AND until IS NULL RETURNING 1)"
            " INSERT INTO belfry.kind (kind, since, enabled) SELECT %(kind)s, c.id, %(enabled)s"
            " FROM c, (SELECT count(*) FROM gone) AS done",
            {"kind": kind, "enabled": enabled},
        )
        self.off.discard(kind)
        if not enabled:
            self.off.add(kind)

    async def end(self) -> None:
        """A few are retracted or expire."""
        ids = self.some()[: self.random.randint(0, 3)]
        way = self.random.choice(["ended_at = now()", "expires_at = '2001-01-01'"])
        await self.connection.execute(f"UPDATE belfry.notification SET {way} WHERE id = ANY (%s)".encode(), (ids,))
        for one in ids:
            if one in self.inbox.items:
                self.inbox.items[one].dead = True

    async def compare(self) -> None:
        """Counts, badges and every list are those of the model."""
        for tenant, topics in [(None, None), self.random.choice(SCOPES)]:
            await self.compare_counts(tenant, topics)
            for state in STATES:
                await self.compare_list(state, tenant, topics)

    async def compare_counts(self, tenant: str | None, topics: list[str] | None) -> None:
        query = "SELECT unread || ' ' || unseen || ' ' || total FROM belfry.counts('u1', %s, %s)"
        got = await self.ask.value(self.connection, query, tenant, topics)
        within = scope(tenant, topics)
        assert tuple(map(int, got.split())) == self.inbox.counts(within)
        lo = self.some()[0]
        hi, head = lo + self.random.randint(0, 5), self.some()[0]
        got = await self.ask.value(
            self.connection,
            "SELECT unread || ' ' || unseen FROM belfry.badges(jsonb_build_array(jsonb_build_object("
            "'recipient', 'u1', 'tenant', %s::text, 'topics', %s::text[])), %s, ARRAY[%s], ARRAY[%s])",
            tenant, topics, head, lo, hi,
        )  # fmt: skip
        seen = lambda item: within(item) and item.id <= head and not lo <= item.id <= hi  # noqa: E731
        assert tuple(map(int, got.split())) == self.inbox.counts(seen)[:2]

    async def compare_list(self, state: str, tenant: str | None, topics: list[str] | None) -> None:
        kinds = self.random.choice([None, None, ["k.a", "k.c"]])
        within = scope(tenant, topics)
        expected = self.inbox.listed(state, lambda item: within(item) and (not kinds or item.kind in kinds))
        got: list[Any] = []
        pages = self.random.choice([3, 20, 1000])
        for _ in range(4):
            before = got[-1][0] if got else None
            cursor = await self.connection.execute(
                "SELECT id, group_count, group_ids, seen, read, archived, snoozed_until IS NOT NULL FROM"
                " belfry.list_inbox('u1', %s, %s, %s, kinds => %s, tenant => %s, topics => %s)",
                (state, before, pages, kinds, tenant, topics),
            )
            got += await cursor.fetchall()
        assert [row[:3] for row in got] == expected[: 4 * pages], (state, tenant, topics, kinds)
        for row in got:
            item = self.inbox.items[row[0]]
            assert row[3:] == (item.seen, item.read, item.archived, item.snoozed)


@pytest.mark.parametrize("seed", range(6))
async def test_a_random_history_is_what_a_naive_model_says(connect: Any, ask: Any, seed: int) -> None:
    play = Play(await connect(), ask, seed, bulk=4)
    await ask.call(play.connection, "counts", recipient="u1")
    for _ in range(60):
        await play.step()
        await play.compare()


@pytest.mark.parametrize("seed", range(3))
async def test_a_history_with_many_receipts_is_what_a_naive_model_says(connect: Any, ask: Any, seed: int) -> None:
    play = Play(await connect(), ask, 100 + seed, bulk=900)
    await ask.call(play.connection, "counts", recipient="u1")
    for _ in range(40):
        await play.step()
        await play.compare()
