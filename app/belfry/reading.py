"""What one turn of the relay reads: the poll, and what its rows and the arrivals need to be told in full.

No row is taken note of here: reading may fail, and then nothing was seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from belfry import choices, queries, rows
from belfry.batch import Badge
from belfry.choices import Choice
from belfry.contents import Contents, Missed, missed_by
from belfry.cursor import Cursor
from belfry.hub import Hub, Withheld
from belfry.model import Member, Row, State
from belfry.recent import Recent
from belfry.stream import Scope, Stream
from belfry.tracker import Plan, Tracker

log = logging.getLogger(__name__)

Arrivals = Mapping[Stream, str | None]
"""Streams that wait to be let in, and the cursor that the client of each has brought."""

COUNT_SECONDS = 2.0
UNCOUNTED_SECONDS = 60.0
FIRST_CLIENTS, MOST_CLIENTS, FEWEST_CLIENTS = 1000, 8000, 50
LET_IN_SECONDS = 1.0
MEMBERS_SECONDS = 0.5
"""How long a turn goes on reading who is in which topics: the server ends a session that idles over it for three."""
FIRST_MEMBERS = 10


class Pace:
    """How many clients are let in with one poll: so many that what is new need not wait for their counts."""

    def __init__(self) -> None:
        self.clients = FIRST_CLIENTS

    def took(self, scopes: int, seconds: float) -> None:
        """The server has counted for so many: how many can it count for in a moment?"""
        fitting = int(scopes * LET_IN_SECONDS / max(seconds, 0.001))
        self.clients = max(FEWEST_CLIENTS, min(fitting, 2 * self.clients, MOST_CLIENTS))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one turn has read. The state is there when somebody waits to be let in, and the members that can be."""

    found: rows.Found
    expected: frozenset[int]  # the rows that may concern somebody here: of the others, contents may be left out
    contents: Mapping[int, Row]  # of notifications whose contents were left out by this poll or an earlier one
    newest: int  # of both tables, when the page was full; else 0
    state: State | None
    members: dict[str, Member]
    news: News
    polled_at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class News:
    """What the rows of a poll need to be told in full."""

    badges: Mapping[Scope, Badge] | None  # counts of the cursor after this poll; None: that would have taken too long
    withheld: Withheld
    kinds: Mapping[str, Sequence[Choice]] | None  # read anew when one was declared


NO_NEWS = News({}, frozenset(), None)


