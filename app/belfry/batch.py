"""The frames of one poll, and which stream gets which of them with which counts. Pure but for the streams it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from belfry import sse
from belfry.model import Row
from belfry.stream import Scope, Stream

UNCOUNTED = frozenset({"revised", "declared"})
"""Verbs that change no count."""


class Badge(NamedTuple):
    """The counts of one scope, as of a cursor."""

    unread: int
    unseen: int

    def less(self, later: int) -> Badge:
        """Without the notifications that come to the stream after the frame that tells the counts."""
        return Badge(max(0, self.unread - later), max(0, self.unseen - later))


class Batch:
    """Frames in the order of their ids. A stream's share of them is a number with a bit for each."""

    def __init__(self) -> None:
        self.shares: dict[Stream, int] = {}
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

    def give(self, stream: Stream, bit: int) -> None:
        """A stream gets a frame."""
        self.shares[stream] = self.shares.get(stream, 0) | bit

    def payloads(self, badges: Mapping[Scope, Badge]) -> Iterator[tuple[Stream, int, bytes]]:
        """For each stream how many frames it gets, and their bytes; the same share is the same object for all."""
        joined: dict[tuple[int, Badge | None], bytes] = {}
        for stream, share in self.shares.items():
            badge = self._badge(stream, share, badges) if share & self._counted else None
            key = (share, badge)
            if key not in joined:
                joined[key] = self._joined(share, badge)
            yield stream, share.bit_count(), joined[key]

    def _add(self, frame: bytes) -> int:
        self._frames.append(frame)
        return 1 << (len(self._frames) - 1)

    def _badge(self, stream: Stream, share: int, badges: Mapping[Scope, Badge]) -> Badge | None:
        found = badges.get(stream.scope)
        last = (share & self._counted).bit_length()
        return found.less(((share & self._notifications) >> last).bit_count()) if found else None

    def _joined(self, share: int, badge: Badge | None) -> bytes:
        last = (share & self._counted).bit_length() - 1
        return b"".join(
            [
                sse.with_counts(frame, badge.unread, badge.unseen) if badge and index == last else frame
                for index, frame in enumerate(self._frames)
                if share >> index & 1
            ]
        )


def is_counted(row: Row) -> bool:
    """Whether a row is a change after which a stream is told its counts."""
    return row.verb is not None and row.verb not in UNCOUNTED
