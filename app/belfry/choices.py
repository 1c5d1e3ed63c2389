"""Which kinds a recipient wants, as intervals of positions: what is sent after a choice is judged by it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from belfry.cursor import Cursor

EVERY_KIND = "*"
"""The choice for all kinds without one of their own."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipient's choice of a kind, or the operator's default of it, for what lies between two positions."""

    since: int
    until: int | None
    enabled: bool
    required: bool = False  # of a kind alone: nobody mutes it

    def holds(self, position: int) -> bool:
        return self.since < position and (self.until is None or position < self.until)


Choices = Mapping[str, Sequence[Choice]]
"""A recipient's choices by kind."""

NONE: Choices = {}
"""The choices of a recipient who has made none: nearly everybody."""


class Kinds(dict[str, "Sequence[Choice]"]):
    """What the operator has declared, by kind."""


def muted(choices: Choices, kinds: Choices, kind: str, position: int) -> bool:
    """Whether a notification of that kind and position is neither shown nor counted nor sent."""
    declared = _at(kinds, kind, position)
    if declared is not None and declared.required:
        return False
    judge = _at(choices, kind, position) or _at(choices, EVERY_KIND, position) or declared
    return judge is not None and not judge.enabled


def as_seen(choices: Choices, seen: Cursor) -> dict[str, list[Choice]]:
    """The choices as of a cursor: what is not seen yet will turn up in a poll and take effect there."""
    out: dict[str, list[Choice]] = {}
    for kind, intervals in choices.items():
        kept = [
            each if each.until is None or seen.has(each.until) else replace(each, until=None)
            for each in intervals
            if seen.has(each.since)
        ]
        if kept:
            out[kind] = kept
    return out


def chosen(choices: Choices, kind: str, since: int, enabled: bool | None) -> dict[str, list[Choice]]:
    """The choices after a change of one kind; `enabled` None goes back to the default."""
    if any(each.since == since for each in choices.get(kind, ())):
        return dict(choices)  # type: ignore[arg-type]
    before = [
        replace(each, until=since) if each.holds(since) and each.until is None else each
        for each in choices.get(kind, ())
    ]
    after = [] if enabled is None else [Choice(since, None, enabled)]
    return {**{name: list(each) for name, each in choices.items()}, kind: before + after}


def turns(choices: Choices) -> set[int]:
    """The positions at which something changed."""
    return {at for intervals in choices.values() for each in intervals for at in (each.since, each.until) if at}


def _at(choices: Choices, kind: str, position: int) -> Choice | None:
    for each in choices.get(kind, ()):
        if each.holds(position):
            return each
    return None
