"""One recipient's inbox as the model keeps it: items, memberships, choices, and what each call does to an item."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.inbox_facts import EVERYONE, FOREVER, Listed, Sent, Step, Window

ALWAYS = Window(0, 0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What counts from a position on, until the next choice."""

    since: int
    enabled: bool | None
    required: bool = False


@dataclass(slots=True)
class Stay:
    """A membership as an interval of positions."""

    topic: str
    since: int
    until: float = FOREVER
    visible: Window = ALWAYS
    xid: str = ""


@dataclass(slots=True)
class Item:
    """A notification in one recipient's inbox."""

    sent: Sent
    muted: bool = False
    read: bool = False
    seen: bool = False
    archived: bool = False
    snoozed_until: float | None = None


@dataclass(slots=True)
class Inbox:
    """One recipient's."""

    recipient: str
    since: float = FOREVER
    items: dict[int, Item] = field(default_factory=dict[int, Item])
    stays: list[Stay] = field(default_factory=list[Stay])
    preferences: dict[str, list[Choice]] = field(default_factory=lambda: defaultdict(list))

    def holds(self, sent: Sent) -> bool:
        """Whether this recipient is among those whom it is for."""
        if sent.topic is None:
            return sent.recipient == self.recipient
        if sent.topic == EVERYONE:
            return sent.id > self.since
        return self.stay(sent) is not None

    def stay(self, sent: Sent) -> Stay | None:
        """The membership by which a topic's row is theirs."""
        holding = (stay for stay in self.stays if stay.topic == sent.topic and stay.since < sent.id < stay.until)
        return next(holding, None)


def shared(recipient: str) -> bool:
    """Whether all writers change this recipient's memberships.

    A call may then have seen rows above an `unsubscribed` that had not been committed: its answer tells less.
    """
    return recipient.endswith(("3", "7"))


def at(choices: Sequence[Choice], position: int) -> Choice | None:
    """The choice in force at a position."""
    found = [choice for choice in choices if choice.since < position]
    return found[-1] if found else None


def listed(group: Sequence[Item]) -> Listed:
    """The newest of a group stands for it."""
    first = group[0]
    ids = tuple(item.sent.id for item in group)
    return Listed(
        first.sent.id, first.read, first.seen, first.archived, first.snoozed_until is not None, first.sent.title, ids
    )


def _read(item: Item, step: Step) -> None:
    item.read = item.seen = True


def _unread(item: Item, step: Step) -> None:
    item.read = False


def _seen(item: Item, step: Step) -> None:
    item.seen = True


def _archive(item: Item, step: Step) -> None:
    item.archived = True


def _unarchive(item: Item, step: Step) -> None:
    item.archived = False


def _snooze(item: Item, step: Step) -> None:
    item.snoozed_until = step.until


def unsnooze(item: Item, step: Step | None = None) -> None:
    """It comes back as new, whether it is due or was called back."""
    if item.snoozed_until is not None:
        item.snoozed_until, item.read, item.seen = None, False, False


EFFECTS: dict[str, Callable[[Item, Step], None]] = {
    "mark_read": _read, "mark_unread": _unread, "mark_seen": _seen, "archive": _archive, "unarchive": _unarchive,
    "snooze": _snooze, "unsnooze": unsnooze, "mark_all_read": _read, "mark_all_seen": _seen, "archive_all": _archive,
}  # fmt: skip

STATES: dict[str, Callable[[Item], bool]] = {
    "all": lambda item: not item.archived and item.snoozed_until is None,
    "unread": lambda item: not item.read and STATES["all"](item),
    "read": lambda item: item.read and STATES["all"](item),
    "unseen": lambda item: not item.seen and STATES["all"](item),
    "seen": lambda item: item.seen and STATES["all"](item),
    "archived": lambda item: item.archived,
    "snoozed": lambda item: item.snoozed_until is not None and not item.archived,
}
