"""What the inbox model's writers have committed, and how a notification was meant."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench.inbox_facts import Revision, Step, Window

TENANTS = ("", "acme", "beta")
KINDS = ("comment.created", "build.failed", "invoice.due", "digest", "security.alert")
TRAITS = {"plan": ("free", "pro"), "role": ("admin", "member")}
SEGMENTS = ("segment:s0", "segment:s1")
TAGS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Intent:
    """A notification as its sender means it, under a marker that it carries in its data."""

    marker: str
    recipient: str | None
    topic: str | None
    kind: str
    title: str
    tenant: str
    tags: tuple[str, ...]
    group: str | None
    expires_at: float | None = None
    dedupe: str | None = None
    deliver_at: float | None = None
    id: int = 0

    def parameters(self) -> dict[str, Any]:
        """As the statements take them."""
        names = ("recipient", "topic", "kind", "title", "tenant", "group", "dedupe")
        return {
            **{name: getattr(self, name) for name in names},
            "tags": list(self.tags),
            "data": json.dumps({"op": self.marker}),
            "expires_at": moment(self.expires_at),
            "deliver_at": moment(self.deliver_at),
        }


def moment(seconds: float | None) -> datetime | None:
    """Wall clock seconds as Postgres takes them."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass(slots=True)
class Entries:
    """What one transaction did so far."""

    intents: list[Intent] = field(default_factory=list[Intent])
    steps: list[Step] = field(default_factory=list[Step])
    retracted: list[int] = field(default_factory=list[int])
    revised: list[Revision] = field(default_factory=list[Revision])
    first: Window | None = None
    calls: int = 0


@dataclass(slots=True)
class Journal:
    """What all writers share, and what they have committed."""

    recipients: Sequence[str]
    topics: Sequence[str]
    seed: int
    functions: set[str]
    max_hold_seconds: float = 0.05
    intents: list[tuple[Intent, Window, str]] = field(default_factory=list[tuple[Intent, Window, str]])
    steps: list[Step] = field(default_factory=list[Step])
    retracted: dict[int, float] = field(default_factory=dict[int, float])
    revised: list[Revision] = field(default_factory=list[Revision])
    recent: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=200)))
    due_until: float = 0.0
    done: int = 0
    wanted: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])

    def commit(self, entries: Entries, xid: str, window: Window) -> None:
        """The server said that all of this is committed."""
        self.intents += [(intent, window, xid) for intent in entries.intents]
        self.steps += [replace(step, committed=window) for step in entries.steps]
        self.retracted |= dict.fromkeys(entries.retracted, window.closes)
        self.revised += entries.revised
        times = [intent.expires_at for intent in entries.intents] + [intent.deliver_at for intent in entries.intents]
        times += [step.until for step in entries.steps]
        soon = [when for when in times if when is not None and when < window.closes + 60]
        self.due_until = max([self.due_until, *soon])


def hoards(recipient: str) -> bool:
    """Whether this recipient marks by id alone, and many at once."""
    return recipient.endswith(("0", "5"))
