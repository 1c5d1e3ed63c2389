"""The inbox model's checkpoint: what was committed, when everything has settled, and whether all three agree."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from bench.inbox_client import Client
from bench.inbox_facts import Change, Counts, Facts, Listed, Scope, Sent, Window
from bench.inbox_items import STATES
from bench.inbox_journal import Intent, Journal, hoards, moment
from bench.inbox_oracle import Model
from bench.inbox_writers import KINDS, SEGMENTS, TAGS, TENANTS

Connection = psycopg.AsyncConnection[Any]
WAITING: LiteralString = """
    SELECT (SELECT count(*) FROM belfry.notification WHERE ended_at IS NULL AND expires_at <= now())
        + (SELECT count(*) FROM belfry.receipt WHERE snoozed_until <= now())
"""
SCHEDULED: LiteralString = "SELECT count(*) FROM belfry.scheduled WHERE deliver_at <= now()"
WATERMARK: LiteralString = "SELECT greatest(read_through, seen_through) FROM belfry.inbox WHERE recipient = %s"
HEAD: LiteralString = """
    SELECT greatest((SELECT max(id) FROM belfry.notification), (SELECT max(id) FROM belfry.change), 0)
"""
ROWS: LiteralString = """
    SELECT id, recipient, topic, kind, tenant, tags, group_key, data->>'op',
        extract(epoch FROM expires_at)::float8, extract(epoch FROM created_at)::float8
    FROM belfry.notification WHERE id > %s
"""
CHANGES: LiteralString = """
    SELECT id, xmin::text, verb, recipient, topic, coalesce(ids, '{}'), through, kind, enabled,
        extract(epoch FROM created_at)::float8
    FROM belfry.change WHERE id > %s ORDER BY id
"""
LIST: LiteralString = """
    SELECT id, read, seen, archived, snoozed_until, title, group_count, group_ids
    FROM belfry.list_inbox(%(recipient)s, %(state)s, before => %(before)s::bigint, max_rows => %(max_rows)s,
        kinds => %(kinds)s::text[], tags => %(tags)s::text[], tenant => %(tenant)s::text, topics => %(topics)s::text[])
