"""The data that moves between the database, the relay and the streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from belfry.choices import Choice

EVERYONE = "*"
"""The topic of all recipients."""
OMITTED = b""
"""The payload of a row whose contents the poll left out, because nobody here seemed to expect it."""


class Row(NamedTuple):
    """A notification or a change as a poll found it. A tuple, because thousands are made in a second."""

    id: int
    recipient: str | None
    topic: str | None
    verb: str | None  # None: a notification
    created_at: bytes  # as Postgres sends it: quick, and a timestamp may be infinite, which Python's may not
    branch: int = 0  # of the poll that found it
    payload: bytes | None = OMITTED  # the frame from `data:` (or `event:`) on; None: there is nothing to send
    tenant: str | None = None  # None: a change that concerns all
    expires_at: float | None = None  # Unix seconds
    kind: str | None = None  # of the notification itself, also of one that was revised; or of a preference
    about: int | None = None  # the first notification that a change is about
    enabled: bool | None = None  # of a preference

    @property
    def omitted(self) -> bool:
        """Whether its contents were left out."""
        return self.payload == OMITTED

    @property
    def position(self) -> int:
        """Where it stands among stays and choices: a change of a notification where that does."""
        return self.id if self.verb is None or self.about is None else self.about


class Newest(NamedTuple):
    """The newest row that a relay has seen: in another history it is gone, or another row has its id."""

    id: int
    created_at: bytes


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a recipient in a topic, as an interval of positions; it holds the rows between its ends."""

    since: int
    until: int | None = None

    def holds(self, position: int) -> bool:
        return self.since < position and (self.until is None or position < self.until)


@dataclass(frozen=True, slots=True)
class Member:
    """What the database knows of a recipient, in one snapshot."""

    recipient: str
    stays: dict[str, list[Stay]]
    choices: dict[str, list[Choice]] = field(default_factory=dict[str, list[Choice]])


@dataclass(frozen=True, slots=True)
class State:
    """The database's own state: what is settled and pruned, the epoch, the sequence, the wake mode."""

    through: int
    pruned: int
    epoch: str
    last_value: int
    wake_mode: str
