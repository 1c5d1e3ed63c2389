"""The relay's buffer of recent rows: what spares a returning client, and the database, a query. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from belfry.cursor import MAX_POSITION, Cursor, Range, overlaps, replayable
from belfry.model import OMITTED, Row

MAX_BASE_GAPS = 50
STRETCHES = 40
"""In so many parts the buffer is emptied: fewer would forget much at once, and each keeps a cursor with its gaps."""
ENDED = frozenset({"retracted", "expired"})
"""Verbs after which nothing of a notification is sent any more."""


@dataclass(slots=True)
class Stretch:
    """Rows that came one after the other, and what the relay had seen after them."""

    ids: list[int]
    size: int  # bytes, as the rows came: what is filled in later is not in it
    after: Cursor


class Recent:
    """The last rows that the relay has seen, others' included, and the cursor at which they begin."""

    def __init__(self, base: Cursor, *, max_rows: int, max_bytes: int) -> None:
        self._base = base
        self._stretches: deque[Stretch] = deque()
        self._ids: list[int] = []  # ascending
        self._rows: dict[int, Row] = {}
        self._bytes = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Sequence[Row], after: Cursor) -> None:
        """Keep the rows of a poll (one at least), in id order; `after` is what the relay has seen then."""
        ids = [row.id for row in rows]
        late = bool(self._ids) and ids[0] < self._ids[-1]
        self._ids += ids
        if late:
            self._ids.sort()
        self._rows.update(zip(ids, rows, strict=True))
        self._append(ids, sum(len(row.payload) for row in rows if row.payload), after)
        for row in rows:
            if row.about in self._rows:
                self._follow(row, row.about)
        self._evict()

    def tells(self, client: Cursor) -> bool:
        """Whether all is here that came since and the client has not seen; else only the table knows."""
        return not replayable(client, self._base)

    def between(self, span: Range) -> list[Row]:
        """The rows from one id to another, both included, in id order."""
        first = bisect_left(self._ids, span[0])
        return [self._rows[each] for each in self._ids[first : bisect_left(self._ids, span[1] + 1, lo=first)]]

    def omitted(self, wanted: Callable[[Row], bool], lowest: int) -> list[int]:
        """The ids of those of the wanted, from the lowest on, whose contents are not here, ascending."""
        rows = self.between((lowest, MAX_POSITION))
        return [row.id for row in rows if row.omitted and wanted(row)]

    def fill(self, rows: Iterable[Row]) -> None:
        """Put in contents that were left out of rows here, and have been read since."""
        for row in rows:
            if row.id in self._rows and self._rows[row.id].omitted:
                self._replace(row)
        self._evict()

    def tidy(self, open_gaps: tuple[Range, ...]) -> None:
        """Drop gaps of the base that are neither open nor filled by a row of the buffer: they are dead."""
        base = self._base
        if len(base.gaps) > MAX_BASE_GAPS:
            alive = tuple(gap for gap in base.gaps if self.between(gap) or overlaps(open_gaps, gap))
            self._base = Cursor(base.head, alive, base.epoch)

    def _append(self, ids: list[int], size: int, after: Cursor) -> None:
        self._bytes += size
        last = self._stretches[-1] if self._stretches else None
        if last and len(last.ids) < self._max_rows // STRETCHES and last.size < self._max_bytes // STRETCHES:
            last.ids += ids
            last.size += size
            last.after = after
        else:
            self._stretches.append(Stretch(ids, size, after))

    def _follow(self, change: Row, about: int) -> None:
        """A notification has ended, or is no longer what it was: then its contents are read anew."""
        if change.verb in ENDED:
            self._replace(self._rows[about]._replace(payload=None))
        elif change.verb == "revised":
            self._replace(self._rows[about]._replace(payload=OMITTED))

    def _replace(self, row: Row) -> None:
        self._bytes += len(row.payload or b"") - len(self._rows[row.id].payload or b"")
        self._rows[row.id] = row

    def _evict(self) -> None:
        """Drop the oldest together, because the list of ids is moved up as a whole."""
        gone: set[int] = set()
        while len(self._rows) > self._max_rows or self._bytes > self._max_bytes:
            oldest = self._stretches.popleft()
            self._bytes -= sum(len(self._rows.pop(each).payload or b"") for each in oldest.ids)
            self._base = oldest.after
            gone.update(oldest.ids)
        if gone:
            end = bisect_left(self._ids, max(gone) + 1)
            self._ids[:end] = [each for each in self._ids[:end] if each not in gone]
