"""A crowd that comes back in one turn: what they have missed is found once, and written once, for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, takewhile
from operator import attrgetter

from belfry import sse
from belfry.cursor import MAX_POSITION, Cursor, told_after
from belfry.model import Row
from belfry.recent import Recent
from belfry.stream import Stream


class Crowd:
    """The recent rows by whom they are for, as far back as somebody's head; `seen` is what the relay has seen."""

    def __init__(self, recent: Recent, seen: Cursor) -> None:
        self.seen = seen
        self.coarse = seen.coarse()
        self._recent = recent
        self._back_to = MAX_POSITION
        self._direct: dict[str, list[Row]] = {}  # by recipient, the newest first
        self._posted: dict[str, list[Row]] = {}  # by topic, those that name no recipient
        self._frames: dict[int, bytes] = {}

    def missed(self, stream: Stream, client: Cursor) -> list[Row] | None:
        """What the relay has seen of the stream's own and the client has not, and is still to be sent, in id order.

        None when some of it may have left the buffer, or came before it: then only the table knows.
        """
        if not self._recent.tells(client):
            return None
        self._go_back(client.head + 1)
        above = (takewhile(lambda row: row.id > client.head, rows) for rows in self._addressed(stream))
        below = map(self._recent.between, client.gaps)  # not over all that came since the oldest gap
        missed = [
            row for row in chain.from_iterable(chain(below, above)) if row.payload is not None and stream.wants(row)
        ]
        missed.sort(key=attrgetter("id"))
        return missed

    def frame(self, row: Row, client: Cursor) -> bytes:
        """The row's frame after the client's cursor of that moment: above its head that is everybody's."""
        if row.id <= client.head:
            return framed(row, client, self.seen, self.coarse)
        if row.id not in self._frames:
            self._frames[row.id] = framed(row, client, self.seen, self.coarse)
        return self._frames[row.id]

    def _go_back(self, lowest: int) -> None:
        if lowest >= self._back_to:
            return
        for row in reversed(self._recent.between((lowest, self._back_to - 1))):
            if row.recipient is not None:
                self._direct.setdefault(row.recipient, []).append(row)
            else:
                self._posted.setdefault(row.topic or "", []).append(row)
        self._back_to = lowest

    def _addressed(self, stream: Stream) -> Iterator[list[Row]]:
        yield self._direct.get(stream.recipient, [])
        for topic in stream.stays:
            yield self._posted.get(topic, [])


def framed(row: Row, client: Cursor, seen: Cursor, coarse: Cursor) -> bytes:
    """The row's frame with its `id:` line: what the client has seen once it has got it, by what a relay has seen."""
    return sse.id_line(str(told_after(client, seen, coarse, row.id))) + (row.payload or b"")
