"""Committed facts, from which `inbox_oracle.py` says what each inbox must be: pure data, no I/O.

All times are wall clock seconds of this machine, which is the server's machine too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

EVERYONE = "*"
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Window:
    """Something happened not before `opens` and not after `closes`."""

    opens: float
    closes: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A committed notification as its sender meant it; `visible`: when others began to see it."""

    id: int
    recipient: str | None
    topic: str | None
    visible: Window
    xid: str = ""
    kind: str = "test"
    tenant: str = ""
    tags: tuple[str, ...] = ()
    group: str | None = None
    expires_at: float | None = None
    title: str = ""

    @property
    def audience(self) -> tuple[str | None, str | None]:
        """Whom it is for: a group collapses within one audience."""
        return self.recipient, self.topic


@dataclass(frozen=True, slots=True)
class Step:
    """A committed call that changed the state of one recipient, or tried to.

    `earlier` and `position` are the sequence's last value before and after the call; `looked` bounds the moments at
    which its statements looked at the tables.
    """

    verb: str
    recipient: str
    looked: Window
    position: int = 0
    earlier: int = 0
    xid: str = ""
    ids: tuple[int, ...] = ()
    through: int | None = None
    until: float | None = None
    kind: str = ""
    enabled: bool | None = None
    required: bool = False
    topic: str = ""
    traits: frozenset[tuple[str, str]] = frozenset()
    tenant: str | None = None
    topics: tuple[str, ...] | None = None
    result: int | None = None
    committed: Window = Window(0, 0)


@dataclass(frozen=True, slots=True)
class Change:
    """A row of `belfry.change`."""

    id: int
    xid: str
    verb: str
    recipient: str | None = None
    topic: str | None = None
    ids: tuple[int, ...] = ()
    through: int | None = None
    kind: str | None = None
    enabled: bool | None = None
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Revision:
    """A committed `revise`: what is None stays as it was."""

    id: int
    title: str | None = None
    tags: tuple[str, ...] | None = None
    expires_at: float | None = None


@dataclass(slots=True)
class Facts:
    """What was committed since the facts before."""

    sent: list[Sent] = field(default_factory=list[Sent])
    steps: list[Step] = field(default_factory=list[Step])
    changes: list[Change] = field(default_factory=list[Change])
    retracted: dict[int, float] = field(default_factory=dict[int, float])
    revised: list[Revision] = field(default_factory=list[Revision])
    contacts: Mapping[str, int] = field(default_factory=dict[str, int])
    members: Mapping[str, set[str]] = field(default_factory=dict[str, set[str]])  # of segments, as the table has them


@dataclass(frozen=True, slots=True)
class Scope:
    """What a counting or listing is narrowed to. Topics narrow the rows of topics only."""

    tenant: str | None = None
    topics: Sequence[str] | None = None

    def holds(self, sent: Sent) -> bool:
        """Whether a notification lies within."""
        if self.tenant is not None and sent.tenant != self.tenant:
            return False
        return self.topics is None or sent.topic is None or sent.topic in self.topics


@dataclass(frozen=True, slots=True)
class Counts:
    """The three numbers."""

    unread: int
    unseen: int
    total: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list: what stands there, and how many of its group are behind it."""

    id: int
    read: bool
    seen: bool
    archived: bool
    snoozed: bool
    title: str
    group: tuple[int, ...]
