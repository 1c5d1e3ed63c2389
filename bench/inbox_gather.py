"""What the inbox model's writers have committed since the last checkpoint; what the tables deny is a fault."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, LiteralString

import psycopg

from bench.inbox_facts import Change, Facts, Sent, Window
from bench.inbox_journal import SEGMENTS, Intent, Journal
from bench.inbox_oracle import Model

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


class Gatherer:
    """Reads the tables as their owner, which no part of the product that is judged does."""

    def __init__(
        self, conn: psycopg.AsyncConnection[Any], journal: Journal, model: Model, fault: Callable[[str, str], None]
    ) -> None:
        self._conn, self._journal, self._model, self._fault = conn, journal, model, fault
        self._through = 0
        self._intents: dict[str, tuple[Intent, Window, str]] = {}
        self._pending: dict[str, Intent] = {}

    async def facts(self) -> Facts:
        """What was committed since the checkpoint before; what the table says otherwise is a fault."""
        journal = self._journal
        windows: dict[int, list[Window]] = defaultdict(list)
        for intent, window, xid in journal.intents:
            self._intents.setdefault(intent.marker + (intent.recipient or ""), (intent, window, xid))
            windows[intent.id].append(window)
            if intent.id < 0:
                self._pending[intent.marker + (intent.recipient or "")] = intent
        sent = [self._sent(row, windows) for row in await self._rows(ROWS)]
        found = {each.id for each in sent if each} | self._model.sent.keys()
        for intent, _, _ in journal.intents:
            if intent.id > 0 and intent.id not in found:
                self._fault("lost", f"{intent} was committed and is not in the table")
        changes = [Change(*row[:5], tuple(row[5]), *row[6:]) for row in await self._rows(CHANGES)]
        cursor = await self._conn.execute("SELECT * FROM belfry.contact(%s)", (list(self._model.inboxes),))
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
        for topic, recipient in await (await self._conn.execute(query)).fetchall():
            members[topic].add(recipient)
        return members

    async def _rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        cursor = await self._conn.execute(query, (self._through,))
        return await cursor.fetchall()

    def _sent(self, row: tuple[Any, ...], windows: dict[int, list[Window]]) -> Sent | None:
        """The row as its sender meant it."""
        id, recipient, topic, _, _, _, _, marker, _, created_at = row
        name = (marker or "") + (recipient or "")
        if name not in self._intents:
            self._fault("never committed", f"{row} is in the table")
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
            self._fault("another row", f"{row} was meant as {intent}")
        return meant

    def _delivered(self, intent: Intent, id: int, created_at: float, name: str) -> None:
        """What was sent for later came, and not too early."""
        if self._pending.pop(name, None) is None or (intent.deliver_at or 0) > created_at + 0.01:
            self._fault("delivered twice or too early", f"{intent} as {id} at {created_at}")
        if intent.id in self._journal.retracted:
            self._fault("delivered although cancelled", f"{intent} as {id}")

    def _overdue_deliveries(self, sent: Sequence[Sent | None]) -> None:
        """What is pending and due must be cancelled, or another caller's by its dedupe key."""
        for name, intent in list(self._pending.items()):
            if intent.id in self._journal.retracted or intent.dedupe:
                del self._pending[name]
            elif (intent.deliver_at or 0) < time.time() - 3:
                self._fault("overdue", f"{intent} was never delivered")
                del self._pending[name]
