"""Where a client comes in: what its cursor means to a relay that has seen `seen`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from belfry.choices import Choices, turns
from belfry.cursor import FEWEST_WIDENED_GAPS, Cursor, MalformedCursor, Range, clip, parse, subtract
from belfry.model import EVERYONE, Stay

EVERYTHING = "0"
"""The cursor that means all that is retained; it never resets."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a client gets: what `client` has not seen (None: nothing), after a `reset` if there is a reason."""

    client: Cursor | None
    reset: str | None = None  # malformed, epoch, pruned
    everything: bool = False  # `cursor=0`: what was pruned meanwhile is no longer retained, and no loss
    exact: bool = True  # its gaps are those that there were; else it may have been widened on the wire


def resolve(requested: str | None, seen: Cursor, *, pruned: int, last_value: int) -> Start:
    """Read a client's cursor. `last_value` is the sequence's, `pruned` the highest position that retention took."""
    if requested is None:
        return Start(None)
    if requested == EVERYTHING:
        return Start(Cursor(0, (), seen.epoch), everything=True)
    try:
        client = parse(requested)
    except MalformedCursor:
        return Start(None, "malformed")
    if client.epoch != seen.epoch or client.head > last_value:
        return Start(None, "epoch")
    if below(client, pruned):
        return Start(Cursor(pruned, (), seen.epoch), "pruned")
    return Start(client, exact=len(client.gaps) < FEWEST_WIDENED_GAPS)


def knows(requested: str | None, unread: Sequence[Range], *, epoch: str, last_value: int) -> bool:
    """Whether a client has seen ids of ranges that this relay has not read yet; not one that gets a reset anyway."""
    if requested is None or not unread:
        return False
    try:
        client = parse(requested)
    except MalformedCursor:
        return False
    if client.epoch != epoch or client.head > last_value:
        return False
    return bool(subtract(clip(unread, 1, client.head), client.gaps))


def lowest_unseen(client: Cursor) -> int:
    """The lowest id that a client has not seen."""
    return client.gaps[0][0] if client.gaps else client.head + 1


def below(client: Cursor, pruned: int) -> bool:
    """Whether something that the client has not seen may have been pruned."""
    return lowest_unseen(client) <= pruned


def as_seen(stays: dict[str, list[Stay]], seen: Cursor) -> dict[str, list[Stay]]:
    """The stays as of a cursor: what the relay has not seen yet will turn up in a poll and take effect there."""
    out: dict[str, list[Stay]] = {}
    for topic, intervals in stays.items():
        kept = [
            stay if stay.until is None or seen.has(stay.until) else Stay(stay.since)
            for stay in intervals
            if topic == EVERYONE or seen.has(stay.since)
        ]
        if kept:
            out[topic] = kept
    return out


def joined_late(stays: dict[str, list[Stay]], client: Cursor) -> list[tuple[str, Stay]]:
    """The stays that began in a gap of the client: rows above that it took for others' are its own after all."""
    return [
        (topic, stay)
        for topic, intervals in stays.items()
        if topic != EVERYONE
        for stay in intervals
        if stay.since < client.head and not client.has(stay.since)
    ]


def turned_late(choices: Choices, client: Cursor) -> int | None:
    """The lowest position in the client's gaps at which a choice changed: what is above was judged without it."""
    return min((at for at in turns(choices) if at < client.head and not client.has(at)), default=None)
