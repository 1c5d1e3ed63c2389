"""Who has come and waits to be let in, and who of them may come in after a poll."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import islice

from belfry import attach
from belfry.crowd import Crowd
from belfry.cursor import Cursor, Range
from belfry.hub import Hub
from belfry.model import EVERYONE
from belfry.reading import FEWEST_CLIENTS, Arrivals, Snapshot
from belfry.recent import Recent
from belfry.replay import Replay
from belfry.stream import Stream

log = logging.getLogger(__name__)


class Entrance:
    """The streams that wait for the next poll that begins after they came."""

    def __init__(self, hub: Hub, replay: Replay, wake: Callable[[], None]) -> None:
        self.probe_everything = False  # somebody knows more than the last poll has read
        self._hub = hub
        self._replay = replay
        self._wake = wake
        self._waiting: dict[Stream, str | None] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, stream: Stream, requested: str | None) -> None:
        """Let a stream in after the next poll that begins from now; until then it only waits."""
        if self._draining:
            self._hub.end(stream, "drain")
            return
        self._waiting[stream] = requested
        self._wake()

    def leave(self, stream: Stream) -> None:
        """The client has left."""
        self._waiting.pop(stream, None)

    def drain(self, grace_seconds: float) -> None:
        """End those who wait gently, and whoever comes from now on."""
        self._draining = True
        waiting, self._waiting = self._waiting, {}
        for stream in waiting:
            self._hub.end(stream, "drain", grace_seconds=grace_seconds)

    def next(self, most: int) -> Arrivals:
        """Who is to come in with the poll that begins now; the others come with the next."""
        arrivals = dict(islice(self._waiting.items(), most))
        if len(arrivals) < len(self._waiting):
            self._wake()
        self.probe_everything &= bool(arrivals)
        return arrivals

    def let_in(
        self, arrivals: Arrivals, seen: Cursor, unread: Sequence[Range], snapshot: Snapshot, recent: Recent, now: float
    ) -> None:
        """Register streams, and copy the cursor for them, in one step.

        A client that has seen rows in ranges which this poll has not read (from another relay) would get them again:
        it waits until they are read. Who is new waits until that is recorded, and who was not looked up for the next.
        """
        self.probe_everything = False
        state = snapshot.state
        assert state is not None
        if snapshot.news.badges is None and len(arrivals) > FEWEST_CLIENTS:
            return  # fewer at once can be counted for
        crowd = Crowd(recent, seen)
        for stream, requested in arrivals.items():
            if self._waiting.pop(stream, self) is self:
                continue  # the client has left
            if stream.recipient not in snapshot.members:
                self._waiting[stream] = requested
                self._wake()
            elif EVERYONE not in snapshot.members[stream.recipient].stays:
                self._waiting[stream] = requested
            elif stream.ends_at <= now:
                self._hub.end(stream, stream.ends_because)
            elif attach.knows(requested, unread, epoch=state.epoch, last_value=state.last_value):
                self._waiting[stream] = requested
                self.probe_everything = True
                self._wake()
            else:
                self._begin_replay(stream, requested, snapshot, crowd)

    def _begin_replay(self, stream: Stream, requested: str | None, snapshot: Snapshot, crowd: Crowd) -> None:
        """Let one stream in; whatever happens there is no other stream's concern."""
        member, badge = snapshot.members[stream.recipient], (snapshot.news.badges or {}).get(stream.scope)
        assert snapshot.state is not None
        try:
            self._replay.begin(stream, requested, member, snapshot.state, crowd, badge)
        except Exception:
            log.exception("a stream could not be let in and is sent away", extra={"action": "attach_failed"})
            self._hub.end(stream, "rotate")
