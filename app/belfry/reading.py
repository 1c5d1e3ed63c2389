"""What one turn of the relay reads: the poll, and what its rows and the arrivals need to be told in full.

Nothing here takes note of anything: reading may fail, and then nothing was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from belfry import choices, queries, rows
from belfry.batch import Badge
from belfry.choices import Choice
from belfry.hub import Hub, Withheld
from belfry.model import Member, Row, State
from belfry.stream import Scope, Stream
from belfry.tracker import Plan, Tracker


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one turn has read. The state and the members are there when somebody waits to be let in."""

    found: rows.Found
    newest: int  # of both tables, when the page was full; else 0
    state: State | None
    members: dict[str, Member]
    news: News


@dataclass(frozen=True, slots=True)
class News:
    """What the rows of a poll need to be told in full."""

    badges: Mapping[Scope, Badge]  # counts of the cursor after this poll
    withheld: Withheld
    kinds: Mapping[str, Sequence[Choice]] | None  # read anew when one was declared


NO_NEWS = News({}, frozenset(), None)


class Reader:
    """Reads for a relay, at most once a turn each: rows, state and members, states of late rows, kinds, counts."""

    def __init__(self, hub: Hub, page_rows: int, counts: Counter[str]) -> None:
        self._hub = hub
        self._page_rows = page_rows
        self._counts = counts

    async def read(
        self, connection: queries.Connection, plan: Plan, seen: Tracker, arrivals: Iterable[Stream]
    ) -> Snapshot:
        """The poll alone, or, when somebody waits, with all that letting them in needs: one snapshot for both."""
        self._counts["row_queries"] += 1
        recipients = {stream.recipient for stream in arrivals}
        if not recipients:
            found, state, members = await rows.poll(connection, plan, self._page_rows), None, dict[str, Member]()
        else:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = await rows.poll(connection, plan, self._page_rows)
            state = await queries.state(connection)
            members = await queries.members(connection, recipients)
            await connection.execute("COMMIT")
        newest = await queries.newest(connection) if found.full else 0
        scopes = {stream.scope for stream in arrivals}
        return Snapshot(found, newest, state, members, await self._news(connection, found, newest, seen, scopes))

    async def _news(
        self, connection: queries.Connection, found: rows.Found, newest: int, seen: Tracker, scopes: set[Scope]
    ) -> News:
        """Counts for those whom a change concerns and for who is let in; who has a state of a late notification."""
        changes = sum(row.verb is not None for row in found.rows)
        if not scopes and not changes and (not found.rows or found.rows[0].id > seen.head):
            return NO_NEWS  # what nearly always happens
        self._counts["changes"] += changes
        withheld = await self._withheld(connection, [row for row in found.rows if row.id <= seen.head])
        scopes |= self._hub.concerned(found.rows)
        scopes |= {stream.scope for recipient, _ in withheld for stream in self._hub.of(recipient)}
        after = _after(seen, found.rows, newest).cursor()
        declared = any(row.verb == "declared" for row in found.rows)
        self._counts["badge_queries"] += bool(scopes)
        return News(
            await queries.badges(connection, list(scopes), after),
            withheld,
            choices.as_seen(await queries.kinds(connection), after) if declared else None,
        )

    async def _withheld(self, connection: queries.Connection, late: Iterable[Row]) -> Withheld:
        """Who has a state of a late notification already: somebody knew it before this relay did.

        A watermark covers it only where another relay was ahead of this one and has settled more.
        """
        expected = [row for row in late if row.verb is None and self._hub.expects(row)]
        if not expected:
            return frozenset()
        known, through = await queries.receipts(connection, [row.id for row in expected])
        settled = [row for row in expected if row.id <= through]
        if settled:
            recipients = {recipient for row in settled for recipient in self._hub.recipients(row)}
            known += await queries.watermarked(connection, [row.id for row in settled], recipients)
        return frozenset(known)


def _after(seen: Tracker, found: Iterable[Row], newest: int) -> Tracker:
    """What will be seen once the rows are."""
    after = Tracker(seen.head, seen.gaps)
    for row in found:
        after.see(row.id)
    after.raise_head(newest)
    return after
