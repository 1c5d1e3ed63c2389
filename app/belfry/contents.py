"""Whose contents are read: of the notifications that somebody here expects, and that who comes back has missed.

Most rows are for people who are not here, and to write a row's JSON, to send and to frame it is six parts in seven of
what it costs. So where there are many such rows a poll leaves contents out, and the few that are wanted are read by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from belfry import attach, queries, rows
from belfry.cursor import Cursor
from belfry.hub import FOLLOWED, Hub
from belfry.model import Member, Row, State
from belfry.recent import Recent
from belfry.tracker import LATE_PAGES

MANY_UNEXPECTED = 25
"""So many rows of one poll for nobody here: to read their contents costs more than a second query for the others'."""
SPARSE_PAGES = 4
"""How many pages a poll reads at most when it leaves contents out: such rows are small, and a turn is dear."""
ROWS_EACH = 2
"""How many missed rows are read for each of a crowd that comes back; past that the table serves."""


@dataclass(frozen=True, slots=True)
class Missed:
    """From which id on those who come back may have missed rows."""

    recipients: dict[str, int] = field(default_factory=dict[str, int])
    topics: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def lowest(self) -> int | None:
        """The lowest of those ids; None: nobody has missed anything that can be told from memory."""
        return min(self.recipients.values(), default=None)

    def has(self, row: Row) -> bool:
        """Whether one of them may have missed that row."""
        since = self.topics.get(row.topic or "") if row.recipient is None else self.recipients.get(row.recipient)
        return since is not None and row.id >= since


def missed_by(cursors: Iterable[tuple[str, str | None]], members: Mapping[str, Member], state: State) -> Missed:
    """What those who come back may have missed: recipients, and the cursor that each has brought."""
    out = Missed()
    now = Cursor(state.last_value, (), state.epoch)
    for recipient, requested in cursors:
        start = attach.resolve(requested, now, pruned=state.pruned, last_value=state.last_value)
        if start.client is None or start.everything:
            continue
        since = attach.lowest_unseen(start.client)
        out.recipients[recipient] = min(since, out.recipients.get(recipient, since))
        for topic in members[recipient].stays:
            out.topics[topic] = min(since, out.topics.get(topic, since))
    return out


class Contents:
    """Decides for one relay, by what each poll has found."""

    def __init__(self, hub: Hub, page_rows: int, counts: Counter[str]) -> None:
        self.left_out = False  # by the next poll
        self._hub = hub
        self._page_rows = page_rows
        self._counts = counts

    @property
    def poll_rows(self) -> int:
        """How many rows of a table the next poll reads at most."""
        return self._page_rows * (SPARSE_PAGES if self.left_out else 1)

    def expected(self, found: Sequence[Row]) -> list[Row]:
        """The rows that may concern somebody here: all without a recipient, when what belongs to whom changes.

        By how many the others are it is decided what the next poll leaves out.
        """
        expected = self._hub.expected(found)
        if self._hub.expected(row for row in found if row.verb in FOLLOWED):
            expected = [row for row in expected if row.recipient is not None]
            expected += [row for row in found if row.recipient is None]
        if found:
            self.left_out = len(found) - len(expected) >= MANY_UNEXPECTED
        return expected

    async def read(
        self,
        connection: queries.Connection,
        found: Sequence[Row],
        expected: Collection[Row],
        missed: Missed,
        recent: Recent,
    ) -> Mapping[int, Row]:
        """What was left out of the expected rows, and of those that somebody who comes back has missed, by id."""
        wanted = {row.id for row in expected if row.omitted}
        if missed.lowest is not None:
            wanted.update(row.id for row in found if row.omitted and missed.has(row))
            most = max(LATE_PAGES * self._page_rows, ROWS_EACH * len(missed.recipients))
            wanted.update(recent.omitted(missed.has, missed.lowest)[-most:])
        if not wanted:
            return {}
        self._counts["row_queries"] += 1
        return await rows.notifications(connection, list(wanted))
