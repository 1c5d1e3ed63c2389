"""The inbox model's checkpoint: what was committed, when everything has settled, and whether all three agree."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from bench.inbox_client import Client
from bench.inbox_facts import Counts, Listed, Scope
from bench.inbox_gather import Gatherer
from bench.inbox_items import STATES
from bench.inbox_journal import KINDS, TAGS, TENANTS, Journal, hoards, moment
from bench.inbox_oracle import Model

Connection = psycopg.AsyncConnection[Any]
FOLLOW_SECONDS = 20.0
WITNESSES_SECONDS = 180.0  # each replays the whole run

WAITING: LiteralString = """
    SELECT (SELECT count(*) FROM belfry.notification WHERE ended_at IS NULL AND expires_at <= now())
        + (SELECT count(*) FROM belfry.receipt WHERE snoozed_until <= now())
"""
SCHEDULED: LiteralString = "SELECT count(*) FROM belfry.scheduled WHERE deliver_at <= now()"
WATERMARK: LiteralString = "SELECT greatest(read_through, seen_through) FROM belfry.inbox WHERE recipient = %s"
HEAD: LiteralString = """
    SELECT greatest((SELECT max(id) FROM belfry.notification), (SELECT max(id) FROM belfry.change), 0)
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
    _gatherer: Gatherer | None = None

    def fault(self, what: str, detail: str) -> None:
        """Note a disagreement; the first few of each sort in full."""
        self.counts[f"fault: {what}"] += 1
        if self.counts[f"fault: {what}"] <= 3:
            self.faults.append(f"{what}: {detail}")

    async def checkpoint(self) -> None:
        """Nobody writes now. Let everything settle, then compare."""
        await self._swept()
        await self._value("SELECT belfry.settle()")
        head = await self._value(HEAD)
        await self._followed(self.clients, head)
        self._gatherer = self._gatherer or Gatherer(self.conn, self.journal, self.model, self.fault)
        self.model.absorb(await self._gatherer.facts())
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
        await self._followed(fresh, await self._value(HEAD), WITNESSES_SECONDS)
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

    async def _followed(self, clients: Sequence[Client], head: int, seconds: float = FOLLOW_SECONDS) -> None:
        """Until every client has everything up to the head."""
        for client in clients:
            client.calm = True
        began = time.monotonic()
        while behind := [client for client in clients if not client.covers(head)]:
            if time.monotonic() - began > seconds:
                self.fault("behind", f"{behind[0].recipient} stands at {behind[0].last_id!r}, the head is {head}")
                return
            await asyncio.sleep(0.02)

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
