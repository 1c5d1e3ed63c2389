"""The streams of one topic, as of a position. Pure but for the streams it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from belfry.model import Stay
from belfry.stream import Stream


@dataclass(slots=True)
class Audience:
    """Who is in a topic, and who has left it: late rows, and changes of old ones, still concern them."""

    members: dict[Stream, int] = field(default_factory=dict[Stream, int])  # since which position
    former: dict[Stream, list[Stay]] = field(default_factory=dict[Stream, list[Stay]])
    newest: int = 0  # the newest position at which somebody came or went

    def of(self, position: int) -> Iterable[Stream]:
        """The streams to which a row at that position belongs, though it may be late."""
        if position > self.newest:
            return self.members
        return self._by_interval(position)

    def enter(self, stream: Stream, stay: Stay) -> None:
        """A stay begins, or is told of when it has ended already."""
        self.newest = max(self.newest, stay.until or stay.since)
        if stay.until is None:
            self.members[stream] = stay.since
        else:
            self.former.setdefault(stream, []).append(stay)

    def leave(self, stream: Stream, ended: Stay) -> None:
        """A stay ends."""
        self.members.pop(stream, None)
        self.enter(stream, ended)

    def forget(self, stream: Stream) -> bool:
        """The stream is gone; whether the audience still has somebody."""
        self.members.pop(stream, None)
        self.former.pop(stream, None)
        return bool(self.members or self.former)

    def _by_interval(self, position: int) -> Iterator[Stream]:
        yield from (stream for stream, since in self.members.items() if since < position)
        yield from (stream for stream, stays in self.former.items() if any(stay.holds(position) for stay in stays))
