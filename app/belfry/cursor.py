"""What has been seen: a head, the gaps below it, and the arithmetic of replay. Pure.

Ids are taken when a row is inserted and become visible when its transaction commits, so a reader at id 10 may
see id 9 later. `docs/decisions/cursor.md` has the reasoning, `tests/unit/test_cursor_model.py` the model.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Range = tuple[int, int]
"""Ids from the first to the second, both included."""

MAX_CURSOR_BYTES = 2048
FEWEST_WIDENED_GAPS = 40
"""A cursor with fewer gaps was not widened to fit, which leaves nine tenths of the bytes; a range takes 40 at most."""
MOST_GAPS, COARSE_GAPS = 525, 256
"""More than those never fit: five take two bytes, 45 three, the others four or more. About how many do, once merged."""
MAX_POSITION = 2**63 - 1

_CURSOR = re.compile(r"(?:(?P<epoch>[a-z0-9]{6})\.)?(?P<head>\d{1,19})(?:~(?P<gaps>\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*))?\Z")


class MalformedCursor(ValueError):
    """The text is no cursor that a relay has written."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position and the ranges below it that were not seen, ascending and apart from each other."""

    head: int
    gaps: tuple[Range, ...] = ()
    epoch: str = ""

    def has(self, position: int) -> bool:
        """Whether the row of that id was seen, if there is one."""
        return position <= self.head and not contains(self.gaps, position)

    def unseen(self, limit: int) -> tuple[Range, ...]:
        """The ids up to `limit` that were not seen."""
        above = ((self.head + 1, limit),) if limit > self.head else ()
        return clip(self.gaps, 1, limit) + above

    def coarse(self) -> Cursor:
        """The same to be told of often: the nearest of very many gaps are merged here, once, and not for each text.

        The lowest stay as they are: where a text has no others, it is exact.
        """
        if len(self.gaps) <= MOST_GAPS:
            return self
        lowest, rest = self.gaps[:FEWEST_WIDENED_GAPS], list(self.gaps[FEWEST_WIDENED_GAPS:])
        return Cursor(self.head, (*lowest, *merge_nearest(rest, COARSE_GAPS - FEWEST_WIDENED_GAPS)), self.epoch)

    def __str__(self) -> str:
        return render(self.head, self.gaps, self.epoch)


def contains(ranges: Sequence[Range], position: int) -> bool:
    """Whether one of the ascending ranges holds that id."""
    return overlaps(ranges, (position, position))


def overlaps(ranges: Sequence[Range], other: Range) -> bool:
    """Whether one of the ascending ranges has an id in common with the other."""
    index = bisect_right(ranges, (other[1], MAX_POSITION)) - 1
    return index >= 0 and ranges[index][1] >= other[0]


def clip(ranges: Iterable[Range], low: int, high: int) -> tuple[Range, ...]:
    """The parts of the ranges that lie from `low` to `high`."""
    return tuple((max(lo, low), min(hi, high)) for lo, hi in ranges if hi >= low and lo <= high)


def union(*parts: Iterable[Range]) -> tuple[Range, ...]:
    """All ids of the ranges, as ascending ranges that neither overlap nor touch."""
    out: list[Range] = []
    for lo, hi in sorted(each for part in parts for each in part):
        if out and lo <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], hi))
        else:
            out.append((lo, hi))
    return tuple(out)


def subtract(ranges: Iterable[Range], holes: Sequence[Range]) -> tuple[Range, ...]:
    """The ids of the ascending `ranges` that are in none of the ascending `holes`."""
    out: list[Range] = []
    index = 0
    for lo, hi in ranges:
        while index < len(holes) and holes[index][1] < lo:
            index += 1
        at = index
        while at < len(holes) and holes[at][0] <= hi:
            if holes[at][0] > lo:
                out.append((lo, holes[at][0] - 1))
            lo = holes[at][1] + 1
            at += 1
        if lo <= hi:
            out.append((lo, hi))
    return tuple(out)


# --- on the wire ---------------------------------------------------------------------------------------------


def render(head: int, gaps: Iterable[Range], epoch: str = "") -> str:
    """The cursor as text: `1042`, or `1042~3,8-9` with gaps as distances below the head, at most 2,048 bytes.

    Past that the ranges nearest to each other are merged until it fits: only the rows between them can repeat.
    """
    prefix = f"{epoch}.{head}" if epoch else str(head)
    distances = [(head - hi, head - lo) for lo, hi in gaps]
    if not distances:
        return prefix
    distances.reverse()
    text = _render_distances(distances)
    room = MAX_CURSOR_BYTES - len(prefix) - 1
    while len(text) > room:  # what is merged takes more bytes a range
        distances = merge_nearest(distances, len(distances) * room // len(text) * 9 // 10)
        text = _render_distances(distances)
    return f"{prefix}~{text}"


def _render_distances(distances: Iterable[Range]) -> str:
    return ",".join(str(near) if near == far else f"{near}-{far}" for near, far in distances)


def merge_nearest(ranges: list[Range], keep: int) -> list[Range]:
    """Close the narrowest of the spaces between the ranges, so that at most `keep` ranges are left."""
    spaces = sorted(range(1, len(ranges)), key=lambda index: ranges[index][0] - ranges[index - 1][1])
    closed = set(spaces[: max(1, len(ranges) - max(keep, 1))])
    out: list[Range] = []
    for index, (lo, hi) in enumerate(ranges):
        if index in closed:
            out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return out


def parse(text: str) -> Cursor:
    """Read what `render` wrote. A plain integer is a position of the first epoch.

    Raises MalformedCursor.
    """
    match = _CURSOR.match(text) if len(text) <= MAX_CURSOR_BYTES else None
    if match is None:
        raise MalformedCursor(text[:40])
    head = int(match["head"])
    gaps: list[Range] = []
    for part in (match["gaps"] or "").split(",") if match["gaps"] else ():
        near, _, far = part.partition("-")
        gaps.append((head - int(far or near), head - int(near)))
    gaps.reverse()
    if head > MAX_POSITION or not _ascending(gaps):
        raise MalformedCursor(text[:40])
    return Cursor(head, tuple(gaps), match["epoch"] or "")


def _ascending(gaps: Sequence[Range]) -> bool:
    """Whether the ranges are positive, ascending and disjoint, as every cursor of ours is."""
    below = 0
    for lo, hi in gaps:
        if lo <= below or hi < lo:
            return False
        below = hi
    return True


# --- attach --------------------------------------------------------------------------------------------------


def after_replayed(client: Cursor, seen: Cursor, position: int) -> Cursor:
    """The cursor of a client to whom `position` was replayed by a relay that has seen `seen`.

    What lies above the row is still as the client had it; what lies at or below is as the relay has it. The row itself
    is seen, though a gap of a `seen` that is coarse may hold it.
    """
    head = max(client.head, position)
    gaps = union(clip(client.gaps, position + 1, head), clip(seen.gaps, 1, head))
    return Cursor(head, subtract(gaps, ((position, position),)), seen.epoch)


def told_after(client: Cursor, seen: Cursor, coarse: Cursor, position: int) -> Cursor:
    """The cursor of `after_replayed` as it is told, by the `coarse` of `seen`: so few gaps are told as they are."""
    told = after_replayed(client, coarse, position)
    if coarse is seen or len(told.gaps) >= FEWEST_WIDENED_GAPS:
        return told
    return after_replayed(client, seen, position)


def replayable(client: Cursor, seen: Cursor) -> tuple[Range, ...]:
    """The ids that a relay has seen and the client has not."""
    return subtract(client.unseen(seen.head), seen.gaps)