class Reader:
    """Reads for a relay, at most once a turn each: rows, contents, state, members, late rows' states, kinds, counts."""

    def __init__(self, hub: Hub, page_rows: int, counts: Counter[str]) -> None:
        self._hub = hub
        self.pace = Pace()
        self._counts = counts
        self._contents = Contents(hub, page_rows, counts)
        self._uncounted: dict[str, float] = {}  # whose counts took too long, and until when they are not asked for

    async def read(
        self, connection: queries.Connection, plan: Plan, seen: Tracker, arrivals: Arrivals, recent: Recent
    ) -> Snapshot:
        """The poll alone, or, when somebody waits, with all that letting them in needs: one snapshot for both."""
        if not arrivals:
            found, state, members = await self._poll(connection, plan), None, dict[str, Member]()
            missed = Missed()
        else:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = await self._poll(connection, plan)
            state = await queries.state(connection)
            members = await self._members(connection, arrivals)
            await connection.execute("COMMIT")
            arrivals = {stream: requested for stream, requested in arrivals.items() if stream.recipient in members}
            cursors = ((stream.recipient, requested) for stream, requested in arrivals.items())
            missed = missed_by(cursors, members, state)
        polled_at = _now()
        expected = self._contents.expected(found.rows)
        contents = await self._contents.read(connection, found.rows, expected, missed, recent)
        newest = await queries.newest(connection) if found.full else 0
        scopes = {stream.scope for stream in arrivals}
        news = await self._news(connection, found, newest, seen, scopes)
        ids = frozenset(row.id for row in expected)
        return Snapshot(found, ids, contents, newest, state, members, news, polled_at if arrivals else _now())

    async def _poll(self, connection: queries.Connection, plan: Plan) -> rows.Found:
        found = await rows.poll(connection, plan, self._contents.poll_rows, contents=not self._contents.left_out)
        self._counts["row_queries"] += found.queries
        return found

    async def _members(self, connection: queries.Connection, arrivals: Arrivals) -> dict[str, Member]:
        """Of those who come in, first of few and then of ever more: who is in thousands of topics brings much to read.

        Those for whom no time is left are missing, and come in with a later poll.
        """
        wanted = list(dict.fromkeys(stream.recipient for stream in arrivals))
        found: dict[str, Member] = {}
        until = _now() + MEMBERS_SECONDS
        while len(found) < len(wanted) and (not found or _now() < until):
            found |= await queries.members(connection, wanted[len(found) : 2 * len(found) + FIRST_MEMBERS])
        return found

    async def _news(
        self, connection: queries.Connection, found: rows.Found, newest: int, seen: Tracker, scopes: set[Scope]
    ) -> News:
        """Counts for those whom a change concerns and for who is let in; who has a state of a late notification."""
        changes = [row for row in found.rows if row.verb is not None]
        if not scopes and not changes and (not found.rows or found.rows[0].id > seen.head):
            return NO_NEWS  # what nearly always happens
        self._counts["changes"] += len(changes)
        withheld = await self._withheld(connection, [row for row in found.rows if row.id <= seen.head])
        scopes |= self._hub.concerned(changes)
        scopes |= {stream.scope for recipient, _ in withheld for stream in self._hub.of(recipient)}
        declared = any(row.verb == "declared" for row in changes)
        if not scopes and not declared:
            return News({}, withheld, None)
        after = _after(seen, found.rows, newest).cursor()
        return News(
            await self._badges(connection, scopes, after),
            withheld,
            choices.as_seen(await queries.kinds(connection), after) if declared else None,
        )

    async def _badges(
        self, connection: queries.Connection, scopes: set[Scope], after: Cursor
    ) -> Mapping[Scope, Badge] | None:
        """The counts; None when they take so long that everybody would wait for them.

        Whom they were for is told none for a minute: they ask for themselves.
        """
        now = _now()
        self._uncounted = {one: until for one, until in self._uncounted.items() if until > now}
        asked = [scope for scope in scopes if scope.recipient not in self._uncounted]
        self._counts["badge_queries"] += bool(asked)
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                badges, seconds = await queries.badges(connection, asked, after)
        except TimeoutError:
            log.warning("counting for %d streams took too long", len(asked), extra={"action": "uncounted"})
            if len(asked) > FEWEST_CLIENTS:
                self.pace.took(len(asked), 4 * LET_IN_SECONDS)
            else:
                self._uncounted |= {scope.recipient: now + UNCOUNTED_SECONDS for scope in asked}
            return None
        if len(asked) >= FEWEST_CLIENTS:  # few tell nothing of many
            self.pace.took(len(asked), seconds)
        return badges

    async def _withheld(self, connection: queries.Connection, late: Iterable[Row]) -> Withheld:
        """Who has a state of a late notification already: somebody knew it before this relay did.

        A watermark covers it only where another relay was ahead of this one and has settled more.
        """
        expected = self._hub.expected(row for row in late if row.verb is None)
        if not expected:
            return frozenset()
        known, through = await queries.receipts(connection, [row.id for row in expected])
        settled = [row for row in expected if row.id <= through]
        if settled:
            recipients = {recipient for row in settled for recipient in self._hub.recipients(row)}
            known += await queries.watermarked(connection, [row.id for row in settled], recipients)
        return frozenset(known)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _after(seen: Tracker, found: Iterable[Row], newest: int) -> Tracker:
    """What will be seen once the rows are."""
    after = Tracker(seen.head, seen.gaps)
    for row in found:
        after.see(row.id)
    after.raise_head(newest)
    return after
