"""The relay's buffer of recent rows: what spares a returning client, and the database, a query. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable

from belfry.cursor import Cursor, Range, overlaps, replayable
from belfry.model import Row
from belfry.tracker import Tracker

MAX_BASE_GAPS = 1000
ENDED = frozenset({"retracted", "expired"})
"""Verbs after which nothing of a notification is sent any more."""


class Recent:
    """The last rows that the relay has seen, others' included, and the cursor at which they begin."""

    def __init__(self, base: Cursor, *, max_rows: int, max_bytes: int) -> None:
        self._base = Tracker(base.head, base.gaps)
        self._arrived: deque[int] = deque()
        self._ids: list[int] = []  # ascending
        self._rows: dict[int, Row] = {}
        self._bytes = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Keep the rows of a poll; the oldest leave when rows or bytes pass their bound."""
        for row in rows:
            self._arrived.append(row.id)
            self._rows[row.id] = row
            if self._ids and row.id < self._ids[-1]:
                insort(self._ids, row.id)
            else:
                self._ids.append(row.id)
            self._bytes += len(row.payload or b"")
            if row.about in self._rows:
                self._follow(row, row.about)
        self._evict()

    def rows(self, client: Cursor, seen: Cursor) -> list[Row] | None:
        """The rows that the relay has seen and the client has not, in id order.

        None when some of them may have left the buffer, or came before it: then only the table knows.
        """
        base = self._base.cursor()
        if replayable(client, base):
            return None
        out: list[Row] = []
        for lo, hi in replayable(client, seen):
            out += self._between((lo, hi))
        return out

    def tidy(self, open_gaps: tuple[Range, ...]) -> None:
        """Drop gaps of the base that are neither open nor filled by a row of the buffer: they are dead."""
        base = self._base.gaps
        if len(base) > MAX_BASE_GAPS:
            alive = [gap for gap in base if self._between(gap) or overlaps(open_gaps, gap)]
            self._base = Tracker(self._base.head, alive)

    def _follow(self, change: Row, about: int) -> None:
        """A notification has ended, or is no longer what it was: then the table serves whoever has not seen it."""
        if change.verb in ENDED:
            self._bytes -= len(self._rows[about].payload or b"")
            self._rows[about] = self._rows[about]._replace(payload=None)
        elif change.verb == "revised":
            self._forget(about)
            del self._ids[bisect_left(self._ids, about)]

    def _evict(self) -> None:
        """Drop the oldest together, because the list of ids is moved up as a whole."""
        gone: set[int] = set()
        while len(self._arrived) > self._max_rows or self._bytes > self._max_bytes:
            oldest = self._arrived.popleft()
            if oldest in self._rows:
                self._forget(oldest)
                gone.add(oldest)
        if gone:
            end = bisect_left(self._ids, max(gone) + 1)
            self._ids[:end] = [each for each in self._ids[:end] if each not in gone]

    def _forget(self, position: int) -> None:
        self._bytes -= len(self._rows.pop(position).payload or b"")
        self._base.see(position)

    def _between(self, span: Range) -> list[Row]:
        first = bisect_left(self._ids, span[0])
        return [self._rows[each] for each in self._ids[first : bisect_left(self._ids, span[1] + 1, lo=first)]]