"""


@dataclass(slots=True)
class Checker:
    """Compares at each checkpoint, and keeps what it found."""

    conn: Connection
    journal: Journal
    model: Model
    clients: Sequence[Client]
    rng: random.Random
    has_relays: bool = True
    faults: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    longest_sweep_seconds: float = 0.0
    _through: int = 0
    _intents: dict[str, tuple[Intent, Window, str]] = field(default_factory=dict[str, tuple[Intent, Window, str]])
    _pending: dict[str, Intent] = field(default_factory=dict[str, Intent])
    _fault_counts: Counter[str] = field(default_factory=Counter[str])

    def fault(self, what: str, detail: str) -> None:
        """Note a disagreement; the first few of each sort in full."""
        self._fault_counts[what] += 1
        self.counts[f"fault: {what}"] += 1
        if self._fault_counts[what] <= 3:
            self.faults.append(f"{what}: {detail}")

    async def checkpoint(self) -> None:
        """Nobody writes now. Let everything settle, then compare."""
        await self._swept()
        await self._value("SELECT belfry.settle()")
        head = await self._value(HEAD)
        await self._followed(self.clients, head)
        self.model.absorb(await self._facts())
        for complaint in self.model.complaints:
            self.fault("answers", complaint)
        self.model.complaints.clear()
        now = time.time()
        for id in self.model.overdue(now, 3):
            self.fault("overdue", f"the snooze of {id} is over and was not delivered")
        for recipient in self.model.inboxes:
            await self._tables(recipient, now)
            self.counts["compacted"] += hoards(recipient) and bool(await self._value(WATERMARK, recipient))
        await self._badges(head, now)
        for client in self.clients:
            self._client(client, now)
        self.counts["checkpoints"] += 1

    async def witnesses(self, ports: Sequence[int]) -> None:
        """Newcomers who replay everything from `cursor=0` must end up with the same."""
        fresh = [Client(name, ports, self.rng, calm=True) for name in self.model.inboxes] if ports else []
        following = [asyncio.create_task(client.run()) for client in fresh]
        await self._followed(fresh, await self._value(HEAD))
        for client in fresh:
            self._client(client, time.time())
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    async def _value(self, query: LiteralString, *parameters: object) -> Any:
        cursor = await self.conn.execute(query, parameters)
        return (await cursor.fetchall())[0][0]

    # --- settling --------------------------------------------------------------------------------------------

    async def _swept(self) -> None:
        """Until what was due or expires soon has been delivered or swept."""
        await asyncio.sleep(max(0.0, self.journal.due_until - time.time()) + 0.01)
        began = time.monotonic()
        while await self._value(WAITING) or ("scheduled" in self.journal.functions and await self._value(SCHEDULED)):
            if "deliver_due" not in self.journal.functions or time.monotonic() - began > 10:
                self.counts["checkpoints with rows that wait"] += 1
                break
            await asyncio.sleep(0.02)
        self.longest_sweep_seconds = max(self.longest_sweep_seconds, time.monotonic() - began)

    async def _followed(self, clients: Sequence[Client], head: int) -> None:
        """Until every client has everything up to the head."""
        for client in clients:
            client.calm = True
        began = time.monotonic()
        while behind := [client for client in clients if not client.covers(head)]:
            if time.monotonic() - began > 20:
                self.fault("behind", f"{behind[0].recipient} stands at {behind[0].last_id!r}, the head is {head}")
                return
            await asyncio.sleep(0.02)

    # --- facts -----------------------------------------------------------------------------------------------

    async def _facts(self) -> Facts:
        """What was committed since the checkpoint before; what the table says otherwise is a fault."""
        journal = self.journal
        windows: dict[int, list[Window]] = defaultdict(list)
        for intent, window, xid in journal.intents:
            self._intents.setdefault(intent.marker + (intent.recipient or ""), (intent, window, xid))
            windows[intent.id].append(window)
            if intent.id < 0:
                self._pending[intent.marker + (intent.recipient or "")] = intent
        sent = [self._sent(row, windows) for row in await self._rows(ROWS)]
        found = {each.id for each in sent if each} | self.model.sent.keys()
        for intent, _, _ in journal.intents:
            if intent.id > 0 and intent.id not in found:
                self.fault("lost", f"{intent} was committed and is not in the table")
        changes = [Change(*row[:5], tuple(row[5]), *row[6:]) for row in await self._rows(CHANGES)]
        cursor = await self.conn.execute("SELECT * FROM belfry.contact(%s)", (list(self.model.inboxes),))
        contacts = dict(await cursor.fetchall())
        facts = Facts(
            [each for each in sent if each], list(journal.steps), changes, dict(journal.retracted),
            [each for each in journal.revised if each.id > 0], contacts, await self._members(),
        )  # fmt: skip
        self._overdue_deliveries(sent)
        self._through = max([self._through, *found, *(change.id for change in changes)])
        for each in (journal.intents, journal.steps, journal.retracted, journal.revised):
            each.clear()
        return facts

    async def _members(self) -> dict[str, set[str]]:
        """Who is in which segment now."""
        query = "SELECT topic, recipient FROM belfry.subscription WHERE topic LIKE 'segment:%' AND until IS NULL"
        members: dict[str, set[str]] = {topic: set() for topic in SEGMENTS}
        for topic, recipient in await (await self.conn.execute(query)).fetchall():
            members[topic].add(recipient)
        return members

    async def _rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        cursor = await self.conn.execute(query, (self._through,))
        return await cursor.fetchall()

    def _sent(self, row: tuple[Any, ...], windows: dict[int, list[Window]]) -> Sent | None:
        """The row as its sender meant it."""
        id, recipient, topic, _, _, _, _, marker, _, created_at = row
        name = (marker or "") + (recipient or "")
        if name not in self._intents:
            self.fault("never committed", f"{row} is in the table")
            return None
        intent, window, xid = self._intents[name]
        later = intent.id < 0
        if later:
            self._delivered(intent, id, created_at, name)
            window, xid = Window(created_at, time.time()), ""
        elif windows[id]:
            window = Window(min(w.opens for w in windows[id]), min(w.closes for w in windows[id]))
        meant = Sent(
            id, recipient, topic, window, xid, intent.kind, intent.tenant, intent.tags, intent.group,
            intent.expires_at, intent.title,
        )  # fmt: skip
        stands = (row[3], row[4], row[6])
        if stands != (meant.kind, meant.tenant, meant.group) or (not later and not intent.dedupe and id != intent.id):
            self.fault("another row", f"{row} was meant as {intent}")
        return meant

    def _delivered(self, intent: Intent, id: int, created_at: float, name: str) -> None:
        """What was sent for later came, and not too early."""
        if self._pending.pop(name, None) is None or (intent.deliver_at or 0) > created_at + 0.01:
            self.fault("delivered twice or too early", f"{intent} as {id} at {created_at}")
        if intent.id in self.journal.retracted:
            self.fault("delivered although cancelled", f"{intent} as {id}")

    def _overdue_deliveries(self, sent: Sequence[Sent | None]) -> None:
        """What is pending and due must be cancelled, or another caller's by its dedupe key."""
        for name, intent in list(self._pending.items()):
            if intent.id in self.journal.retracted or intent.dedupe:
                del self._pending[name]
            elif (intent.deliver_at or 0) < time.time() - 3:
                self.fault("overdue", f"{intent} was never delivered")
                del self._pending[name]

    # --- the tables ------------------------------------------------------------------------------------------

    async def _tables(self, recipient: str, now: float) -> None:
        """Counts and lists as the functions say them."""
        narrow = Scope(self.rng.choice((None, *TENANTS)), self.rng.choice((None, self.rng.sample(self._topics(), 2))))
        for scope in (Scope(), narrow):
            await self._counts(recipient, now, scope)
        if "list_inbox" not in self.journal.functions:
            return
        for state in STATES:
            await self._list(recipient, now, state, Scope(), None, None)
        kinds = self.rng.choice((None, self.rng.sample(KINDS, 2)))
        tags = self.rng.choice((None, self.rng.sample(TAGS, 2)))
        await self._list(recipient, now, self.rng.choice([*STATES]), narrow, kinds, tags)

    def _topics(self) -> list[str]:
        return [*self.journal.topics, "*"]

    async def _counts(self, recipient: str, now: float, scope: Scope) -> None:
        cursor = await self.conn.execute(
            "SELECT unread, unseen, total FROM belfry.counts(%s, %s::text, %s::text[])",
            (recipient, scope.tenant, scope.topics),
        )
        told, wanted = Counts(*(await cursor.fetchall())[0]), self.model.counts(recipient, now, scope)
        self.counts["counts compared"] += 1
        if told != wanted:
            self.fault("counts", f"{recipient} {scope}: the function says {told}, the model {wanted}")

    async def _badges(self, head: int, now: float) -> None:
        """The counts that relays ask for: of many at once, at any cursor."""
        top = self.rng.randint(0, head)
        edges = sorted(self.rng.sample(range(1, top + 2), k=min(6, top // 2 * 2)))
        gaps = list(zip(edges[::2], edges[1::2], strict=True))
        scopes = [
            (recipient, self.rng.choice((None, *TENANTS)), self.rng.choice((None, self.rng.sample(self._topics(), 2))))
            for recipient in self.model.inboxes
        ]
        asked = [dict(zip(("recipient", "tenant", "topics"), scope, strict=True)) for scope in scopes]
        cursor = await self.conn.execute(
            "SELECT place, unread, unseen FROM belfry.badges(%s, %s, %s::bigint[], %s::bigint[])",
            (Jsonb(asked), top, [lo for lo, _ in gaps], [hi for _, hi in gaps]),
        )
        told = {place: (unread, unseen) for place, unread, unseen in await cursor.fetchall()}
        for place, (recipient, tenant, topics) in enumerate(scopes, start=1):
            shown = [
                item
                for item in self.model.items(recipient, now, Scope(tenant, topics))
                if STATES["unread"](item) and item.sent.id <= top
                and not any(lo <= item.sent.id <= hi for lo, hi in gaps)
            ]  # fmt: skip
            wanted = (len(shown), sum(not item.seen for item in shown))
            self.counts["badges compared"] += 1
            if told.get(place) != wanted:
                self.fault("badges", f"{recipient} {tenant} {topics} at {top} but {gaps}: {told.get(place)}, {wanted}")

    async def _list(
        self, recipient: str, now: float, state: str, scope: Scope, kinds: list[str] | None, tags: list[str] | None
    ) -> None:
        wanted = self.model.listing(recipient, now, state, scope, kinds, tags)
        found: list[Listed] = []
        rows = self.rng.choice((7, 40, 100) if len(wanted) < 300 else (400, 1000))
        parameters: dict[str, Any] = {
            "recipient": recipient, "state": state, "before": None, "max_rows": rows,
            "kinds": kinds, "tags": tags, "tenant": scope.tenant, "topics": scope.topics,
        }  # fmt: skip
        while True:
            cursor = await self.conn.execute(LIST, parameters)
            page = await cursor.fetchall()
            found += [of_row(row, now) for row in page]
            if len(page) < parameters["max_rows"]:
                break
            parameters["before"] = page[-1][0]
        self.counts["lists compared"] += 1
        told = [cut(each) for each in found]
        if told != [cut(each) for each in wanted]:
            differs = sorted(set(told) ^ {cut(each) for each in wanted}, key=lambda each: -each.id)[:6]
            self.fault("list", f"{recipient} {state} {scope} {kinds} {tags}: differs in {differs} (or in order)")

    # --- the clients -----------------------------------------------------------------------------------------

    def _client(self, client: Client, now: float) -> None:
        """The numbers and the items that a client holds, from frames alone."""
        scope, state = Scope(client.tenant, client.topics), client.state
        wanted = self.model.counts(client.recipient, now, scope)
        who = f"{client.recipient} {scope}"
        self.counts["clients compared"] += 1
        if (state.unread, state.unseen) != (wanted.unread, wanted.unseen):
            told, anew = (state.unread, state.unseen), state.derived()
            self.fault("client's counts", f"{who}: {told}, its items say {anew}, the model {wanted}{last(client)}")
        if client.paged:
            return
        model = {
            item.sent.id: (item.read, item.seen, item.archived, item.snoozed_until is not None, item.sent.title)
            for item in self.model.items(client.recipient, now, scope)
        }
        items = {id: (i.read, i.seen, i.archived, i.snoozed, i.title) for id, i in state.items.items()}
        differs = [id for id in model.keys() | items.keys() if model.get(id) != items.get(id)]
        differs = [id for id in differs if id not in state.hollow]
        if differs:
            pairs = [(id, "model", model.get(id), "client", items.get(id)) for id in sorted(differs)[-3:]]
            told = [line for line in client.history if any(str(id) in line[2] for id in differs[-3:])][-6:]
            self.fault("client's items", f"{who}: {len(differs)} differ: {pairs} {told}")


def of_row(row: tuple[Any, ...], now: float) -> Listed:
    """A row of `list_inbox`; its count must be that of its group."""
    id, read, seen, archived, snoozed_until, title, count, ids = row
    snoozed = snoozed_until is not None and snoozed_until > moment(now)
    members = tuple(ids) if ids else (id,)
    if count != len(members) and len(members) < 100:
        members = (*members, -count)
    return Listed(id, read, seen, archived, snoozed, title, members)


def cut(each: Listed) -> Listed:
    """With the newest hundred of the group only, as the function gives them."""
    return Listed(each.id, each.read, each.seen, each.archived, each.snoozed, each.title, each.group[:100])


def last(client: Client, count: int = 6) -> str:
    """The last frames that came, for the report."""
    return "".join(f"\n      {id} {event} {data[:160]}" for id, event, data in client.history[-count:])
