"""A naive model of one recipient's inbox: a dictionary of rows, walked whole for each question."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

STATES = ("all", "unread", "read", "unseen", "seen", "archived", "snoozed")


@dataclass(slots=True)
class Item:
    """A notification in the inbox, and what was done with it."""

    id: int
    topic: str | None
    kind: str
    tenant: str
    group: str | None
    muted: bool
    seen: bool = False
    read: bool = False
    archived: bool = False
    snoozed: bool = False
    dead: bool = False

    def shown(self, state: str) -> bool:
        if self.dead or self.muted:
            return False
        if state == "archived":
            return self.archived
        if state == "snoozed":
            return self.snoozed and not self.archived
        named = {"all": True, "unread": not self.read, "unseen": not self.seen, "read": self.read, "seen": self.seen}
        return named[state] and not self.archived and not self.snoozed


Scope = Callable[[Item], bool]


def everything(_: Item) -> bool:
    """The scope of who gives none."""
    return True


def scope(tenant: str | None, topics: list[str] | None) -> Scope:
    """What a tenant and topics narrow to."""
    return lambda item: (
        (tenant is None or item.tenant == tenant) and (topics is None or item.topic is None or item.topic in topics)
    )


@dataclass
class Inbox:
    """One recipient's inbox."""

    items: dict[int, Item] = field(default_factory=dict[int, Item])

    def mark(self, verb: str, ids: Iterable[int], within: Scope = everything) -> list[int]:
        """The ids that changed."""
        found = [self.items[one] for one in sorted(set(ids)) if one in self.items]
        return [item.id for item in found if not item.dead and not item.muted and within(item) and turn(item, verb)]

    def mark_all(self, verb: str, through: int | None, within: Scope = everything) -> list[int]:
        return self.mark(verb, [one for one in self.items if through is None or one <= through], within)

    def counts(self, within: Scope = everything) -> tuple[int, int, int]:
        return tuple(len(self.state(state, within)) for state in ("unread", "unseen", "all"))  # type: ignore[return-value]

    def state(self, state: str, within: Scope = everything) -> list[Item]:
        """The list of that name, the newest first, ungrouped."""
        items = (self.items[one] for one in sorted(self.items, reverse=True))
        return [item for item in items if item.shown(state) and within(item)]

    def listed(self, state: str, within: Scope = everything) -> list[tuple[int, int, list[int]]]:
        """Id, group_count and group_ids of the list of that name."""
        groups: dict[Any, list[int]] = {}
        for item in self.state(state, within):
            key = (item.topic, item.group) if item.group else item.id
            groups.setdefault(key, []).append(item.id)
        return [(ids[0], len(ids), ids[:100]) for ids in groups.values()]


def turn(item: Item, verb: str) -> bool:
    """Do it, and tell whether that changed anything."""
    before = (item.seen, item.read, item.archived, item.snoozed)
    match verb:
        case "seen":
            item.seen = True
        case "read":
            item.seen = item.read = True
        case "unread":
            item.read = False
        case "archived" | "unarchived":
            item.archived = verb == "archived"
        case "snoozed":
            item.snoozed = True
        case "unsnoozed" if item.snoozed:
            item.seen = item.read = item.snoozed = False
        case _:
            pass
    return before != (item.seen, item.read, item.archived, item.snoozed)
