"""The frames of one poll, and which stream gets which of them with which counts. Pure but for the streams it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from belfry import sse
from belfry.model import Row
from belfry.stream import Message, Scope, Stream

UNCOUNTED = frozenset({"revised", "declared"})
"""Verbs that change no count."""


class Badge(NamedTuple):
    """The counts of one scope, as of a cursor."""

    unread: int
    unseen: int

    def less(self, later: int) -> Badge:
        """Without the notifications that come to the stream after the frame that tells the counts."""
        return Badge(max(0, self.unread - later), max(0, self.unseen - later))


class Written(NamedTuple):
    """The bytes of a share as a message and framed as a chunk, and how many frames they hold."""

    message: Message
    chunk: bytes
    frames: int


class Batch:
    """Frames in the order of their ids. A stream's share of them is a number with a bit for each."""

    def __init__(self) -> None:
        self.shares: dict[Stream, int] = {}
        self.plain: dict[int, Written] = {}  # what the shares without counts are written
        self._written: dict[tuple[int, Badge | None], Written] = {}
        self._frames: list[bytes] = []
        self._notifications = 0
        self._counted = 0

    def notification(self, frame: bytes) -> int:
        """Add a notification's frame; its bit."""
        bit = self._add(frame)
        self._notifications |= bit
        return bit

    def change(self, frame: bytes, *, counted: bool) -> int:
        """Add a change's frame; its bit. The last counted one of a share tells the counts."""
        bit = self._add(frame)
        if counted:
            self._counted |= bit
        return bit

    def written(self, stream: Stream, share: int, badges: Mapping[Scope, Badge]) -> Written:
        """What a stream is written for its share. The same share and counts are the same bytes for all."""
        badge = self._badge(stream, share, badges) if share & self._counted else None
        found = self._written.get((share, badge))
        if found is None:
            payload = self._joined(share, badge)
            found = self._written[share, badge] = Written(sse.body(payload), sse.chunk(payload), share.bit_count())
            if not share & self._counted:
                self.plain[share] = found
        return found

    def _add(self, frame: bytes) -> int:
        self._frames.append(frame)
        return 1 << (len(self._frames) - 1)

    def _badge(self, stream: Stream, share: int, badges: Mapping[Scope, Badge]) -> Badge | None:
        found = badges.get(stream.scope)
        last = (share & self._counted).bit_length()
        return found.less(((share & self._notifications) >> last).bit_count()) if found else None

    def _joined(self, share: int, badge: Badge | None) -> bytes:
        last = (share & self._counted).bit_length() - 1
        frames: list[bytes] = []
        while share:
            index = (share & -share).bit_length() - 1
            frame = self._frames[index]
            frames.append(sse.with_counts(frame, badge.unread, badge.unseen) if badge and index == last else frame)
            share &= share - 1
        return b"".join(frames)


def is_counted(row: Row) -> bool:
    """Whether a row is a change after which a stream is told its counts."""
    return row.verb is not None and row.verb not in UNCOUNTED
