"""The inbox model's writers: random calls in random transactions, and the journal of what was committed.

Each writer owns some recipients and alone changes their state; topics, broadcasts, kinds and whom to send to are
everybody's. A transaction's entries are written into the journal when its COMMIT was acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bench.inbox_facts import EVERYONE, Revision, Step, Window
from bench.inbox_items import shared
from bench.inbox_journal import KINDS, SEGMENTS, TAGS, TENANTS, TRAITS, Entries, Intent, Journal, hoards, moment

Connection = psycopg.AsyncConnection[Any]
FIELDS: LiteralString = (
    "kind => %(kind)s, title => %(title)s, data => %(data)s, tags => %(tags)s, tenant => %(tenant)s,"
    " group_key => %(group)s, expires_at => %(expires_at)s"
)
SEND: LiteralString = (
    f"SELECT belfry.send(recipient => %(recipient)s, dedupe_key => %(dedupe)s, deliver_at => %(deliver_at)s, {FIELDS})"
)
PUBLISH: LiteralString = (
    f"SELECT belfry.publish(topic => %(topic)s, dedupe_key => %(dedupe)s, deliver_at => %(deliver_at)s, {FIELDS})"
)
BROADCAST: LiteralString = f"SELECT belfry.broadcast({FIELDS})"
INSERT: LiteralString = """
    INSERT INTO belfry.notification (recipient, topic, kind, title, data, tags, tenant, group_key, expires_at)
    VALUES (%(recipient)s, %(topic)s, %(kind)s, %(title)s, %(data)s, %(tags)s, %(tenant)s, %(group)s, %(expires_at)s)
    RETURNING id"""
CALL: LiteralString = "SELECT belfry.last_position(), belfry.{}({}), belfry.last_position(), pg_current_xact_id()::text"


class Writer:
    """One session."""

    def __init__(self, journal: Journal, number: int, writers: int) -> None:
        self.journal = journal
        self._name = f"w{number}"
        self._rng = random.Random(f"{journal.seed} inbox writer {number}")
        self._own = [name for place, name in enumerate(journal.recipients) if place % writers == number]
        self._member: dict[str, set[str]] = defaultdict(set)
        self._sent: deque[int] = deque(maxlen=60)
        self._entries = Entries()
        self._serial = 0
        self._xid = ""
        table = [(name, weight, work) for name, weight, work in self._table() if name in journal.functions]
        if number == 0 and "declare_kind" in journal.functions:
            table += [("declare_kind", 4, self._declare), ("define_segment", 2, self._define)]
        if any(hoards(who) for who in self._own):
            table.append(("send", 3, self._burst))
        self._works = [work for _, _, work in table]
        self._weights = [weight for _, weight, _ in table]

    def _table(self) -> list[tuple[str, float, Callable[[Connection], Any]]]:
        return [
            ("send", 22, self._send), ("send_many", 2, self._send_many), ("publish", 9, self._publish),
            ("set_traits", 2, self._describe), ("broadcast", 1, self._broadcast), ("send", 4, self._insert),
            ("subscribe", 3, self._membership("subscribe")), ("unsubscribe", 2, self._membership("unsubscribe")),
            ("set_preference", 4, self._prefer),
            ("mark_read", 10, self._by_id("mark_read")), ("mark_unread", 4, self._by_id("mark_unread")),
            ("mark_seen", 5, self._by_id("mark_seen")), ("archive", 5, self._by_id("archive")),
            ("unarchive", 3, self._by_id("unarchive")), ("unsnooze", 2, self._by_id("unsnooze")),
            ("snooze", 4, self._snooze), ("mark_all_read", 2, self._all("mark_all_read")),
            ("mark_all_seen", 2, self._all("mark_all_seen")), ("archive_all", 1, self._all("archive_all")),
            ("retract", 2.5, self._retract), ("revise", 3, self._revise),
        ]  # fmt: skip

    async def run(self, conn: Connection) -> None:
        """Work until as many calls were committed as the journal wants."""
        while self.journal.done < self.journal.wanted:
            self._entries, self._xid = Entries(), ""
            try:
                if self._rng.random() < 0.6:
                    await self._alone(conn)
                else:
                    await self._together(conn)
            except psycopg.Error as error:
                self.journal.counts[f"failed {error.sqlstate}"] += 1
                if error.sqlstate not in EXPECTED:
                    raise
                await conn.execute("ROLLBACK") if conn.info.transaction_status else None

    async def _alone(self, conn: Connection) -> None:
        """One call, its own transaction."""
        began = time.time()
        await self._call(conn)
        self._committed(Window(began, time.time()))

    async def _together(self, conn: Connection) -> None:
        """Some calls in one transaction, held open or not, ended one way or the other."""
        level = self._rng.choices(("READ COMMITTED", "REPEATABLE READ"), (5, 1))[0]
        await conn.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(sql.SQL(level)))
        began = time.time()
        cursor = await conn.execute("SELECT pg_current_xact_id()::text")
        self._xid = (await cursor.fetchall())[0][0]
        first = Window(began, time.time())
        self._entries.first = first if level == "REPEATABLE READ" else None
        for _ in range(self._rng.choices((1, 2, 3, 5), (3, 3, 2, 1))[0]):
            await self._call(conn)
        if self._rng.random() < 0.6:
            await asyncio.sleep(self._rng.uniform(0, self.journal.max_hold_seconds))
        if self._rng.random() < 0.15:
            self.journal.counts["rolled back"] += 1
            await conn.execute("ROLLBACK")
            return
        ending = time.time()
        await conn.execute("COMMIT")
        self._committed(Window(ending, time.time()))

    def _committed(self, window: Window) -> None:
        entries = self._entries
        self.journal.commit(entries, self._xid, window)
        self.journal.done += entries.calls
        self._sent.extend(intent.id for intent in entries.intents if intent.id > 0 and not intent.dedupe)
        for step in entries.steps:
            if step.verb == "subscribe":
                self._member[step.recipient].add(step.topic)

    async def _call(self, conn: Connection) -> None:
        await self._rng.choices(self._works, self._weights)[0](conn)
        self._entries.calls += 1

    # --- sending ---------------------------------------------------------------------------------------------

    def _intent(self, recipient: str | None = None, topic: str | None = None, *, later: bool = False) -> Intent:
        rng, now = self._rng, time.time()
        self._serial += 1
        name = f"{self._name}-{self._serial}"
        made = Intent(
            marker=name, recipient=recipient, topic=topic, kind=rng.choice(KINDS), title=f"title {name}",
            tenant=rng.choice(TENANTS), tags=tuple(rng.sample(TAGS, k=rng.choice((0, 0, 1, 2)))),
            group=f"g{rng.randrange(3)}" if rng.random() < 0.25 else None,
        )  # fmt: skip
        kind = rng.random()
        if kind < 0.05 and "deliver_due" in self.journal.functions:
            return replace(made, expires_at=now + rng.uniform(0.1, 1.5))
        if kind < 0.1:
            return replace(made, expires_at=now + 86400)
        if kind < 0.15 and later and "scheduled" in self.journal.functions:
            return replace(made, deliver_at=now + rng.choice((rng.uniform(0.1, 1.5), 86400)))
        if kind < 0.25 and later:
            key = f"key {rng.randrange(150)}"  # what two callers of one key send is the same, whoever comes first
            return replace(made, dedupe=key, kind="digest", title=key, tenant="acme", tags=(), group=None)
        return made

    async def _deliver(self, conn: Connection, query: LiteralString, intents: Sequence[Intent]) -> None:
        for intent in intents:
            cursor = await conn.execute(query, intent.parameters())
            self._returned(intent, (await cursor.fetchall())[0][0])

    def _returned(self, intent: Intent, id: int) -> None:
        self._entries.intents.append(replace(intent, id=id))
        self.journal.recent[intent.recipient or intent.topic or ""].append(id)

    async def _send(self, conn: Connection) -> None:
        await self._deliver(conn, SEND, [self._intent(self._rng.choice(self.journal.recipients), later=True)])

    async def _publish(self, conn: Connection) -> None:
        topic = self._rng.choice([*self.journal.topics, *(SEGMENTS if "segment" in self.journal.functions else ())])
        await self._deliver(conn, PUBLISH, [self._intent(topic=topic, later=True)])

    async def _broadcast(self, conn: Connection) -> None:
        await self._deliver(conn, BROADCAST, [self._intent(topic=EVERYONE)])

    async def _insert(self, conn: Connection) -> None:
        topic = self._rng.choice([None, *self.journal.topics])
        who = None if topic else self._rng.choice(self.journal.recipients)
        await self._deliver(conn, INSERT, [self._intent(who, topic)])

    async def _burst(self, conn: Connection) -> None:
        """Many for one who never marks all: so that receipts pile up above the watermark, and are compacted."""
        who = next(who for who in self._own if hoards(who))
        await self._deliver(conn, INSERT, [self._intent(who) for _ in range(40)])

    async def _send_many(self, conn: Connection) -> None:
        some = self._rng.sample(list(self.journal.recipients), k=min(4, len(self.journal.recipients)))
        made = self._intent()
        query = f"SELECT * FROM belfry.send_many(recipients => %(recipients)s, {FIELDS})"
        cursor = await conn.execute(query.encode(), {**made.parameters(), "recipients": some})
        for recipient, (id,) in zip(some, await cursor.fetchall(), strict=True):
            self._returned(replace(made, recipient=recipient), id)

    # --- what a recipient does -------------------------------------------------------------------------------

    async def _do(self, conn: Connection, step: Step, arguments: dict[str, Any]) -> Any:
        """Call the function, and note when it looked, and where it stands in the order of positions."""
        named = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
        )
        query = sql.SQL(CALL).format(sql.Identifier(step.verb), named)
        began = time.time()
        cursor = await conn.execute(query, arguments)
        earlier, result, position, xid = (await cursor.fetchall())[0]
        looked = self._entries.first or Window(began, time.time())
        if self._entries.first is None and not self._xid:
            self._xid = xid
        made = replace(step, looked=looked, earlier=earlier, position=position, xid=xid, result=counted(result))
        self._entries.steps.append(made)
        self.journal.counts[step.verb] += 1
        return result

    def _step(self, verb: str, **more: Any) -> Step:
        who = self._rng.choice(self._own)
        tenant = self._rng.choice(TENANTS) if self._rng.random() < 0.06 else None
        topics = tuple(self._rng.sample(list(self.journal.topics), 2)) if self._rng.random() < 0.06 else None
        return Step(verb, who, Window(0, 0), tenant=tenant, topics=topics, **more)

    def _candidates(self, recipient: str) -> tuple[int, ...]:
        """Ids that are probably this recipient's, some that are not, some that are nobody's, some twice."""
        recent, rng = self.journal.recent, self._rng
        pool = [*recent[recipient], *list(recent[EVERYONE])[-40:]]
        for topic in (*self._member[recipient], *SEGMENTS):
            pool += list(recent[topic])[-40:]
        some = rng.sample(pool, k=min(len(pool), rng.randint(1, 90 if hoards(recipient) else 6)))
        if rng.random() < 0.1:
            some += [*some[:1], rng.choice((0, -5, 10**12)), *list(recent[rng.choice(self.journal.recipients)])[:1]]
        return tuple(some)

    def _by_id(self, verb: str) -> Callable[[Connection], Any]:
        async def work(conn: Connection) -> None:
            step = self._step(verb)
            step = replace(step, ids=self._candidates(step.recipient))
            await self._do(conn, step, {"recipient": step.recipient, "ids": list(step.ids), **narrowed(step)})

        return work

    async def _snooze(self, conn: Connection) -> None:
        soon = self._rng.random() < 0.7 and "deliver_due" in self.journal.functions
        step = self._step("snooze", until=round(time.time() + (self._rng.uniform(0.2, 1.5) if soon else 86400), 3))
        step = replace(step, ids=self._candidates(step.recipient))
        arguments = {"recipient": step.recipient, "ids": list(step.ids), "until": moment(step.until)}
        await self._do(conn, step, arguments | narrowed(step))

    def _all(self, verb: str) -> Callable[[Connection], Any]:
        async def work(conn: Connection) -> None:
            step = self._step(verb)
            if hoards(step.recipient):
                return
            recent = self.journal.recent[step.recipient]
            if recent and self._rng.random() < 0.2:
                step = replace(step, through=max(0, self._rng.choice(list(recent))))
            await self._do(conn, step, {"recipient": step.recipient, "through": step.through, **narrowed(step)})

        return work

    def _membership(self, verb: str) -> Callable[[Connection], Any]:
        async def work(conn: Connection) -> None:
            others = [who for who in self.journal.recipients if shared(who)]
            who = self._rng.choice(others if others and self._rng.random() < 0.4 else self._own)
            step = Step(verb, who, Window(0, 0), topic=self._rng.choice(self.journal.topics))
            await self._do(conn, step, {"recipient": who, "topic": step.topic})

        return work

    async def _prefer(self, conn: Connection) -> None:
        kind, enabled = self._rng.choice([*KINDS, EVERYONE]), self._rng.choice((True, True, False, False, None))
        step = replace(self._step("set_preference"), kind=kind, enabled=enabled, tenant=None, topics=None)
        await self._do(conn, step, {"recipient": step.recipient, "kind": step.kind, "enabled": step.enabled})

    async def _declare(self, conn: Connection) -> None:
        kind, required = self._rng.choice(KINDS), self._rng.random() < 0.2
        enabled = required or self._rng.random() < 0.7
        step = Step("declare_kind", "", Window(0, 0), kind=kind, required=required, enabled=enabled)
        arguments = {"kind": kind, "label": kind.title(), "required": required, "enabled": enabled}
        await self._do(conn, step, arguments)

    async def _describe(self, conn: Connection) -> None:
        traits = frozenset(
            (name, self._rng.choice(values)) for name, values in TRAITS.items() if self._rng.random() < 0.8
        )
        step = Step("set_traits", self._rng.choice(self._own), Window(0, 0), traits=traits)
        await self._do(conn, step, {"recipient": step.recipient, "traits": Jsonb(dict(traits))})

    async def _define(self, conn: Connection) -> None:
        name, values = self._rng.choice([*TRAITS.items()])
        wanted = frozenset({(name, self._rng.choice(values))})
        step = Step("define_segment", "", Window(0, 0), topic=self._rng.choice(SEGMENTS), traits=wanted)
        await self._do(conn, step, {"name": step.topic.removeprefix("segment:"), "filter": Jsonb(dict(wanted))})

    # --- what becomes of what was sent -----------------------------------------------------------------------

    async def _retract(self, conn: Connection) -> None:
        pool = [id for ids in self.journal.recent.values() for id in list(ids)[-5:]]
        if not pool:
            return
        id = self._rng.choice(pool)
        cursor = await conn.execute("SELECT belfry.retract(%s)", (id,))
        if (await cursor.fetchall())[0][0]:
            self._entries.retracted.append(id)

    async def _revise(self, conn: Connection) -> None:
        if not self._sent:
            return
        self._serial += 1
        made = Revision(
            self._rng.choice(list(self._sent)), title=f"revised {self._name}-{self._serial}",
            tags=tuple(self._rng.sample(TAGS, k=1)) if self._rng.random() < 0.3 else None,
        )  # fmt: skip
        query = "SELECT belfry.revise(id => %s, title => %s, tags => %s::text[])"
        cursor = await conn.execute(query, (made.id, made.title, list(made.tags) if made.tags else None))
        if (await cursor.fetchall())[0][0] is not False:
            self._entries.revised.append(made)


# A lost race that Postgres resolves by an error: deadlock, serialization, and what is our own rule.
EXPECTED = ("40P01", "40001", "BF011", "BF012")


def narrowed(step: Step) -> dict[str, Any]:
    """The trailing arguments of scope, where there is one."""
    given: dict[str, Any] = {} if step.tenant is None else {"tenant": step.tenant}
    return given if step.topics is None else given | {"topics": list(step.topics)}


def counted(result: Any) -> int | None:
    """A whole number, or nothing that the model could judge."""
    return result if isinstance(result, int) and not isinstance(result, bool) else None
